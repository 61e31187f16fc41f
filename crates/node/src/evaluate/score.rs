//! A model looks at every labelled image, on all cores; one image a core is in memory.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dicom_dictionary_std::tags;
use dokuei_dataset::{Header, Limits, ReadAt, read_file};
use dokuei_inference::Model;
use dokuei_pipeline::{Analysis, AnalysisInput, AnalysisLimits, Analyst, Attributes, ReadyModel, Verdict};
use dokuei_results::{CaptureStyle, Comparison, Role};
use dokuei_types::NodeIdentity;
use jiff::Zoned;

use super::labels::LabelledImage;
use super::plain;
use crate::config::ConfigFile;
use crate::outcome::{self, Failure};
use crate::site;

/// Largest JPEG or PNG file, in bytes.
const PLAIN_BYTES_MAX: u64 = 512 << 20;

/// A model that looks at labelled images, and what its pictures need to know.
pub(crate) struct Scorer {
    pub(crate) model: Arc<Model>,
    /// Asked about the attributes of DICOM images.
    conditions: ReadyModel,
    /// Looks at pixels; plain pictures have no attributes to ask about.
    ready: Arc<ReadyModel>,
    node: NodeIdentity,
    style: CaptureStyle,
    made_at: Zoned,
}

/// What came of one image.
pub(crate) enum Outcome {
    /// The finding's probability; the highest of all frames. With the Patient ID of a DICOM image.
    Scored { probability: f32, patient: Option<String> },
    /// The model does not look at such an image, with the reason.
    Declined(String),
    /// Neither DICOM nor JPEG nor PNG, or the model failed on it.
    Failed(String),
}

/// An image, whatever kind of file it came in.
pub(crate) struct Opened {
    pub(crate) header: Header,
    pub(crate) bytes: Box<dyn ReadAt>,
    transfer_syntax: String,
    /// JPEG or PNG.
    plain: bool,
}

impl Scorer {
    /// # Errors
    /// A condition of the model's manifest cannot be used.
    pub(crate) fn new(model: Arc<Model>, file: &ConfigFile) -> Result<Self, Failure> {
        let conditions = ReadyModel::new(Arc::clone(&model) as _)
            .map_err(|errors| Failure::work(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        Ok(Self {
            ready: Arc::new(ReadyModel::without_conditions(Arc::clone(&model) as _)),
            conditions,
            model,
            node: site::identity(&file.config.node),
            style: file.config.results.capture_style(),
            made_at: Zoned::now(),
        })
    }

    /// One outcome for each image. `finding` is the index of a finding of the model.
    ///
    /// # Errors
    /// The model's buffers cannot be made.
    pub(crate) fn score(&self, images: &[LabelledImage], finding: usize) -> Result<Vec<Outcome>, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(images.len());
        let analysts = (0..cores).map(|_| self.analyst()).collect::<Result<Vec<_>, _>>()?;
        let bar = outcome::progress("images", Some(images.len() as u64), false);
        let next = AtomicUsize::new(0);
        let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
        let work = |mut analyst: Analyst| {
            while let (index, Some(image)) = take(&next, images) {
                let outcome = self.one(&mut analyst, image, finding);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            for analyst in analysts {
                scope.spawn(|| work(analyst));
            }
        });
        bar.finish_and_clear();
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(index, _)| *index);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// # Errors
    /// The model's buffers cannot be made.
    pub(crate) fn analyst(&self) -> Result<Analyst, Failure> {
        Analyst::new(Arc::clone(&self.ready)).map_err(|error| Failure::because("prepare the model", &error))
    }

    fn one(&self, analyst: &mut Analyst, image: &LabelledImage, finding: usize) -> Outcome {
        let opened = match open(&image.path) {
            Ok(opened) => opened,
            Err(why) => return Outcome::Failed(why),
        };
        match self.look(analyst, &opened, &[]) {
            Ok(Verdict::Reported(analysis)) => {
                let of_frames = analysis.frames.iter().filter_map(|frame| frame.findings.get(finding));
                let highest = of_frames.map(|finding| finding.probability).max_by(f32::total_cmp);
                let patient = opened.header.dataset.text(tags::PATIENT_ID).filter(|id| !id.is_empty());
                match highest {
                    Some(probability) => Outcome::Scored { probability, patient },
                    None => Outcome::Failed("no frame was looked at".into()),
                }
            }
            Ok(Verdict::Declined(reason)) => Outcome::Declined(reason.to_string()),
            Err(why) => Outcome::Failed(why),
        }
    }

    /// What the model says of an image, with the result objects of `roles`.
    ///
    /// # Errors
    /// The model failed, in words.
    pub(crate) fn look(&self, analyst: &mut Analyst, opened: &Opened, roles: &[Role]) -> Result<Verdict, String> {
        let attributes = Attributes::new(Arc::new(opened.header.dataset.clone()), "", "", &opened.transfer_syntax);
        if !opened.plain
            && let Some(reason) = self.conditions.declines(&attributes)
        {
            return Ok(Verdict::Declined(reason));
        }
        let input = AnalysisInput {
            attributes: &attributes,
            header: &opened.header,
            file: &*opened.bytes,
            node: &self.node,
            style: &self.style,
            made_at: &self.made_at,
            version: 1,
            revises: &[],
            comparison: Comparison::NotAsked,
            roles,
            limits: &AnalysisLimits::default(),
        };
        analyst.analyze(&input).map_err(|error| error.reason())
    }
}

/// The object of a role, as it came out of an analysis.
pub(crate) fn object(analysis: &Analysis, role: Role) -> Option<&[u8]> {
    analysis.objects.iter().find(|object| object.role == role).map(|object| object.object.bytes.as_slice())
}

/// Opens a DICOM, JPEG or PNG file.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn open(path: &Path) -> Result<Opened, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut first = [0; 4];
    let plain = file.read_exact_at(&mut first, 0).is_ok() && matches!(&first, [0xFF, 0xD8, 0xFF, _] | b"\x89PNG");
    let bytes: Box<dyn ReadAt> = if plain {
        if file.size() > PLAIN_BYTES_MAX {
            return Err(format!("a picture of {} bytes, at most {PLAIN_BYTES_MAX} are read", file.size()));
        }
        let mut bytes = vec![0; usize::try_from(file.size()).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0).map_err(|error| error.to_string())?;
        Box::new(plain::part10(&path.to_string_lossy(), &bytes)?.unwrap_or_default())
    } else {
        Box::new(file)
    };
    let (meta, header) = read_file(&*bytes, &Limits::default()).map_err(|error| error.to_string())?;
    Ok(Opened { header, bytes, transfer_syntax: meta.transfer_syntax, plain })
}

fn take<'a>(next: &AtomicUsize, images: &'a [LabelledImage]) -> (usize, Option<&'a LabelledImage>) {
    let index = next.fetch_add(1, Ordering::Relaxed);
    (index, images.get(index))
}
