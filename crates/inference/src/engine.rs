//! The engine: tract behind types of our own. This file and its folder are the only places that
//! name tract, so that another engine can take its place.
//!
//! - The batch is fixed to 1: a free batch axis makes tract's convolutions several times slower.
//! - One plan holds the weights; each session adds only its own buffers.
//! - Nothing is chosen by timing, so a machine gives the same bits for the same input on every run
//!   and after every start. Another processor may pick other kernels and round otherwise.
//! - Panics of the engine end here, as errors.

mod graph;
mod inspection;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{
    Datum as _, DatumExt as _, Framework as _, InferenceModelExt as _, IntoRunnable as _, IntoTensor as _,
    Tensor as TractTensor, TractError, TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::infer::InferenceFact;

use crate::error::{EngineFault, InferError, LoadError};
use crate::npy::Tensor;

pub use inspection::{Head, Inspection, TensorInfo, inspect};

/// The state of one run after another on one thread.
type State =
    tract_onnx::tract_core::plan::SimpleState<tract_onnx::prelude::TypedFact, Box<dyn tract_onnx::prelude::TypedOp>>;

/// Longest text kept of what the engine says, in characters.
const FAULT_CHARACTERS_MAX: usize = 400;

/// Most elements of one tensor inside a graph: 1 GiB of 32-bit floats.
const ELEMENTS_MAX: usize = 1 << 28;

/// What the caller wants of a graph.
pub(crate) struct Request<'a> {
    /// Name of the one input.
    pub(crate) input: &'a str,
    /// `[1, channels, height, width]`.
    pub(crate) input_shape: [usize; 4],
    /// Names of the tensors wanted, in this order.
    pub(crate) outputs: &'a [&'a str],
    /// Name of an initializer wanted.
    pub(crate) initializer: Option<&'a str>,
}

/// A network ready to run, its weights shared by all sessions.
pub(crate) struct Engine {
    plan: Arc<TypedRunnableModel>,
    input_shape: [usize; 4],
    outputs: Vec<(String, Vec<usize>)>,
}

/// One thread's use of an [`Engine`].
pub(crate) struct EngineSession {
    engine: Arc<Engine>,
    /// `None` after a fault: made anew for the next run.
    state: Option<State>,
}

/// A classifier's weights as the graph keeps them.
pub(crate) struct Initializer {
    /// Axes and values.
    pub(crate) tensor: Tensor,
    /// Whether the graph uses it as the right factor of a product, `[C, K]`.
    pub(crate) transposed: bool,
}

impl Engine {
    /// Reads an ONNX model from memory and prepares it for one input of a fixed shape.
    ///
    /// # Errors
    /// [`LoadError`]: what the bytes, the operators, the names or the shapes lack.
    pub(crate) fn load(onnx: &[u8], request: &Request<'_>) -> Result<(Arc<Self>, Option<Initializer>), LoadError> {
        caught(|| Self::load_uncaught(onnx, request)).unwrap_or_else(|fault| Err(LoadError::Prepare(fault)))
    }

    fn load_uncaught(onnx: &[u8], request: &Request<'_>) -> Result<(Arc<Self>, Option<Initializer>), LoadError> {
        let framework = tract_onnx::onnx();
        let proto = framework
            .proto_model_for_read(&mut &*onnx)
            .map_err(|error| LoadError::Malformed(shortened(&format!("{error:#}"))))?;
        let initializer = graph::check(&framework, &proto, request)?;
        let prepare = |error: TractError| LoadError::Prepare(refused(&error));
        let mut model = framework.model_for_proto_model(&proto).map_err(prepare)?;
        drop(proto);
        // Before any optimisation: names vanish when operators fuse.
        model.select_outputs_by_name(request.outputs).map_err(prepare)?;
        model.set_input_fact(0, InferenceFact::from(f32::fact(request.input_shape))).map_err(prepare)?;
        let model = model.into_typed().map_err(prepare)?;
        check_sizes(&model)?;
        let model = model.into_optimized().map_err(prepare)?;
        let mut outputs = Vec::new();
        for (index, name) in request.outputs.iter().enumerate() {
            let fact = model.output_fact(index).map_err(prepare)?;
            if fact.datum_type != f32::datum_type() {
                let actual = format!("{:?}", fact.datum_type);
                return Err(LoadError::Type { name: (*name).to_owned(), actual });
            }
            let shape = fact.shape.as_concrete().ok_or_else(|| LoadError::Shape {
                name: (*name).to_owned(),
                expected: "a fixed shape".into(),
                actual: fact.shape.iter().map(|axis| axis.to_i64().unwrap_or(-1)).collect(),
            })?;
            outputs.push(((*name).to_owned(), shape.to_vec()));
        }
        let plan = model.into_runnable().map_err(prepare)?;
        Ok((Arc::new(Self { plan, input_shape: request.input_shape, outputs }), initializer))
    }

    /// Names and shapes of the tensors that a run gives.
    pub(crate) fn outputs(&self) -> &[(String, Vec<usize>)] {
        &self.outputs
    }

    /// `[1, channels, height, width]`.
    pub(crate) fn input_shape(&self) -> [usize; 4] {
        self.input_shape
    }

    /// A session for one thread.
    ///
    /// # Errors
    /// [`InferError::Engine`]: the engine cannot make its buffers.
    pub(crate) fn session(self: &Arc<Self>) -> Result<EngineSession, InferError> {
        let mut session = EngineSession { engine: Arc::clone(self), state: None };
        session.state = Some(session.spawn()?);
        Ok(session)
    }
}

impl EngineSession {
    fn spawn(&self) -> Result<State, InferError> {
        caught(|| self.engine.plan.spawn())
            .and_then(|state| state.map_err(|error| refused(&error)))
            .map_err(InferError::Engine)
    }

    /// Runs the network once; `values` are those of `[1, channels, height, width]`.
    ///
    /// # Errors
    /// [`InferError`]: a wrong shape, a fault of the engine, or a result that is not finite.
    pub(crate) fn run(&mut self, values: &[f32]) -> Result<Vec<Tensor>, InferError> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.spawn()?,
        };
        let shape = self.engine.input_shape;
        let run = || -> Result<_, TractError> {
            let input = TractTensor::from_shape(&shape, values)?;
            let outputs = state.run(tvec!(input.into()))?;
            let tensors = outputs.into_iter().map(|output| {
                let output = output.into_tensor();
                let values = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
                Ok(Tensor { shape: output.shape().to_vec(), values })
            });
            tensors.collect::<Result<Vec<_>, TractError>>()
        };
        let outputs =
            caught(run).and_then(|outputs| outputs.map_err(|error| refused(&error))).map_err(InferError::Engine)?;
        // Kept only after a run without a fault: what a fault leaves behind is not to be trusted.
        self.state = Some(state);
        for (output, (name, shape)) in outputs.iter().zip(&self.engine.outputs) {
            if output.shape != *shape {
                return Err(InferError::OutputShape { tensor: name.clone(), shape: output.shape.clone() });
            }
            if !output.values.iter().all(|value| value.is_finite()) {
                return Err(InferError::OutputNotFinite { tensor: name.clone() });
            }
        }
        Ok(outputs)
    }
}

/// Nothing the graph computes may need so much memory that the node would die of it.
fn check_sizes(model: &TypedModel) -> Result<(), LoadError> {
    for node in model.nodes() {
        for shape in node.outputs.iter().filter_map(|output| output.fact.shape.as_concrete()) {
            let elements = shape.iter().try_fold(1_usize, |elements, axis| elements.checked_mul(*axis));
            if elements.is_none_or(|elements| elements > ELEMENTS_MAX) {
                let (node, shape) = (shortened(&node.name), shape.to_vec());
                return Err(LoadError::TooLarge { node, shape, limit_elements: ELEMENTS_MAX });
            }
        }
    }
    Ok(())
}

fn refused(error: &TractError) -> EngineFault {
    EngineFault::Refused(shortened(&format!("{error:#}")))
}

/// The engine prints whole nodes into its errors.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(FAULT_CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Runs `work` and makes an error of a panic.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, EngineFault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("without a word");
        EngineFault::Panicked(shortened(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_engine_becomes_an_error() {
        assert_eq!(caught(|| 7), Ok(7));
        let said = |text: &str| Err::<(), _>(EngineFault::Panicked(text.into()));
        assert_eq!(caught(|| panic!("axis {} out of range", 4)), said("axis 4 out of range"));
        assert_eq!(caught(|| panic!("overflow")), said("overflow"));
        assert_eq!(shortened(&"é".repeat(500)).chars().count(), FAULT_CHARACTERS_MAX + 1);
    }
}
