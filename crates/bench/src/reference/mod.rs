//! Reference receivers: the least a C-STORE SCP can do, on one blocking thread for each association. What a receiver
//! is measured against.

mod association;
mod group_commit;
mod keeping;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::Builder;

use clap::ValueEnum;

pub(crate) use keeping::Keeper;

const STACK_BYTES: usize = 256 << 10;

/// What becomes of an instance before the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keeping {
    /// Nothing: read and respond.
    Null,
    /// A file, not synced.
    Write,
    /// A file and its fdatasync.
    Sync,
    /// A place in one segment; one fdatasync covers every response that waits.
    Log,
}

/// Serves every connection until the process ends.
pub(crate) fn serve(listener: &TcpListener, keeper: &Arc<Keeper>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let keeper = Arc::clone(keeper);
        Builder::new().stack_size(STACK_BYTES).spawn(move || {
            if let Err(error) = association::serve(stream, &keeper) {
                eprintln!("association: {error}");
            }
        })?;
    }
}
