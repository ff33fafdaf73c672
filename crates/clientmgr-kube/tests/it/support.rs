//! What the tests share: servers, kubeconfigs for them, fleets with short deadlines, and waiting with a deadline.

use std::collections::HashSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use clientmgr_fake::apiserver::{Credential, LogFilter, RequestRecord, Requests, TestServer};
use clientmgr_kube::kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use clientmgr_kube::{
    ClientProvider, ClusterConfig, ClusterSnapshot, ConnectError, ConnectErrorKind, ConnectedAt, Connection, Fleet,
    FleetBuilder, NamespacedName, ProviderError,
};
use futures::StreamExt;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Long enough for a machine under load: for what is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For what is expected not to happen.
pub(crate) const SOON: Duration = Duration::from_millis(300);

pub(crate) async fn server(name: &str) -> TestServer {
    TestServer::builder().name(name).start().await.unwrap()
}

pub(crate) fn key(name: &str) -> NamespacedName {
    NamespacedName::cluster_scoped(name)
}

pub(crate) fn builder() -> FleetBuilder {
    Fleet::builder().connect_deadline(PATIENCE).request_deadline(PATIENCE)
}

pub(crate) fn config(server: &TestServer, credential: &Credential) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(&server.kubeconfig_for(credential), server.name())
}

/// A fleet of these servers, each by its administrator.
pub(crate) fn fleet_of(servers: &[&TestServer]) -> Fleet {
    add(builder().build(), servers)
}

/// Adds these servers, each by its administrator.
pub(crate) fn add(fleet: Fleet, servers: &[&TestServer]) -> Fleet {
    for server in servers {
        fleet.upsert(key(server.name()), config(server, &server.admin()));
    }
    fleet
}

/// A kubeconfig with one context, `east`, whose cluster and user are made by `edit`.
pub(crate) fn kubeconfig(edit: impl FnOnce(&mut Cluster, &mut AuthInfo)) -> Kubeconfig {
    let mut cluster = Cluster { server: Some("https://127.0.0.1:1".into()), ..Cluster::default() };
    let mut user = AuthInfo::default();
    edit(&mut cluster, &mut user);
    Kubeconfig {
        clusters: vec![NamedCluster { name: "c".into(), cluster: Some(cluster), ..NamedCluster::default() }],
        auth_infos: vec![NamedAuthInfo { name: "u".into(), auth_info: Some(user), ..NamedAuthInfo::default() }],
        contexts: vec![NamedContext {
            name: "east".into(),
            context: Some(Context { cluster: "c".into(), user: Some("u".into()), ..Context::default() }),
            ..NamedContext::default()
        }],
        ..Kubeconfig::default()
    }
}

/// The kubeconfig of a server, with another user in the place of the administrator.
pub(crate) fn kubeconfig_of(server: &TestServer, user: AuthInfo) -> Kubeconfig {
    let mut kubeconfig = server.kubeconfig();
    kubeconfig.auth_infos[0].auth_info = Some(user);
    kubeconfig
}

/// A client certificate as a kubeconfig embeds it, for tests of what else is wrong.
pub(crate) fn certificate() -> String {
    base64::engine::general_purpose::STANDARD.encode(issued().certificate_pem().unwrap())
}

/// A client key as a kubeconfig embeds it, for tests of what else is wrong.
pub(crate) fn private_key() -> String {
    base64::engine::general_purpose::STANDARD.encode(issued().key_pem().unwrap())
}

fn issued() -> Credential {
    TestServer::builder().start_without_socket().unwrap().issue_certificate("somebody", PATIENCE).unwrap()
}

/// An address before a server, which may be turned to another one. Connections that are open stay where they are.
pub(crate) struct Turn {
    pub(crate) address: SocketAddr,
    turn: watch::Sender<SocketAddr>,
}

impl Turn {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        Self::start_at("127.0.0.1:0", server).await
    }

    pub(crate) async fn start_at(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (turn, turned) = watch::channel(server);
        tokio::spawn(async move {
            while let Ok((mut visitor, _)) = listener.accept().await {
                let server = *turned.borrow();
                tokio::spawn(async move {
                    let mut host = TcpStream::connect(server).await.unwrap();
                    // However it ends.
                    let _ = copy_bidirectional(&mut visitor, &mut host).await;
                });
            }
        });
        Self { address, turn }
    }

    /// Leads new connections to `server`.
    pub(crate) fn to(&self, server: SocketAddr) {
        self.turn.send_replace(server);
    }
}

/// A fleet of the one context that `kubeconfig` has.
pub(crate) fn fleet_with(kubeconfig: &Kubeconfig) -> (Fleet, NamespacedName) {
    let fleet = builder().build();
    fleet.add_contexts(kubeconfig);
    let key = fleet.clusters().remove(0);
    (fleet, key)
}

/// Connects the one context that `kubeconfig` has.
pub(crate) async fn connect(kubeconfig: &Kubeconfig) -> Result<ConnectedAt, ConnectError> {
    let (fleet, key) = fleet_with(kubeconfig);
    fleet.wait_connected(&key).await
}

/// What connecting the one context that `kubeconfig` has, `east`, fails with.
pub(crate) async fn failure(kubeconfig: &Kubeconfig) -> ConnectError {
    connect(kubeconfig).await.unwrap_err()
}

/// Asserts that connecting fails with an error of this kind, about this field (empty: none), in these words.
pub(crate) async fn assert_refused(kubeconfig: &Kubeconfig, kind: ConnectErrorKind, field: &str, text: &str) {
    let error = failure(kubeconfig).await;
    let place = if field.is_empty() { String::new() } else { format!("{field}: ") };
    assert_eq!(error.to_string(), format!("cluster east: {place}{text}"), "{error:?}");
    assert_eq!((error.kind(), error.field()), (kind, Some(field).filter(|field| !field.is_empty())), "{error:?}");
    let is_for_good = matches!(kind, ConnectErrorKind::InvalidConfig | ConnectErrorKind::DeniedByPolicy);
    assert_eq!(error.needs_other_config(), is_for_good, "{error:?}");
}

pub(crate) async fn served(fleet: &Fleet, key: &NamespacedName) -> Connection<kube::Client, ConnectedAt> {
    fleet.connection(key).await.unwrap()
}

/// The error that readers of an unavailable cluster get, by its type.
pub(crate) async fn unavailable(fleet: &Fleet, key: &NamespacedName) -> ConnectError {
    match fleet.connection(key).await {
        Err(ProviderError::Unavailable { source, retry_after }) => {
            assert!(retry_after.is_some(), "without a hint");
            source.downcast_ref::<ConnectError>().expect("a ConnectError").clone()
        }
        other => panic!("not unavailable: {other:?}", other = other.map(|connection| connection.revision)),
    }
}

pub(crate) fn snapshot(fleet: &Fleet, key: &NamespacedName) -> ClusterSnapshot {
    fleet.snapshot(key).expect("the fleet has the cluster")
}

/// Waits until the snapshot of a cluster is as `expected`.
pub(crate) async fn until(
    fleet: &Fleet,
    key: &NamespacedName,
    expected: impl Fn(&ClusterSnapshot) -> bool,
) -> ClusterSnapshot {
    let mut events = fleet.events();
    let waiting = async {
        loop {
            events.next().await.expect("the fleet is alive");
            if let Some(snapshot) = fleet.snapshot(key).filter(&expected) {
                return snapshot;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("not as expected: {:?}", fleet.snapshot(key)))
}

/// Watches the fleet for clusters of this prefix that were connected and are not any more, until the sender is dropped.
pub(crate) fn losses(fleet: &Fleet, prefix: &'static str) -> (oneshot::Sender<()>, JoinHandle<Vec<ClusterSnapshot>>) {
    let (mut events, fleet) = (fleet.events(), fleet.clone());
    let (stop, mut stopped) = oneshot::channel();
    let watching = tokio::spawn(async move {
        let (mut seen, mut lost) = (HashSet::new(), Vec::new());
        loop {
            tokio::select! {
                // What changed before the end is still read.
                biased;
                Some(_) = events.next() => {}
                _ = &mut stopped => return lost,
            }
            for now in fleet.snapshots().into_iter().filter(|now| now.cluster.name().starts_with(prefix)) {
                if now.is_connected() {
                    seen.insert(now.cluster.clone());
                } else if seen.contains(&now.cluster) {
                    lost.push(now);
                }
            }
        }
    });
    (stop, watching)
}

/// Waits for a request in the log.
pub(crate) async fn logged(server: &TestServer, requests: impl Into<Requests<LogFilter>>) -> RequestRecord {
    within(server.wait_for(requests)).await
}

/// What every attempt and every probe asks first.
pub(crate) fn proofs() -> Requests {
    Requests::under("/api/v1/namespaces/kube-system")
}

/// How many attempts succeeded so far. Probes once, so that no other probe is half done.
pub(crate) async fn attempts(fleet: &Fleet, server: &TestServer) -> usize {
    within(fleet.probe(&key(server.name()))).await.unwrap();
    let count = |requests: Requests| server.requests_matching(requests.status(200)).len();
    count(proofs()) - count(Requests::under("/readyz"))
}

/// Awaits what is expected to happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, expected).await.expect("in time")
}

/// Yields until `holds`, for what nothing announces.
pub(crate) async fn holds(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

/// An error and all its sources, shown and debugged: whatever a log could get to see of it.
pub(crate) fn everything(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text} {source} {source:?}");
        next = source.source();
    }
    text
}
