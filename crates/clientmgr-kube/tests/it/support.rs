//! What the tests share: servers, kubeconfigs for them, fleets with short deadlines.

use std::error::Error;
use std::time::Duration;

use clientmgr_fake::apiserver::{Credential, TestServer};
use clientmgr_kube::kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use clientmgr_kube::{
    ClientProvider, ConnectError, ConnectFailure, ConnectedAt, Connection, Endpoint, Fleet, FleetBuilder,
    KubeconfigProblem, NamespacedName, ProviderError,
};

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

pub(crate) fn endpoint(server: &TestServer, credential: &Credential) -> Endpoint {
    Endpoint::from_kubeconfig(&server.kubeconfig_for(credential), server.name())
}

/// A fleet of these servers, each by its administrator; nothing is connected.
pub(crate) fn fleet_of(servers: &[&TestServer]) -> Fleet {
    let fleet = builder().build();
    for server in servers {
        fleet.upsert(key(server.name()), endpoint(server, &server.admin()));
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
    fleet.connect(&key).await
}

/// What is wrong with a kubeconfig, as connecting tells it.
pub(crate) async fn problem(kubeconfig: &Kubeconfig) -> KubeconfigProblem {
    let error = connect(kubeconfig).await.unwrap_err();
    match error.failure() {
        ConnectFailure::Kubeconfig(problem) => problem.clone(),
        other => panic!("not a problem of the kubeconfig: {other:?}"),
    }
}

pub(crate) async fn served(fleet: &Fleet, key: &NamespacedName) -> Connection<kube::Client, ConnectedAt> {
    fleet.connection(key).await.unwrap()
}

/// What readers are told of a cluster that is unavailable, by its type.
pub(crate) async fn unavailable(fleet: &Fleet, key: &NamespacedName) -> ConnectError {
    match fleet.connection(key).await {
        Err(ProviderError::Unavailable { source, retry_after }) => {
            assert!(retry_after.is_some(), "without a hint");
            source.downcast_ref::<ConnectError>().expect("a ConnectError").clone()
        }
        other => panic!("not unavailable: {other:?}", other = other.map(|connection| connection.revision)),
    }
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
