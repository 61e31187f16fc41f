use std::collections::BTreeMap;

use ndarray::Array4;
use serde::Serialize;

use crate::error::LoadError;
use crate::model::Model;
use crate::npy::Tensor;

/// How far a self-test was off: largest absolute differences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Deviation {
    /// Of the graph's raw output.
    pub output: f32,
    /// Of the explanation maps, when the package has some to compare with.
    pub maps: Option<f32>,
    /// Of the calibrated probabilities, when the manifest has some to compare with.
    pub probabilities: Option<f32>,
    /// Of the number of `[accepts.familiarity]`, when the manifest has one to compare with.
    pub unfamiliarity: Option<f32>,
    /// What is allowed.
    pub tolerance: f32,
}

/// Runs the package's self-test, or a blank tensor when it has none: what cannot run is not loaded.
pub(crate) fn check(model: &Model, files: &BTreeMap<String, Tensor>) -> Result<Option<Deviation>, LoadError> {
    let spec = &model.manifest().input;
    let shape = [1, spec.channels, spec.height, spec.width];
    let mut session = model.session()?;
    let Some(test) = &model.manifest().self_test else {
        session.compute(&Array4::zeros(shape))?;
        return Ok(None);
    };
    let file = |name: &String, expected: &[usize]| -> Result<&Tensor, LoadError> {
        let empty = LoadError::MissingTensor { what: "self-test file", name: name.clone(), available: Vec::new() };
        let tensor = files.get(name).ok_or(empty)?;
        if tensor.shape == expected {
            return Ok(tensor);
        }
        let actual = tensor.shape.iter().map(|axis| i64::try_from(*axis).unwrap_or(-1)).collect();
        Err(LoadError::Shape { name: name.clone(), expected: format!("{expected:?}"), actual })
    };
    let input = file(&test.input, &shape)?;
    let tensor = Array4::from_shape_vec(shape, input.values.clone()).unwrap_or_else(|_| Array4::zeros(shape));
    let computed = session.compute(&tensor)?;
    let judge = |what: &'static str, found: &mut dyn Iterator<Item = (f32, f32)>| {
        let deviation = found.map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        if deviation <= test.tolerance {
            return Ok(deviation);
        }
        Err(LoadError::SelfTest { what, deviation, tolerance: test.tolerance })
    };

    let shape = model.outputs().first().map(|(_, shape)| shape.clone()).unwrap_or_default();
    let expected = file(&test.output, &shape)?;
    let output = judge("output", &mut computed.output.iter().copied().zip(expected.values.iter().copied()))?;
    let probabilities = match &test.probabilities {
        Some(expected) => {
            Some(judge("probabilities", &mut computed.probabilities.iter().copied().zip(expected.iter().copied()))?)
        }
        None => None,
    };
    let maps = match &test.maps {
        Some(name) => {
            let first = computed.maps.iter().flatten().next().map(ndarray::ArrayBase::dim).unwrap_or_default();
            let expected = file(name, &[computed.maps.len(), first.0, first.1])?;
            let values = computed.maps.iter().flatten().flatten().copied();
            Some(judge("maps", &mut values.zip(expected.values.iter().copied()))?)
        }
        None => None,
    };
    let unfamiliarity = match test.unfamiliarity.zip(computed.unfamiliarity) {
        Some(pair) => Some(judge("unfamiliarity", &mut std::iter::once(pair))?),
        None => None,
    };
    Ok(Some(Deviation { output, maps, probabilities, unfamiliarity, tolerance: test.tolerance }))
}
