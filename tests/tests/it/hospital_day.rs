//! A day in a hospital, in minutes. Modalities interleave, one dies in the middle of a study, one sends everything
//! again, one sends changed headers under old UIDs, one sends an object of 600 frames. An archive is away for the
//! first half, a reading room warns and refuses, the node is killed and told of other rules. In the evening every
//! image and every result is accounted for, once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dokuei_testkit::{Random, Seed};
use dokuei_tests::{Node, Orthanc, Server, Storescp, dokuei_begun, free_port, pydicom, run, tool, wait_for};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

/// Radiographs, and slices of the CT.
const RADIOGRAPHS: usize = 6;
const SLICES: usize = 40;
/// Radiographs that come a second time under their UIDs with another Study Description.
const CHANGED: usize = 2;

/// Makes what phantoms do not: a CT, an object of 600 frames, radiographs with changed headers.
const PREPARE: &str = r#"
import os, sys
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
folder, slices, changed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def image(path, sop_class, modality, study, series, frames):
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, modality
    ds.PatientName, ds.PatientID, ds.StudyDate, ds.StudyTime = "Day^A", "D1", "20261122", "080000"
    ds.Rows = ds.Columns = 64
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.PixelData = os.urandom(64 * 64) * frames
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    os.makedirs(os.path.dirname(path), exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
study, series = generate_uid(), generate_uid()
for n in range(slices):
    image(f"{folder}/ct/{n:03}.dcm", "1.2.840.10008.5.1.4.1.1.2", "CT", study, series, 1)
image(f"{folder}/us/cine.dcm", "1.2.840.10008.5.1.4.1.1.3.1", "US", generate_uid(), generate_uid(), 600)
os.makedirs(f"{folder}/changed")
for name in sorted(os.listdir(f"{folder}/cr"))[:changed]:
    ds = dcmread(f"{folder}/cr/{name}")
    ds.StudyDescription = "Chest, amended"
    ds.save_as(f"{folder}/changed/{name}")
"#;

/// Prints the SOP Instance UID of each file.
const UIDS: &str = r#"
import sys
from pydicom import dcmread
for path in sys.argv[1:]:
    print(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
"#;

/// A reading room: out of resources at first, then warns of every second object, and refuses one for good until a file
/// says that it is mended. Prints each object it has stored.
const READING_ROOM: &str = r#"
import os, sys
from pynetdicom import AE, AllStoragePresentationContexts, evt
port, refused, mended = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = {}
def store(event):
    uid = event.request.AffectedSOPInstanceUID
    seen[uid] = seen.get(uid, 0) + 1
    if len(seen) % 3 == 0 and seen[uid] == 1:
        return 0xA700
    if uid == refused and not os.path.exists(mended):
        return 0xC000
    print(uid, event.request.AffectedSOPClassUID, flush=True)
    return 0xB000 if len(seen) % 2 else 0x0000
ae = AE("READING")
ae.supported_contexts = AllStoragePresentationContexts
ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_STORE, store)])
"#;

#[test]
fn in_the_evening_everything_is_accounted_for_once() {
    day(3, &OURS);
}

#[test]
fn in_the_evening_of_dcmtk_and_orthanc_everything_is_accounted_for_once() {
    day(2, &THEIRS);
}

#[test]
#[ignore = "takes minutes"]
fn long_in_the_evening_of_a_hard_day_everything_is_accounted_for_once() {
    day(10, &OURS);
}

/// The programs that a hospital has.
struct Programs {
    /// Begins to send a folder to a port.
    send: fn(u16, &Path) -> Server,
    /// What keeps everything, and how it is started.
    archive: &'static str,
    start: fn(&Path, u16) -> Option<Archive>,
}

/// Our own sender, many associations at a time, and an archive of files.
const OURS: Programs = Programs {
    send: |port, folder| {
        let address = format!("127.0.0.1:{port}");
        dokuei_begun(&["send", &address, folder.to_str().unwrap()], Path::new("/dev/null"))
    },
    archive: "storescp",
    start: |folder, port| Storescp::start_on(folder, port).map(Archive::Files),
};

/// Modalities with DCMTK, and Orthanc.
const THEIRS: Programs = Programs {
    send: |port, folder| {
        let mut storescu = Command::new("storescu");
        storescu.args(["-aec", "DOKUEI", "+sd", "+r", "127.0.0.1", &port.to_string()]).arg(folder);
        Server::start(storescu, Path::new("/dev/null"))
    },
    archive: "Orthanc",
    start: |folder, port| Orthanc::start(folder, port, free_port(), "").map(Archive::Orthanc),
};

enum Archive {
    Files(Storescp),
    Orthanc(Orthanc),
}

impl Archive {
    /// The SOP Instance UIDs of what it has.
    fn uids(&self, python: &Path) -> BTreeSet<String> {
        match self {
            Self::Files(storescp) => uids(python, &storescp.files()),
            Self::Orthanc(orthanc) => {
                let uid = |instance: &Value| instance["SOPInstanceUID"].as_str().unwrap().to_owned();
                orthanc.instances().iter().map(uid).collect()
            }
        }
    }
}

struct Hospital {
    images: PathBuf,
    node: Node,
    config: String,
    send: fn(u16, &Path) -> Server,
}

fn day(kills: usize, programs: &Programs) {
    let (Some(python), Some(_), Some(_)) = (pydicom(), tool("storescu"), tool(programs.archive)) else { return };
    let (seed, folder) = (Seed::any(), tempdir().unwrap());
    let mut random = seed.random();
    let images = folder.path().join("images");
    let radiographs = uids(&python, &write(&images.join("cr"), RADIOGRAPHS as u64));
    let [slices, changed] = [SLICES, CHANGED].map(|count| count.to_string());
    let prepared = run(Command::new(&python).args(["-c", PREPARE]).arg(&images).args([slices, changed]));
    assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
    let all = uids(&python, &files(&images));
    assert_eq!(all.len(), RADIOGRAPHS + SLICES + 1);

    let (archive_port, reading_port) = (free_port(), free_port());
    let (refused, mended) = (all.difference(&radiographs).next().unwrap(), folder.path().join("mended"));
    let mut serve = Command::new(&python);
    serve.args(["-c", READING_ROOM, &reading_port.to_string(), refused]).arg(&mended);
    let reading = Server::start(serve, &folder.path().join("reading.log"));
    wait_for("the reading room", || TcpStream::connect((Ipv4Addr::LOCALHOST, reading_port)).is_ok());
    let config = config(archive_port, reading_port);
    let node = Node::start(&folder.path().join("node"), &config);
    let mut hospital = Hospital { images, node, config, send: programs.send };

    let mut archive = None;
    for hour in 0..kills {
        if hour == kills / 2 {
            archive = (programs.start)(&folder.path().join("archive"), archive_port);
        }
        hospital.hour(hour, &mut random);
    }
    let archive = archive.expect("the archive starts");
    hospital.everything_again();

    let received = (all.len() + CHANGED) as u64;
    hospital.node.wait_until_settled(received);
    let failed = hospital.node.ask(&["failed"]);
    let dead = failed.as_array().unwrap();
    assert!(dead.len() == 1 && dead[0]["sop_instance"] == **refused, "{failed:#}");
    assert!(dead[0]["reason"].as_str().unwrap().contains("C000"), "{failed:#}");
    std::fs::write(&mended, "").unwrap();
    drop(hospital.node.ask(&["replay", refused]));
    hospital.node.wait_until_settled(received);
    hospital.accounts(&python, &all, &radiographs, &archive, &reading.log());
    drop(seed);
}

impl Hospital {
    /// Modalities send side by side until the node dies, and it comes up again.
    fn hour(&mut self, hour: usize, random: &mut Random) {
        let port = self.node.port;
        let rooms = ["cr", "ct", "us", "cr", "changed"].map(|room| self.images.join(room));
        let mut senders: Vec<_> = rooms.iter().map(|room| (self.send)(port, room)).collect();
        std::thread::sleep(Duration::from_millis(50 + random.below(400) as u64));
        // A modality dies in the middle of its study.
        senders[1].kill();
        match hour {
            0 => self.reload("urgent"),
            1 => self.reload("routine"),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(random.below(600) as u64));
        self.node.kill();
        for sender in &mut senders {
            wait_for("a modality to end", || !sender.is_running());
        }
        self.node.restart();
    }

    fn reload(&self, priority: &str) {
        let file = self.node.config();
        let text = std::fs::read_to_string(&file).unwrap();
        let (own, _) = text.split_once("[[destination]]").unwrap();
        let rules = self.config.replace("priority = \"routine\"", &format!("priority = {priority:?}"));
        std::fs::write(file, format!("{own}{rules}")).unwrap();
        self.node.reload("configuration reloaded");
    }

    /// What a modality has no success for it sends again.
    fn everything_again(&self) {
        for room in ["cr", "ct", "us", "changed"] {
            let code = (self.send)(self.node.port, &self.images.join(room)).exit_code();
            assert_eq!(code, Some(0), "{room}");
        }
    }

    fn accounts(
        &self,
        python: &Path,
        all: &BTreeSet<String>,
        radiographs: &BTreeSet<String>,
        archive: &Archive,
        reading: &str,
    ) {
        let mut results = BTreeSet::new();
        let (mut changed, mut reports, mut pictures) = (0, 0, 0);
        for uid in all {
            let shown = self.node.ask(&["show", uid]);
            let versions = shown.as_array().unwrap();
            let ends: Vec<&str> = versions.iter().map(|shown| shown["end"].as_str().unwrap()).collect();
            // Of two versions of a radiograph each is reported on.
            let expected = if radiographs.contains(uid) { "reported" } else { "forwarded" };
            assert!(ends.iter().all(|end| *end == expected), "{shown:#}");
            changed += ends.len() - 1;
            let made: Vec<(String, String)> = versions.iter().flat_map(objects).collect();
            let of = |role: &str| made.iter().filter(|(of, _)| of == role).count();
            // A heat map is made where something is marked.
            let reported = if radiographs.contains(uid) { ends.len() } else { 0 };
            assert!(of("sr") == reported && of("sc") <= reported, "{shown:#}");
            reports += reported;
            pictures += of("sc");
            for (_, object) in made {
                assert!(results.insert(object), "a result is there twice");
            }
        }
        assert_eq!(changed, CHANGED);
        assert!(pictures > 0 && results.len() == reports + pictures, "{pictures} heat maps");
        // A PACS files by SOP Instance UID: what came again is the same object.
        let everything: BTreeSet<String> = all.union(&results).cloned().collect();
        assert_eq!(archive.uids(python), everything);
        let read: BTreeSet<String> =
            reading.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
        assert_eq!(read, everything);
    }
}

/// The result objects of an instance: role and SOP Instance UID.
fn objects(shown: &Value) -> Vec<(String, String)> {
    let results = shown["results"].as_array().into_iter().flatten();
    let objects = results.flat_map(|result| result["objects"].as_array().into_iter().flatten());
    // Both places take the first of the alternatives.
    let mut by_role: BTreeMap<&str, &str> = BTreeMap::new();
    for object in objects {
        by_role.entry(object["role"].as_str().unwrap()).or_insert(object["sop_instance"].as_str().unwrap());
    }
    by_role.into_iter().map(|(role, uid)| (role.to_owned(), uid.to_owned())).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

fn uids(python: &Path, files: &[PathBuf]) -> BTreeSet<String> {
    let output = run(Command::new(python).args(["-c", UIDS]).args(files));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Everything goes to both places, radiographs to the model as well.
fn config(archive: u16, reading: u16) -> String {
    let destination = |name: &str, ae_title: &str, port: u16| {
        format!("[[destination]]\nname = \"{name}\"\nae_title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\n")
    };
    let places = "[\"archive\", \"reading\"]";
    format!(
        "{}{}[[route]]\nname = \"forward\"\nsend_images = {places}\npriority = \"routine\"\n\
         [[route]]\nname = \"chest\"\nwhen = [\"modality in ['CR', 'DX']\"]\nmodels = [\"cxr-pneumonia\"]\n\
         send_results = {places}\n",
        destination("archive", "PACS", archive),
        destination("reading", "READING", reading),
    )
}
