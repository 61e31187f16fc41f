//! A PACS of a few lines: it keeps what it gets as files and knows when each came.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Limits, read_file};
use dokuei_dimse::{Counters, IncomingInstance, ListenerConfig, Refusal, StorageService, StoreRequest};
use dokuei_results::SrClass;
use dokuei_types::{AeTitle, DimseStatus, Uid};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::outcome::Failure;
use crate::requestor::implementation;

/// The running PACS.
pub(crate) struct Pacs {
    address: SocketAddr,
    archive: Arc<Archive>,
    shutdown: CancellationToken,
    serving: Mutex<Option<JoinHandle<()>>>,
}

/// An object that came.
#[derive(Clone)]
pub(crate) struct Arrived {
    pub(crate) path: PathBuf,
    pub(crate) role: &'static str,
    pub(crate) words: &'static str,
    pub(crate) at: Instant,
    about: Vec<Uid>,
}

struct Archive {
    folder: PathBuf,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Pacs {
    pub(crate) async fn start(folder: &Path) -> Result<Arc<Self>, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| Failure::because(&folder.display().to_string(), &error))?;
        let failed = |error: std::io::Error| Failure::because("start a PACS", &error);
        let listener = dokuei_dimse::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let archive = Arc::new(Archive { folder: folder.to_owned(), arrived: Arc::default() });
        let title = AeTitle::new("PACS").expect("a title of four letters");
        // The sender lives as long as the listener reads from it, that is, as the task below.
        let (keep, config) = watch::channel(Arc::new(ListenerConfig::new(title, implementation())));
        let shutdown = CancellationToken::new();
        let (service, stop) = (Arc::clone(&archive), shutdown.clone());
        let serving = tokio::spawn(async move {
            dokuei_dimse::serve(listener, config, service, Arc::new(Counters::default()), stop).await;
            drop(keep);
        });
        Ok(Arc::new(Self { address, archive, shutdown, serving: Mutex::new(Some(serving)) }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What came of and about an instance: the image, heat map, report.
    pub(crate) fn about(&self, instance: &Uid) -> Vec<Arrived> {
        let all = self.archive.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own: Vec<Arrived> = all.iter().filter(|object| object.about.contains(instance)).cloned().collect();
        own.sort_by_key(|object| object.role);
        own
    }

    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(serving) = serving {
            drop(serving.await);
        }
    }
}

/// An object on its way in.
pub(crate) struct Arriving {
    file: File,
    path: PathBuf,
    list: Arc<Mutex<Vec<Arrived>>>,
}

impl StorageService for Archive {
    type Incoming = Arriving;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Arriving, Refusal> {
        // UIDs are digits and dots: a checked one is a safe file name.
        let path = self.folder.join(format!("{}.dcm", request.sop_instance));
        let mut file = File::create_new(&path).or_else(|_| File::create(&path)).map_err(refusal)?;
        let meta = files::meta_of(&request, request.called_ae);
        file.write_all(&meta).map_err(refusal)?;
        Ok(Arriving { file, path, list: Arc::clone(&self.arrived) })
    }
}

impl IncomingInstance for Arriving {
    type Committed = ();

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.file.write_all(bytes).map_err(refusal)
    }

    async fn commit(self) -> Result<(), Refusal> {
        let Self { mut file, path, list } = self;
        file.flush().map_err(refusal)?;
        drop(file);
        let at = Instant::now();
        let file = File::open(&path).map_err(refusal)?;
        let understood = read_file(&file, &Limits::default());
        let (_, header) =
            understood.map_err(|error| Refusal::new(DimseStatus::CANNOT_UNDERSTAND, error.to_string()))?;
        let dataset = header.dataset;
        let (role, words) = match dataset.text(tags::SOP_CLASS_UID).as_deref() {
            Some(class) if SrClass::from_uid(class).is_some() => ("sr", "SR"),
            Some(uids::SECONDARY_CAPTURE_IMAGE_STORAGE) => ("sc", "SC"),
            Some(
                uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE | uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
            ) => ("pr", "PR"),
            Some(uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE) => ("ko", "KO"),
            Some(uids::ENCAPSULATED_PDF_STORAGE) => ("pdf", "PDF"),
            Some(uids::SEGMENTATION_STORAGE) => ("seg", "SEG"),
            _ => ("image", "image"),
        };
        let mut about = Vec::new();
        referenced(&dataset, &mut about);
        about.extend(dataset.uid(tags::SOP_INSTANCE_UID));
        list.lock().unwrap_or_else(PoisonError::into_inner).push(Arrived { path, role, words, at, about });
        Ok(())
    }
}

/// The instances a data set refers to, at any depth the reader has allowed.
fn referenced(dataset: &Dataset, into: &mut Vec<Uid>) {
    into.extend(dataset.uid(tags::REFERENCED_SOP_INSTANCE_UID));
    for element in dataset.iter() {
        dataset.items(element.tag).iter().for_each(|item| referenced(item, into));
    }
}

fn refusal(error: std::io::Error) -> Refusal {
    Refusal::new(DimseStatus::OUT_OF_RESOURCES, error.to_string())
}
