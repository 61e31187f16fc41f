use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, MetaFields, Tag, file_meta, write_dataset};
use dokuei_inference::{Accepts, EngineFault, InferError, Inference};
use dokuei_pipeline::{
    BoxFuture, ConfirmationOutcome, Counted, DeliveryOutcome, Destination, DestinationSetup, ModelSession, ModelStage,
    Opening, Parcel, Pipeline, PipelineConfig, ReadyModel, RetryPolicy, RouteConfig, Rules, Setup, WantedAgain,
    WantedPrior,
};
use dokuei_pixels::{InputSpec, Prepared};
use dokuei_results::{CaptureStyle, Explanation, Role};
use dokuei_store::{Arrival, IndexEntry, Indexed, Inquiry, NewObject, REJECTION, Retention, Store, StoreConfig};
use dokuei_types::{
    AeTitle, Band, Code, ContentQualification, DimseStatus, End, Finding, InstanceId, ModelIdentity, NodeIdentity,
    Region, Uid,
};
use ndarray::Array2;
use tokio::sync::watch;

/// Longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a played model does.
#[derive(Debug, Clone)]
pub(crate) enum Play {
    /// Says this probability of everything.
    Says(f32),
    /// Panics.
    Panics,
    /// Panics in this run, from 1, and says 0.8 in the others.
    PanicsIn(u32),
    /// Refuses as many times, then says 0.7.
    Refuses(u32),
}

/// A model of a test: no network, but everything around one.
pub(crate) struct PlayedModel {
    identity: ModelIdentity,
    accepts: Accepts,
    input: InputSpec,
    play: Mutex<Play>,
    runs: AtomicU32,
}

impl PlayedModel {
    pub(crate) fn new(name: &str, play: Play) -> Arc<Self> {
        Self::accepting(name, play, Accepts::default())
    }

    pub(crate) fn accepting(name: &str, play: Play, accepts: Accepts) -> Arc<Self> {
        let input = serde_json::json!({
            "channels": 1, "height": 32, "width": 32,
            "geometry": "pad", "resampling": "bilinear", "intensity": "voi"
        });
        Arc::new(Self {
            identity: ModelIdentity {
                name: name.into(),
                version: "1.0".into(),
                vendor: "test".into(),
                device_uid: Uid::new("2.25.1").unwrap(),
                weights_sha256: "ab".repeat(32),
                qualification: ContentQualification::Research,
            },
            accepts,
            input: serde_json::from_value(input).unwrap(),
            play: Mutex::new(play),
            runs: AtomicU32::new(0),
        })
    }

    /// The same model in another version.
    pub(crate) fn version(self: &Arc<Self>, version: &str, play: Play) -> Arc<Self> {
        let identity = ModelIdentity { version: version.into(), ..self.identity.clone() };
        Arc::new(Self {
            identity,
            accepts: self.accepts.clone(),
            input: self.input.clone(),
            play: Mutex::new(play),
            runs: AtomicU32::new(0),
        })
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn ready(self: &Arc<Self>) -> Arc<ReadyModel> {
        Arc::new(ReadyModel::new(Arc::new(PlayedStage(Arc::clone(self)))).unwrap())
    }
}

struct PlayedStage(Arc<PlayedModel>);

struct PlayedSession(Arc<PlayedModel>);

impl ModelStage for PlayedStage {
    fn identity(&self) -> &ModelIdentity {
        &self.0.identity
    }

    fn accepts(&self) -> &Accepts {
        &self.0.accepts
    }

    fn input(&self) -> &InputSpec {
        &self.0.input
    }

    fn explanation(&self) -> Explanation {
        Explanation::ClassActivation
    }

    fn parameters(&self) -> Vec<String> {
        vec!["opacity.medium=0.3".into()]
    }

    fn intended_use(&self) -> &str {
        "Tests."
    }

    fn session(&self) -> Result<Box<dyn ModelSession>, InferError> {
        Ok(Box::new(PlayedSession(Arc::clone(&self.0))))
    }
}

impl ModelSession for PlayedSession {
    fn run(&mut self, input: &Prepared) -> Result<Inference, InferError> {
        let run = self.0.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let mut play = self.0.play.lock().unwrap();
        let probability = match &mut *play {
            Play::Says(probability) => *probability,
            Play::PanicsIn(number) if *number != run => 0.8,
            Play::Panics | Play::PanicsIn(_) => {
                drop(play);
                panic!("the played model panics")
            }
            Play::Refuses(0) => 0.7,
            Play::Refuses(left) => {
                *left -= 1;
                return Err(InferError::Engine(EngineFault::Refused("no memory".into())));
            }
        };
        assert_eq!(input.tensor.shape(), [1, 1, 32, 32]);
        let marked = probability >= 0.5;
        let outline = vec![[8.0, 8.0], [24.0, 8.0], [24.0, 24.0], [8.0, 24.0]];
        let finding = Finding {
            name: "opacity".into(),
            concept: Code::new("125111", "DCM", "Opacity"),
            site: None,
            probability,
            band: if probability >= 0.65 { Band::High } else { Band::Low },
            marking_threshold: 0.5,
            regions: if marked { vec![Region { outline, peak: 1.0 }] } else { Vec::new() },
        };
        Ok(Inference { findings: vec![finding], maps: vec![Some(Array2::from_elem((4, 4), 0.5))], unfamiliarity: None })
    }
}

/// What a played PACS has taken: role, SOP class, SOP instance, file.
pub(crate) type Taken = (String, String, String, Vec<u8>);

/// A PACS of a test: keeps what it is given, or answers as scripted.
#[derive(Default)]
pub(crate) struct PlayedPacs {
    pub(crate) taken: Mutex<Vec<Taken>>,
    /// Answers for the next parcels; afterwards everything is taken.
    pub(crate) script: Mutex<VecDeque<DeliveryOutcome>>,
    /// Sizes of the batches.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// What it says of the next objects it is asked about; afterwards it keeps everything.
    pub(crate) confirms: Mutex<VecDeque<ConfirmationOutcome>>,
    /// The questions it was asked.
    pub(crate) inquiries: Mutex<Vec<Inquiry>>,
    /// What it says when it is asked how much it has; afterwards that it cannot say.
    pub(crate) counts: Mutex<VecDeque<Result<u64, String>>>,
    /// What it was asked to count.
    pub(crate) counted: Mutex<Vec<Counted>>,
    /// What it has when it is asked for priors, or says instead; afterwards it says nothing at all.
    pub(crate) priors: Mutex<VecDeque<Result<Vec<Dataset>, String>>>,
    /// What it names beside those, since it is here.
    pub(crate) named: Mutex<Vec<Uid>>,
    /// First and last day for which it was asked for priors.
    pub(crate) wanted: Mutex<Vec<String>>,
    /// What it sends when it is asked for images again, or says instead; afterwards it says nothing at all.
    pub(crate) archived: Mutex<VecDeque<Result<Vec<Dataset>, String>>>,
    /// The images it was asked for again, by their SOP Instance UIDs.
    pub(crate) retrieved: Mutex<Vec<Vec<String>>>,
    /// Whether it keeps its counts to itself for now.
    pub(crate) is_silent: watch::Sender<bool>,
}

impl PlayedPacs {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn answer(&self, outcomes: impl IntoIterator<Item = DeliveryOutcome>) {
        self.script.lock().unwrap().extend(outcomes);
    }

    pub(crate) fn taken(&self, role: &str) -> Vec<Taken> {
        self.taken.lock().unwrap().iter().filter(|taken| taken.0 == role).cloned().collect()
    }

    fn take(&self, parcel: &Parcel) -> DeliveryOutcome {
        if let Some(outcome) = self.script.lock().unwrap().pop_front() {
            return outcome;
        }
        let object = &parcel.alternatives[0];
        let bytes = object.file.read().unwrap();
        let taken = (parcel.role.clone(), object.sop_class.clone(), object.sop_instance.clone(), bytes);
        self.taken.lock().unwrap().push(taken);
        DeliveryOutcome::Stored { status: DimseStatus::SUCCESS, alternative: 0, comment: None }
    }
}

impl Destination for PlayedPacs {
    fn deliver(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Vec<DeliveryOutcome>> {
        self.batches.lock().unwrap().push(parcels.len());
        Box::pin(async move { parcels.iter().map(|parcel| self.take(parcel)).collect() })
    }

    fn confirm(&self, inquiry: Inquiry) -> BoxFuture<'_, Vec<ConfirmationOutcome>> {
        let mut confirms = self.confirms.lock().unwrap();
        let answer = |_: &_| confirms.pop_front().unwrap_or(ConfirmationOutcome::Kept);
        let answers = inquiry.objects.iter().map(answer).collect();
        self.inquiries.lock().unwrap().push(inquiry);
        Box::pin(std::future::ready(answers))
    }

    fn count(&self, counted: Vec<Counted>) -> BoxFuture<'_, Vec<Result<u64, String>>> {
        let mut counts = self.counts.lock().unwrap();
        let answer = |_: &_| counts.pop_front().unwrap_or_else(|| Err("it cannot say".into()));
        let answers = counted.iter().map(answer).collect();
        self.counted.lock().unwrap().extend(counted);
        let mut is_silent = self.is_silent.subscribe();
        Box::pin(async move {
            is_silent.wait_for(|is_silent| !is_silent).await.unwrap();
            answers
        })
    }

    fn retrieve(&self, wanted: WantedAgain) -> BoxFuture<'_, Result<Option<String>, String>> {
        let asked = wanted.images.iter().map(|image| image.stored.sop_instance.clone()).collect();
        self.retrieved.lock().unwrap().push(asked);
        let Some(answer) = self.archived.lock().unwrap().pop_front() else { return Box::pin(std::future::pending()) };
        Box::pin(async move {
            let store = |data: &Dataset| {
                let entry = IndexEntry { is_again: true, ..entry(data) };
                send_as(&wanted.store, data, "PACS", entry);
            };
            tokio::task::block_in_place(|| answer.map(|all| all.iter().for_each(store)))?;
            Ok(None)
        })
    }

    fn fetch_prior(&self, wanted: WantedPrior) -> BoxFuture<'_, Result<Vec<Uid>, String>> {
        self.wanted.lock().unwrap().push(wanted.days.map(|day| day.to_string()).join(" to "));
        let Some(answer) = self.priors.lock().unwrap().pop_front() else { return Box::pin(std::future::pending()) };
        let named = self.named.lock().unwrap().clone();
        Box::pin(async move {
            let store = |data: &Dataset| {
                let entry = IndexEntry { fetched: Some(wanted.fetched.clone()), ..entry(data) };
                send_as(&wanted.store, data, "PACS", entry);
                data.uid(tags::SOP_INSTANCE_UID).unwrap()
            };
            tokio::task::block_in_place(|| answer.map(|all| all.iter().map(store).chain(named).collect()))
        })
    }
}

/// A node of a test.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) pacs: Arc<PlayedPacs>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig { disk_free_min: 0, ..StoreConfig::new(dir.path()) }).unwrap();
        Self { dir, store, pacs: PlayedPacs::new() }
    }

    pub(crate) fn with_clock(clock: Arc<dyn dokuei_store::Clock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { disk_free_min: 0, clock, ..StoreConfig::new(dir.path()) };
        Self { store: Store::open(config).unwrap(), dir, pacs: PlayedPacs::new() }
    }

    /// Takes the last result of an instance back.
    pub(crate) fn withdraw(&self, instance: InstanceId) {
        let uid = Uid::new("1.2.99").unwrap();
        let note = NewObject {
            role: REJECTION,
            sop_class: &uid,
            sop_instance: &uid,
            series: &uid,
            transfer_syntax: "1.2.840.10008.1.2.1",
            bytes: b"note",
        };
        let shown = self.store.reader().show(instance).unwrap().unwrap();
        self.store.reader().withdraw(shown.results.last().unwrap().id, &note).unwrap().unwrap();
    }

    pub(crate) fn setup(&self, routes: &[RouteConfig], models: &[&Arc<PlayedModel>]) -> Setup {
        setup(routes, models, &[("pacs", Arc::clone(&self.pacs) as Arc<dyn Destination>)])
    }

    pub(crate) fn start(&self, routes: &[RouteConfig], models: &[&Arc<PlayedModel>]) -> Pipeline {
        Pipeline::start(self.store.clone(), self.setup(routes, models), config()).unwrap()
    }

    pub(crate) fn start_with(&self, setup: Setup) -> Pipeline {
        Pipeline::start(self.store.clone(), setup, config()).unwrap()
    }

    /// As [`start`](Self::start), with a PACS that is asked whether it keeps what it has stored.
    pub(crate) fn start_confirming(&self, routes: &[RouteConfig], within: Duration) -> Pipeline {
        let mut setup = self.setup(routes, &[]);
        for destination in &mut setup.destinations {
            destination.confirm_within = Some(within);
        }
        Pipeline::start(self.store.clone(), setup, config()).unwrap()
    }

    /// As [`start`](Self::start), with a PACS that wants every kind of object.
    pub(crate) fn start_wanting_all(&self, routes: &[RouteConfig], models: &[&Arc<PlayedModel>]) -> Pipeline {
        let mut setup = self.setup(routes, models);
        for destination in &mut setup.destinations {
            destination.roles = Role::ALL.map(|role| role.as_str().to_owned()).to_vec();
        }
        Pipeline::start(self.store.clone(), setup, config()).unwrap()
    }

    pub(crate) fn end(&self, instance: InstanceId) -> End {
        wait("an end", || self.store.reader().end(instance).unwrap())
    }
}

pub(crate) fn setup(
    routes: &[RouteConfig],
    models: &[&Arc<PlayedModel>],
    destinations: &[(&str, Arc<dyn Destination>)],
) -> Setup {
    let models: Vec<_> = models.iter().map(|model| model.ready()).collect();
    let names: Vec<&str> = models.iter().map(|model| model.name()).collect();
    let places: Vec<&str> = destinations.iter().map(|(name, _)| *name).collect();
    let destinations = destinations.iter().map(|(name, destination)| DestinationSetup {
        name: (*name).into(),
        roles: vec!["sr".into(), "sc".into()],
        ae_title: Some(AeTitle::new("PACS").unwrap()),
        destination: Arc::clone(destination),
        confirm_within: None,
        failover: None,
        opening: Opening::new(Vec::new()),
    });
    Setup {
        rules: Rules::compile(routes, &names, &places).unwrap(),
        retention: Retention::default(),
        destinations: destinations.collect(),
        archive: Some("pacs".into()),
        models,
        node: NodeIdentity {
            ae_title: "DOKUEI".into(),
            manufacturer: "Dokuei".into(),
            model_name: "Dokuei".into(),
            serial_number: "1".into(),
            software_version: "0.1.0".into(),
            device_uid: Uid::new("2.25.2").unwrap(),
        },
        style: CaptureStyle::default(),
    }
}

/// Two workers, and retries that a test can wait for.
pub(crate) fn config() -> PipelineConfig {
    let retry =
        RetryPolicy { first: Duration::from_millis(20), max: Duration::from_millis(100), ..RetryPolicy::default() };
    PipelineConfig { workers: 2, retry, attempts_max: 3, confirm_after: Duration::ZERO, ..PipelineConfig::default() }
}

/// A route from the text of its table in the config.
pub(crate) fn route(json: serde_json::Value) -> RouteConfig {
    serde_json::from_value(json).unwrap()
}

/// The usual route: chest radiographs to one model, its results to the PACS.
pub(crate) fn chest(models: &[&str]) -> RouteConfig {
    route(serde_json::json!({
        "name": "chest", "when": ["modality in ['CR', 'DX']", "body_part == 'CHEST'"],
        "models": models, "send_results": ["pacs"]
    }))
}

/// A small radiograph; `changes` may make anything else of it.
pub(crate) fn radiograph(number: u32, changes: impl FnOnce(&mut Dataset)) -> Dataset {
    let mut data = Dataset::new();
    let mut text = |tag: Tag, vr: VR, text: &str| data.put_text(tag, vr, text);
    text(tags::SOP_CLASS_UID, VR::UI, uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE);
    text(tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.4.{number}"));
    text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3");
    text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4");
    text(tags::MODALITY, VR::CS, "CR");
    text(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
    text(tags::PATIENT_ID, VR::LO, "4711");
    text(tags::PATIENT_NAME, VR::PN, "Test^Patient");
    text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    data.put_u16(tags::SAMPLES_PER_PIXEL, &[1]);
    data.put_u16(tags::ROWS, &[64]);
    data.put_u16(tags::COLUMNS, &[48]);
    data.put_u16(tags::BITS_ALLOCATED, &[16]);
    data.put_u16(tags::BITS_STORED, &[12]);
    data.put_u16(tags::HIGH_BIT, &[11]);
    data.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    let pixels: Vec<u8> = (0..64_u32 * 48).flat_map(|i| u16::try_from(i % 4_096).unwrap().to_le_bytes()).collect();
    data.put_bytes(tags::PIXEL_DATA, VR::OW, pixels);
    changes(&mut data);
    data
}

pub(crate) fn send(store: &Store, data: &Dataset) -> Indexed {
    send_from(store, data, "CR_ROOM_1")
}

pub(crate) fn send_from(store: &Store, data: &Dataset, calling_ae: &str) -> Indexed {
    send_as(store, data, calling_ae, entry(data))
}

pub(crate) fn entry(data: &Dataset) -> IndexEntry {
    IndexEntry {
        study: data.uid(tags::STUDY_INSTANCE_UID),
        series: data.uid(tags::SERIES_INSTANCE_UID),
        ..IndexEntry::default()
    }
}

pub(crate) fn send_as(store: &Store, data: &Dataset, calling_ae: &str, entry: IndexEntry) -> Indexed {
    let class = data.uid(tags::SOP_CLASS_UID).unwrap();
    let instance = data.uid(tags::SOP_INSTANCE_UID).unwrap();
    let fields = MetaFields {
        sop_class: class.as_str(),
        sop_instance: instance.as_str(),
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        source_ae: None,
        sending_ae: None,
        receiving_ae: None,
    };
    let arrival = Arrival {
        calling_ae: AeTitle::new(calling_ae).unwrap(),
        called_ae: AeTitle::new("DOKUEI").unwrap(),
        peer_addr: "127.0.0.1:50000".into(),
        sop_class: class.clone(),
        sop_instance: instance.clone(),
        transfer_syntax: Uid::new(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap(),
        file_meta: file_meta(&fields),
    };
    let mut incoming = store.receive(arrival).unwrap();
    incoming.write(&write_dataset(data, Encoding::ExplicitLittle)).unwrap();
    let (answer, answered) = mpsc::channel();
    incoming.commit(entry, move |outcome| answer.send(outcome).unwrap());
    store.indexed(answered.recv().unwrap().unwrap()).unwrap()
}

/// A result object that came back to the node.
pub(crate) fn reread(bytes: &[u8]) -> Dataset {
    let (_, header) = dokuei_dataset::read_file(&bytes.to_vec(), &dokuei_dataset::Limits::default()).unwrap();
    header.dataset
}

/// Waits until `look` sees something.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Sends bytes that are whatever the test wants as a data set.
pub(crate) fn send_bytes(store: &Store, sop_instance: &str, bytes: &[u8]) -> InstanceId {
    let arrival = Arrival {
        calling_ae: AeTitle::new("CR_ROOM_1").unwrap(),
        called_ae: AeTitle::new("DOKUEI").unwrap(),
        peer_addr: "127.0.0.1:50000".into(),
        sop_class: Uid::new(uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE).unwrap(),
        sop_instance: Uid::new(sop_instance).unwrap(),
        transfer_syntax: Uid::new(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap(),
        file_meta: Vec::new(),
    };
    let mut incoming = store.receive(arrival).unwrap();
    incoming.write(bytes).unwrap();
    let (answer, answered) = mpsc::channel();
    incoming.commit(IndexEntry::default(), move |outcome| answer.send(outcome).unwrap());
    store.indexed(answered.recv().unwrap().unwrap()).unwrap().instance
}
