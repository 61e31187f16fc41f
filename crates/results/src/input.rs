use dicom_dictionary_std::uids;
use dokuei_dataset::Dataset;
use dokuei_types::{DeclineReason, Finding, ModelIdentity, NodeIdentity, Uid};
use jiff::Zoned;

use crate::Comparison;

/// What one model says of one or more frames of a study, and all that the result objects need to say it.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// The frames, at least one, all of one patient and study.
    pub sources: &'a [SourceImage<'a>],
    /// The model that looked at them.
    pub model: &'a ModelIdentity,
    /// The node it ran in.
    pub node: &'a NodeIdentity,
    /// Start of the analysis. It is written into the objects, so the same bytes again need the same value.
    pub made_at: &'a Zoned,
    /// How the maps came about.
    pub explanation: Explanation,
    /// Further Algorithm Parameters (111002, DCM), `key=value`: bands, calibration, what a site changed.
    /// The hash of the weights and the marking thresholds are written without being listed here.
    pub parameters: &'a [String],
    /// Which it is of the data sets that came under the SOP Instance UIDs of the sources, from 1. Each has results of
    /// its own.
    pub source_version: u32,
    /// The objects of the result that this one revises; none for a first one. Each report names the one of its own
    /// SOP class among them.
    pub revises: &'a [ObjectReference],
    /// What the one frame is compared with; results on several frames are not compared.
    pub comparison: Comparison<'a>,
}

impl<'a> ReportInput<'a> {
    /// The findings of this kind, each once, with the highest certainty of any frame.
    pub(crate) fn most_certain(&self, is_meant: impl Fn(&Finding) -> bool) -> Vec<&'a Finding> {
        let mut highest: Vec<&Finding> = Vec::new();
        let findings = self.sources.iter().flat_map(|source| source.findings());
        for finding in findings.filter(|finding| is_meant(finding)) {
            match highest.iter_mut().find(|known| known.name == finding.name) {
                Some(known) if known.probability < finding.probability => *known = finding,
                Some(_) => {}
                None => highest.push(finding),
            }
        }
        highest
    }
}

/// One frame and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct SourceImage<'a> {
    /// The image's header.
    pub header: &'a Dataset,
    /// Referenced Frame Number (0008,1160), from 1; `None` for a single-frame image.
    pub frame: Option<u32>,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// What came of one frame.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// The model ran; one entry per condition it knows, present or not.
    Analysed(&'a [Finding]),
    /// The image is not one for this model, or could not be read.
    Declined(&'a DeclineReason),
    /// The model should have run and did not; in a person's words, without patient attributes.
    Failed(&'a str),
}

impl<'a> SourceImage<'a> {
    /// A frame the model ran on.
    #[must_use]
    pub fn analysed(header: &'a Dataset, frame: Option<u32>, findings: &'a [Finding]) -> Self {
        Self { header, frame, outcome: Outcome::Analysed(findings) }
    }

    /// A frame that is not one for the model.
    #[must_use]
    pub fn declined(header: &'a Dataset, frame: Option<u32>, reason: &'a DeclineReason) -> Self {
        Self { header, frame, outcome: Outcome::Declined(reason) }
    }

    /// A frame the model failed on.
    #[must_use]
    pub fn failed(header: &'a Dataset, frame: Option<u32>, reason: &'a str) -> Self {
        Self { header, frame, outcome: Outcome::Failed(reason) }
    }

    /// The findings; none when the model did not run.
    #[must_use]
    pub fn findings(&self) -> &'a [Finding] {
        match self.outcome {
            Outcome::Analysed(findings) => findings,
            Outcome::Declined(_) | Outcome::Failed(_) => &[],
        }
    }
}

/// How an explanation map came about (PS3.16 CID 217).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Explanation {
    /// Class activation: feature maps weighted by the classifier.
    #[default]
    ClassActivation,
    /// Class activation weighted by gradients.
    GradientClassActivation,
    /// Gradient of the output by the input.
    Saliency,
    /// Change of the output when parts of the input are hidden. The context group has no code of its own
    /// for it; it is coded as saliency and described in words.
    Occlusion,
    /// The network itself puts the map out.
    ModelOutput,
    /// No map.
    None,
}

/// The SOP classes the report's tree is legal in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrClass {
    /// Comprehensive 3D SR Storage (PS3.3 A.35.13).
    Comprehensive3D,
    /// Comprehensive SR Storage (PS3.3 A.35.3).
    Comprehensive,
    /// Enhanced SR Storage (PS3.3 A.35.2).
    Enhanced,
}

impl SrClass {
    /// The order in which to try them at a destination.
    pub const PREFERENCE: [Self; 3] = [Self::Comprehensive3D, Self::Comprehensive, Self::Enhanced];

    /// The SOP Class UID.
    #[must_use]
    pub fn uid(self) -> &'static str {
        match self {
            Self::Comprehensive3D => uids::COMPREHENSIVE3_DSR_STORAGE,
            Self::Comprehensive => uids::COMPREHENSIVE_SR_STORAGE,
            Self::Enhanced => uids::ENHANCED_SR_STORAGE,
        }
    }

    /// The class with this SOP Class UID.
    #[must_use]
    pub fn from_uid(uid: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|class| class.uid() == uid)
    }
}

/// A result object that was made before, in the study of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReference {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Series Instance UID.
    pub series_instance: Uid,
}

impl ObjectReference {
    /// The object with these UIDs, if all of them are some.
    #[must_use]
    pub fn parse(sop_class: &str, sop_instance: &str, series_instance: &str) -> Option<Self> {
        Some(Self {
            sop_class: Uid::new(sop_class).ok()?,
            sop_instance: Uid::new(sop_instance).ok()?,
            series_instance: Uid::new(series_instance).ok()?,
        })
    }
}

/// A result object, ready to be kept and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// SOP Class UID.
    pub sop_class: Uid,
    /// SOP Instance UID.
    pub sop_instance: Uid,
    /// Series Instance UID.
    pub series_instance: Uid,
    /// The Part 10 file in Explicit VR Little Endian.
    pub bytes: Vec<u8>,
}
