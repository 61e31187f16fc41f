use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use dokuei_pixels::{Geometry, Prepared};
use dokuei_types::{Finding, ModelIdentity};
use ndarray::{Array2, Array4};
use sha2::{Digest as _, Sha256};

use crate::calibration::{is_plausible, probability};
use crate::engine::{Engine, EngineSession, Initializer, Request};
use crate::error::{InferError, LoadError};
use crate::explain::{self, Occlusion};
use crate::manifest::{Activation, CamWeights, Explanation, FindingSpec, Manifest, Overrides};
use crate::npy::Tensor;
use crate::package::Package;
use crate::regions::{self, Place};
use crate::self_test::{self, Deviation};

/// A loaded network with its manifest. Cheap to clone; the weights are shared.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    identity: ModelIdentity,
    fingerprint: String,
    engine: Arc<Engine>,
    /// For `cam`: the weights of each finding, one per channel of the feature map.
    weights: Vec<Vec<f32>>,
    deviation: OnceLock<Deviation>,
}

/// One thread's use of a [`Model`]: its buffers. A worker keeps one for as long as it lives.
pub struct Session {
    model: Model,
    engine: EngineSession,
}

/// What a model says of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// One for each `[[finding]]`, in the manifest's order.
    pub findings: Vec<Finding>,
    /// One for each finding: the explanation map over the whole tensor, `[h, w]` in the network's own
    /// resolution, 0 to 1. `None` when the manifest gives none, or when an occlusion map was spared
    /// because no finding reached its marking threshold or the image is unfamiliar.
    pub maps: Vec<Option<Array2<f32>>>,
    /// The number of `[accepts.familiarity]`; beyond its limit the findings say nothing.
    pub unfamiliarity: Option<f32>,
}

/// What a model computes of a tensor alone.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInference {
    /// The graph's raw output.
    pub output: Vec<f32>,
    /// Calibrated, one for each `[[finding]]`.
    pub probabilities: Vec<f32>,
    /// As [`Inference::maps`].
    pub maps: Vec<Option<Array2<f32>>>,
}

impl Model {
    /// Loads the network of a package: hash, operators, names, shapes and self-test are checked, so
    /// that what loads also runs.
    ///
    /// `overrides` are the site's bands and marking thresholds.
    ///
    /// # Errors
    /// [`LoadError`], with the reason to tell a person.
    pub fn load(package: Package, overrides: &Overrides) -> Result<Self, LoadError> {
        let mut manifest = package.manifest;
        overrides.apply(&mut manifest)?;
        let actual = hex(&Sha256::digest(&package.network));
        if actual != manifest.model.weights_sha256 {
            return Err(LoadError::Hash { expected: manifest.model.weights_sha256, actual });
        }
        let input_shape = [1, manifest.input.channels, manifest.input.height, manifest.input.width];
        let (map_tensor, initializer) = match &manifest.explanation {
            Explanation::Cam { features, weights: CamWeights::Initializer(name), .. } => {
                (Some(features), Some(name.as_str()))
            }
            Explanation::Cam { features, .. } => (Some(features), None),
            Explanation::Output { map, .. } => (Some(map), None),
            Explanation::Occlusion { .. } | Explanation::None => (None, None),
        };
        let familiarity = manifest.accepts.familiarity.as_ref().map(|familiarity| &familiarity.output);
        let outputs = [&manifest.graph.output].into_iter().chain(map_tensor).chain(familiarity);
        let outputs: Vec<&str> = outputs.map(String::as_str).collect();
        let request = Request { input: &manifest.graph.input, input_shape, outputs: &outputs, initializer };
        let (engine, initializer) = Engine::load(&package.network, &request)?;
        check_shapes(&manifest, &engine)?;
        let weights = cam_weights(&manifest, &engine, initializer, &package.tensors)?;
        let model = Self {
            inner: Arc::new(Inner {
                identity: manifest.identity(),
                fingerprint: fingerprint(&package.manifest_text, overrides),
                manifest,
                engine,
                weights,
                deviation: OnceLock::new(),
            }),
        };
        if let Some(deviation) = self_test::check(&model, &package.tensors)? {
            model.inner.deviation.get_or_init(|| deviation);
        }
        Ok(model)
    }

    /// What reports say of the algorithm.
    #[must_use]
    pub fn identity(&self) -> &ModelIdentity {
        &self.inner.identity
    }

    /// The manifest, with the site's overrides in place.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// SHA-256 over the manifest (which holds that of the weights) and the site's overrides,
    /// hexadecimal: another value means that the same image may get another result.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// How far the self-test was off at load; `None` when the package has none.
    #[must_use]
    pub fn self_test(&self) -> Option<&Deviation> {
        self.inner.deviation.get()
    }

    /// Names and shapes of the tensors that a run computes: the output, the explanation's, that of
    /// `[accepts.familiarity]`.
    #[must_use]
    pub fn outputs(&self) -> &[(String, Vec<usize>)] {
        self.inner.engine.outputs()
    }

    /// The tensor of the findings and its shape, where that is more than a row of numbers, such as a mask or boxes.
    #[must_use]
    pub fn output_of_many_axes(&self) -> Option<&(String, Vec<usize>)> {
        self.outputs().first().filter(|(_, shape)| shape.iter().filter(|axis| **axis > 1).count() > 1)
    }

    /// A session for one worker thread.
    ///
    /// # Errors
    /// [`InferError::Engine`]: the engine cannot make its buffers.
    pub fn session(&self) -> Result<Session, InferError> {
        Ok(Session { model: self.clone(), engine: self.inner.engine.session()? })
    }
}

impl Session {
    /// The model this session runs.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Looks at one image. The same tensor gives the same bits on the same machine, whichever session
    /// runs it and whatever ran before.
    ///
    /// # Errors
    /// [`InferError`]: a tensor for another model, values that are not finite, or a fault of the
    /// engine, after which the session can be used again.
    pub fn run(&mut self, input: &Prepared) -> Result<Inference, InferError> {
        let Computed { probabilities, maps, unfamiliarity, .. } = self.compute(&input.tensor)?;
        let findings = self.model.inner.manifest.findings.iter().zip(&probabilities).zip(&maps);
        let findings = findings.map(|((spec, probability), map)| {
            let marked = *probability >= spec.marking_threshold;
            let map = map.as_ref().filter(|_| marked);
            self.finding(spec, *probability, map, &input.geometry)
        });
        Ok(Inference { findings: findings.collect(), maps, unfamiliarity })
    }

    fn finding(&self, spec: &FindingSpec, probability: f32, map: Option<&Array2<f32>>, geometry: &Geometry) -> Finding {
        let to_source = |x: f32, y: f32| geometry.to_source(x, y);
        let place = Place { tensor: geometry.tensor_size(), source: geometry.source_size(), to_source: &to_source };
        let options = &self.model.inner.manifest.regions;
        Finding {
            name: spec.name.clone(),
            concept: spec.concept.clone(),
            site: spec.site.clone(),
            probability,
            band: spec.bands.of(probability),
            marking_threshold: spec.marking_threshold,
            regions: map.map(|map| regions::outline(map, &place, options)).unwrap_or_default(),
        }
    }

    /// Output, probabilities and maps of a tensor that no source frame belongs to, as `models init` and
    /// benches have them. As [`Session::run`] without bands and regions.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_tensor(&mut self, tensor: &Array4<f32>) -> Result<TensorInference, InferError> {
        let Computed { output, probabilities, maps, .. } = self.compute(tensor)?;
        Ok(TensorInference { output, probabilities, maps })
    }

    /// Everything that does not depend on where the tensor came from.
    pub(crate) fn compute(&mut self, tensor: &Array4<f32>) -> Result<Computed, InferError> {
        let expected = self.model.inner.engine.input_shape();
        if tensor.shape() != expected {
            return Err(InferError::InputShape { expected: expected.to_vec(), actual: tensor.shape().to_vec() });
        }
        if !tensor.iter().all(|value| value.is_finite()) {
            return Err(InferError::InputNotFinite);
        }
        let values: Vec<f32> = tensor.iter().copied().collect();
        let mut outputs = self.engine.run(&values)?;
        let limit = self.model.inner.manifest.accepts.familiarity.as_ref().map(|familiarity| familiarity.at_most);
        let unfamiliarity = limit.and_then(|_| outputs.pop()?.values.first().copied());
        let mut outputs = outputs.into_iter();
        let output = outputs.next().map(|output| output.values).unwrap_or_default();
        let probabilities = self.probabilities(&output)?;
        let unfamiliar = unfamiliarity.zip(limit).is_some_and(|(value, limit)| value > limit);
        let maps = self.maps(&values, &probabilities, outputs.next().as_ref(), unfamiliar)?;
        Ok(Computed { output, probabilities, maps, unfamiliarity })
    }

    fn probabilities(&self, output: &[f32]) -> Result<Vec<f32>, InferError> {
        let tensor = || self.model.inner.manifest.graph.output.clone();
        let findings = self.model.inner.manifest.findings.iter();
        for finding in findings.clone() {
            let value = output.get(finding.index).copied().filter(|value| !is_plausible(finding, *value));
            if let Some(value) = value {
                return Err(InferError::NoProbability { tensor: tensor(), finding: finding.name.clone(), value });
            }
        }
        let probabilities: Option<Vec<f32>> = findings.map(|finding| probability(finding, output)).collect();
        probabilities.ok_or_else(|| InferError::OutputShape { tensor: tensor(), shape: vec![output.len()] }).and_then(
            |values| {
                if values.iter().all(|value| value.is_finite()) {
                    Ok(values)
                } else {
                    Err(InferError::OutputNotFinite { tensor: tensor() })
                }
            },
        )
    }

    fn maps(
        &mut self,
        input: &[f32],
        probabilities: &[f32],
        given: Option<&Tensor>,
        unfamiliar: bool,
    ) -> Result<Vec<Option<Array2<f32>>>, InferError> {
        let inner = Arc::clone(&self.model.inner);
        let count = probabilities.len();
        let maps = match (&inner.manifest.explanation, given) {
            (Explanation::Cam { full_scale, .. }, Some(features)) => {
                let maps = inner.weights.iter().map(|weights| explain::class_activation(features, weights));
                maps.map(|map| Some(explain::scaled(map, *full_scale))).collect()
            }
            (Explanation::Output { sigmoid, full_scale, .. }, Some(maps)) => {
                let maps = (0..count).map(|index| explain::given_map(maps, index, *sigmoid));
                maps.map(|map| Some(explain::scaled(map, Some(*full_scale)))).collect()
            }
            (Explanation::Occlusion { patch, stride, fill, full_scale }, _) if !unfamiliar => {
                let (height, width) = (inner.manifest.input.height, inner.manifest.input.width);
                let occlusion = Occlusion::new(height, width, *patch, *stride);
                self.occlusion(input, probabilities, &occlusion, *fill, *full_scale)?
            }
            _ => vec![None; count],
        };
        Ok(maps)
    }

    /// One run for each square. Spared when there is nothing to mark: it costs hundreds of runs.
    fn occlusion(
        &mut self,
        input: &[f32],
        probabilities: &[f32],
        occlusion: &Occlusion,
        fill: f32,
        full_scale: Option<f32>,
    ) -> Result<Vec<Option<Array2<f32>>>, InferError> {
        let findings = &self.model.inner.manifest.findings;
        if !findings.iter().zip(probabilities).any(|(finding, p)| *p >= finding.marking_threshold) {
            return Ok(vec![None; probabilities.len()]);
        }
        let mut costs = vec![Array2::<f32>::zeros(occlusion.cells()); probabilities.len()];
        let (rows, columns) = occlusion.cells();
        for cell in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let mut hidden = input.to_vec();
            occlusion.hide(&mut hidden, cell, fill);
            let output = self.engine.run(&hidden)?.into_iter().next().map(|output| output.values).unwrap_or_default();
            let without = self.probabilities(&output)?;
            for ((cost, before), after) in costs.iter_mut().zip(probabilities).zip(without) {
                cost[cell] = before - after;
            }
        }
        Ok(costs.iter().map(|costs| Some(explain::scaled(occlusion.map(costs), full_scale))).collect())
    }
}

/// A run's numbers, before anything of the source image enters.
pub(crate) struct Computed {
    /// The graph's raw output.
    pub(crate) output: Vec<f32>,
    /// Calibrated, one per finding.
    pub(crate) probabilities: Vec<f32>,
    /// As [`Inference::maps`].
    pub(crate) maps: Vec<Option<Array2<f32>>>,
    /// As [`Inference::unfamiliarity`].
    pub(crate) unfamiliarity: Option<f32>,
}

/// The output has an element for every finding, the map's tensor fits the explanation, and familiarity is one number.
fn check_shapes(manifest: &Manifest, engine: &Engine) -> Result<(), LoadError> {
    let mut outputs = engine.outputs().iter();
    let shape_error = |name: &str, expected: String, shape: &[usize]| LoadError::Shape {
        name: name.to_owned(),
        expected,
        actual: shape.iter().map(|axis| i64::try_from(*axis).unwrap_or(-1)).collect(),
    };
    if manifest.accepts.familiarity.is_some()
        && let Some((name, shape)) = outputs.next_back()
        && shape.iter().product::<usize>() != 1
    {
        return Err(shape_error(name, "one element, as [accepts.familiarity] asks for".to_owned(), shape));
    }
    if let Some((name, shape)) = outputs.next() {
        let elements: usize = shape.iter().product();
        if elements == 1 && manifest.findings.iter().any(|finding| finding.activation == Activation::Softmax) {
            return Err(shape_error(
                name,
                "two elements or more, as the activation `softmax` asks for".to_owned(),
                shape,
            ));
        }
        let largest = manifest.findings.iter().map(|finding| finding.index).max().unwrap_or(0);
        if largest >= elements {
            return Err(shape_error(name, format!("an element {largest}, a [[finding]] asks for it"), shape));
        }
    }
    let Some((name, shape)) = outputs.next() else { return Ok(()) };
    let fits = matches!(shape.as_slice(), [1, channels, height, width] if channels * height * width > 0);
    let expected = match &manifest.explanation {
        Explanation::Output { .. } => {
            let count = manifest.findings.len();
            let planes = shape.get(1).copied().unwrap_or(0);
            (!fits || !(planes == 1 || planes == count)).then(|| format!("[1, 1 or {count}, height, width]"))
        }
        _ => (!fits).then(|| "[1, channels, height, width]".to_owned()),
    };
    expected.map_or(Ok(()), |expected| Err(shape_error(name, expected, shape)))
}

/// The classifier's row of each finding, one weight for each channel of the feature map.
fn cam_weights(
    manifest: &Manifest,
    engine: &Engine,
    initializer: Option<Initializer>,
    files: &std::collections::BTreeMap<String, Tensor>,
) -> Result<Vec<Vec<f32>>, LoadError> {
    let Explanation::Cam { weights: source, .. } = &manifest.explanation else { return Ok(Vec::new()) };
    let (name, matrix, transposed) = match (source, initializer) {
        (CamWeights::Initializer(name), Some(Initializer { tensor, transposed })) => (name, tensor, transposed),
        (CamWeights::File(file), _) => {
            let empty = || Tensor { shape: Vec::new(), values: Vec::new() };
            (file, files.get(file).cloned().unwrap_or_else(empty), false)
        }
        (CamWeights::Initializer(name), None) => {
            return Err(LoadError::MissingTensor { what: "initializer", name: name.clone(), available: Vec::new() });
        }
    };
    let axis =
        |output: usize, axis: usize| engine.outputs().get(output).and_then(|(_, shape)| shape.get(axis)).copied();
    let classes: usize = engine.outputs().first().map_or(0, |(_, shape)| shape.iter().product());
    let channels = axis(1, 1).unwrap_or(0);
    // A square matrix says nothing of its own direction; the node that uses it does.
    let by_column = matrix.shape == [channels, classes] && (transposed || channels != classes);
    if !by_column && matrix.shape != [classes, channels] {
        return Err(LoadError::Shape {
            name: name.clone(),
            expected: format!("[{classes}, {channels}] (outputs, channels of the feature map)"),
            actual: matrix.shape.iter().map(|axis| i64::try_from(*axis).unwrap_or(-1)).collect(),
        });
    }
    let row = |index: usize| -> Vec<f32> {
        let (start, step) = if by_column { (index, classes) } else { (index * channels, 1) };
        matrix.values.iter().skip(start).step_by(step).take(channels).copied().collect()
    };
    Ok(manifest.findings.iter().map(|finding| row(finding.index)).collect())
}

fn fingerprint(manifest_text: &str, overrides: &Overrides) -> String {
    let mut digest = Sha256::new();
    digest.update((manifest_text.len() as u64).to_be_bytes());
    digest.update(manifest_text);
    for (name, change) in &overrides.finding {
        let bands = change.bands.map(|bands| (bands.medium.to_bits(), bands.high.to_bits()));
        let marking = change.marking_threshold.map(f32::to_bits);
        digest.update(format!("{name}\n{bands:?}\n{marking:?}\n"));
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
