//! The TCP connection below TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pdu::PDU_HEADER;
use crate::wire::Transport;

/// Buffer until the handshake is done, in bytes: a connection that never gets there must cost little.
const SMALL_BUFFER: usize = 4 * 1024;
/// Buffer afterwards, in bytes.
const LARGE_BUFFER: usize = 64 * 1024;

/// A TCP connection that reads in large blocks, since rustls asks for 4 KiB at a time, and that knows how
/// the peer began, since only its first bytes tell who spoke when it was not TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer has come and not been taken.
    start: usize,
    end: usize,
    size: usize,
    greeting: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0, size: SMALL_BUFFER, greeting: Vec::new() }
    }

    /// The first bytes the peer sent, at most six; they stay to be read. Empty when it closed.
    pub(crate) async fn greeting(&mut self) -> io::Result<&[u8]> {
        if self.greeting.is_empty() {
            std::future::poll_fn(|cx| self.poll_fill(cx)).await?;
        }
        Ok(&self.greeting)
    }

    /// The first bytes the peer has sent so far, at most six.
    pub(super) fn greeted(&self) -> &[u8] {
        &self.greeting
    }

    /// Reads in large blocks from now on.
    pub(super) fn secured(&mut self) {
        self.size = LARGE_BUFFER;
    }

    /// Reads once into the empty buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream.poll_read_ready(cx))?;
        if self.buffer.len() < self.size {
            self.buffer.resize(self.size, 0);
        }
        let mut space = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        let came = space.filled();
        if self.greeting.is_empty() {
            self.greeting.extend(came.iter().take(PDU_HEADER));
        }
        (self.start, self.end) = (0, came.len());
        Poll::Ready(Ok(()))
    }
}

impl Transport for Socket {
    fn quick_ack(&self) {
        if self.start == self.end {
            self.stream.quick_ack();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            ready!(this.poll_fill(cx))?;
        }
        let there = this.buffer.get(this.start..this.end).unwrap_or_default();
        let taken = there.get(..out.remaining()).unwrap_or(there);
        out.put_slice(taken);
        this.start = this.start.saturating_add(taken.len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
