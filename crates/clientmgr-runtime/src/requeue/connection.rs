//! [`connection_changes`]: the changes of a fleet that a dependent object must react to.

use std::collections::HashMap;

use clientmgr_kube::{ClusterChanges, ClusterSnapshot, Events, Fleet, NamespacedName, WeakFleet};
use futures::{Stream, StreamExt as _, stream};

use super::changes::Changes;

/// Returns the clusters of `fleet` that appear, are replaced, reset, lost, recover or are removed. The first item names
/// every cluster.
///
/// Rotated credentials, another version of the server and further errors of a cluster that is down are no such changes:
/// the objects have nothing to do then. [`Fleet::events`] reports those too.
///
/// Changes are coalesced, as those of [`Fleet::events`] are. A cluster that was lost and recovered between two polls is
/// reported.
///
/// The stream does not keep the fleet alive. It ends after the fleet was dropped or [shut down](Fleet::shutdown), with the
/// clusters that this disconnected.
///
/// # Cancel safety
///
/// A poll takes an item or nothing.
pub fn connection_changes(fleet: &Fleet) -> impl Stream<Item = Changes> + Send + Unpin + use<> {
    let watching =
        Watching { events: fleet.events(), fleet: fleet.downgrade(), seen: Seen::default(), has_ended: false };
    stream::unfold(watching, async |mut watching| Some((watching.next().await?, watching))).boxed()
}

struct Watching {
    fleet: WeakFleet,
    events: Events,
    seen: Seen,
    has_ended: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Changes> {
        while !self.has_ended {
            let changes = self.events.next().await;
            let fleet = self.fleet.upgrade();
            let (Some(changes), Some(fleet)) = (changes, fleet) else {
                self.has_ended = true;
                let lost = self.seen.all(Vec::new());
                return (!lost.is_empty()).then_some(Changes::Of(lost));
            };
            let mut changed = match changes {
                ClusterChanges::Changed(clusters) => clusters,
                _ => self.seen.all(fleet.clusters()),
            };
            changed.retain(|cluster| self.seen.observe(cluster, fleet.snapshot(cluster)));
            if !changed.is_empty() {
                return Some(Changes::Of(changed));
            }
        }
        None
    }
}

/// The clusters as their dependants know them.
#[derive(Debug, Default)]
struct Seen(HashMap<NamespacedName, ClusterSnapshot>);

impl Seen {
    /// Takes the state of a cluster after an event. Returns whether it concerns the dependants.
    fn observe(&mut self, cluster: &NamespacedName, now: Option<ClusterSnapshot>) -> bool {
        let Some(now) = now else { return self.0.remove(cluster).is_some() };
        let before = self.0.insert(cluster.clone(), now.clone());
        before.is_none_or(|before| connection_differs(&before, &now))
    }

    /// Returns the clusters that are or were there.
    fn all(&self, mut now: Vec<NamespacedName>) -> Vec<NamespacedName> {
        now.extend(self.0.keys().cloned());
        now.sort_unstable();
        now.dedup();
        now
    }
}

/// Whether the client that readers get, or that they get none, is another, or was meanwhile.
fn connection_differs(before: &ClusterSnapshot, now: &ClusterSnapshot) -> bool {
    let connection = |of: &ClusterSnapshot| (of.state, of.connected_at, of.interruption);
    connection(before) != connection(now)
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::{ClusterConfig, ClusterSnapshot, ConnectedAt, ConnectionState, Fleet, NamespacedName};

    use super::Seen;

    /// A snapshot of a cluster that never connects.
    fn connecting() -> ClusterSnapshot {
        let fleet = Fleet::new();
        let east = NamespacedName::from("east");
        fleet.upsert(east.clone(), ClusterConfig::from_kubeconfig(&kube::config::Kubeconfig::default(), "east"));
        let mut snapshot = fleet.snapshot(&east).unwrap();
        (snapshot.state, snapshot.error) = (ConnectionState::Connecting, None);
        snapshot
    }

    #[test]
    fn what_concerns_dependants_is_reported_and_nothing_else() {
        let connecting = connecting();
        let at = |micros| ConnectedAt::from_unix_micros(micros);
        let connected = |change: fn(&mut ClusterSnapshot)| {
            let mut snapshot = connecting.clone();
            (snapshot.state, snapshot.connected_at) = (ConnectionState::Connected, at(1));
            change(&mut snapshot);
            Some(snapshot)
        };
        let unavailable = |user: Option<&str>| {
            let mut snapshot = connecting.clone();
            (snapshot.state, snapshot.connected_at) = (ConnectionState::Unavailable, at(1));
            snapshot.interruption += 2;
            snapshot.user = user.map(str::to_owned);
            Some(snapshot)
        };
        // (what happened, the snapshot then, whether it is reported)
        let steps = [
            ("there is no such cluster", None, false),
            ("it appears", Some(connecting.clone()), true),
            ("it connects", connected(|_| ()), true),
            ("its version changes", connected(|now| now.version = Some("v1.36".into())), false),
            ("its credentials rotate", connected(|now| now.user = Some("admin".into())), false),
            ("it says the same", connected(|now| now.user = Some("admin".into())), false),
            ("it was lost and recovered meanwhile, with another version", connected(|now| now.interruption += 1), true),
            ("it is lost", unavailable(None), true),
            ("its error changes", unavailable(Some("admin")), false),
            ("it recovers", connected(|now| now.interruption += 2), true),
            ("it is replaced", connected(|now| now.connected_at = ConnectedAt::from_unix_micros(2)), true),
            ("it is removed", None, true),
            ("it is still gone", None, false),
        ];
        let (mut seen, east) = (Seen::default(), connecting.cluster.clone());
        for (what, snapshot, reported) in steps {
            assert_eq!(seen.observe(&east, snapshot), reported, "{what}");
        }
    }

    #[test]
    fn a_look_at_all_includes_clusters_that_are_gone() {
        let mut seen = Seen::default();
        seen.observe(&"east".into(), Some(connecting()));
        let all = seen.all(vec!["west".into()]);
        assert_eq!(all, ["east", "west"].map(NamespacedName::from));
    }
}
