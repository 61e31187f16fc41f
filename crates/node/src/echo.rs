//! `dokuei echo`: a C-ECHO that says how it went, what the peer takes, or whose fault it is.

use dokuei_dimse::{EchoReport, Examination, examine};

use crate::args::Echo;
use crate::doctor::{self, Purpose};
use crate::outcome::{self, Failure, line, say};
use crate::requestor;
use crate::send::words;

pub(crate) async fn run(arguments: &Echo) -> Result<(), Failure> {
    let config = requestor::config(&arguments.peer, &arguments.call)?;
    let examination = examine(&config, &doctor::contexts(&Purpose::ALL)).await;
    if arguments.json {
        outcome::json(&doctor::as_json(&examination), true);
        return examination.echo.map(drop).map_err(|_| Failure::Said);
    }
    match &examination.echo {
        Ok(report) => answered(arguments, report),
        Err(_) if examination.steps.resolve.is_some() => {
            let failed = doctor::failed_step(&examination.steps, config.tls.is_some());
            say(format!("{}; it failed to {failed}", doctor::times(&examination.steps)));
        }
        Err(_) => {}
    }
    taken(&examination);
    let advice = doctor::advice(&examination).unwrap_or_default();
    examination.echo.map(drop).map_err(|error| Failure::because("C-ECHO", &error).help(advice))
}

fn answered(arguments: &Echo, report: &EchoReport) {
    let peer = &report.peer;
    line(format!("{} at {} answered C-ECHO with status {}", arguments.call.called, peer.address, report.status));
    line(format!("  implementation    {}", doctor::implementation(peer)));
    line(format!("  maximum PDU       {} bytes", peer.maximum_length));
    line(format!("  transfer syntax   {}", report.transfer_syntax));
    line(format!("  transport         {}", doctor::transport(peer)));
    if let Some(local) = report.steps.local_address {
        line(format!("  it sees us as     {} at {}", arguments.call.calling, local.ip()));
    }
    line(format!("  {}", doctor::times(&report.steps)));
    if let Some(problem) = &report.release_problem {
        line(format!("  but it did not release as it should: {problem}"));
    }
}

/// What it would take of what a node sends.
fn taken(examination: &Examination) {
    let contexts = match &examination.accepted {
        Some(Ok(contexts)) => contexts,
        Some(Err(error)) => return line(format!("  what it takes is not known: {}", words(error))),
        None => return,
    };
    for purpose in Purpose::ALL {
        let accepted = doctor::accepted(purpose, contexts);
        let words = if accepted.is_empty() { "none".to_owned() } else { doctor::in_words(&accepted) };
        line(format!("  takes {:<11} {words}", format!("{purpose}:")));
    }
}
