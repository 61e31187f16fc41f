//! The index is damaged or gone: the log is the truth about what arrived.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use dokuei_store::{JobKind, Step, Store};
use dokuei_types::InstanceId;

use crate::support::{Bench, data_set, files, send};

const INDEX: [&str; 3] = ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"];
/// One goes into a segment, one gets a file of its own.
const DATA_SETS: [(&str, usize); 2] = [("1.2.1", 5_000), ("1.2.2", 3_000_000)];

fn bytes((name, count): (&str, usize)) -> Vec<u8> {
    name.bytes().cycle().take(count).collect()
}

fn stored() -> Bench {
    let bench = Bench::new();
    let store = bench.open();
    for kept in DATA_SETS {
        send(&store, kept.0, &bytes(kept)).unwrap();
    }
    bench
}

fn lose_index(data_dir: &Path) {
    for name in INDEX {
        fs::remove_file(data_dir.join(name)).unwrap_or_default();
    }
}

fn overwrite(path: &Path, offset: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xa5; 4_096], offset).unwrap();
}

/// Overwrites all of the log from `offset` on that says what the files are.
fn damage_records(data_dir: &Path, offset: u64) {
    for segment in fs::read_dir(data_dir.join("segments")).unwrap() {
        let path = segment.unwrap().path();
        (offset..64 << 10).step_by(4_096).for_each(|offset| overwrite(&path, offset));
    }
}

#[test]
fn an_index_that_is_gone_is_made_anew_out_of_the_log() {
    let bench = stored();
    let old_result = bench.dir.path().join("results/000001/old.dcm");
    fs::write(&old_result, b"old").unwrap();
    lose_index(bench.dir.path());
    let store = bench.open();
    for (id, kept) in (1..).zip(DATA_SETS) {
        assert_eq!(data_set(&store, InstanceId(id)), bytes(kept), "{kept:?}");
    }
    assert_eq!(store.queue_depth(), 2, "both are looked at again");
    assert!(!old_result.exists(), "what is written again does not lie there twice");
    assert!(!bench.dir.path().join("unclaimed").exists());
}

#[test]
fn an_image_whose_record_is_lost_together_with_the_index_is_kept_aside() {
    for damaged in [0, 4_096] {
        let bench = stored();
        damage_records(bench.dir.path(), damaged);
        lose_index(bench.dir.path());
        for opened in 0..2 {
            drop(bench.open());
            let kept: Vec<_> = fs::read_dir(bench.dir.path().join("unclaimed")).unwrap().collect();
            assert_eq!(kept.len(), 1, "open {opened}, from byte {damaged}");
            let bytes_kept = fs::read(kept[0].as_ref().unwrap().path()).unwrap();
            assert!(bytes_kept.ends_with(&bytes(DATA_SETS[1])));
            assert_eq!(files(bench.dir.path()), Vec::<String>::new());
        }
    }
}

#[test]
fn an_image_is_kept_aside_however_often_making_the_index_anew_is_cut_short() {
    let bench = stored();
    damage_records(bench.dir.path(), 4_096);
    lose_index(bench.dir.path());
    for _ in 0..2 {
        bench.disk.fail_at(Step::Transaction, io::ErrorKind::StorageFull);
        assert!(Store::open(bench.config()).is_err());
    }
    bench.disk.heal();
    drop(bench.open());
    let kept: Vec<_> = fs::read_dir(bench.dir.path().join("unclaimed")).unwrap().collect();
    assert_eq!(kept.len(), 1);
}

#[test]
fn a_damaged_index_is_called_that() {
    let bench = stored();
    let index = bench.dir.path().join(INDEX[0]);
    let store = bench.open();
    assert_eq!(store.reader().check_index().unwrap(), None);
    assert_eq!(store.lease(JobKind::Match, 10, crate::support::LEASE).unwrap().len(), 2);
    drop(store);
    let pages = fs::metadata(&index).unwrap().len() / 4_096;
    let whole = fs::read(&index).unwrap();
    // Pages may be free, and what is wrong with others stops the check itself.
    let noticed = (1..pages).filter(|page| {
        fs::write(&index, &whole).unwrap();
        overwrite(&index, page * 4_096);
        match Store::attach(bench.dir.path()).and_then(|reader| reader.check_index()) {
            Ok(fault) => fault.is_some(),
            Err(error) => error.is_damaged_index(),
        }
    });
    let noticed = noticed.count();
    assert!(noticed as u64 > pages / 2, "{noticed} of {pages}");

    overwrite(&index, 0);
    assert!(Store::attach(bench.dir.path()).is_err_and(|error| error.is_damaged_index()));
    assert!(Store::open(bench.config()).is_err_and(|error| error.is_damaged_index()));
    lose_index(bench.dir.path());
    assert_eq!(data_set(&bench.open(), InstanceId(2)), bytes(DATA_SETS[1]), "the remedy helps");
}
