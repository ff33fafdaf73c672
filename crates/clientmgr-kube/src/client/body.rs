//! [`ResponseBody`], and a body that can be cut: it ends with an error the moment a token is cancelled.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a response.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// Makes `body` end with `error` as soon as `cut` is cancelled, however much of it is still to come.
pub(crate) fn cut_by<E>(cut: CancellationToken, error: E, body: ResponseBody) -> ResponseBody
where
    E: Fn() -> BoxError + Send + Unpin + 'static,
{
    Cut { body: Some(body), ended: Box::pin(cut.cancelled_owned()), error }.boxed_unsync()
}

struct Cut<E> {
    /// None once it was cut: dropping the rest frees its connection or stream.
    body: Option<ResponseBody>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    error: E,
}

impl<E: Fn() -> BoxError + Unpin> Body for Cut<E> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // Before the body: nothing of it is delivered once it was cut, not even what has arrived.
        let mut is_cut = this.ended.as_mut().poll(cx).is_ready();
        if !is_cut {
            let polled = Pin::new(body).poll_frame(cx);
            // What cuts a body closes its connection next. The cut is the reason.
            is_cut = matches!(polled, Poll::Ready(Some(Err(_)))) && this.ended.as_mut().poll(cx).is_ready();
            if !is_cut {
                return polled;
            }
        }
        this.body = None;
        Poll::Ready(Some(Err((this.error)())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;
    use http_body::Body as _;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio_util::sync::CancellationToken;

    use super::{BoxError, ResponseBody, cut_by};

    fn full(text: &'static str) -> ResponseBody {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(BoxError::from).boxed_unsync()
    }

    fn endless() -> ResponseBody {
        StreamBody::new(stream::pending()).boxed_unsync()
    }

    fn error() -> BoxError {
        "cut".into()
    }

    #[tokio::test]
    async fn a_body_that_is_not_cut_is_as_it_was() {
        let body = cut_by(CancellationToken::new(), error, full("hello"));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        assert!(cut_by(CancellationToken::new(), error, full("")).is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_body_that_is_cut_ends_with_one_error() {
        let cut = CancellationToken::new();
        let mut body = cut_by(cut.clone(), error, endless());
        assert!(futures::poll!(std::pin::pin!(body.frame())).is_pending());
        cut.cancel();
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "cut");
        assert!(body.frame().await.is_none());
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn what_has_arrived_is_not_delivered_after_the_cut() {
        let cut = CancellationToken::new();
        let mut body = cut_by(cut.clone(), error, full("hello"));
        cut.cancel();
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_error_that_the_cut_has_caused_is_the_cut() {
        let cut = CancellationToken::new();
        let closed = {
            let cut = cut.clone();
            StreamBody::new(stream::once(async move {
                cut.cancel();
                Err(BoxError::from("the connection was closed"))
            }))
        };
        let mut body = cut_by(cut, error, closed.boxed_unsync());
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "cut");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_the_cut() {
        let cut = CancellationToken::new();
        let mut body = cut_by(cut.clone(), error, endless());
        let reading = tokio::spawn(async move { body.frame().await.unwrap().unwrap_err().to_string() });
        tokio::task::yield_now().await;
        cut.cancel();
        assert_eq!(reading.await.unwrap(), "cut");
    }
}
