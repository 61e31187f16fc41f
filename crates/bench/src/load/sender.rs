use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Peer;
use crate::wire::associate::{self, Accepted, UserInformation};
use crate::wire::broken;
use crate::wire::command::{C_STORE_RQ, Command, RESPONSE};
use crate::wire::pdu::{ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, PduReader, RELEASE_RQ, release};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than any receiver that serves one association at a time keeps the others waiting.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Responses are short.
const RESPONSE_PDU_BYTES: u32 = 16 << 10;

/// An association as requestor.
#[derive(Debug)]
pub(crate) struct Sender {
    replies: PduReader<TcpStream>,
    /// Fragments of the response that is arriving.
    command: Vec<u8>,
    /// What has arrived and was not asked for yet.
    responses: VecDeque<(u16, u16)>,
    /// Longest P-DATA-TF the peer takes; 0 is no limit.
    pub(crate) pdu_length_max_bytes: u32,
    /// Operations that may be outstanding.
    pub(crate) window: u16,
}

impl Sender {
    /// Connects and proposes one context for `sop_class`.
    ///
    /// # Errors
    /// When there is no connection, the association is rejected, or the context is not accepted.
    pub(crate) fn associate(peer: Peer, sop_class: &str, window: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&peer.address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let asked =
            UserInformation { pdu_length_max_bytes: RESPONSE_PDU_BYTES, window: (window > 1).then_some(window) };
        (&stream).write_all(&associate::request(peer.ae_title, "BENCH", sop_class, asked))?;

        let mut replies = PduReader::new(stream, 64 << 10);
        let pdu = replies.next()?;
        let accepted = match (pdu.kind, pdu.body) {
            (ASSOCIATE_AC, body) => Accepted::parse(body)?,
            (ASSOCIATE_RJ, [_, result, source, reason]) => {
                return Err(broken(format!("rejected: result {result}, source {source}, reason {reason}")));
            }
            (kind, _) => return Err(unexpected(kind)),
        };
        if accepted.contexts != [1] {
            return Err(broken("the presentation context is not accepted"));
        }
        // Absent is one, zero is no limit (PS3.7 § D.3.3.3).
        let granted = match accepted.user.window {
            None => 1,
            Some(0) => window,
            Some(granted) => granted.min(window),
        };
        let pdu_length_max_bytes = accepted.user.pdu_length_max_bytes;
        Ok(Self { replies, command: Vec::new(), responses: VecDeque::new(), pdu_length_max_bytes, window: granted })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.replies.stream()
    }

    /// Waits for a C-STORE-RSP: the message it answers and its status.
    pub(crate) fn response(&mut self) -> io::Result<(u16, u16)> {
        loop {
            if let Some(response) = self.responses.pop_front() {
                return Ok(response);
            }
            self.read_pdu()?;
        }
    }

    /// A PDU may hold a part of a response, or several of them.
    fn read_pdu(&mut self) -> io::Result<()> {
        let mut pdu = self.replies.next()?;
        if pdu.kind != P_DATA_TF {
            return Err(unexpected(pdu.kind));
        }
        while let Some(pdv) = pdu.next_pdv()? {
            if !pdv.is_command {
                return Err(broken("a data set instead of a response"));
            }
            self.command.extend_from_slice(pdv.fragment);
            if pdv.is_last {
                self.responses.push_back(response(&self.command)?);
                self.command.clear();
            }
        }
        Ok(())
    }

    /// Asks for release and waits for the answer, so that the peer has ended what it does for us.
    pub(crate) fn release(mut self) -> io::Result<()> {
        self.stream().write_all(&release(RELEASE_RQ))?;
        match self.replies.next() {
            // An answer, or a peer in a hurry: all has been answered before.
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn response(command: &[u8]) -> io::Result<(u16, u16)> {
    let command = Command::parse(command)?;
    if command.field != C_STORE_RQ | RESPONSE {
        return Err(broken(format!("command {:04X}H instead of a response", command.field)));
    }
    Ok((command.responds_to, command.status))
}

fn unexpected(kind: u8) -> io::Error {
    match kind {
        ABORT => broken("aborted"),
        kind => broken(format!("an unexpected PDU of type {kind:02X}H")),
    }
}
