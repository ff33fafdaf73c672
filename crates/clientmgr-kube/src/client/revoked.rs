//! [`Revoked`]: the error that ends a client for good, and how to find it in the errors of kube and kube-runtime.

use std::error::Error;
use std::fmt;

use clientmgr_core::{ConnectedAt, NamespacedName};

use crate::error::chain;

/// The error of a revoked client. All of its requests fail with it, and its open watches end with it.
///
/// Ask the provider for the current client and build again what depended on the old one.
///
/// # Examples
///
/// ```
/// use clientmgr_kube::{Revoked, kube};
///
/// fn is_over(error: &kube::Error) -> bool {
///     Revoked::find(error).is_some()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revoked {
    /// The cluster that the client was for.
    pub cluster: NamespacedName,
    /// The revision that the client was for.
    pub revision: ConnectedAt,
    /// Why the client was revoked.
    pub reason: RevokedReason,
}

/// Why a client was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevokedReason {
    /// Another cluster answers under the name. Its client has a later revision. A process that only adopts gets the same client
    /// back where the old cluster returns: build again what ended with this error.
    Replaced,
    /// The cluster was removed from the fleet.
    Removed,
    /// The program asked for a new revision.
    Reset,
    /// The fleet was shut down.
    ShutDown,
    /// The cluster's task panicked. Please report it; [`upsert`](crate::Fleet::upsert) adds the cluster again.
    Panicked,
}

impl RevokedReason {
    /// Returns the name of the reason, as it is in metrics. A name never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "Replaced",
            Self::Removed => "Removed",
            Self::Reset => "Reset",
            Self::ShutDown => "ShutDown",
            Self::Panicked => "Panicked",
        }
    }

    /// Whether a cluster that returns under the same revision gets its client back: it is added again, or it answers again.
    pub(crate) fn may_be_lifted(self) -> bool {
        match self {
            Self::Removed | Self::Panicked | Self::Replaced => true,
            Self::Reset | Self::ShutDown => false,
        }
    }
}

impl Revoked {
    pub(crate) fn new(cluster: NamespacedName, revision: ConnectedAt, reason: RevokedReason) -> Self {
        Self { cluster, revision, reason }
    }

    /// Finds a `Revoked` in an error of kube, kube-runtime or anything else that keeps its sources.
    ///
    /// Looks at the error itself, at its sources, and inside every [`io::Error`](std::io::Error) on the way.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, revision, reason } = self;
        // A name may come from a kubeconfig and goes to terminals and logs.
        let cluster = cluster.to_string();
        write!(f, "the client of cluster {} ({revision}) was revoked: {reason}", cluster.escape_debug())
    }
}

impl fmt::Display for RevokedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => "another cluster answers under its name",
            Self::Removed => "the cluster was removed from the fleet",
            Self::Reset => "a reset was requested",
            Self::ShutDown => "the fleet was shut down",
            Self::Panicked => "the cluster's task panicked",
        })
    }
}

impl Error for Revoked {}

#[cfg(test)]
mod tests {
    use std::io;

    use clientmgr_core::{ConnectedAt, NamespacedName};

    use super::{Revoked, RevokedReason};

    fn revoked() -> Revoked {
        let revision = ConnectedAt::from_timestamp("2026-11-27T12:00:00Z".parse().unwrap()).unwrap();
        Revoked::new(NamespacedName::cluster_scoped("east"), revision, RevokedReason::Removed)
    }

    #[test]
    fn alerts_can_rely_on_the_names_of_reasons() {
        let names = [
            (RevokedReason::Replaced, "Replaced"),
            (RevokedReason::Removed, "Removed"),
            (RevokedReason::Reset, "Reset"),
            (RevokedReason::ShutDown, "ShutDown"),
            (RevokedReason::Panicked, "Panicked"),
        ];
        for (reason, name) in names {
            assert_eq!(reason.as_str(), name);
        }
    }

    #[test]
    fn it_is_found_wherever_kube_and_io_put_it() {
        use kube::runtime::watcher;

        let service = || kube::Error::Service(revoked().into());
        let read = || kube::Error::ReadEvents(io::Error::other(service()));
        let found = [
            Revoked::find(&revoked()).cloned(),
            Revoked::find(&service()).cloned(),
            Revoked::find(&read()).cloned(),
            Revoked::find(&io::Error::other(revoked())).cloned(),
            Revoked::find(&io::Error::other(io::Error::other(read()))).cloned(),
            Revoked::find(&watcher::Error::InitialListFailed(service())).cloned(),
            Revoked::find(&watcher::Error::WatchStartFailed(service())).cloned(),
            Revoked::find(&watcher::Error::WatchFailed(read())).cloned(),
        ];
        assert_eq!(found, std::array::from_fn(|_| Some(revoked())));
    }

    #[test]
    fn it_is_not_found_where_it_is_not() {
        assert_eq!(Revoked::find(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        assert_eq!(Revoked::find(&kube::Error::ReadEvents(io::Error::other("cut"))), None);
    }

    #[test]
    fn its_text_names_the_cluster_the_revision_and_the_reason() {
        let mut error = revoked();
        error.cluster = NamespacedName::cluster_scoped("a\nb");
        assert_eq!(
            error.to_string(),
            "the client of cluster a\\nb (2026-11-27T12:00:00.000000Z) was revoked: the cluster was removed from the fleet"
        );
    }
}
