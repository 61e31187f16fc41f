//! A node dies again and again at steps that a seed decides, until it has done all there is to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dokuei_pipeline::{BoxFuture, ConfirmationOutcome, Counted, DeliveryOutcome, Destination, Parcel, Pipeline};
use dokuei_store::{Inquiry, Store, StoreConfig};
use dokuei_testkit::DeadlyDisk;
use dokuei_types::{DimseStatus, End};

use crate::support::{Play, PlayedModel, chest, config, radiograph, send, setup, wait};

const DIR: &str = "DOKUEI_CRASH_DIR";
const AT: &str = "DOKUEI_CRASH_AT";
const INSTANCES: u32 = 4;
const SEEDS: u64 = 3;

/// A PACS that outlives the node: a file that each object is appended to.
struct Archive(std::path::PathBuf);

impl Destination for Archive {
    fn deliver(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Vec<DeliveryOutcome>> {
        let mut log = OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
        let outcomes = parcels.iter().map(|parcel| {
            let object = &parcel.alternatives[0];
            let sum = object
                .file
                .read()
                .unwrap()
                .iter()
                .fold(0_u64, |sum, byte| sum.rotate_left(5).wrapping_mul(0x0100_0000_01B3) ^ u64::from(*byte));
            let line = format!("{} {} {} {sum:x}\n", parcel.instance, parcel.role, object.sop_instance);
            log.write_all(line.as_bytes()).unwrap();
            DeliveryOutcome::Stored { status: DimseStatus::SUCCESS, alternative: 0, comment: None }
        });
        let outcomes = outcomes.collect();
        Box::pin(async move { outcomes })
    }

    fn confirm(&self, inquiry: Inquiry) -> BoxFuture<'_, Vec<ConfirmationOutcome>> {
        Box::pin(async move { vec![ConfirmationOutcome::Kept; inquiry.objects.len()] })
    }

    fn count(&self, counted: Vec<Counted>) -> BoxFuture<'_, Vec<Result<u64, String>>> {
        Box::pin(async move { vec![Ok(0); counted.len()] })
    }
}

/// The node: receives what it has not acknowledged yet, and works until nothing is open.
#[test]
fn child() {
    let (Ok(dir), Ok(at)) = (std::env::var(DIR), std::env::var(AT)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let disk = DeadlyDisk::at(at.parse().unwrap());
    let data_dir = Path::new(&dir).join("data");
    let store = Store::open(StoreConfig { disk_free_min: 0, disk, ..StoreConfig::new(data_dir) }).unwrap();
    let model = PlayedModel::new("lungs", Play::Says(0.8));
    let archive = Arc::new(Archive(Path::new(&dir).join("archive"))) as Arc<dyn Destination>;
    let mut route = chest(&["lungs"]);
    route.send_images = vec!["pacs".into()];
    let pipeline = Pipeline::start(store.clone(), setup(&[route], &[&model], &[("pacs", archive)]), config()).unwrap();
    for number in 0..INSTANCES {
        send(&store, &radiograph(number, |_| {}));
    }
    wait("everything", || (!store.reader().counts().unwrap().instances.contains_key("open")).then_some(()));
    runtime.block_on(pipeline.shutdown());
    std::fs::write(Path::new(&dir).join("done"), []).unwrap();
}

/// A sequence that a seed decides (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

#[test]
fn one_report_per_instance_and_model_however_often_the_node_dies() {
    for seed in 0..SEEDS {
        let dir = tempfile::tempdir().unwrap();
        let mut state = seed;
        let mut deaths = 0;
        while !dir.path().join("done").exists() {
            // Long enough to get on, short enough to die in every stage; the last lives on.
            let at = if deaths < 12 { 3 + next(&mut state) % 60 } else { 1_000_000 };
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crash::child", "--nocapture"])
                .env(DIR, dir.path())
                .env(AT, at.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            deaths += u32::from(!status.success());
            assert!(deaths < 40, "seed {seed}: the node never gets done");
        }
        check(dir.path(), seed);
    }
}

fn check(dir: &Path, seed: u64) {
    let store = Store::attach(&dir.join("data")).unwrap();
    let instances = store.newest(100).unwrap();
    assert_eq!(instances.len(), INSTANCES as usize, "seed {seed}");
    let archive = std::fs::read_to_string(dir.join("archive")).unwrap();
    // What was sent twice, because the node died before it could note it, is the same object.
    let mut bytes_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut objects_of: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for line in archive.lines() {
        let [instance, role, uid, sum] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        bytes_of.entry(uid).or_default().insert(sum);
        objects_of.entry((instance, role)).or_default().insert(uid);
    }
    assert!(bytes_of.values().all(|sums| sums.len() == 1), "seed {seed}: one UID, other bytes: {archive}");
    assert_eq!(objects_of.len(), 3 * INSTANCES as usize, "seed {seed}: {archive}");
    assert!(objects_of.values().all(|uids| uids.len() == 1), "seed {seed}: two reports: {archive}");
    for instance in instances {
        let shown = store.show(instance.id).unwrap().unwrap();
        assert_eq!(shown.end, Some(End::Reported), "seed {seed}: {shown:?}");
        assert_eq!(shown.results.len(), 1, "seed {seed}");
        assert!(shown.results[0].objects.iter().all(|object| object.file.path.exists()), "seed {seed}");
    }
}
