use std::io::{self, Write};
use std::net::TcpStream;

use super::keeping::{Keeper, Kept};
use crate::wire::associate::{self, Request, UserInformation};
use crate::wire::broken;
use crate::wire::command::{C_ECHO_RQ, C_STORE_RQ, Command, success};
use crate::wire::pdu::{
    ASSOCIATE_RQ, COMMAND, LAST, P_DATA_TF, PduReader, Pdv, RELEASE_RP, RELEASE_RQ, put_data_header, release,
};

/// Longest P-DATA-TF it takes: what ours offers by default too.
const PDU_LENGTH_MAX_BYTES: u32 = 128 << 10;

/// One such PDU and the beginning of the next: more would not stay in a core's cache.
const BUFFER_BYTES: usize = 192 << 10;

/// Serves one association until it is released or broken.
pub(super) fn serve(stream: TcpStream, keeper: &Keeper) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = PduReader::new(stream, BUFFER_BYTES);
    let (answer, transfer_syntax) = match reader.next() {
        Ok(pdu) if pdu.kind == ASSOCIATE_RQ => accept(pdu.body)?,
        Ok(_) => return Err(broken("no A-ASSOCIATE-RQ")),
        // A connection that was a question whether somebody listens.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(error),
    };
    reader.stream().write_all(&answer)?;

    let mut message = Message { keeper, transfer_syntax, command: Vec::new(), kept: None };
    let mut responses = Vec::new();
    loop {
        let mut pdu = reader.next()?;
        match pdu.kind {
            P_DATA_TF => {
                while let Some(pdv) = pdu.next_pdv()? {
                    message.take(&pdv, &mut responses)?;
                }
            }
            RELEASE_RQ => return reader.stream().write_all(&release(RELEASE_RP)),
            kind => return Err(broken(format!("a PDU of type {kind:02X}H"))),
        }
        if !responses.is_empty() {
            reader.stream().write_all(&responses)?;
            responses.clear();
        }
    }
}

/// The A-ASSOCIATE-AC, and the transfer syntax of the first context.
fn accept(body: &[u8]) -> io::Result<(Vec<u8>, String)> {
    let request = Request::parse(body)?;
    let user = UserInformation { pdu_length_max_bytes: PDU_LENGTH_MAX_BYTES, window: request.user.window };
    Ok((associate::accept(&request, user), request.transfer_syntax(1).to_owned()))
}

/// The message that is arriving.
struct Message<'a> {
    keeper: &'a Keeper,
    transfer_syntax: String,
    command: Vec<u8>,
    kept: Option<Kept<'a>>,
}

impl Message<'_> {
    fn take(&mut self, pdv: &Pdv, responses: &mut Vec<u8>) -> io::Result<()> {
        if pdv.is_command {
            self.command.extend_from_slice(pdv.fragment);
            return if pdv.is_last { self.begin(pdv.context, responses) } else { Ok(()) };
        }
        let kept = self.kept.as_mut().ok_or_else(|| broken("a data set without a command"))?;
        kept.append(pdv.fragment)?;
        if pdv.is_last {
            self.kept.take().map_or(Ok(()), Kept::commit)?;
            self.respond(pdv.context, responses)?;
        }
        Ok(())
    }

    fn begin(&mut self, context: u8, responses: &mut Vec<u8>) -> io::Result<()> {
        let command = Command::parse(&self.command)?;
        match command.field {
            C_STORE_RQ => self.kept = Some(self.keeper.begin(&command, &self.transfer_syntax)?),
            C_ECHO_RQ => self.respond(context, responses)?,
            field => return Err(broken(format!("command {field:04X}H"))),
        }
        Ok(())
    }

    fn respond(&mut self, context: u8, responses: &mut Vec<u8>) -> io::Result<()> {
        let response = success(&Command::parse(&self.command)?);
        put_data_header(responses, context, COMMAND | LAST, response.len());
        responses.extend_from_slice(&response);
        self.command.clear();
        Ok(())
    }
}
