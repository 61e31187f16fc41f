//! `bench senders`: senders and receivers as they come. DCMTK writes a PDU in two pieces with Nagle's algorithm on, and
//! the second waits for the other side's delayed acknowledgement; ours is to spare it that in both roles.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dicom_dictionary_std::uids;
use dokuei_dataset::{MetaFields, file_meta};
use serde::Serialize;

use crate::args::Senders;
use crate::corpus::{Corpus, Level, Pixels, uid};
use crate::load::Peer;
use crate::process::Ports;
use crate::receivers::{Expected, Place, Receiver, tool};
use crate::report::{JsonLines, Table, figure, machine};
use crate::{folders, stats};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Sender {
    Storescu,
    Dokuei,
}

/// What each pair is compared with: what DCMTK gives itself.
const BASE: (Sender, &str) = (Sender::Storescu, "storescp");

const PAIRS: [(Sender, &str); 4] =
    [BASE, (Sender::Storescu, "dokuei"), (Sender::Dokuei, "storescp"), (Sender::Dokuei, "dokuei")];

/// One run of one pair.
#[derive(Debug, Serialize)]
struct Run {
    repetition: u32,
    corpus: Corpus,
    objects: u32,
    sender: Sender,
    receiver: &'static str,
    /// Without the sender's start and end.
    images_per_s: f64,
    /// What the receiver holds of what was sent.
    stored: String,
}

pub(crate) fn run(arguments: &Senders) -> io::Result<()> {
    let programs = &arguments.common.programs;
    let storescu = tool("storescu").ok_or_else(|| io::Error::other("storescu is needed: apt-get install dcmtk"))?;
    let receivers = [Receiver::named("storescp", programs)?, Receiver::named("dokuei", programs)?];
    let scratch = folders::scratch(arguments.common.folder.as_deref())?;
    let mut json = JsonLines::open(arguments.common.json.as_deref())?;
    let (mut ports, pixels) = (Ports::new(), Pixels::new());
    let mut runs = Vec::new();
    for repetition in 0..arguments.common.repetitions.get() {
        for corpus in &arguments.corpora {
            let folder = scratch.path().join(format!("{}-{repetition}", corpus.name()));
            let files = write_files(&folder, *corpus, arguments.objects + 2, &pixels)?;
            for (sender, name) in PAIRS {
                let [storescp, dokuei] = &receivers;
                let receiver = if name == storescp.name { storescp } else { dokuei };
                let program = if sender == Sender::Storescu { &storescu } else { dokuei.program() };
                let place = Place::new(scratch.path(), &mut ports)?;
                let (images_per_s, stored) = send(sender, program, receiver, &place, *corpus, &files)?;
                place.empty();
                let objects = arguments.objects;
                let run =
                    Run { repetition, corpus: *corpus, objects, sender, receiver: receiver.name, images_per_s, stored };
                json.write(&run)?;
                runs.push(run);
            }
        }
    }
    println!("{}", machine());
    for corpus in &arguments.corpora {
        println!("\n{}\n\n{}", corpus.name(), table(&runs, *corpus));
    }
    match runs.iter().find(|run| !run.stored.starts_with("all")) {
        Some(run) => Err(io::Error::other(format!("{} stored {}", run.receiver, run.stored))),
        None => Ok(()),
    }
}

/// Part 10 files of instances, numbered from 0.
fn write_files(folder: &Path, corpus: Corpus, count: u32, pixels: &Pixels) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let object = corpus.object();
    let mut body = Vec::new();
    pixels.put(&mut body, 0, object.pixel_bytes);
    let write = |sequence| {
        let sop_instance = uid(corpus, Level::Instance, corpus.number(Level::Instance, 0, sequence));
        let meta = file_meta(&MetaFields {
            sop_class: corpus.sop_class(),
            sop_instance: &sop_instance,
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            source_ae: None,
            sending_ae: None,
            receiving_ae: None,
        });
        let path = folder.join(format!("{sequence}.dcm"));
        let mut file = File::create(&path)?;
        for part in [&meta, &object.numbered(0, sequence), &body] {
            file.write_all(part)?;
        }
        Ok(path)
    };
    (0..u64::from(count)).map(write).collect()
}

/// Images a second, and what the receiver holds. The sender runs twice, first for one file, and the difference is
/// what the others took: its start and end are not of interest.
fn send(
    sender: Sender,
    program: &Path,
    receiver: &Receiver,
    place: &Place,
    corpus: Corpus,
    files: &[PathBuf],
) -> io::Result<(f64, String)> {
    let running = receiver.start(place)?;
    let (first, others) = files.split_at(1);
    let with_one = time(&mut command(sender, program, running.peer(), first))?;
    let with_all = time(&mut command(sender, program, running.peer(), others))?;
    let elapsed = with_all.saturating_sub(with_one).max(Duration::from_millis(1));

    let instances = files.len() as u64;
    let expected = Expected { instances, pixel_bytes: instances * corpus.object().pixel_bytes as u64 };
    let stored = running.finish()?.map(|listing| listing.verdict(expected)).unwrap_or_default();
    Ok(((others.len() - 1) as f64 / elapsed.as_secs_f64(), stored))
}

/// Runs a command to its end.
fn time(command: &mut Command) -> io::Result<Duration> {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let elapsed = begun.elapsed();
    if output.status.success() {
        return Ok(elapsed);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let program = command.get_program().display();
    Err(io::Error::other(format!("{program}: {}: {}", output.status, words.trim())))
}

/// One association, options as they come.
fn command(sender: Sender, program: &Path, peer: Peer, files: &[PathBuf]) -> Command {
    let mut command = Command::new(program);
    match sender {
        Sender::Storescu => {
            command.args(["--quiet", "--call", peer.ae_title]);
            command.arg(peer.address.ip().to_string()).arg(peer.address.port().to_string());
        }
        Sender::Dokuei => {
            command.args(["send", "--called", peer.ae_title]).arg(peer.address.to_string());
        }
    }
    command.args(files);
    command
}

fn table(runs: &[Run], corpus: Corpus) -> Table {
    let rates = |(sender, receiver): (Sender, &str)| -> Vec<(u32, f64)> {
        let same = |run: &&Run| run.corpus == corpus && run.sender == sender && run.receiver == receiver;
        runs.iter().filter(same).map(|run| (run.repetition, run.images_per_s)).collect()
    };
    let base = rates(BASE);
    let mut table = Table::new(&["sender > receiver", "images/s", "x DCMTK alone", "stored"]);
    for (sender, receiver) in PAIRS {
        let own = rates((sender, receiver));
        let stored = runs.iter().filter(|run| run.corpus == corpus && run.sender == sender && run.receiver == receiver);
        let stored: Vec<&str> = stored.map(|run| run.stored.as_str()).collect();
        let worst = stored.iter().find(|verdict| !verdict.starts_with("all")).or(stored.first());
        let name = if sender == Sender::Storescu { "storescu" } else { "dokuei send" };
        table.row(vec![
            format!("{name} > {receiver}"),
            figure(stats::median(own.iter().map(|(_, rate)| *rate))),
            figure(stats::ratio(&own, &base)),
            (*worst.unwrap_or(&"–")).to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;
    use dokuei_dataset::{Limits, read_file};

    use super::*;

    #[test]
    fn files_are_instances_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_files(folder.path(), Corpus::Sr, 2, &Pixels::new()).unwrap();
        let instance = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap();
            let (meta, header) = read_file(&bytes, &Limits::default()).unwrap();
            let text = header.dataset.text(tags::SOP_INSTANCE_UID).unwrap();
            assert_eq!(meta.sop_instance.unwrap().as_str(), text);
            text
        };
        assert_eq!(instance(&files[0]), uid(Corpus::Sr, Level::Instance, 0));
        assert_eq!(instance(&files[1]), uid(Corpus::Sr, Level::Instance, 1));
    }

    #[test]
    fn pairs_are_compared_with_dcmtk_alone() {
        let run = |sender, receiver, images_per_s| Run {
            repetition: 0,
            corpus: Corpus::Ct,
            objects: 1,
            sender,
            receiver,
            images_per_s,
            stored: "all".to_owned(),
        };
        let runs = [run(BASE.0, BASE.1, 20.0), run(Sender::Dokuei, "storescp", 900.0)];
        let text = table(&runs, Corpus::Ct).to_string();
        let line = text.lines().find(|line| line.starts_with("| dokuei send > storescp")).unwrap();
        assert!(line.contains(" 45.0 |"), "{line}");
    }
}
