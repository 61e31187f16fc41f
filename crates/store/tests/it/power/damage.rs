use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use dokuei_testkit::Random;

use super::child::{DATA, SHADOW};
use super::disk::list;
use super::wal;

const SECTOR: usize = 512;

/// Loses, sector by sector, what was not durable when the process ended, and undoes removals that were not either.
pub(super) fn power_cut(folder: &Path, random: &mut Random) {
    let (data, shadow) = (folder.join(DATA), folder.join(SHADOW));
    // A disk that has got nothing, some or all of what it was given.
    let per_mille = [0, 500, 980, 1_000][random.below(4)];
    let mut keeps = move |random: &mut Random| random.below(1_000) < per_mille;
    let durable = ranges(&shadow);
    let mut held = Vec::new();
    for segment in list(&data.join("segments")) {
        let name = segment.file_name().unwrap().to_string_lossy().into_owned();
        let Some(durable) = durable.get(&name) else {
            // Not even its name was.
            if !keeps(random) {
                fs::remove_file(segment).unwrap();
            }
            continue;
        };
        let copy = fs::read(shadow.join("segments").join(name)).unwrap();
        let bytes = damaged(fs::read(&segment).unwrap(), durable, &copy, &mut keeps, random);
        fs::write(&segment, bytes).unwrap();
        held.push(copy);
    }
    objects(&data, &shadow, &held, &mut keeps, random);
    let marks = fs::read(shadow.join("wal")).unwrap_or_default();
    let synced = marks.chunks_exact(12).last().map(|mark| mark.try_into().unwrap());
    wal::damage(&data, synced, keeps, random);
    fs::remove_dir_all(shadow).unwrap();
}

/// What is durable of each segment.
fn ranges(shadow: &Path) -> BTreeMap<String, Vec<Range<usize>>> {
    let mut all = BTreeMap::<String, Vec<_>>::new();
    let text = fs::read_to_string(shadow.join("ranges")).unwrap_or_default();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<_> = line.split(' ').collect();
        let [name, start, end] = words[..] else { panic!("{line}") };
        all.entry(name.to_owned()).or_default().push(start.parse().unwrap()..end.parse().unwrap());
    }
    all
}

fn damaged(
    mut bytes: Vec<u8>,
    durable: &[Range<usize>],
    copy: &[u8],
    keeps: &mut impl FnMut(&mut Random) -> bool,
    random: &mut Random,
) -> Vec<u8> {
    // The first block, of the segment itself, was synced before anything was appended.
    let mut safe = vec![false; bytes.len().div_ceil(SECTOR)];
    safe.iter_mut().take(8).for_each(|safe| *safe = true);
    for range in durable {
        safe[range.start / SECTOR..range.end.min(bytes.len()).div_ceil(SECTOR)].fill(true);
        // The hole that a duplicate has left may be filled again.
        if random.below(2) == 0 {
            let end = range.end.min(bytes.len());
            bytes[range.start..end].copy_from_slice(&copy[range.start..end]);
        }
    }
    for (sector, safe) in bytes.chunks_mut(SECTOR).zip(safe) {
        if !safe && *sector != [0; SECTOR] && !keeps(random) {
            sector.fill(0);
        }
    }
    bytes
}

/// Files that no durable record names may be gone or short, and removed ones be back.
fn objects(
    data: &Path,
    shadow: &Path,
    held: &[Vec<u8>],
    keeps: &mut impl FnMut(&mut Random) -> bool,
    random: &mut Random,
) {
    let folder = data.join("objects/000001");
    // A record begins at a block; one of a file of its own has no file meta and fits into it.
    let is_record = |block: &&[u8]| block.starts_with(b"DKIRECD1") && block[24..32] == [0; 8];
    let blocks = held.iter().flat_map(|bytes| bytes.chunks(4_096));
    let named: Vec<_> = blocks.filter(is_record).map(|block| String::from_utf8_lossy(&block[96..])).collect();
    for object in list(&folder) {
        let name = object.file_name().unwrap().to_string_lossy().into_owned();
        if named.iter().any(|record| record.contains(&name)) || keeps(random) {
            continue;
        }
        let bytes = fs::read(&object).unwrap();
        fs::remove_file(&object).unwrap();
        if random.below(2) == 0 {
            fs::write(&object, &bytes[..random.below(bytes.len())]).unwrap();
        }
    }
    for object in list(&shadow.join("objects")) {
        let back = folder.join(object.file_name().unwrap());
        if !back.exists() && random.below(2) == 0 {
            fs::hard_link(object, back).unwrap();
        }
    }
}
