//! A stream that can go silent, as behind a NAT that has dropped the flow.
//!
//! What the peer sends is still accepted. Nothing is answered, and the stream is not closed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A stream that discards what it reads and writes nothing once its token is cancelled.
#[derive(Debug)]
pub(crate) struct Silenced<S> {
    stream: S,
    silent: CancellationToken,
}

impl<S> Silenced<S> {
    pub(crate) fn new(stream: S, silent: CancellationToken) -> Self {
        Self { stream, silent }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Silenced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.silent.is_cancelled() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        // Reading on shows when the peer leaves.
        let mut discarded = [0; 4096];
        loop {
            let mut discarded = ReadBuf::new(&mut discarded);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut discarded))?;
            if discarded.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// A silent stream is never ready to write. A task that waits for it is woken by the end of the reading half.
impl<S: AsyncWrite + Unpin> AsyncWrite for Silenced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.silent.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.stream).poll_write(cx, bytes) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.silent.is_cancelled() {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.silent.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.stream).poll_flush(cx) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.silent.is_cancelled() { Poll::Pending } else { Pin::new(&mut self.stream).poll_shutdown(cx) }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_silent_stream_accepts_bytes_and_delivers_none_in_either_direction() -> io::Result<()> {
        let (mut peer, stream) = duplex(16);
        let silent = CancellationToken::new();
        let mut stream = Silenced::new(stream, silent.clone());
        peer.write_all(b"a").await?;
        assert_eq!(stream.read_u8().await?, b'a');
        stream.write_all(b"b").await?;
        assert_eq!(peer.read_u8().await?, b'b');

        silent.cancel();
        // More than the pipe holds: the peer can write it all only if the other side reads.
        let (mut read, mut write) = tokio::io::split(stream);
        let reading = tokio::spawn(async move { read.read(&mut [0; 8]).await });
        peer.write_all(&[0; 64]).await?;
        assert!(write.write_all(b"c").now_or_never().is_none(), "nothing is written");
        assert!(peer.read_u8().now_or_never().is_none(), "nothing arrives");
        drop(peer);
        assert_eq!(reading.await?.ok(), Some(0), "the peer's end is seen");
        Ok(())
    }
}
