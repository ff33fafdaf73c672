//! [`Stream`]: the bytes of one connection. It notices when the connection breaks, and ends when its pool is closed, also
//! after an upgrade, when no task of the pool holds it any more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::connections::Connections;
use super::granted::Granted;

/// What a connector makes: a plain or TLS stream, direct or through a proxy.
pub(crate) trait Io: AsyncRead + AsyncWrite + Connection + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Connection + Send + Unpin> Io for T {}

pub(crate) type BoxIo = Box<dyn Io>;

/// A connection of a pool.
pub(crate) struct Stream {
    io: BoxIo,
    connections: Connections,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    watch: Watch,
    /// Whether a byte of the server's arrived.
    answered: bool,
    granted: Granted,
    is_http2: bool,
    /// Why a write failed, until the last bytes of the server were read.
    failed_write: Option<io::Error>,
}

/// Whether an end of the connection is still to be reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Report it, unless this side shuts the connection down first.
    Report,
    /// It was reported or is none: this side ended the connection, or it belongs to the request that upgraded it.
    Ignore,
}

impl Stream {
    pub(crate) fn new(io: BoxIo, connections: Connections, watch: Watch) -> Self {
        let ended = Box::pin(connections.closed().cancelled_owned());
        let is_http2 = io.connected().is_negotiated_h2();
        let granted = if is_http2 { Granted::default() } else { Granted::unlimited() };
        Self { io, connections, ended, watch, answered: false, granted, is_http2, failed_write: None }
    }

    fn broke(&mut self) {
        if self.watch == Watch::Report {
            self.watch = Watch::Ignore;
            self.connections.broke(self.answered);
        }
    }

    fn check<T>(&mut self, done: io::Result<T>) -> Poll<io::Result<T>> {
        if let Err(error) = &done {
            self.connections.refusals().note(error);
            self.broke();
        }
        Poll::Ready(done)
    }

    /// The result of a write or flush. Where the connection is gone, the server may have said why. Over HTTP/2 nothing reads that
    /// after a write failed, so it is read here.
    fn check_written<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut BoxIo>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match self.failed_write.take() {
            Some(error) => error,
            None => match ready!(write(Pin::new(&mut self.io), cx)) {
                Err(error) if self.is_http2 && is_gone(&error) => error,
                written => return self.check(written),
            },
        };
        let mut bytes = [0; 1_024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => {
                    self.failed_write = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(last)) => {
                    self.connections.refusals().note(&last);
                    break;
                }
            }
        }
        self.check(Err(error))
    }

    fn is_open(&self) -> io::Result<()> {
        if self.connections.is_closed() { Err(io::Error::other(self.connections.reason())) } else { Ok(()) }
    }
}

/// Whether the peer closed the connection. What it sent before can be read still, or the end of it.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};

    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(this.is_open());
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buffer));
        if buffer.filled().len() > before {
            if !std::mem::replace(&mut this.answered, true) {
                this.connections.answered();
            }
            if let Some(streams) = this.granted.read(&buffer.filled()[before..]) {
                this.connections.grant(streams);
            }
        } else if read.is_ok() && buffer.remaining() > 0 {
            // The peer closes the connection.
            this.broke();
        }
        this.check(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_open()?;
        self.check_written(cx, |io, cx| io.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_written(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // This side ends the connection: the pool reaps it, or the answer is no longer wanted.
        self.watch = Watch::Ignore;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_open()?;
        self.check_written(cx, |io, cx| io.poll_write_vectored(cx, slices))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // One that never answered is not missed: hyper drops those that lose a race for HTTP/2, and those whose request was
        // cancelled.
        if self.answered {
            // hyper shuts a connection down that it is done with. One that it drops without is lost: a ping timed out, say.
            self.broke();
            self.connections.ended();
        }
    }
}
