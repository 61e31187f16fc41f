use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dokuei_store::Unsealing;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that end in an error when they are not those that were stored: whoever reads them never has the last ones.
pub(crate) struct Unsealed<R> {
    bytes: R,
    unsealing: Option<Unsealing>,
}

impl<R> Unsealed<R> {
    /// Bytes of which `unsealing` knows what they are to be, or nothing is known.
    pub(crate) fn new(bytes: R, unsealing: Option<Unsealing>) -> Self {
        Self { bytes, unsealing }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Unsealed<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.bytes).poll_read(context, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.unsealing.as_mut().map_or(Ok(()), |unsealing| unsealing.take(read)))
    }
}
