//! The manager's promises beyond the table of the rules, one test each.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use clientmgr_core::{
    Cause, ClientError, ClientManager, ClientProvider, Connection, NextStep, ObservedCluster, ProviderError, Refresh,
    async_trait,
};
use futures::executor::block_on;

use crate::common::{Client, Fault, Provider, Reason, Rev, observed, pend, poll_now};

const OBJECT: u8 = 7;
const EAST: u8 = 1;
const WEST: u8 = 2;

fn connected(revision: Rev) -> ClientManager<Arc<Provider>, u8> {
    let provider = Arc::new(Provider::default());
    provider.set(EAST, Ok(revision));
    ClientManager::new(provider)
}

#[test]
fn refresh_never_asks_the_provider() {
    let clients = connected(Rev::Time(1));
    let _ = clients.refresh(&OBJECT, &observed(EAST, Some(Rev::Time(1))));
    block_on(clients.client(&OBJECT, &observed(EAST, Some(Rev::Time(1))))).unwrap();
    let asked = clients.provider().asked();
    let _ = clients.refresh(&OBJECT, &observed(EAST, Some(Rev::Time(2))));
    assert_eq!(clients.provider().asked(), asked);
}

#[test]
fn an_object_that_met_an_error_first_is_told_of_the_recovery() {
    let clients = connected(Rev::Time(1));
    clients.provider().set(EAST, Err(Fault::Unavailable));
    block_on(clients.client(&OBJECT, &observed(EAST, None))).unwrap_err();

    clients.provider().set(EAST, Ok(Rev::Time(2)));
    let recovered = observed(EAST, Some(Rev::Time(2)));
    assert_eq!(clients.refresh(&OBJECT, &recovered), Refresh::Reset);
    assert_eq!(block_on(clients.client(&OBJECT, &recovered)).unwrap(), (EAST, Rev::Time(2)));
    assert_eq!(clients.refresh(&OBJECT, &recovered), Refresh::Unchanged);
}

#[test]
fn a_reset_is_announced_again_until_it_was_acted_on() {
    let clients = connected(Rev::Hash(1));
    block_on(clients.client(&OBJECT, &observed(EAST, Some(Rev::Hash(1))))).unwrap();
    clients.provider().set(EAST, Ok(Rev::Hash(2)));
    let changed = observed(EAST, Some(Rev::Hash(2)));
    for _ in 0..3 {
        assert!(clients.refresh(&OBJECT, &changed).is_reset());
    }
    // Even an observation that would have been right before does not take it back.
    assert!(clients.refresh(&OBJECT, &observed(EAST, Some(Rev::Hash(1)))).is_reset());
    block_on(clients.client(&OBJECT, &changed)).unwrap();
    assert!(!clients.refresh(&OBJECT, &changed).is_reset());
}

#[test]
fn every_provider_error_is_handed_on_with_its_type_and_its_next_step() {
    let clients = connected(Rev::Time(1));
    let error_of = |fault| {
        clients.provider().set(EAST, Err(fault));
        block_on(clients.client(&OBJECT, &observed(EAST, None))).unwrap_err()
    };
    let is_reason = |error: &ClientError<u8, Rev>| error.source().is_some_and(<dyn Error>::is::<Reason>);

    let not_found = error_of(Fault::NotFound);
    assert!(not_found.is_not_found() && !not_found.is_stale());
    assert_eq!(not_found.next_step(), NextStep::AwaitClusterChange);

    let unavailable = error_of(Fault::Unavailable);
    assert!(is_reason(&unavailable) && !unavailable.is_not_found());
    assert_eq!(unavailable.next_step(), NextStep::Retry { after: None });

    let incompatible = error_of(Fault::Incompatible);
    assert!(is_reason(&incompatible));
    assert_eq!(incompatible.next_step(), NextStep::GiveUp);

    for error in [not_found, unavailable, incompatible] {
        assert_eq!(error.cluster(), &EAST);
        assert!(error.to_string().starts_with("cluster 1 "), "{error}");
        assert!(!error.to_string().contains("the test said so"), "the source is not printed twice: {error}");
    }
}

#[test]
fn a_cause_shows_the_error_it_keeps() {
    let cause = Cause::new(Reason);
    assert_eq!(cause.to_string(), "the test said so");
    assert_eq!(format!("{cause:?}"), "Reason");
    assert!(cause.is::<Reason>() && cause.clone().is::<Reason>());
}

#[test]
fn a_retry_hint_reaches_the_caller() {
    struct Busy;

    #[async_trait]
    impl ClientProvider for Busy {
        type Client = ();
        type Key = u8;
        type Revision = Rev;

        async fn connection(&self, _: &u8) -> Result<Connection<(), Rev>, ProviderError> {
            Err(ProviderError::unavailable("busy").with_retry_after(std::time::Duration::from_secs(3)))
        }
    }

    let error = block_on(ClientManager::new(Busy).client(&OBJECT, &observed(EAST, None))).unwrap_err();
    assert_eq!(error.next_step(), NextStep::Retry { after: Some(std::time::Duration::from_secs(3)) });
    assert!(matches!(ProviderError::NotFound.with_retry_after(std::time::Duration::ZERO), ProviderError::NotFound));
}

#[test]
fn the_two_kinds_of_stale_are_told_apart_and_say_what_was_seen() {
    let clients = connected(Rev::Time(1));
    block_on(clients.client(&OBJECT, &observed(EAST, Some(Rev::Time(1))))).unwrap();
    clients.provider().set(EAST, Ok(Rev::Time(2)));

    let outdated = block_on(clients.client(&OBJECT, &observed(EAST, Some(Rev::Time(1))))).unwrap_err();
    assert!(outdated.is_stale());
    assert_eq!(outdated.next_step(), NextStep::AwaitClusterChange);
    assert_eq!(outdated.to_string(), "cluster object 1 is stale: its revision is Time(1), the connection has Time(2)");
    let untold = block_on(clients.client(&OBJECT, &observed(EAST, None))).unwrap_err();
    assert!(untold.to_string().contains("its revision is empty"), "{untold}");

    let bug = block_on(clients.client(&OBJECT, &observed(EAST, Some(Rev::Time(2))))).unwrap_err();
    assert!(bug.is_stale());
    assert_eq!(bug.next_step(), NextStep::RefreshFirst);
    assert_eq!(
        bug.to_string(),
        "call refresh before client for cluster 1: the object holds Time(1), the connection has Time(2)"
    );
    for stale in [outdated, untold, bug] {
        assert_eq!(stale.cluster(), &EAST);
    }
}

#[test]
fn objects_and_clusters_do_not_disturb_each_other() {
    let clients = connected(Rev::Time(1));
    clients.provider().set(WEST, Ok(Rev::Time(2)));
    let (east, west) = (observed(EAST, Some(Rev::Time(1))), observed(WEST, Some(Rev::Time(2))));
    for object in [1, 2] {
        block_on(clients.client(&object, &east)).unwrap();
        block_on(clients.client(&object, &west)).unwrap();
    }
    assert!(clients.refresh(&1, &observed(EAST, Some(Rev::Time(9)))).is_reset());
    assert!(!clients.refresh(&1, &west).is_reset());
    assert!(!clients.refresh(&2, &east).is_reset());
    assert_eq!(clients.objects(), 2);
}

#[test]
fn a_forgotten_object_leaves_no_trace_and_its_successor_inherits_nothing() {
    let clients = connected(Rev::Time(1));
    let east = observed(EAST, Some(Rev::Time(1)));
    block_on(clients.client(&OBJECT, &east)).unwrap();
    clients.forget(&OBJECT);
    assert_eq!(clients.objects(), 0);
    assert_eq!(clients.refresh(&OBJECT, &observed(EAST, Some(Rev::Time(2)))), Refresh::Unchanged);
    assert_eq!(clients.objects(), 0, "asking whether to reset remembers nothing");
}

#[test]
fn a_forgotten_cluster_is_gone_for_all_objects_and_others_stay() {
    let clients = connected(Rev::Time(1));
    clients.provider().set(WEST, Ok(Rev::Time(2)));
    for object in [1, 2] {
        block_on(clients.client(&object, &clients.provider().cluster(EAST))).unwrap();
    }
    block_on(clients.client(&2, &clients.provider().cluster(WEST))).unwrap();
    clients.forget_cluster(&EAST);
    assert_eq!(clients.objects(), 1);
    assert!(!clients.refresh(&2, &observed(EAST, Some(Rev::Time(5)))).is_reset());
    assert!(clients.refresh(&2, &observed(WEST, Some(Rev::Time(5)))).is_reset());
}

#[test]
fn a_request_overtaken_by_forget_brings_nothing_back() {
    for answer in [Ok(Rev::Time(1)), Err(Fault::Unavailable)] {
        for forget_cluster in [false, true] {
            let clients = connected(Rev::Time(1));
            let east = observed(EAST, Some(Rev::Time(1)));
            clients.provider().set(EAST, answer);
            clients.provider().delay_next(1);
            let mut asking = Box::pin(clients.client(&OBJECT, &east));
            assert!(poll_now(&mut asking).is_pending());
            if forget_cluster {
                clients.forget_cluster(&EAST);
            } else {
                clients.forget(&OBJECT);
            }

            let Poll::Ready(Err(error)) = poll_now(&mut asking) else { panic!("answered with an error") };
            assert!(matches!(error, ClientError::Forgotten { cluster: EAST }), "{error:?}");
            assert_eq!(error.next_step(), NextStep::Retry { after: None });
            assert!(!error.is_stale() && !error.is_not_found());
            assert_eq!(error.to_string(), "the object, or cluster 1, was forgotten during the request");
            assert_eq!(clients.objects(), 0);
        }
    }
}

#[test]
fn a_request_overtaken_by_another_forget_is_not_disturbed() {
    let clients = connected(Rev::Time(1));
    let east = observed(EAST, Some(Rev::Time(1)));
    clients.provider().delay_next(1);
    let mut asking = Box::pin(clients.client(&OBJECT, &east));
    assert!(poll_now(&mut asking).is_pending());
    clients.forget(&9);
    clients.forget_cluster(&WEST);
    assert!(matches!(poll_now(&mut asking), Poll::Ready(Ok((EAST, Rev::Time(1))))));
}

#[test]
fn a_future_dropped_while_it_waits_leaves_everything_as_it_was() {
    let clients = connected(Rev::Time(1));
    let east = observed(EAST, Some(Rev::Time(1)));
    for held_before in [false, true] {
        if held_before {
            block_on(clients.client(&OBJECT, &east)).unwrap();
        }
        clients.provider().delay_next(1);
        let mut asking = Box::pin(clients.client(&OBJECT, &east));
        assert!(poll_now(&mut asking).is_pending());
        drop(asking);
        assert_eq!(clients.objects(), usize::from(held_before));
        assert_eq!(clients.refresh(&OBJECT, &east), Refresh::Unchanged);
    }
}

#[test]
fn the_answer_is_judged_by_what_is_held_when_it_comes() {
    let clients = connected(Rev::Time(1));
    let (old, new) = (observed(EAST, Some(Rev::Time(1))), observed(EAST, Some(Rev::Time(2))));
    clients.provider().delay_next(2);
    let mut slow = Box::pin(clients.client(&OBJECT, &new));
    assert!(poll_now(&mut slow).is_pending());
    block_on(clients.client(&OBJECT, &old)).unwrap();
    clients.provider().set(EAST, Ok(Rev::Time(2)));
    assert!(poll_now(&mut slow).is_pending());
    let Poll::Ready(Err(ClientError::RefreshRequired { held, current, .. })) = poll_now(&mut slow) else {
        panic!("the slow request must not replace a client that was obtained meanwhile")
    };
    assert_eq!((held, current), (Rev::Time(1), Rev::Time(2)));
}

type Dyn = dyn ClientProvider<Client = Client, Key = u8, Revision = Rev>;

#[test]
fn pointers_to_a_provider_are_providers() {
    let provider = Provider::default();
    provider.set(EAST, Ok(Rev::Time(1)));
    let east = provider.cluster(EAST);
    block_on(ClientManager::new(&provider).client(&OBJECT, &east)).unwrap();

    let boxed: Box<Dyn> = Box::new(provider);
    let clients = ClientManager::new(boxed);
    block_on(clients.client(&OBJECT, &east)).unwrap();
    let shared: Arc<Dyn> = Arc::from(Box::new(Provider::default()) as Box<Dyn>);
    let clients = ClientManager::new(shared);
    assert!(block_on(clients.client(&OBJECT, &east)).unwrap_err().is_not_found());
}

#[test]
fn futures_and_managers_cross_threads() {
    fn sendable<T: Send>(_: &T) {}
    fn shareable<T: Send + Sync + 'static>(_: &T) {}
    let clients = connected(Rev::Time(1));
    shareable(&clients);
    sendable(&clients.client(&OBJECT, &observed(EAST, None)));
}

#[test]
fn debug_tells_how_many_objects_and_no_keys() {
    let clients = connected(Rev::Time(1));
    assert!(format!("{clients:?}").contains("objects: 0"), "{clients:?}");
}

/// A cluster key whose copies can be counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counted(Arc<u8>);

/// Is connected, and answers after a number of polls.
struct Slow(AtomicUsize);

#[async_trait]
impl ClientProvider for Slow {
    type Client = ();
    type Key = Counted;
    type Revision = Rev;

    async fn connection(&self, _: &Counted) -> Result<Connection<(), Rev>, ProviderError> {
        pend(self.0.load(SeqCst)).await;
        Ok(Connection { client: (), revision: Rev::Time(1) })
    }
}

#[test]
fn no_copy_of_a_clusters_key_outlives_its_last_use() {
    type Way = fn(&ClientManager<Slow, u8>, &Counted);
    let ways: [Way; 3] = [
        |clients, _| [1, 2].iter().for_each(|object| clients.forget(object)),
        |clients, cluster| clients.forget_cluster(cluster),
        |clients, _| [1, 2].iter().for_each(|object| clients.retain(object, |_| false)),
    ];
    let seen = ObservedCluster { key: Counted(Arc::new(1)), revision: Some(Rev::Time(1)) };
    let copies = || Arc::strong_count(&seen.key.0);
    let clients = ClientManager::new(Slow(0.into()));
    for forget in ways {
        for object in [1, 2] {
            block_on(clients.client(&object, &seen)).unwrap();
        }
        assert!(copies() > 1);
        forget(&clients, &seen.key);
        assert_eq!(copies(), 1, "forgotten, and the key is still there");
    }

    clients.provider().0.store(1, SeqCst);
    let mut dropped = Box::pin(clients.client(&1, &seen));
    assert!(poll_now(&mut dropped).is_pending());
    drop(dropped);
    assert_eq!(copies(), 1, "a dropped request left a key behind");
    block_on(clients.client(&1, &seen)).unwrap();
    clients.forget(&1);
    assert_eq!(copies(), 1, "a settled request left a key behind");
}
