//! `model.toml`: what a package says of its network, as data.
//!
//! Unknown keys are errors. Every error names the file, line, column and key, and the values that
//! would be right ([`ManifestError`]).

mod check;
mod locate;
mod requirement;

use dokuei_pixels::InputSpec;
use dokuei_types::{Band, Code, ContentQualification, ModelIdentity, Uid};
use serde::{Deserialize, Serialize};

pub use locate::ManifestError;
pub use requirement::Requirement;

/// A checked `model.toml`.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Who made the network, which release this is, what it is for.
    pub model: Identity,
    /// Which images it may look at.
    pub accepts: Accepts,
    /// The names of the graph's tensors.
    pub graph: GraphNames,
    /// How an image becomes the input tensor `[1, channels, height, width]`.
    pub input: InputSpec,
    /// What the network says of an image, in the order of the file.
    pub findings: Vec<FindingSpec>,
    /// Where the explanation map comes from.
    pub explanation: Explanation,
    /// How a map becomes outlines.
    pub regions: RegionOptions,
    /// The vector that shows, at every load, that the network still computes what its maker saw.
    pub self_test: Option<SelfTest>,
}

impl Manifest {
    /// Reads and checks the text of a `model.toml`; `file` is the name that errors show.
    ///
    /// # Errors
    /// [`ManifestError`]: not TOML, an unknown or missing key, or a value outside its range.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        let raw: check::Raw = toml::from_str(text).map_err(|error| locate::syntax(file, text, &error))?;
        raw.check().map_err(|fault| locate::fault(file, text, &fault))
    }

    /// What reports say of the algorithm (PS3.16 TID 4019).
    #[must_use]
    pub fn identity(&self) -> ModelIdentity {
        ModelIdentity {
            name: self.model.name.clone(),
            version: self.model.version.clone(),
            vendor: self.model.vendor.clone(),
            device_uid: self.model.device_uid.clone(),
            weights_sha256: self.model.weights_sha256.clone(),
            qualification: self.model.qualification,
        }
    }
}

/// `[model]`: identity and purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// 1 to 64 of `a-z`, `0-9`, `-`: what routes refer to and reports call the algorithm.
    pub name: String,
    /// The release, 1 to 64 characters.
    pub version: String,
    /// Who answers for it, 1 to 64 characters.
    pub vendor: String,
    /// SPDX expression of the licence of the weights.
    pub licence: String,
    /// Device UID of the algorithm, another one for every release (PS3.5 § 9.1).
    pub device_uid: Uid,
    /// SHA-256 of `model.onnx`, 64 lower-case hexadecimal digits.
    pub weights_sha256: String,
    /// What the network is for and what it is not, in words.
    pub intended_use: String,
    /// `research` or `product`; a product must carry a self-test.
    pub qualification: ContentQualification,
}

/// `[accepts]`: which images the network may look at. Everything absent means no limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accepts {
    /// Conditions over the image's attributes; all must hold.
    pub when: Vec<Requirement>,
    /// Fewest rows of the source frame.
    pub min_rows: Option<u32>,
    /// Fewest columns of the source frame.
    pub min_columns: Option<u32>,
    /// Largest ratio of the longer to the shorter side of the source frame, 1 or more.
    pub max_aspect: Option<f64>,
    /// Fewest bits stored per sample.
    pub min_bits_stored: Option<u16>,
    /// Smallest distance between the 5th and the 95th percentile of the prepared pixels, 0 to 1.
    pub min_contrast: Option<f64>,
    /// Largest share of prepared pixels that are black or white, 0 to 1.
    pub max_saturated: Option<f64>,
    /// How unlike the images it was made for an image may be, by the network's own measure.
    pub familiarity: Option<Familiarity>,
}

/// `[accepts.familiarity]`: a further output of the graph, one number an image, the higher the less the image
/// looks like those the network was made for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Familiarity {
    /// The tensor with that number: one element.
    pub output: String,
    /// The highest number of an image that is looked at.
    pub at_most: f32,
    /// Why an image beyond it is declined, for people, as the rest of a sentence that begins with the image.
    pub reason: String,
}

/// `[graph]`: the names of tensors in `model.onnx`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphNames {
    /// The graph's one input.
    pub input: String,
    /// The tensor whose elements the findings index.
    pub output: String,
}

/// One `[[finding]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingSpec {
    /// 1 to 64 of `a-z`, `0-9`, `-`, `_`, unique in the file.
    pub name: String,
    /// Which element of the graph's output.
    pub index: usize,
    /// What makes a probability of that element.
    pub activation: Activation,
    /// What makes the probability an honest one; absent means as it is.
    pub calibration: Option<Calibration>,
    /// The coded condition.
    pub concept: Code,
    /// The coded anatomic site.
    pub site: Option<Code>,
    /// The limits of the confidence bands.
    pub bands: Bands,
    /// The probability from which regions are marked, 0 to 1.
    pub marking_threshold: f32,
}

/// What makes a probability of a network's raw output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// 1 / (1 + e^-z).
    Sigmoid,
    /// e^z over the sum of e^z of all elements of the output.
    Softmax,
    /// The graph gives a probability already.
    None,
}

/// What makes a probability agree with how often it is right. None of them can reverse an order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibration {
    /// p = sigmoid(a z + b) over the logit z.
    Platt(Platt),
    /// The logits divided by this before the activation; above 0.
    Temperature(f64),
    /// Points `[p, calibrated]`, joined by straight lines, constant outside the first and the last.
    Points(Vec<[f64; 2]>),
}

/// The two numbers of Platt's scaling.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    /// Slope, above 0.
    pub a: f64,
    /// Offset.
    pub b: f64,
}

/// The limits of the confidence bands: Low below `medium`, High from `high` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    /// From this probability on, Medium.
    pub medium: f32,
    /// From this probability on, High.
    pub high: f32,
}

impl Bands {
    /// The band of a probability.
    #[must_use]
    pub fn of(&self, probability: f32) -> Band {
        if probability >= self.high {
            Band::High
        } else if probability >= self.medium {
            Band::Medium
        } else {
            Band::Low
        }
    }
}

/// `[explanation]`: where the map comes from that shows what a finding rests on.
#[derive(Debug, Clone, PartialEq)]
pub enum Explanation {
    /// Class activation map: relu of the classifier's weights times the last feature map.
    Cam {
        /// Name of the feature map's tensor, `[1, C, h, w]`.
        features: String,
        /// Where the classifier's weights are.
        weights: CamWeights,
        /// The value that means 1; absent: the largest of the image's own map.
        full_scale: Option<f32>,
    },
    /// The graph gives the map itself.
    Output {
        /// Name of the map's tensor, `[1, F, h, w]`, F being 1 or the number of findings.
        map: String,
        /// Whether a sigmoid is still to be applied.
        sigmoid: bool,
        /// The value that means 1.
        full_scale: f32,
    },
    /// How far the probability falls when a patch is hidden; works for any network.
    Occlusion {
        /// Side of the hidden square, in pixels of the tensor.
        patch: usize,
        /// Distance between squares, in pixels of the tensor; divides its height and width.
        stride: usize,
        /// What hides, as a value of the tensor.
        fill: f32,
        /// The fall of probability that means 1; absent: the largest of the image's own map.
        full_scale: Option<f32>,
    },
    /// No map.
    None,
}

impl Explanation {
    /// The word of the manifest's `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cam { .. } => "cam",
            Self::Output { .. } => "output",
            Self::Occlusion { .. } => "occlusion",
            Self::None => "none",
        }
    }
}

/// Where a class activation map's weights are, one row for each element of the graph's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CamWeights {
    /// An initializer of the graph, `[K, C]` or `[C, K]`.
    Initializer(String),
    /// A file of the package, `.npy`, `[K, C]`.
    File(String),
}

/// `[explanation.regions]`: how a map becomes outlines.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionOptions {
    /// Share of the map's own peak from which a place belongs to a region, above 0, at most 1.
    pub threshold: f32,
    /// A place with less than this never belongs to a region, 0 to 1.
    pub floor: f32,
    /// Standard deviation of the Gaussian applied before outlining, in cells of the map, 0 to 8.
    pub smoothing: f32,
    /// Smallest region, as share of the source frame's area, 0 to 1.
    pub min_area: f32,
    /// Most regions of one finding, 1 to 64.
    pub max_count: usize,
    /// How far a simplified outline may leave the exact one, in cells of the map, 0 to 8.
    pub simplify: f32,
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self { threshold: 0.5, floor: 0.05, smoothing: 0.7, min_area: 0.003, max_count: 4, simplify: 0.3 }
    }
}

/// `[selftest]`: one input, what must come out, and how close.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// `.npy` of the package, `[1, channels, height, width]`.
    pub input: String,
    /// `.npy` of the package: the graph's raw output for it.
    pub output: String,
    /// `.npy` of the package, `[findings, h, w]`: the maps, 0 to 1.
    pub maps: Option<String>,
    /// The calibrated probabilities, one per finding.
    pub probabilities: Option<Vec<f32>>,
    /// The number of `[accepts.familiarity]`.
    pub unfamiliarity: Option<f32>,
    /// Largest absolute difference allowed.
    pub tolerance: f32,
}

/// What a site may change of a model without touching its package.
///
/// In the node's configuration: `[model.finding.pneumonia]` with `bands` and `marking_threshold`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// By the finding's name.
    pub finding: std::collections::BTreeMap<String, FindingOverride>,
}

/// What a site may change of one finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FindingOverride {
    /// Other limits of the confidence bands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bands: Option<Bands>,
    /// Another probability from which regions are marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marking_threshold: Option<f32>,
}

/// Why a site's overrides cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OverrideError {
    /// The model has no such finding.
    #[error("override for the finding `{finding}`: the model has only {}", .known.join(", "))]
    UnknownFinding {
        /// As the site wrote it.
        finding: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A value outside its range.
    #[error("override for the finding `{finding}`: `{key}` {problem}")]
    Value {
        /// The finding.
        finding: String,
        /// The key, such as `bands`.
        key: &'static str,
        /// What would be right.
        problem: String,
    },
}

impl Overrides {
    /// Puts the site's values in place of the manifest's.
    ///
    /// # Errors
    /// [`OverrideError`]: an unknown finding, or a value that the manifest could not have either.
    pub fn apply(&self, manifest: &mut Manifest) -> Result<(), OverrideError> {
        for (name, change) in &self.finding {
            let known = || manifest.findings.iter().map(|finding| finding.name.clone()).collect();
            let Some(index) = manifest.findings.iter().position(|finding| finding.name == *name) else {
                return Err(OverrideError::UnknownFinding { finding: name.clone(), known: known() });
            };
            let refuse = |key, problem| OverrideError::Value { finding: name.clone(), key, problem };
            let Some(finding) = manifest.findings.get_mut(index) else { continue };
            if let Some(bands) = change.bands {
                check::bands(&bands).map_err(|problem| refuse("bands", problem))?;
                finding.bands = bands;
            }
            if let Some(threshold) = change.marking_threshold {
                check::share(f64::from(threshold)).map_err(|problem| refuse("marking_threshold", problem))?;
                finding.marking_threshold = threshold;
            }
        }
        Ok(())
    }
}
