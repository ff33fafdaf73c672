//! Every law of managers is broken by some manager. The double is written from the rules' table, apart from the real
//! one, so its faultless form also shows that the laws hold any manager to them.

use std::collections::HashMap;
use std::sync::Mutex;

use clientmgr_core::{
    Cause, ClientError, ClientProvider, ConnectedAt, Connection, NamespacedName, ObservedCluster, ProviderError,
    Refresh,
};
use clientmgr_fake::laws::unstable::{Manager, ManagerSetup};
use clientmgr_fake::laws::{FakeSetup, ProviderSetup};
use clientmgr_fake::{FakeClientProvider, Gate, Gated};
use futures::executor::block_on;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    CachesTheConnection,
    AsksTwice,
    HidesTheReason,
    MakesTextOfTheSource,
    DropsTheRetryHint,
    UnknownIsUnavailable,
    TakesAnyRevision,
    TakesNoRevision,
    NeedsNoRefresh,
    AlwaysNeedsRefresh,
    ErrorsDropWhatIsHeld,
    ErrorsLeaveNothing,
    NotesTheCallBeforeItAsks,
    NotesTheCallBeforeItsFirstPoll,
    DecidesByAnEarlyAnswer,
    DecidesByAnEarlyEntry,
    AbsentIsReset,
    HeldIsReset,
    ReplacedIsUnchanged,
    NeverResets,
    NoneIsUnchanged,
    OlderIsReset,
    SaysResetOnce,
    RefreshAsks,
    OneEntryForAllObjects,
    OneEntryForAllClusters,
    ForgetsNothing,
    ForgetsEverything,
    ForgetsOnlyObjects,
    RetainsEverything,
    RetainsNothing,
    RetainsForAllObjects,
    LateAnswersStay,
    LateAnswersStayWhereNotRetained,
}

#[derive(Clone, Copy)]
enum Entry {
    Holding(ConnectedAt),
    ResetDue,
}

type Cluster = ObservedCluster<NamespacedName, ConnectedAt>;
type Answer = Result<u32, ClientError>;

struct Faulty {
    fault: Fault,
    provider: Gated<FakeClientProvider<u32>>,
    entries: Mutex<HashMap<(u32, NamespacedName), Entry>>,
    /// Every object, cluster and pair of them that was ever forgotten, in order.
    forgotten: Mutex<Vec<(Option<u32>, Option<NamespacedName>)>>,
    /// All there are.
    clusters: [NamespacedName; 2],
    cache: Mutex<HashMap<NamespacedName, Connection<u32, ConnectedAt>>>,
}

impl Faulty {
    fn key(&self, object: u32, cluster: &NamespacedName) -> (u32, NamespacedName) {
        match self.fault {
            Fault::OneEntryForAllObjects => (0, cluster.clone()),
            Fault::OneEntryForAllClusters => (object, NamespacedName::cluster_scoped("any")),
            _ => (object, cluster.clone()),
        }
    }

    fn entry(&self, object: u32, cluster: &NamespacedName) -> Option<Entry> {
        self.entries.lock().unwrap().get(&self.key(object, cluster)).copied()
    }

    fn set(&self, object: u32, cluster: &NamespacedName, entry: Entry) {
        self.entries.lock().unwrap().insert(self.key(object, cluster), entry);
    }

    async fn ask(&self, cluster: &NamespacedName) -> Result<Connection<u32, ConnectedAt>, ProviderError> {
        match self.fault {
            Fault::CachesTheConnection => {
                let current = self.provider.connection(cluster).await?;
                let mut cache = self.cache.lock().unwrap();
                let cached = cache.entry(cluster.clone()).or_insert(current.clone());
                Ok(Connection { client: cached.client, ..current })
            }
            Fault::DecidesByAnEarlyAnswer => {
                let early = self.provider.provider().connection(cluster).await;
                self.provider.connection(cluster).await?;
                early
            }
            Fault::AsksTwice => {
                let _ = self.provider.connection(cluster).await;
                self.provider.connection(cluster).await
            }
            _ => self.provider.connection(cluster).await,
        }
    }

    fn decide(
        &self,
        object: u32,
        cluster: &Cluster,
        entry: Option<Entry>,
        answer: Result<Connection<u32, ConnectedAt>, ProviderError>,
    ) -> Answer {
        let key = cluster.key.clone();
        let failed = |error| {
            match entry {
                None if self.fault != Fault::ErrorsLeaveNothing => self.set(object, &key, Entry::ResetDue),
                Some(_) if self.fault == Fault::ErrorsDropWhatIsHeld => self.set(object, &key, Entry::ResetDue),
                _ => {}
            }
            Err(error)
        };
        let cluster_key = key.clone();
        let Connection { client, revision: current } = match answer {
            Ok(connection) => connection,
            Err(_) if self.fault == Fault::HidesTheReason => {
                return failed(ClientError::NotFound { cluster: cluster_key });
            }
            Err(ProviderError::NotFound) if self.fault != Fault::UnknownIsUnavailable => {
                return failed(ClientError::NotFound { cluster: cluster_key });
            }
            Err(error) => {
                let ProviderError::Unavailable { source, retry_after } = error else {
                    return failed(ClientError::Incompatible { cluster: cluster_key, source: Cause::new("unknown") });
                };
                let source = match self.fault {
                    Fault::MakesTextOfTheSource => Cause::new(source.to_string()),
                    _ => source,
                };
                let retry_after = retry_after.filter(|_| self.fault != Fault::DropsTheRetryHint);
                return failed(ClientError::Unavailable { cluster: cluster_key, source, retry_after });
            }
        };
        let observed = match cluster.revision {
            Some(_) if self.fault == Fault::TakesAnyRevision => Some(current),
            None if self.fault == Fault::TakesNoRevision => Some(current),
            observed => observed,
        };
        if observed != Some(current) {
            return failed(ClientError::ClusterOutdated { cluster: cluster_key, observed, current });
        }
        match entry {
            Some(Entry::Holding(held))
                if held != current && !matches!(self.fault, Fault::NeedsNoRefresh | Fault::NeverResets) =>
            {
                Err(ClientError::RefreshRequired { cluster: key, held, current })
            }
            Some(Entry::Holding(held)) if self.fault == Fault::AlwaysNeedsRefresh => {
                Err(ClientError::RefreshRequired { cluster: key, held, current })
            }
            _ => {
                self.set(object, &key, Entry::Holding(current));
                Ok(client)
            }
        }
    }

    fn note_forgotten(&self, object: Option<u32>, cluster: Option<NamespacedName>) {
        self.forgotten.lock().unwrap().push((object, cluster));
    }
}

impl Manager for Faulty {
    type Object = u32;
    type Client = u32;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    fn refresh(&self, object: &u32, cluster: &Cluster) -> Refresh {
        let observed = cluster.revision;
        if self.fault == Fault::RefreshAsks {
            let _ = futures::FutureExt::now_or_never(self.provider.connection(&cluster.key));
        }
        match self.entry(*object, &cluster.key) {
            None if self.fault == Fault::AbsentIsReset => Refresh::Reset,
            None => Refresh::Unchanged,
            Some(Entry::ResetDue) => {
                if self.fault == Fault::SaysResetOnce {
                    self.entries.lock().unwrap().remove(&self.key(*object, &cluster.key));
                }
                Refresh::Reset
            }
            Some(Entry::Holding(held)) => {
                let unchanged = match self.fault {
                    Fault::HeldIsReset => false,
                    Fault::NeverResets => true,
                    Fault::ReplacedIsUnchanged => observed.is_some(),
                    Fault::NoneIsUnchanged if observed.is_none() => true,
                    Fault::OlderIsReset => observed == Some(held),
                    _ => observed.is_some_and(|observed| observed <= held),
                };
                if unchanged {
                    return Refresh::Unchanged;
                }
                self.set(*object, &cluster.key, Entry::ResetDue);
                Refresh::Reset
            }
        }
    }

    fn client(&self, object: &u32, cluster: &Cluster) -> impl Future<Output = Answer> {
        let note = || {
            if self.entry(*object, &cluster.key).is_none() {
                self.set(*object, &cluster.key, Entry::ResetDue);
            }
        };
        if self.fault == Fault::NotesTheCallBeforeItsFirstPoll {
            note();
        }
        async move {
            if self.fault == Fault::NotesTheCallBeforeItAsks {
                note();
            }
            let before = self.forgotten.lock().unwrap().len();
            let early = self.entry(*object, &cluster.key);
            let answer = self.ask(&cluster.key).await;
            let forgotten =
                self.forgotten.lock().unwrap()[before..].iter().any(|(forgotten_object, forgotten_cluster)| {
                    forgotten_object.is_none_or(|forgotten| forgotten == *object)
                        && forgotten_cluster.as_ref().is_none_or(|forgotten| *forgotten == cluster.key)
                });
            if forgotten && self.fault != Fault::LateAnswersStay {
                return Err(ClientError::Forgotten { cluster: cluster.key.clone() });
            }
            let entry = match self.fault {
                Fault::DecidesByAnEarlyEntry => early,
                _ => self.entry(*object, &cluster.key),
            };
            self.decide(*object, cluster, entry, answer)
        }
    }

    fn forget(&self, object: &u32) {
        self.note_forgotten(Some(*object), None);
        let mut entries = self.entries.lock().unwrap();
        match self.fault {
            Fault::ForgetsNothing => {}
            Fault::ForgetsEverything => entries.clear(),
            _ => entries.retain(|(other, _), _| other != object),
        }
    }

    fn retain(&self, object: &u32, keep: impl Fn(&NamespacedName) -> bool) {
        if self.fault == Fault::RetainsEverything {
            return;
        }
        let keep = |cluster: &_| self.fault != Fault::RetainsNothing && keep(cluster);
        if self.fault != Fault::LateAnswersStayWhereNotRetained {
            for cluster in self.clusters.iter().filter(|cluster| !keep(cluster)) {
                self.note_forgotten(Some(*object), Some(cluster.clone()));
            }
        }
        let concerned = |other: &u32| other == object || self.fault == Fault::RetainsForAllObjects;
        self.entries.lock().unwrap().retain(|(other, cluster), _| !concerned(other) || keep(cluster));
    }

    fn retain_objects(&self, keep: impl Fn(&u32) -> bool) {
        let fault = self.fault == Fault::RetainsEverything;
        self.entries.lock().unwrap().retain(|(object, _), _| fault || keep(object));
    }

    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.note_forgotten(None, Some(cluster.clone()));
        if self.fault != Fault::ForgetsOnlyObjects {
            self.entries.lock().unwrap().retain(|(_, other), _| other != cluster);
        }
    }

    fn remembered(&self) -> usize {
        let entries = self.entries.lock().unwrap();
        entries.keys().map(|(object, _)| object).collect::<std::collections::HashSet<_>>().len()
    }
}

struct Setup {
    provider_setup: FakeSetup,
    manager: Faulty,
}

fn setup(fault: Fault) -> Setup {
    let provider_setup = FakeSetup::default();
    let manager = Faulty {
        fault,
        provider: Gated::new(provider_setup.provider().clone()),
        entries: Mutex::default(),
        forgotten: Mutex::default(),
        clusters: provider_setup.clusters(),
        cache: Mutex::default(),
    };
    Setup { provider_setup, manager }
}

impl ManagerSetup for Setup {
    type Provider = FakeSetup;
    type Manager = Faulty;

    fn provider_setup(&self) -> &FakeSetup {
        &self.provider_setup
    }

    fn manager(&self) -> &Faulty {
        &self.manager
    }

    fn gate(&self) -> &Gate {
        self.manager.provider.gate()
    }

    fn objects(&self) -> [u32; 2] {
        [1, 2]
    }
}

/// The double obeys as long as it has no fault: what the laws find is the fault.
mod without_a_fault {
    use super::*;
    clientmgr_fake::__manager_laws! { setup(Fault::None), block_on, [], [] }
}

macro_rules! broken {
    ($($law:ident by $fault:ident says $message:literal;)+) => {
        broken_otherwise! { $($law is $law by $fault says $message;)+ }
    };
}

/// For a law that can be broken in several ways, which then have names of their own.
macro_rules! broken_otherwise {
    ($($test:ident is $law:ident by $fault:ident says $message:literal;)+) => {$(
        #[test]
        #[should_panic(expected = $message)]
        fn $test() {
            block_on(clientmgr_fake::laws::unstable::manager::$law(setup(Fault::$fault)));
        }
    )+};
}

mod broken {
    use super::*;

    broken! {
        a_client_uses_the_observed_connection by CachesTheConnection says "does not use the current";
        a_client_is_returned_again_while_its_connection_is_current by AlwaysNeedsRefresh says "no client was returned";
        every_call_asks_the_provider_once by AsksTwice says "questions to the provider";
        an_unknown_cluster_is_not_found by UnknownIsUnavailable says "is unknown, and the error is";
        a_provider_error_is_passed_on by HidesTheReason says "was passed on";
        a_cluster_object_of_another_connection_is_outdated by TakesAnyRevision says "a client was returned";
        a_cluster_object_without_a_revision_is_outdated by TakesNoRevision says "a client was returned";
        a_client_of_another_connection_needs_a_refresh_first by NeedsNoRefresh says "without a refresh";
        an_error_keeps_the_held_client by ErrorsDropWhatIsHeld says "the cluster object was outdated";
        a_call_is_decided_by_what_is_current_when_the_provider_answers by DecidesByAnEarlyAnswer says "a client was returned";
        a_call_is_decided_by_what_is_held_when_the_provider_answers by DecidesByAnEarlyEntry says "before another one failed";
        a_dropped_call_changes_nothing by NotesTheCallBeforeItAsks says "the only call was dropped";
        a_call_that_was_never_polled_changes_nothing by NotesTheCallBeforeItsFirstPoll says "never polled";
        an_object_without_requests_has_nothing_to_reset by AbsentIsReset says "never requested";
        the_held_client_is_unchanged_while_it_is_observed by HeldIsReset says "the client of this connection is held";
        a_replaced_connection_is_a_reset by ReplacedIsUnchanged says "of another connection";
        a_missing_revision_is_a_reset by NoneIsUnchanged says "no revision equals none";
        an_older_observation_resets_nothing by OlderIsReset says "older than the client held";
        a_reset_is_repeated_until_a_client_is_obtained by SaysResetOnce says "no client was obtained since";
        recovery_is_announced by ErrorsLeaveNothing says "the cluster recovered";
        a_first_connection_is_announced_after_an_early_request by ErrorsLeaveNothing says "without success";
        a_refresh_never_asks_the_provider by RefreshAsks says "a refresh asked the provider";
        objects_and_clusters_are_independent by OneEntryForAllClusters says "no client was returned";
        a_forgotten_object_leaves_no_trace by ForgetsNothing says "was forgotten";
        forgetting_an_object_keeps_the_others by ForgetsEverything says "one of two objects";
        a_forgotten_cluster_is_forgotten_for_all_objects by ForgetsOnlyObjects says "not forgotten";
        retaining_clusters_forgets_the_others by RetainsEverything says "the cluster was not retained";
        retaining_objects_forgets_the_others by RetainsEverything says "one object of two was retained";
        a_call_whose_object_is_forgotten_leaves_no_trace by LateAnswersStay says "a client was returned";
        a_call_whose_cluster_is_forgotten_leaves_no_trace by LateAnswersStay says "did not end as forgotten";
        a_call_on_a_cluster_that_is_not_retained_leaves_no_trace by LateAnswersStayWhereNotRetained says "did not end as forgotten";
        a_recreated_object_inherits_nothing by OneEntryForAllObjects says "what another one holds";
        between_two_resets_all_clients_are_of_one_revision by ReplacedIsUnchanged says "the object refreshed on";
        a_refresh_makes_the_next_client_succeed by ReplacedIsUnchanged says "no client was returned";
    }
}

mod broken_otherwise {
    use super::*;

    broken_otherwise! {
        a_source_made_into_text is a_provider_error_is_passed_on by MakesTextOfTheSource says "was not handed on";
        a_dropped_retry_hint is a_provider_error_is_passed_on by DropsTheRetryHint says "the retry hint is another";
        a_retain_of_nothing is retaining_clusters_forgets_the_others by RetainsNothing says "retained one cluster";
        // The core of the rules, broken as the simplest manager would: it returns the current client and remembers it.
        a_refresh_neither_said_nor_needed is between_two_resets_all_clients_are_of_one_revision by NeverResets says "two revisions, and no reset between them";
        a_retain_for_all_objects is retaining_clusters_forgets_the_others by RetainsForAllObjects says "the other object all it has";
    }
}
