//! The controller of `docs/writing-a-controller.md`, tested as the page says.

mod greetings;

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use clientmgr_fake::FakeClientProvider;
use clientmgr_fake::apiserver::{Fault, NoSocket, Replacement, Requests, TestServer};
use clientmgr_kube::{
    BoundState as _, BoundStates, ClientManager, ClusterConfig, ClusterObject as _, ConnectedAt, Fleet, NamespacedName,
    ObjectKey, ObservedCluster,
};
use futures::channel::mpsc;
use greetings::cluster::{Cluster, ClusterSpec, ClusterStatus};
use greetings::controller::run;
use greetings::greeting::{self, Context, Greeting, GreetingSpec, RESYNC, RETRY, cleanup, reconcile};
use greetings::status::publish;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, CustomResourceExt as _, ResourceExt as _};
use serde_json::json;

// The reconcile, over a fake provider and servers without a socket.

/// A cluster object as a cache may have it, current or stale by its revision.
fn cluster(connected_at: Option<ConnectedAt>) -> Cluster {
    let mut cluster = Cluster::new("production", ClusterSpec { context: "admin@prod".to_owned() });
    cluster.status = Some(ClusterStatus { connected_at, error: None });
    cluster
}

fn greeting(text: &str) -> Greeting {
    let spec = GreetingSpec { cluster: "production".to_owned(), text: text.to_owned() };
    let mut greeting = Greeting::new("hello", spec);
    greeting.metadata.uid = Some("7d1cbb0d-5c5b-4a5f-a9f5-e5a2f3f54b10".to_owned());
    greeting
}

fn setup() -> (FakeClientProvider<Client>, Context) {
    let provider = FakeClientProvider::empty();
    let context = Context { members: BoundStates::new(provider.clone().into()), changed: mpsc::unbounded().0 };
    (provider, context)
}

async fn text(member: &TestServer<NoSocket>) -> Option<String> {
    let maps: Api<ConfigMap> = Api::default_namespaced(member.client());
    maps.get_opt("hello").await.unwrap().and_then(|map| map.data?.remove("text"))
}

/// What is waited for must happen; how soon does not matter, but sooner than the watches end by themselves.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it does not happen")
}

#[tokio::test]
async fn a_greeting_moves_to_the_new_connection_once_the_cluster_object_shows_it() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let prod = NamespacedName::cluster_scoped("admin@prod");
    let old = TestServer::builder().start_without_socket()?;
    let new = TestServer::builder().start_without_socket()?;

    let first = provider.set_client(&prod, old.client())?;
    reconcile(&greeting("hi"), Some(&cluster(Some(first))), &context).await?;
    assert_eq!(text(&old).await.as_deref(), Some("hi"));
    soon(old.wait_for(Requests::watch("configmaps"))).await;

    // The cache lags: the state stays.
    let second = provider.set_client(&prod, new.client())?;
    reconcile(&greeting("ho"), Some(&cluster(Some(first))), &context).await?;
    assert_eq!(text(&old).await.as_deref(), Some("ho"));

    reconcile(&greeting("ha"), Some(&cluster(Some(second))), &context).await?;
    assert_eq!(text(&new).await.as_deref(), Some("ha"));
    assert_eq!(text(&old).await.as_deref(), Some("ho"));
    soon(old.wait_for(Requests::watch("configmaps").ended())).await;
    Ok(())
}

#[tokio::test]
async fn every_failure_has_its_next_step() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let prod = NamespacedName::cluster_scoped("admin@prod");

    let unknown = reconcile(&greeting("hi"), Some(&cluster(None)), &context).await?;
    assert_eq!(unknown, Action::await_change());

    provider.set_cluster_error(&prod, std::io::Error::from(ErrorKind::TimedOut))?;
    let unavailable = reconcile(&greeting("hi"), Some(&cluster(None)), &context).await?;
    assert_eq!(unavailable, Action::requeue(RETRY));

    let member = TestServer::builder().start_without_socket()?;
    let connected_at = provider.set_client(&prod, member.client())?;
    let outdated = reconcile(&greeting("hi"), Some(&cluster(None)), &context).await?;
    assert_eq!(outdated, Action::await_change());
    assert!(member.requests().is_empty());

    let told = reconcile(&greeting("hi"), Some(&cluster(Some(connected_at))), &context).await?;
    assert_eq!(told, Action::requeue(RESYNC));
    Ok(())
}

#[tokio::test]
async fn nothing_stays_of_a_greeting_that_goes_or_whose_cluster_does() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let member = TestServer::builder().start_without_socket()?;
    let cluster = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@prod"), member.client())?));
    let watch = || Requests::watch("configmaps");

    let begun = member.marker();
    reconcile(&greeting("hi"), Some(&cluster), &context).await?;
    soon(member.wait_for(watch().since(begun))).await;
    // Somebody still has it: it is the teardown that ends the watch, not the drop.
    let standing = async |_| unreachable!("it stands");
    let _held = context.members.get_or_build::<_, std::io::Error, _>(&greeting("hi"), &cluster, standing).await?;
    reconcile(&greeting("hi"), None, &context).await?;
    soon(member.wait_for(watch().since(begun).ended())).await;
    assert_eq!(context.members.objects(), 0);

    let again = member.marker();
    reconcile(&greeting("hi"), Some(&cluster), &context).await?;
    soon(member.wait_for(watch().since(again))).await;
    cleanup(&greeting("hi"), Some(&cluster), &context).await?;
    soon(member.wait_for(watch().since(again).ended())).await;
    assert_eq!(context.members.objects(), 0);
    assert_eq!(text(&member).await, None);

    cleanup(&greeting("hi"), Some(&cluster), &context).await?; // the map is gone already
    Ok(())
}

#[tokio::test]
async fn a_greeting_that_cannot_be_taken_away_is_kept() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    provider
        .set_cluster_error(&NamespacedName::cluster_scoped("admin@prod"), std::io::Error::from(ErrorKind::TimedOut))?;
    assert!(cleanup(&greeting("hi"), Some(&cluster(None)), &context).await.is_err(), "an `Ok` ends the finalizer");
    assert!(cleanup(&greeting("hi"), None, &context).await.is_ok(), "there is nowhere to take it from");
    Ok(())
}

#[tokio::test]
async fn a_greeting_that_names_another_cluster_leaves_the_first() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let [east, west] = ["east", "west"].map(|_| TestServer::builder().start_without_socket());
    let (east, west) = (east?, west?);
    let first = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@prod"), east.client())?));
    let mut second = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@west"), west.client())?));
    second.spec.context = "admin@west".to_owned();

    reconcile(&greeting("hi"), Some(&first), &context).await?;
    soon(east.wait_for(Requests::watch("configmaps"))).await;
    reconcile(&greeting("hi"), Some(&second), &context).await?;
    soon(east.wait_for(Requests::watch("configmaps").ended())).await;
    assert_eq!(text(&west).await.as_deref(), Some("hi"));
    Ok(())
}

#[tokio::test]
async fn a_watch_that_broke_is_begun_anew() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let member = TestServer::builder().start_without_socket()?;
    let cluster = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@prod"), member.client())?));
    reconcile(&greeting("hi"), Some(&cluster), &context).await?;
    let standing = async |_| unreachable!("it stands");
    let broken = context.members.get_or_build::<_, std::io::Error, _>(&greeting("hi"), &cluster, standing).await?;
    broken.task.teardown();
    while !broken.task.is_finished() {
        tokio::task::yield_now().await;
    }

    let begun = member.marker();
    let action = reconcile(&greeting("hi"), Some(&cluster), &context).await?;
    assert_eq!(action, Action::requeue(Duration::ZERO));
    assert_eq!(reconcile(&greeting("hi"), Some(&cluster), &context).await?, Action::requeue(RESYNC));
    soon(member.wait_for(Requests::watch("configmaps").since(begun))).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_answered_is_given_up() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let member = TestServer::builder().start_without_socket()?;
    let cluster = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@prod"), member.client())?));
    member.inject(Fault::NeverAnswer.on(Requests::patch("configmaps")).times(1));
    let error = reconcile(&greeting("hi"), Some(&cluster), &context).await.unwrap_err();
    assert!(matches!(error, greeting::Error::Deadline), "{error:?}");
    reconcile(&greeting("hi"), Some(&cluster), &context).await?;
    assert_eq!(text(&member).await.as_deref(), Some("hi"));
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_looked_at_without_a_client() -> Result<(), Box<dyn Error>> {
    let provider = FakeClientProvider::<Client>::empty();
    let clients = ClientManager::new(provider);
    let error = clients.client(&greeting("hi"), &cluster(None)).await.err().unwrap();
    assert!(error.is_not_found());
    Ok(())
}

#[tokio::test]
async fn an_object_whose_kind_is_known_at_run_time_is_known_by_its_uid() -> Result<(), Box<dyn Error>> {
    let (provider, context) = setup();
    let member = TestServer::builder().start_without_socket()?;
    let cluster = cluster(Some(provider.set_client(&NamespacedName::cluster_scoped("admin@prod"), member.client())?));
    reconcile(&greeting("hi"), Some(&cluster), &context).await?;

    let object: DynamicObject = serde_json::from_value(serde_json::to_value(greeting("hi"))?)?;
    let key = ObjectKey::of_uid(&object.uid().expect("the greeting has one"));
    let observed = ObservedCluster { key: cluster.cluster_key(), revision: cluster.connected_at() };
    let standing = async |_| unreachable!("it stands");
    let members = context.members.by_key();
    members.get_or_build::<std::io::Error, _>(&key, &observed, standing).await?;
    members.forget(&key);
    assert_eq!(context.members.objects(), 0);

    let clients = ClientManager::new(provider);
    assert!(!clients.by_key().refresh(&key, &observed).is_reset());
    clients.by_key().client(&key, &observed).await?;
    Ok(())
}

// All of it, over a fleet and servers with sockets.

async fn greeted(server: &TestServer, words: &str) -> Result<(), Box<dyn Error>> {
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client().await?);
    let says =
        |map: Option<&ConfigMap>| map.and_then(|map| map.data.as_ref()?.get("text")).is_some_and(|text| text == words);
    soon(await_condition(maps, "hello", says)).await?;
    Ok(())
}

async fn published(
    clusters: &Api<Cluster>,
    what: impl Fn(Option<ConnectedAt>) -> bool,
) -> Result<Option<ConnectedAt>, Box<dyn Error>> {
    let tells = |cluster: Option<&Cluster>| {
        cluster.is_some_and(|cluster| cluster.status.is_some() && what(cluster.connected_at()))
    };
    let cluster = soon(await_condition(clusters.clone(), "production", tells)).await?;
    Ok(cluster.and_then(|cluster| cluster.connected_at()))
}

#[tokio::test]
async fn a_greeting_follows_its_cluster() -> Result<(), Box<dyn Error>> {
    let hub = TestServer::builder().install(Cluster::crd()).install(Greeting::crd()).start().await?;
    let prod = TestServer::builder().name("admin@prod").start().await?;
    let key = NamespacedName::cluster_scoped("admin@prod");
    let old = prod.issue_token("greeter");

    let fleet = Fleet::builder().probe_interval(Duration::from_millis(200)).build();
    fleet.upsert(key.clone(), ClusterConfig::from_kubeconfig(&prod.kubeconfig_for(&old), "admin@prod"));
    let client = hub.client().await?;
    let publishing = tokio::spawn(publish(client.clone(), fleet.clone()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let controller = tokio::spawn(run(client.clone(), fleet.clone().into(), stopped));

    let clusters: Api<Cluster> = Api::all(client.clone());
    let greetings: Api<Greeting> = Api::all(client);
    clusters.create(&PostParams::default(), &cluster(None)).await?;
    let mut first_greeting = greeting("hi");
    first_greeting.metadata.uid = None;
    greetings.create(&PostParams::default(), &first_greeting).await?;
    greeted(&prod, "hi").await?;
    let first = published(&clusters, |connected_at| connected_at.is_some()).await?;
    let watch = || Requests::watch("configmaps");
    soon(prod.wait_for(watch().with(old.fingerprint()).answered())).await;

    // The token is rotated in place: the revision stays, and so does the watch.
    let new = prod.issue_token("greeter");
    fleet.upsert(key.clone(), ClusterConfig::from_kubeconfig(&prod.kubeconfig_for(&new), "admin@prod"));
    assert_eq!(Some(fleet.reconnect(&key).await?), first);
    prod.revoke(old.fingerprint());
    let rotated = prod.marker();
    write(&greetings, "ho").await?;
    greeted(&prod, "ho").await?;
    assert!(prod.requests_matching(Requests::any().since(rotated).with(old.fingerprint())).is_empty());

    // Another cluster answers: a later revision, and everything is built again.
    prod.replace(Replacement::SameCa)?;
    let replaced = prod.marker();
    let second = published(&clusters, |connected_at| connected_at > first).await?;
    greeted(&prod, "ho").await?;
    soon(prod.wait_for(watch().since(replaced).answered())).await;

    // The watch is alive: what others do to the map is undone.
    let maps: Api<ConfigMap> = Api::default_namespaced(prod.client().await?);
    maps.delete("hello", &DeleteParams::default()).await?;
    greeted(&prod, "ho").await?;

    // The member stops, and comes back under the same revision.
    prod.stop().await;
    write(&greetings, "ha").await?;
    let back = prod.marker();
    prod.start().await?;
    greeted(&prod, "ha").await?;
    soon(prod.wait_for(watch().since(back).with(new.fingerprint()).answered())).await;
    assert_eq!(published(&clusters, |connected_at| connected_at.is_some()).await?, second);

    // What is deleted on the hub is gone on the member, and so is the watch.
    let last = prod.marker();
    greetings.delete("hello", &DeleteParams::default()).await?;
    soon(await_condition(greetings, "hello", |greeting: Option<&Greeting>| greeting.is_none())).await?;
    assert!(maps.get_opt("hello").await?.is_none());
    let deletion = Requests::delete("configmaps").since(last).with(new.fingerprint());
    assert_eq!(prod.requests_matching(deletion.status(200)).len(), 1);
    soon(prod.wait_for(watch().since(back).with(new.fingerprint()).ended())).await;

    _ = stop.send(());
    soon(controller).await?;
    publishing.abort();
    Ok(())
}

async fn write(greetings: &Api<Greeting>, text: &str) -> Result<(), kube::Error> {
    let patch = Patch::Merge(json!({ "spec": { "text": text } }));
    greetings.patch("hello", &PatchParams::default(), &patch).await.map(drop)
}

// The binary.

const CHILD: &str = "WRITING_A_CONTROLLER_CHILD";

/// In the child it is the binary; the parent is the test.
#[test]
fn the_binary_runs_on_a_kubeconfig() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(CHILD).is_some() {
        return greetings::binary::main();
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let hub = TestServer::builder().name("hub").install(Cluster::crd()).install(Greeting::crd()).start().await?;
        let prod = TestServer::builder().name("admin@prod").start().await?;
        let directory = tempfile::tempdir()?;
        let files = [&hub, &prod].map(|server| (directory.path().join(server.name()), server));
        for (file, server) in &files {
            std::fs::write(file, server.kubeconfig_yaml(&server.admin()))?;
        }
        let client = hub.client().await?;
        let mut asked = greeting("hi");
        asked.metadata.uid = None;
        Api::all(client.clone()).create(&PostParams::default(), &asked).await?;
        Api::all(client).create(&PostParams::default(), &cluster(None)).await?;

        let _child = tokio::process::Command::new(std::env::current_exe()?)
            .args(["--exact", "the_binary_runs_on_a_kubeconfig"])
            .env(CHILD, "1")
            .env("KUBECONFIG", std::env::join_paths(files.map(|(file, _)| file))?)
            .kill_on_drop(true)
            .spawn()?;
        greeted(&prod, "hi").await
    })
}
