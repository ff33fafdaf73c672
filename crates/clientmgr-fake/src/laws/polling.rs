//! Polls a future once: how a law stops a call at its await.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What `future` has after one poll. The rest of it stays with the caller, who may poll on or drop it.
pub(super) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
