//! The node is killed at random instants while several senders push, again and again on one data folder. What it has
//! acknowledged is there afterwards, once and whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dokuei_testkit::{Random, Seed};
use dokuei_tests::Node;
use serde_json::Value;
use tempfile::tempdir;

/// Instances of a cycle; every second cycle has a large one besides.
const INSTANCES: usize = 60;
/// Senders at a time. Neighbours share a third of what they send.
const SENDERS: usize = 3;
/// Bytes of pixel data: a small slice, and one that gets a file of its own.
const SMALL: usize = 24 << 10;
const LARGE: usize = 3 << 20;

#[test]
fn what_was_acknowledged_is_there_once_and_whole_after_kill_9() {
    cycles(5);
}

#[test]
#[ignore = "takes minutes"]
fn long_what_was_acknowledged_is_there_once_and_whole_after_200_times_kill_9() {
    cycles(200);
}

/// What was sent in a cycle: data sets by SOP Instance UID, and which of them were acknowledged.
struct Cycle {
    study: String,
    sent: BTreeMap<String, Vec<u8>>,
    acknowledged: BTreeSet<String>,
}

#[expect(clippy::print_stdout, reason = "what a long test has seen")]
fn cycles(count: usize) {
    let (seed, folder) = (Seed::any(), tempdir().unwrap());
    let mut random = seed.random();
    let mut node = Node::start(&folder.path().join("node"), "");
    let (mut acknowledged, mut kept) = (0, 0);
    let mut past = Vec::new();
    let since = Instant::now();
    for number in 1..=count {
        let cycle = until_killed(&mut node, &folder.path().join("images"), number, &mut random);
        node.restart();
        let begun = std::fs::read_dir(node.data_dir().join("incoming")).unwrap().count();
        assert_eq!(begun, 0, "cycle {number}: files of nobody in incoming/");
        kept += check(&node, &cycle);
        acknowledged += cycle.acknowledged.len();
        past.push((cycle.study, cycle.acknowledged));
    }
    node.wait_until_settled(kept as u64);
    assert_eq!(node.count(["instances", "received"]), kept as u64);
    // A later crash has taken nothing from an earlier cycle.
    for (study, acknowledged) in past {
        let listed = listed(&node, &study);
        let missing: Vec<_> = acknowledged.iter().filter(|uid| !listed.contains_key(*uid)).collect();
        assert!(missing.is_empty(), "{study}: lost later {missing:?}");
    }
    drop(seed);
    println!(
        "{count} cycles in {:?}: {acknowledged} acknowledged, {kept} kept, none lost, none twice",
        since.elapsed()
    );
}

/// Several senders push until the node is killed at a moment of their work.
fn until_killed(node: &mut Node, folder: &Path, number: usize, random: &mut Random) -> Cycle {
    let study = format!("2.25.7{number:05}");
    let (paths, sent) = write(folder, &study, number.is_multiple_of(2));
    let third = paths.len() / SENDERS;
    let mut senders: Vec<Child> = (0..SENDERS)
        .map(|first| {
            let own: Vec<_> = paths.iter().cycle().skip(first * third).take(2 * third).collect();
            send(node.port, &own)
        })
        .collect();
    let heard = AtomicUsize::new(0);
    let last = 1 + random.below(paths.len() * 2 - SENDERS);
    let pause = Duration::from_micros(random.below(3_000) as u64);
    let acknowledged = std::thread::scope(|scope| {
        let heard = &heard;
        let listeners: Vec<_> = senders
            .iter_mut()
            .map(|sender| {
                let lines = BufReader::new(sender.stdout.take().unwrap()).lines();
                scope.spawn(move || lines.map_while(Result::ok).filter_map(|line| success(&line, heard)).collect())
            })
            .collect();
        while heard.load(Ordering::SeqCst) < last && listeners.iter().any(|listener| !listener.is_finished()) {
            std::thread::yield_now();
        }
        // At any instant, not only at that of an answer.
        std::thread::sleep(pause);
        node.kill();
        listeners.into_iter().flat_map(|listener| -> BTreeSet<String> { listener.join().unwrap() }).collect()
    });
    for sender in &mut senders {
        sender.wait().unwrap();
    }
    Cycle { study, sent, acknowledged }
}

/// The SOP Instance UID of a line about an instance that is stored.
fn success(line: &str, heard: &AtomicUsize) -> Option<String> {
    let sent: Value = serde_json::from_str(line).unwrap();
    (sent["status"] == "0000").then(|| {
        heard.fetch_add(1, Ordering::SeqCst);
        sent["sop_instance"].as_str().unwrap().to_owned()
    })
}

fn send(port: u16, paths: &[&PathBuf]) -> Child {
    let binary = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("dokuei");
    let mut command = Command::new(binary);
    command.args(["send", &format!("127.0.0.1:{port}"), "--called", "DOKUEI", "-j", "2", "--json"]).args(paths);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whatever is listed of a cycle is whole and there once, and all that was acknowledged is listed; how many.
fn check(node: &Node, cycle: &Cycle) -> usize {
    let listed = listed(node, &cycle.study);
    for (uid, file) in &listed {
        assert!(file.ends_with(&cycle.sent[uid]), "{uid} is not what was sent");
    }
    let lost: Vec<_> = cycle.acknowledged.iter().filter(|uid| !listed.contains_key(*uid)).collect();
    assert!(lost.is_empty(), "{}: lost {lost:?}", cycle.study);
    listed.len()
}

/// The Part 10 files of a study as the node lists them, by SOP Instance UID.
fn listed(node: &Node, study: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for shown in node.try_ask(&["show", study]).as_ref().and_then(Value::as_array).into_iter().flatten() {
        let (uid, file) = (shown["sop_instance"].as_str().unwrap(), &shown["file"]);
        let mut bytes = Vec::new();
        let mut source = File::open(file["path"].as_str().unwrap()).unwrap();
        source.seek(SeekFrom::Start(file["offset"].as_u64().unwrap())).unwrap();
        source.take(file["length"].as_u64().unwrap()).read_to_end(&mut bytes).unwrap();
        assert!(files.insert(uid.to_owned(), bytes).is_none(), "{uid} is there twice");
    }
    files
}

/// Writes the files of a cycle: their paths, and their data sets by SOP Instance UID.
fn write(folder: &Path, study: &str, with_large: bool) -> (Vec<PathBuf>, BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir_all(folder).unwrap();
    let (mut paths, mut sent) = (Vec::new(), BTreeMap::new());
    for number in 0..INSTANCES {
        let uid = format!("{study}.{number}");
        let large = with_large && number == INSTANCES / 2;
        let data_set = slice(study, &uid, if large { LARGE } else { SMALL });
        let path = folder.join(format!("{number:03}.dcm"));
        std::fs::write(&path, [file_meta(&uid), data_set.clone()].concat()).unwrap();
        paths.push(path);
        sent.insert(uid, data_set);
    }
    (paths, sent)
}

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// Preamble, prefix and file meta group (PS3.10 § 7.1).
fn file_meta(uid: &str) -> Vec<u8> {
    let explicit_little_endian = "1.2.840.10008.1.2.1";
    let group = [
        element((2, 2), *b"UI", CT.as_bytes()),
        element((2, 3), *b"UI", uid.as_bytes()),
        element((2, 0x10), *b"UI", explicit_little_endian.as_bytes()),
    ]
    .concat();
    let length = u32::try_from(group.len()).unwrap().to_le_bytes();
    [vec![0; 128], b"DICM".to_vec(), element((2, 0), *b"UL", &length), group].concat()
}

/// As much of a CT slice as a receiver looks at, with pixels of its own.
fn slice(study: &str, uid: &str, pixel_bytes: usize) -> Vec<u8> {
    let first = uid.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let pixels: Vec<u8> = (0..pixel_bytes as u64 / 8).flat_map(|at| first.wrapping_add(at).to_le_bytes()).collect();
    [
        element((8, 0x16), *b"UI", CT.as_bytes()),
        element((8, 0x18), *b"UI", uid.as_bytes()),
        element((8, 0x60), *b"CS", b"CT"),
        element((0x20, 0xD), *b"UI", study.as_bytes()),
        element((0x20, 0xE), *b"UI", format!("{study}.0.1").as_bytes()),
        element((0x7FE0, 0x10), *b"OW", &pixels),
    ]
    .concat()
}

/// One element in Explicit VR Little Endian (PS3.5 § 7.1.2).
fn element((group, number): (u16, u16), vr: [u8; 2], value: &[u8]) -> Vec<u8> {
    let padded = u32::try_from(value.len().next_multiple_of(2)).unwrap();
    let length = match &vr {
        b"OW" => [&[0, 0][..], &padded.to_le_bytes()].concat(),
        _ => u16::try_from(padded).unwrap().to_le_bytes().to_vec(),
    };
    let mut bytes = [&group.to_le_bytes()[..], &number.to_le_bytes(), &vr, &length, value].concat();
    bytes.resize(bytes.len() + value.len() % 2, 0);
    bytes
}
