//! Hubs and remote clusters on any server, and a user that sends one request after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clientmgr_fake::apiserver::{AnyServer, AnyServerBuilder, User};
use clientmgr_kube::kube::api::{ListParams, PostParams};
use clientmgr_kube::kube::config::{AuthInfo, Kubeconfig};
use clientmgr_kube::kube::{self, Api, Client, CustomResourceExt as _};
use clientmgr_runtime::cluster::Cluster;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use tokio::task::JoinHandle;

use super::forwarder::Forwarder;
use crate::controller::fixture::{Hub, Running, by_secret, holds, within};

/// Tokens that every server of this suite accepts, each for an administrator of that name.
pub(super) const ALICE: &str = "token-of-alice-accepted-by-every-server";
pub(super) const BOB: &str = "token-of-bob-accepted-by-every-server";

/// The token of a user without rights.
pub(super) const NOBODY: &str = "token-of-nobody-accepted-by-every-server";

fn builder() -> AnyServerBuilder {
    let user = |name: &str| User::new(name).uid(format!("{name}-1"));
    let admin = |name| user(name).group("system:masters");
    let builder = AnyServer::builder().token(admin("alice"), ALICE).token(admin("bob"), BOB);
    builder.token(user("nobody"), NOBODY)
}

pub(super) async fn server() -> AnyServer {
    builder().start().await.unwrap()
}

pub(super) async fn hub() -> Hub<AnyServer> {
    let server = builder().install(Cluster::crd()).start().await.unwrap();
    let client = server.client().await.unwrap();
    Hub { server, client }
}

/// A hub with a running controller, and its cluster `east`, which is connected.
pub(super) struct Connected {
    pub(super) hub: Hub<AnyServer>,
    pub(super) remote: Remote,
    pub(super) running: Running,
    pub(super) east: Cluster,
}

pub(super) async fn connected() -> Connected {
    let hub = hub().await;
    let remote = Remote::to(&hub.server).await;
    let running = hub.run(|settings| settings);
    hub.declare_remote("east", &remote).await;
    let east = hub.until_ready("east").await;
    Connected { hub, remote, running, east }
}

/// A way to a server, that can be closed and opened, or lead to another one.
pub(super) struct Remote {
    pub(super) forwarder: Forwarder,
    pub(super) address: SocketAddr,
    kubeconfig: Kubeconfig,
    admin: Client,
}

impl Remote {
    pub(super) async fn to(server: &AnyServer) -> Self {
        let address = server.url().strip_prefix("https://").unwrap().parse().unwrap();
        let forwarder = Forwarder::to(address).await;
        let mut kubeconfig = server.kubeconfig();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.server = Some(format!("https://{}", forwarder.address()));
        Self { forwarder, address, kubeconfig, admin: server.client().await.unwrap() }
    }

    /// The text of a kubeconfig with this token.
    pub(super) fn kubeconfig(&self, token: &str) -> String {
        let mut kubeconfig = self.kubeconfig.clone();
        let user = serde_json::from_value::<AuthInfo>(serde_json::json!({ "token": token })).unwrap();
        kubeconfig.auth_infos[0].auth_info = Some(user);
        serde_json::to_string(&kubeconfig).unwrap()
    }

    /// The same without a check of the server's certificate: every server of this suite can stand behind it.
    pub(super) fn kubeconfig_of_any_server(&self, token: &str) -> String {
        let mut kubeconfig: Kubeconfig = serde_json::from_str(&self.kubeconfig(token)).unwrap();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        (cluster.certificate_authority_data, cluster.insecure_skip_tls_verify) = (None, Some(true));
        serde_json::to_string(&kubeconfig).unwrap()
    }

    /// The UID of the namespace `kube-system`, as the administrator reads it.
    pub(super) async fn identity(&self) -> String {
        Api::<Namespace>::all(self.admin.clone()).get("kube-system").await.unwrap().metadata.uid.unwrap()
    }

    /// Creates a ConfigMap, as the administrator and past the forwarder.
    pub(super) async fn create(&self, name: &str) {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.into());
        Api::default_namespaced(self.admin.clone()).create(&PostParams::default(), &map).await.unwrap();
    }
}

impl Hub<AnyServer> {
    /// Declares a cluster by the token of alice.
    pub(super) async fn declare_remote(&self, name: &str, remote: &Remote) {
        self.secret(name, "kubeconfig", &remote.kubeconfig(ALICE)).await;
        self.create(name, by_secret(name)).await;
    }
}

/// The name of the user that the server takes a client for.
pub(super) async fn user_of(client: &Client) -> kube::Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default())
}

/// Sends one request after the other, none of which may fail.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: JoinHandle<kube::Result<()>>,
}

impl Load {
    pub(super) fn start(client: &Client) -> Self {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                maps.list(&ListParams::default()).await?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self { stop, answered, task }
    }

    /// Waits until a request that began after this call was answered.
    pub(super) async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let has_gone_on = || self.answered.load(Ordering::Relaxed) >= before + 2 || self.task.is_finished();
        holds("a request is answered", has_gone_on).await;
    }

    /// Stops, and asserts that no request failed.
    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        within(self.task).await.unwrap().expect("no request fails");
    }
}
