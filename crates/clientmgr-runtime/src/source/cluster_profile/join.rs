//! [`Join`]: from profiles and the operator's providers to what the source says. Pure.

use std::collections::BTreeMap;

use clientmgr_kube::kube::api::DynamicObject;
use clientmgr_kube::{NamespacedName, Policy};

use super::profile::translate;
use super::providers::AccessProviders;
use crate::source::error::SourceError;
use crate::source::event::SourceEvent;
use crate::source::watch::key_of;

/// What is known of the profiles and the providers, in whatever order they are seen.
pub(super) struct Join {
    policy: Policy,
    /// The last that were valid. Before there are any, nothing is said of a profile.
    providers: Option<AccessProviders>,
    /// Why newer providers cannot be used.
    failure: Option<SourceError>,
    profiles: BTreeMap<NamespacedName, DynamicObject>,
    synced: bool,
}

impl Join {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, providers: None, failure: None, profiles: BTreeMap::new(), synced: false }
    }

    pub(super) fn providers(&mut self, providers: AccessProviders) -> Vec<SourceEvent> {
        self.providers = Some(providers);
        self.failure = None;
        let upserts = self.profiles.values().filter_map(|profile| self.upsert(profile));
        // The source has recovered; nothing is gone by this.
        upserts.chain(self.synced.then_some(SourceEvent::Synced)).collect()
    }

    pub(super) fn providers_failed(&mut self, error: SourceError) -> Vec<SourceEvent> {
        self.failure = Some(error.clone());
        vec![SourceEvent::Failed(error)]
    }

    pub(super) fn profile(&mut self, profile: DynamicObject) -> Vec<SourceEvent> {
        let said = self.upsert(&profile);
        self.profiles.insert(key_of(&profile), profile);
        said.into_iter().collect()
    }

    pub(super) fn gone(&mut self, cluster: NamespacedName) -> Vec<SourceEvent> {
        self.profiles.remove(&cluster);
        vec![SourceEvent::remove(cluster)]
    }

    pub(super) fn synced(&mut self) -> Vec<SourceEvent> {
        self.synced = true;
        let synced = self.providers.is_some().then_some(SourceEvent::Synced);
        let failed = self.failure.clone().map(SourceEvent::Failed);
        synced.into_iter().chain(failed).collect()
    }

    fn upsert(&self, profile: &DynamicObject) -> Option<SourceEvent> {
        let providers = self.providers.as_ref()?;
        Some(SourceEvent::upsert(key_of(profile), translate(&profile.data, providers, self.policy)))
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::Policy;
    use clientmgr_kube::kube::api::DynamicObject;
    use serde_json::json;

    use super::{AccessProviders, Join};
    use crate::source::{SourceError, SourceEvent};

    fn providers(name: &str) -> AccessProviders {
        let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "c" });
        let file = json!({ "providers": [{ "name": name, "execConfig": exec }] });
        AccessProviders::from_json(file.to_string().as_bytes()).unwrap()
    }

    fn profile() -> DynamicObject {
        let access = json!({ "name": "a", "cluster": { "server": "https://east" } });
        let json = json!({ "metadata": { "name": "east" }, "status": { "accessProviders": [access] } });
        serde_json::from_value(json).unwrap()
    }

    fn said(events: Vec<SourceEvent>) -> Vec<&'static str> {
        let short = |event| match event {
            SourceEvent::Upsert { config: Ok(_), .. } => "upsert",
            SourceEvent::Upsert { config: Err(SourceError::NoProvider { .. }), .. } => "no provider",
            SourceEvent::Remove { .. } => "remove",
            SourceEvent::Synced => "synced",
            SourceEvent::Failed(_) => "failed",
            other => panic!("{other:?}"),
        };
        events.into_iter().map(short).collect()
    }

    #[test]
    fn nothing_is_said_of_a_profile_before_there_are_providers() {
        let mut join = Join::new(Policy::for_secrets().allow_exec(true));
        assert_eq!(said(join.profile(profile())), [""; 0]);
        assert_eq!(said(join.providers_failed(SourceError::Panicked)), ["failed"]);
        assert_eq!(said(join.synced()), ["failed"], "a list that is not complete removes nothing");
        assert_eq!(said(join.providers(providers("a"))), ["upsert", "synced"]);
    }

    #[test]
    fn other_providers_change_every_profile_and_broken_ones_none() {
        let mut join = Join::new(Policy::for_secrets().allow_exec(true));
        assert_eq!(said(join.providers(providers("a"))), [""; 0]);
        assert_eq!(said(join.profile(profile())), ["upsert"]);
        assert_eq!(said(join.synced()), ["synced"]);
        assert_eq!(said(join.providers(providers("b"))), ["no provider", "synced"]);
        assert_eq!(said(join.providers(providers("a"))), ["upsert", "synced"]);
        assert_eq!(said(join.providers_failed(SourceError::Panicked)), ["failed"]);
        assert_eq!(said(join.profile(profile())), ["upsert"], "by the previous providers");
        assert_eq!(said(join.synced()), ["synced", "failed"], "the error still shows");
        assert_eq!(said(join.gone("east".into())), ["remove"]);
        assert_eq!(said(join.providers(providers("a"))), ["synced"]);
    }
}
