//! [`Entry`]: what the controller keeps of one `Cluster`.

use std::sync::Arc;

use clientmgr_kube::{ClusterConfig, ClusterObject as _, ConnectErrorKind, ConnectedAt, NamespacedName};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::connection::Desired;
use super::observed::Observed;
use super::problem::ConfigProblem;
use crate::cluster::{Cluster, ClusterStatus};

/// What the controller keeps of one `Cluster`.
pub(super) struct Entry {
    /// The newest version that is known: by the watch, or as the answer to a write.
    pub(super) cluster: Arc<Cluster>,
    /// The Secret that it refers to.
    pub(super) secret: Option<NamespacedName>,
    pub(super) desired: Desired,
    /// The configuration that the fleet was given last, without an incarnation.
    pub(super) applied: Option<ClusterConfig>,
    pub(super) is_resetting: bool,
    pub(super) reset_to: Option<ConnectedAt>,
    pub(super) is_writing: bool,
    /// When to write the status.
    pub(super) write_at: Option<Instant>,
    /// How many writes failed in a row.
    pub(super) failures: u32,
    /// The latest revision that a status named.
    pub(super) latest_named: Option<ConnectedAt>,
    /// The latest revision that this process served.
    pub(super) latest_served: Option<ConnectedAt>,
    pub(super) is_fenced: bool,
    /// The status that was sent last and changed nothing: others own a part of it.
    pub(super) without_effect: Option<ClusterStatus>,
    /// When the text of an outage was written last.
    pub(super) outage_written: Option<Instant>,
}

impl Entry {
    pub(super) fn new(cluster: Arc<Cluster>, secret: Option<NamespacedName>, desired: Desired, now: Timestamp) -> Self {
        let mut entry = Self {
            cluster,
            secret,
            desired,
            applied: None,
            is_resetting: false,
            reset_to: None,
            is_writing: false,
            write_at: None,
            failures: 0,
            latest_named: None,
            latest_served: None,
            is_fenced: false,
            without_effect: None,
            outage_written: None,
        };
        entry.learn(now);
        entry
    }

    /// Takes another version of the object.
    pub(super) fn take(&mut self, cluster: Arc<Cluster>, now: Timestamp) {
        if cluster.metadata.resource_version != self.cluster.metadata.resource_version {
            self.without_effect = None;
        }
        self.cluster = cluster;
        self.learn(now);
    }

    /// Remembers the revision that the status names, unless it is refused. Call it again when the clock was corrected.
    pub(super) fn learn(&mut self, now: Timestamp) {
        let named = self.cluster.connected_at();
        if ConfigProblem::of_revision(named, now).is_none() {
            self.latest_named = self.latest_named.max(named);
        }
    }

    /// Takes what the fleet says now. Returns the revision that the status names, if this process has served and fenced it,
    /// and waits for a later one.
    pub(super) fn fenced(&mut self, observed: Option<&Observed>) -> Option<ConnectedAt> {
        self.latest_served = self.latest_served.max(observed.and_then(|observed| observed.connected_at));
        let status = self.cluster.status.as_ref()?;
        let named = status.connected_at.filter(|named| Some(*named) <= self.latest_served)?;
        let refuses = observed.is_some_and(|observed| {
            observed.failed_with(ConnectErrorKind::UnknownIncarnation) && observed.identity == status.identity
        });
        refuses.then_some(named)
    }

    /// Whether `other` is an older version of the same object than the one that is known: a watch may be behind the
    /// answers to writes.
    pub(super) fn is_newer_than(&self, other: &Cluster) -> bool {
        let version = |cluster: &Cluster| cluster.resource_version().and_then(|version| version.parse::<u64>().ok());
        match (version(&self.cluster), version(other)) {
            (Some(known), Some(other)) => other < known,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clientmgr_kube::ConnectedAt;
    use jiff::{Timestamp, ToSpan as _};
    use serde_json::json;

    use super::Entry;
    use crate::cluster::{Cluster, ClusterStatus};
    use crate::controller::connection::Desired;
    use crate::controller::problem::ConfigProblem;

    #[test]
    fn a_revision_that_is_refused_is_not_remembered() {
        let now = Timestamp::now();
        let [current, ahead] = [now, now + 48.hours()].map(|time| ConnectedAt::from_timestamp(time).unwrap());
        let named = |connected_at| {
            let spec = json!({ "connection": { "inCluster": {} } });
            let mut cluster = Cluster::new("east", serde_json::from_value(spec).unwrap());
            cluster.status = Some(ClusterStatus { connected_at: Some(connected_at), ..ClusterStatus::default() });
            Arc::new(cluster)
        };
        let desired = Desired::Broken(Arc::new(ConfigProblem::ContextsPending));
        let mut entry = Entry::new(named(ahead), None, desired, now);
        assert_eq!(entry.latest_named, None);
        entry.take(named(current), now);
        entry.take(named(ahead), now);
        assert_eq!(entry.latest_named, Some(current));
        entry.learn(now + 48.hours());
        assert_eq!(entry.latest_named, Some(ahead), "the clock was corrected");
    }
}
