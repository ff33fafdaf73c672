//! A real etcd and kube-apiserver, started for a test and ended with it.
//!
//! This file has the order of the start; command lines, certificates and processes have files of their own. The processes are
//! killed when the handle is dropped, also by a panic, and their directory is removed.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{Client, config::Kubeconfig};
use serde_json::Value;

use crate::{
    access::credential::{Credential, User},
    error::ClientError,
    real::{
        certificates::Pki,
        command::{self, ApiServerPlan, EtcdPlan, token_file},
        ports::free_ports,
        process::{self, Process},
        real_error::{self, RealError},
    },
    server::{
        client,
        kubeconfig::{self, Destination},
    },
};

/// How often the servers are started again, on other ports, when another process has taken theirs.
const ATTEMPTS: u32 = 3;
/// The message of a server whose port is taken.
const PORT_TAKEN: &str = "address already in use";
/// The server has started once it has these namespaces.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The programs, by the names they have in a directory of assets.
const ETCD: &str = "etcd";
const KUBE_APISERVER: &str = "kube-apiserver";

/// How long the servers may take until they are ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) etcd: Duration,
    pub(super) apiserver: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { etcd: Duration::from_secs(30), apiserver: Duration::from_secs(120) }
    }
}

/// The name in kubeconfigs.
const NAME: &str = "real";
const ADMIN: &str = "admin";
const MASTERS: &str = "system:masters";

/// A real kube-apiserver with an etcd, without controllers or nodes.
///
/// Both are started from a directory of assets, as envtest does it, listen on loopback and are killed when this is dropped.
/// Authorization is RBAC. The service account admission plugin is off, since no controller makes service accounts.
///
/// ```no_run
/// use kube_testserver::RealServer;
/// use std::path::Path;
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RealServer::builder(Path::new("/usr/local/kubebuilder/bin")).start().await?;
/// let info = server.client().await?.apiserver_version().await?;
/// assert_eq!(info.git_version, server.version());
/// # Ok(())
/// # }
/// ```
#[must_use = "the server ends when this is dropped"]
pub struct RealServer {
    // Dropped in this order: the server before its store, both before their files.
    _apiserver: Process,
    _etcd: Process,
    _files: tempfile::TempDir,
    assets: PathBuf,
    version: String,
    port: u16,
    ca_pem: String,
    admin: Credential,
}

/// The settings of a [`RealServer`].
#[derive(Debug)]
#[must_use = "a builder makes a server only when it is started"]
pub struct RealServerBuilder {
    assets: PathBuf,
    tokens: Vec<Credential>,
    patience: Patience,
}

impl RealServerBuilder {
    /// Accepts this bearer token for this user. Give it a UID too: kube-apiserver's file of tokens has one for each user.
    pub fn token(mut self, user: impl Into<User>, token: impl Into<String>) -> Self {
        self.tokens.push(Credential::from_token(user.into(), token.into()));
        self
    }

    #[cfg(all(test, unix))]
    pub(super) fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the programs and waits until they are ready. A port that another process takes meanwhile is replaced.
    ///
    /// # Errors
    /// If a program is missing, cannot be run, ends, or is not ready in time: etcd after 30 seconds, kube-apiserver after
    /// two minutes.
    ///
    /// # Cancel safety
    /// Dropping the future kills what was started.
    pub async fn start(self) -> Result<RealServer, RealError> {
        for program in [ETCD, KUBE_APISERVER] {
            if !program_in(&self.assets, program).is_file() {
                return Err(RealError::Missing { directory: self.assets, program });
            }
        }
        let mut attempt = 1;
        loop {
            match self.try_start().await {
                Err(RealError::Exited { tail, .. }) if attempt < ATTEMPTS && tail.contains(PORT_TAKEN) => attempt += 1,
                done => return done,
            }
        }
    }

    async fn try_start(&self) -> Result<RealServer, RealError> {
        let files = tempfile::tempdir().map_err(RealError::Directory)?;
        let directory = files.path().to_owned();
        let [client_port, peer_port, port] = free_ports().map_err(RealError::Port)?;
        let pki = Pki::new(ADMIN, MASTERS)?;
        pki.write_to(&directory)?;
        real_error::write(&directory.join(command::TOKENS), &token_file(&self.tokens))?;

        let plan = EtcdPlan { directory: directory.clone(), client_port, peer_port };
        let etcd = start_etcd(&self.assets, &plan, self.patience).await?;
        let Pki { ca_pem, admin, .. } = pki;
        let admin = Credential::from_certificate(User::new(ADMIN).group(MASTERS), admin);
        let client = client_of(port, &ca_pem, &admin).await?;
        let plan = ApiServerPlan { directory, etcd_port: client_port, port };
        let apiserver = start_apiserver(&self.assets, &plan, self.patience, &client).await?;

        let version = client.apiserver_version().await.map_or_else(|_| "?".to_owned(), |info| info.git_version);
        let assets = self.assets.clone();
        Ok(RealServer { _apiserver: apiserver, _etcd: etcd, _files: files, assets, version, port, ca_pem, admin })
    }
}

impl RealServer {
    /// Returns the settings of a new server from the programs `etcd` and `kube-apiserver` in a directory.
    pub fn builder(assets: impl Into<PathBuf>) -> RealServerBuilder {
        RealServerBuilder { assets: assets.into(), tokens: Vec::new(), patience: Patience::default() }
    }

    /// Returns the version that the server says it is, such as `v1.36.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the address clients connect to.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Returns the certificate of the cluster's authority.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the administrator's client certificate (user `admin`, group `system:masters`).
    pub fn admin(&self) -> &Credential {
        &self.admin
    }

    /// Creates the definition of a custom resource and waits until the server serves it.
    pub(super) async fn install(&self, definition: serde_json::Result<Value>) -> Result<(), RealError> {
        const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        const ROUND: Duration = Duration::from_millis(50);
        const WAITED: Duration = Duration::from_secs(30);
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| RealError::Definition(error);
        let definition = definition.map_err(|error| refused(error.into()))?;
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let client = self.client().await?;
        let request = http::Request::post(DEFINITIONS)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(definition.to_string().into_bytes())
            .map_err(|error| refused(error.into()))?;
        client.request_text(request).await.map_err(|error| refused(error.into()))?;
        // The definition is established a moment before its objects are served: until then the answers are 404 and 429.
        let served = async {
            for path in paths_of(&definition) {
                loop {
                    let request = http::Request::get(&path).body(kube::client::Body::empty());
                    let request = request.map_err(|error| refused(error.into()))?;
                    let answer = client.send(request).await.map_err(|error| refused(error.into()))?;
                    match answer.status().as_u16() {
                        200 => break,
                        404 | 429 => {}
                        other => return Err(refused(format!("{path} is answered with {other}").into())),
                    }
                    tokio::time::sleep(ROUND).await;
                }
            }
            Ok(())
        };
        let done = tokio::time::timeout(WAITED, served).await;
        done.unwrap_or(Err(RealError::NotServed { name, waited: WAITED }))
    }

    /// Returns a kubeconfig with the administrator's credential.
    pub fn kubeconfig(&self) -> Kubeconfig {
        self.kubeconfig_for(&self.admin)
    }

    /// Returns a kubeconfig with this credential.
    pub fn kubeconfig_for(&self, credential: &Credential) -> Kubeconfig {
        kubeconfig::kubeconfig(&destination(self.port, &self.ca_pem), credential)
    }

    /// Returns [`kubeconfig_for`](Self::kubeconfig_for) as YAML, for a file or a Secret. The text contains the credential in
    /// clear.
    pub fn kubeconfig_yaml(&self, credential: &Credential) -> String {
        kubeconfig::yaml(&destination(self.port, &self.ca_pem), credential)
    }

    /// Returns a client with the administrator's credential. It does not retry.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client(&self) -> Result<Client, ClientError> {
        self.client_for(&self.admin).await
    }

    /// [`client`](Self::client) with another credential.
    ///
    /// # Errors
    /// If kube cannot build a client.
    pub async fn client_for(&self, credential: &Credential) -> Result<Client, ClientError> {
        client_of(self.port, &self.ca_pem, credential).await
    }
}

impl fmt::Debug for RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealServer").field("version", &self.version).field("port", &self.port).finish_non_exhaustive()
    }
}

impl fmt::Display for RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a real kube-apiserver {} from {}", self.version, self.assets.display())
    }
}

/// The path to a watch of each served version. A watch is what a definition serves last.
fn paths_of(definition: &Value) -> Vec<String> {
    let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
    let (group, plural) = (group.as_str().unwrap_or_default(), plural.as_str().unwrap_or_default());
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true).filter_map(|version| version["name"].as_str());
    served.map(|version| format!("/apis/{group}/{version}/{plural}?watch=1")).collect()
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn destination(port: u16, ca_pem: &str) -> Destination<'static> {
    Destination { name: NAME, url: url(port), ca_pem: Some(ca_pem.to_owned()) }
}

pub(super) async fn client_of(port: u16, ca_pem: &str, credential: &Credential) -> Result<Client, ClientError> {
    client::client(kubeconfig::kubeconfig(&destination(port, ca_pem), credential)).await
}

/// Starts an etcd and waits until it is healthy.
pub(super) async fn start_etcd(assets: &Path, plan: &EtcdPlan, patience: Patience) -> Result<Process, RealError> {
    let mut etcd = Process::start(ETCD, &program_in(assets, ETCD), &plan.arguments(), &plan.directory)?;
    etcd.ready_within(patience.etcd, async || process::answers_healthy(plan.client_port).await).await?;
    Ok(etcd)
}

/// Starts a kube-apiserver and waits until it is ready for the administrator.
pub(super) async fn start_apiserver(
    assets: &Path,
    plan: &ApiServerPlan,
    patience: Patience,
    admin: &Client,
) -> Result<Process, RealError> {
    let program = program_in(assets, KUBE_APISERVER);
    let mut apiserver = Process::start(KUBE_APISERVER, &program, &plan.arguments(), &plan.directory)?;
    apiserver.ready_within(patience.apiserver, async || is_ready(admin).await).await?;
    Ok(apiserver)
}

fn program_in(assets: &Path, program: &str) -> PathBuf {
    assets.join(program).with_extension(std::env::consts::EXE_EXTENSION)
}

async fn is_ready(admin: &Client) -> bool {
    let paths = NAMESPACES.map(|name| format!("/api/v1/namespaces/{name}"));
    for path in ["/readyz".to_owned()].into_iter().chain(paths) {
        let Ok(request) = http::Request::get(path).body(Vec::new()) else { return false };
        if admin.request_text(request).await.is_err() {
            return false;
        }
    }
    true
}
