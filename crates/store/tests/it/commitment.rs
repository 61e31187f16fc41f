//! Requests for storage commitment: what is answered, and what a restart leaves of them.

use std::os::unix::fs::FileExt;

use dokuei_store::{CommitmentEnd, Holding, NewCommitment};
use dokuei_types::Uid;

use crate::support::{Bench, START, commit, data_set, send};

const CR: &str = "1.2.840.10008.5.1.4.1.1.1";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn request(transaction: &str, referenced: &[(&str, &str)]) -> NewCommitment {
    NewCommitment {
        transaction_uid: uid(transaction),
        peer_ae: "CR_ROOM_1".into(),
        called_ae: "DOKUEI".into(),
        referenced: referenced.iter().map(|(class, instance)| (uid(class), uid(instance))).collect(),
    }
}

#[test]
fn committed_is_what_is_held_under_the_class_it_was_asked_for() {
    let bench = Bench::new();
    let store = bench.open();
    // Acknowledged, and nobody has waited for the index to hear of it.
    for number in 0..50 {
        commit(&store, &format!("1.2.3.{number}"), b"bytes").unwrap();
    }
    let asked = [(CR, "1.2.3.49"), (CT, "1.2.3.0"), (CR, "1.2.3.50"), (CR, "1.2.3.1")];
    let id = store.ask_commitment(request("1.9", &asked)).unwrap();
    let (open, holdings) = store.commitment(id).unwrap().unwrap();
    assert_eq!(open.request, request("1.9", &asked));
    assert_eq!(holdings, [Holding::Held, Holding::OtherClass, Holding::Absent, Holding::Held]);
}

#[test]
fn a_file_that_is_gone_is_not_committed_to() {
    let bench = Bench::new();
    let store = bench.open();
    let large = vec![7; 3 << 20];
    let instance = send(&store, "1.2.3", &large).unwrap().instance;
    assert_eq!(data_set(&store, instance), large);
    let id = store.ask_commitment(request("1.9", &[(CR, "1.2.3")])).unwrap();
    assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Held]);
    let path = store.reader().instance(instance).unwrap().unwrap().file.path;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Absent], "cut short");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Absent]);
}

#[test]
fn bytes_that_are_damaged_are_not_committed_to() {
    let bench = Bench::new();
    let store = bench.open();
    // One in a segment, one in a file of its own.
    for (name, count) in [("1.2.3", 5_000), ("1.2.4", 3 << 20)] {
        let instance = send(&store, name, &vec![7; count]).unwrap().instance;
        let id = store.ask_commitment(request(&format!("{name}.9"), &[(CR, name), (CR, name)])).unwrap();
        assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Held, Holding::Held]);
        let file = store.reader().instance(instance).unwrap().unwrap().file;
        let disk = std::fs::File::options().write(true).open(&file.path).unwrap();
        disk.write_all_at(&[8], file.offset + file.length - 1).unwrap();
        assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Absent, Holding::Absent], "{name}");
        // What comes again takes its place.
        send(&store, name, &vec![7; count]).unwrap();
        assert_eq!(store.commitment(id).unwrap().unwrap().1, [Holding::Held, Holding::Held], "{name}");
    }
}

#[test]
fn a_request_outlives_the_node_until_its_peer_is_told() {
    let bench = Bench::new();
    let store = bench.open();
    let id = store.ask_commitment(request("1.9", &[(CR, "1.2.3")])).unwrap();
    drop(store);

    let store = bench.open();
    assert_eq!(store.due_commitments(10).unwrap(), [id]);
    let reason = "no connection".to_owned();
    store.end_commitment(id, CommitmentEnd::Retry { at: START + 1_000, reason }).unwrap();
    assert_eq!(store.due_commitments(10).unwrap(), []);
    assert_eq!(store.next_commitment_at(START).unwrap(), Some(START + 1_000));
    assert_eq!(store.next_commitment_at(START + 1_000).unwrap(), None);
    assert_eq!(store.commitment(id).unwrap().unwrap().0.attempts, 1);
    drop(store);

    let store = bench.open();
    bench.clock.advance_ms(2_000);
    assert_eq!(store.due_commitments(10).unwrap(), [id]);
    store.end_commitment(id, CommitmentEnd::Told).unwrap();
    store.end_commitment(id, CommitmentEnd::Dead { reason: "too late".into() }).unwrap();
    assert_eq!((store.due_commitments(10).unwrap(), store.commitment(id).unwrap()), (vec![], None));
    let counts = store.reader().counts().unwrap().commitments;
    assert_eq!((counts.told, counts.waiting, counts.dead), (1, 0, 0));
}

#[test]
fn a_request_that_is_repeated_is_told_again() {
    let bench = Bench::new();
    let store = bench.open();
    let id = store.ask_commitment(request("1.9", &[(CR, "1.2.3")])).unwrap();
    store.end_commitment(id, CommitmentEnd::Told).unwrap();
    let again = request("1.9", &[(CR, "1.2.3"), (CR, "1.2.4")]);
    assert_eq!(store.ask_commitment(again.clone()).unwrap(), id);
    assert_eq!(store.commitment(id).unwrap().unwrap().0.request, again);
    let other = NewCommitment { peer_ae: "CT_1".into(), ..again };
    assert_ne!(store.ask_commitment(other).unwrap(), id, "another peer's UIDs are its own");
}
