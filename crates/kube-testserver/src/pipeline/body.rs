//! The body of an answer: whole, broken off, streamed or silent. It keeps the log's entry to the end, and ends
//! when the server cuts the connection, with or without a socket below it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, future::BoxFuture};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    api::present::watch::{Watch, WatchEnd},
    control::{log::Entry, open_watches::Registration, record::EndReason},
};

/// The server cut the connection, which is a reset for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was cut by the server")]
#[non_exhaustive]
pub struct ConnectionCut;

/// The body of a response of the server.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Cut(CutOff),
    Watch(Streaming),
    Silent(Open),
}

/// An answer that is being sent: its log entry, and the token that cuts it.
struct Open {
    entry: Entry,
    cut: BoxFuture<'static, ()>,
}

struct Streaming {
    watch: Pin<Box<Watch>>,
    open: Open,
    /// Ready when a test ends the watch.
    ended: BoxFuture<'static, ()>,
    _registration: Registration,
    /// Break off within the first event.
    truncate: bool,
    over: bool,
}

/// The first half of a body, then a pause in which it can be sent, then the break.
struct CutOff {
    half: Option<Bytes>,
    promised: u64,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long a half body has to be sent before it breaks off.
const PAUSE: Duration = Duration::from_millis(5);

impl ResponseBody {
    pub(crate) fn whole(body: Bytes) -> Self {
        Self(Kind::Whole(Some(body).filter(|body| !body.is_empty())))
    }

    /// Promises all of `body`, delivers half of it.
    pub(crate) fn cut(body: &Bytes) -> Self {
        Self(Kind::Cut(CutOff { half: Some(body.slice(..body.len() / 2)), promised: body.len() as u64, pause: None }))
    }

    pub(crate) fn watch(
        watch: Watch,
        registration: Registration,
        entry: Entry,
        cut: CancellationToken,
        truncate: bool,
    ) -> Self {
        Self(Kind::Watch(Streaming {
            watch: Box::pin(watch),
            open: Open { entry, cut: Box::pin(cut.cancelled_owned()) },
            ended: Box::pin(registration.end.clone().cancelled_owned()),
            _registration: registration,
            truncate,
            over: false,
        }))
    }

    pub(crate) fn silent(entry: Entry, cut: CancellationToken) -> Self {
        Self(Kind::Silent(Open { entry, cut: Box::pin(cut.cancelled_owned()) }))
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::Whole(_) => "whole",
            Kind::Cut(_) => "cut off",
            Kind::Watch(_) => "watch",
            Kind::Silent(_) => "silent",
        };
        f.debug_tuple("ResponseBody").field(&kind).finish()
    }
}

fn reason(end: Option<WatchEnd>) -> EndReason {
    match end {
        Some(WatchEnd::Expired) => EndReason::Expired,
        Some(WatchEnd::Ended) => EndReason::EndedOnDemand,
        Some(WatchEnd::TimedOut) | None => EndReason::Complete,
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, ConnectionCut>>>;

fn data(bytes: Bytes) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

impl Open {
    /// Ready once the server has cut the connection.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ConnectionCut>>> {
        ready!(self.cut.as_mut().poll(cx));
        self.entry.ended(EndReason::ServerCut);
        Poll::Ready(Some(Err(ConnectionCut)))
    }
}

impl CutOff {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(half) = self.half.take().filter(|half| !half.is_empty()) {
            return data(half);
        }
        // An error now would overtake the first half: an HTTP/1.1 connection writes it out only when it must wait, and
        // an HTTP/2 connection drops what a stream still has to send when the stream is reset.
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE)));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(ConnectionCut)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ConnectionCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Whole(body) => Poll::Ready(body.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Cut(cut) => cut.poll(cx),
            Kind::Silent(open) => open.poll_cut(cx),
            Kind::Watch(streaming) => {
                if streaming.over {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(cut) = streaming.open.poll_cut(cx) {
                    streaming.over = true;
                    return Poll::Ready(cut);
                }
                if streaming.ended.as_mut().poll(cx).is_ready() {
                    streaming.over = true;
                    streaming.open.entry.ended(EndReason::EndedOnDemand);
                    return Poll::Ready(None);
                }
                match ready!(streaming.watch.as_mut().poll_next(cx)) {
                    Some(event) if streaming.truncate => {
                        streaming.open.entry.ended(EndReason::Fault);
                        let half = CutOff { half: Some(event.slice(..event.len() / 2)), promised: 0, pause: None };
                        self.0 = Kind::Cut(half);
                        self.poll_frame(cx)
                    }
                    Some(event) => data(event),
                    None => {
                        streaming.over = true;
                        streaming.open.entry.ended(reason(streaming.watch.end_reason()));
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Cut(cut) if cut.promised > 0 => SizeHint::with_exact(cut.promised),
            Kind::Cut(_) | Kind::Watch(_) | Kind::Silent(_) => SizeHint::default(),
        }
    }
}
