use std::collections::BTreeMap;
use std::time::Duration;

use dokuei_types::Band;
use ndarray::Array4;
use serde::Serialize;

use crate::engine::inspect;
use crate::error::LoadError;
use crate::manifest::{Explanation, Overrides};
use crate::model::Model;
use crate::package::Package;
use crate::self_test::Deviation;

/// What loading and one run of a package showed.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// The model's name.
    pub name: String,
    /// Its release.
    pub version: String,
    /// SHA-256 of `model.onnx`, as found and as the manifest says.
    pub weights_sha256: String,
    /// Bytes of `model.onnx`.
    pub weights_bytes: usize,
    /// Version of the ONNX operators.
    pub opset: i64,
    /// The operators of the graph, each with how often it occurs; the engine has all of them.
    pub operators: BTreeMap<String, usize>,
    /// The input tensor, `[1, channels, height, width]`.
    pub input: [usize; 4],
    /// From the package in memory to a checked model, the self-test included.
    pub load: Duration,
    /// One run of the network with its explanation, buffers warm.
    pub run: Duration,
    /// How far the self-test was off; `None` when the package has none.
    pub self_test: Option<Deviation>,
    /// Names and shapes of the tensors a run computes.
    pub outputs: Vec<(String, Vec<usize>)>,
    /// The explanation's kind.
    pub explanation: &'static str,
    /// What came out for the self-test's input, or a blank one.
    pub findings: Vec<VerifiedFinding>,
    /// How familiar that input is, where the manifest asks.
    pub familiarity: Option<VerifiedFamiliarity>,
    /// What is allowed and yet should not stay so.
    pub warnings: Vec<String>,
}

/// The number of `[accepts.familiarity]` in a [`VerifyReport`], and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VerifiedFamiliarity {
    /// What came out.
    pub unfamiliarity: f32,
    /// Up to here an image is looked at.
    pub at_most: f32,
}

/// One finding of a [`VerifyReport`].
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedFinding {
    /// Its name.
    pub name: String,
    /// Its calibrated probability.
    pub probability: f32,
    /// The band that falls into.
    pub band: Band,
}

/// Loads a package and runs it once. `elapsed` is the caller's monotonic clock.
///
/// # Errors
/// [`LoadError`]: what makes the package unusable.
pub fn verify(
    package: Package,
    overrides: &Overrides,
    elapsed: &dyn Fn() -> Duration,
) -> Result<VerifyReport, LoadError> {
    let weights_bytes = package.network.len();
    let mut warnings = Vec::new();
    if package.card.is_none() {
        warnings.push("there is no MODEL_CARD.md: nobody can see what the model was measured on".into());
    }
    if package.manifest.self_test.is_none() {
        warnings.push("there is no [selftest]: nothing shows that it computes here what its maker saw".into());
    }
    if package.manifest.accepts.when.is_empty() {
        warnings.push("[accepts] has no `when`: the model takes images of any kind".into());
    }
    if let Explanation::Cam { full_scale: None, .. } | Explanation::Occlusion { full_scale: None, .. } =
        &package.manifest.explanation
    {
        warnings.push("[explanation] has no `full_scale`: weak evidence is drawn as strong as the strongest".into());
    }
    let inspection = inspect(&package.network)?;
    let spec = &package.manifest.input;
    let shape = (1, spec.channels, spec.height, spec.width);
    let input = package.manifest.self_test.as_ref().and_then(|test| package.tensors.get(&test.input));
    let input = input.and_then(|tensor| Array4::from_shape_vec(shape, tensor.values.clone()).ok());
    let input = input.unwrap_or_else(|| Array4::zeros(shape));

    let start = elapsed();
    let model = Model::load(package, overrides)?;
    let load = elapsed().saturating_sub(start);
    let mut session = model.session()?;
    session.compute(&input)?;
    let start = elapsed();
    let computed = session.compute(&input)?;
    let run = elapsed().saturating_sub(start);
    let findings = model.manifest().findings.iter().zip(&computed.probabilities);
    if let Some((name, shape)) = model.output_of_many_axes() {
        warnings.push(format!(
            "`{name}` has the shape {shape:?}: more than a number for each finding, and one of them is taken"
        ));
    }
    let limit = model.manifest().accepts.familiarity.as_ref().map(|familiarity| familiarity.at_most);
    let familiarity = computed.unfamiliarity.zip(limit);
    let familiarity = familiarity.map(|(unfamiliarity, at_most)| VerifiedFamiliarity { unfamiliarity, at_most });
    Ok(VerifyReport {
        name: model.identity().name.clone(),
        version: model.identity().version.clone(),
        weights_sha256: model.identity().weights_sha256.clone(),
        weights_bytes,
        opset: inspection.opset,
        operators: inspection.operators,
        input: shape.into(),
        load,
        run,
        self_test: model.self_test().copied(),
        outputs: model.outputs().to_vec(),
        explanation: model.manifest().explanation.kind(),
        findings: findings
            .map(|(finding, probability)| VerifiedFinding {
                name: finding.name.clone(),
                probability: *probability,
                band: finding.bands.of(*probability),
            })
            .collect(),
        familiarity,
        warnings,
    })
}
