//! What a test can make the fake do. That it is a provider at all is shown by the laws.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use clientmgr_core::{
    ClientError, ClientManager, ClientProvider, ConnectedAt, NamespacedName, NextStep, ProviderError, Revision,
};
use clientmgr_fake::FakeClientProvider;
use futures::executor::block_on;
use futures::{FutureExt, join};

fn east() -> NamespacedName {
    NamespacedName::new("fleet", "east")
}

fn west() -> NamespacedName {
    NamespacedName::new("fleet", "west")
}

fn default_key() -> NamespacedName {
    FakeClientProvider::<u32>::default_key()
}

/// What `provider` answers at once.
fn answer(provider: &FakeClientProvider<u32>, key: &NamespacedName) -> Result<(u32, ConnectedAt), ProviderError> {
    let answer = provider.connection(key).now_or_never().expect("nothing is held");
    answer.map(|connection| (connection.client, connection.revision))
}

#[test]
fn the_default_client_is_served_at_once_under_the_default_key() {
    let provider = FakeClientProvider::new(1);
    let (client, revision) = answer(&provider, &NamespacedName::cluster_scoped("default")).unwrap();
    assert_eq!(client, 1);
    assert_eq!(provider.cluster(&default_key()).revision, Some(revision));
    assert!(matches!(answer(&provider, &east()), Err(ProviderError::NotFound)));
}

#[test]
fn an_empty_provider_serves_nothing() {
    assert!(matches!(answer(&FakeClientProvider::empty(), &default_key()), Err(ProviderError::NotFound)));
}

#[test]
fn a_client_is_added_only_where_there_is_neither_client_nor_error() {
    let provider = FakeClientProvider::empty();
    let revision = provider.add_client(&east(), 1).unwrap().expect("nothing is served yet");
    assert_eq!(provider.add_client(&east(), 2), Ok(None));
    assert_eq!(answer(&provider, &east()).unwrap(), (1, revision));

    provider.set_cluster_error(&west(), fmt::Error).unwrap();
    assert_eq!(provider.add_client(&west(), 3), Ok(None));
    assert!(answer(&provider, &west()).is_err());

    provider.remove(&west());
    let added = provider.add_client(&west(), 3).unwrap().expect("nothing is served any more");
    assert!(revision.is_older_than(&added));
    assert_eq!(answer(&provider, &west()).unwrap(), (3, added));
}

#[test]
fn a_client_is_set_over_anything_and_its_revision_is_strictly_later() {
    let provider = FakeClientProvider::new(1);
    let mut last = provider.cluster(&default_key()).revision.expect("the default client is served");
    for client in 2..50 {
        if client % 3 == 0 {
            provider.set_cluster_error(&default_key(), fmt::Error).unwrap();
        }
        if client % 5 == 0 {
            provider.remove(&default_key());
        }
        let revision = provider.set_client(&default_key(), client).unwrap();
        assert!(last.is_older_than(&revision));
        assert_eq!(answer(&provider, &default_key()).unwrap(), (client, revision));
        last = revision;
    }
}

#[test]
fn two_fakes_share_no_revision() {
    let first = FakeClientProvider::new(1);
    let second = FakeClientProvider::new(1);
    assert!(first.cluster(&default_key()).revision < second.cluster(&default_key()).revision);
}

#[test]
fn an_error_is_served_unavailable_with_its_type_as_the_source() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("no route to {0}")]
    struct NoRoute(&'static str);

    let provider = FakeClientProvider::new(1);
    provider.set_cluster_error(&default_key(), NoRoute("default")).unwrap();
    let clients = ClientManager::new(provider.clone());
    let error = block_on(clients.client(&"object", &provider.cluster(&default_key()))).unwrap_err();
    let source = error.source().expect("the error's source is kept");
    assert_eq!(source.downcast_ref(), Some(&NoRoute("default")));
    assert_eq!(error.next_step(), NextStep::Retry { after: None });
}

#[test]
fn every_provider_error_can_be_served() {
    let provider = FakeClientProvider::new(1);
    let clients = ClientManager::new(provider.clone());
    let next_step = |error| {
        provider.set_error(&default_key(), error).unwrap();
        let answer = block_on(clients.client(&"object", &provider.cluster(&default_key())));
        answer.expect_err("an error is served").next_step()
    };
    let delay = Duration::from_secs(3);
    assert_eq!(next_step(ProviderError::NotFound), NextStep::AwaitClusterChange);
    assert_eq!(next_step(ProviderError::incompatible("docker")), NextStep::GiveUp);
    assert_eq!(
        next_step(ProviderError::unavailable("warming up").with_retry_after(delay)),
        NextStep::Retry { after: Some(delay) }
    );
}

#[test]
fn a_key_without_a_name_is_refused() {
    let provider = FakeClientProvider::new(1);
    for key in [NamespacedName::new("", ""), NamespacedName::new("fleet", "")] {
        let refused = [
            provider.add_client(&key, 2).unwrap_err(),
            provider.set_client(&key, 2).unwrap_err(),
            provider.set_cluster_error(&key, fmt::Error).unwrap_err(),
            provider.set_error(&key, ProviderError::NotFound).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.key, key);
            assert!(error.to_string().contains("has no name"), "{error}");
        }
        provider.remove(&key);
        assert!(matches!(answer(&provider, &key), Err(ProviderError::NotFound)));
        assert_eq!(provider.cluster(&key).revision, None);
    }
}

#[test]
fn a_removed_cluster_is_not_found_and_others_stay() {
    let provider = FakeClientProvider::new(1);
    provider.set_client(&east(), 2).unwrap();
    provider.remove(&default_key());
    assert!(matches!(answer(&provider, &default_key()), Err(ProviderError::NotFound)));
    assert_eq!(answer(&provider, &east()).unwrap().0, 2);
}

#[test]
fn a_cluster_object_has_the_revision_of_when_it_was_taken() {
    let provider = FakeClientProvider::new(1);
    let first = provider.cluster(&default_key());
    let second = provider.set_client(&default_key(), 2).unwrap();
    assert!(first.revision < Some(second));
    assert_eq!(provider.cluster(&default_key()).revision, Some(second));
    provider.set_cluster_error(&default_key(), fmt::Error).unwrap();
    assert_eq!(provider.cluster(&default_key()).revision, None);
    assert_eq!(provider.cluster(&east()).revision, None);
}

#[test]
fn a_held_call_answers_what_is_served_when_it_completes() {
    let provider = FakeClientProvider::new(1);
    let hold = provider.hold(&default_key());
    let test = async {
        provider.wait_until_waiting(&default_key(), 1).await;
        let revision = provider.set_client(&default_key(), 2).unwrap();
        hold.release();
        revision
    };
    let key = default_key();
    let (answer, revision) = block_on(async { join!(provider.connection(&key), test) });
    let connection = answer.unwrap();
    assert_eq!((connection.client, connection.revision), (2, revision));
}

#[test]
fn a_hold_concerns_its_cluster_alone() {
    let provider = FakeClientProvider::new(1);
    provider.set_client(&east(), 2).unwrap();
    let _hold = provider.hold(&east());
    assert!(provider.connection(&east()).now_or_never().is_none());
    assert_eq!(answer(&provider, &default_key()).unwrap().0, 1);
    assert!(matches!(answer(&provider, &west()), Err(ProviderError::NotFound)));
}

#[test]
fn a_cluster_that_is_not_served_can_be_held_too() {
    let provider = FakeClientProvider::empty();
    let hold = provider.hold(&east());
    let key = east();
    let mut call = provider.connection(&key);
    assert!((&mut call).now_or_never().is_none());
    provider.set_client(&east(), 1).unwrap();
    drop(hold);
    assert_eq!(block_on(call).unwrap().client, 1);
}

#[test]
fn a_call_waits_for_every_hold_it_met_and_for_no_later_one() {
    let provider = FakeClientProvider::new(1);
    let key = default_key();
    let first = provider.hold(&key);
    let second = provider.hold(&key);
    let mut call = provider.connection(&key);
    assert!((&mut call).now_or_never().is_none());

    first.release();
    assert!((&mut call).now_or_never().is_none(), "the second hold is in force");
    let _third = provider.hold(&key);
    second.release();
    assert_eq!(call.now_or_never().expect("the third hold came later").unwrap().client, 1);
    assert!(provider.connection(&key).now_or_never().is_none(), "the third hold is in force");
}

#[test]
fn a_release_wakes_every_call_that_waits() {
    let provider = FakeClientProvider::new(1);
    let hold = provider.hold(&default_key());
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let provider = provider.clone();
            thread::spawn(move || block_on(provider.connection(&default_key())).unwrap().client)
        })
        .collect();
    block_on(provider.wait_until_waiting(&default_key(), callers.len()));
    hold.release();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 1);
    }
    assert_eq!((provider.waiting(&default_key()), provider.calls(&default_key())), (0, 4));
}

#[test]
fn a_cluster_that_never_answers_lets_its_callers_go() {
    let provider = FakeClientProvider::new(1);
    provider.never_answer(&default_key());
    {
        let key = default_key();
        let mut call = provider.connection(&key);
        assert_eq!(provider.calls(&default_key()), 0, "a future that was not polled asked nothing");
        for _ in 0..3 {
            assert!((&mut call).now_or_never().is_none());
            provider.set_client(&default_key(), 2).unwrap();
        }
        assert_eq!(provider.waiting(&default_key()), 1);
    }
    assert_eq!((provider.waiting(&default_key()), provider.calls(&default_key())), (0, 1));
}

#[test]
fn a_call_that_began_to_wait_before_a_hang_is_answered() {
    let provider = FakeClientProvider::new(1);
    let hold = provider.hold(&default_key());
    let key = default_key();
    let mut call = provider.connection(&key);
    assert!((&mut call).now_or_never().is_none());
    provider.never_answer(&default_key());
    hold.release();
    assert!(call.now_or_never().is_some());
}

#[test]
fn calls_are_counted_by_cluster() {
    let provider = FakeClientProvider::new(1);
    for _ in 0..3 {
        answer(&provider, &default_key()).unwrap();
    }
    answer(&provider, &east()).unwrap_err();
    assert_eq!([default_key(), east(), west()].map(|key| provider.calls(&key)), [3, 1, 0]);
}

#[test]
fn waiting_for_calls_completes_by_the_call_that_makes_the_number_full() {
    let provider = FakeClientProvider::new(1);
    let _hold = provider.hold(&default_key());
    let key = default_key();
    let mut full = Box::pin(provider.wait_until_waiting(&key, 2));
    let mut calls = [provider.connection(&key), provider.connection(&key)];
    let mut context = Context::from_waker(Waker::noop());
    assert!(full.as_mut().poll(&mut context).is_pending());
    assert!(calls[0].as_mut().poll(&mut context).is_pending());
    assert!(full.as_mut().poll(&mut context).is_pending());
    assert!(calls[1].as_mut().poll(&mut context).is_pending());
    assert_eq!(full.as_mut().poll(&mut context), Poll::Ready(()));
}

#[test]
fn debug_shows_what_is_served_and_no_client() {
    let provider = FakeClientProvider::new("secret");
    provider.set_error(&east(), ProviderError::NotFound).unwrap();
    let shown = format!("{provider:?}");
    assert!(shown.contains("default") && shown.contains("fleet/east") && shown.contains("NotFound"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(format!("{:?}", provider.hold(&east())).contains("fleet/east"));
}

/// What a test gives the fake, and uses it whenever its own code runs: that must not find a lock held.
struct Entangled(FakeClientProvider<Entangled>);

impl Entangled {
    fn use_the_provider(&self) {
        self.0.cluster(&NamespacedName::cluster_scoped("any"));
        self.0.calls(&NamespacedName::cluster_scoped("any"));
    }
}

impl Clone for Entangled {
    fn clone(&self) -> Self {
        self.use_the_provider();
        Self(self.0.clone())
    }
}

impl Drop for Entangled {
    fn drop(&mut self) {
        self.use_the_provider();
    }
}

impl fmt::Debug for Entangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.use_the_provider();
        f.write_str("Entangled")
    }
}

impl fmt::Display for Entangled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Error for Entangled {}

#[test]
fn a_client_may_use_the_provider_while_it_is_cloned_or_dropped() {
    let provider = FakeClientProvider::empty();
    let client = || Entangled(provider.clone());
    provider.set_client(&east(), client()).unwrap();
    provider.add_client(&east(), client()).unwrap();
    provider.set_client(&east(), client()).unwrap();
    drop(block_on(provider.connection(&east())).unwrap());
    provider.set_cluster_error(&east(), fmt::Error).unwrap();
    provider.set_client(&east(), client()).unwrap();
    provider.remove(&east());
}

#[test]
fn an_error_may_use_the_provider_while_it_is_shown_or_dropped() {
    let provider = FakeClientProvider::empty();
    provider.set_cluster_error(&east(), Entangled(provider.clone())).unwrap();
    assert!(format!("{provider:?}").contains("Entangled"));
    provider.remove(&east());
}

#[test]
fn of_clients_set_by_many_threads_the_one_that_stays_has_the_latest_revision() {
    let provider = FakeClientProvider::empty();
    let setters: Vec<_> = (0..4)
        .map(|thread| {
            let provider = provider.clone();
            thread::spawn(move || {
                let set = |client| (provider.set_client(&east(), client).unwrap(), client);
                (0..200).map(|turn| set(thread * 1000 + turn)).collect::<Vec<_>>()
            })
        })
        .collect();
    let set: BTreeMap<_, _> = setters.into_iter().flat_map(|setter| setter.join().unwrap()).collect();
    assert_eq!(set.len(), 800, "no two clients share a revision");
    let (revision, client) = set.last_key_value().unwrap();
    assert_eq!(answer(&provider, &east()).unwrap(), (*client, *revision));
}

#[test]
fn a_client_that_the_manager_waits_for_is_the_one_set_meanwhile() {
    let provider = FakeClientProvider::new(1);
    let clients = ClientManager::new(provider.clone());
    let hold = provider.hold(&default_key());
    let stale = provider.cluster(&default_key());
    let race = async {
        provider.wait_until_waiting(&default_key(), 1).await;
        provider.set_client(&default_key(), 2).unwrap();
        hold.release();
    };
    let (answer, ()) = block_on(async { join!(clients.client(&"object", &stale), race) });
    assert!(matches!(answer, Err(ClientError::ClusterOutdated { .. })), "{answer:?}");
}
