//! Audit messages to a repository by syslog: RFC 5424, over UDP (RFC 5426, PS3.15 A.7) or TCP with octet counting
//! (RFC 6587 § 3.4.1).

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use dokuei_store::receive_first;
use jiff::Timestamp;
use serde::Deserialize;

use super::message::{Outcome, Reporter};
use crate::config::Address;
use crate::send::words;

/// Messages that wait for the repository; further ones are counted and dropped.
const QUEUE_MAX: usize = 4_096;
/// For a connection and for each message.
const PATIENCE: Duration = Duration::from_secs(5);
/// From a failure to the next attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// Security and authorization messages (PS3.15 A.7).
const FACILITY: u8 = 10;
/// PS3.15 A.7.
const MESSAGE_ID: &str = "DICOM+RFC3881";

/// What carries the messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    #[default]
    Udp,
    Tcp,
}

/// A thread that sends to a repository, so that one which hangs holds nobody up.
pub(super) struct Syslog {
    queue: SyncSender<String>,
    dropped: u64,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Syslog {
    pub(super) fn start(to: Address, transport: Transport) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::Builder::new().name("syslog".into()).spawn(move || {
            receive_first();
            send_all(&to, transport, &messages, &stop);
        })?;
        Ok(Self { queue, dropped: 0, stopping, thread })
    }

    /// Hands a message over; never waits.
    pub(super) fn send(&mut self, message: String) {
        match self.queue.try_send(message) {
            Ok(()) if self.dropped > 0 => {
                tracing::error!(dropped = self.dropped, "audit messages were not sent");
                self.dropped = 0;
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.dropped = self.dropped.saturating_add(1),
        }
    }

    /// Sends what waits until something cannot be sent, and ends.
    pub(super) fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!("the syslog thread had panicked");
        }
    }
}

/// A syslog message around an audit message: PRI, version, time, host, application, process, kind, no structured data.
pub(super) fn framed(reporter: &Reporter, at: Timestamp, outcome: Outcome, xml: &str) -> String {
    // Notice, or warning where something was refused or failed.
    let severity = if outcome == Outcome::Success { 5 } else { 4 };
    let priority = FACILITY * 8 + severity;
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let host = printable(&reporter.ae_title);
    format!("<{priority}>1 {at} {host} dokuei {} {MESSAGE_ID} - \u{feff}{xml}", std::process::id())
}

/// A name as the header of a message may have it: printable and without spaces.
fn printable(name: &str) -> String {
    let name: String = name.chars().map(|letter| if letter.is_ascii_graphic() { letter } else { '_' }).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

fn send_all(to: &Address, transport: Transport, messages: &Receiver<String>, stopping: &AtomicBool) {
    let mut connection = None;
    let mut failing = false;
    for message in messages {
        let stops = || stopping.load(Ordering::Relaxed);
        if failing && stops() {
            tracing::error!(%to, "what waited for the audit repository is not sent");
            return;
        }
        // A datagram is sent once: whether it arrived nobody knows.
        let attempts = if transport == Transport::Udp { 1 } else { 3 };
        let sent = (0..attempts).any(|attempt| {
            if attempt > 0 {
                if stops() {
                    return false;
                }
                std::thread::sleep(PAUSE);
            }
            let sent = match transport {
                Transport::Udp => datagram(to, &message),
                Transport::Tcp => octets(to, &mut connection, &message),
            };
            if let Err(error) = &sent
                && !failing
            {
                failing = true;
                tracing::error!(%to, error = words(error), "the audit repository cannot be reached");
            }
            sent.is_ok()
        });
        match (sent, failing) {
            (true, true) => {
                failing = false;
                tracing::info!(%to, "the audit repository is reached again");
            }
            (false, _) => tracing::warn!(%to, "an audit message was not sent"),
            (true, false) => {}
        }
    }
}

fn datagram(to: &Address, message: &str) -> io::Result<()> {
    let to = resolve(to)?;
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    UdpSocket::bind(any)?.send_to(message.as_bytes(), to).map(drop)
}

fn octets(to: &Address, connection: &mut Option<TcpStream>, message: &str) -> io::Result<()> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect_timeout(&resolve(to)?, PATIENCE)?,
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{} {message}", message.len()).as_bytes())?;
    *connection = Some(stream);
    Ok(())
}

fn resolve(to: &Address) -> io::Result<std::net::SocketAddr> {
    to.as_str().to_socket_addrs()?.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn message(text: &str) -> String {
        let reporter = Reporter { ae_title: "DO KUEI".into(), process: "dokuei".into() };
        framed(&reporter, Timestamp::UNIX_EPOCH, Outcome::Success, text)
    }

    #[test]
    fn the_frame_is_that_of_rfc_5424() {
        let process = std::process::id();
        let expected = format!("<85>1 1970-01-01T00:00:00.000Z DO_KUEI dokuei {process} DICOM+RFC3881 - \u{feff}<A/>");
        assert_eq!(message("<A/>"), expected);
        let reporter = Reporter { ae_title: String::new(), process: String::new() };
        let warning = framed(&reporter, Timestamp::UNIX_EPOCH, Outcome::MinorFailure, "");
        assert!(warning.starts_with("<84>1 1970-01-01T00:00:00.000Z - "), "{warning}");
    }

    #[test]
    fn messages_arrive_as_datagrams() {
        let repository = UdpSocket::bind("127.0.0.1:0").unwrap();
        repository.set_read_timeout(Some(4 * PATIENCE)).unwrap();
        let to = repository.local_addr().unwrap().to_string().parse().unwrap();
        let mut syslog = Syslog::start(to, Transport::Udp).unwrap();
        for text in ["<A/>", "<B/>"] {
            syslog.send(message(text));
            let mut bytes = [0; 1_024];
            let length = repository.recv(&mut bytes).unwrap();
            assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), message(text));
        }
        syslog.stop();
    }

    #[test]
    fn messages_arrive_as_counted_octets() {
        let repository = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = repository.local_addr().unwrap().to_string().parse().unwrap();
        let mut syslog = Syslog::start(to, Transport::Tcp).unwrap();
        syslog.send(message("<A>é</A>"));
        syslog.send(message("<B/>"));
        let (mut stream, _) = repository.accept().unwrap();
        let stopping = std::thread::spawn(move || syslog.stop());
        let mut received = String::new();
        stream.read_to_string(&mut received).unwrap();
        let counted = |text: &str| format!("{} {}", message(text).len(), message(text));
        assert_eq!(received, counted("<A>é</A>") + &counted("<B/>"));
        stopping.join().unwrap();
    }
}
