//! Every series of the feature `metrics`, in a recorder of the test's thread, on which the fleet runs as well.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientmgr_fake::apiserver::Fault;
use clientmgr_kube::kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::{ClusterConfig, ClusterSnapshot, Fleet, NamespacedName};
use futures::StreamExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::registry::{AtomicStorage, Registry};

use crate::support::{builder, config, holds, key, kubeconfig_of, served, server, until, within};
use crate::traffic::{list, watch};

/// Keeps the value of every series, and the names that were described.
struct Recorder {
    registry: Registry<Key, AtomicStorage>,
    described: Mutex<HashSet<String>>,
}

impl Recorder {
    fn new() -> Self {
        Self { registry: Registry::atomic(), described: Mutex::default() }
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().unwrap().insert(name.as_str().to_owned());
    }

    fn gauge(&self, name: &str) -> Option<f64> {
        let series = format!("{name}{{cluster={EAST}}}");
        let gauges = self.registry.get_gauge_handles();
        let found = gauges.iter().find(|(key, _)| text(key) == series)?;
        Some(f64::from_bits(found.1.load(Ordering::Relaxed)))
    }

    /// Connected and unavailable.
    fn state(&self) -> [u8; 2] {
        ["clientmgr_cluster_connected", "clientmgr_cluster_unavailable"].map(|name| match self.gauge(name) {
            Some(0.0) => 0,
            Some(1.0) => 1,
            other => panic!("{name} is {other:?}"),
        })
    }

    fn expires_in(&self) -> Option<f64> {
        self.gauge("clientmgr_credentials_expire_seconds")
    }

    /// The value of a counter of the cluster; `label` is as `name=value`, or empty.
    fn counter(&self, name: &str, label: &str) -> u64 {
        let separator = if label.is_empty() { "" } else { "," };
        let series = format!("{name}{{cluster={EAST}{separator}{label}}}");
        let counters = self.registry.get_counter_handles();
        counters.iter().find(|(key, _)| text(key) == series).map_or(0, |(_, value)| value.load(Ordering::Relaxed))
    }

    /// How long the phase took, each time.
    fn seconds(&self, phase: &str) -> Vec<f64> {
        let series = format!("clientmgr_connect_seconds{{phase={phase}}}");
        let histograms = self.registry.get_histogram_handles();
        histograms.iter().find(|(key, _)| text(key) == series).map(|(_, values)| values.data()).unwrap_or_default()
    }

    /// The names of all series.
    fn names(&self) -> HashSet<String> {
        let keys = self.registry.get_counter_handles().into_keys();
        let keys = keys.chain(self.registry.get_gauge_handles().into_keys());
        keys.chain(self.registry.get_histogram_handles().into_keys()).map(|key| key.name().to_owned()).collect()
    }
}

fn text(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.registry.get_or_create_counter(key, |counter| Arc::clone(counter).into())
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.registry.get_or_create_gauge(key, |gauge| Arc::clone(gauge).into())
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.registry.get_or_create_histogram(key, |histogram| Arc::clone(histogram).into())
    }
}

/// A fleet that probes only when it is asked to.
fn quiet() -> Fleet {
    builder().probe_interval(Duration::from_secs(3_600)).failure_threshold(1).build()
}

const EAST: &str = "shop/east";
const V1: &str = "client.authentication.k8s.io/v1";

#[tokio::test]
async fn the_life_of_a_cluster_is_in_its_series() {
    let recorded = Recorder::new();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let server = server("east").await;
    let (first, second) = (server.issue_token("alice"), server.issue_token("alice"));
    let east = EAST.parse::<NamespacedName>().unwrap();
    let fleet = quiet();

    // A failed attempt, then a connection.
    let fault = server.inject(Fault::InternalError);
    fleet.upsert(east.clone(), config(&server, &first));
    until(&fleet, &east, |now| now.error.is_some()).await;
    assert_eq!(recorded.state(), [0, 1]);
    assert_eq!(recorded.counter("clientmgr_connects_total", "result=Unhealthy"), 1);
    fault.lift();
    within(fleet.reconnect(&east)).await.unwrap();
    assert_eq!(recorded.state(), [1, 0]);
    assert_eq!(recorded.counter("clientmgr_connects_total", "result=ok"), 1);
    assert_eq!(recorded.expires_in(), None, "the token does not say when it ends");

    // A rotation.
    fleet.upsert(east.clone(), config(&server, &second));
    until(&fleet, &east, |_| recorded.counter("clientmgr_rotations_total", "") == 1).await;

    // Probes: a success, an outage, the recovery.
    within(fleet.probe(&east)).await.unwrap();
    let probes = recorded.counter("clientmgr_probes_total", "result=ok");
    assert!(probes >= 1);
    server.set_ready(false);
    within(fleet.probe(&east)).await.unwrap_err();
    assert_eq!(recorded.state(), [0, 1]);
    assert_eq!(recorded.counter("clientmgr_probes_total", "result=Unhealthy"), 1);
    server.set_ready(true);
    within(fleet.probe(&east)).await.unwrap();
    assert_eq!(recorded.state(), [1, 0]);
    assert_eq!(recorded.counter("clientmgr_probes_total", "result=ok"), probes + 1);

    // A reset: an open watch ends, and a request fails.
    let client = served(&fleet, &east).await.client;
    let mut open = watch(&server, &client).await;
    assert_eq!(recorded.counter("clientmgr_resets_total", "reason=Reset"), 0);
    within(fleet.reset(&east)).await.unwrap();
    within(open.next()).await.unwrap().unwrap_err();
    list(&client).await.unwrap_err();
    assert_eq!(recorded.counter("clientmgr_resets_total", "reason=Reset"), 1);
    assert_eq!(recorded.counter("clientmgr_revoked_requests_total", "reason=Reset"), 2);

    // A removal takes nothing back, and leaves neither a connected nor an unavailable cluster.
    fleet.remove(&east);
    holds("it is gone", || recorded.state() == [0, 0]).await;
    assert_eq!(recorded.expires_in(), None);
    for reason in ["reason=Removed", "reason=Replaced"] {
        assert_eq!(recorded.counter("clientmgr_resets_total", reason), 0);
    }
    drop(client);
    within(fleet.shutdown()).await;
    assert_eq!(recorded.state(), [0, 0]);
    assert!(recorded.names().is_subset(&recorded.described.lock().unwrap()), "{:?}", recorded.names());
}

#[tokio::test]
async fn another_cluster_behind_the_address_is_a_reset_with_its_reason() {
    let recorded = Recorder::new();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let (old, new) = (server("old").await, server("new").await);
    let (fleet, east) = (quiet(), EAST.parse::<NamespacedName>().unwrap());
    fleet.upsert(east.clone(), config(&old, &old.admin()));
    let first = within(fleet.wait_connected(&east)).await.unwrap();
    fleet.upsert(east.clone(), config(&new, &new.admin()));
    until(&fleet, &east, |now| now.connected_at > Some(first)).await;
    holds("it is counted", || recorded.counter("clientmgr_resets_total", "reason=Replaced") == 1).await;
    assert_eq!(recorded.counter("clientmgr_rotations_total", ""), 0);
    drop(fleet);
    holds("a fleet that is dropped keeps nothing", || recorded.state() == [0, 0]).await;
}

#[tokio::test]
async fn what_credentials_have_left_and_what_the_phases_took_is_measured() {
    let recorded = Recorder::new();
    let _recording = metrics::set_default_local_recorder(&recorded);
    let server = server("east").await;
    let life = Duration::from_secs(3_600);
    let (fleet, east) = (quiet(), EAST.parse::<NamespacedName>().unwrap());
    fleet.upsert(east.clone(), config(&server, &server.issue_certificate("alice", life).unwrap()));
    until(&fleet, &east, ClusterSnapshot::is_connected).await;
    for (phase, times) in [("load", 1), ("plugin", 0), ("build", 1), ("prove", 1)] {
        assert_eq!(recorded.seconds(phase).len(), times, "{phase}");
    }
    let left = recorded.expires_in().unwrap();
    assert!(left > life.as_secs_f64() - 120.0 && left <= life.as_secs_f64() + 1.0, "{left}");
    within(fleet.shutdown()).await;
    assert_eq!(recorded.expires_in(), Some(f64::INFINITY), "no alert stays");

    let printed = format!(
        r#"{{"apiVersion":"{V1}","kind":"ExecCredential","status":{{"token":"{}"}}}}"#,
        server.issue_token("bob").token().unwrap()
    );
    let exec = ExecConfig {
        api_version: Some(V1.into()),
        command: Some("echo".into()),
        args: Some(vec![printed]),
        interactive_mode: Some(ExecInteractiveMode::Never),
        ..ExecConfig::default()
    };
    let user = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
    let fleet = quiet();
    fleet.upsert("west", ClusterConfig::from_kubeconfig(&kubeconfig_of(&server, user), "east"));
    within(fleet.wait_connected(&key("west"))).await.unwrap();
    for (phase, times) in [("load", 2), ("plugin", 1), ("build", 2), ("prove", 2)] {
        let seconds = recorded.seconds(phase);
        assert!(seconds.len() == times && seconds.iter().all(|it| (0.0..60.0).contains(it)), "{phase}: {seconds:?}");
    }
    within(fleet.shutdown()).await;
}

/// The page for operators names each series that exists, and describes no other.
#[test]
fn the_operations_page_has_every_series() {
    let recorded = Recorder::new();
    metrics::with_local_recorder(&recorded, || drop(Fleet::new()));
    let page = include_str!("../../../../docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `clientmgr_"));
    let on_page: HashSet<_> = rows.map(|row| format!("clientmgr_{}", row.split_once('`').unwrap().0)).collect();
    assert_eq!(on_page, *recorded.described.lock().unwrap());
}
