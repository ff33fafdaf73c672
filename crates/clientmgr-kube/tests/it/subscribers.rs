//! Events of a fleet, and callers that race for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clientmgr_fake::apiserver::Fault;
use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
use clientmgr_kube::kube::Client;
use clientmgr_kube::{BoundState, BoundStates, ClientProvider, ClusterChanges, ConnectErrorKind};
use futures::future::join_all;
use futures::{FutureExt, StreamExt};

use crate::support::{add, builder, config, fleet_of, key, served, server, until, within};
use crate::traffic::list;

#[tokio::test]
async fn a_subscriber_gets_a_resync_first_and_then_what_changed() {
    let (east, west) = (server("east").await, server("west").await);
    let fleet = fleet_of(&[&east]);
    fleet.wait_connected(&key("east")).await.unwrap();
    let mut events = fleet.events();
    assert_eq!(events.next().now_or_never(), Some(Some(ClusterChanges::Resync)));
    assert_eq!(events.next().now_or_never(), None);
    add(fleet.clone(), &[&west]);
    fleet.wait_connected(&key("west")).await.unwrap();
    assert_eq!(within(events.next()).await, Some(ClusterChanges::Changed(vec![key("west")])));
    fleet.remove(key("east"));
    assert_eq!(within(events.next()).await, Some(ClusterChanges::Changed(vec![key("east")])));
    assert!(fleet.snapshot(key("east")).is_none());
}

#[tokio::test]
async fn a_thousand_subscribers_and_slow_and_dropped_ones_all_learn_the_last_state() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    let mut slow = fleet.events();
    drop((0..100).map(|_| fleet.events()).collect::<Vec<_>>());
    let subscribers = (0..1_000).map(|_| {
        let (fleet, mut events, east) = (fleet.clone(), fleet.events(), east.clone());
        tokio::spawn(async move {
            loop {
                events.next().await.expect("the fleet lives");
                if let Some(at) = fleet
                    .snapshot(&east)
                    .filter(clientmgr_kube::ClusterSnapshot::is_connected)
                    .and_then(|now| now.connected_at)
                {
                    return at;
                }
            }
        })
    });
    let subscribers: Vec<_> = subscribers.collect();
    let first = fleet.wait_connected(&east).await.unwrap();
    for seen in within(join_all(subscribers)).await {
        assert_eq!(seen.unwrap(), first);
    }
    for _ in 0..100 {
        fleet.reset(&east).await.unwrap();
    }
    assert_eq!(slow.next().await, Some(ClusterChanges::Resync));
    assert_eq!(slow.next().now_or_never(), None, "all of it is in one item");
}

#[tokio::test]
async fn the_events_end_with_the_fleet() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    fleet.wait_connected(&key("east")).await.unwrap();
    let events = fleet.events();
    drop(fleet);
    within(events.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_racing_upserts_is_served() {
    let servers = [server("blue").await, server("green").await];
    let fleet = builder().build();
    let shop = key("shop");
    for round in 0..10 {
        let racing = servers.iter().map(|server| {
            let (fleet, config) = (fleet.clone(), config(server, &server.admin()));
            tokio::spawn(async move {
                for _ in 0..20 {
                    fleet.upsert("shop", config.clone());
                    tokio::task::yield_now().await;
                }
            })
        });
        join_all(racing.collect::<Vec<_>>()).await;
        let last = &servers[round % 2];
        fleet.upsert("shop", config(last, &last.admin()));
        let identity = last.kube_system_uid();
        let settled = until(&fleet, &shop, |now| {
            now.is_connected() && now.identity.as_ref().is_some_and(|it| it.to_string() == identity)
        });
        assert_eq!(served_at(&fleet, &shop, settled.await.connected_at).await, identity);
    }
}

/// Which cluster the client of a revision leads to.
async fn served_at(
    fleet: &clientmgr_kube::Fleet,
    key: &clientmgr_kube::NamespacedName,
    revision: Option<clientmgr_kube::ConnectedAt>,
) -> String {
    use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
    let connection = served(fleet, key).await;
    assert_eq!(Some(connection.revision), revision);
    let namespaces = kube::Api::<Namespace>::all(connection.client);
    namespaces.get("kube-system").await.unwrap().metadata.uid.unwrap()
}

#[tokio::test]
async fn a_cluster_is_deleted_and_added_while_it_connects() {
    let server = server("east").await;
    let fleet = builder().build();
    let (east, config) = (key("east"), config(&server, &server.admin()));
    let hanging = server.inject(Fault::NeverAnswer);
    for _ in 0..20 {
        fleet.upsert("east", config.clone());
        let connecting = fleet.wait_connected(&east);
        let (outcome, removed) = futures::future::join(connecting, async { fleet.remove(&east) }).await;
        assert!(removed);
        assert_eq!(outcome.unwrap_err().kind(), ConnectErrorKind::NotFound);
    }
    hanging.lift();
    fleet.upsert("east", config);
    fleet.wait_connected(&east).await.unwrap();
    assert_eq!(fleet.clusters(), [east]);
}

/// A state, and how many of its kind are not torn down.
struct Held(Client, Arc<AtomicUsize>);

impl BoundState for Held {
    fn teardown(&self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn futures_that_are_dropped_at_every_await_leave_the_fleet_as_it_goes() {
    let server = server("east").await;
    let fleet = fleet_of(&[&server]);
    let east = key("east");
    fleet.wait_connected(&east).await.unwrap();
    let states = BoundStates::<Held, _>::new(fleet.clone());
    let (object, standing) = (ConfigMap::default(), Arc::new(AtomicUsize::new(0)));
    let build = |client| async {
        tokio::task::yield_now().await;
        standing.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(Held(client, Arc::clone(&standing)))
    };
    for polls in 0..20 {
        for what in 0..8 {
            let call = async {
                match what {
                    6 => drop(states.get_or_build(&object, &fleet.snapshot(&east).unwrap(), build).await),
                    0 => drop(fleet.client("east").await),
                    1 => drop(fleet.probe(&east).await),
                    2 => drop(fleet.reconnect(&east).await),
                    3 => drop(fleet.connection(&east).await),
                    4 => drop(fleet.reset(&east).await),
                    5 => drop(fleet.events().next().await),
                    _ => drop(fleet.wait_connected(&east).await),
                }
            };
            let mut call = std::pin::pin!(call);
            for _ in 0..polls {
                if futures::poll!(call.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    // What was asked for happens all the same: a reset too.
    within(fleet.probe(&east)).await.unwrap();
    let revision = served(&fleet, &east).await.revision;
    assert_eq!(within(fleet.reconnect(&east)).await.unwrap(), revision);
    assert_eq!(within(fleet.probe(&east)).await.unwrap(), revision);
    let state = within(states.get_or_build(&object, &fleet.snapshot(&east).unwrap(), build)).await.unwrap();
    list(&state.0).await.unwrap();
    assert_eq!(standing.load(Ordering::SeqCst), 1, "every other state was torn down");
    for polls in 0..5 {
        let mut ending = Box::pin(fleet.shutdown());
        for _ in 0..polls {
            if futures::poll!(ending.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    within(fleet.shutdown()).await;
    assert!(fleet.clusters().is_empty());
}
