//! A connection: bytes in through the framer, whole PDUs out in one write each.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::pdu::{Abort, Framer, PDU_HEADER, PduKind, ProtocolError};

/// Connections the kernel holds for us while we are busy: a ward that sends at once must not wait for
/// the second its repeated SYN takes.
const BACKLOG: u32 = 1024;
/// Bytes read at a time: enough to keep up with a disk.
const BUFFER: usize = 256 * 1024;
/// Bytes that a connection keeps by itself: more than headers that have arrived in part.
const REST: usize = 16;
/// Buffers kept for whoever reads next.
const BUFFERS_KEPT: usize = 32;

/// Buffers for what arrives on any connection, the one that was given back last first: a processor has it at hand still.
static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn buffers() -> MutexGuard<'static, Vec<Vec<u8>>> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

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

    /// Waits for more bytes, at most `silence`. The peer may need to hear that the last ones have come before it goes on.
    /// Cancelling loses nothing.
    pub(crate) async fn fill(&mut self, silence: Duration) -> Result<usize, WireError> {
        self.transport.quick_ack();
        self.fill_idle(silence).await
    }

    /// As [`Wire::fill`], where nothing is under way: a message that comes in one go is acknowledged with its response.
    pub(crate) async fn fill_idle(&mut self, silence: Duration) -> Result<usize, WireError> {
        let filled = std::future::poll_fn(|cx| self.poll_fill(cx));
        timeout(silence, filled).await.map_err(|_elapsed| WireError::Silent(silence))?
    }

    /// Reads what has arrived into a buffer that is this connection's while something is in it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, WireError>> {
        if !self.has_buffer() {
            let kept = buffers().pop();
            self.framer.swap(kept.unwrap_or_else(|| vec![0; BUFFER]));
        }
        let mut buffer = ReadBuf::new(self.framer.space());
        match Pin::new(&mut self.transport).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.framer.filled(count);
                Poll::Ready(if count == 0 { Err(WireError::Closed) } else { Ok(count) })
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(ended(error))),
            Poll::Pending => {
                self.rest();
                Poll::Pending
            }
        }
    }

    /// Whether one of the shared buffers is its own at the moment.
    fn has_buffer(&self) -> bool {
        self.framer.capacity() == BUFFER
    }

    /// Gives the buffer back, unless much waits in it.
    pub(crate) fn rest(&mut self) {
        let waiting = self.framer.buffered();
        if self.has_buffer() && waiting <= REST {
            let buffer = self.framer.swap(vec![0; waiting]);
            let mut kept = buffers();
            if kept.len() < BUFFERS_KEPT {
                kept.push(buffer);
            }
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
        if self.has_buffer() && self.framer.space().is_empty() {
            return Poll::Pending;
        }
        self.poll_fill(cx).map_ok(|_count| Step::Received)
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
    use crate::pdu::Event;

    #[tokio::test]
    async fn a_connection_has_a_buffer_while_something_waits_in_it() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(Box::new(near), 0);
        let (soon, late) = (Duration::from_millis(1), Duration::from_secs(20));
        assert!(matches!(wire.fill(soon).await, Err(WireError::Silent(_))));
        assert_eq!(wire.framer.capacity(), 0);
        // The beginning of a release, the rest of it, and one more with which something waits.
        far.write_all(&[5, 0, 0]).await.unwrap();
        assert_eq!(wire.fill(late).await.unwrap(), 3);
        assert!(wire.framer.next().unwrap().is_none());
        assert!(matches!(wire.fill(soon).await, Err(WireError::Silent(_))));
        assert_eq!((wire.framer.capacity(), wire.framer.buffered()), (3, 3));
        far.write_all(&[0, 0, 4, 0, 0, 0, 0]).await.unwrap();
        far.write_all(&[[5, 0, 0, 0, 0, 4, 0, 0, 0, 0]; 2].concat()).await.unwrap();
        assert_eq!(wire.fill(late).await.unwrap(), 27);
        wire.rest();
        assert_eq!(wire.framer.capacity(), BUFFER);
        for _ in 0..3 {
            assert!(matches!(wire.framer.next(), Ok(Some(Event::Control { kind: PduKind::ReleaseRequest, .. }))));
        }
        wire.rest();
        assert_eq!(wire.framer.capacity(), 0);
        assert!(buffers().len() <= BUFFERS_KEPT);
    }
}
