//! State bound to a client: the one-step form of `refresh` and `client`, which cannot be misused.
//!
//! The rules are those of the manager. The entry is stored beside its state, in one slot. What must not live here: tasks
//! and timers. What a state runs in the background, its builder starts and its teardown stops.

mod error;
mod shard;
mod slot;
mod state;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::cluster::ClusterObject;
use crate::error::ClientError;
use crate::key::Key;
use crate::manager::{conclude, conclude_failure};
use crate::provider::ClientProvider;
use crate::rules;
use crate::sharded::{Sharded, Shards};

pub use self::error::BoundError;
use self::shard::Shard;
use self::slot::{Current, Slot};
pub use self::state::BoundState;

/// States that belong to an object and a cluster, each built on one client.
///
/// [`get_or_build`](Self::get_or_build) is all that a reconcile needs: it returns the current state while it is right, and
/// otherwise tears it down, waits until it has ended, and builds a new one on the current client.
///
/// Keep one map for each kind of state. Each map has entries of its own, so several maps over one provider do not disturb
/// each other, nor a [`ClientManager`](crate::ClientManager) beside them. Dropping the map tears down all its states.
///
/// # Example
///
/// ```
/// # use clientmgr_core::{
/// #     BoundState, BoundError, BoundStates, ClientProvider, ConnectedAt, NamespacedName, ObservedCluster,
/// # };
/// # struct Watch(String);
/// # impl BoundState for Watch { fn teardown(&self) {} }
/// # impl Watch { async fn start(client: String) -> Result<Self, std::io::Error> { Ok(Watch(client)) } }
/// async fn reconcile<P>(
///     watches: &BoundStates<P, u32, Watch>,
///     object: u32,
///     cluster: &ObservedCluster,
/// ) -> Result<(), BoundError<std::io::Error>>
/// where
///     P: ClientProvider<Client = String, Key = NamespacedName, Revision = ConnectedAt>,
/// {
///     let watch = watches.get_or_build(&object, cluster, Watch::start).await?;
///     // `watch` runs on the connection that `cluster` names.
/// #   let _ = watch;
///     Ok(())
/// }
/// ```
pub struct BoundStates<P: ClientProvider, O: Key, S: BoundState> {
    provider: P,
    shards: Sharded<Shard<O, P::Key, P::Revision, S>>,
}

impl<P: ClientProvider, O: Key, S: BoundState> BoundStates<P, O, S> {
    /// Returns a map without states, whose clients come from `provider`.
    pub fn new(provider: P) -> Self {
        Self { provider, shards: Sharded::new(Shards::Few) }
    }

    /// Returns the provider.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// Returns how many objects are remembered: those that requested a state and were not forgotten.
    pub fn objects(&self) -> usize {
        let mut objects = 0;
        self.shards.with_each(|shard| objects += shard.len());
        objects
    }

    /// Returns the state of `object` on `cluster`: the current one while it is right, else a new one that `build` makes on
    /// the current client.
    ///
    /// The current state is right while the cluster object names the connection that it was built on, or is known to be
    /// older. Then the provider is not asked. Otherwise the state is torn down, then its [end](BoundState::ended) is
    /// awaited, then a client is requested, then the new state is built. So there are never two.
    ///
    /// One build runs at a time for an object on a cluster: further calls wait for it and share its state. Other objects,
    /// and other clusters of the same object, do not wait. A build has no deadline of its own; give it one. It must not
    /// request the state that it builds, since it would wait for itself.
    ///
    /// `Ok` means that the state is built on the right connection, not that the cluster answers. The handle may be cloned,
    /// and is of no use after the teardown.
    ///
    /// # Errors
    ///
    /// - [`BoundError::Client`]: there is no client to build on. Its [`next_step`](crate::ClientError::next_step) says what
    ///   to do. It is never [`RefreshRequired`](crate::ClientError::RefreshRequired).
    /// - [`BoundError::Build`]: `build` failed. There is no state, and the next call builds again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future at any await drops an unfinished build and leaves nothing half-built. A state that was torn down
    /// stays so, and the next call still waits for its end.
    pub async fn get_or_build<E, F>(
        &self,
        object: &O,
        cluster: &(impl ClusterObject<Key = P::Key, Revision = P::Revision> + ?Sized),
        build: impl FnOnce(P::Client) -> F,
    ) -> Result<Arc<S>, BoundError<E, P::Key, P::Revision>>
    where
        F: Future<Output = Result<S, E>>,
    {
        let key = &*cluster.key();
        let observed = cluster.revision();
        let observed = observed.as_ref();

        let visit = self.visit(object, key);
        let slot = visit.slot();
        let forgotten = || ClientError::Forgotten { cluster: key.clone() };
        let _turn = slot.turn().await.ok_or_else(forgotten)?;
        match slot.refresh(observed) {
            Current::State(state) => return Ok(state),
            Current::Nothing => {}
            Current::Forgotten => return Err(forgotten().into()),
        }
        // Before the provider is asked, so that its answer is current when the build starts.
        slot.ended().await.ok_or_else(forgotten)?;
        let client = match self.provider.connection(key).await {
            Ok(connection) => {
                let admission = slot.decide(|entry| rules::admit(entry, observed, &connection.revision));
                conclude(admission, key, observed, connection)?
            }
            Err(error) => {
                let settled = slot.decide(|entry| (rules::after_failure(entry), ()));
                return Err(conclude_failure(settled, key, error).into());
            }
        };
        let state = build(client).await.map_err(BoundError::Build)?;
        slot.install(state).ok_or_else(|| forgotten().into())
    }

    /// Tears down `broken`, if it is the current state of `object` on `cluster`, so that the next
    /// [`get_or_build`](Self::get_or_build) builds a new one. Call it for a state that broke by itself.
    ///
    /// Returns whether it was the current state. If it was replaced meanwhile, its successor stays. If another call of
    /// `get_or_build` is running, the teardown comes after it, before the next build.
    pub fn discard(&self, object: &O, cluster: &P::Key, broken: &Arc<S>) -> bool {
        let slot = self.shards.with(object, |shard| shard.slot(object, cluster));
        slot.is_some_and(|slot| Visit::to(self, object, slot).slot().discard(broken))
    }

    /// Forgets `object` on all clusters that `keep` returns false for, and tears down its states there. Call it when an
    /// object may name other clusters than before.
    pub fn retain(&self, object: &O, keep: impl Fn(&P::Key) -> bool) {
        let all = self.shards.with(object, |shard| shard.slots(object));
        let all: Vec<_> = all.into_iter().map(|(cluster, slot)| (cluster, Visit::to(self, object, slot))).collect();
        let dropped: Vec<_> = all.iter().filter(|(cluster, _)| !keep(cluster)).collect();
        let torn_down = each(dropped, |(_, visit)| visit.slot().forget());
        drop(all);
        resume(torn_down);
        self.drop_ended();
    }

    /// Forgets `object` and tears down its states on all clusters. Call it when the object is deleted.
    ///
    /// Does not wait for the [end](BoundState::ended) of a state. If the object requests a state again, that build waits.
    ///
    /// A waiting call ends in [`ClientError::Forgotten`](crate::ClientError::Forgotten). So does a call whose build is
    /// running, when the build completes, and its state is torn down: a build cannot be stopped from outside. If the object
    /// is back by then, its new build may run beside that one.
    pub fn forget(&self, object: &O) {
        self.retain(object, |_| false);
    }

    /// Forgets `cluster` and tears down the states of all objects on it. Call it when the cluster is gone for good. Visits
    /// every object.
    pub fn forget_cluster(&self, cluster: &P::Key) {
        let mut dropped = Vec::new();
        self.shards.with_each(|shard| dropped.extend(shard.slots_on(cluster)));
        let torn_down = each(dropped, |slot| slot.forget());
        self.shards.with_each(Shard::sweep);
        resume(torn_down);
        self.drop_ended();
    }

    /// Forgets every object that `keep` returns false for and tears down its states, for example those that a list no
    /// longer contains.
    ///
    /// `keep` runs without a lock. An object that asks for its first state meanwhile is kept.
    pub fn retain_objects(&self, keep: impl Fn(&O) -> bool) {
        let mut dropped = Vec::new();
        self.shards.with_each(|shard| dropped.extend(shard.objects().cloned()));
        dropped.retain(|object| !keep(object));
        resume(each(dropped, |object| self.forget(&object)));
    }

    /// Returns the slot of `object` on `cluster`, which is created where there is none.
    fn visit<'a>(&'a self, object: &'a O, cluster: &P::Key) -> Visit<'a, P, O, S> {
        let slot = self.shards.with(object, |shard| shard.slot_or_new(object, cluster));
        Visit::to(self, object, slot)
    }

    /// Drops the forgotten states that have ended since.
    fn drop_ended(&self) {
        let mut ending = Vec::new();
        self.shards.with_each(|shard| ending.extend(shard.ending()));
        ending.retain(slot::has_ended);
        if !ending.is_empty() {
            self.shards.with_each(|shard| shard.drop_ended(&ending));
        }
    }
}

/// A call that uses a slot. When it ends, a slot that is over or was never used is removed from the map.
struct Visit<'a, P: ClientProvider, O: Key, S: BoundState> {
    states: &'a BoundStates<P, O, S>,
    object: &'a O,
    /// Taken when dropped.
    slot: Option<Arc<Slot<P::Revision, S>>>,
}

impl<'a, P: ClientProvider, O: Key, S: BoundState> Visit<'a, P, O, S> {
    fn to(states: &'a BoundStates<P, O, S>, object: &'a O, slot: Arc<Slot<P::Revision, S>>) -> Self {
        Self { states, object, slot: Some(slot) }
    }

    fn slot(&self) -> &Slot<P::Revision, S> {
        self.slot.as_deref().expect("only taken when dropped")
    }
}

impl<P: ClientProvider, O: Key, S: BoundState> Drop for Visit<'_, P, O, S> {
    fn drop(&mut self) {
        if self.slot().is_over() || !self.slot().is_touched() {
            self.states.shards.with(self.object, |shard| {
                // Under the lock, so that of two calls that end at once the second sees that it is the last.
                self.slot = None;
                shard.sweep_object(self.object);
            });
        }
    }
}

impl<P: ClientProvider, O: Key, S: BoundState> Drop for BoundStates<P, O, S> {
    fn drop(&mut self) {
        let mut left = Vec::new();
        self.shards.with_each(|shard| left.extend(shard.take_slots()));
        let torn_down = each(left, |slot| slot.forget());
        // A second panic during a panic would abort the process.
        if !std::thread::panicking() {
            resume(torn_down);
        }
    }
}

/// Tears down each, also after one of them panics. The first panic is the result.
fn each<T>(all: impl IntoIterator<Item = T>, mut tear_down: impl FnMut(T)) -> std::thread::Result<()> {
    let mut result = Ok(());
    for one in all {
        result = result.and(catch_unwind(AssertUnwindSafe(|| tear_down(one))));
    }
    result
}

/// Resumes a panic.
fn resume(torn_down: std::thread::Result<()>) {
    if let Err(panic) = torn_down {
        resume_unwind(panic);
    }
}

impl<P: ClientProvider, O: Key, S: BoundState> fmt::Debug for BoundStates<P, O, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundStates").field("objects", &self.objects()).finish_non_exhaustive()
    }
}
