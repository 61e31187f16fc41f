//! The generator against the reference receivers, over loopback.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dokuei_dataset::{Limits, read_file};

use super::{Load, Peer, Tally, frames_for};
use crate::corpus::{Corpus, Pixels};
use crate::reference::{self, Keeper, Keeping};

/// Starts a reference receiver that serves until the test process ends.
fn reference(keeping: Keeping, folder: &Path) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let keeper = Arc::new(Keeper::new(keeping, folder, 4 << 20).unwrap());
    std::thread::spawn(move || reference::serve(&listener, &keeper));
    address
}

fn send(address: SocketAddr, corpus: Corpus, associations: u64, instances: u64, window: u16) -> Tally {
    let peer = Peer { address, ae_title: "ANY" };
    let object = corpus.object();
    let frames = frames_for(peer, &object, &Pixels::new()).unwrap();
    let bytes_max = associations * instances * object.len_bytes() as u64;
    let load = Load { associations, first_association: 0, window, time: Duration::from_secs(60), bytes_max };
    load.send(peer, &frames).unwrap()
}

fn check(keeping: Keeping, corpus: Corpus, associations: u64, instances: u64, window: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tally = send(reference(keeping, folder.path()), corpus, associations, instances, window);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
    assert_eq!((tally.stored, tally.served), (associations * instances, associations));
    assert_eq!(tally.bytes, tally.stored * corpus.object().len_bytes() as u64);
    assert_eq!(tally.latencies.len() as u64, tally.stored);
    folder
}

#[test]
fn every_reference_answers_everything() {
    check(Keeping::Null, Corpus::Ct, 2, 5, 1);
    check(Keeping::Sync, Corpus::Sr, 2, 3, 1);
}

#[test]
fn operations_outstanding_are_answered_one_by_one() {
    check(Keeping::Null, Corpus::Sr, 2, 40, 8);
}

#[test]
fn what_is_written_is_a_file_for_each_instance_with_its_own_uid() {
    let folder = check(Keeping::Write, Corpus::Ct, 3, 4, 1);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 12);
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let (meta, header) = read_file(&bytes, &Limits::default()).unwrap();
        assert_eq!(header.transfer_syntax, uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let named = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(header.dataset.text(dicom_dictionary_std::tags::SOP_INSTANCE_UID).as_deref(), Some(named));
        assert_eq!(meta.sop_instance.unwrap().as_str(), named);
        assert!(bytes.len() > Corpus::Ct.object().len_bytes());
    }
}

#[test]
fn a_segment_holds_every_object() {
    let folder = check(Keeping::Log, Corpus::Ct, 3, 2, 1);
    let segment = fs::read(folder.path().join("segment")).unwrap();
    assert_eq!(segment.windows(4).filter(|window| window == b"DICM").count(), 6);
}

#[test]
fn time_ends_a_load_but_every_association_sends_once() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer { address: reference(Keeping::Null, folder.path()), ae_title: "ANY" };
    let frames = frames_for(peer, &Corpus::Sr.object(), &Pixels::new()).unwrap();
    let time = Duration::from_millis(300);
    let load = Load { associations: 2, first_association: 0, window: 1, time, bytes_max: u64::MAX };
    let tally = load.send(peer, &frames).unwrap();
    assert_eq!(tally.served, 2);
    assert!(tally.failures.is_empty(), "{:?}", tally.failures);
}

#[test]
fn the_disk_takes_the_same_objects() {
    let folder = tempfile::tempdir().unwrap();
    let time = Duration::from_secs(60);
    let load = Load { associations: 2, first_association: 0, window: 1, time, bytes_max: 6000 };
    let tally = load.write_to_disk(folder.path(), &[7; 1000]).unwrap();
    assert_eq!((tally.stored, tally.bytes, tally.served), (6, 6000, 2));
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 6);
    assert!(files.iter().all(|path| fs::read(path).unwrap() == [7; 1000]));
}

/// A peer that says A700H, out of resources, to everything.
#[test]
fn a_refused_instance_is_not_counted_as_stored() {
    use std::io::Write;

    use crate::wire::associate::{self, Request, UserInformation};
    use crate::wire::command::{Command, success};
    use crate::wire::pdu::{COMMAND, LAST, PduReader, RELEASE_RP, RELEASE_RQ, put_data_header, release};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let refuse = move |stream| {
        let mut reader = PduReader::new(stream, 192 << 10);
        let user = UserInformation { pdu_length_max_bytes: 16384, window: None };
        let answer = associate::accept(&Request::parse(reader.next().unwrap().body).unwrap(), user);
        let stream: &std::net::TcpStream = reader.stream();
        { stream }.write_all(&answer).unwrap();
        let mut response = Vec::new();
        loop {
            let mut pdu = reader.next().unwrap();
            if pdu.kind == RELEASE_RQ {
                return { reader.stream() }.write_all(&release(RELEASE_RP)).unwrap();
            }
            let pdv = pdu.next_pdv().unwrap().unwrap();
            if pdv.is_command {
                response = success(&Command::parse(pdv.fragment).unwrap());
                // The value of Status is the last but the Affected SOP Instance UID.
                let at = response.windows(4).position(|bytes| bytes == [0, 0, 0, 9]).unwrap() + 8;
                response[at..at + 2].copy_from_slice(&0xA700_u16.to_le_bytes());
            } else if pdv.is_last {
                let mut bytes = Vec::new();
                put_data_header(&mut bytes, 1, COMMAND | LAST, response.len());
                bytes.extend_from_slice(&response);
                { reader.stream() }.write_all(&bytes).unwrap();
            }
        }
    };
    std::thread::spawn(move || listener.incoming().for_each(|stream| refuse(stream.unwrap())));

    let tally = send(address, Corpus::Sr, 1, 3, 1);
    assert_eq!((tally.stored, tally.bytes, tally.served), (0, 0, 0));
    assert_eq!(tally.failures.get("status A700H"), Some(&3));
}
