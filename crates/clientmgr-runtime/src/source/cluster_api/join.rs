//! [`Join`]: from clusters and their Secrets to what the source says. Pure.

use std::collections::BTreeMap;

use clientmgr_kube::{ClusterConfig, NamespacedName};

use crate::source::error::SourceError;
use crate::source::event::SourceEvent;

const SUFFIX: &str = "-kubeconfig";

/// Returns the cluster whose kubeconfig the Secret `secret` holds, if it holds one.
pub(super) fn cluster_of_secret(secret: &NamespacedName) -> Option<NamespacedName> {
    let name = secret.name().strip_suffix(SUFFIX).filter(|name| !name.is_empty())?;
    Some(NamespacedName::new(secret.namespace(), name))
}

/// What was seen of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterSeen {
    Is { ready: bool },
    Gone,
}

/// What was seen of a cluster's Secret.
#[derive(Debug)]
pub(super) enum SecretSeen {
    Is(Result<ClusterConfig, SourceError>),
    Gone,
}

/// What is known of the clusters and their Secrets, in whatever order they are seen.
#[derive(Debug, Default)]
pub(super) struct Join {
    entries: BTreeMap<NamespacedName, Entry>,
    /// Whether both lists were complete once: before, a Secret that was not seen may come.
    synced: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// Whether there is a `Cluster`.
    exists: bool,
    /// Whether its control plane was initialized. It stays so.
    ready: bool,
    secret: Option<Result<ClusterConfig, SourceError>>,
}

impl Join {
    pub(super) fn cluster(&mut self, cluster: NamespacedName, seen: ClusterSeen) -> Vec<SourceEvent> {
        let entry = self.entries.entry(cluster.clone()).or_default();
        match seen {
            ClusterSeen::Gone => {
                let was_ready = std::mem::take(&mut entry.ready);
                entry.exists = false;
                self.prune(&cluster);
                was_ready.then(|| SourceEvent::remove(cluster)).into_iter().collect()
            }
            ClusterSeen::Is { ready } => {
                let was_ready = entry.ready;
                entry.exists = true;
                entry.ready |= ready;
                // Its status changes all the time.
                if was_ready { Vec::new() } else { self.say(&cluster) }
            }
        }
    }

    pub(super) fn secret(&mut self, cluster: &NamespacedName, seen: SecretSeen) -> Vec<SourceEvent> {
        let entry = self.entries.entry(cluster.clone()).or_default();
        entry.secret = match seen {
            SecretSeen::Is(config) => Some(config),
            SecretSeen::Gone => None,
        };
        let said = self.say(cluster);
        self.prune(cluster);
        said
    }

    /// Both lists are complete.
    pub(super) fn synced(&mut self) -> Vec<SourceEvent> {
        let was_synced = std::mem::replace(&mut self.synced, true);
        let lacking = self.entries.iter().filter(|(_, entry)| !was_synced && entry.secret.is_none());
        let lacking: Vec<_> = lacking.map(|(cluster, _)| cluster.clone()).collect();
        let said = lacking.iter().flat_map(|cluster| self.say(cluster)).collect::<Vec<_>>();
        said.into_iter().chain([SourceEvent::Synced]).collect()
    }

    fn say(&self, cluster: &NamespacedName) -> Vec<SourceEvent> {
        let Some(entry) = self.entries.get(cluster).filter(|entry| entry.exists && entry.ready) else {
            return Vec::new();
        };
        let config = match &entry.secret {
            Some(config) => config.clone(),
            None if !self.synced => return Vec::new(),
            None => {
                let secret = NamespacedName::new(cluster.namespace(), &format!("{}{SUFFIX}", cluster.name()));
                Err(SourceError::NoSecret { secret })
            }
        };
        vec![SourceEvent::upsert(cluster.clone(), config)]
    }

    fn prune(&mut self, cluster: &NamespacedName) {
        if self.entries.get(cluster).is_some_and(|entry| !entry.exists && entry.secret.is_none()) {
            self.entries.remove(cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::kube::config::Kubeconfig;
    use clientmgr_kube::{ClusterConfig, NamespacedName};

    use super::{ClusterSeen, Join, SecretSeen, cluster_of_secret};
    use crate::source::{SourceError, SourceEvent};

    fn east() -> NamespacedName {
        NamespacedName::new("fleet", "east")
    }

    fn config() -> SecretSeen {
        SecretSeen::Is(Ok(ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "a")))
    }

    const READY: ClusterSeen = ClusterSeen::Is { ready: true };
    const NOT_READY: ClusterSeen = ClusterSeen::Is { ready: false };

    /// What the events say, in short.
    fn said(events: &[SourceEvent]) -> Vec<&'static str> {
        let short = |event: &SourceEvent| match event {
            SourceEvent::Upsert { config: Ok(_), .. } => "upsert",
            SourceEvent::Upsert { config: Err(SourceError::NoSecret { .. }), .. } => "no secret",
            SourceEvent::Remove { .. } => "remove",
            SourceEvent::Synced => "synced",
            other => panic!("{other:?}"),
        };
        events.iter().map(short).collect()
    }

    #[test]
    fn a_cluster_is_added_once_it_is_ready_and_its_secret_is_there_in_either_order() {
        let mut join = Join::default();
        assert_eq!(said(&join.cluster(east(), NOT_READY)), [""; 0]);
        assert_eq!(said(&join.secret(&east(), config())), [""; 0]);
        assert_eq!(said(&join.cluster(east(), READY)), ["upsert"]);

        let mut join = Join::default();
        assert_eq!(said(&join.cluster(east(), READY)), [""; 0], "the Secret may be listed later");
        assert_eq!(said(&join.secret(&east(), config())), ["upsert"]);
        assert_eq!(said(&join.synced()), ["synced"]);
        assert_eq!(said(&join.secret(&east(), config())), ["upsert"], "a rotation");
        assert_eq!(said(&join.cluster(east(), READY)), [""; 0], "a status that changed says nothing new");
    }

    #[test]
    fn a_missing_secret_is_an_error_and_no_removal() {
        let mut join = Join::default();
        join.cluster(east(), READY);
        assert_eq!(said(&join.synced()), ["no secret", "synced"]);
        assert_eq!(said(&join.secret(&east(), config())), ["upsert"]);
        assert_eq!(said(&join.secret(&east(), SecretSeen::Gone)), ["no secret"]);
        assert_eq!(said(&join.secret(&east(), config())), ["upsert"]);
    }

    #[test]
    fn a_cluster_goes_with_its_object_only_and_is_not_ready_when_it_is_made_again() {
        let mut join = Join::default();
        join.cluster(east(), READY);
        join.secret(&east(), config());
        assert_eq!(said(&join.cluster(east(), NOT_READY)), [""; 0], "initialized once is initialized");
        assert_eq!(said(&join.cluster(east(), ClusterSeen::Gone)), ["remove"]);
        assert_eq!(said(&join.cluster(east(), NOT_READY)), [""; 0]);
        assert_eq!(said(&join.cluster(east(), ClusterSeen::Gone)), [""; 0]);
        join.secret(&east(), SecretSeen::Gone);
        assert!(join.entries.is_empty());
    }

    #[test]
    fn a_secret_without_a_cluster_says_nothing_and_is_forgotten() {
        let mut join = Join::default();
        assert_eq!(said(&join.secret(&east(), config())), [""; 0]);
        assert_eq!(said(&join.secret(&east(), SecretSeen::Gone)), [""; 0]);
        assert_eq!(said(&join.synced()), ["synced"]);
        assert!(join.entries.is_empty());
    }

    #[test]
    fn only_the_secret_with_the_kubeconfig_is_read() {
        let of = |name: &str| cluster_of_secret(&NamespacedName::new("fleet", name));
        assert_eq!(of("east-kubeconfig"), Some(east()));
        assert_eq!((of("east-ca"), of("-kubeconfig"), of("kubeconfig")), (None, None, None));
    }
}
