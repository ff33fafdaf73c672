//! Random schedules of the manager against a naive oracle: several objects, clusters and requests at once, futures
//! polled in any order and dropped at any await. After every step the oracle's word and S1 to S6 are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use clientmgr_core::{ClientError, ClientManager, ObservedCluster, Refresh, Revision};
use proptest::prelude::*;

use crate::common::{Client, Cluster, Fault, Provider, Rev, config, observed, poll_now};

const OBJECTS: u8 = 3;
const CLUSTERS: u8 = 2;

type Object = u8;
type Answer = Result<Client, ClientError<Cluster, Rev>>;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// The provider has a new connection.
    Connect(Cluster),
    /// The provider has none.
    Fail(Cluster, Fault),
    Refresh(Object, Cluster, View),
    /// A request starts, is polled once, and waits for as many further polls.
    Start(Object, Cluster, View, usize),
    Poll(prop::sample::Index),
    Drop(prop::sample::Index),
    Forget(Object),
    ForgetCluster(Cluster),
    /// A whole reconcile with a fresh cluster object: S3.
    Reconcile(Object, Cluster),
}

/// Which version of the cluster object the caller has: so many changes ago.
#[derive(Clone, Copy, Debug)]
struct View(usize);

fn op() -> impl Strategy<Value = Op> {
    let object = 0..OBJECTS;
    let cluster = 0..CLUSTERS;
    let view = prop_oneof![4 => Just(View(0)), 2 => (1..4_usize).prop_map(View)];
    let fault = prop_oneof![Just(Fault::NotFound), Just(Fault::Unavailable), Just(Fault::Incompatible)];
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => cluster.clone().prop_map(Op::Connect),
        1 => (cluster.clone(), fault).prop_map(|(cluster, fault)| Op::Fail(cluster, fault)),
        5 => (object.clone(), cluster.clone(), view.clone()).prop_map(|(o, c, view)| Op::Refresh(o, c, view)),
        6 => (object.clone(), cluster.clone(), view, 0..3_usize).prop_map(|(o, c, view, wait)| Op::Start(o, c, view, wait)),
        4 => index().prop_map(Op::Poll),
        1 => index().prop_map(Op::Drop),
        1 => object.clone().prop_map(Op::Forget),
        1 => cluster.clone().prop_map(Op::ForgetCluster),
        2 => (object, cluster).prop_map(|(o, c)| Op::Reconcile(o, c)),
    ]
}

/// What the oracle remembers of an object on a cluster. Deliberately not the code's own type.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The last client obtained since the last reset, if any.
    held: Option<Rev>,
    reset_due: bool,
}

/// What S1 and S4 are about, kept apart from the oracle: clients obtained and resets said, as a caller sees them.
#[derive(Clone, Debug, Default)]
struct History {
    obtained_since_reset: BTreeSet<String>,
    last_obtained: Option<Rev>,
    reset_said: bool,
    reset_must_be_said: bool,
}

struct Request {
    object: Object,
    cluster: Cluster,
    observed: Option<Rev>,
    forgotten: bool,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

struct World {
    clients: Arc<ClientManager<Arc<Provider>, Object>>,
    revision: fn(u32) -> Rev,
    revisions: u32,
    /// All versions of each cluster object, the latest last.
    versions: BTreeMap<Cluster, Vec<Option<Rev>>>,
    memory: BTreeMap<(Object, Cluster), Memory>,
    history: BTreeMap<(Object, Cluster), History>,
    requests: Vec<Request>,
}

impl World {
    fn new(revision: fn(u32) -> Rev) -> Self {
        Self {
            clients: Arc::new(ClientManager::new(Arc::default())),
            revision,
            revisions: 0,
            versions: (0..CLUSTERS).map(|cluster| (cluster, vec![None])).collect(),
            memory: BTreeMap::new(),
            history: BTreeMap::new(),
            requests: Vec::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Connect(cluster) => {
                self.revisions += 1;
                self.set(cluster, Ok((self.revision)(self.revisions)));
            }
            Op::Fail(cluster, fault) => self.set(cluster, Err(fault)),
            Op::Refresh(object, cluster, view) => {
                let seen = self.see(cluster, view);
                let _ = self.refresh(object, &seen);
            }
            Op::Start(object, cluster, view, wait) => self.start(object, cluster, view, wait),
            Op::Poll(index) if !self.requests.is_empty() => self.poll(index.index(self.requests.len())),
            Op::Drop(index) if !self.requests.is_empty() => {
                self.requests.swap_remove(index.index(self.requests.len()));
            }
            Op::Poll(_) | Op::Drop(_) => {}
            Op::Forget(object) => {
                self.clients.forget(&object);
                self.forget(|(o, _)| o == object);
            }
            Op::ForgetCluster(cluster) => {
                self.clients.forget_cluster(&cluster);
                self.forget(|(_, c)| c == cluster);
            }
            Op::Reconcile(object, cluster) => self.reconcile(object, cluster),
        }
        self.check_what_is_remembered();
    }

    fn set(&mut self, cluster: Cluster, current: Result<Rev, Fault>) {
        self.clients.provider().set(cluster, current);
        self.versions.get_mut(&cluster).unwrap().push(current.ok());
    }

    fn see(&self, cluster: Cluster, View(ago): View) -> ObservedCluster<Cluster, Rev> {
        let versions = &self.versions[&cluster];
        observed(cluster, versions[versions.len().saturating_sub(ago + 1)])
    }

    fn refresh(&mut self, object: Object, seen: &ObservedCluster<Cluster, Rev>) -> Refresh {
        let said = self.clients.refresh(&object, seen);
        let at = (object, seen.key);

        // The oracle: a reset that is due is due; else what is held must be what is seen, or younger.
        let expected = self.memory.get_mut(&at).is_some_and(|memory| {
            let outlived = memory
                .held
                .is_some_and(|held| seen.revision.is_none_or(|seen| seen != held && !seen.is_older_than(&held)));
            memory.reset_due |= outlived;
            memory.reset_due
        });
        assert_eq!(said.is_reset(), expected, "refresh of {at:?} seeing {:?}", seen.revision);

        let history = self.history.entry(at).or_default();
        assert!(said.is_reset() || !history.reset_must_be_said, "S4: a reset that is due is said by every refresh");
        if said.is_reset() {
            history.obtained_since_reset.clear();
            history.reset_said = true;
            history.reset_must_be_said = true;
        }
        said
    }

    fn start(&mut self, object: Object, cluster: Cluster, view: View, wait: usize) {
        let seen = self.see(cluster, view);
        let clients = Arc::clone(&self.clients);
        self.clients.provider().delay_next(wait);
        let observed = seen.revision;
        let future = Box::pin(async move { clients.client(&object, &seen).await });
        self.requests.push(Request { object, cluster, observed, forgotten: false, future });
        self.poll(self.requests.len() - 1);
    }

    fn poll(&mut self, index: usize) {
        if let Poll::Ready(answer) = poll_now(&mut self.requests[index].future) {
            let request = self.requests.swap_remove(index);
            self.answered(&request, answer);
        }
    }

    /// Holds an answer against the oracle.
    fn answered(&mut self, request: &Request, answer: Answer) {
        let at = (request.object, request.cluster);
        if request.forgotten {
            assert!(matches!(answer, Err(ClientError::Forgotten { .. })), "{at:?} was forgotten, yet: {answer:?}");
            return;
        }
        let current = self.clients.provider().current(request.cluster);
        let known = self.memory.contains_key(&at);
        let memory = self.memory.entry(at).or_default();
        match (current, answer) {
            (Err(fault), Err(error)) => {
                let handed_on = match error {
                    ClientError::NotFound { .. } => Fault::NotFound,
                    ClientError::Unavailable { .. } => Fault::Unavailable,
                    ClientError::Incompatible { .. } => Fault::Incompatible,
                    other => panic!("{at:?}: the provider said {fault:?}, the manager {other:?}"),
                };
                assert_eq!(handed_on, fault);
                memory.reset_due |= !known;
                self.history.entry(at).or_default().reset_must_be_said |= !known;
            }
            (Ok(current), Err(ClientError::ClusterOutdated { .. })) => {
                assert_ne!(request.observed, Some(current), "{at:?} got ClusterOutdated, and was current");
                memory.reset_due |= !known;
                self.history.entry(at).or_default().reset_must_be_said |= !known;
            }
            (Ok(current), Err(ClientError::RefreshRequired { held, .. })) => {
                assert_eq!(request.observed, Some(current));
                assert_eq!((memory.held, memory.reset_due), (Some(held), false), "{at:?} needed no refresh");
                assert_ne!(held, current);
            }
            (Ok(current), Ok(client)) => {
                assert_eq!(client, (request.cluster, current), "{at:?} got another client than the current one");
                assert_eq!(request.observed, Some(current), "S2: {at:?} got what it did not observe");
                assert!(memory.reset_due || memory.held.is_none_or(|held| held == current), "{at:?} was let through");
                *memory = Memory { held: Some(current), reset_due: false };
                self.obtained(at, current);
            }
            (current, answer) => panic!("{at:?}: the provider said {current:?}, the manager {answer:?}"),
        }
    }

    fn obtained(&mut self, at: (Object, Cluster), revision: Rev) {
        let history = self.history.entry(at).or_default();
        history.obtained_since_reset.insert(format!("{revision:?}"));
        assert_eq!(history.obtained_since_reset.len(), 1, "S1: {at:?} obtained two revisions between two resets");
        let changed = history.last_obtained.is_some_and(|last| last != revision);
        assert!(!changed || history.reset_said, "S4: {at:?} changed its revision, and no reset was said");
        history.last_obtained = Some(revision);
        history.reset_said = false;
        history.reset_must_be_said = false;
    }

    fn forget(&mut self, concerned: impl Fn((Object, Cluster)) -> bool) {
        self.memory.retain(|at, _| !concerned(*at));
        self.history.retain(|at, _| !concerned(*at));
        for request in &mut self.requests {
            request.forgotten |= concerned((request.object, request.cluster));
        }
    }

    /// S3: with a cluster object that names the current connection, refresh and then client succeeds.
    fn reconcile(&mut self, object: Object, cluster: Cluster) {
        let seen = self.see(cluster, View(0));
        let _ = self.refresh(object, &seen);
        let current = self.clients.provider().current(cluster);
        let before = self.requests.len();
        self.start(object, cluster, View(0), 0);
        assert_eq!(self.requests.len(), before, "no request waits for a provider that answers at once");
        let held = self.memory.get(&(object, cluster)).and_then(|memory| memory.held);
        assert!(current.is_err() || held == current.ok(), "S3: {object} on {cluster} did not get its client");
    }

    /// S5 and S6: what is remembered is what the oracle remembers and the requests that wait, and nothing else.
    fn check_what_is_remembered(&self) {
        let waiting = self.requests.iter().filter(|request| !request.forgotten).map(|request| request.object);
        let objects: BTreeSet<_> = self.memory.keys().map(|(object, _)| *object).chain(waiting).collect();
        assert_eq!(self.clients.objects(), objects.len(), "objects remembered: {objects:?}");
    }

    fn finish(mut self) {
        for object in 0..OBJECTS {
            for cluster in 0..CLUSTERS {
                self.reconcile(object, cluster);
            }
        }
        self.requests.clear();
        self.check_what_is_remembered();
        for object in 0..OBJECTS {
            self.step(Op::Forget(object));
        }
        assert_eq!(self.clients.objects(), 0, "S6: nothing is left when all objects are forgotten");
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
    #![proptest_config(config(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/regressions/machine.txt")))]

    #[test]
    fn no_schedule_breaks_the_rules_where_revisions_are_ordered(schedule in prop::collection::vec(op(), 1..60)) {
        run(Rev::Time, schedule);
    }

    #[test]
    fn no_schedule_breaks_the_rules_where_revisions_have_no_order(schedule in prop::collection::vec(op(), 1..60)) {
        run(Rev::Hash, schedule);
    }
}
