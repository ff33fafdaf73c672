//! What an object gets is what its cluster object names: on a fleet, and for random schedules over a fake provider.

use clientmgr_fake::FakeClientProvider;
use clientmgr_kube::{ClientError, ConnectedAt, NamespacedName, ObservedCluster, Revoked};
use clientmgr_runtime::watch::RemoteWatches;
use http::{Request, Response};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::client::Body;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client};
use proptest::prelude::*;

use super::support::{World, holds, names, object, watch_maps};
use crate::requeue::support::within;

#[tokio::test]
async fn an_object_that_holds_an_old_revision_never_sees_the_store_of_another() {
    let world = World::new().await;
    world.create("m", "a").await;
    let (ahead, behind, old) = (object("ahead"), object("behind"), world.cluster());
    let first = world.ready(&ahead).await;
    world.ready(&behind).await;
    world.fleet.reset("east").await.unwrap();
    holds("the old watch ends", || first.has_ended()).await;

    let second = world.ready(&ahead).await;
    assert!(second.revision() > first.revision());
    let fenced = first.client().apiserver_version().await.unwrap_err();
    assert!(Revoked::find(&fenced).is_some(), "{fenced:?}");
    second.client().apiserver_version().await.unwrap();
    // The cluster object in the hand of the other is still the previous one.
    for _ in 0..3 {
        let error = within(world.maps.get(&behind, &old)).await.unwrap_err();
        assert!(matches!(error, ClientError::ClusterOutdated { .. }), "{error:?}");
    }
    // A cache that goes back in time gets nothing, and ends nothing.
    let error = within(world.maps.get(&ahead, &old)).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::ClusterOutdated { observed, current, .. }
            if *observed == old.connected_at && *current == second.revision()),
        "{error:?}"
    );
    let shared = world.ready(&behind).await;
    assert_eq!((shared.revision(), names(&shared)), (second.revision(), vec!["m".to_owned()]));
    assert!(!second.has_ended());
    world.request(watch_maps().answered()).await;
    assert_eq!((world.lists(), world.maps.watches()), (2, 1), "one for each revision");
}

/// A step of a schedule: objects and the revisions that they observe are numbers.
#[derive(Clone, Debug)]
enum Step {
    /// The cluster is connected anew, under a later revision.
    Connect,
    /// It is unavailable.
    Lose,
    /// An object asks, with the cluster object of so many revisions ago.
    Get(u8, usize),
    /// An object asks, with a cluster object without a revision.
    GetUnnamed(u8),
    Forget(u8),
}

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Connect),
        1 => Just(Step::Lose),
        6 => (0..4_u8, 0..3_usize).prop_map(|(object, ago)| Step::Get(object, ago)),
        1 => (0..4_u8).prop_map(Step::GetUnnamed),
        1 => (0..4_u8).prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 1..60)
}

/// A client that is never answered.
fn silent() -> Client {
    let service =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, std::io::Error>>());
    Client::new(service, "default")
}

async fn run(schedule: Vec<Step>) -> Result<(), TestCaseError> {
    let (fake, key) = (std::sync::Arc::new(FakeClientProvider::<Client>::empty()), NamespacedName::from("east"));
    let mapper = |_: &ConfigMap, _: &NamespacedName| Vec::<ObjectRef<Secret>>::new();
    let provider = std::sync::Arc::clone(&fake);
    let (maps, _triggers) =
        RemoteWatches::<Secret, ConfigMap, _>::new(provider, Api::all, watcher::Config::default(), mapper);
    let mut revisions: Vec<ConnectedAt> = Vec::new();
    // What each object got last.
    let mut held: [Option<ConnectedAt>; 4] = [None; 4];
    for step in schedule {
        match step {
            Step::Connect => revisions.push(fake.set_client(&key, silent()).unwrap()),
            Step::Lose => fake.set_cluster_error(&key, std::io::Error::other("lost")).unwrap(),
            Step::Get(number, ago) => {
                let revision = revisions.iter().rev().nth(ago).copied();
                let cluster = ObservedCluster { key: key.clone(), revision };
                let got = maps.get(&object(&number.to_string()), &cluster).await;
                if let Ok(watch) = &got {
                    prop_assert_eq!(Some(watch.revision()), revision);
                    prop_assert!(!watch.has_ended());
                    held[usize::from(number)] = revision;
                } else if revision.is_none() || revision > held[usize::from(number)] {
                    // Another revision was observed, and not an older one: the old watch was torn down.
                    held[usize::from(number)] = None;
                }
            }
            Step::GetUnnamed(number) => {
                let cluster = ObservedCluster { key: key.clone(), revision: None };
                prop_assert!(maps.get(&object(&number.to_string()), &cluster).await.is_err());
                held[usize::from(number)] = None;
            }
            Step::Forget(number) => {
                maps.forget(&object(&number.to_string()));
                held[usize::from(number)] = None;
            }
        }
        // One watch for each revision that objects hold, no more and no fewer.
        let mut open: Vec<_> = held.iter().flatten().collect();
        open.sort_unstable();
        open.dedup();
        prop_assert_eq!(maps.watches(), open.len(), "{:?}", held);
    }
    for number in 0..4 {
        maps.forget(&object(&number.to_string()));
    }
    prop_assert_eq!((maps.watches(), maps.objects()), (0, 0));
    Ok(())
}

proptest! {
    #[test]
    fn for_every_schedule_what_an_object_gets_is_what_its_cluster_object_names(schedule in schedules()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(schedule))?;
    }
}
