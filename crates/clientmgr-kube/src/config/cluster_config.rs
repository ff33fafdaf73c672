//! [`ClusterConfig`]: how to reach a cluster, and as which user. Nothing is read here but the text of a kubeconfig.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use kube::Config;
use kube::config::{AuthInfo, Cluster, Kubeconfig};

use super::fingerprint::{self, Fingerprint};
use super::identity::{ClusterIdentity, Incarnation, Naming};
use super::impersonation::Impersonation;
use super::kubeconfig::parse_kubeconfig;
use super::policy::Policy;
use super::selection::Selection;
use super::service_account;
use super::source::Source;
use super::validate::{self, Checked};
use crate::error::{ConfigError, ConnectError, ConnectErrorKind, Failure};

/// The configuration of a cluster: how to reach it, and as which user. Cheap to clone.
///
/// A configuration is a description. The files that it names are read, and its credential plugin runs, each time the
/// fleet loads credentials: when a file changes, when a credential nears its end, when the server refuses it.
///
/// Two configurations are equal if they describe the same: [`upsert`](crate::Fleet::upsert) of an equal one changes
/// nothing.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::{ClusterConfig, contexts, kube::config::Kubeconfig};
///
/// let kubeconfig = Kubeconfig::from_yaml(
///     "
///     contexts: [{ name: east, context: { cluster: east, user: me } }]
///     clusters: [{ name: east, cluster: { server: 'https://east.example.com' } }]
///     users: [{ name: me, user: { token: not-shown } }]
///     ",
/// )?;
/// let configs: Vec<_> = contexts(&kubeconfig).map(|name| ClusterConfig::from_kubeconfig(&kubeconfig, name)).collect();
/// assert_eq!(format!("{configs:?}"), r#"[ClusterConfig { context: "east", .. }]"#);
/// # Ok::<_, clientmgr_kube::kube::config::KubeconfigError>(())
/// ```
#[derive(Clone)]
pub struct ClusterConfig {
    inner: Arc<Inner>,
    policy: Policy,
    default_namespace: Option<Arc<str>>,
    impersonation: Option<Arc<Impersonation>>,
    pin: Option<ClusterIdentity>,
    incarnation: Option<Incarnation>,
    naming: Naming,
    details_first: bool,
}

struct Inner {
    source: Source,
    fingerprint: OnceLock<Fingerprint>,
}

impl ClusterConfig {
    /// Returns the configuration that the context `context` of `kubeconfig` describes, with the policy
    /// [`trusted`](Policy::trusted). It keeps only what belongs to the context.
    ///
    /// Relative paths are used as they are: [`read_kubeconfig`](crate::read_kubeconfig) and kube's own functions that read a file
    /// make them absolute. What is wrong with the context shows in [`validate`](Self::validate) and when the cluster
    /// is connected.
    pub fn from_kubeconfig(kubeconfig: &Kubeconfig, context: &str) -> Self {
        Self::new(Source::Selection(Box::new(Selection::new(kubeconfig, context))), Policy::trusted())
    }

    /// Reads the kubeconfig in a Secret, with the policy [`for_secrets`](Policy::for_secrets): `context` of it, or its
    /// `current-context`.
    ///
    /// # Errors
    ///
    /// The text is no kubeconfig, is larger than 1 MiB, or has no `current-context` where none was given. What is wrong
    /// with the context shows in [`validate`](Self::validate) and when the cluster is connected.
    ///
    /// # Examples
    ///
    /// ```
    /// use clientmgr_kube::{ClusterConfig, ConnectErrorKind};
    ///
    /// let secret = b"
    /// current-context: east
    /// contexts: [{ name: east, context: { cluster: east, user: me } }]
    /// clusters: [{ name: east, cluster: { server: 'https://east.example.com' } }]
    /// users: [{ name: me, user: { exec: { command: rm, apiVersion: client.authentication.k8s.io/v1 } } }]
    /// ";
    /// let error = ClusterConfig::from_secret(secret, None)?.validate().unwrap_err();
    /// assert_eq!(error.kind(), ConnectErrorKind::DeniedByPolicy);
    /// assert_eq!(error.field(), Some("users[0].user.exec"));
    /// # Ok::<_, clientmgr_kube::ConnectError>(())
    /// ```
    pub fn from_secret(kubeconfig: &[u8], context: Option<&str>) -> Result<Self, ConnectError> {
        Self::from_secret_kubeconfig(&parse_kubeconfig(kubeconfig)?, context)
    }

    /// Returns the configuration of a kubeconfig that [`parse_kubeconfig`] read from a Secret, as
    /// [`from_secret`](Self::from_secret) does.
    ///
    /// # Errors
    ///
    /// It has no `current-context` where no context was given.
    pub fn from_secret_kubeconfig(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<Self, ConnectError> {
        let current = kubeconfig.current_context.as_deref().filter(|context| !context.is_empty());
        let Some(context) = context.or(current) else {
            let error = validate::of_whole(ConfigError::NoCurrentContext);
            return Err(ConnectError::without_cluster(error));
        };
        Ok(Self::from_kubeconfig(kubeconfig, context).with_policy(Policy::for_secrets()))
    }

    /// Returns the configuration of a ready `kube::Config`, with the policy [`trusted`](Policy::trusted).
    ///
    /// Its `connect_timeout`, its retries and its `User-Agent` give way to the fleet's. Its `write_timeout` stays. A
    /// `read_timeout` stays as well, ends watches that are quiet for so long, and turns HTTP/2 off, where it would end all of
    /// them.
    pub fn from_config(config: Config) -> Self {
        Self::new(Source::Config(Box::new(config)), Policy::trusted())
    }

    /// Returns the configuration of the cluster that the program runs in, as its Pod's service account.
    ///
    /// The token and the certificate authority are read from their files, and again when the kubelet renews them.
    /// Proxies of the environment do not apply.
    ///
    /// # Errors
    ///
    /// The program does not run in a Pod: `KUBERNETES_SERVICE_HOST` or `KUBERNETES_SERVICE_PORT` is not set.
    pub fn in_cluster() -> Result<Self, ConnectError> {
        let server = service_account::server(|name| std::env::var(name).ok()).map_err(ConnectError::without_cluster)?;
        Ok(Self::of_service_account(server, Path::new(service_account::DIRECTORY)))
    }

    /// Returns a configuration that always fails. Use it where none can be made, for example from a Secret without the
    /// expected key.
    ///
    /// Its connections fail with a [`ConnectError`] of the kind `kind`, whose [`field`](ConnectError::field) is `field`
    /// and whose text is `text`. So a [fleet](crate::Fleet) shows in the cluster's snapshot what is wrong with the
    /// cluster's declaration, and keeps a connection that it has.
    ///
    /// `text` is shown in errors, so it must not hold a secret.
    ///
    /// # Examples
    ///
    /// ```
    /// use clientmgr_kube::{ClusterConfig, ConnectErrorKind};
    ///
    /// let config = ClusterConfig::unusable(ConnectErrorKind::InvalidConfig, Some("data.kubeconfig"), "is missing");
    /// assert_eq!(config.validate().unwrap_err().to_string(), "data.kubeconfig: is missing");
    /// ```
    pub fn unusable(kind: ConnectErrorKind, field: Option<&str>, text: impl fmt::Display) -> Self {
        let error = ConfigError::Unusable { kind, field: field.map(Into::into), text: text.to_string().into() };
        Self::new(Source::Selection(Box::new(Selection::unusable(error))), Policy::trusted())
    }

    /// Returns the configuration of the service account in `directory`, which holds the files that the kubelet mounts: `token`,
    /// `ca.crt` and `namespace`. [`in_cluster`](Self::in_cluster) uses the usual directory.
    ///
    /// `server` is the URL of the API server. The files are read when the cluster is connected, and again when they change.
    pub fn of_service_account(server: impl Into<String>, directory: &Path) -> Self {
        let server = server.into();
        let file = |name: &str| directory.join(name).to_str().map(str::to_owned);
        let cluster = Cluster { server: Some(server), certificate_authority: file("ca.crt"), ..Cluster::default() };
        let user = AuthInfo { token_file: file("token"), ..AuthInfo::default() };
        let selection = Selection::of_service_account(cluster, user, directory.join("namespace"));
        Self::new(Source::Selection(Box::new(selection)), Policy::trusted().use_proxy_from_environment(false))
    }

    fn new(source: Source, policy: Policy) -> Self {
        let inner = Arc::new(Inner { source, fingerprint: OnceLock::new() });
        Self {
            inner,
            policy,
            default_namespace: None,
            impersonation: None,
            pin: None,
            incarnation: None,
            naming: Naming::Mint,
            details_first: false,
        }
    }

    /// Sets what the configuration may do.
    #[must_use = "returns the changed configuration"]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Pins the cluster's identity. An attempt that finds another cluster fails with
    /// [`OtherCluster`](crate::ConnectErrorKind::OtherCluster), and the old connection stays.
    ///
    /// Where a UID is pinned, an attempt also fails while the user may not read the cluster's UID.
    #[must_use = "returns the changed configuration"]
    pub fn with_identity(self, identity: ClusterIdentity) -> Self {
        Self { pin: Some(identity), ..self }
    }

    /// Names the known incarnation of the cluster, as a status keeps it. A cluster of this identity is served under this
    /// revision. Another cluster gets a later revision, or none where the process [only adopts](Naming::AdoptOnly).
    #[must_use = "returns the changed configuration"]
    pub fn with_incarnation(self, incarnation: Incarnation) -> Self {
        Self { incarnation: Some(incarnation), ..self }
    }

    /// Sets whether this process names new incarnations of the cluster; [`Mint`](Naming::Mint) by default.
    ///
    /// A change does not concern a cluster that is served: its client and revision stay.
    #[must_use = "returns the changed configuration"]
    pub fn with_naming(self, naming: Naming) -> Self {
        Self { naming, ..self }
    }

    /// Asks for the user's name and the server's version before the cluster is first served, so that the first snapshot has
    /// them. This takes two more requests; by default the first probe asks. It does not make a configuration another one.
    #[must_use = "returns the changed configuration"]
    pub fn with_details_first(self) -> Self {
        Self { details_first: true, ..self }
    }

    /// Sets the default namespace of the cluster's client, in place of the context's.
    #[must_use = "returns the changed configuration"]
    pub fn with_default_namespace(self, namespace: impl Into<String>) -> Self {
        Self { default_namespace: Some(namespace.into().into()), ..self }
    }

    /// Makes requests as another user, in place of the one that the configuration itself impersonates. The credentials' own user
    /// needs the right to impersonate.
    ///
    /// The policy is about the configuration's own fields, so it neither permits nor denies this.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use clientmgr_kube::{ClusterConfig, Impersonation};
    ///
    /// let own = ClusterConfig::of_service_account("https://10.0.0.1", Path::new("/var/run/secrets/own"));
    /// let config = own.with_impersonation(Impersonation::new("tenant-a"));
    /// config.validate()?;
    /// # Ok::<_, clientmgr_kube::ConnectError>(())
    /// ```
    #[must_use = "returns the changed configuration"]
    pub fn with_impersonation(self, impersonation: Impersonation) -> Self {
        Self { impersonation: Some(impersonation.into()), ..self }
    }

    /// Checks the configuration and its policy, without reading a file, running a plugin or asking a server.
    ///
    /// # Errors
    ///
    /// What is wrong or denied; [`field`](ConnectError::field) names it.
    pub fn validate(&self) -> Result<(), ConnectError> {
        self.check().map(drop).map_err(ConnectError::without_cluster)
    }

    /// Returns a hash of everything but the incarnation and its naming: the same for configurations that describe the same.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let source = self.inner.fingerprint.get_or_init(|| fingerprint::of(&self.inner.source));
        let namespace = self.default_namespace.as_deref();
        source.with(self.policy, namespace, self.pin.as_ref(), self.impersonation())
    }

    /// Returns the identity that the cluster must have.
    pub(crate) fn pin(&self) -> Option<&ClusterIdentity> {
        self.pin.as_ref()
    }

    /// Returns the incarnation under which the cluster is known.
    pub(crate) fn incarnation(&self) -> Option<&Incarnation> {
        self.incarnation.as_ref()
    }

    /// Returns whether new incarnations get a revision.
    pub(crate) fn naming(&self) -> Naming {
        self.naming
    }

    pub(crate) fn wants_details_first(&self) -> bool {
        self.details_first
    }

    pub(crate) fn source(&self) -> &Source {
        &self.inner.source
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    fn impersonation(&self) -> Option<&Impersonation> {
        self.impersonation.as_deref()
    }

    /// Returns what passed the checks.
    pub(crate) fn check(&self) -> Result<Checked<'_>, Failure> {
        validate::check(self.source(), self.policy, self.impersonation())
    }

    pub(crate) fn default_namespace(&self) -> Option<&str> {
        self.default_namespace.as_deref()
    }
}

impl From<Config> for ClusterConfig {
    fn from(config: Config) -> Self {
        Self::from_config(config)
    }
}

impl PartialEq for ClusterConfig {
    fn eq(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation
            && self.naming == other.naming
            && self.fingerprint() == other.fingerprint()
    }
}

impl Eq for ClusterConfig {}

impl fmt::Debug for ClusterConfig {
    /// Shows the context's name; never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut config = f.debug_struct("ClusterConfig");
        if let Source::Selection(selection) = &self.inner.source
            && let Some(name) = &selection.name
        {
            config.field("context", name);
        }
        if let Some(identity) = &self.pin {
            config.field("identity", identity);
        }
        if let Some(incarnation) = &self.incarnation {
            config.field("incarnation", incarnation);
        }
        if self.naming != Naming::default() {
            config.field("naming", &self.naming);
        }
        config.finish_non_exhaustive()
    }
}

/// Returns the names of the contexts in `kubeconfig`, in its order.
pub fn contexts(kubeconfig: &Kubeconfig) -> impl Iterator<Item = &str> {
    kubeconfig.contexts.iter().map(|named| named.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::ClusterConfig;
    use crate::ConnectErrorKind;

    #[test]
    fn an_unusable_configuration_says_why_and_differs_by_that() {
        let missing = |field| ClusterConfig::unusable(ConnectErrorKind::InvalidConfig, field, "is missing");
        let error = missing(Some("data.kubeconfig")).validate().unwrap_err();
        assert_eq!((error.kind(), error.field()), (ConnectErrorKind::InvalidConfig, Some("data.kubeconfig")));
        assert!(error.needs_other_config());
        let denied = ClusterConfig::unusable(ConnectErrorKind::DeniedByPolicy, None, "is missing");
        assert_eq!(denied.validate().unwrap_err().kind(), ConnectErrorKind::DeniedByPolicy);
        assert_eq!(missing(None), missing(None));
        assert!(missing(None) != denied && missing(None) != missing(Some("data.kubeconfig")));
    }
}
