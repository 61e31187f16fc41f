use crate::manifest::OverrideError;

/// Why a package's network is refused. Loading happens before a port is bound, so each of these is
/// told to a person, who can put it right in the package.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// `model.onnx` is not the file the manifest was written for.
    #[error("model.onnx has the SHA-256 {actual}, the manifest says {expected}")]
    Hash {
        /// From the manifest.
        expected: String,
        /// Of the file.
        actual: String,
    },
    /// A site's overrides do not fit the manifest.
    #[error("apply the site's overrides")]
    Override(#[from] OverrideError),
    /// The bytes are not an ONNX model.
    #[error("model.onnx is not an ONNX model: {0}")]
    Malformed(String),
    /// Weights in another file, which is never opened.
    #[error("model.onnx keeps the tensor `{tensor}` in another file; export it as one file")]
    ExternalData {
        /// The first such tensor.
        tensor: String,
    },
    /// Operators that the engine does not have.
    #[error("the engine does not know the operators {}", .operators.join(", "))]
    UnknownOperators {
        /// Their names, sorted.
        operators: Vec<String>,
    },
    /// Operators whose result differs from run to run.
    #[error("the operators {} draw random numbers: the same image would give another result", .operators.join(", "))]
    RandomOperators {
        /// Their names, sorted.
        operators: Vec<String>,
    },
    /// Operators that the engine computes otherwise than ONNX defines them.
    #[error("the engine gets other numbers than ONNX defines for {}; export the model without", .operators.join(", "))]
    WrongOperators {
        /// What they are, sorted.
        operators: Vec<String>,
    },
    /// The graph does not have exactly one input of the manifest's name.
    #[error("the manifest names the input `{expected}`, the graph has {}", list(.actual))]
    Input {
        /// From the manifest.
        expected: String,
        /// Of the graph.
        actual: Vec<String>,
    },
    /// The graph does not have a tensor or initializer that the manifest names.
    #[error("the graph has no {what} `{name}`; it has {}", list(.available))]
    MissingTensor {
        /// `tensor` or `initializer`.
        what: &'static str,
        /// From the manifest.
        name: String,
        /// The names closest to it.
        available: Vec<String>,
    },
    /// A tensor has another type than 32-bit float.
    #[error("`{name}` holds {actual}, must hold 32-bit floats")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        actual: String,
    },
    /// A tensor has another shape than the manifest needs.
    #[error("`{name}` has the shape {actual:?}, must have {expected}")]
    Shape {
        /// The tensor or file.
        name: String,
        /// In words.
        expected: String,
        /// As found; a free axis is -1.
        actual: Vec<i64>,
    },
    /// A tensor inside the graph needs more memory than one may.
    #[error("`{node}` makes a tensor of the shape {shape:?}, more than {limit_elements} elements")]
    TooLarge {
        /// The graph's node.
        node: String,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// The most elements it may have.
        limit_elements: usize,
    },
    /// The engine cannot prepare the graph for this input.
    #[error("prepare the graph")]
    Prepare(#[source] EngineFault),
    /// The first run failed.
    #[error("run the self-test")]
    Run(#[from] InferError),
    /// The network computes something else than its maker saw.
    #[error("self-test: {what} is off by {deviation} at most, {tolerance} is allowed")]
    SelfTest {
        /// `output`, `maps`, `probabilities` or `unfamiliarity`.
        what: &'static str,
        /// Largest absolute difference found.
        deviation: f32,
        /// Largest absolute difference allowed.
        tolerance: f32,
    },
}

/// Why one run gave no result. The session can be used again after each of them.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// The tensor was prepared for another model.
    #[error("the input has the shape {actual:?}, the model takes {expected:?}")]
    InputShape {
        /// What the model takes.
        expected: Vec<usize>,
        /// What was given.
        actual: Vec<usize>,
    },
    /// The tensor holds infinite values or none at all.
    #[error("the input holds a value that is not a finite number")]
    InputNotFinite,
    /// The network gave infinite values or none at all.
    #[error("the network's `{tensor}` holds a value that is not a finite number")]
    OutputNotFinite {
        /// The tensor.
        tensor: String,
    },
    /// What the manifest says is a probability lies beyond 0 to 1.
    #[error("the network's `{tensor}` gives {value} for {finding}, which its activation `none` says is a probability")]
    NoProbability {
        /// The tensor.
        tensor: String,
        /// The finding.
        finding: String,
        /// What was given.
        value: f32,
    },
    /// The network's output has another shape than at load.
    #[error("the network's `{tensor}` has another shape than at load: {shape:?}")]
    OutputShape {
        /// The tensor.
        tensor: String,
        /// Its shape now.
        shape: Vec<usize>,
    },
    /// The engine refused or panicked.
    #[error("run the network")]
    Engine(#[source] EngineFault),
}

/// What the engine itself said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineFault {
    /// It returned an error.
    #[error("{0}")]
    Refused(String),
    /// It panicked; the panic ended there.
    #[error("the engine panicked: {0}")]
    Panicked(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { format!("`{}`", names.join("`, `")) }
}
