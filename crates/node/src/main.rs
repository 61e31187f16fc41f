//! `dokuei`: arguments, configuration, wiring, signals.

mod analyze;
mod args;
mod audit;
mod backtest;
mod certificates;
mod changes;
mod check;
mod commitment;
mod config;
mod confirmation;
mod count;
mod demo;
mod destination;
mod doctor;
mod echo;
mod evaluate;
mod export;
mod failover;
mod fetch;
mod files;
mod find;
mod information;
mod init;
mod inspect;
mod json_model;
mod keys;
mod limits;
mod machine;
mod moment;
mod monitor;
mod outcome;
mod pace;
mod packages;
mod peers;
mod picture;
mod procedures;
mod query;
mod receiver;
mod replay;
mod reports;
mod requestor;
mod route_match;
mod send;
mod serve;
mod site;
mod unsealed;
mod users;
mod verify;
mod withdraw;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Arguments, Command};
use crate::outcome::Failure;

/// Wrong usage or configuration (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    plain_reports_without_a_terminal();
    match run(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.exit_code();
            match failure {
                Failure::Config(error) => outcome::say(format!("{:?}", miette::Report::new(error))),
                Failure::Work(error) => outcome::say(format!("{:?}", miette::Report::new(error))),
                Failure::Said => {}
            }
            ExitCode::from(code)
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => block_on(demo::run(arguments)),
        Command::Serve(arguments) => block_on(serve::run(arguments)),
        Command::Echo(arguments) => block_on(echo::run(arguments)),
        Command::Send(arguments) => block_on(send::run(arguments)),
        Command::Find(arguments) => block_on(find::run(arguments)),
        Command::Fetch(arguments) => block_on(fetch::run(arguments)),
        Command::Analyze(arguments) => analyze::run(arguments),
        Command::Check(arguments) => block_on(check::run(arguments)),
        Command::Match(arguments) => route_match::run(arguments),
        Command::Backtest(arguments) => backtest::run(arguments),
        Command::Status(arguments) => inspect::status(arguments),
        Command::Show(arguments) => inspect::show(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Audit(arguments) => audit::export::run(arguments),
        Command::Failed(arguments) => replay::failed(arguments),
        Command::Replay(arguments) => replay::replay(arguments),
        Command::Withdraw(arguments) => withdraw::run(arguments),
        Command::Models(arguments) => packages::run(arguments),
        Command::User(arguments) => users::run(arguments),
    }
}

/// Runs a future on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("start the runtime", &error))?;
    runtime.block_on(future)
}

/// Log collectors want words, not boxes of line drawing.
fn plain_reports_without_a_terminal() {
    let terminal = std::io::stderr().is_terminal();
    let theme = if terminal { miette::GraphicalTheme::default() } else { miette::GraphicalTheme::none() };
    drop(miette::set_hook(Box::new(move |_| {
        Box::new(miette::MietteHandlerOpts::new().graphical_theme(theme.clone()).width(120).build())
    })));
}
