//! [`KubeconfigSecrets`]: Secrets that hold a kubeconfig each.

use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
use clientmgr_kube::kube::Client;
use clientmgr_kube::kube::runtime::watcher;
use clientmgr_kube::{ClusterConfig, Policy};
use futures::Stream;

use crate::source::error::SourceError;
use crate::source::event::SourceEvent;
use crate::source::target::Namespaces;
use crate::source::watch::declared;

/// Where in a Secret the kubeconfig is, which context of it counts, and what it may do. Pure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigFormat {
    keys: Vec<String>,
    context: Option<String>,
    policy: Policy,
}

impl KubeconfigFormat {
    /// Returns the format of Secrets that hold a kubeconfig under `key`.
    ///
    /// Its `current-context` counts, under the policy [`for_secrets`](Policy::for_secrets).
    pub fn new(key: impl Into<String>) -> Self {
        Self { keys: vec![key.into()], context: None, policy: Policy::for_secrets() }
    }

    /// Returns the format of multicluster-runtime's kubeconfig provider: the key `kubeconfig`.
    pub fn multicluster_runtime() -> Self {
        Self::new("kubeconfig")
    }

    /// Returns the format of Kueue's `MultiKueue`: the key `kubeconfig`.
    pub fn kueue() -> Self {
        Self::new("kubeconfig")
    }

    /// Returns the format of Flux: the key `value`, else `value.yaml`.
    pub fn flux() -> Self {
        Self::new("value").or_key("value.yaml")
    }

    /// Adds a key that counts where the Secret has none of those before.
    #[must_use = "returns the changed format"]
    pub fn or_key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Sets the context of the kubeconfig that counts, in place of its `current-context`.
    #[must_use = "returns the changed format"]
    pub fn context(self, context: impl Into<String>) -> Self {
        Self { context: Some(context.into()), ..self }
    }

    /// Sets what the kubeconfig may do.
    #[must_use = "returns the changed format"]
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Returns the configuration that `secret` describes.
    ///
    /// # Errors
    ///
    /// The Secret has no such key, the kubeconfig is not valid, or the policy denies a field of it.
    pub fn config(&self, secret: &Secret) -> Result<ClusterConfig, SourceError> {
        let data = secret.data.as_ref();
        let found = self.keys.iter().find_map(|key| Some((key, data?.get(key)?)));
        let Some((key, kubeconfig)) = found else {
            return Err(SourceError::Missing { field: format!("data.{}", self.keys.join(" or data.")) });
        };
        let within = |error| SourceError::within(&format!("data.{key}"), &error);
        let config = ClusterConfig::from_secret(&kubeconfig.0, self.context.as_deref()).map_err(within)?;
        let config = config.with_policy(self.policy);
        config.validate().map_err(within)?;
        Ok(config)
    }
}

/// A source of Secrets that hold a kubeconfig each. The cluster's key is the Secret's namespace and name.
///
/// A Secret that is deleted or loses its label is a cluster that is gone. A Secret without the expected key, or with a
/// kubeconfig that cannot be used, is an error of that cluster, which keeps the connection that it has. Of a Secret that was
/// deleted and made again between two lists, only the content counts.
///
/// # Examples
///
/// ```no_run
/// # fn example(hub: clientmgr_kube::kube::Client) {
/// use clientmgr_runtime::source::{KubeconfigFormat, KubeconfigSecrets};
///
/// let source = KubeconfigSecrets::new(hub, "example.com/cluster=true", KubeconfigFormat::new("config"))
///     .namespaces(["team-a", "team-b"])
///     .watch();
/// # drop(source);
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `watch`"]
pub struct KubeconfigSecrets {
    client: Client,
    labels: String,
    format: KubeconfigFormat,
    namespaces: Namespaces,
}

impl KubeconfigSecrets {
    /// Returns the source of the Secrets that the label selector `labels` selects, in all namespaces of the hub.
    pub fn new(client: Client, labels: impl Into<String>, format: KubeconfigFormat) -> Self {
        Self { client, labels: labels.into(), format, namespaces: Namespaces::default() }
    }

    /// Returns the source of the Secrets of multicluster-runtime's kubeconfig provider, with the label
    /// `sigs.k8s.io/multicluster-runtime-kubeconfig=true`.
    pub fn multicluster_runtime(client: Client) -> Self {
        let labels = "sigs.k8s.io/multicluster-runtime-kubeconfig=true";
        Self::new(client, labels, KubeconfigFormat::multicluster_runtime())
    }

    /// Reads these namespaces only.
    pub fn namespaces(self, namespaces: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { namespaces: Namespaces::of(namespaces), ..self }
    }

    /// Returns the source, which watches the Secrets while it is polled.
    pub fn watch(self) -> impl Stream<Item = SourceEvent> + Send + 'static {
        let secrets = self.namespaces.secrets(&self.client, &watcher::Config::default().labels(&self.labels));
        declared(secrets, move |secret| Some(self.format.config(secret)))
    }
}

impl std::fmt::Debug for KubeconfigSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeconfigSecrets")
            .field("labels", &self.labels)
            .field("format", &self.format)
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_kube::k8s_openapi::ByteString;
    use clientmgr_kube::k8s_openapi::api::core::v1::Secret;
    use clientmgr_kube::{ConnectErrorKind, Policy};

    use super::KubeconfigFormat;

    fn kubeconfig(user: &str) -> String {
        format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}, {{name: b, context: {{cluster: d, \
             user: u}}}}]\nclusters: [{{name: c, cluster: {{server: 'https://c'}}}}]\nusers: [{{name: u, user: {{{user}}}}}]"
        )
    }

    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    #[test]
    fn each_format_reads_its_keys_in_order() {
        let good = kubeconfig("token: t");
        let (mcr, flux) = (KubeconfigFormat::multicluster_runtime(), KubeconfigFormat::flux());
        let table = [
            (&mcr, secret(&[("kubeconfig", &good)]), None),
            (&mcr, secret(&[("value", &good)]), Some("data.kubeconfig: it is missing")),
            (&mcr, Secret::default(), Some("data.kubeconfig: it is missing")),
            (&flux, secret(&[("value", &good)]), None),
            (&flux, secret(&[("value.yaml", &good)]), None),
            (&flux, secret(&[("value.yaml", &good), ("value", "")]), Some("data.value: current-context: ")),
            (&flux, secret(&[]), Some("data.value or data.value.yaml: it is missing")),
        ];
        for (format, secret, expected) in table {
            let error = format.config(&secret).err().map(|error| error.to_string());
            match (&error, expected) {
                (None, None) => {}
                (Some(error), Some(expected)) => assert!(error.starts_with(expected), "{error}"),
                _ => panic!("{error:?} {expected:?}"),
            }
        }
        assert_eq!(KubeconfigFormat::kueue(), mcr);
    }

    #[test]
    fn what_is_wrong_within_the_kubeconfig_is_named_and_no_secret_is_quoted() {
        let format = KubeconfigFormat::new("k");
        let exec = "exec: {command: sesame, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}";
        let table = [
            (kubeconfig(exec), ConnectErrorKind::DeniedByPolicy, "users[0].user.exec: "),
            (kubeconfig("tokenFile: /sesame"), ConnectErrorKind::DeniedByPolicy, "users[0].user.tokenFile: "),
            (kubeconfig(r#"token: "sesame\u0001""#), ConnectErrorKind::NoCredentials, "users[0].user.token: "),
            ("sesame: [".to_owned(), ConnectErrorKind::InvalidConfig, "the kubeconfig is not valid"),
        ];
        for (kubeconfig, kind, expected) in table {
            let error = format.config(&secret(&[("k", &kubeconfig)])).unwrap_err();
            assert_eq!((error.kind(), error.field()), (kind, Some("data.k")), "{error}");
            assert!(error.to_string().starts_with(&format!("data.k: {expected}")), "{error}");
            assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
        }
        let allowed = format.policy(Policy::for_secrets().allow_exec(true));
        assert!(allowed.config(&secret(&[("k", &kubeconfig(exec))])).is_ok());
    }

    #[test]
    fn a_context_may_be_named() {
        let error =
            KubeconfigFormat::new("k").context("b").config(&secret(&[("k", &kubeconfig("token: t"))])).unwrap_err();
        assert!(error.to_string().contains("names the cluster \"d\""), "{error}");
    }
}
