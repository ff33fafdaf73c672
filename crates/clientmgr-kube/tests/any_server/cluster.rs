//! [`Cluster`]: an API server behind a forwarder, and a user whose tokens can be issued and revoked.

use std::net::SocketAddr;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{net::TcpListener, process::Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clientmgr_fake::apiserver::{AnyServer, Fingerprint, User};
use clientmgr_kube::k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use clientmgr_kube::k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use clientmgr_kube::k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use clientmgr_kube::kube::api::{DeleteParams, ObjectMeta, PostParams};
use clientmgr_kube::kube::config::{AuthInfo, Kubeconfig};
use clientmgr_kube::kube::{Api, Client, ResourceExt};
use clientmgr_kube::{ClusterConfig, Fleet, FleetBuilder, NamespacedName};

use crate::forwarder::Forwarder;

/// Long enough for real binaries on a machine under load. A real server believes a revoked token for ten seconds more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Accepted by every server of this suite.
const SHARED_TOKEN: &str = "accepted-by-every-server-of-this-suite";
const MASTERS: &str = "system:masters";
const ACCOUNT: &str = "alice";

/// An API server behind a forwarder.
pub(crate) struct Cluster {
    pub(crate) server: AnyServer,
    pub(crate) forwarder: Forwarder,
    admin: Client,
}

/// A token that can be revoked.
pub(crate) struct Issued {
    token: String,
    /// The Secret that it is bound to, on a real server.
    secret: Option<String>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let user = User::new("root").uid("root-1").group(MASTERS);
        let server = AnyServer::builder().token(user, SHARED_TOKEN).start().await.unwrap();
        let forwarder = Forwarder::to(address(&server)).await;
        let admin = server.client().await.unwrap();
        let cluster = Self { server, forwarder, admin };
        if cluster.server.in_process().is_none() {
            cluster.create_account().await;
        }
        cluster
    }

    /// The service account whose tokens are issued. It may do everything.
    async fn create_account(&self) {
        let account = ServiceAccount { metadata: named(ACCOUNT), ..ServiceAccount::default() };
        self.maps_of::<ServiceAccount>().create(&PostParams::default(), &account).await.unwrap();
        let binding = ClusterRoleBinding {
            metadata: named(ACCOUNT),
            role_ref: RoleRef { kind: "ClusterRole".into(), name: "cluster-admin".into(), ..RoleRef::default() },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".into(),
                name: ACCOUNT.into(),
                namespace: Some("default".into()),
                ..Subject::default()
            }]),
        };
        Api::all(self.admin.clone()).create(&PostParams::default(), &binding).await.unwrap();
    }

    fn maps_of<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::default_namespaced(self.admin.clone())
    }

    /// Issues a token.
    pub(crate) async fn issue(&self) -> Issued {
        if let Some(server) = self.server.in_process() {
            let credential = server.issue_token(ACCOUNT);
            return Issued { token: credential.token().unwrap().to_owned(), secret: None };
        }
        let secrets = self.maps_of::<Secret>();
        let metadata = ObjectMeta { generate_name: Some("token-".into()), ..ObjectMeta::default() };
        let secret = Secret { metadata, ..Secret::default() };
        let secret = secrets.create(&PostParams::default(), &secret).await.unwrap();
        let bound = BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Secret".into()),
            name: secret.metadata.name.clone(),
            uid: secret.metadata.uid.clone(),
        };
        let spec = TokenRequestSpec { bound_object_ref: Some(bound), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let accounts = self.maps_of::<ServiceAccount>();
        let issued = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await.unwrap();
        Issued { token: issued.status.unwrap().token.unwrap(), secret: Some(secret.name_any()) }
    }

    /// Revokes a token.
    pub(crate) async fn revoke(&self, issued: &Issued) {
        match (self.server.in_process(), &issued.secret) {
            (Some(server), _) => assert!(server.revoke(Fingerprint::of_token(&issued.token))),
            (None, Some(secret)) => {
                self.maps_of::<Secret>().delete(secret, &DeleteParams::default()).await.unwrap();
            }
            (None, None) => unreachable!("on a real server every token is bound to a Secret"),
        }
    }

    /// The configuration with a plugin that prints what is in `file`. [`print`](Self::print) puts a token there.
    #[cfg(unix)]
    pub(crate) fn config_with_plugin(&self, file: &std::path::Path) -> ClusterConfig {
        let mut kubeconfig = self.kubeconfig("");
        let user = serde_json::json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [file], "interactiveMode": "Never",
        }});
        kubeconfig.auth_infos[0].auth_info = Some(serde_json::from_value(user).unwrap());
        config_of(&kubeconfig)
    }

    /// Puts a token where the plugin finds it.
    #[cfg(unix)]
    pub(crate) fn print(issued: &Issued, file: &std::path::Path) {
        let printed = serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": issued.token },
        });
        let new = file.with_extension("new");
        std::fs::write(&new, printed.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The configuration with an issued token.
    pub(crate) fn config(&self, issued: &Issued) -> ClusterConfig {
        self.config_with(&issued.token)
    }

    /// The configuration with a token that every server of this suite accepts, whatever its certificate is.
    pub(crate) fn config_of_any_server(&self) -> ClusterConfig {
        let mut kubeconfig = self.kubeconfig(SHARED_TOKEN);
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.certificate_authority_data = None;
        cluster.insecure_skip_tls_verify = Some(true);
        config_of(&kubeconfig)
    }

    pub(crate) fn config_with(&self, token: &str) -> ClusterConfig {
        config_of(&self.kubeconfig(token))
    }

    /// The configuration with a certificate authority that is no PEM.
    pub(crate) fn config_with_broken_authority(&self, issued: &Issued) -> ClusterConfig {
        let mut kubeconfig = self.kubeconfig(&issued.token);
        let authority = STANDARD.encode("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
        kubeconfig.clusters[0].cluster.as_mut().unwrap().certificate_authority_data = Some(authority);
        config_of(&kubeconfig)
    }

    fn kubeconfig(&self, token: &str) -> Kubeconfig {
        let mut kubeconfig = self.server.kubeconfig();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.server = Some(format!("https://{}", self.forwarder.address()));
        let user = serde_json::from_value::<AuthInfo>(serde_json::json!({ "token": token })).unwrap();
        kubeconfig.auth_infos[0].auth_info = Some(user);
        kubeconfig
    }

    /// Where the server itself listens.
    pub(crate) fn address(&self) -> SocketAddr {
        address(&self.server)
    }

    /// Kills the API server and starts it again, on the same data. A real one runs as long as what is returned.
    #[cfg(target_os = "linux")]
    pub(crate) async fn restart(&self) -> Option<tokio::process::Child> {
        if let Some(server) = self.server.in_process() {
            server.stop().await;
            server.start().await.unwrap();
            return None;
        }
        let port = format!("--secure-port={}", self.address().port());
        let arguments = |process: &std::path::Path| -> Vec<String> {
            // A process may end at any time.
            let line = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
            line.split_terminator('\0').map(str::to_owned).collect()
        };
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let process = processes.into_iter().find(|process| arguments(process).contains(&port)).expect("it runs");
        let (line, directory) = (arguments(&process), std::fs::read_link(process.join("cwd")).unwrap());
        let killed = std::process::Command::new("kill").arg("-9").arg(process.file_name().unwrap()).status().unwrap();
        assert!(killed.success());
        // Its port is free a moment after it is gone.
        let freed = async {
            while TcpListener::bind(self.address()).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, freed).await.expect("it ends");
        let mut again = tokio::process::Command::new(&line[0]);
        again
            .args(&line[1..])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Some(again.spawn().unwrap())
    }

    /// Creates a ConfigMap, as the administrator and past the forwarder.
    pub(crate) async fn create(&self, name: &str) {
        let map = ConfigMap { metadata: named(name), ..ConfigMap::default() };
        self.maps_of::<ConfigMap>().create(&PostParams::default(), &map).await.unwrap();
    }

    /// The UID of the namespace `kube-system`, as the administrator reads it.
    pub(crate) async fn identity(&self) -> String {
        use clientmgr_kube::k8s_openapi::api::core::v1::Namespace;
        let namespace = Api::<Namespace>::all(self.admin.clone()).get("kube-system").await.unwrap();
        namespace.metadata.uid.unwrap()
    }
}

fn config_of(kubeconfig: &Kubeconfig) -> ClusterConfig {
    ClusterConfig::from_kubeconfig(kubeconfig, &kubeconfig.contexts[0].name)
}

fn address(server: &AnyServer) -> SocketAddr {
    server.url().strip_prefix("https://").unwrap().parse().unwrap()
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }
}

pub(crate) fn east() -> NamespacedName {
    NamespacedName::cluster_scoped("east")
}

/// A fleet that notices an outage soon.
pub(crate) fn fleet() -> Fleet {
    builder().build()
}

pub(crate) fn builder() -> FleetBuilder {
    Fleet::builder().probe_interval(Duration::from_millis(200)).failure_threshold(3)
}
