//! Every metric. `docs/metrics.md` lists them; a test compares the two.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use dokuei_store::{Occurrence, StoreError, Tallied, Totals, Unfinished};
use dokuei_web::Kind::{Counter, Gauge, Summary};
use dokuei_web::{Exposition, Head, Monitored};

use super::{Monitor, process};
use crate::certificates::CertificateInUse;

/// Writes all of them.
///
/// # Errors
/// The index or the file system cannot be asked.
pub(super) fn write(monitor: &Monitor, to: &mut Exposition) -> Result<(), StoreError> {
    let unfinished = monitor.store.unfinished()?;
    let totals = monitor.store.totals();
    program(monitor, to);
    associations(monitor, to);
    reception(monitor, &totals, to);
    rules(&monitor.store.reader().tallied()?, to);
    queue(monitor, &unfinished, to);
    ends(&unfinished, &totals, to);
    outbox(monitor, &unfinished, &totals, to);
    models(monitor, to);
    disk(monitor, to)?;
    certificates(&monitor.certificates(), to);
    Ok(())
}

fn program(monitor: &Monitor, to: &mut Exposition) {
    to.family(Head {
        name: "dokuei_build_info",
        kind: Gauge,
        labels: &["version"],
        help: "1; its label says which version runs",
    })
    .sample([env!("CARGO_PKG_VERSION")], 1);
    let started_at = monitor.started_at.as_second();
    to.one(("process_start_time_seconds", Gauge, "when the node was started, in seconds since 1970"), started_at);
    if let Some(bytes) = process::resident_memory_bytes() {
        to.one(("process_resident_memory_bytes", Gauge, "memory in use; only on Linux"), bytes);
    }
    if let Some(count) = process::open_file_descriptors() {
        to.one(("process_open_fds", Gauge, "file descriptors in use; only on Linux"), count);
    }
    let ready = u8::from(monitor.ready().is_ok());
    to.one(("dokuei_ready", Gauge, "1 while instances are taken, as /health/ready says"), ready);
}

fn associations(monitor: &Monitor, to: &mut Exposition) {
    let now = monitor.counters.snapshot();
    let help = "connections that have not associated yet; limits.connections_pending bounds them";
    to.one(("dokuei_connections_pending", Gauge, help), now.half_open);
    to.one(("dokuei_connections_total", Counter, "connections to the DICOM ports"), now.connections);
    to.one(("dokuei_associations_open", Gauge, "associations open now; limits.associations bounds them"), now.open);
    to.one(("dokuei_associations_accepted_total", Counter, "associations accepted"), now.accepted);
    let mut rejected = BTreeMap::<&str, u64>::new();
    for (rejection, count) in monitor.counters.rejections() {
        let sum = rejected.entry(rejection.reason_words()).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut family = to.family(Head {
        name: "dokuei_associations_rejected_total",
        kind: Counter,
        labels: &["reason"],
        help: "associations rejected, by the reason in the words of PS3.8 § 9.3.4",
    });
    rejected.iter().for_each(|(reason, count)| family.sample([reason], count));
    let help = "associations that ended otherwise than by release, whoever ended them";
    to.one(("dokuei_associations_aborted_total", Counter, help), now.aborted);
}

fn reception(monitor: &Monitor, totals: &Totals, to: &mut Exposition) {
    let now = monitor.counters.snapshot();
    to.one(("dokuei_echoes_total", Counter, "C-ECHO requests answered"), now.echoes);
    let help = "C-STORE requests answered with success";
    to.one(("dokuei_instances_received_total", Counter, help), now.instances);
    let mut refused = to.family(Head {
        name: "dokuei_instances_refused_total",
        kind: Counter,
        labels: &["status"],
        help: "C-STORE requests answered with a failure, by its DIMSE status in hexadecimal",
    });
    let mut refusals = monitor.counters.refusals();
    refusals.sort_unstable_by_key(|(status, _)| status.0);
    refusals.iter().for_each(|(status, count)| refused.sample([&status.to_string()], count));
    let help = "bytes of data sets received, of refused ones too";
    to.one(("dokuei_received_bytes_total", Counter, help), now.bytes);
    let mut arrivals = to.family(Head {
        name: "dokuei_arrivals_total",
        kind: Counter,
        labels: &["outcome"],
        help: "instances that the index was told of: new, duplicate (the same bytes again), superseded or replaced \
               (other bytes under the UID), restored (bytes that had been given up), refused",
    });
    for (occurrence, count) in totals {
        if let Occurrence::Arrival(outcome) = occurrence {
            arrivals.sample([outcome], count);
        }
    }
}

fn rules(tallied: &[Tallied], to: &mut Exposition) {
    let mut said = to.family(Head {
        name: "dokuei_rules_total",
        kind: Counter,
        labels: &["said", "route"],
        help: "instances of which a route's rules said: failed (a condition could not be evaluated), shadow (applied, \
               nothing is sent), no_way_back (results would return to a sender that is no destination), \
               other_patient (it came again as another patient's, and results of it stand); counted since the data \
               folder was made",
    });
    let mut sums = BTreeMap::<_, u64>::new();
    for Tallied { what, route, count, .. } in tallied {
        let sum = sums.entry((what, route)).or_default();
        *sum = sum.saturating_add(*count);
    }
    sums.iter().for_each(|((what, route), count)| said.sample([what, route], count));
}

fn queue(monitor: &Monitor, unfinished: &Unfinished, to: &mut Exposition) {
    let help = "jobs that wait or run, with the arrivals that the index has not been told of";
    to.one(("dokuei_queue_depth", Gauge, help), monitor.store.queue_depth());
    let help = "limits.queue_depth, from which on instances are refused";
    to.one(("dokuei_queue_depth_max", Gauge, help), monitor.queue_depth_max);
    let mut jobs = to.family(Head {
        name: "dokuei_queue_jobs",
        kind: Gauge,
        labels: &["stage"],
        help: "jobs that wait or run: match (instances), settle (series and studies that are waited for), analyze \
               (instances for a model), retrieve (instances that an archive is asked for again)",
    });
    unfinished.jobs.iter().for_each(|(stage, count)| jobs.sample([stage], count));
}

fn ends(unfinished: &Unfinished, totals: &Totals, to: &mut Exposition) {
    to.one(("dokuei_instances_open", Gauge, "instances in work"), unfinished.instances);
    to.one(("dokuei_instances_failed", Gauge, "instances whose work has failed, until replayed"), unfinished.failed);
    let mut ends = to.family(Head {
        name: "dokuei_ends_total",
        kind: Counter,
        labels: &["end", "reason"],
        help: "instances whose work has ended: reported, forwarded, no_rule_matched, declined (with the kind of \
               reason), failed; one that is replayed ends again",
    });
    for (occurrence, count) in totals {
        if let Occurrence::End { end, reason } = occurrence {
            ends.sample([end, reason.unwrap_or_default()], count);
        }
    }
    let mut dead = to.family(Head {
        name: "dokuei_dead_letters",
        kind: Gauge,
        labels: &["kind"],
        help: "work given up, until replayed: job, delivery, commitment; dokuei failed lists it",
    });
    dead.sample(["job"], unfinished.dead_jobs);
    dead.sample(["delivery"], unfinished.destinations.values().map(|destination| destination.dead).sum::<u64>());
    dead.sample(["commitment"], unfinished.dead_commitments);
    let help = "requests for storage commitment whose peers are still to be told";
    to.one(("dokuei_commitments_waiting", Gauge, help), unfinished.commitments);
}

fn outbox(monitor: &Monitor, unfinished: &Unfinished, totals: &Totals, to: &mut Exposition) {
    let mut objects = to.family(Head {
        name: "dokuei_outbox_objects",
        kind: Gauge,
        labels: &["destination", "state"],
        help: "objects for a destination: waiting, sending, unconfirmed (stored there, to be confirmed), dead (given up)",
    });
    for (name, destination) in &unfinished.destinations {
        objects.sample([name, "waiting"], destination.waiting);
        objects.sample([name, "sending"], destination.sending);
        objects.sample([name, "unconfirmed"], destination.unconfirmed);
        objects.sample([name, "dead"], destination.dead);
    }
    let mut oldest = to.family(Head {
        name: "dokuei_outbox_oldest_seconds",
        kind: Gauge,
        labels: &["destination"],
        help: "for how long the oldest object has been queued that a destination has not got; 0 where there is none",
    });
    let now = monitor.store.clock().now_ms();
    for (name, destination) in &unfinished.destinations {
        let age_ms = destination.oldest_queued_at.map_or(0, |at| now.saturating_sub(at).max(0));
        oldest.sample([name], age_ms / 1_000);
    }
    let mut deliveries = to.family(Head {
        name: "dokuei_deliveries_total",
        kind: Counter,
        labels: &["destination", "outcome"],
        help: "attempts to send an object: stored, retried (tried again later), given_up",
    });
    for (occurrence, count) in totals {
        if let Occurrence::Delivery { destination, outcome } = occurrence {
            deliveries.sample([destination, outcome], count);
        }
    }
}

fn models(monitor: &Monitor, to: &mut Exposition) {
    let mut runs = to.family(Head {
        name: "dokuei_analysis_seconds",
        kind: Summary,
        labels: &["model", "stage"],
        help: "how long analyses took that came to a result: prepare, infer, explain, report",
    });
    for (model, durations) in monitor.stopwatch.read() {
        let (count, sum) = (durations.count, durations.sum);
        runs.durations([&model, "prepare"], count, sum.prepare);
        runs.durations([&model, "infer"], count, sum.infer);
        runs.durations([&model, "explain"], count, sum.explain);
        runs.durations([&model, "report"], count, sum.report);
    }
}

fn disk(monitor: &Monitor, to: &mut Exposition) -> Result<(), StoreError> {
    let free_bytes = monitor.store.free_bytes()?;
    to.one(("dokuei_data_free_bytes", Gauge, "free space on the disk of the data folder"), free_bytes);
    let help = "limits.disk_free_min, below which instances are refused";
    to.one(("dokuei_data_free_min_bytes", Gauge, help), monitor.disk_free_min);
    Ok(())
}

fn certificates(used: &[CertificateInUse], to: &mut Exposition) {
    let mut family = to.family(Head {
        name: "dokuei_certificate_not_after_timestamp_seconds",
        kind: Gauge,
        labels: &["purpose"],
        help: "when the first certificate of a file expires, in seconds since 1970",
    });
    let mut first = BTreeMap::new();
    for CertificateInUse { purpose, info, .. } in used {
        let known = first.entry(purpose.as_str()).or_insert(info.not_after);
        *known = info.not_after.min(*known);
    }
    for (purpose, not_after) in first {
        family.sample([purpose], not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dokuei_store::{Store, StoreConfig};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config::Limits;

    #[test]
    fn the_reference_lists_every_metric_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(folder.path())).unwrap();
        let closed = CancellationToken::new();
        let monitor = Monitor::new(store.clone(), Arc::default(), Arc::default(), closed, &Limits::default());
        let mut exposition = Exposition::default();
        write(&monitor, &mut exposition).unwrap();
        store.close();
        let reference = include_str!("../../../../docs/metrics.md");
        let listed: Vec<&str> = reference
            .lines()
            .filter(|line| line.starts_with("| `dokuei_") || line.starts_with("| `process_"))
            .collect();
        let written = exposition.heads().iter().map(|Head { name, kind, labels, help }| {
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            format!("| `{name}` | {kind} | {labels} | {help} |")
        });
        let written: Vec<String> = written.collect();
        assert_eq!(written, listed, "what docs/metrics.md is to list:\n{}", written.join("\n"));
    }

    #[test]
    fn names_follow_the_conventions() {
        // Prometheus: base units, and `_total` at the end of counters alone.
        let reference = include_str!("../../../../docs/metrics.md");
        for line in reference.lines().filter(|line| line.starts_with("| `dokuei_")) {
            let name = line.split('`').nth(1).unwrap();
            assert_eq!(name.ends_with("_total"), line.contains("| counter |"), "{line}");
            assert!(!["_ms", "_kib", "_percent", "_mb"].iter().any(|unit| name.contains(unit)), "{line}");
        }
    }
}
