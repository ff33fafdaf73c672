//! A real etcd and kube-apiserver, started for one run and ended with it.
//!
//! Here is the order of things; command lines, certificates and processes have files of their own. What is started is
//! killed when the handle is dropped, on a panic too, and the directory with all its files is removed.

mod command;
mod error;
mod pki;
mod ports;
mod process;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use self::ports::free_ports;
pub(crate) use self::{
    command::{ApiServerPlan, EtcdPlan, TokenUser, token_file},
    error::RealError,
    pki::Pki,
    process::Process,
};

/// How often the servers are started on other ports when somebody else took theirs meanwhile.
const ATTEMPTS: u32 = 3;
/// What a server says whose port is taken.
const PORT_TAKEN: &str = "address already in use";
/// Without these namespaces the server is not done with starting.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The programs, by the names they have in a directory of assets.
const ETCD: &str = "etcd";
const KUBE_APISERVER: &str = "kube-apiserver";

/// How long the servers may take until they are ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) etcd: Duration,
    pub(crate) apiserver: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { etcd: Duration::from_secs(30), apiserver: Duration::from_secs(120) }
    }
}

/// A running cluster without controllers or nodes.
pub(crate) struct RealServer {
    // Dropped in this order: the server before its store, both before their files.
    _apiserver: Process,
    _etcd: Process,
    _files: tempfile::TempDir,
    assets: PathBuf,
    version: String,
    port: u16,
    pki: Pki,
    users: Users,
}

struct Users {
    admin: TokenUser,
    outsider: TokenUser,
}

impl Users {
    fn new() -> Self {
        Self {
            admin: TokenUser::new(super::ADMIN, "admin-1", super::MASTERS),
            outsider: TokenUser::new(super::OUTSIDER, super::OUTSIDER_UID, super::OUTSIDER_GROUP),
        }
    }
}

impl RealServer {
    /// Starts the programs in `assets` and waits until they are ready.
    pub(crate) async fn start(assets: &Path) -> Result<Self, RealError> {
        Self::start_with(assets, Patience::default()).await
    }

    pub(crate) async fn start_with(assets: &Path, patience: Patience) -> Result<Self, RealError> {
        for program in [ETCD, KUBE_APISERVER] {
            if !program_in(assets, program).is_file() {
                return Err(RealError::Missing { directory: assets.to_owned(), program });
            }
        }
        let mut attempt = 1;
        loop {
            match Self::try_start(assets, patience).await {
                Err(RealError::Exited { tail, .. }) if attempt < ATTEMPTS && tail.contains(PORT_TAKEN) => attempt += 1,
                done => return done,
            }
        }
    }

    async fn try_start(assets: &Path, patience: Patience) -> Result<Self, RealError> {
        let files = tempfile::tempdir().map_err(RealError::Directory)?;
        let directory = files.path().to_owned();
        let [client_port, peer_port, port] = free_ports().map_err(RealError::Port)?;
        let (pki, users) = (Pki::new(super::ADMIN, super::MASTERS)?, Users::new());
        pki.write_to(&directory)?;
        error::write(&directory.join(command::TOKENS), &token_file(&[&users.admin, &users.outsider]))?;

        let etcd =
            start_etcd(assets, &EtcdPlan { directory: directory.clone(), client_port, peer_port }, patience).await?;
        let admin = admin_client(&pki, port).await?;
        let plan = ApiServerPlan { directory, etcd_port: client_port, port };
        let apiserver = start_apiserver(assets, &plan, patience, &admin).await?;

        let version = admin.apiserver_version().await.map_or_else(|_| "?".to_owned(), |info| info.git_version);
        let assets = assets.to_owned();
        Ok(Self { _apiserver: apiserver, _etcd: etcd, _files: files, assets, version, port, pki, users })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    pub(crate) fn admin_token(&self) -> &str {
        self.users.admin.token()
    }

    pub(crate) fn outsider_token(&self) -> &str {
        self.users.outsider.token()
    }
}

impl fmt::Display for RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a real kube-apiserver {} from {}", self.version, self.assets.display())
    }
}

/// Starts an etcd and waits until it is healthy.
pub(crate) async fn start_etcd(assets: &Path, plan: &EtcdPlan, patience: Patience) -> Result<Process, RealError> {
    let mut etcd = Process::start(ETCD, &program_in(assets, ETCD), &plan.arguments(), &plan.directory)?;
    etcd.ready_within(patience.etcd, async || process::answers_healthy(plan.client_port).await).await?;
    Ok(etcd)
}

/// Starts a kube-apiserver and waits until it is ready for the administrator.
pub(crate) async fn start_apiserver(
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

pub(crate) async fn admin_client(pki: &Pki, port: u16) -> Result<Client, RealError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "current-context": "real",
        "clusters": [{"name": "real", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": STANDARD.encode(&pki.ca_pem),
        }}],
        "users": [{"name": "real", "user": {
            "client-certificate-data": STANDARD.encode(&pki.admin.certificate_pem),
            "client-key-data": STANDARD.encode(&pki.admin.key_pem),
        }}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
    }))
    .map_err(|error| RealError::Client(error.into()))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| RealError::Client(error.into()))?;
    config.default_retry = false;
    config.proxy_url = None;
    Client::try_from(config).map_err(|error| RealError::Client(error.into()))
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
