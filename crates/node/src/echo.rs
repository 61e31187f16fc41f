//! `dokuei echo`: a C-ECHO that says what was negotiated, or whose fault it is.

use std::time::Duration;

use dokuei_dimse::{EchoError, EchoReport, Fault};
use serde_json::json;

use crate::args::Echo;
use crate::outcome::{self, Failure, line};
use crate::requestor;

pub(crate) async fn run(arguments: &Echo) -> Result<(), Failure> {
    let config = requestor::config(&arguments.peer, &arguments.call)?;
    match dokuei_dimse::echo(&config).await {
        Ok(report) => {
            answered(arguments, &report);
            Ok(())
        }
        Err(error) => Err(failed(&error)),
    }
}

fn answered(arguments: &Echo, report: &EchoReport) {
    let peer = &report.peer;
    let implementation = peer.implementation_version_name.as_deref().or(peer.implementation_class_uid.as_deref());
    if arguments.json {
        let answer = json!({
            "status": report.status.to_string(),
            "address": peer.address.to_string(),
            "implementation_version_name": peer.implementation_version_name,
            "implementation_class_uid": peer.implementation_class_uid,
            "maximum_length": peer.maximum_length,
            "transfer_syntax": report.transfer_syntax.as_str(),
            "connect_ms": milliseconds(report.steps.connect),
            "tls_ms": milliseconds(report.steps.tls),
            "associate_ms": milliseconds(report.steps.associate),
            "echo_ms": milliseconds(report.steps.echo),
        });
        return outcome::json(&answer, true);
    }
    line(format!("{} at {} answered C-ECHO with status {}", arguments.call.called, peer.address, report.status));
    line(format!("  implementation    {}", implementation.unwrap_or("not said")));
    line(format!("  maximum PDU       {} bytes", peer.maximum_length));
    line(format!("  transfer syntax   {}", report.transfer_syntax));
    let steps = &report.steps;
    let times = [("connect", steps.connect), ("TLS", steps.tls), ("associate", steps.associate), ("echo", steps.echo)];
    let times = times.into_iter().filter_map(|(step, taken)| Some(format!("{step} {:.1} ms", milliseconds(taken)?)));
    line(format!("  {}", times.collect::<Vec<_>>().join(", ")));
    if let Some(problem) = &report.release_problem {
        line(format!("  but it did not release as it should: {problem}"));
    }
}

fn milliseconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1e4).round() / 10.0)
}

fn failed(error: &EchoError) -> Failure {
    let whose = match error.fault() {
        Fault::Ours => "to be changed here",
        Fault::Network => "on the way",
        Fault::Peer => "at the peer",
    };
    Failure::because("C-ECHO", error).help(format!("{whose}: {}", error.advice()))
}
