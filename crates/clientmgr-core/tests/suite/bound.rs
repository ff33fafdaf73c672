//! The contract of bound states, one test a promise: how they are built, shared and replaced. How they end is in
//! `bound_endings.rs`.

use std::convert::Infallible;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use clientmgr_core::{BoundError, BoundState, BoundStates, ClientError, ClientManager, Refresh};
use futures::FutureExt;
use futures::executor::block_on;

use crate::common::{Client, Fault, Provider, Reason, Rev, observed, pend, poll_now};

pub(crate) const OBJECT: u8 = 7;
pub(crate) const EAST: u8 = 1;
pub(crate) const WEST: u8 = 2;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) struct Watch {
    pub(crate) client: Client,
    journal: Journal,
}

impl BoundState for Watch {
    fn teardown(&self) {
        self.journal.note(format!("teardown {:?}", self.client.1));
    }
}

pub(crate) type States = BoundStates<Arc<Provider>, u8, Watch>;

/// States on a provider that is connected to east, and a journal of what becomes of them.
pub(crate) fn states() -> (States, Journal) {
    let provider = Arc::new(Provider::default());
    provider.set(EAST, Ok(Rev::Time(1)));
    (BoundStates::new(provider), Journal::default())
}

/// Builds at once.
pub(crate) fn build(journal: &Journal) -> impl FnOnce(Client) -> std::future::Ready<Result<Watch, Infallible>> {
    build_as(journal, Ok(()))
}

pub(crate) fn build_as<E>(
    journal: &Journal,
    outcome: Result<(), E>,
) -> impl FnOnce(Client) -> std::future::Ready<Result<Watch, E>> {
    let journal = journal.clone();
    move |client| {
        journal.note(format!("build {:?}", client.1));
        std::future::ready(outcome.map(|()| Watch { client, journal }))
    }
}

/// Builds after as many polls.
pub(crate) async fn build_slowly(journal: Journal, client: Client, polls: usize) -> Result<Watch, Infallible> {
    journal.note(format!("start {:?}", client.1));
    pend(polls).await;
    journal.note(format!("build {:?}", client.1));
    Ok(Watch { client, journal })
}

#[test]
fn a_standing_state_is_returned_and_the_provider_is_not_asked() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let first = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    let asked = states.provider().asked();
    let second = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(states.provider().asked(), asked);
    assert_eq!(journal.take(), ["build Time(1)"]);
}

#[test]
fn the_old_state_is_torn_down_before_the_new_one_is_built_even_if_a_handle_is_kept() {
    let (states, journal) = states();
    let old = block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(1))), build(&journal))).unwrap();
    states.provider().set(EAST, Ok(Rev::Time(2)));
    let new = block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(2))), build(&journal))).unwrap();
    assert_eq!(journal.take(), ["build Time(1)", "teardown Time(1)", "build Time(2)"]);
    assert_eq!((old.client.1, new.client.1), (Rev::Time(1), Rev::Time(2)));
}

#[test]
fn the_old_state_goes_even_when_there_is_no_new_client_yet() {
    let (states, journal) = states();
    block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(1))), build(&journal))).unwrap();
    states.provider().set(EAST, Err(Fault::Unavailable));
    for _ in 0..2 {
        let error = block_on(states.get_or_build(&OBJECT, &observed(EAST, None), build(&journal))).err().unwrap();
        assert!(matches!(error, BoundError::Client(ClientError::Unavailable { .. })), "{error:?}");
    }
    assert_eq!(journal.take(), ["build Time(1)", "teardown Time(1)"], "torn down once");

    states.provider().set(EAST, Ok(Rev::Time(2)));
    block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(2))), build(&journal))).unwrap();
    assert_eq!(journal.take(), ["build Time(2)"]);
}

#[test]
fn an_older_cluster_object_leaves_the_state_alone() {
    let (states, journal) = states();
    states.provider().set(EAST, Ok(Rev::Time(5)));
    block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(5))), build(&journal))).unwrap();
    let kept = block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(4))), build(&journal))).unwrap();
    assert_eq!(kept.client.1, Rev::Time(5));
    assert_eq!(journal.take(), ["build Time(5)"]);
}

#[test]
fn an_outdated_cluster_object_builds_nothing() {
    let (states, journal) = states();
    let error = block_on(states.get_or_build(&OBJECT, &observed(EAST, None), build(&journal))).err().unwrap();
    assert!(matches!(error, BoundError::Client(ClientError::ClusterOutdated { .. })), "{error:?}");
    assert!(journal.take().is_empty());
}

#[test]
fn a_second_call_waits_for_the_build_and_shares_it() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let slow = |client| build_slowly(journal.clone(), client, 2);
    let mut first = Box::pin(states.get_or_build(&OBJECT, &east, slow));
    let mut second = Box::pin(states.get_or_build(&OBJECT, &east, build(&journal)));
    assert!(poll_now(&mut first).is_pending());
    assert!(poll_now(&mut second).is_pending());
    let (first, second) = block_on(futures::future::join(first, second));
    assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    assert_eq!(journal.take(), ["start Time(1)", "build Time(1)"]);
}

#[test]
fn a_build_holds_up_no_other_object_and_no_other_cluster() {
    let (states, journal) = states();
    states.provider().set(WEST, Ok(Rev::Time(2)));
    let (east, west) = (observed(EAST, Some(Rev::Time(1))), observed(WEST, Some(Rev::Time(2))));
    let never = |_| std::future::pending::<Result<Watch, Infallible>>();
    let mut stuck = Box::pin(states.get_or_build(&OBJECT, &east, never));
    assert!(poll_now(&mut stuck).is_pending());

    let other_object = states.get_or_build(&8, &east, build(&journal)).now_or_never();
    let other_cluster = states.get_or_build(&OBJECT, &west, build(&journal)).now_or_never();
    assert!(other_object.expect("does not wait").is_ok());
    assert!(other_cluster.expect("does not wait").is_ok());
    assert!(poll_now(&mut stuck).is_pending());
}

#[test]
fn a_dropped_build_leaves_nothing_half_built() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let slow = |client| build_slowly(journal.clone(), client, 1);
    let mut dropped = Box::pin(states.get_or_build(&OBJECT, &east, slow));
    assert!(poll_now(&mut dropped).is_pending());
    drop(dropped);
    block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert_eq!(journal.take(), ["start Time(1)", "build Time(1)"]);
}

#[test]
fn a_build_dropped_after_a_reset_still_ends_with_the_new_connection() {
    let (states, journal) = states();
    block_on(states.get_or_build(&OBJECT, &observed(EAST, Some(Rev::Time(1))), build(&journal))).unwrap();
    states.provider().set(EAST, Ok(Rev::Time(2)));
    let east = observed(EAST, Some(Rev::Time(2)));
    for dropped_at in ["the provider", "the build"] {
        states.provider().delay_next(usize::from(dropped_at == "the provider"));
        let slow = |client| build_slowly(journal.clone(), client, 1);
        let mut dropped = Box::pin(states.get_or_build(&OBJECT, &east, slow));
        assert!(poll_now(&mut dropped).is_pending(), "waits for {dropped_at}");
    }
    let built = block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert_eq!(built.client.1, Rev::Time(2));
    assert_eq!(journal.take(), ["build Time(1)", "teardown Time(1)", "start Time(2)", "build Time(2)"]);
}

#[test]
fn a_build_that_fails_leaves_nothing_standing_and_keeps_its_error() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let error = block_on(states.get_or_build(&OBJECT, &east, build_as(&journal, Err(Reason)))).err().unwrap();
    assert!(matches!(error, BoundError::Build(Reason)), "{error:?}");
    assert!(error.source().is_some_and(<dyn Error>::is::<Reason>));
    assert_eq!(error.to_string(), "the state could not be built");
    block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
    assert_eq!(journal.take(), ["build Time(1)", "build Time(1)"]);
}

#[test]
fn a_build_that_panics_does_not_block_the_next() {
    let (states, journal) = states();
    let east = observed(EAST, Some(Rev::Time(1)));
    let panics = |_| -> std::future::Ready<Result<Watch, Infallible>> { panic!("on purpose") };
    let caught = block_on(AssertUnwindSafe(states.get_or_build(&OBJECT, &east, panics)).catch_unwind());
    assert!(caught.is_err());
    block_on(states.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
}

#[test]
fn maps_and_managers_over_one_provider_do_not_take_each_others_resets() {
    let (watches, journal) = states();
    let provider = Arc::clone(watches.provider());
    let (caches, clients) = (States::new(Arc::clone(&provider)), ClientManager::new(Arc::clone(&provider)));
    let round = |expected: Refresh| {
        let east = provider.cluster(EAST);
        assert_eq!(clients.refresh(&OBJECT, &east), expected);
        block_on(clients.client(&OBJECT, &east)).unwrap();
        block_on(watches.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
        block_on(caches.get_or_build(&OBJECT, &east, build(&journal))).unwrap();
        journal.take()
    };
    assert_eq!(round(Refresh::Unchanged).len(), 2);
    provider.set(EAST, Ok(Rev::Time(2)));
    assert_eq!(round(Refresh::Reset), ["teardown Time(1)", "build Time(2)", "teardown Time(1)", "build Time(2)"]);
}

#[test]
fn debug_tells_how_many_objects() {
    let (states, _) = states();
    assert!(format!("{states:?}").contains("objects: 0"), "{states:?}");
}
