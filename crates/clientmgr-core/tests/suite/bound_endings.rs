//! The promises of bound states about their end, one test each: forgotten, discarded, left behind, dropped with the map.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use clientmgr_core::{BoundError, BoundState, BoundStates, ClientError, ClientManager};
use futures::executor::block_on;

use crate::bound::{EAST, OBJECT, WEST, Watch, build, build_slowly, states};
use crate::common::{Fault, Provider, Rev, observed, poll_now};

#[test]
fn forgetting_an_object_tears_down_its_states_on_all_clusters() {
    let (states, journal) = states();
    states.provider().set(WEST, Ok(Rev::Time(2)));
    for cluster in [EAST, WEST] {
        block_on(states.get_or_build(&OBJECT, &states.provider().cluster(cluster), build(&journal))).unwrap();
    }
    block_on(states.get_or_build(&8, &states.provider().cluster(EAST), build(&journal))).unwrap();
    journal.take();
    states.forget(&OBJECT);
    states.forget(&OBJECT);
    assert_eq!(journal.take(), ["teardown Time(1)", "teardown Time(2)"]);
    assert_eq!(states.objects(), 1);
}

#[test]
fn forgetting_a_cluster_tears_down_the_states_of_all_objects_on_it() {
    let (states, journal) = states();
    states.provider().set(WEST, Ok(Rev::Time(2)));
    block_on(states.get_or_build(&8, &states.provider().cluster(EAST), build(&journal))).unwrap();
    for cluster in [EAST, WEST] {
        block_on(states.get_or_build(&OBJECT, &states.provider().cluster(cluster), build(&journal))).unwrap();
    }
    journal.take();
    states.forget_cluster(&EAST);
    assert_eq!(journal.take(), ["teardown Time(1)", "teardown Time(1)"]);
    assert_eq!(states.objects(), 1, "the object that also uses west stays");
    block_on(states.get_or_build(&OBJECT, &states.provider().cluster(WEST), build(&journal))).unwrap();
    assert!(journal.take().is_empty(), "and so does its state on west");
}

#[test]
fn a_build_overtaken_by_forget_is_torn_down_and_handed_to_nobody() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let slow = |client| build_slowly(journal.clone(), client, 1);
    let mut building = Box::pin(states.get_or_build(&OBJECT, &east, slow));
    assert!(poll_now(&mut building).is_pending());
    states.forget(&OBJECT);
    let Poll::Ready(Err(error)) = poll_now(&mut building) else { panic!("the build came too late") };
    assert!(matches!(error, BoundError::Client(ClientError::Forgotten { cluster: EAST })), "{error:?}");
    assert_eq!(journal.take(), ["start Time(1)", "build Time(1)", "teardown Time(1)"]);
    assert_eq!(states.objects(), 0);
}

#[test]
fn a_call_overtaken_by_forget_before_its_build_builds_nothing() {
    for answer in [Ok(Rev::Time(1)), Err(Fault::Unavailable)] {
        let (states, journal) = states();
        let east = observed(EAST, Some(Rev::Time(1)));
        states.provider().set(EAST, answer);
        states.provider().delay_next(1);
        let mut asking = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
        let mut waiting = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
        assert!(poll_now(&mut asking).is_pending() && poll_now(&mut waiting).is_pending());
        states.forget_cluster(&EAST);
        for call in [&mut asking, &mut waiting] {
            let Poll::Ready(Err(error)) = poll_now(call) else { panic!("forgotten") };
            assert!(matches!(error, BoundError::Client(ClientError::Forgotten { .. })), "{error:?}");
        }
        assert!(journal.take().is_empty());
        assert_eq!(states.objects(), 0);
    }
}

#[test]
fn a_discarded_state_is_built_again_on_the_same_connection() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let broken = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert!(!states.discard(&OBJECT, &WEST, &broken) && !states.discard(&8, &EAST, &broken));
    assert!(states.discard(&OBJECT, &EAST, &broken));
    assert!(!states.discard(&OBJECT, &EAST, &broken), "it is no longer current");
    block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert_eq!(journal.take(), ["build Time(1)", "teardown Time(1)", "build Time(1)"]);
}

#[test]
fn a_late_discard_leaves_the_successor_alone() {
    let (states, journal) = states();
    let broken = block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(1))), build(&journal))).unwrap();
    states.provider().set(EAST, Ok(Rev::Time(2)));
    let east = observed(EAST, Some(Rev::Time(2)));
    let successor = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert!(!states.discard(&OBJECT, &EAST, &broken));
    assert!(Arc::ptr_eq(&successor, &block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap()));
}

#[test]
fn a_discard_beside_another_call_takes_effect_before_anything_is_built() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let broken = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    // Another call has the turn: it waits for the provider, after a reset by an observation of nothing.
    states.provider().set(EAST, Ok(Rev::Time(2)));
    let newer = observed(EAST, Some(Rev::Time(2)));
    states.provider().delay_next(1);
    let mut asking = Box::pin(states.get_or_build(&OBJECT, &newer, build(&journal)));
    assert!(poll_now(&mut asking).is_pending());
    assert!(!states.discard(&OBJECT, &EAST, &broken), "it was torn down by the reset");
    let Poll::Ready(Ok(successor)) = poll_now(&mut asking) else { panic!("built") };
    assert_eq!(successor.client.1, Rev::Time(2));
    assert_eq!(journal.take(), ["build Time(1)", "teardown Time(1)", "build Time(2)"]);
}

#[test]
fn an_object_that_moves_to_another_cluster_leaves_its_state_behind() {
    let (states, journal) = states();
    states.provider().set(WEST, Ok(Rev::Time(2)));
    let clients = ClientManager::new(Arc::clone(states.provider()));
    for cluster in [EAST, WEST] {
        block_on(states.get_or_build(&OBJECT, &states.provider().cluster(cluster), build(&journal))).unwrap();
        block_on(clients.client(&OBJECT, &states.provider().cluster(cluster))).unwrap();
    }
    journal.take();
    states.retain(&OBJECT, |cluster| *cluster == WEST);
    clients.retain(&OBJECT, |cluster| *cluster == WEST);
    assert_eq!(journal.take(), ["teardown Time(1)"]);
    let nothing_on = |cluster| observed(cluster, None);
    assert!(!clients.refresh(&OBJECT, &nothing_on(EAST)).is_reset(), "nothing is known of east");
    assert!(clients.refresh(&OBJECT, &nothing_on(WEST)).is_reset(), "west is as it was");
    states.retain(&OBJECT, |_| false);
    clients.retain(&OBJECT, |_| false);
    assert_eq!((states.objects(), clients.objects()), (0, 0));
}

#[test]
fn a_first_call_that_is_dropped_leaves_no_trace() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    states.provider().delay_next(1);
    let mut first = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
    let mut second = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
    assert!(poll_now(&mut first).is_pending() && poll_now(&mut second).is_pending());
    drop(first);
    assert_eq!(states.objects(), 1, "the second still waits");
    drop(second);
    assert_eq!(states.objects(), 0);
}

#[test]
fn a_call_that_waits_for_a_build_is_told_at_once_that_it_was_forgotten() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let never = |_| std::future::pending::<Result<Watch, Infallible>>();
    let mut stuck = Box::pin(states.get_or_build(&OBJECT, &east, never));
    let mut waiting = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
    assert!(poll_now(&mut stuck).is_pending() && poll_now(&mut waiting).is_pending());
    states.forget(&OBJECT);
    let Poll::Ready(Err(error)) = poll_now(&mut waiting) else { panic!("forgotten") };
    assert!(matches!(error, BoundError::Client(ClientError::Forgotten { .. })), "{error:?}");
    block_on(states.get_or_build(&OBJECT, &east, build(&journal))).expect("the object is back, whatever hangs");
    assert!(poll_now(&mut stuck).is_pending());
}

/// How long a thread waits for another one, so that a test that fails does not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// A state whose teardown takes until the test ends it.
struct Lingering {
    begun: mpsc::Sender<()>,
    end: Mutex<mpsc::Receiver<()>>,
}

impl BoundState for Lingering {
    fn teardown(&self) {
        // The other side may be gone.
        let _ = self.begun.send(());
        let _ = self.end.lock().unwrap().recv_timeout(PATIENCE);
    }
}

#[test]
fn a_teardown_under_way_keeps_the_next_build_waiting() {
    type Way = fn(&BoundStates<Arc<Provider>, u8, Lingering>, &Arc<Lingering>);
    let ways: [Way; 4] = [
        |states, current| assert!(states.discard(&OBJECT, &EAST, current)),
        |states, _| states.forget(&OBJECT),
        |states, _| states.forget_cluster(&EAST),
        |states, _| states.retain(&OBJECT, |_| false),
    ];
    for end_it in ways {
        let states = BoundStates::new(Arc::clone(states().0.provider()));
        let east = states.provider().cluster(EAST);
        let (begun, begins) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let lingering = Lingering { begun: begun.clone(), end: Mutex::new(ended) };
        let build = |lingering| move |_| std::future::ready(Ok::<_, Infallible>(lingering));
        let current = block_on(states.get_or_build(&OBJECT, &east, build(lingering))).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| end_it(&states, &current));
            begins.recv_timeout(PATIENCE).expect("the teardown begins");
            let next = Lingering { begun, end: Mutex::new(mpsc::channel().1) };
            let mut building = Box::pin(states.get_or_build(&OBJECT, &east, build(next)));
            let early = poll_now(&mut building);
            assert!(!matches!(early, Poll::Ready(Ok(_))), "built beside a state that still ends");
            drop(building);
            end.send(()).unwrap();
        });
        let next = Lingering { begun: mpsc::channel().0, end: Mutex::new(mpsc::channel().1) };
        block_on(states.get_or_build(&OBJECT, &east, build(next))).expect("it has ended");
    }
}

#[test]
fn dropping_the_map_tears_down_everything_in_it() {
    let (states, journal) = states();
    for object in [1, 2] {
        block_on(states.get_or_build(&object, &observed(EAST, Some(Rev::Time(1))), build(&journal))).unwrap();
    }
    journal.take();
    drop(states);
    assert_eq!(journal.take(), ["teardown Time(1)", "teardown Time(1)"]);
}

/// A state whose end panics: when it is asked for, or when it is polled.
struct PanicsAtItsEnd {
    at_once: bool,
}

impl BoundState for PanicsAtItsEnd {
    fn teardown(&self) {}

    fn ended(&self) -> impl Future<Output = ()> + Send {
        let panic = || std::panic::resume_unwind(Box::new("on purpose"));
        if self.at_once {
            panic();
        }
        async move { panic() }
    }
}

#[test]
fn a_state_whose_end_panics_is_replaced_and_forgotten_as_any_other() {
    let provider = Provider::default();
    let states = BoundStates::<_, u8, PanicsAtItsEnd>::new(provider);
    for revision in 1..=3 {
        states.provider().set(EAST, Ok(Rev::Time(revision)));
        let east = states.provider().cluster(EAST);
        let state = PanicsAtItsEnd { at_once: revision % 2 == 0 };
        block_on(states.get_or_build(&OBJECT, &east, async |_| Ok::<_, Infallible>(state))).unwrap();
    }
    states.forget(&OBJECT);
    assert_eq!(states.objects(), 0);
}
