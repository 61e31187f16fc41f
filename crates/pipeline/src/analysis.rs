//! One model looks at one image: accept, prepare, infer, explain, report. No store, no network, no clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dokuei_dataset::{Header, ReadAt};
use dokuei_inference::{EngineFault, InferError, Inference};
use dokuei_pixels::{Geometry, Image, PixelError, prepare};
use dokuei_results::{CaptureStyle, Comparison, Object, ObjectReference, ResultError, Role};
use dokuei_types::{DeclineReason, Finding, NodeIdentity};
use jiff::Zoned;
use ndarray::Array2;

use crate::model::{ModelSession, ReadyModel};
use crate::report::{self, Pictured};
use crate::variables::Attributes;

/// What one analysis may use.
#[derive(Debug, Clone)]
pub struct AnalysisLimits {
    /// Of the header.
    pub dataset: dokuei_dataset::Limits,
    /// Of the pixels.
    pub pixels: dokuei_pixels::Limits,
    /// Frames of one image that are looked at; an image of more is declined.
    pub frames_max: u32,
}

impl Default for AnalysisLimits {
    fn default() -> Self {
        Self { dataset: dokuei_dataset::Limits::default(), pixels: dokuei_pixels::Limits::default(), frames_max: 64 }
    }
}

/// An image and what its result objects need to say.
#[derive(Clone, Copy)]
pub struct AnalysisInput<'a> {
    /// What the model's conditions are asked about.
    pub attributes: &'a Attributes,
    /// The image's header.
    pub header: &'a Header,
    /// The file the header was read from.
    pub file: &'a dyn ReadAt,
    /// What result objects say of the node.
    pub node: &'a NodeIdentity,
    /// How the secondary capture looks.
    pub style: &'a CaptureStyle,
    /// When the analysis began; written into the result objects.
    pub made_at: &'a Zoned,
    /// Which it is of the data sets that came under its SOP Instance UID, from 1.
    pub version: u32,
    /// The objects of an earlier result of the model that this one revises.
    pub revises: &'a [ObjectReference],
    /// What a result on a single frame is compared with.
    pub comparison: Comparison<'a>,
    /// Which result objects are made.
    pub roles: &'a [Role],
    /// What it may use.
    pub limits: &'a AnalysisLimits,
}

/// What came of an analysis.
#[derive(Debug)]
pub enum Verdict {
    /// The model looked at it.
    Reported(Box<Analysis>),
    /// The model could not or would not look at it.
    Declined(DeclineReason),
}

/// What a model says of an image, with the objects that say it to others.
#[derive(Debug)]
pub struct Analysis {
    /// Each frame that was looked at.
    pub frames: Vec<FrameFindings>,
    /// The result objects; those of one role are alternatives, the preferred one first.
    pub objects: Vec<AnalysisObject>,
    /// How long each stage took.
    pub timings: Timings,
}

/// What a model says of one frame.
#[derive(Debug)]
pub struct FrameFindings {
    /// Number of the frame, from 1; `None` for a single-frame image.
    pub frame: Option<u32>,
    /// What it says; empty when the frame was declined or the model failed on it.
    pub findings: Vec<Finding>,
    /// One per finding: its map in pixels of the source, `[rows, columns]`, 0 to 1. Only of marked findings
    /// of the frame that the secondary capture shows.
    pub maps: Vec<Option<Array2<f32>>>,
    /// How unlike the images it was made for the model found the frame, where it says so.
    pub unfamiliarity: Option<f32>,
    /// Why the model did not look at this frame.
    pub declined: Option<DeclineReason>,
    /// What went wrong when the model looked at this frame.
    pub failed: Option<String>,
}

impl FrameFindings {
    /// A frame that the model has said nothing of.
    fn without(frame: Option<u32>, declined: Option<DeclineReason>, failed: Option<String>) -> Self {
        Self { frame, findings: Vec::new(), maps: Vec::new(), unfamiliarity: None, declined, failed }
    }
}

/// A result object and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalysisObject {
    /// What it is for.
    pub role: Role,
    /// The object.
    pub object: Object,
}

/// How long each stage took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Decoding and transforming into the model's input.
    pub prepare: Duration,
    /// Running the model.
    pub infer: Duration,
    /// Bringing its map and the picture into the pixels of the source.
    pub explain: Duration,
    /// Writing the result objects.
    pub report: Duration,
}

/// Why an analysis came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The file could not be read.
    #[error("read the pixels")]
    Read(#[source] PixelError),
    /// The model's buffers could not be made.
    #[error("make a session of the model")]
    Session(#[source] InferError),
    /// The model failed.
    #[error("run the model")]
    Infer(#[source] InferError),
    /// The result could not be written.
    #[error("write the result")]
    Report(#[source] ResultError),
    /// Something panicked; the thread and the model live on.
    #[error("{stage} panicked: {message}")]
    Panicked {
        /// The stage.
        stage: &'static str,
        /// What the panic said.
        message: String,
    },
}

impl AnalyzeError {
    /// Whether another try may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Read(_) | Self::Session(_) => true,
            Self::Infer(error) => matches!(error, InferError::Engine(EngineFault::Refused(_))),
            Self::Report(_) | Self::Panicked { .. } => false,
        }
    }

    /// The whole chain of causes in one line.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

/// One thread's use of one model.
pub struct Analyst {
    model: Arc<ReadyModel>,
    session: Box<dyn ModelSession>,
}

impl Analyst {
    /// Makes the model's buffers for this thread.
    ///
    /// # Errors
    /// [`AnalyzeError::Session`].
    pub fn new(model: Arc<ReadyModel>) -> Result<Self, AnalyzeError> {
        let session = model.stage().session().map_err(AnalyzeError::Session)?;
        Ok(Self { model, session })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<ReadyModel> {
        &self.model
    }

    /// Has the model look at an image, every frame of it, and writes the result objects.
    ///
    /// # Errors
    /// [`AnalyzeError`]; what the image itself is to blame for is [`Verdict::Declined`].
    pub fn analyze(&mut self, input: &AnalysisInput<'_>) -> Result<Verdict, AnalyzeError> {
        if let Some(reason) = self.model.declines(input.attributes) {
            return Ok(Verdict::Declined(reason));
        }
        let image = match decoding(|| Image::open(input.header, input.file, &input.limits.pixels))? {
            Ok(image) => image,
            Err(reason) => return Ok(Verdict::Declined(reason)),
        };
        if let Some(reason) = self.declines_frames(&image, input.limits.frames_max) {
            return Ok(Verdict::Declined(reason));
        }
        let mut timings = Timings::default();
        let mut looks = Vec::new();
        for index in 0..image.frames() {
            looks.push(match self.look(&image, index, &mut timings) {
                Ok(look) => look,
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    // The other frames are looked at all the same, in buffers that the failure has not touched.
                    self.session = self.model.stage().session().map_err(AnalyzeError::Session)?;
                    Look::Failed(error)
                }
            });
        }
        if looks.iter().any(|look| matches!(look, Look::Seen { .. })) {
            return self.report(input, &image, looks, timings);
        }
        let failed = looks.iter().position(|look| matches!(look, Look::Failed(_))).unwrap_or_default();
        match looks.into_iter().nth(failed) {
            Some(Look::Failed(error)) => Err(error),
            Some(Look::Declined(reason)) => Ok(Verdict::Declined(reason)),
            Some(Look::Seen { .. }) | None => Ok(Verdict::Declined(DeclineReason::NoPixels("no frame".to_owned()))),
        }
    }

    /// The report that the model did not look at an image, and why: in each SOP class a destination may want, and as
    /// a page where that is asked for.
    ///
    /// # Errors
    /// [`AnalyzeError::Report`]: the image lacks what a report needs.
    pub fn declined(
        &self,
        input: &AnalysisInput<'_>,
        reason: &DeclineReason,
    ) -> Result<Vec<AnalysisObject>, AnalyzeError> {
        let frame = FrameFindings::without(None, Some(reason.clone()), None);
        let stage = self.model.stage();
        let input = AnalysisInput { comparison: Comparison::NotAsked, ..*input };
        unwinding("the report", || report::objects(stage, &input, &[frame], None))?.map_err(AnalyzeError::Report)
    }

    /// Limits of the model and of ours that are known before anything is decoded.
    fn declines_frames(&self, image: &Image<'_>, frames_max: u32) -> Option<DeclineReason> {
        let frames = image.frames();
        if frames > frames_max {
            return Some(DeclineReason::Limit(format!("{frames} frames, at most {frames_max} are looked at")));
        }
        let bits_stored = image.attributes().bits_stored;
        self.model.stage().accepts().decline_frame(image.rows(), image.columns(), bits_stored)
    }

    /// Prepare and infer, for one frame.
    fn look(&mut self, image: &Image<'_>, index: u32, timings: &mut Timings) -> Result<Look, AnalyzeError> {
        let stage = self.model.stage();
        let begun = Instant::now();
        let prepared = decoding(|| prepare(image, index, stage.input()))?;
        timings.prepare = timings.prepare.saturating_add(begun.elapsed());
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(reason) => return Ok(Look::Declined(reason)),
        };
        if let Some(reason) = stage.accepts().decline_prepared(&prepared, stage.input()) {
            return Ok(Look::Declined(reason));
        }
        let begun = Instant::now();
        let inference = unwinding("the model", || self.session.run(&prepared))?;
        timings.infer = timings.infer.saturating_add(begun.elapsed());
        match inference {
            Ok(inference) => Ok(match stage.accepts().decline_unfamiliar(&inference) {
                Some(reason) => Look::Declined(reason),
                None => Look::Seen { inference, geometry: Box::new(prepared.geometry) },
            }),
            Err(InferError::InputNotFinite) => {
                Ok(Look::Declined(DeclineReason::Malformed(InferError::InputNotFinite.to_string())))
            }
            Err(error) => Err(AnalyzeError::Infer(error)),
        }
    }

    /// Explain and report.
    fn report(
        &self,
        input: &AnalysisInput<'_>,
        image: &Image<'_>,
        looks: Vec<Look>,
        mut timings: Timings,
    ) -> Result<Verdict, AnalyzeError> {
        let begun = Instant::now();
        // Nobody sees maps and pictures where no object shows them.
        let wanted = |role| input.roles.contains(&role);
        let shown = most_marked(&looks).filter(|_| wanted(Role::Sc) || wanted(Role::Pdf));
        let mut frames = Vec::with_capacity(looks.len());
        for (index, look) in looks.into_iter().enumerate() {
            let number = u32::try_from(index).ok().and_then(|index| index.checked_add(1));
            let frame = if image.frames() > 1 { number } else { None };
            frames.push(look.explain(frame, shown == Some(index)));
        }
        let on_page = if wanted(Role::Pdf) { first_seen(&frames) } else { None };
        let pictured = match shown.or(on_page) {
            Some(index) => match decoding(|| image.picture(u32::try_from(index).unwrap_or(u32::MAX)))? {
                Ok(picture) => Some(Pictured { index, picture }),
                Err(reason) if shown.is_some() => return Ok(Verdict::Declined(reason)),
                // A page can do without.
                Err(_) => None,
            },
            None => None,
        };
        timings.explain = begun.elapsed();

        let begun = Instant::now();
        let stage = self.model.stage();
        let objects = unwinding("the report", || report::objects(stage, input, &frames, pictured.as_ref()))?;
        timings.report = begun.elapsed();
        match objects {
            Ok(objects) => Ok(Verdict::Reported(Box::new(Analysis { frames, objects, timings }))),
            Err(error @ (ResultError::SourceAttribute { .. } | ResultError::PictureTooLarge { .. })) => {
                Ok(Verdict::Declined(DeclineReason::Malformed(error.to_string())))
            }
            Err(error) => Err(AnalyzeError::Report(error)),
        }
    }
}

/// What came of one frame, in the model's own resolution.
enum Look {
    Seen { inference: Inference, geometry: Box<Geometry> },
    Declined(DeclineReason),
    Failed(AnalyzeError),
}

impl Look {
    fn explain(self, frame: Option<u32>, shown: bool) -> FrameFindings {
        match self {
            Self::Declined(reason) => FrameFindings::without(frame, Some(reason), None),
            Self::Failed(error) => FrameFindings::without(frame, None, Some(error.reason())),
            Self::Seen { inference, geometry } => {
                let maps = inference.findings.iter().zip(&inference.maps).map(|(finding, map)| {
                    let map = map.as_ref().filter(|_| shown && finding.is_marked())?;
                    // The layout the result objects want: rows one after the other.
                    Some(geometry.map_to_source(map).as_standard_layout().into_owned())
                });
                let maps = maps.collect();
                let Inference { findings, unfamiliarity, .. } = inference;
                FrameFindings { frame, findings, maps, unfamiliarity, declined: None, failed: None }
            }
        }
    }

    /// The highest probability among the marked findings.
    fn marked(&self) -> Option<f32> {
        match self {
            Self::Declined(_) | Self::Failed(_) => None,
            Self::Seen { inference, .. } => {
                let marked = inference.findings.iter().filter(|finding| finding.is_marked());
                marked.map(|finding| finding.probability).max_by(f32::total_cmp)
            }
        }
    }
}

/// The first frame that the model looked at.
fn first_seen(frames: &[FrameFindings]) -> Option<usize> {
    frames.iter().position(|frame| frame.declined.is_none() && frame.failed.is_none())
}

/// The frame with the most certain marked finding; the first of equals.
fn most_marked(looks: &[Look]) -> Option<usize> {
    let marked = looks.iter().enumerate().filter_map(|(index, look)| Some((index, look.marked()?)));
    marked.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

/// Runs something over a peer's pixels: what they are to blame for, a panic included, is a reason to
/// decline; what the disk is to blame for is an error.
fn decoding<T>(decode: impl FnOnce() -> Result<T, PixelError>) -> Result<Result<T, DeclineReason>, AnalyzeError> {
    match unwinding("the decoder", decode) {
        Ok(Ok(value)) => Ok(Ok(value)),
        Ok(Err(error)) if error.is_transient() => Err(AnalyzeError::Read(error)),
        Ok(Err(error)) => Ok(Err(error.decline_reason())),
        Err(panic) => Ok(Err(DeclineReason::Malformed(panic.to_string()))),
    }
}

/// Runs a stage so that its panic ends it alone.
fn unwinding<T>(stage: &'static str, run: impl FnOnce() -> T) -> Result<T, AnalyzeError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        AnalyzeError::Panicked { stage, message }
    })
}
