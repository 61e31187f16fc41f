//! What an ONNX file says of itself, before anybody has written a manifest for it.

use std::collections::BTreeMap;

use serde::Serialize;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::Framework as _;

use super::{caught, graph, shortened};
use crate::error::LoadError;

/// Operators that pass on the values of a pooled feature map as they are.
const PASSING: &[&str] = &["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];
/// Operators that average a feature map; the last by a mean over its axes.
const POOLING: &[&str] = &["GlobalAveragePool", "ReduceMean"];
/// Operators between a map of each class and its one number, as means of other kinds have them.
const SUMMING: &[&str] = &["Add", "Div", "Exp", "GlobalMaxPool", "Log", "Mul", "Pow", "ReduceLogSumExp", "ReduceMax"];
/// Most tensors followed from a classifier back to its feature map.
const STEPS_MAX: usize = 16;

/// An ONNX classifier as it was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Version of the ONNX operators.
    pub opset: i64,
    /// The operators, each with how often it occurs.
    pub operators: BTreeMap<String, usize>,
    /// What the graph takes; initializers are left out.
    pub inputs: Vec<TensorInfo>,
    /// What the graph declares to give.
    pub outputs: Vec<TensorInfo>,
    /// The linear layers over a globally averaged feature map, or of 1 x 1 before it is averaged, in the order of the
    /// outputs they end in: what a class activation map needs.
    pub heads: Vec<Head>,
    /// The outputs that a `Sigmoid` or `Softmax` makes, each with that.
    pub activations: BTreeMap<String, String>,
}

/// A tensor at the edge of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its type, such as `float`.
    pub element: String,
    /// Its axes; `None` for a free one.
    pub shape: Vec<Option<usize>>,
}

/// A linear layer and the feature map it weighs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The feature map, `[1, channels, h, w]`.
    pub features: String,
    /// The layer's weights, an initializer.
    pub weights: String,
    /// What the layer gives, its bias added: `[1, classes]`.
    pub output: String,
    /// What it ends in: the output, or what the activation makes of it.
    pub end: String,
    /// Elements of its output.
    pub classes: usize,
    /// What is applied to the output next: `Sigmoid`, `Softmax` or nothing.
    pub activation: Option<String>,
}

/// Reads an ONNX file and says what a manifest has to name.
///
/// # Errors
/// [`LoadError`]: no ONNX file, weights in another file, or operators that the engine lacks or gets wrong or that draw at random.
pub fn inspect(onnx: &[u8]) -> Result<Inspection, LoadError> {
    caught(|| inspect_uncaught(onnx)).unwrap_or_else(|fault| Err(LoadError::Prepare(fault)))
}

fn inspect_uncaught(onnx: &[u8]) -> Result<Inspection, LoadError> {
    let framework = tract_onnx::onnx();
    let proto = framework
        .proto_model_for_read(&mut &*onnx)
        .map_err(|error| LoadError::Malformed(shortened(&format!("{error:#}"))))?;
    let graph = proto.graph.as_ref().ok_or_else(|| LoadError::Malformed("there is no graph".into()))?;
    let operators = graph::operators(&framework, &proto, graph)?;
    let opset = proto.opset_import.iter().find(|set| set.domain.is_empty()).map_or(0, |set| set.version);
    let constants: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|input| !constants.contains(&input.name.as_str()));
    let wiring = Wiring::of(graph);
    let activation = |output: &ValueInfoProto| {
        let maker = wiring.maker(&output.name).filter(|node| is_activation(node))?;
        Some((output.name.clone(), maker.op_type.clone()))
    };
    Ok(Inspection {
        opset,
        operators: operators.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        inputs: inputs.map(info).collect(),
        outputs: graph.output.iter().map(info).collect(),
        heads: wiring.heads(graph),
        activations: graph.output.iter().filter_map(activation).collect(),
    })
}

fn info(value: &ValueInfoProto) -> TensorInfo {
    let tensor = match value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => Some(tensor),
        _ => None,
    };
    let axes = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.as_slice()).unwrap_or_default();
    let length = |axis: &tract_onnx::pb::tensor_shape_proto::Dimension| match &axis.value {
        Some(dimension::Value::DimValue(length)) if *length > 0 => usize::try_from(*length).ok(),
        _ => None,
    };
    TensorInfo {
        name: value.name.clone(),
        element: tensor.map_or_else(|| "no tensor".into(), |tensor| graph::type_name(tensor.elem_type)),
        shape: axes.iter().map(length).collect(),
    }
}

/// Who makes a tensor and who uses it.
struct Wiring<'g> {
    makers: BTreeMap<&'g str, &'g NodeProto>,
    users: BTreeMap<&'g str, Vec<&'g NodeProto>>,
    initializers: BTreeMap<&'g str, &'g TensorProto>,
}

impl<'g> Wiring<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let mut users: BTreeMap<&str, Vec<&NodeProto>> = BTreeMap::new();
        for node in &graph.node {
            for input in &node.input {
                users.entry(input).or_default().push(node);
            }
        }
        let makers = graph.node.iter().flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)));
        let initializers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
        Self { makers: makers.collect(), users, initializers: initializers.collect() }
    }

    fn maker(&self, tensor: &str) -> Option<&'g NodeProto> {
        self.makers.get(tensor).copied()
    }

    /// The one node that uses a tensor.
    fn user(&self, tensor: &str) -> Option<&'g NodeProto> {
        match self.users.get(tensor).map(Vec::as_slice) {
            Some([node]) => Some(*node),
            _ => None,
        }
    }

    /// Of all linear layers over a globally averaged feature map those that make outputs; where no output is declared, or
    /// none of them makes one, the last.
    fn heads(&self, graph: &'g GraphProto) -> Vec<Head> {
        let all: Vec<Head> = graph.node.iter().rev().filter_map(|node| self.head(node)).collect();
        let of = |output: &ValueInfoProto| all.iter().find(|head| head.end == output.name).cloned();
        let declared: Vec<Head> = graph.output.iter().filter_map(of).collect();
        if declared.is_empty() { all.into_iter().take(1).collect() } else { declared }
    }

    /// A node as the linear layer over a globally averaged feature map.
    fn head(&self, node: &'g NodeProto) -> Option<Head> {
        let [input, weights, ..] = node.input.as_slice() else { return None };
        let tensor = self.initializers.get(weights.as_str())?;
        let axis = |index: usize| tensor.dims.get(index).and_then(|axis| usize::try_from(*axis).ok());
        let transposed = node.attribute.iter().any(|attribute| attribute.name == "transB" && attribute.i != 0);
        let classes = match (node.op_type.as_str(), tensor.dims.as_slice()) {
            ("Gemm", [_, _]) => axis(usize::from(!transposed))?,
            ("MatMul", [_, _]) => axis(1)?,
            ("Conv", [_, _, 1, 1]) => axis(0)?,
            _ => return None,
        };
        let made = node.output.first()?;
        let (features, output) = match self.pooled(input) {
            Some(features) => (features, self.with_bias(made)),
            None if node.op_type == "Conv" => (input.as_str(), self.summed(made)?),
            None => return None,
        };
        let activation = self.user(output).filter(|user| is_activation(user));
        let last = activation.and_then(|node| node.output.first()).map_or(output, String::as_str);
        if self.users.contains_key(last) {
            // Inside the network, such as a layer that weighs channels.
            return None;
        }
        let activation = activation.map(|node| node.op_type.clone());
        let (features, weights) = (features.to_owned(), weights.clone());
        Some(Head { features, weights, output: output.to_owned(), end: last.to_owned(), classes, activation })
    }

    /// The feature map that `tensor` is the global average of.
    fn pooled(&self, tensor: &'g str) -> Option<&'g str> {
        let mut tensor = tensor;
        for _ in 0..STEPS_MAX {
            let maker = self.maker(tensor)?;
            let input = maker.input.first()?.as_str();
            if POOLING.contains(&maker.op_type.as_str()) {
                return Some(input);
            }
            if !PASSING.contains(&maker.op_type.as_str()) {
                return None;
            }
            tensor = input;
        }
        None
    }

    /// What the map of each class is brought to at the end of the graph; `None` where it is not averaged, or goes on.
    fn summed(&self, tensor: &'g str) -> Option<&'g str> {
        let (mut tensor, mut pooled) = (tensor, false);
        for _ in 0..STEPS_MAX {
            let Some(user) = self.users.get(tensor) else { return pooled.then_some(tensor) };
            let [user] = user.as_slice() else { return None };
            let operator = user.op_type.as_str();
            if is_activation(user) {
                return pooled.then_some(tensor);
            }
            if ![PASSING, POOLING, SUMMING].iter().any(|known| known.contains(&operator)) {
                return None;
            }
            pooled |=
                POOLING.contains(&operator) || matches!(operator, "GlobalMaxPool" | "ReduceLogSumExp" | "ReduceMax");
            tensor = user.output.first()?;
        }
        None
    }

    /// The tensor after the addition of a bias and changes of shape.
    fn with_bias(&self, tensor: &'g str) -> &'g str {
        let mut tensor = tensor;
        for _ in 0..STEPS_MAX {
            let Some(user) = self.user(tensor) else { break };
            let adds_bias =
                user.op_type == "Add" && user.input.iter().any(|input| self.initializers.contains_key(input.as_str()));
            let Some(output) = user.output.first().filter(|_| adds_bias || PASSING.contains(&user.op_type.as_str()))
            else {
                break;
            };
            tensor = output;
        }
        tensor
    }
}

fn is_activation(node: &NodeProto) -> bool {
    matches!(node.op_type.as_str(), "Sigmoid" | "Softmax")
}
