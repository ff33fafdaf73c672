//! [`ArgoCdClusters`]: the cluster Secrets of Argo CD.

use std::collections::BTreeMap;

use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::config::{AuthInfo, Cluster, ExecConfig, ExecInteractiveMode};
use clientmgr_kube::kube::runtime::watcher;
use clientmgr_kube::{ClusterConfig, Policy};
use futures::Stream;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::source::assemble::config_of;
use crate::source::error::SourceError;
use crate::source::event::SourceEvent;
use crate::source::go_json::null_is_default;
use crate::source::target::Namespaces;
use crate::source::watch::declared;

const LABELS: &str = "argocd.argoproj.io/secret-type=cluster";

/// By this address Argo CD means the cluster that it runs in, with its own credentials.
const OWN_CLUSTER: &str = "https://kubernetes.default.svc";

/// `data.config`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Access {
    #[serde(deserialize_with = "null_is_default")]
    username: String,
    #[serde(deserialize_with = "null_is_default")]
    password: String,
    #[serde(deserialize_with = "null_is_default")]
    bearer_token: String,
    #[serde(deserialize_with = "null_is_default")]
    tls_client_config: TlsClientConfig,
    aws_auth_config: Option<IgnoredAny>,
    exec_provider_config: Option<ExecProviderConfig>,
    #[serde(deserialize_with = "null_is_default")]
    disable_compression: bool,
    #[serde(deserialize_with = "null_is_default")]
    proxy_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TlsClientConfig {
    #[serde(deserialize_with = "null_is_default")]
    insecure: bool,
    #[serde(deserialize_with = "null_is_default")]
    server_name: String,
    ca_data: Option<String>,
    cert_data: Option<String>,
    key_data: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExecProviderConfig {
    #[serde(deserialize_with = "null_is_default")]
    command: String,
    #[serde(deserialize_with = "null_is_default")]
    args: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    env: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    api_version: String,
    #[serde(deserialize_with = "null_is_default")]
    install_hint: String,
}

/// Returns the configuration that an Argo CD cluster Secret describes. Pure.
///
/// # Errors
///
/// A key is missing or malformed, `policy` denies a field, or the Secret uses `awsAuthConfig`, which is not supported.
pub fn argo_cd_config(secret: &Secret, policy: Policy) -> Result<ClusterConfig, SourceError> {
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.as_slice());
    let missing = |field: &str| SourceError::Missing { field: field.to_owned() };
    let malformed = |field: &str, expected| SourceError::Malformed { field: field.to_owned(), expected };
    let unsupported = |field: &str, instead| Err(SourceError::Unsupported { field: field.to_owned(), instead });

    let server = std::str::from_utf8(value("server").ok_or_else(|| missing("data.server"))?);
    let server = server.map_err(|_| malformed("data.server", "text"))?.trim();
    let config = value("config").ok_or_else(|| missing("data.config"))?;
    let config: Access =
        serde_json::from_slice(config).map_err(|_| malformed("data.config", "the JSON of an Argo CD cluster"))?;
    if config.aws_auth_config.is_some() {
        return unsupported("data.config.awsAuthConfig", "use execProviderConfig, and a policy that allows exec");
    }
    let user = user_of(&config);
    let texts = [&user.username, &user.client_certificate_data];
    let is_anonymous = texts.iter().all(|text| text.is_none())
        && (user.password.is_none() && user.token.is_none() && user.client_key_data.is_none() && user.exec.is_none());
    if is_anonymous && server.trim_end_matches('/') == OWN_CLUSTER {
        return unsupported("data.server", "add the cluster that the program runs in with the source local_cluster");
    }
    if is_anonymous {
        return Err(missing("data.config.bearerToken"));
    }
    let tls = config.tls_client_config;
    let cluster = Cluster {
        server: Some(server.to_owned()),
        insecure_skip_tls_verify: Some(tls.insecure),
        certificate_authority_data: tls.ca_data,
        tls_server_name: some(tls.server_name),
        proxy_url: some(config.proxy_url),
        disable_compression: Some(config.disable_compression),
        ..Cluster::default()
    };
    config_of(cluster, user, policy, |field| place(field).to_owned())
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn user_of(config: &Access) -> AuthInfo {
    let tls = &config.tls_client_config;
    AuthInfo {
        username: some(config.username.clone()),
        password: some(config.password.clone()).map(Into::into),
        token: some(config.bearer_token.clone()).map(Into::into),
        client_certificate_data: tls.cert_data.clone(),
        client_key_data: tls.key_data.clone().map(Into::into),
        exec: config.exec_provider_config.as_ref().map(plugin),
        ..AuthInfo::default()
    }
}

fn plugin(exec: &ExecProviderConfig) -> ExecConfig {
    let variable = |(name, value): (&String, &String)| {
        [("name".to_owned(), name.clone()), ("value".to_owned(), value.clone())].into()
    };
    ExecConfig {
        api_version: Some(exec.api_version.clone()),
        command: Some(exec.command.clone()),
        args: Some(exec.args.clone()),
        env: Some(exec.env.iter().map(variable).collect()),
        install_hint: some(exec.install_hint.clone()),
        interactive_mode: Some(ExecInteractiveMode::Never),
        // Argo CD gives it always.
        provide_cluster_info: true,
        ..ExecConfig::default()
    }
}

/// Returns where in the Secret a field of the kubeconfig comes from.
fn place(field: &str) -> &'static str {
    let name = field.split_once("].").map_or(field, |(_, name)| name);
    match name.split_once('.').map_or(name, |(_, name)| name) {
        "server" => "data.server",
        "certificate-authority-data" => "data.config.tlsClientConfig.caData",
        "client-certificate-data" => "data.config.tlsClientConfig.certData",
        "client-key-data" => "data.config.tlsClientConfig.keyData",
        "insecure-skip-tls-verify" => "data.config.tlsClientConfig.insecure",
        "tls-server-name" => "data.config.tlsClientConfig.serverName",
        "proxy-url" => "data.config.proxyUrl",
        "token" => "data.config.bearerToken",
        "username" => "data.config.username",
        "password" => "data.config.password",
        name if name.starts_with("exec") => "data.config.execProviderConfig",
        _ => "data.config",
    }
}

/// A source of Argo CD's cluster Secrets (label `argocd.argoproj.io/secret-type: cluster`). The cluster's key is the Secret's
/// namespace and name.
///
/// A Secret that is deleted or loses its label is a cluster that is gone. What is wrong with a Secret is an error of that
/// cluster, which keeps the connection that it has.
#[derive(Clone)]
#[must_use = "call `watch`"]
pub struct ArgoCdClusters {
    client: Client,
    namespaces: Namespaces,
    policy: Policy,
}

impl ArgoCdClusters {
    /// Returns the source of the cluster Secrets in all namespaces of the hub, with the policy
    /// [`for_secrets`](Policy::for_secrets).
    pub fn new(client: Client) -> Self {
        Self { client, namespaces: Namespaces::default(), policy: Policy::for_secrets() }
    }

    /// Reads these namespaces only; Argo CD reads its own, mostly `argocd`.
    pub fn namespaces(self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { namespaces: Namespaces::of(namespaces), ..self }
    }

    /// Sets what the Secrets may do. `execProviderConfig` needs [`allow_exec`](Policy::allow_exec), and runs a command of
    /// the user who writes the Secret.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the source, which watches the Secrets while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        let secrets = self.namespaces.secrets(&self.client, &watcher::Config::default().labels(LABELS));
        declared(secrets, move |secret| Some(argo_cd_config(secret, self.policy)))
    }
}

impl std::fmt::Debug for ArgoCdClusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArgoCdClusters").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::Policy;
    use clientmgr_kube::k8s_openapi::ByteString;
    use clientmgr_kube::k8s_openapi::api::core::v1::Secret;

    use super::argo_cd_config;

    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    fn with(config: &str) -> Secret {
        secret(&[("name", "east"), ("server", "https://east.example.com"), ("config", config)])
    }

    #[test]
    fn each_form_is_read_or_its_field_is_named() {
        let exec = r#"{"execProviderConfig":{"command":"c","args":["a"],"env":{"A":"sesame"},"apiVersion":"client.authentication.k8s.io/v1beta1"}}"#;
        let basic = r#"{"username":"u","password":"sesame"}"#;
        let (secrets, trusted) = (Policy::for_secrets(), Policy::trusted());
        let table = [
            (
                with(r#"{"bearerToken":"t","tlsClientConfig":{"serverName":"s"},"disableCompression":true}"#),
                secrets,
                None,
            ),
            (with(r#"{"bearerToken":"t","tlsClientConfig":{"insecure":true}}"#), trusted, None),
            (
                with(r#"{"bearerToken":"t","tlsClientConfig":{"insecure":true}}"#),
                secrets,
                Some("data.config.tlsClientConfig.insecure"),
            ),
            (
                with(r#"{"bearerToken":"t","tlsClientConfig":{"caData":"sesame!"}}"#),
                secrets,
                Some("data.config.tlsClientConfig.caData"),
            ),
            (
                with(r#"{"tlsClientConfig":{"certData":"c2VzYW1l"}}"#),
                secrets,
                Some("data.config.tlsClientConfig.keyData"),
            ),
            (with(r#"{"bearerToken":"t","proxyUrl":"http://proxy:3128"}"#), secrets, Some("data.config.proxyUrl")),
            (with(basic), trusted, None),
            (with(basic), secrets, Some("data.config.username")),
            (with(exec), secrets.allow_exec(true), None),
            (with(exec), secrets, Some("data.config.execProviderConfig")),
            (
                with(r#"{"execProviderConfig":{"command":"c","apiVersion":"v9"}}"#),
                trusted,
                Some("data.config.execProviderConfig"),
            ),
            (with(r#"{"awsAuthConfig":{"clusterName":"sesame"}}"#), trusted, Some("data.config.awsAuthConfig")),
            (with("{}"), trusted, Some("data.config.bearerToken")),
            (with(r#"{"bearerToken": "sesame""#), trusted, Some("data.config")),
            (with(r#"{"bearerToken":"t"}"#), secrets, None),
            // What templates write for fields that are not set. To Go it is the zero value.
            (with(r#"{"bearerToken":"t","username":null,"tlsClientConfig":null,"proxyUrl":null}"#), secrets, None),
            (with(r#"{"bearerToken":"t","tlsClientConfig":{"insecure":null,"caData":null}}"#), secrets, None),
            (with(r#"{"bearerToken":null,"awsAuthConfig":null}"#), secrets, Some("data.config.bearerToken")),
            (
                with(
                    r#"{"execProviderConfig":{"command":"c","args":null,"env":null,"apiVersion":"client.authentication.k8s.io/v1"}}"#,
                ),
                trusted,
                None,
            ),
            (secret(&[("config", "{}")]), secrets, Some("data.server")),
            (secret(&[("server", "https://east")]), secrets, Some("data.config")),
            (secret(&[("server", "https://kubernetes.default.svc"), ("config", "{}")]), secrets, Some("data.server")),
            (secret(&[("server", "http://east"), ("config", r#"{"bearerToken":"t"}"#)]), secrets, Some("data.server")),
        ];
        for (secret, policy, expected) in table {
            let error = argo_cd_config(&secret, policy).err();
            assert_eq!(error.as_ref().and_then(|error| error.field()), expected, "{error:?} {secret:?}");
            assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
        }
    }
}
