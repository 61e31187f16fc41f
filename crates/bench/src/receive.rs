//! `bench receive`: every receiver under the same load.
//!
//! The cells of a group (repetition, corpus, associations) run one after another, the receivers in an order that
//! begins elsewhere in each repetition. Each cell has a fresh receiver, folder and port.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::args::Receive;
use crate::corpus::{Corpus, Pixels};
use crate::load::{Load, Tally, frames_for};
use crate::process::Ports;
use crate::procfs::{Usage, wait_until_ready, watch};
use crate::receivers::{Expected, Place, Receiver};
use crate::report::{JsonLines, machine};
use crate::{folders, receive_table, stats};

/// What a receiver gets before it is measured: an interpreter's first association costs 50 ms of imports.
const WARM_UP: (Corpus, u64) = (Corpus::Ct, 4);

/// Receivers that measured alone, one after the other: what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    pub(crate) repetition: u32,
    pub(crate) corpus: Corpus,
    pub(crate) associations: u16,
    pub(crate) window: u16,
}

/// One run of one receiver.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    #[serde(flatten)]
    pub(crate) group: Group,
    pub(crate) receiver: &'static str,
    #[serde(flatten)]
    pub(crate) figures: Option<Figures>,
    /// Why there are no figures.
    pub(crate) error: Option<String>,
}

/// What was measured. MB and GB are powers of ten; memory is in MiB.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) images_per_s: f64,
    pub(crate) mb_per_s: f64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) setup_max_ms: f64,
    /// Of the receiver and its children.
    pub(crate) cpu_s_per_gb: f64,
    pub(crate) cpu_ms_per_image: f64,
    pub(crate) memory_peak_mib: f64,
    pub(crate) memory_above_idle_mib: f64,
    pub(crate) acknowledged: u64,
    /// Associations that stored anything.
    pub(crate) served: u64,
    pub(crate) failures: BTreeMap<String, u64>,
    /// What it holds of what it acknowledged, by its own account; none where it keeps none.
    pub(crate) stored: Option<String>,
    /// Cores busy with something else.
    pub(crate) other_load: f64,
    /// Of the load.
    pub(crate) sender_cpu_s_per_gb: f64,
}

pub(crate) fn run(arguments: &Receive) -> io::Result<()> {
    let receivers = Receiver::installed(&arguments.only, &arguments.common.programs)?;
    let scratch = folders::scratch(arguments.common.folder.as_deref())?;
    let mut json = JsonLines::open(arguments.common.json.as_deref())?;
    let mut bench = Bench { arguments, root: scratch.path(), ports: Ports::new(), pixels: Pixels::new() };
    let mut cells = Vec::new();
    for repetition in 0..arguments.common.repetitions.get() {
        for group in groups(arguments, repetition) {
            for receiver in rotated(&receivers, repetition) {
                let cell = bench.cell(group, receiver);
                eprintln!("{}", receive_table::progress(&cell));
                json.write(&cell)?;
                cells.push(cell);
            }
        }
    }
    println!("{}", machine());
    print!("{}", receive_table::tables(&cells));
    let losses = losses(&cells);
    if losses.is_empty() { Ok(()) } else { Err(io::Error::other(losses.join("; "))) }
}

/// The groups of a repetition; without those whose first objects are already too many bytes.
fn groups(arguments: &Receive, repetition: u32) -> Vec<Group> {
    let mut groups = Vec::new();
    for corpus in &arguments.corpora {
        let object_bytes = corpus.object().len_bytes() as u64;
        for associations in arguments.associations.iter().map(|count| count.get()) {
            if object_bytes * u64::from(associations) > bytes_max(arguments) {
                if repetition == 0 {
                    eprintln!("without {} x {associations}: more than --megabytes-max", corpus.name());
                }
                continue;
            }
            groups.push(Group { repetition, corpus: *corpus, associations, window: arguments.window.get() });
        }
    }
    groups
}

fn bytes_max(arguments: &Receive) -> u64 {
    arguments.megabytes_max.get() * 1_000_000
}

/// All of them, beginning with the next in each repetition: being measured first is luck.
fn rotated<T>(all: &[T], repetition: u32) -> impl Iterator<Item = &T> {
    let begin = usize::try_from(repetition).unwrap_or_default() % all.len().max(1);
    all.iter().cycle().skip(begin).take(all.len())
}

/// Receivers that do not hold what they acknowledged.
fn losses(cells: &[Cell]) -> Vec<String> {
    let loss = |cell: &Cell| {
        let stored = cell.figures.as_ref()?.stored.as_deref().filter(|stored| !stored.starts_with("all"))?;
        Some(format!("{} stored {stored}", cell.receiver))
    };
    cells.iter().filter_map(loss).collect()
}

struct Bench<'a> {
    arguments: &'a Receive,
    root: &'a Path,
    ports: Ports,
    pixels: Pixels,
}

impl Bench<'_> {
    fn cell(&mut self, group: Group, receiver: &Receiver) -> Cell {
        match self.measure(group, receiver) {
            Ok(figures) => Cell { group, receiver: receiver.name, figures: Some(figures), error: None },
            Err(error) => Cell { group, receiver: receiver.name, figures: None, error: Some(error.to_string()) },
        }
    }

    fn measure(&mut self, group: Group, receiver: &Receiver) -> io::Result<Figures> {
        let mut place = Place::new(self.root, &mut self.ports)?;
        // The warm-up and each instance's File Meta Information are there too.
        place.segment_bytes = bytes_max(self.arguments) * 9 / 8 + (64 << 20);
        let measured = if receiver.is_disk() {
            self.measure_disk(&place, group)
        } else {
            self.measure_receiver(&place, group, receiver)
        };
        place.empty();
        measured
    }

    fn load(&self, group: Group) -> Load {
        Load {
            associations: u64::from(group.associations),
            first_association: 0,
            window: group.window,
            time: Duration::from_secs_f64(self.arguments.seconds),
            bytes_max: bytes_max(self.arguments),
        }
    }

    fn measure_disk(&self, place: &Place, group: Group) -> io::Result<Figures> {
        let object = group.corpus.object();
        let mut bytes = object.header;
        self.pixels.put(&mut bytes, 0, object.pixel_bytes);
        fs::create_dir_all(place.stored())?;
        let tally = self.load(group).write_to_disk(&place.stored(), &bytes)?;
        Ok(figures(tally, Usage::default(), None))
    }

    fn measure_receiver(&self, place: &Place, group: Group, receiver: &Receiver) -> io::Result<Figures> {
        let running = receiver.start(place)?;
        let (peer, object) = (running.peer(), group.corpus.object());
        let (warm_corpus, warm_count) = WARM_UP;
        let warm_object = warm_corpus.object();
        let warm_frames = frames_for(peer, &warm_object, &self.pixels)?;
        let warmed = Load::warm_up(warm_count, &warm_frames).send(peer, &warm_frames)?;
        if warmed.stored != warm_count {
            return Err(io::Error::other(format!("warm-up: {:?}", warmed.failures)));
        }
        let frames = frames_for(peer, &object, &self.pixels)?;
        let load = self.load(group);
        wait_until_ready(running.id());
        let (tally, usage) = watch(running.id(), || load.send(peer, &frames));
        let tally = tally?;
        let expected = Expected {
            instances: tally.stored + warmed.stored,
            pixel_bytes: tally.stored * object.pixel_bytes as u64 + warmed.stored * warm_object.pixel_bytes as u64,
        };
        let stored = running.finish()?.map(|listing| listing.verdict(expected));
        Ok(figures(tally, usage, stored))
    }
}

fn figures(mut tally: Tally, usage: Usage, stored: Option<String>) -> Figures {
    let elapsed_s = tally.elapsed().as_secs_f64();
    let (images, bytes) = (tally.stored as f64, tally.bytes as f64);
    let per = |amount: f64, whole: f64| if whole > 0.0 { amount / whole } else { 0.0 };
    Figures {
        images_per_s: per(images, elapsed_s),
        mb_per_s: per(bytes / 1e6, elapsed_s),
        p50_ms: stats::percentile_ms(&mut tally.latencies, 50),
        p99_ms: stats::percentile_ms(&mut tally.latencies, 99),
        setup_max_ms: tally.setup_max.as_secs_f64() * 1e3,
        cpu_s_per_gb: per(usage.cpu.as_secs_f64(), bytes / 1e9),
        cpu_ms_per_image: per(usage.cpu.as_secs_f64() * 1e3, images),
        memory_peak_mib: mib(usage.memory_peak),
        memory_above_idle_mib: mib(usage.memory_peak.saturating_sub(usage.memory_before)),
        acknowledged: tally.stored,
        served: tally.served,
        failures: tally.failures,
        stored,
        other_load: usage.other_load,
        sender_cpu_s_per_gb: per(usage.own_cpu.as_secs_f64(), bytes / 1e9),
    }
}

/// Bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn figures_are_per_second_per_gigabyte_and_per_image() {
        let begun = Instant::now();
        let mut tally = Tally::begin(begun);
        for _ in 0..4 {
            tally.answered(0, Some(begun), begun + Duration::from_secs(2), 500_000_000);
        }
        let usage = Usage {
            cpu: Duration::from_secs(1),
            memory_before: 10 << 20,
            memory_peak: 14 << 20,
            own_cpu: Duration::from_millis(200),
            other_load: 1.5,
        };
        let figures = figures(tally, usage, Some("all".to_owned()));
        assert_eq!((figures.images_per_s, figures.mb_per_s), (2.0, 1000.0));
        assert_eq!((figures.cpu_s_per_gb, figures.cpu_ms_per_image), (0.5, 250.0));
        assert_eq!((figures.memory_peak_mib, figures.memory_above_idle_mib), (14.0, 4.0));
        assert_eq!((figures.p99_ms, figures.other_load), (Some(2000.0), 1.5));
        assert_eq!(figures.sender_cpu_s_per_gb, 0.1);
    }

    #[test]
    fn each_repetition_has_all_and_begins_with_another() {
        let orders: Vec<Vec<&u8>> = (0..3).map(|repetition| rotated(&[1, 2, 3], repetition).collect()).collect();
        assert_eq!(orders, [[&1, &2, &3], [&2, &3, &1], [&3, &1, &2]]);
    }

    #[test]
    fn what_is_not_stored_is_a_failure() {
        let cell = |stored: Option<&str>| Cell {
            group: Group { repetition: 0, corpus: Corpus::Ct, associations: 4, window: 1 },
            receiver: "ours",
            figures: Some(Figures { stored: stored.map(str::to_owned), ..Figures::default() }),
            error: None,
        };
        assert!(losses(&[cell(None), cell(Some("all")), cell(Some("all, 2 undecided"))]).is_empty());
        assert_eq!(losses(&[cell(Some("7 of 8"))]), ["ours stored 7 of 8"]);
    }
}
