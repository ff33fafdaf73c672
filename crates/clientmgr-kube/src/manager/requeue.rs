//! When a reconcile without a client comes back: [`requeue_after`], and with the feature `runtime` `ErrorAction`.

use std::time::Duration;

use clientmgr_core::{ClientError, NextStep};
#[cfg(feature = "runtime")]
use {clientmgr_core::BoundError, kube::runtime::controller::Action};

/// Returns when to reconcile an object again that got no client. `None` where only a change of the cluster helps: it is
/// [not there](ClientError::NotFound), or its object is [outdated](ClientError::ClusterOutdated).
///
/// So a change of the cluster must trigger the reconcile. A controller that watches cluster objects has this. One whose
/// cluster objects are the fleet's own snapshots reconciles on [`Fleet::events`](crate::Fleet::events). There is no timer: it
/// would hide a trigger that is missing, and poll for clusters that never come.
///
/// Returns `fallback` if the provider gave no hint, if the request was [forgotten](ClientError::Forgotten), because the object
/// may still exist, and for a [missing refresh](NextStep::RefreshFirst), which is a bug of the caller.
///
/// With kube-runtime use `ErrorAction`, which also logs that bug.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use clientmgr_kube::{ClientError, NamespacedName, requeue_after};
///
/// let error = ClientError::NotFound { cluster: NamespacedName::from("east") };
/// assert_eq!(requeue_after(&error, Duration::from_secs(5)), None);
/// ```
pub fn requeue_after(error: &ClientError, fallback: Duration) -> Option<Duration> {
    match error.next_step() {
        NextStep::Retry { after } => Some(after.unwrap_or(fallback)),
        NextStep::AwaitClusterChange | NextStep::GiveUp => None,
        // Also for a step that a later version of core adds: an object must not be stranded.
        _ => Some(fallback),
    }
}

/// The action of a controller after an error of the manager or of bound states. Requires the feature `runtime`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use clientmgr_kube::kube::runtime::controller::Action;
/// use clientmgr_kube::k8s_openapi::api::core::v1::ConfigMap;
/// use clientmgr_kube::{ClientError, ErrorAction as _};
///
/// fn error_policy(_: Arc<ConfigMap>, error: &ClientError, _: Arc<()>) -> Action {
///     error.action(Duration::from_secs(5))
/// }
/// ```
#[cfg(feature = "runtime")]
pub trait ErrorAction {
    /// Returns when to reconcile again, as [`requeue_after`] does. Logs a [missing
    /// refresh](ClientError::RefreshRequired) as an error, since it is a bug of the controller.
    fn action(&self, fallback: Duration) -> Action;
}

#[cfg(feature = "runtime")]
impl ErrorAction for ClientError {
    fn action(&self, fallback: Duration) -> Action {
        if self.next_step() == NextStep::RefreshFirst {
            tracing::error!(cluster = %self.cluster(), error = %self, "bug in the controller: call refresh before client");
        }
        requeue_after(self, fallback).map_or_else(Action::await_change, Action::requeue)
    }
}

#[cfg(feature = "runtime")]
impl<E> ErrorAction for BoundError<E> {
    /// A build that failed is requeued after `fallback`.
    fn action(&self, fallback: Duration) -> Action {
        match self {
            Self::Client(error) => error.action(fallback),
            Self::Build(_) => Action::requeue(fallback),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clientmgr_core::{Cause, ClientError, ConnectedAt, NamespacedName};

    use super::requeue_after;

    const FALLBACK: Duration = Duration::from_secs(5);
    const HINT: Duration = Duration::from_secs(17);

    fn cluster() -> NamespacedName {
        NamespacedName::cluster_scoped("east")
    }

    fn cause() -> Cause {
        Cause::new(std::io::Error::from(std::io::ErrorKind::TimedOut))
    }

    #[test]
    fn every_error_has_its_time() {
        let current = ConnectedAt::from_unix_micros(1).unwrap();
        let unavailable = |retry_after| ClientError::Unavailable { cluster: cluster(), source: cause(), retry_after };
        let table: [(ClientError, Option<Duration>); 7] = [
            (ClientError::NotFound { cluster: cluster() }, None),
            (ClientError::ClusterOutdated { cluster: cluster(), observed: None, current }, None),
            // A bug of the caller: logged, and never stranded.
            (ClientError::RefreshRequired { cluster: cluster(), held: current, current }, Some(FALLBACK)),
            (unavailable(None), Some(FALLBACK)),
            (unavailable(Some(HINT)), Some(HINT)),
            (ClientError::Incompatible { cluster: cluster(), source: cause() }, None),
            // A live object must not be stranded.
            (ClientError::Forgotten { cluster: cluster() }, Some(FALLBACK)),
        ];
        for (error, expected) in table {
            assert_eq!(requeue_after(&error, FALLBACK), expected, "{error}");
            #[cfg(feature = "runtime")]
            runtime::assert_action(&error, expected);
        }
    }

    #[cfg(feature = "runtime")]
    mod runtime {
        use kube::runtime::controller::Action;
        use tracing::subscriber;

        use super::*;
        use crate::manager::testing::Errors;
        use crate::{BoundError, ErrorAction as _};

        pub(super) fn assert_action(error: &ClientError, expected: Option<Duration>) {
            let expected = expected.map_or_else(Action::await_change, Action::requeue);
            let errors = Errors::default();
            subscriber::with_default(errors.clone(), || {
                assert_eq!(error.action(FALLBACK), expected, "{error}");
                assert_eq!(BoundError::<()>::Client(error.clone()).action(FALLBACK), expected, "{error}");
            });
            let is_bug = matches!(error, ClientError::RefreshRequired { .. });
            assert_eq!(errors.count(), if is_bug { 2 } else { 0 }, "{error}");
        }

        #[test]
        fn a_failed_build_is_requeued() {
            assert_eq!(BoundError::Build("failed").action(FALLBACK), Action::requeue(FALLBACK));
        }
    }
}
