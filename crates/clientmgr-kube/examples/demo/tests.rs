//! The demo's reconcile, unchanged, over a fake provider; and the demo itself.

use std::sync::Arc;

use clientmgr_fake::FakeClientProvider;
use clientmgr_fake::apiserver::{NoSocket, TestServer};
use clientmgr_kube::{BoundError, ClientError, ConnectedAt, DynProvider, NamespacedName};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::{Api, CustomResourceExt};
use serde_json::json;

use crate::api::{Beacon, BeaconSpec, Cluster, ClusterSpec};
use crate::controller::{Context, Error, reconcile};
use crate::journal::{Event, Journal};
use crate::status::key;

/// A hub and a member without sockets, and a fleet that the test plays by hand.
struct World {
    hub: TestServer<NoSocket>,
    member: TestServer<NoSocket>,
    provider: FakeClientProvider<kube::Client>,
    context: Arc<Context>,
}

impl World {
    async fn new() -> Self {
        let hub = TestServer::builder().install(Cluster::crd()).install(Beacon::crd()).start_without_socket().unwrap();
        let member = TestServer::builder().start_without_socket().unwrap();
        let provider = FakeClientProvider::empty();
        let context = Context::new(hub.client(), DynProvider::new(provider.clone()), Journal::new());
        let world = Self { hub, member, provider, context };
        let clusters: Api<Cluster> = Api::default_namespaced(world.hub.client());
        clusters.create(&PostParams::default(), &Cluster::new("east", ClusterSpec {})).await.unwrap();
        let spec = BeaconSpec { cluster: "east".into(), message: "hello".into() };
        let beacon = Beacon { metadata: ObjectMeta { name: Some("anna".into()), ..ObjectMeta::default() }, spec };
        world.beacons().create(&PostParams::default(), &beacon).await.unwrap();
        // The first reconcile of an object only sets its finalizer.
        world.reconcile().await.unwrap();
        world
    }

    fn key() -> NamespacedName {
        key("east")
    }

    fn beacons(&self) -> Api<Beacon> {
        Api::default_namespaced(self.hub.client())
    }

    fn connect(&self) -> ConnectedAt {
        self.provider.set_client(&Self::key(), self.member.client()).unwrap()
    }

    async fn publish(&self, connected_at: Option<ConnectedAt>) {
        let clusters: Api<Cluster> = Api::default_namespaced(self.hub.client());
        let patch = Patch::Merge(json!({ "status": { "connectedAt": connected_at } }));
        clusters.patch_status("east", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn reconcile(&self) -> Result<Action, Error> {
        let beacon = self.beacons().get("anna").await.unwrap();
        reconcile(Arc::new(beacon), Arc::clone(&self.context)).await
    }

    async fn written(&self) -> Option<String> {
        let maps: Api<ConfigMap> = Api::default_namespaced(self.member.client());
        maps.get_opt("anna").await.unwrap()?.data?.remove("message")
    }

    fn builds_and_teardowns(&self) -> (usize, usize) {
        let count = |matches: fn(&Event) -> bool| self.context.journal.count_since(0, matches);
        (count(|event| matches!(event, Event::Built { .. })), count(|event| matches!(event, Event::TornDown { .. })))
    }
}

#[tokio::test]
async fn a_beacon_is_written_to_the_cluster_it_names() {
    let world = World::new().await;
    world.publish(Some(world.connect())).await;
    world.reconcile().await.unwrap();
    world.reconcile().await.unwrap();
    assert_eq!(world.written().await.as_deref(), Some("hello"));
    assert_eq!(world.builds_and_teardowns(), (1, 0));
}

#[tokio::test]
async fn a_replaced_connection_resets_the_beacon_once_its_status_shows_it() {
    let world = World::new().await;
    world.publish(Some(world.connect())).await;
    world.reconcile().await.unwrap();

    let replaced = world.connect();
    world.reconcile().await.unwrap();
    assert_eq!(world.builds_and_teardowns(), (1, 0), "the status does not tell of it yet");
    world.publish(Some(replaced)).await;
    world.reconcile().await.unwrap();
    assert_eq!(world.builds_and_teardowns(), (2, 1));
}

#[tokio::test]
async fn a_cluster_that_fails_gives_a_typed_error_and_recovery_builds_anew() {
    let world = World::new().await;
    world.publish(Some(world.connect())).await;
    world.reconcile().await.unwrap();

    world.provider.set_cluster_error(&World::key(), std::io::Error::other("west is away")).unwrap();
    world.publish(None).await;
    let refused = world.reconcile().await.unwrap_err();
    assert!(matches!(refused, Error::NoClient(BoundError::Client(ClientError::Unavailable { .. }))), "{refused:?}");
    assert_eq!(world.builds_and_teardowns(), (1, 1));

    world.publish(Some(world.connect())).await;
    world.reconcile().await.unwrap();
    assert_eq!(world.builds_and_teardowns(), (2, 1));
}

#[tokio::test]
async fn a_deleted_beacon_takes_its_message_with_it_and_is_forgotten() {
    let world = World::new().await;
    world.publish(Some(world.connect())).await;
    world.reconcile().await.unwrap();
    world.beacons().delete("anna", &DeleteParams::default()).await.unwrap();
    world.reconcile().await.unwrap();
    assert_eq!(world.written().await, None);
    assert_eq!(world.context.stations.objects(), 0);
    assert_eq!(world.builds_and_teardowns(), (1, 1));
    assert!(world.beacons().get_opt("anna").await.unwrap().is_none(), "the finalizer is gone");
}

#[tokio::test]
async fn a_beacon_can_be_deleted_while_its_cluster_is_away() {
    let world = World::new().await;
    world.provider.set_cluster_error(&World::key(), std::io::Error::other("west is away")).unwrap();
    world.beacons().delete("anna", &DeleteParams::default()).await.unwrap();
    world.reconcile().await.unwrap();
    assert!(world.beacons().get_opt("anna").await.unwrap().is_none());
    assert_eq!(world.context.stations.objects(), 0);
}

#[tokio::test]
async fn the_whole_story_holds() {
    crate::scenario::run().await.unwrap();
}

#[tokio::test]
async fn real_clusters_are_watched_and_a_dead_one_does_not_stop_the_others() {
    let [alive, dead] = [TestServer::start_default().await.unwrap(), TestServer::start_default().await.unwrap()];
    dead.stop().await;
    let mut kubeconfig = alive.kubeconfig();
    let mut other = dead.kubeconfig();
    let name = kubeconfig.contexts[0].name.clone();
    other.contexts[0].name = "dead".into();
    other.clusters[0].name = "dead".into();
    other.auth_infos[0].name = "dead".into();
    let context = other.contexts[0].context.as_mut().unwrap();
    (context.cluster, context.user) = ("dead".into(), Some("dead".into()));
    kubeconfig = kubeconfig.merge(other).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, &kubeconfig).unwrap();

    let (lines, mut received) = tokio::sync::mpsc::unbounded_channel();
    let report = Arc::new(move |line| lines.send(line).unwrap());
    let until_both_are_told = async {
        let (mut namespace, mut refused) = (false, false);
        while !(namespace && refused) {
            let line: String = received.recv().await.unwrap();
            namespace |= line == format!("{name}: namespace kube-system exists");
            refused |= line.starts_with("dead: ") && line.contains("refused");
        }
    };
    let watching = crate::real::watch_all(file.path(), &[], report, until_both_are_told);
    tokio::time::timeout(std::time::Duration::from_secs(30), watching).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named() {
    let server = TestServer::start_default().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, &server.kubeconfig()).unwrap();
    let error = crate::real::run(file.path(), &["nowhere".into()], std::future::pending()).await.unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig has no context \"nowhere\"");
}
