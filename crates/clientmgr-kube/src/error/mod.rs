//! [`ConnectError`]: why a cluster is not connected, and what to do about it. One file for each kind of trouble.
//!
//! What must not live here: a secret. Errors of kube that may quote a credential are translated, never kept as source.

mod kubeconfig;
mod plugin;
mod provider;
mod transport;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use clientmgr_core::{NamespacedName, ProviderError};

pub use self::kubeconfig::{KubeconfigProblem, Material, TokenProblem};
pub use self::plugin::PluginProblem;
pub use self::provider::AuthProviderProblem;
pub use self::transport::{TransportProblem, Unreached};

/// How soon a cluster that somebody must mend is worth another look.
const UNTIL_MENDED: Duration = Duration::from_secs(300);

/// Why a cluster could not be connected, or does not answer any more.
///
/// Cheap to clone, because one failure is told to everybody who waited for it. [`failure`](Self::failure) tells what
/// went wrong; the text names the cluster as well. Neither holds a secret.
///
/// # Example
///
/// ```
/// use clientmgr_kube::{ConnectFailure, Endpoint, Fleet, NamespacedName, kube::config::Kubeconfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let east = NamespacedName::cluster_scoped("east");
/// let fleet = Fleet::builder().build();
/// fleet.upsert(east.clone(), Endpoint::from_kubeconfig(&Kubeconfig::default(), "east"));
///
/// let error = fleet.connect(&east).await.unwrap_err();
/// assert!(matches!(error.failure(), ConnectFailure::Kubeconfig(_)));
/// assert_eq!(error.to_string(), "cluster east: the kubeconfig has no context \"east\"");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ConnectError {
    cluster: NamespacedName,
    failure: ConnectFailure,
}

impl ConnectError {
    pub(crate) fn new(cluster: NamespacedName, failure: impl Into<ConnectFailure>) -> Self {
        Self { cluster, failure: failure.into() }
    }

    /// The cluster.
    pub fn cluster(&self) -> &NamespacedName {
        &self.cluster
    }

    /// What went wrong.
    pub fn failure(&self) -> &ConnectFailure {
        &self.failure
    }

    /// How long the server asked to be left alone, where it did; five minutes at most.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            ConnectFailure::Status { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// When readers are advised to ask again, by a provider that otherwise says `usual`.
    pub(crate) fn retry_hint(&self, usual: Duration) -> Duration {
        if self.needs_other_configuration() {
            return usual.max(UNTIL_MENDED);
        }
        self.retry_after().unwrap_or(usual)
    }

    /// Whether the server refused the credentials.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.failure, ConnectFailure::Unauthorized)
    }

    /// Whether something took longer than its deadline.
    pub fn is_timeout(&self) -> bool {
        match &self.failure {
            ConnectFailure::DeadlinePassed { .. }
            | ConnectFailure::BuildHangs { .. }
            | ConnectFailure::Plugin(PluginProblem::TimedOut { .. }) => true,
            ConnectFailure::Transport(problem) => problem.unreached == Unreached::TimedOut,
            _ => false,
        }
    }

    /// Whether the attempt was ended from outside, which says nothing about the cluster.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self.failure, ConnectFailure::Removed | ConnectFailure::Superseded)
    }

    /// Whether nothing but another configuration helps: trying again as it is will fail again.
    ///
    /// Readers of a fleet are advised to come back to such a cluster in five minutes and not in seconds: whoever mends
    /// it and connects it lets them know sooner. What they are given still reads as "ask again"; those who want to tell
    /// "somebody must act" from "wait" look at the source.
    ///
    /// ```
    /// use clientmgr_kube::{ClientError, ConnectError};
    ///
    /// /// Whether a reconcile that got no client should tell somebody.
    /// fn must_be_mended(error: &ClientError) -> bool {
    ///     match error {
    ///         ClientError::Unavailable { source, .. } => {
    ///             source.downcast_ref::<ConnectError>().is_some_and(ConnectError::needs_other_configuration)
    ///         }
    ///         _ => false,
    ///     }
    /// }
    /// ```
    pub fn needs_other_configuration(&self) -> bool {
        match &self.failure {
            ConnectFailure::Kubeconfig(_) | ConnectFailure::NoCryptoProvider | ConnectFailure::NoTlsStack => true,
            ConnectFailure::Plugin(problem) => problem.needs_other_configuration(),
            ConnectFailure::AuthProvider(problem) => problem.needs_other_configuration(),
            _ => false,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name comes from a kubeconfig and goes to terminals and logs: what would steer them is shown and not sent.
        f.write_str("cluster ")?;
        for character in self.cluster.to_string().chars() {
            match character {
                '\'' | '"' | '\\' => write!(f, "{character}")?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        write!(f, ": {}", self.failure)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failure.source()
    }
}

/// What went wrong while a cluster was being connected or checked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The fleet knows no such cluster. Add it first.
    #[error("the fleet knows no such cluster")]
    Unknown,

    /// The cluster was removed from the fleet meanwhile. Nothing to do.
    #[error("the cluster was removed from the fleet meanwhile")]
    Removed,

    /// The cluster got another endpoint meanwhile. Connect again.
    #[error("the endpoint was replaced meanwhile")]
    Superseded,

    /// Nobody asked for a connection yet. Connect first.
    #[error("no connection was asked for yet")]
    NotConnected,

    /// The first connection is being made. Wait.
    #[error("the connection is being made")]
    Connecting,

    /// Connecting needs a Tokio runtime with time and I/O enabled. Call from within one.
    #[error("connecting needs a Tokio runtime with time and I/O enabled, and there is none here")]
    NoRuntime,

    /// rustls has no cryptography. Enable the feature `ring` or `aws-lc-rs`, or install a process-wide
    /// `CryptoProvider`.
    #[error("no cryptography for TLS: enable the feature ring or aws-lc-rs, or install a process-wide CryptoProvider")]
    NoCryptoProvider,

    /// The server is spoken to over TLS. Enable the feature `rustls-tls` or `openssl-tls`.
    #[error("no TLS: enable the feature rustls-tls or openssl-tls")]
    NoTlsStack,

    /// The kubeconfig is wrong. Mend it.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigProblem),

    /// The credential plugin gave no credentials. Run it by hand to see why.
    #[error(transparent)]
    Plugin(#[from] PluginProblem),

    /// The authentication provider gave no credentials.
    #[error(transparent)]
    AuthProvider(#[from] AuthProviderProblem),

    /// Files were read, or the client was built, for longer than the deadline: most likely a file system hangs. While
    /// that lasts nothing more is started for this cluster.
    #[error("building the client took longer than {deadline:?}")]
    BuildHangs {
        /// The deadline as it was set. Other steps of the attempt may have taken their part of it.
        deadline: Duration,
    },

    /// kube panicked on this configuration. Please report it.
    #[error("building the client panicked")]
    BuildPanicked,

    /// Renewing the token panicked. Please report it.
    #[error("renewing the token panicked")]
    RenewalPanicked,

    /// The token was being renewed when the runtime shut down. Nothing to do.
    #[error("the runtime shut down while the token was being renewed")]
    RuntimeEnded,

    /// The operating system gave no thread to build the client on.
    #[error("no thread to build the client on")]
    NoThread,

    /// kube refused the configuration for a reason that this crate does not know.
    #[error("kube refused the configuration")]
    Refused,

    /// Connecting took longer than the fleet's deadline.
    #[error("no answer within {deadline:?}")]
    DeadlinePassed {
        /// The deadline.
        deadline: Duration,
    },

    /// No HTTP answer came.
    #[error(transparent)]
    Transport(#[from] TransportProblem),

    /// The server refused the credentials (401). Renew them.
    #[error("the server refused the credentials")]
    Unauthorized,

    /// The server answered, but not as it should.
    #[error("the server answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// How long the server asked to be left alone. Whatever it asked for, it is five minutes at most.
        retry_after: Option<Duration>,
    },

    /// Something answered that is no Kubernetes API server: a login page or a proxy, say.
    #[error("what answered is no Kubernetes API server")]
    NotKubernetes,
}

impl From<ConnectError> for ProviderError {
    fn from(error: ConnectError) -> Self {
        match error.failure {
            ConnectFailure::Unknown | ConnectFailure::Removed => Self::NotFound,
            _ => {
                let hint = if error.needs_other_configuration() { Some(UNTIL_MENDED) } else { error.retry_after() };
                let unavailable = Self::unavailable(error);
                match hint {
                    Some(delay) => unavailable.with_retry_after(delay),
                    None => unavailable,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clientmgr_core::{NamespacedName, ProviderError};

    use super::{ConnectError, ConnectFailure, KubeconfigProblem, UNTIL_MENDED};

    const ASKED: Duration = Duration::from_secs(17);
    const USUAL: Duration = Duration::from_secs(5);

    fn error(failure: impl Into<ConnectFailure>) -> ConnectError {
        ConnectError::new(NamespacedName::cluster_scoped("east"), failure)
    }

    fn busy() -> ConnectError {
        error(ConnectFailure::Status { status: 429, retry_after: Some(ASKED) })
    }

    fn hint(error: ProviderError) -> Option<Duration> {
        match error {
            ProviderError::Unavailable { retry_after, .. } => retry_after,
            other => panic!("not unavailable: {other:?}"),
        }
    }

    #[test]
    fn what_a_clusters_name_would_do_to_a_terminal_is_shown_and_not_done() {
        let text =
            |name: &str| ConnectError::new(NamespacedName::cluster_scoped(name), ConnectFailure::NoThread).to_string();
        assert_eq!(text("a\x1b[2J\nb"), "cluster a\\u{1b}[2J\\nb: no thread to build the client on");
        assert_eq!(text("DOMAIN\\me@\"b\""), "cluster DOMAIN\\me@\"b\": no thread to build the client on");
    }

    #[test]
    fn a_providers_error_keeps_the_wish_of_the_server_to_be_left_alone() {
        assert_eq!(hint(busy().into()), Some(ASKED));
        assert_eq!(hint(error(ConnectFailure::Unauthorized).into()), None);
        assert_eq!(hint(error(KubeconfigProblem::NoServer).into()), Some(UNTIL_MENDED));
        for failure in [ConnectFailure::Unknown, ConnectFailure::Removed] {
            assert!(matches!(ProviderError::from(error(failure)), ProviderError::NotFound));
        }
    }

    #[test]
    fn what_somebody_must_mend_is_not_asked_for_every_few_seconds() {
        assert_eq!(error(KubeconfigProblem::NoServer).retry_hint(USUAL), UNTIL_MENDED);
        assert_eq!(error(ConnectFailure::NoTlsStack).retry_hint(UNTIL_MENDED * 2), UNTIL_MENDED * 2);
        assert_eq!(busy().retry_hint(USUAL), ASKED);
        assert_eq!(error(ConnectFailure::Unauthorized).retry_hint(USUAL), USUAL);
    }
}
