//! [`ConnectError`]: a failure of a cluster, as users get it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clientmgr_core::{Cause, NamespacedName, ProviderError};

use super::failure::Failure;
use super::kind::ConnectErrorKind;

/// How long readers wait before they ask again for a cluster that only another configuration helps.
const CONFIG_RETRY: Duration = Duration::from_secs(300);

/// The error of a cluster that could not be connected, or no longer answers.
///
/// Cheap to clone. [`kind`](Self::kind) says what to do about it; the text names the cluster, the field or file, and
/// what failed. Neither holds a secret.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::{ClusterConfig, ConnectErrorKind, Fleet, kube::config::Kubeconfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let fleet = Fleet::new();
/// fleet.upsert("east", ClusterConfig::from_kubeconfig(&Kubeconfig::default(), "east"));
///
/// let error = fleet.wait_connected("east").await.unwrap_err();
/// assert_eq!(error.kind(), ConnectErrorKind::InvalidConfig);
/// assert_eq!(error.to_string(), "cluster east: the kubeconfig has no context \"east\"");
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectError(Arc<Inner>);

struct Inner {
    cluster: Option<NamespacedName>,
    failure: Failure,
}

impl ConnectError {
    pub(crate) fn new(cluster: NamespacedName, failure: impl Into<Failure>) -> Self {
        Self(Arc::new(Inner { cluster: Some(cluster), failure: failure.into() }))
    }

    /// An error that belongs to no cluster: a kubeconfig that cannot be read, say.
    pub(crate) fn without_cluster(failure: impl Into<Failure>) -> Self {
        Self(Arc::new(Inner { cluster: None, failure: failure.into() }))
    }

    /// The same error, about `cluster` where it was about none.
    pub(crate) fn of_cluster(&self, cluster: &NamespacedName) -> Self {
        match &self.0.cluster {
            Some(_) => self.clone(),
            None => Self::new(cluster.clone(), self.0.failure.clone()),
        }
    }

    /// Returns what kind of failure this is.
    pub fn kind(&self) -> ConnectErrorKind {
        self.0.failure.kind()
    }

    /// Returns the cluster, where the failure is about one.
    pub fn cluster(&self) -> Option<&NamespacedName> {
        self.0.cluster.as_ref()
    }

    /// Returns the path of the field that is wrong or denied, as `users[0].user.exec`.
    pub fn field(&self) -> Option<&str> {
        self.0.failure.field()
    }

    /// Returns how long the server asked to wait before the next request; five minutes at most.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.failure.retry_after()
    }

    /// Returns whether only another configuration or program helps: trying again fails again.
    pub fn needs_other_config(&self) -> bool {
        self.0.failure.needs_other_config()
    }

    pub(crate) fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// This error as readers of the fleet get it; `usual` is when to ask again where nothing else says so.
    pub(crate) fn to_provider_error(&self, usual: Duration) -> ProviderError {
        let retry =
            if self.needs_other_config() { usual.max(CONFIG_RETRY) } else { self.retry_after().unwrap_or(usual) };
        match self.kind() {
            ConnectErrorKind::NotFound => ProviderError::NotFound,
            _ => ProviderError::Unavailable { source: Cause::new(self.clone()), retry_after: Some(retry) },
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cluster) = &self.0.cluster else { return fmt::Display::fmt(&self.0.failure, f) };
        // A name comes from a kubeconfig and goes to terminals and logs: control characters are escaped.
        f.write_str("cluster ")?;
        for character in cluster.to_string().chars() {
            match character {
                '\'' | '"' | '\\' => write!(f, "{character}")?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        write!(f, ": {}", self.0.failure)
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectError")
            .field("cluster", &self.0.cluster)
            .field("kind", &self.kind())
            .field("failure", &self.0.failure)
            .finish()
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.failure.source()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clientmgr_core::{NamespacedName, ProviderError};

    use super::{CONFIG_RETRY, ConnectError, Failure};
    use crate::error::ConfigError;

    const ASKED: Duration = Duration::from_secs(17);
    const USUAL: Duration = Duration::from_secs(5);

    fn error(failure: impl Into<Failure>) -> ConnectError {
        ConnectError::new(NamespacedName::cluster_scoped("east"), failure)
    }

    fn hint(failure: impl Into<Failure>, usual: Duration) -> Option<Duration> {
        match error(failure).to_provider_error(usual) {
            ProviderError::Unavailable { retry_after, .. } => retry_after,
            other => panic!("not unavailable: {other:?}"),
        }
    }

    #[test]
    fn control_characters_in_a_clusters_name_are_escaped() {
        let text = |name: &str| ConnectError::new(NamespacedName::cluster_scoped(name), Failure::NoThread).to_string();
        assert_eq!(text("a\x1b[2J\nb"), "cluster a\\u{1b}[2J\\nb: the system gave no thread for blocking work");
        assert_eq!(text("DOMAIN\\me@\"b\""), "cluster DOMAIN\\me@\"b\": the system gave no thread for blocking work");
    }

    #[test]
    fn readers_come_back_when_the_server_asks_or_when_somebody_may_have_corrected_the_config() {
        assert_eq!(hint(Failure::Status { status: 429, retry_after: Some(ASKED) }, USUAL), Some(ASKED));
        assert_eq!(hint(Failure::Unauthorized, USUAL), Some(USUAL));
        assert_eq!(hint(ConfigError::NoServer, USUAL), Some(CONFIG_RETRY));
        assert_eq!(hint(Failure::NoTlsStack, CONFIG_RETRY * 2), Some(CONFIG_RETRY * 2));
        for failure in [Failure::Unknown, Failure::Removed] {
            assert!(matches!(error(failure).to_provider_error(USUAL), ProviderError::NotFound));
        }
    }
}
