//! The command lines of etcd and kube-apiserver, and the file of tokens. Pure: nothing is started or written here.

use std::path::{Path, PathBuf};

use crate::access::credential::Credential;

/// The files of the server, in its directory.
pub(super) const TOKENS: &str = "tokens.csv";
pub(super) const CA: &str = "ca.crt";
pub(super) const SERVER_CERTIFICATE: &str = "server.crt";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const ACCOUNT_KEY: &str = "service-account.key";
pub(super) const ACCOUNT_PUBLIC_KEY: &str = "service-account.pub";

/// What an etcd is started with.
pub(super) struct EtcdPlan {
    pub(super) directory: PathBuf,
    pub(super) client_port: u16,
    pub(super) peer_port: u16,
}

impl EtcdPlan {
    pub(super) fn arguments(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.client_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        vec![
            "--name=testserver".to_owned(),
            format!("--data-dir={}", in_directory(&self.directory, "etcd-data")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=testserver={peer}"),
            // The data is not needed after the run.
            "--unsafe-no-fsync".to_owned(),
        ]
    }
}

/// What a kube-apiserver is started with.
pub(super) struct ApiServerPlan {
    pub(super) directory: PathBuf,
    pub(super) etcd_port: u16,
    pub(super) port: u16,
}

impl ApiServerPlan {
    pub(super) fn arguments(&self) -> Vec<String> {
        let file = |name| in_directory(&self.directory, name);
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--cert-dir={}", file("certificates")),
            format!("--tls-cert-file={}", file(SERVER_CERTIFICATE)),
            format!("--tls-private-key-file={}", file(SERVER_KEY)),
            format!("--client-ca-file={}", file(CA)),
            format!("--token-auth-file={}", file(TOKENS)),
            format!("--service-account-key-file={}", file(ACCOUNT_PUBLIC_KEY)),
            format!("--service-account-signing-key-file={}", file(ACCOUNT_KEY)),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // It would ask for service accounts, and there is no controller manager to create them.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ]
    }
}

fn in_directory(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

/// The file of tokens: a line each, `token,user,uid,"group,…"`.
pub(super) fn token_file(credentials: &[Credential]) -> String {
    let line = |credential: &Credential| {
        let user = credential.user();
        let (uid, groups) = (user.uid_if_any().unwrap_or_default(), user.groups().join(","));
        Some(format!("{},{},{uid},\"{groups}\"\n", credential.token()?, user.name()))
    };
    credentials.iter().filter_map(line).collect()
}
