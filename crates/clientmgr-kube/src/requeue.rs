//! [`requeue_after`]: when a reconcile that got no client comes back.

use std::time::Duration;

use clientmgr_core::{ClientError, NextStep};

/// When to reconcile again an object that got no client. None: not by a timer.
///
/// None where the watch of the cluster objects will bring the reconcile, and where nothing but a change helps. A
/// mistake in the code ([`NextStep::RefreshFirst`]) is worth an error and not a timer, so none as well.
///
/// `fallback` is used where the provider gave no hint, and for a request that was
/// [forgotten](ClientError::Forgotten) meanwhile: the object that asked may be alive, if it was its cluster that was
/// forgotten. If it is not, coming back to it does nothing.
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
        NextStep::Stop => Some(fallback),
        _ => None,
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
            (ClientError::RefreshRequired { cluster: cluster(), held: current, current }, None),
            (unavailable(None), Some(FALLBACK)),
            (unavailable(Some(HINT)), Some(HINT)),
            (ClientError::Incompatible { cluster: cluster(), source: cause() }, None),
            // A live object must not be stranded.
            (ClientError::Forgotten { cluster: cluster() }, Some(FALLBACK)),
        ];
        for (error, expected) in table {
            assert_eq!(requeue_after(&error, FALLBACK), expected, "{error}");
        }
    }
}
