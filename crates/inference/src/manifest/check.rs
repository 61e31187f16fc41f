//! The rules a `model.toml` must keep beyond its types.

use std::collections::HashSet;
use std::path::{Component, Path};

use dokuei_pixels::{InputSpec, SpecError};
use dokuei_types::{Code, ContentQualification};
use serde::Deserialize;

use super::locate::Fault;
use super::{
    Accepts, Bands, Calibration, CamWeights, Explanation, FindingSpec, GraphNames, Identity, Manifest, RegionOptions,
    SelfTest,
};

/// The one version of the file format there is.
const FORMAT: u32 = 1;
/// Longest reason to decline an image.
const REASON_CHARACTERS_MAX: usize = 200;
/// Most findings of one model.
const FINDINGS_MAX: usize = 256;
/// Most runs of the network for one occlusion map.
const OCCLUSION_RUNS_MAX: usize = 1024;

/// `model.toml` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    format: u32,
    model: Identity,
    #[serde(default)]
    accepts: Accepts,
    graph: GraphNames,
    input: InputSpec,
    finding: Vec<FindingSpec>,
    #[serde(default)]
    explanation: RawExplanation,
    selftest: Option<SelfTest>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Cam,
    Output,
    Occlusion,
    #[default]
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MapActivation {
    None,
    Sigmoid,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExplanation {
    kind: Kind,
    features: Option<String>,
    weights: Option<String>,
    weights_file: Option<String>,
    map: Option<String>,
    activation: Option<MapActivation>,
    patch: Option<usize>,
    stride: Option<usize>,
    fill: Option<f32>,
    full_scale: Option<f32>,
    #[serde(default)]
    regions: RegionOptions,
}

impl Raw {
    pub(super) fn check(self) -> Result<Manifest, Fault> {
        if self.format != FORMAT {
            return Err(Fault::new("format", format!("must be {FORMAT}, not {}", self.format)));
        }
        identity(&self.model)?;
        accepts(&self.accepts)?;
        input(&self.input)?;
        if self.graph.input.is_empty() || self.graph.output.is_empty() || self.graph.input == self.graph.output {
            return Err(Fault::new("graph", "`input` and `output` must be two tensor names"));
        }
        familiarity(&self.accepts, &self.graph)?;
        findings(&self.finding)?;
        regions(&self.explanation.regions)?;
        let regions = self.explanation.regions;
        let explanation = self.explanation.check(&self.input)?;
        match &self.selftest {
            Some(test) => self_test(test, self.finding.len(), &self.accepts)?,
            None if self.model.qualification == ContentQualification::Product => {
                return Err(Fault::new("model.qualification", "a `product` must carry a [selftest]"));
            }
            None => {}
        }
        Ok(Manifest {
            model: self.model,
            accepts: self.accepts,
            graph: self.graph,
            input: self.input,
            findings: self.finding,
            explanation,
            regions,
            self_test: self.selftest,
        })
    }
}

fn identity(model: &Identity) -> Result<(), Fault> {
    name("model.name", &model.name, "-")?;
    // LO, 64 characters (PS3.5 § 6.2): Manufacturer and Software Versions of the result objects.
    for (key, value) in [("model.version", &model.version), ("model.vendor", &model.vendor)] {
        text(key, value, 64)?;
    }
    text("model.licence", &model.licence, 256)?;
    text("model.intended_use", &model.intended_use, 4096)?;
    let sha = &model.weights_sha256;
    if sha.len() != 64 || !sha.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Fault::new("model.weights_sha256", "must be 64 lower-case hexadecimal digits"));
    }
    Ok(())
}

fn accepts(accepts: &Accepts) -> Result<(), Fault> {
    for (index, requirement) in accepts.when.iter().enumerate() {
        if requirement.condition.trim().is_empty() {
            return Err(Fault::new(format!("accepts.when[{index}]"), "must be a CEL expression, not empty"));
        }
        let key = format!("accepts.when[{index}].reason");
        requirement.reason.as_ref().map_or(Ok(()), |reason| text(&key, reason, REASON_CHARACTERS_MAX))?;
    }
    if accepts.max_aspect.is_some_and(|aspect| !(aspect.is_finite() && aspect >= 1.0)) {
        return Err(Fault::new("accepts.max_aspect", "must be 1 or more: the longer side over the shorter"));
    }
    for (key, value) in
        [("accepts.min_contrast", accepts.min_contrast), ("accepts.max_saturated", accepts.max_saturated)]
    {
        value.map_or(Ok(()), share).map_err(|problem| Fault::new(key, problem))?;
    }
    Ok(())
}

fn familiarity(accepts: &Accepts, graph: &GraphNames) -> Result<(), Fault> {
    let Some(familiarity) = &accepts.familiarity else { return Ok(()) };
    if familiarity.output.is_empty() || [&graph.input, &graph.output].contains(&&familiarity.output) {
        return Err(Fault::new("accepts.familiarity.output", "must be a tensor of its own"));
    }
    if !familiarity.at_most.is_finite() {
        return Err(Fault::new("accepts.familiarity.at_most", "must be a finite number"));
    }
    text("accepts.familiarity.reason", &familiarity.reason, REASON_CHARACTERS_MAX)
}

fn input(input: &InputSpec) -> Result<(), Fault> {
    input.check().map_err(|error| {
        let key = match &error {
            SpecError::Channels(_) => "channels",
            SpecError::Range { name: "rescaled", .. } => "intensity",
            SpecError::Size { name, .. }
            | SpecError::Count { name, .. }
            | SpecError::Value { name, .. }
            | SpecError::Range { name, .. } => name,
        };
        Fault::new(format!("input.{key}"), error.to_string())
    })
}

fn findings(findings: &[FindingSpec]) -> Result<(), Fault> {
    if !(1..=FINDINGS_MAX).contains(&findings.len()) {
        return Err(Fault::new("finding", format!("there must be 1 to {FINDINGS_MAX}, not {}", findings.len())));
    }
    let mut names = HashSet::new();
    for (index, finding) in findings.iter().enumerate() {
        let key = |rest: &str| format!("finding[{index}].{rest}");
        name(&key("name"), &finding.name, "-_")?;
        if !names.insert(&finding.name) {
            return Err(Fault::new(key("name"), format!("`{}` is there twice", finding.name)));
        }
        code(&key("concept"), &finding.concept)?;
        finding.site.as_ref().map_or(Ok(()), |site| code(&key("site"), site))?;
        bands(&finding.bands).map_err(|problem| Fault::new(key("bands"), problem))?;
        share(f64::from(finding.marking_threshold)).map_err(|problem| Fault::new(key("marking_threshold"), problem))?;
        finding.calibration.as_ref().map_or(Ok(()), |calibration| {
            check_calibration(calibration).map_err(|problem| Fault::new(key("calibration"), problem))
        })?;
    }
    Ok(())
}

fn check_calibration(calibration: &Calibration) -> Result<(), String> {
    match calibration {
        Calibration::Platt(platt) if !(platt.a.is_finite() && platt.a > 0.0 && platt.b.is_finite()) => {
            Err("`platt` needs a finite `b` and an `a` above 0".into())
        }
        Calibration::Temperature(temperature) if !(temperature.is_finite() && *temperature > 0.0) => {
            Err(format!("`temperature` must be above 0, not {temperature}"))
        }
        Calibration::Points(points) => check_points(points),
        Calibration::Platt(_) | Calibration::Temperature(_) => Ok(()),
    }
}

fn check_points(points: &[[f64; 2]]) -> Result<(), String> {
    if !(2..=1024).contains(&points.len()) {
        return Err(format!("`points` needs 2 to 1024 pairs, not {}", points.len()));
    }
    if points.iter().flatten().any(|value| share(*value).is_err()) {
        return Err("`points` must lie between 0 and 1".into());
    }
    let rising = points.iter().zip(points.iter().skip(1)).all(|(one, next)| one[0] < next[0] && one[1] <= next[1]);
    if rising { Ok(()) } else { Err("`points` must rise: the first number always, the second never falls".into()) }
}

pub(super) fn bands(bands: &Bands) -> Result<(), String> {
    if 0.0 < bands.medium && bands.medium < bands.high && bands.high <= 1.0 {
        Ok(())
    } else {
        Err(format!("must keep 0 < medium < high <= 1, not medium = {}, high = {}", bands.medium, bands.high))
    }
}

pub(super) fn share(value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(format!("must be between 0 and 1, not {value}")) }
}

fn code(key: &str, code: &Code) -> Result<(), Fault> {
    // SH, SH, LO (PS3.3 table 8.8-1a).
    text(&format!("{key}.value"), &code.value, 16)?;
    text(&format!("{key}.scheme"), &code.scheme, 16)?;
    text(&format!("{key}.meaning"), &code.meaning, 64)
}

fn regions(regions: &RegionOptions) -> Result<(), Fault> {
    let range = |key: &str, value: f32, low: f32, high: f32| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(Fault::new(format!("explanation.regions.{key}"), format!("must be between {low} and {high}, not {value}")))
    };
    range("threshold", regions.threshold, 0.01, 1.0)?;
    range("floor", regions.floor, 0.0, 1.0)?;
    range("smoothing", regions.smoothing, 0.0, 8.0)?;
    range("min_area", regions.min_area, 0.0, 1.0)?;
    range("simplify", regions.simplify, 0.0, 8.0)?;
    if !(1..=64).contains(&regions.max_count) {
        return Err(Fault::new("explanation.regions.max_count", "must be between 1 and 64"));
    }
    Ok(())
}

impl RawExplanation {
    /// Keys of another kind are errors too: they would be silently without effect.
    fn check(self, input: &InputSpec) -> Result<Explanation, Fault> {
        let (kind, allowed): (_, &[&str]) = match self.kind {
            Kind::Cam => ("cam", &["features", "weights", "weights_file", "full_scale"]),
            Kind::Output => ("output", &["map", "activation", "full_scale"]),
            Kind::Occlusion => ("occlusion", &["patch", "stride", "fill", "full_scale"]),
            Kind::None => ("none", &[]),
        };
        let present = [
            ("features", self.features.is_some()),
            ("weights", self.weights.is_some()),
            ("weights_file", self.weights_file.is_some()),
            ("map", self.map.is_some()),
            ("activation", self.activation.is_some()),
            ("patch", self.patch.is_some()),
            ("stride", self.stride.is_some()),
            ("fill", self.fill.is_some()),
            ("full_scale", self.full_scale.is_some()),
        ];
        if let Some((key, _)) = present.iter().find(|(key, there)| *there && !allowed.contains(key)) {
            let problem = format!("does not belong to the kind `{kind}`, which has: {}", allowed.join(", "));
            return Err(Fault::new(format!("explanation.{key}"), problem));
        }
        if self.full_scale.is_some_and(|scale| !(scale.is_finite() && scale > 0.0)) {
            return Err(Fault::new("explanation.full_scale", "must be above 0"));
        }
        match self.kind {
            Kind::Cam => self.cam(),
            Kind::Output => Ok(Explanation::Output {
                map: required("explanation.map", self.map)?,
                sigmoid: self.activation == Some(MapActivation::Sigmoid),
                full_scale: self.full_scale.unwrap_or(1.0),
            }),
            Kind::Occlusion => self.occlusion(input),
            Kind::None => Ok(Explanation::None),
        }
    }

    fn cam(self) -> Result<Explanation, Fault> {
        let weights = match (self.weights, self.weights_file) {
            (Some(name), None) => CamWeights::Initializer(name),
            (None, Some(file)) => {
                path("explanation.weights_file", &file)?;
                CamWeights::File(file)
            }
            _ => return Err(Fault::new("explanation", "`cam` needs either `weights` or `weights_file`")),
        };
        let features = required("explanation.features", self.features)?;
        Ok(Explanation::Cam { features, weights, full_scale: self.full_scale })
    }

    fn occlusion(self, input: &InputSpec) -> Result<Explanation, Fault> {
        let patch = required("explanation.patch", self.patch)?;
        let stride = required("explanation.stride", self.stride)?;
        let fill = self.fill.unwrap_or(0.0);
        if stride == 0 || !input.height.is_multiple_of(stride) || !input.width.is_multiple_of(stride) {
            let problem = format!("must divide the tensor's height {} and width {}", input.height, input.width);
            return Err(Fault::new("explanation.stride", problem));
        }
        if patch < stride || patch > input.height.min(input.width) {
            return Err(Fault::new("explanation.patch", "must be at least `stride` and fit into the tensor"));
        }
        let runs = (input.height / stride).saturating_mul(input.width / stride);
        if runs > OCCLUSION_RUNS_MAX {
            let problem = format!("gives {runs} runs for an image, more than {OCCLUSION_RUNS_MAX}: take a larger one");
            return Err(Fault::new("explanation.stride", problem));
        }
        if !fill.is_finite() {
            return Err(Fault::new("explanation.fill", "must be a finite number"));
        }
        Ok(Explanation::Occlusion { patch, stride, fill, full_scale: self.full_scale })
    }
}

fn self_test(test: &SelfTest, findings: usize, accepts: &Accepts) -> Result<(), Fault> {
    path("selftest.input", &test.input)?;
    path("selftest.output", &test.output)?;
    test.maps.as_ref().map_or(Ok(()), |file| path("selftest.maps", file))?;
    if !(test.tolerance.is_finite() && test.tolerance > 0.0) {
        return Err(Fault::new("selftest.tolerance", "must be above 0"));
    }
    if let Some(values) = &test.probabilities
        && (values.len() != findings || values.iter().any(|value| share(f64::from(*value)).is_err()))
    {
        return Err(Fault::new("selftest.probabilities", format!("needs {findings} numbers between 0 and 1")));
    }
    if test.unfamiliarity.is_some_and(|value| !value.is_finite() || accepts.familiarity.is_none()) {
        return Err(Fault::new("selftest.unfamiliarity", "must be a finite number, and needs [accepts.familiarity]"));
    }
    Ok(())
}

fn required<T>(key: &str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::new(key, "is missing"))
}

fn name(key: &str, value: &str, others: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
    if (1..=64).contains(&value.len()) && value.chars().all(fits) {
        return Ok(());
    }
    let others = others.chars().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    Err(Fault::new(key, format!("must be 1 to 64 of a-z, 0-9, {others}, not {value:?}")))
}

fn text(key: &str, value: &str, characters_max: usize) -> Result<(), Fault> {
    let count = value.trim().chars().count();
    let controls = value.chars().any(|c| c.is_control() && c != '\n');
    if (1..=characters_max).contains(&count) && !controls && !value.contains('\\') {
        return Ok(());
    }
    let problem = format!("must have 1 to {characters_max} characters, no backslash, no control character");
    Err(Fault::new(key, problem))
}

/// A file inside the package, never outside of it.
fn path(key: &str, value: &str) -> Result<(), Fault> {
    let inside = Path::new(value).components().all(|part| matches!(part, Component::Normal(_)));
    if !value.is_empty() && inside && !value.contains('\\') {
        return Ok(());
    }
    Err(Fault::new(key, format!("must be a file inside the package, such as \"selftest/input.npy\", not {value:?}")))
}
