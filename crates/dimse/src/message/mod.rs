//! DIMSE messages (PS3.7): command sets, their assembly from fragments, and what is asked and answered.
//! It knows no sockets, so it can be read against PS3.7 and fuzzed without a network.

mod assembler;
mod command;
mod operation;
mod query;
mod refusal;

pub use assembler::{Assembler, ContextSet, Piece};
pub use command::{CommandError, CommandSet, CommandWriter, NO_DATA_SET};
pub use operation::{
    Answer, Field, action_request, cancel_request, create_request, echo_request, event_report_request, find_request,
    get_request, move_request, response, set_request, store_request,
};
pub use query::{SubOperations, meaning};
pub use refusal::{Refusal, StoreFault};
