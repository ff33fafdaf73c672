//! [`Fence`]: ends the requests and response bodies that went through it, once it is pulled.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use super::body::{ResponseBody, cut_by};
use super::revoked::Revoked;

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
        // Set already where somebody pulled it before, with a reason that stays.
        let _ = self.0.revoked.set(revoked);
        self.0.pulled.cancel();
    }

    /// Why the fence was pulled, if it was.
    pub(crate) fn pulled(&self) -> Option<&Revoked> {
        self.0.revoked.get()
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
        let error = move || fence.pulled().expect("the reason is set before the fence is pulled").clone().into();
        cut_by(self.0.pulled.clone(), error, body)
    }
}
