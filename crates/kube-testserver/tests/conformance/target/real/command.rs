//! The command lines of etcd and kube-apiserver, and the file of tokens. Pure: nothing is started or written here.

use std::path::{Path, PathBuf};

/// The files of the server, in its directory.
pub(super) const TOKENS: &str = "tokens.csv";
pub(super) const CA: &str = "ca.crt";
pub(super) const SERVER_CERTIFICATE: &str = "server.crt";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const ACCOUNT_KEY: &str = "service-account.key";
pub(super) const ACCOUNT_PUBLIC_KEY: &str = "service-account.pub";

/// What an etcd is started with.
pub(crate) struct EtcdPlan {
    pub(crate) directory: PathBuf,
    pub(crate) client_port: u16,
    pub(crate) peer_port: u16,
}

impl EtcdPlan {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.client_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        vec![
            "--name=conformance".to_owned(),
            format!("--data-dir={}", in_directory(&self.directory, "etcd-data")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=conformance={peer}"),
            // Nobody needs this data after the run.
            "--unsafe-no-fsync".to_owned(),
        ]
    }
}

/// What a kube-apiserver is started with.
pub(crate) struct ApiServerPlan {
    pub(crate) directory: PathBuf,
    pub(crate) etcd_port: u16,
    pub(crate) port: u16,
}

impl ApiServerPlan {
    pub(crate) fn arguments(&self) -> Vec<String> {
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
            // Nobody makes the service accounts that it would ask for: there is no controller manager.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ]
    }
}

fn in_directory(directory: &Path, name: &str) -> String {
    directory.join(name).display().to_string()
}

/// Somebody who comes with a token.
pub(crate) struct TokenUser {
    token: String,
    name: &'static str,
    uid: &'static str,
    group: &'static str,
}

impl TokenUser {
    /// With a token nobody can guess.
    pub(crate) fn new(name: &'static str, uid: &'static str, group: &'static str) -> Self {
        Self { token: uuid::Uuid::new_v4().simple().to_string(), name, uid, group }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// The file of tokens: a line each, `token,user,uid,"group"`.
pub(crate) fn token_file(users: &[&TokenUser]) -> String {
    let lines: Vec<String> =
        users.iter().map(|user| format!("{},{},{},\"{}\"", user.token, user.name, user.uid, user.group)).collect();
    lines.join("\n") + "\n"
}
