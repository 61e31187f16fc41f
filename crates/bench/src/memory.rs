//! `bench memory`: what the node needs above idle for connections, for associations, and for large objects.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::args::Memory;
use crate::corpus::Pixels;
use crate::load::{Load, Peer, Sender, frames_for};
use crate::process::Ports;
use crate::procfs::watch;
use crate::receive::mib;
use crate::receivers::{Expected, Place, Receiver};
use crate::report::{JsonLines, Table, figure, machine};
use crate::{folders, stats};

/// Limits under which nothing measured here is refused, and connections need not be waited for long.
const NODE_LIMITS: &str = "associate_timeout = \"5s\"\nconnections_pending = 65535\nassociations = 4096\n\
                           associations_per_peer = 4096";

/// Longer than the node's `associate_timeout` by far.
const DROPPED_MAX: Duration = Duration::from_secs(60);

/// One phase of one repetition, on a node of its own.
#[derive(Debug, Serialize)]
struct Phase {
    repetition: u32,
    phase: &'static str,
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
    let mut phases = Vec::new();
    for repetition in 0..arguments.common.repetitions.get() {
        for (phase, count) in [
            ("connections that never associate", u64::from(arguments.connections)),
            ("idle associations", u64::from(arguments.idle)),
            ("associations with an object", u64::from(arguments.associations.get())),
        ] {
            let mut place = Place::new(scratch.path(), &mut ports)?;
            place.node_limits = NODE_LIMITS;
            let measured = measure(&receiver, &place, arguments, phase, count);
            place.empty();
            let (idle_mib, above_idle_mib, note) = measured?;
            let phase = Phase { repetition, phase, count, idle_mib, above_idle_mib, note };
            json.write(&phase)?;
            phases.push(phase);
        }
    }
    println!("{}\n\n{}", machine(), table(&phases));
    Ok(())
}

/// Idle and above it in MiB, and a note.
fn measure(
    receiver: &Receiver,
    place: &Place,
    arguments: &Memory,
    phase: &str,
    count: u64,
) -> io::Result<(f64, f64, String)> {
    let running = receiver.start(place)?;
    let (id, peer) = (running.id(), running.peer());
    let sop_class = arguments.corpus.sop_class();
    let (note, usage) = match phase {
        "connections that never associate" => watch(id, || connections(peer, count)),
        "idle associations" => watch(id, || associations(peer, sop_class, count)),
        _ => {
            let frames = frames_for(peer, &arguments.corpus.object(), &Pixels::new())?;
            let load = Load {
                associations: count,
                first_association: 0,
                window: 1,
                time: Duration::from_secs(600),
                bytes_max: count * frames.object_bytes as u64,
            };
            let (tally, usage) = watch(id, || load.send(peer, &frames));
            let tally = tally?;
            let pixel_bytes = tally.stored * arguments.corpus.object().pixel_bytes as u64;
            let expected = Expected { instances: tally.stored, pixel_bytes };
            let stored = running.finish()?.map(|listing| listing.verdict(expected)).unwrap_or_default();
            let note =
                format!("{} x {} MB acknowledged, stored: {stored}", tally.stored, frames.object_bytes / 1_000_000);
            return Ok((mib(usage.memory_before), above(usage.memory_before, usage.memory_peak), note));
        }
    };
    running.finish()?;
    Ok((mib(usage.memory_before), above(usage.memory_before, usage.memory_peak), note?))
}

fn above(before: u64, peak: u64) -> f64 {
    mib(peak.saturating_sub(before))
}

/// Opens connections, says nothing, and waits until the last is dropped.
fn connections(peer: Peer, count: u64) -> io::Result<String> {
    let begun = Instant::now();
    let streams = (0..count).map(|_| TcpStream::connect(peer.address)).collect::<io::Result<Vec<_>>>()?;
    let opened = begun.elapsed();
    for mut stream in streams {
        stream.set_read_timeout(Some(DROPPED_MAX))?;
        // An A-ABORT may come before the end; a reset is an end too.
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::other(format!("a silent connection still stands after {DROPPED_MAX:?}")));
            }
            _ => {}
        }
    }
    Ok(format!("open after {:.1} s, all dropped after {:.1} s", opened.as_secs_f64(), begun.elapsed().as_secs_f64()))
}

/// Associates, holds all, and releases.
fn associations(peer: Peer, sop_class: &str, count: u64) -> io::Result<String> {
    let senders = (0..count).map(|_| Sender::associate(peer, sop_class, 1)).collect::<io::Result<Vec<_>>>()?;
    let held = senders.len();
    senders.into_iter().try_for_each(Sender::release)?;
    Ok(format!("{held} held at a time"))
}

fn table(phases: &[Phase]) -> Table {
    let mut table = Table::new(&["phase", "count", "idle MiB", "above idle MiB", "KiB each", "note"]);
    let mut names: Vec<&str> = phases.iter().map(|phase| phase.phase).collect();
    names.dedup();
    for name in names.into_iter().take(3) {
        let same: Vec<&Phase> = phases.iter().filter(|phase| phase.phase == name).collect();
        let Some(last) = same.last() else { continue };
        let above = stats::median(same.iter().map(|phase| phase.above_idle_mib));
        table.row(vec![
            name.to_owned(),
            last.count.to_string(),
            figure(stats::median(same.iter().map(|phase| phase.idle_mib))),
            figure(above),
            figure(above.map(|above| above * 1024.0 / (last.count.max(1)) as f64)),
            last.note.clone(),
        ]);
    }
    table
}
