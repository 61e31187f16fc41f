//! Measures C-STORE receivers side by side: ours, ideal ones and other people's; never part of the product.
//! `docs/benchmarks.md` says how to run it and how to read it.

#![expect(clippy::print_stdout, reason = "tables are its output")]

mod args;
mod corpus;
mod folders;
mod frames;
mod load;
mod memory;
mod process;
mod procfs;
mod receive;
mod receive_table;
mod receivers;
mod reference;
mod report;
mod senders;
mod stats;
mod wire;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::args::{Arguments, Command, Reference};
use crate::reference::Keeper;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Receive(arguments) => receive::run(&arguments),
        Command::Senders(arguments) => senders::run(&arguments),
        Command::Memory(arguments) => memory::run(&arguments),
        Command::Reference(arguments) => serve_reference(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_reference(arguments: &Reference) -> io::Result<()> {
    let keeper = Keeper::new(arguments.keeping, &arguments.folder, arguments.segment_bytes)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))?;
    reference::serve(&listener, &Arc::new(keeper))
}
