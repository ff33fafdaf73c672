//! Random schedules of bound states: builds that take time, fail and are dropped, forgotten objects, discarded states.
//! After every step: never two states of one object on a cluster, none that outlives its reset, every teardown once.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use clientmgr_core::{BoundError, BoundState, BoundStates, ClientError, Revision};
use proptest::prelude::*;

use crate::common::{Client, Cluster, Fault, Provider, Reason, Rev, config, observed, pend, poll_now};

type Object = u8;
type Place = (Object, Cluster);

const OBJECTS: u8 = 2;
const CLUSTERS: u8 = 2;

#[derive(Clone, Copy, Debug)]
enum Op {
    Connect(Cluster),
    Fail(Cluster),
    /// A call starts with the cluster object of so many changes ago; the provider and the build each take so many polls.
    Start {
        at: Place,
        ago: usize,
        asking: usize,
        building: usize,
        fails: bool,
    },
    Poll(prop::sample::Index),
    Drop(prop::sample::Index),
    Discard(Place),
    Forget(Object),
    ForgetCluster(Cluster),
}

fn op() -> impl Strategy<Value = Op> {
    let place = (0..OBJECTS, 0..CLUSTERS);
    let index = any::<prop::sample::Index>;
    let ago = prop_oneof![4 => Just(0_usize), 1 => 1..3_usize];
    prop_oneof![
        3 => (0..CLUSTERS).prop_map(Op::Connect),
        1 => (0..CLUSTERS).prop_map(Op::Fail),
        8 => (place.clone(), ago, 0..2_usize, 0..3_usize, prop::bool::weighted(0.2))
            .prop_map(|(at, ago, asking, building, fails)| Op::Start { at, ago, asking, building, fails }),
        8 => index().prop_map(Op::Poll),
        1 => index().prop_map(Op::Drop),
        1 => place.prop_map(Op::Discard),
        1 => (0..OBJECTS).prop_map(Op::Forget),
        1 => (0..CLUSTERS).prop_map(Op::ForgetCluster),
    ]
}

/// Counts states that live: built and not torn down.
#[derive(Default)]
struct Census {
    living: Mutex<BTreeMap<Place, usize>>,
    builds_under_way: Mutex<BTreeMap<Place, usize>>,
    torn_down_twice: AtomicBool,
    forgotten_builds: AtomicUsize,
}

impl Census {
    fn living(&self, at: Place) -> usize {
        self.living.lock().unwrap().get(&at).copied().unwrap_or(0)
    }
}

struct State {
    at: Place,
    client: Client,
    torn_down: AtomicBool,
    census: Arc<Census>,
}

impl BoundState for State {
    fn teardown(&self) {
        if self.torn_down.swap(true, SeqCst) {
            self.census.torn_down_twice.store(true, SeqCst);
        }
        *self.census.living.lock().unwrap().get_mut(&self.at).unwrap() -= 1;
    }
}

/// A build under way; ends when it is done or dropped.
struct Building(Place, Arc<Census>);

impl Building {
    fn start(at: Place, census: &Arc<Census>) -> Self {
        *census.builds_under_way.lock().unwrap().entry(at).or_default() += 1;
        Self(at, Arc::clone(census))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        *self.1.builds_under_way.lock().unwrap().get_mut(&self.0).unwrap() -= 1;
    }
}

type Built = Result<Arc<State>, BoundError<Reason, Cluster, Rev>>;

struct Call {
    at: Place,
    observed: Option<Rev>,
    forgotten: bool,
    future: Pin<Box<dyn Future<Output = Built>>>,
}

struct World {
    states: Arc<BoundStates<Arc<Provider>, Object, State>>,
    census: Arc<Census>,
    revision: fn(u32) -> Rev,
    revisions: u32,
    versions: BTreeMap<Cluster, Vec<Option<Rev>>>,
    calls: Vec<Call>,
    handed_out: BTreeMap<Place, Arc<State>>,
}

impl World {
    fn new(revision: fn(u32) -> Rev) -> Self {
        Self {
            states: Arc::new(BoundStates::new(Arc::default())),
            census: Arc::default(),
            revision,
            revisions: 0,
            versions: (0..CLUSTERS).map(|cluster| (cluster, vec![None])).collect(),
            calls: Vec::new(),
            handed_out: BTreeMap::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Connect(cluster) => {
                self.revisions += 1;
                self.set(cluster, Ok((self.revision)(self.revisions)));
            }
            Op::Fail(cluster) => self.set(cluster, Err(Fault::Unavailable)),
            Op::Start { at, ago, asking, building, fails } => self.start(at, ago, asking, building, fails),
            Op::Poll(index) if !self.calls.is_empty() => self.poll(index.index(self.calls.len())),
            Op::Drop(index) if !self.calls.is_empty() => drop(self.calls.swap_remove(index.index(self.calls.len()))),
            Op::Poll(_) | Op::Drop(_) => {}
            Op::Discard(at) => self.discard(at),
            Op::Forget(object) => {
                self.states.forget(&object);
                self.forget(|(o, _)| o == object);
            }
            Op::ForgetCluster(cluster) => {
                self.states.forget_cluster(&cluster);
                self.forget(|(_, c)| c == cluster);
            }
        }
        self.check();
    }

    /// Discards the state that a caller was handed last, which may have a successor by now.
    fn discard(&self, at: Place) {
        let Some(state) = self.handed_out.get(&at) else { return };
        let stood = !state.torn_down.load(SeqCst);
        assert_eq!(self.states.discard(&at.0, &at.1, state), stood, "{at:?}");
    }

    fn set(&mut self, cluster: Cluster, current: Result<Rev, Fault>) {
        self.states.provider().set(cluster, current);
        self.versions.get_mut(&cluster).unwrap().push(current.ok());
    }

    fn start(&mut self, at: Place, ago: usize, asking: usize, building: usize, fails: bool) {
        let (object, cluster) = at;
        let versions = &self.versions[&cluster];
        let seen = observed(cluster, versions[versions.len().saturating_sub(ago + 1)]);
        let observed = seen.revision;
        let (states, census) = (Arc::clone(&self.states), Arc::clone(&self.census));
        let future = Box::pin(async move {
            states.provider().delay_next(asking);
            let build = |client| async move {
                let _under_way = Building::start(at, &census);
                assert_eq!(census.living(at), 0, "a state of {at:?} is built while another lives");
                pend(building).await;
                if fails {
                    return Err(Reason);
                }
                *census.living.lock().unwrap().entry(at).or_default() += 1;
                Ok(State { at, client, torn_down: AtomicBool::new(false), census: Arc::clone(&census) })
            };
            states.get_or_build(&object, &seen, build).await
        });
        self.calls.push(Call { at, observed, forgotten: false, future });
        self.poll(self.calls.len() - 1);
    }

    fn poll(&mut self, index: usize) {
        let Poll::Ready(built) = poll_now(&mut self.calls[index].future) else { return };
        let call = self.calls.swap_remove(index);
        match built {
            Ok(state) => {
                assert!(!call.forgotten, "{:?} was forgotten and got a state", call.at);
                assert!(!state.torn_down.load(SeqCst), "{:?} got a state that is torn down", call.at);
                self.handed_out.insert(call.at, Arc::clone(&state));
                let (cluster, revision) = state.client;
                assert_eq!(cluster, call.at.1);
                let observed = call.observed.expect("a state needs a connection");
                assert!(
                    observed == revision || observed.is_older_than(&revision),
                    "{:?} observed {observed:?} and got a state on {revision:?}",
                    call.at
                );
            }
            Err(BoundError::Client(ClientError::Forgotten { .. })) => {
                assert!(call.forgotten, "{:?} was not forgotten", call.at);
                self.census.forgotten_builds.fetch_add(1, SeqCst);
            }
            Err(BoundError::Client(ClientError::RefreshRequired { .. })) => {
                panic!("one step cannot be misused: {:?}", call.at)
            }
            Err(_) => {}
        }
    }

    fn forget(&mut self, concerned: impl Fn(Place) -> bool) {
        for call in &mut self.calls {
            call.forgotten |= concerned(call.at);
        }
    }

    fn check(&self) {
        assert!(!self.census.torn_down_twice.load(SeqCst), "a state was torn down twice");
        for (at, living) in self.census.living.lock().unwrap().iter() {
            assert!(*living <= 1, "{living} states of {at:?} live at once");
        }
        for (at, building) in self.census.builds_under_way.lock().unwrap().iter() {
            // A forgotten build may still be under way while a successor builds.
            let forgotten = self.calls.iter().filter(|call| call.at == *at && call.forgotten).count();
            assert!(*building <= 1 + forgotten, "{building} builds of {at:?} at once");
        }
    }

    fn finish(mut self) {
        // With a fresh cluster object and time, every object gets a state on the current connection.
        self.calls.clear();
        for cluster in 0..CLUSTERS {
            self.step(Op::Connect(cluster));
            for object in 0..OBJECTS {
                let before = self.census.living((object, cluster));
                assert!(before <= 1);
                self.start((object, cluster), 0, 0, 0, false);
                assert_eq!(self.census.living((object, cluster)), 1, "the state is current");
            }
        }
        for object in 0..OBJECTS {
            self.step(Op::Forget(object));
        }
        assert_eq!(self.states.objects(), 0);
        assert!(self.census.living.lock().unwrap().values().all(|living| *living == 0), "all states are torn down");
    }
}

fn run(revision: fn(u32) -> Rev, schedule: Vec<Op>) {
    let mut world = World::new(revision);
    for op in schedule {
        world.step(op);
    }
    world.finish();
}

proptest! {
    #![proptest_config(config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/regressions/bound_machine.txt")))]

    #[test]
    fn no_schedule_leaves_two_states_or_a_stale_one_where_revisions_are_ordered(
        schedule in prop::collection::vec(op(), 1..60),
    ) {
        run(Rev::Time, schedule);
    }

    #[test]
    fn no_schedule_leaves_two_states_or_a_stale_one_where_revisions_have_no_order(
        schedule in prop::collection::vec(op(), 1..60),
    ) {
        run(Rev::Hash, schedule);
    }
}
