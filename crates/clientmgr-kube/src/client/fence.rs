//! [`Fence`]: ends the requests and response bodies that went through it, once it is pulled.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use super::body::{BoxError, ResponseBody, cut_by};
use super::revoked::Revoked;
use crate::metrics;

/// A fence. Clones are the same fence.
#[derive(Clone, Default)]
pub(crate) struct Fence(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Set before `pulled` is cancelled.
    revoked: OnceLock<Revoked>,
    pulled: CancellationToken,
}

impl Fence {
    /// Ends everything behind the fence with `revoked`. The first call counts.
    pub(crate) fn pull(&self, revoked: Revoked) {
        // Set already where it was pulled before: the first reason stays.
        let _ = self.0.revoked.set(revoked);
        self.0.pulled.cancel();
    }

    /// Why the fence was pulled, if it was.
    pub(crate) fn pulled(&self) -> Option<&Revoked> {
        self.0.revoked.get()
    }

    /// The error of a request or a body that the fence ends.
    pub(crate) fn refusal(revoked: &Revoked) -> BoxError {
        metrics::revoked(&revoked.cluster, revoked.reason.as_str());
        revoked.clone().into()
    }

    /// Awaits `work`, unless the fence is or gets pulled.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, Revoked> {
        match (select(pin!(self.0.pulled.cancelled()), pin!(work)).await, self.pulled()) {
            (Either::Right((done, _)), None) => Ok(done),
            (_, Some(revoked)) => Err(revoked.clone()),
            (Either::Left(_), None) => unreachable!("the reason is set before the fence is pulled"),
        }
    }

    /// Makes `body` end when the fence is pulled.
    pub(crate) fn guard_body(&self, body: ResponseBody) -> ResponseBody {
        let fence = self.clone();
        let error = move || Self::refusal(fence.pulled().expect("the reason is set before the fence is pulled"));
        cut_by(self.0.pulled.clone(), error, body)
    }
}

#[cfg(test)]
mod tests {
    use clientmgr_core::{ConnectedAt, NamespacedName};

    use super::{Fence, Revoked};
    use crate::client::revoked::RevokedReason;

    fn revoked(reason: RevokedReason) -> Revoked {
        Revoked::new(NamespacedName::cluster_scoped("east"), ConnectedAt::from_unix_micros(1).unwrap(), reason)
    }

    #[tokio::test]
    async fn work_that_waits_ends_when_the_fence_is_pulled() {
        let fence = Fence::default();
        let guarded = fence.clone();
        let mut waiting = Box::pin(async move { guarded.guard(std::future::pending::<()>()).await });
        assert!(futures::poll!(&mut waiting).is_pending());
        fence.pull(revoked(RevokedReason::Removed));
        fence.pull(revoked(RevokedReason::Reset));
        let ended = futures::poll!(&mut waiting);
        assert_eq!(ended, std::task::Poll::Ready(Err(revoked(RevokedReason::Removed))));
    }

    #[tokio::test]
    async fn work_during_which_the_fence_is_pulled_is_over_though_it_is_done() {
        let fence = Fence::default();
        assert_eq!(fence.guard(async { 7 }).await, Ok(7));
        let work = fence.guard(async { fence.pull(revoked(RevokedReason::Reset)) });
        assert_eq!(work.await, Err(revoked(RevokedReason::Reset)));
        assert_eq!(fence.pulled(), Some(&revoked(RevokedReason::Reset)));
    }
}
