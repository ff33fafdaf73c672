//! The streams by themselves: scripted watch events and changes, no server.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_kube::{ClusterChanges, NamespacedName};
use clientmgr_runtime::requeue::{Changes, Dependants, requeue_all};
use futures::channel::mpsc::{self, UnboundedSender};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

/// An object that depends on these clusters.
fn object(name: &str, clusters: &[&str]) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("work".into());
    object.metadata.name = Some(name.into());
    object.data = Some(clusters.iter().map(|cluster| ((*cluster).to_owned(), String::new())).collect());
    object
}

fn index() -> Dependants<ConfigMap> {
    Dependants::new(|object: &ConfigMap| -> Vec<NamespacedName> {
        object.data.iter().flatten().map(|(cluster, _)| NamespacedName::from(cluster.as_str())).collect()
    })
}

/// Lets the index observe these events.
fn observe(dependants: &Dependants<ConfigMap>, events: impl IntoIterator<Item = Event<ConfigMap>>) {
    let events = stream::iter(events.into_iter().map(Ok::<_, Infallible>).collect::<Vec<_>>());
    let passed = dependants.observe(events).count().now_or_never();
    assert!(passed.is_some(), "events pass through");
}

/// An index of `a` on east, `b` on east and west, `c` on west.
fn three() -> Dependants<ConfigMap> {
    let dependants = index();
    let objects = [object("a", &["east"]), object("b", &["east", "west"]), object("c", &["west"])];
    observe(&dependants, objects.map(Event::Apply));
    dependants
}

fn refs(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| reference(name).to_string()).collect()
}

fn reference(name: &str) -> ObjectRef<ConfigMap> {
    ObjectRef::new(name).within("work")
}

/// Everything that can be read now. Each object is there once.
fn read(requeue: &mut (impl Stream<Item = ObjectRef<ConfigMap>> + Unpin)) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    while let Some(Some(found)) = requeue.next().now_or_never() {
        assert!(all.insert(found.to_string()), "{found} twice");
    }
    all
}

fn changes<T: Into<Changes> + Send + 'static>() -> (UnboundedSender<T>, impl Stream<Item = T> + Send + 'static) {
    mpsc::unbounded()
}

#[test]
fn a_change_of_a_cluster_brings_its_dependants() {
    let dependants = three();
    let (change, changes) = changes::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    assert_eq!(read(&mut requeue), refs(&[]));
    for (cluster, expected) in [("east", &["a", "b"][..]), ("west", &["b", "c"]), ("north", &[])] {
        change.unbounded_send(cluster.into()).unwrap();
        assert_eq!(read(&mut requeue), refs(expected), "{cluster}");
    }
    assert_eq!(dependants.of(&"east".into()).len(), 2);
}

#[test]
fn a_resync_brings_all_dependants_once() {
    let (change, changes) = changes::<ClusterChanges>();
    let mut requeue = three().requeue(changes);
    change.unbounded_send(ClusterChanges::Resync).unwrap();
    change.unbounded_send(ClusterChanges::Changed(vec!["east".into()])).unwrap();
    assert_eq!(read(&mut requeue), refs(&["a", "b", "c"]));
}

#[test]
fn an_object_is_pending_once_however_often_its_clusters_change_before_it_is_read() {
    let (change, changes) = changes::<NamespacedName>();
    let mut requeue = three().requeue(changes);
    for _ in 0..20 {
        change.unbounded_send("east".into()).unwrap();
        change.unbounded_send("west".into()).unwrap();
    }
    let first = requeue.next().now_or_never().flatten().expect("an object");
    // Changes while the rest is unread make only the first pending again.
    change.unbounded_send("east".into()).unwrap();
    change.unbounded_send("west".into()).unwrap();
    assert_eq!(read(&mut requeue), refs(&["a", "b", "c"]), "after {first}");
}

#[test]
fn an_object_that_was_deleted_or_moved_meanwhile_is_not_sent() {
    let dependants = three();
    let (change, changes) = changes::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    change.unbounded_send("east".into()).unwrap();
    change.unbounded_send("west".into()).unwrap();
    let first = requeue.next().now_or_never().flatten().expect("an object");
    let gone: Vec<_> = ["a", "b", "c"].into_iter().filter(|name| reference(name) != first).collect();
    // One is deleted, and a relist no longer has the other.
    observe(&dependants, [Event::Delete(object(gone[0], &["east"]))]);
    observe(&dependants, [Event::Init, Event::InitApply(object("new", &["east"])), Event::InitDone]);
    assert_eq!(read(&mut requeue), refs(&[]));
    change.unbounded_send("east".into()).unwrap();
    assert_eq!(read(&mut requeue), refs(&["new"]));
    observe(&dependants, [Event::Apply(object("new", &["west"]))]);
    change.unbounded_send("east".into()).unwrap();
    assert_eq!(read(&mut requeue), refs(&[]));
}

#[test]
fn until_a_list_is_complete_the_objects_of_before_count() {
    let dependants = three();
    observe(&dependants, [Event::Init, Event::InitApply(object("new", &["east"]))]);
    assert_eq!(dependants.of(&"east".into()).len(), 2);
    observe(&dependants, [Event::Init, Event::InitApply(object("newer", &["east"])), Event::InitDone]);
    assert_eq!(dependants.of(&"east".into()), [reference("newer")]);
}

#[test]
fn a_slow_reader_keeps_at_most_one_entry_for_each_object_that_exists() {
    let dependants = index();
    let (change, changes) = changes::<NamespacedName>();
    let mut requeue = dependants.requeue(changes);
    for round in 0..100 {
        // Every object is another one than in the round before.
        let objects = (0..10).map(|number| Event::InitApply(object(&format!("{round}-{number}"), &["east"])));
        observe(&dependants, [Event::Init].into_iter().chain(objects).chain([Event::InitDone]));
        change.unbounded_send("east".into()).unwrap();
        // It reads one object, while ten become pending.
        assert!(requeue.next().now_or_never().is_some());
    }
    let left = read(&mut requeue);
    assert_eq!(left.len(), 9, "of the last round: {left:?}");
}

#[test]
fn errors_of_the_watcher_pass_through_and_change_nothing() {
    let dependants = three();
    let events = stream::iter([Err("broken"), Ok(Event::Apply(object("d", &["east"])))]);
    let passed: Vec<_> = dependants.observe(events).map(|event| event.is_ok()).collect().now_or_never().unwrap();
    assert_eq!(passed, [false, true]);
    assert_eq!(dependants.of(&"east".into()).len(), 3);
}

#[test]
fn the_streams_end_with_their_source_after_what_is_left() {
    let left: Vec<_> = three().requeue(stream::iter([NamespacedName::from("west")])).collect().now_or_never().unwrap();
    assert_eq!(left.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), refs(&["b", "c"]));
    let all: Vec<_> = requeue_all(stream::iter([Changes::All, Changes::All])).collect().now_or_never().unwrap();
    assert_eq!(all.len(), 1, "in one");
}

#[test]
fn a_burst_of_changes_is_one_reconcile_of_all() {
    let (change, changes) = changes::<NamespacedName>();
    let mut requeue = requeue_all(changes);
    assert_eq!(requeue.next().now_or_never(), None);
    for _ in 0..10 {
        change.unbounded_send("east".into()).unwrap();
    }
    assert_eq!(requeue.next().now_or_never(), Some(Some(())));
    assert_eq!(requeue.next().now_or_never(), None);
}

#[tokio::test]
async fn a_source_that_is_always_ready_starves_no_other_task() {
    let mut requeue = index().requeue(stream::repeat(NamespacedName::from("east")));
    // There are no dependants: each poll must end.
    for _ in 0..3 {
        assert_eq!(requeue.next().now_or_never(), None);
    }
    let woken = async { requeue.next().await };
    assert!(tokio::time::timeout(Duration::ZERO, woken).await.is_err(), "it was woken and gave way");
}

#[test]
fn objects_of_a_cluster_scoped_kind_have_no_namespace() {
    let dependants = index();
    let mut cluster_scoped = object("a", &["east"]);
    cluster_scoped.metadata.namespace = None;
    observe(&dependants, [Event::Apply(cluster_scoped)]);
    assert_eq!(dependants.of(&"east".into()), [ObjectRef::new("a")]);
}

#[test]
#[should_panic = "this Dependants follows a watcher already: make another one with Dependants::new"]
fn an_index_that_two_watchers_would_feed_panics() {
    let dependants = index();
    let first = dependants.observe(stream::empty::<Result<Event<ConfigMap>, ()>>());
    drop(first);
    let _second = dependants.observe(stream::empty::<Result<Event<ConfigMap>, ()>>());
    let _third = dependants.clone().observe(stream::empty::<Result<Event<ConfigMap>, ()>>());
}

#[tokio::test]
async fn the_watch_of_a_ready_controller_ends_each_minute() {
    let (watched, mut queries) = mpsc::unbounded();
    let hub = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let watched = watched.clone();
        async move {
            if query.contains("watch=") {
                watched.unbounded_send(query).unwrap();
                std::future::pending::<()>().await;
            }
            let list = json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "1" }, "items": [],
            });
            Ok::<_, kube::Error>(Response::new(Body::from(serde_json::to_vec(&list).unwrap())))
        }
    });
    let maps = Api::<ConfigMap>::default_namespaced(Client::new(hub, "default"));
    let controller = index().controller(maps, watcher::Config::default(), stream::pending::<Changes>());
    let reconcile = async |_: Arc<ConfigMap>, _: Arc<()>| Ok::<_, Infallible>(Action::await_change());
    let running = controller.run(reconcile, |_, never, _| match *never {}, Arc::new(()));
    tokio::select! {
        () = running.for_each(async |_| {}) => panic!("it goes on"),
        query = queries.next() => assert!(query.unwrap().contains("timeoutSeconds=60")),
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_watch_of_the_objects_fails_a_change_of_their_cluster_reconciles_them_at_once() {
    let hub = tower::service_fn(move |request: Request<Body>| async move {
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return Err(kube::Error::Service("connection refused".into()));
        }
        let list = json!({
            "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "1" },
            "items": [object("a", &["east"])],
        });
        Ok(Response::new(Body::from(serde_json::to_vec(&list).unwrap())))
    });
    let maps = Api::<ConfigMap>::default_namespaced(Client::new(hub, "default"));
    let (change, changes) = changes::<NamespacedName>();
    let controller = index().controller(maps, watcher::Config::default(), changes);
    let (reconciled, mut reconciles) = mpsc::unbounded();
    let reconcile = async |_: Arc<ConfigMap>, reconciled: Arc<UnboundedSender<Instant>>| {
        reconciled.unbounded_send(Instant::now()).unwrap();
        Ok::<_, Infallible>(Action::await_change())
    };
    let running = controller.run(reconcile, |_, never, _| match *never {}, Arc::new(reconciled));
    let story = async {
        reconciles.next().await.unwrap();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let changed = Instant::now();
            change.unbounded_send("east".into()).unwrap();
            let reconciled = reconciles.next().await.unwrap();
            assert!(reconciled - changed < Duration::from_secs(1), "{:?}", reconciled - changed);
        }
    };
    tokio::select! {
        () = running.for_each(async |_| {}) => panic!("it goes on"),
        () = story => {}
    }
}
