//! Every law of bound states is broken by some map of them. As with managers, the double is written from the rules, apart
//! from the real one.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use clientmgr_core::{
    BoundError, BoundState, Cause, ClientError, ClientProvider, ConnectedAt, NamespacedName, ObservedCluster,
    ProviderError,
};
use clientmgr_fake::laws::unstable::{BoundSetup, Probe, States};
use clientmgr_fake::laws::{FakeSetup, ProviderSetup};
use clientmgr_fake::{FakeClientProvider, Gate, Gated};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{Either, select};
use futures::lock::Mutex as AsyncMutex;
use futures::task::AtomicWaker;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    AlwaysAsks,
    OlderTearsDown,
    BuildsBesideTheOld,
    TearsDownOnlyForAClient,
    HidesTheReason,
    MakesTextOfTheSource,
    DropsTheRetryHint,
    TakesAnyRevision,
    DecidesByAnEarlyAnswer,
    CachesTheClient,
    OneSlotForAllClusters,
    NoTurns,
    OneTurnForAll,
    BusyMarkOutlivesTheCall,
    LeavesAnEmptySlot,
    ForgetsWithoutTeardown,
    RetainsWithoutTeardown,
    RetainsNothing,
    RetainsForAllObjects,
    LateBuildsStand,
    LateBuildsStandWhereNotRetained,
    DiscardsNothing,
    DropsWithoutTeardown,
    BuildsBeforeTheEnd,
    ForgetsTheEnd,
    RetainsAllObjects,
}

/// An object on a cluster.
type Pair = (u32, NamespacedName);

type Cluster = ObservedCluster<NamespacedName, ConnectedAt>;

#[derive(Default)]
struct Slot {
    turn: AsyncMutex<()>,
    woken: AtomicWaker,
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    /// What the state was built on, or the client obtained for it.
    held: Option<ConnectedAt>,
    state: Option<Arc<Probe>>,
    /// A call ended without a client.
    failing: bool,
    forgotten: bool,
    busy: bool,
}

impl Slot {
    fn forget(&self) {
        self.place.lock().unwrap().forgotten = true;
        self.woken.wake();
    }

    async fn until_forgotten(&self) {
        poll_fn(|context| {
            self.woken.register(context.waker());
            if self.place.lock().unwrap().forgotten { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn is_empty(&self) -> bool {
        let place = self.place.lock().unwrap();
        place.held.is_none() && !place.failing
    }
}

struct Faulty {
    fault: Fault,
    provider: Gated<FakeClientProvider<u32>>,
    slots: Mutex<HashMap<Pair, Arc<Slot>>>,
    /// States that were torn down and may not have ended.
    ending: Mutex<Vec<(Pair, Arc<Probe>)>>,
    turn_of_all: AsyncMutex<()>,
    cached: Mutex<Option<u32>>,
}

impl Faulty {
    fn visit(&self, object: u32, cluster: &NamespacedName) -> Visit<'_> {
        let key = match self.fault {
            Fault::OneSlotForAllClusters => NamespacedName::cluster_scoped("any"),
            _ => cluster.clone(),
        };
        let key = (object, key);
        let slot = Arc::clone(self.slots.lock().unwrap().entry(key.clone()).or_default());
        Visit { states: self, key, slot }
    }

    fn tear_down(&self, pair: &Pair, slot: &Slot) {
        let state = slot.place.lock().unwrap().state.take();
        if let Some(state) = state {
            state.teardown();
            self.ending.lock().unwrap().push((pair.clone(), state));
        }
    }

    /// Waits for the states of `pair` that were torn down. False where it was forgotten meanwhile.
    async fn ended(&self, pair: &Pair, slot: &Slot) -> bool {
        loop {
            let ending = self.ending.lock().unwrap().iter().find(|(other, _)| other == pair).cloned();
            let Some((_, state)) = ending else { return true };
            if self.fault != Fault::BuildsBeforeTheEnd {
                let ended = std::pin::pin!(state.ended().fuse());
                let forgotten = std::pin::pin!(slot.until_forgotten().fuse());
                if let Either::Right(_) = select(ended, forgotten).await {
                    return false;
                }
            }
            self.ending.lock().unwrap().retain(|(_, other)| !Arc::ptr_eq(other, &state));
        }
    }

    async fn client(&self, cluster: &Cluster, slot: &Slot) -> Result<u32, ClientError> {
        let key = cluster.key.clone();
        let early = self.provider.provider().connection(&key).await;
        let mut answer = self.provider.connection(&key).await;
        if self.fault == Fault::DecidesByAnEarlyAnswer {
            answer = early;
        }
        let mut place = slot.place.lock().unwrap();
        if place.forgotten && self.fault != Fault::LateBuildsStand {
            return Err(ClientError::Forgotten { cluster: key });
        }
        place.failing = true;
        let connection = answer.map_err(|error| self.hand_on(error, key.clone()))?;
        let any = self.fault == Fault::TakesAnyRevision && cluster.revision.is_some();
        if cluster.revision != Some(connection.revision) && !any {
            let (observed, current) = (cluster.revision, connection.revision);
            return Err(ClientError::ClusterOutdated { cluster: key, observed, current });
        }
        place.held = Some(connection.revision);
        let cached = *self.cached.lock().unwrap().get_or_insert(connection.client);
        Ok(if self.fault == Fault::CachesTheClient { cached } else { connection.client })
    }

    fn hand_on(&self, error: ProviderError, cluster: NamespacedName) -> ClientError {
        match error {
            ProviderError::NotFound if self.fault != Fault::HidesTheReason => ClientError::NotFound { cluster },
            ProviderError::Unavailable { source, retry_after } => {
                let source = match self.fault {
                    Fault::MakesTextOfTheSource => Cause::new(source.to_string()),
                    _ => source,
                };
                let retry_after = retry_after.filter(|_| self.fault != Fault::DropsTheRetryHint);
                ClientError::Unavailable { cluster, source, retry_after }
            }
            error => ClientError::Unavailable { cluster, source: Cause::new(error), retry_after: None },
        }
    }

    fn take_slots(&self, taken: impl Fn(u32, &NamespacedName) -> bool) -> Vec<(Pair, Arc<Slot>)> {
        let mut slots = self.slots.lock().unwrap();
        slots.extract_if(|(object, cluster), _| taken(*object, cluster)).collect()
    }

    fn forget_slots(&self, forgotten: impl Fn(u32, &NamespacedName) -> bool) {
        for (pair, slot) in self.take_slots(forgotten) {
            slot.forget();
            if self.fault != Fault::ForgetsWithoutTeardown {
                self.tear_down(&pair, &slot);
            }
            if self.fault == Fault::ForgetsTheEnd {
                self.ending.lock().unwrap().clear();
            }
        }
    }
}

/// A call that uses a slot, and takes it away where it leaves it empty.
struct Visit<'a> {
    states: &'a Faulty,
    key: (u32, NamespacedName),
    slot: Arc<Slot>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // A busy mark that outlives its call needs a slot that does.
        if matches!(self.states.fault, Fault::LeavesAnEmptySlot | Fault::BusyMarkOutlivesTheCall) {
            return;
        }
        let mut slots = self.states.slots.lock().unwrap();
        let is_last = Arc::strong_count(&self.slot) == 2 && slots.get(&self.key).is_some();
        if is_last && self.slot.is_empty() {
            slots.remove(&self.key);
        }
    }
}

impl States<Probe> for Faulty {
    type Object = u32;
    type Client = u32;
    type Key = NamespacedName;
    type Revision = ConnectedAt;

    async fn get_or_build<E, F>(
        &self,
        object: &u32,
        cluster: &Cluster,
        build: impl FnOnce(u32) -> F,
    ) -> Result<Arc<Probe>, BoundError<E>>
    where
        F: Future<Output = Result<Probe, E>>,
    {
        let visit = self.visit(*object, &cluster.key);
        let slot = &visit.slot;
        let forgotten = || ClientError::Forgotten { cluster: cluster.key.clone() };
        let _turn = match self.fault {
            Fault::NoTurns => None,
            Fault::OneTurnForAll => Some(self.turn_of_all.lock().await),
            _ => Some(slot.turn.lock().await),
        };
        if self.fault == Fault::AlwaysAsks {
            let _ = self.provider.connection(&cluster.key).await;
        }
        {
            let mut place = slot.place.lock().unwrap();
            if place.busy && self.fault == Fault::BusyMarkOutlivesTheCall {
                return Err(forgotten().into());
            }
            let is_current = match (place.held, cluster.revision) {
                (Some(held), Some(observed)) if self.fault == Fault::OlderTearsDown => observed == held,
                (Some(held), Some(observed)) => observed <= held,
                _ => false,
            };
            if let Some(state) = place.state.as_ref().filter(|_| is_current) {
                return Ok(Arc::clone(state));
            }
            place.busy = true;
        }
        let early = !matches!(self.fault, Fault::BuildsBesideTheOld | Fault::TearsDownOnlyForAClient);
        if early {
            self.tear_down(&visit.key, slot);
        }
        if !self.ended(&visit.key, slot).await {
            return Err(forgotten().into());
        }
        let client = self.client(cluster, slot).await;
        if client.is_ok() && self.fault != Fault::BuildsBesideTheOld {
            self.tear_down(&visit.key, slot);
        }
        let built = match client {
            Ok(client) => build(client).await.map_err(BoundError::Build),
            Err(error) => Err(error.into()),
        };
        slot.place.lock().unwrap().busy = false;
        let built = Arc::new(built?);
        if self.fault == Fault::BuildsBesideTheOld {
            self.tear_down(&visit.key, slot);
        }
        let mut place = slot.place.lock().unwrap();
        if place.forgotten && self.fault != Fault::LateBuildsStand {
            drop(place);
            built.teardown();
            return Err(forgotten().into());
        }
        place.state = Some(Arc::clone(&built));
        Ok(built)
    }

    fn discard(&self, object: &u32, cluster: &NamespacedName, broken: &Arc<Probe>) -> bool {
        let visit = self.visit(*object, cluster);
        let slot = &visit.slot;
        let is_current = slot.place.lock().unwrap().state.as_ref().is_some_and(|state| Arc::ptr_eq(state, broken));
        if is_current && self.fault != Fault::DiscardsNothing {
            self.tear_down(&visit.key, slot);
        }
        is_current
    }

    fn forget(&self, object: &u32) {
        self.forget_slots(|other, _| other == *object);
    }

    fn retain(&self, object: &u32, keep: impl Fn(&NamespacedName) -> bool) {
        let is_let_go = |other, cluster: &_| {
            (other == *object || self.fault == Fault::RetainsForAllObjects)
                && (self.fault == Fault::RetainsNothing || !keep(cluster))
        };
        for (pair, slot) in self.take_slots(is_let_go) {
            if self.fault != Fault::LateBuildsStandWhereNotRetained {
                slot.forget();
            }
            if self.fault != Fault::RetainsWithoutTeardown {
                self.tear_down(&pair, &slot);
            }
        }
    }

    fn retain_objects(&self, keep: impl Fn(&u32) -> bool) {
        self.forget_slots(|object, _| self.fault != Fault::RetainsAllObjects && !keep(&object));
    }

    fn forget_cluster(&self, cluster: &NamespacedName) {
        self.forget_slots(|_, other| other == cluster);
    }

    fn remembered(&self) -> usize {
        self.slots.lock().unwrap().keys().map(|(object, _)| *object).collect::<HashSet<_>>().len()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        if self.fault != Fault::DropsWithoutTeardown {
            self.forget_slots(|_, _| true);
        }
    }
}

struct Setup {
    provider_setup: FakeSetup,
    states: Faulty,
}

fn setup(fault: Fault) -> Setup {
    let provider_setup = FakeSetup::default();
    let states = Faulty {
        fault,
        provider: Gated::new(provider_setup.provider().clone()),
        slots: Mutex::default(),
        ending: Mutex::default(),
        turn_of_all: AsyncMutex::default(),
        cached: Mutex::default(),
    };
    Setup { provider_setup, states }
}

impl BoundSetup for Setup {
    type Provider = FakeSetup;
    type States = Faulty;

    fn provider_setup(&self) -> &FakeSetup {
        &self.provider_setup
    }

    fn states(&self) -> &Faulty {
        &self.states
    }

    fn gate(&self) -> &Gate {
        self.states.provider.gate()
    }

    fn objects(&self) -> [u32; 2] {
        [1, 2]
    }
}

/// The double obeys as long as it has no fault: what the laws find is the fault.
mod without_a_fault {
    use super::*;
    clientmgr_fake::__bound_laws! { setup(Fault::None), block_on, [], [] }
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
            block_on(clientmgr_fake::laws::unstable::bound::$law(setup(Fault::$fault)));
        }
    )+};
}

mod broken {
    use super::*;

    broken! {
        a_current_state_is_returned_without_asking_the_provider by AlwaysAsks says "the provider was asked";
        an_older_observation_tears_nothing_down by OlderTearsDown says "the current state was not returned";
        the_old_state_is_torn_down_before_the_next_is_built by BuildsBesideTheOld says "the old state is current";
        the_next_state_is_built_after_the_old_one_has_ended by BuildsBeforeTheEnd says "has not ended, and the next was built";
        a_state_whose_connection_is_gone_is_torn_down by TearsDownOnlyForAClient says "no longer names a connection";
        a_provider_error_is_passed_on by HidesTheReason says "is not known, and the result is";
        a_state_is_built_on_the_observed_connection by CachesTheClient says "a client of another connection";
        an_outdated_cluster_object_builds_nothing by TakesAnyRevision says "is outdated, and the result is";
        a_build_is_decided_by_what_is_current_when_the_provider_answers by DecidesByAnEarlyAnswer says "is outdated, and the result is";
        objects_and_clusters_are_independent by OneSlotForAllClusters says "a state of its own";
        one_build_runs_at_a_time by NoTurns says "beside the first";
        a_dropped_build_leaves_nothing by BusyMarkOutlivesTheCall says "but there is a state";
        a_call_dropped_while_the_provider_is_asked_leaves_nothing by LeavesAnEmptySlot says "the object is remembered";
        a_call_that_waited_for_a_dropped_build_builds by BusyMarkOutlivesTheCall says "built nothing";
        a_failed_build_leaves_no_state by BuildsBesideTheOld says "could not be built";
        forgetting_an_object_tears_down_its_states by ForgetsWithoutTeardown says "one object of two";
        a_forgotten_state_ends_before_the_next_is_built by ForgetsTheEnd says "has not ended, and another was built";
        retaining_objects_tears_down_the_states_of_the_others by RetainsAllObjects says "one object of two was retained";
        forgetting_a_cluster_tears_down_the_states_on_it by ForgetsWithoutTeardown says "one cluster of two";
        retaining_clusters_tears_down_the_states_on_the_others by RetainsWithoutTeardown says "retained one cluster of two";
        a_build_whose_object_is_forgotten_is_torn_down by LateBuildsStand says "forgotten under way";
        a_build_whose_cluster_is_forgotten_is_torn_down by LateBuildsStand says "forgotten under way";
        a_build_on_a_cluster_that_is_not_retained_is_torn_down by LateBuildsStandWhereNotRetained says "forgotten under way";
        a_discarded_state_is_torn_down_and_built_again by DiscardsNothing says "was discarded";
        dropping_the_map_tears_down_all_states by DropsWithoutTeardown says "after their map was dropped";
    }

    /// Where breaking a rule means to wait for ever, the law waits too.
    #[test]
    fn a_hanging_build_delays_no_other() {
        let law =
            |fault| clientmgr_fake::laws::unstable::bound::a_hanging_build_delays_no_other(setup(fault)).now_or_never();
        assert_eq!(law(Fault::None), Some(()));
        assert_eq!(law(Fault::OneTurnForAll), None);
    }
}

mod broken_otherwise {
    use super::*;

    broken_otherwise! {
        a_source_made_into_text is a_provider_error_is_passed_on by MakesTextOfTheSource says "was not handed on";
        a_dropped_retry_hint is a_provider_error_is_passed_on by DropsTheRetryHint says "the retry hint is another";
        any_revision_after_the_await is a_build_is_decided_by_what_is_current_when_the_provider_answers by TakesAnyRevision says "is outdated, and the result is";
        a_retain_of_nothing is retaining_clusters_tears_down_the_states_on_the_others by RetainsNothing says "retained one cluster of two";
        a_retain_for_all_objects is retaining_clusters_tears_down_the_states_on_the_others by RetainsForAllObjects says "retained one cluster of two";
    }
}
