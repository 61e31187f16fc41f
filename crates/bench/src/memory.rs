//! `bench memory`: what the node needs above idle for connections, for associations, and for large objects.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::args::Memory;
use crate::corpus::{Corpus, Pixels};
use crate::load::{Load, Peer, Sender, frames_for};
use crate::process::Ports;
use crate::procfs::{Usage, watch};
use crate::receive::mib;
use crate::receivers::{Expected, Place, Receiver};
use crate::report::{JsonLines, Table, figure, machine};
use crate::{folders, stats};

/// Limits under which nothing measured here is refused, and connections need not be waited for long.
const NODE_LIMITS: &str = "associate_timeout = \"5s\"\nconnections_pending = 65535\nassociations = 4096\n\
                           associations_per_peer = 4096";

/// Longer than the node's `associate_timeout` by far.
const DROPPED_MAX: Duration = Duration::from_secs(60);

/// What the node has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Held {
    /// Connections that never associate.
    Connections,
    /// Associations that send nothing.
    IdleAssociations,
    /// Associations that send one object each.
    Objects,
}

/// One run on a node of its own.
#[derive(Debug, Serialize)]
struct Run {
    repetition: u32,
    held: Held,
    count: u64,
    /// Resident memory of the node before, and the highest above it, in MiB.
    idle_mib: f64,
    above_idle_mib: f64,
    /// What else there is to say.
    note: String,
}

pub(crate) fn run(arguments: &Memory) -> io::Result<()> {
    let receiver = Receiver::named("dokuei", &arguments.common.programs)?;
    let scratch = folders::scratch(arguments.common.folder.as_deref())?;
    let mut json = JsonLines::open(arguments.common.json.as_deref())?;
    let mut ports = Ports::new();
    let mut runs = Vec::new();
    for repetition in 0..arguments.common.repetitions.get() {
        for (held, count) in [
            (Held::Connections, u64::from(arguments.connections)),
            (Held::IdleAssociations, u64::from(arguments.idle)),
            (Held::Objects, u64::from(arguments.associations.get())),
        ] {
            let mut place = Place::new(scratch.path(), &mut ports)?;
            place.node_limits = NODE_LIMITS;
            let measured = held.measure(&receiver, &place, arguments.corpus, count);
            place.empty();
            let (usage, note) = measured?;
            let above_idle_mib = mib(usage.memory_peak.saturating_sub(usage.memory_before));
            let run = Run { repetition, held, count, idle_mib: mib(usage.memory_before), above_idle_mib, note };
            json.write(&run)?;
            runs.push(run);
        }
    }
    println!("{}\n\n{}", machine(), table(&runs));
    Ok(())
}

impl Held {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections that never associate",
            Self::IdleAssociations => "associations that send nothing",
            Self::Objects => "associations that send one object each",
        }
    }

    /// What the node used, and a note.
    fn measure(self, receiver: &Receiver, place: &Place, corpus: Corpus, count: u64) -> io::Result<(Usage, String)> {
        let running = receiver.start(place)?;
        let (id, peer) = (running.id(), running.peer());
        let (note, usage) = match self {
            Self::Connections => watch(id, || connections(peer, count)),
            Self::IdleAssociations => watch(id, || associations(peer, corpus.sop_class(), count)),
            Self::Objects => {
                let frames = frames_for(peer, &corpus.object(), &Pixels::new())?;
                let bytes_max = count * frames.object_bytes as u64;
                let time = Duration::from_secs(600);
                let load = Load { associations: count, first_association: 0, window: 1, time, bytes_max };
                let (tally, usage) = watch(id, || load.send(peer, &frames));
                let tally = tally?;
                let expected = Expected { instances: count, pixel_bytes: 0 };
                let stored = running.finish()?.map(|listing| listing.verdict(expected)).unwrap_or_default();
                let note = format!(
                    "{} MB each, {} acknowledged, stored: {stored}",
                    tally.bytes / count / 1_000_000,
                    tally.stored
                );
                return Ok((usage, note));
            }
        };
        running.finish()?;
        Ok((usage, note?))
    }
}

/// Opens connections, says nothing, and waits until the last is dropped.
fn connections(peer: Peer, count: u64) -> io::Result<String> {
    let begun = Instant::now();
    let streams = (0..count).map(|_| TcpStream::connect(peer.address)).collect::<io::Result<Vec<_>>>()?;
    for mut stream in streams {
        stream.set_read_timeout(Some(DROPPED_MAX))?;
        // An A-ABORT may come before the end; a reset is an end too.
        let end = stream.read_to_end(&mut Vec::new());
        if end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return Err(io::Error::other(format!("a silent connection still stands after {DROPPED_MAX:?}")));
        }
    }
    Ok(format!("all dropped after {:.1} s", begun.elapsed().as_secs_f64()))
}

/// Associates, holds all, and releases.
fn associations(peer: Peer, sop_class: &str, count: u64) -> io::Result<String> {
    let held = (0..count).map(|_| Sender::associate(peer, sop_class, 1)).collect::<io::Result<Vec<_>>>()?;
    held.into_iter().try_for_each(Sender::release)?;
    Ok(String::new())
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new(&["the node holds", "count", "idle MiB", "above idle MiB", "KiB each", "note"]);
    for held in [Held::Connections, Held::IdleAssociations, Held::Objects] {
        let same: Vec<&Run> = runs.iter().filter(|run| run.held == held).collect();
        let Some(last) = same.last() else { continue };
        let above = stats::median(same.iter().map(|run| run.above_idle_mib));
        table.row(vec![
            held.name().to_owned(),
            last.count.to_string(),
            figure(stats::median(same.iter().map(|run| run.idle_mib))),
            figure(above),
            figure(above.map(|above| above * 1024.0 / last.count.max(1) as f64)),
            last.note.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_divided_by_what_needs_it() {
        let run = |repetition, above_idle_mib| Run {
            repetition,
            held: Held::Connections,
            count: 512,
            idle_mib: 60.0,
            above_idle_mib,
            note: String::new(),
        };
        let text = table(&[run(0, 9.0), run(1, 2.0), run(2, 1.0)]).to_string();
        let line = text.lines().last().unwrap_or_default();
        assert!(line.contains(" 60.0 |") && line.contains(" 2.00 |") && line.contains(" 4.00 |"), "{text}");
    }
}
