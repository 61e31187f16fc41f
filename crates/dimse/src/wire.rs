//! A connection: bytes in through the framer, whole PDUs out in one write each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::pdu::{Abort, Framer, PDU_HEADER, PduKind, ProtocolError};

/// Connections the kernel holds for us while we are busy: a ward that sends at once must not wait for
/// the second its repeated SYN takes.
const BACKLOG: u32 = 1024;
/// Buffer of an association that has not sent a data set, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;
/// Buffer of one that has, in bytes: reads this large keep up with a disk.
const LARGE_BUFFER: usize = 256 * 1024;
/// For so long an idle association keeps its large buffer: longer than a sender takes from one instance
/// to the next, so that none pays for it twice.
pub(crate) const BUFFER_KEPT: Duration = Duration::from_secs(1);

/// Binds a listening socket with a backlog of 1024 and address reuse, so that a restart takes the port at once.
///
/// # Errors
/// What the system says, mostly that the port is taken or not allowed.
pub fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Elsewhere than on Unix the option lets two programs share a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What an association runs over: TCP, and what tests and TLS put in its place.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Asks that what arrives next be acknowledged at once. A peer that writes a PDU's header and body
    /// apart without TCP_NODELAY waits for that before it sends the body, 40 ms a PDU.
    fn quick_ack(&self) {}
}

impl Transport for TcpStream {
    fn quick_ack(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.set_quickack(true) {
            tracing::trace!(%error, "TCP_QUICKACK");
        }
    }
}

impl Transport for tokio::io::DuplexStream {}

/// Why a connection can give or take no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("silence for {0:?}")]
    Silent(Duration),
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// The first bytes of a connection that are no PDU but something an operator would recognize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    Tls,
    Http,
    Ssh,
}

impl Stranger {
    /// From the first bytes, of which six are enough. TLS records begin with their type, 20 to 23, and
    /// version 3.x.
    pub(crate) fn of(greeting: &[u8]) -> Option<Self> {
        match greeting {
            [20..=23, 3, ..] => Some(Self::Tls),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            _ => {
                let http: [&[u8]; 5] = [b"GET /", b"HTTP/", b"POST /", b"HEAD /", b"OPTION"];
                http.iter().any(|word| greeting.starts_with(word)).then_some(Self::Http)
            }
        }
    }
}

/// What came where an association PDU was awaited.
#[derive(Debug)]
pub(crate) enum Opening {
    Pdu(PduKind, Vec<u8>),
    Stranger(Stranger),
}

/// What sending came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were taken.
    Written(usize),
    /// Nothing is left to be sent.
    Flushed,
    /// Something arrived, and nothing was sent.
    Received,
}

pub(crate) struct Wire {
    transport: Box<dyn Transport>,
    pub(crate) framer: Framer,
}

impl Wire {
    /// `pdu_length` is the longest P-DATA-TF that may arrive, as we announce it: 0 means no limit.
    pub(crate) fn new(transport: Box<dyn Transport>, pdu_length: u32) -> Self {
        let pdu_length = if pdu_length == 0 { u32::MAX } else { pdu_length };
        Self { transport, framer: Framer::new(pdu_length, 0) }
    }

    /// Reads one association PDU, of a body up to `limit` bytes. Takes the bytes of that PDU alone, and
    /// memory only for what has arrived.
    pub(crate) async fn opening(&mut self, limit: u32) -> Result<Opening, WireError> {
        self.transport.quick_ack();
        let mut header = [0; PDU_HEADER];
        self.transport.read_exact(&mut header).await.map_err(ended)?;
        if let Some(stranger) = Stranger::of(&header) {
            return Ok(Opening::Stranger(stranger));
        }
        let [kind, _, length @ ..] = header;
        let length = u32::from_be_bytes(length);
        let kind = PduKind::of(kind).ok_or(ProtocolError::UnrecognizedPdu(kind))?;
        if length > limit {
            return Err(ProtocolError::PduLength { kind, length, limit }.into());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(length.min(4096));
        while body.len() < length {
            self.transport.quick_ack();
            let left = u64::try_from(length.saturating_sub(body.len())).unwrap_or(u64::MAX);
            if (&mut self.transport).take(left).read_buf(&mut body).await.map_err(ended)? == 0 {
                return Err(WireError::Closed);
            }
        }
        Ok(Opening::Pdu(kind, body))
    }

    /// Makes the buffer of an association, small until [`Wire::expect_data`].
    pub(crate) fn associated(&mut self) {
        self.framer.grow(SMALL_BUFFER);
    }

    /// Makes the buffer large, for data sets.
    pub(crate) fn expect_data(&mut self) {
        self.framer.grow(LARGE_BUFFER);
    }

    /// Waits for more bytes, at most `silence`. Cancelling loses nothing.
    pub(crate) async fn fill(&mut self, silence: Duration) -> Result<usize, WireError> {
        self.transport.quick_ack();
        let space = self.framer.space();
        let count = timeout(silence, self.transport.read(space))
            .await
            .map_err(|_elapsed| WireError::Silent(silence))?
            .map_err(ended)?;
        if count == 0 {
            return Err(WireError::Closed);
        }
        self.framer.filled(count);
        Ok(count)
    }

    /// As [`Wire::fill`], between messages: who has been silent for as long as `kept` needs no large buffer.
    pub(crate) async fn fill_idle(&mut self, kept: Duration, silence: Duration) -> Result<usize, WireError> {
        let kept = kept.min(silence);
        match self.fill(kept).await {
            Err(WireError::Silent(_)) if kept < silence => {}
            other => return other,
        }
        self.framer.shrink(SMALL_BUFFER);
        match self.fill(silence.saturating_sub(kept)).await {
            Err(WireError::Silent(_)) => Err(WireError::Silent(silence)),
            other => other,
        }
    }

    /// Writes all of `bytes`, waiting at most `silence` for the peer to take some.
    pub(crate) async fn send(&mut self, bytes: &[u8], silence: Duration) -> Result<(), WireError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = timeout(silence, self.transport.write(rest))
                .await
                .map_err(|_elapsed| WireError::Silent(silence))?
                .map_err(WireError::Io)?;
            rest = rest.get(count..).unwrap_or_default();
            if count == 0 {
                return Err(WireError::Closed);
            }
        }
        // TLS takes bytes before the peer does.
        let flushed = timeout(silence, self.transport.flush()).await;
        flushed.map_err(|_elapsed| WireError::Silent(silence))?.map_err(WireError::Io)
    }

    /// Writes some of `bytes`, or what TLS still holds when there are none, or takes in what arrives
    /// meanwhile: a peer that gives up on a large data set says so, and one that answers early may not read
    /// on until its answer is taken.
    pub(crate) async fn send_some(&mut self, bytes: &[u8], silence: Duration) -> Result<Step, WireError> {
        let step = std::future::poll_fn(|cx| self.poll_either(cx, bytes));
        timeout(silence, step).await.map_err(|_elapsed| WireError::Silent(silence))?
    }

    fn poll_either(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<Step, WireError>> {
        let transport = Pin::new(&mut self.transport);
        let sent = match bytes {
            [] => transport.poll_flush(cx).map_ok(|()| Step::Flushed),
            _ => transport.poll_write(cx, bytes).map_ok(Step::Written),
        };
        match sent {
            Poll::Ready(Ok(Step::Written(0))) => return Poll::Ready(Err(WireError::Closed)),
            Poll::Ready(sent) => return Poll::Ready(sent.map_err(WireError::Io)),
            Poll::Pending => {}
        }
        let space = self.framer.space();
        if space.is_empty() {
            return Poll::Pending;
        }
        let mut buffer = ReadBuf::new(space);
        match Pin::new(&mut self.transport).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.framer.filled(count);
                Poll::Ready(if count == 0 { Err(WireError::Closed) } else { Ok(Step::Received) })
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(ended(error))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sta13: after our last PDU, lets the peer close, since closing first with bytes unread would take
    /// that PDU away from it. Whatever comes is thrown away: a second A-ABORT (AA-7) would tell the peer
    /// nothing that the last PDU did not.
    pub(crate) async fn await_close(&mut self, limit: Duration) {
        let mut discarded = [0; 512];
        let closed = async { while matches!(self.transport.read(&mut discarded).await, Ok(1..)) {} };
        if timeout(limit, closed).await.is_err() {
            tracing::trace!("the peer left the connection open");
        }
    }

    /// Says that nothing follows, which TLS wants said before the connection is closed.
    pub(crate) async fn say_goodbye(&mut self, limit: Duration) {
        if !matches!(timeout(limit, self.transport.shutdown()).await, Ok(Ok(()))) {
            tracing::trace!("the peer was gone before the end of the connection was said");
        }
    }

    /// Closes the connection at once, whatever is still under way.
    pub(crate) fn close(&mut self) {
        let (closed, _) = tokio::io::duplex(1);
        self.transport = Box::new(closed);
    }

    /// Sends A-ABORT if the peer takes it at once: for a drop, which cannot wait.
    pub(crate) fn abort_now(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let sent = Pin::new(&mut self.transport).poll_write(&mut cx, &Abort::USER.to_pdu());
        tracing::trace!(?sent, "A-ABORT on drop");
    }
}

/// TLS tells an end without its farewell from one with it; PDUs say themselves where they end.
fn ended(error: io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => WireError::Closed,
        _ => WireError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_idle_association_gives_its_large_buffer_back() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(Box::new(near), 0);
        wire.associated();
        wire.expect_data();
        assert_eq!(wire.framer.capacity(), LARGE_BUFFER);
        let (soon, late) = (Duration::from_millis(1), Duration::from_millis(2));
        assert!(matches!(wire.fill_idle(soon, late).await, Err(WireError::Silent(all)) if all == late));
        assert_eq!(wire.framer.capacity(), SMALL_BUFFER);
        far.write_all(b"abc").await.unwrap();
        assert_eq!(wire.fill_idle(soon, Duration::from_secs(20)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_short_pause_costs_no_buffer() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(Box::new(near), 0);
        wire.expect_data();
        far.write_all(b"abc").await.unwrap();
        assert_eq!(wire.fill_idle(BUFFER_KEPT, Duration::from_secs(20)).await.unwrap(), 3);
        assert_eq!(wire.framer.capacity(), LARGE_BUFFER);
    }
}
