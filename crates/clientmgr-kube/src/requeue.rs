//! [`requeue_after`]: when a reconcile that got no client comes back.

use std::time::Duration;

use clientmgr_core::{ClientError, NextStep};

/// When to reconcile again an object that got no client. None: not by a timer.
///
/// None where the watch of the cluster objects will bring the reconcile, where nothing but a change helps, and where
/// the object is being deleted. A mistake in the code ([`NextStep::RefreshFirst`]) is worth an error and not a timer,
/// so none as well.
///
/// `fallback` is used where the provider gave no hint.
///
/// # Example
///
/// With kube-runtime: `requeue_after(&error, delay).map_or_else(Action::await_change, Action::requeue)`.
///
/// ```
/// use std::time::Duration;
/// use clientmgr_kube::{ClientError, NamespacedName, requeue_after};
///
/// let error = ClientError::NotFound { cluster: NamespacedName::cluster_scoped("east") };
/// assert_eq!(requeue_after(&error, Duration::from_secs(5)), None);
/// ```
pub fn requeue_after(error: &ClientError, fallback: Duration) -> Option<Duration> {
    match error.next_step() {
        NextStep::Retry { after } => Some(after.unwrap_or(fallback)),
        _ => None,
    }
}
