//! What can be said of a graph before the engine translates it.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use super::{Initializer, Request, shortened};
use crate::error::LoadError;
use crate::npy::Tensor;

/// Operators that draw random numbers.
const RANDOM: &[&str] =
    &["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];
/// Operators that give their input on, but for its shape.
const RESHAPING: &[&str] = &["Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];
/// Most names listed in an error.
const NAMES_MAX: usize = 8;

/// Checks operators, names and declared shapes; gives the initializer that was asked for.
pub(super) fn check(
    framework: &Onnx,
    proto: &ModelProto,
    request: &Request<'_>,
) -> Result<Option<Initializer>, LoadError> {
    let graph = proto.graph.as_ref().ok_or_else(|| LoadError::Malformed("there is no graph".into()))?;
    operators(framework, proto, graph)?;
    input(graph, request)?;
    let tensors: BTreeSet<&str> = graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    for name in request.outputs {
        if !tensors.contains(name) {
            let declared = graph.output.iter().map(|output| output.name.as_str());
            return Err(missing("tensor", name, declared.chain(tensors.iter().copied())));
        }
    }
    request.initializer.map(|name| initializer(graph, name)).transpose()
}

/// The operators of a graph, which is that of `proto`, and how often each occurs.
///
/// # Errors
/// Operators that the engine lacks or gets wrong or that draw at random, and tensors in other files.
pub(super) fn operators<'g>(
    framework: &Onnx,
    proto: &'g ModelProto,
    graph: &'g GraphProto,
) -> Result<BTreeMap<&'g str, usize>, LoadError> {
    let functions: BTreeSet<_> = proto.functions.iter().map(|function| (function.domain(), function.name())).collect();
    let mut operators = BTreeMap::new();
    let mut called = BTreeSet::new();
    let mut count = |node: &'g NodeProto| {
        *operators.entry(node.op_type.as_str()).or_insert(0_usize) += 1;
        called.extend(functions.get(&(&*node.domain, &*node.op_type)));
    };
    visit(graph, &mut count, &mut external)?;
    // The engine goes by the name alone, and would take them for operators of that name.
    if !called.is_empty() {
        let names = called.iter().map(|(domain, name)| shortened(&format!("{domain}::{name}")));
        return Err(LoadError::UnknownOperators { operators: names.collect() });
    }
    let named = |keep: &dyn Fn(&str) -> bool| -> Vec<String> {
        operators.keys().filter(|name| keep(name)).map(|name| shortened(name)).collect()
    };
    let unknown = named(&|name| !framework.op_register.0.contains_key(name));
    if !unknown.is_empty() {
        return Err(LoadError::UnknownOperators { operators: unknown });
    }
    let random = named(&|name| RANDOM.contains(&name));
    if !random.is_empty() {
        return Err(LoadError::RandomOperators { operators: random });
    }
    let wrong = wrong(graph)?;
    if !wrong.is_empty() {
        return Err(LoadError::WrongOperators { operators: wrong });
    }
    Ok(operators)
}

/// What the engine computes otherwise than ONNX defines it: found by comparison with another engine, operator by operator.
fn wrong(graph: &GraphProto) -> Result<Vec<String>, LoadError> {
    let mut nodes = Vec::new();
    visit(graph, &mut |node| nodes.push(node), &mut |_| Ok(()))?;
    let made: BTreeMap<&str, &NodeProto> =
        nodes.iter().flat_map(|node| node.output.iter().map(|name| (name.as_str(), *node))).collect();
    // The node that a tensor comes from, but for its shape. No chain is longer than the graph.
    let maker = |name: &String| {
        let node = made.get(name.as_str()).copied();
        let mut chain = std::iter::successors(node, |node| {
            let reshaped = RESHAPING.contains(&node.op_type.as_str()).then(|| node.input.first()).flatten();
            reshaped.and_then(|name| made.get(name.as_str()).copied())
        });
        chain.by_ref().take(nodes.len()).find(|node| !RESHAPING.contains(&node.op_type.as_str()))
    };
    let quantised = |node: &&NodeProto| {
        matches!(node.op_type.as_str(), "Softmax" | "LogSoftmax")
            && node.input.first().and_then(maker).is_some_and(|maker| maker.op_type == "DequantizeLinear")
    };
    let quantises = nodes.iter().filter(|node| node.op_type == "QuantizeLinear");
    let into_quantised = quantises.filter_map(|node| node.input.first().and_then(maker)).filter(quantised);
    let mut wrong: BTreeSet<String> =
        into_quantised.map(|node| format!("{} between quantised tensors", node.op_type)).collect();
    for node in &nodes {
        let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
        match node.op_type.as_str() {
            "Celu" if attribute("alpha").is_some_and(|alpha| alpha.f != 1.0) => wrong.insert("Celu".to_owned()),
            "ConvTranspose" if attribute("output_shape").is_some() => {
                wrong.insert("ConvTranspose with output_shape".to_owned())
            }
            "GlobalLpPool" => wrong.insert("GlobalLpPool".to_owned()),
            _ => false,
        };
    }
    Ok(wrong.into_iter().collect())
}

fn visit<'g>(
    graph: &'g GraphProto,
    node_seen: &mut dyn FnMut(&'g NodeProto),
    tensor_seen: &mut dyn FnMut(&TensorProto) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    // The nesting is bounded: the protobuf reader stops at a depth of 100 messages.
    graph.initializer.iter().try_for_each(&mut *tensor_seen)?;
    for node in &graph.node {
        node_seen(node);
        for attribute in &node.attribute {
            attribute.t.iter().chain(&attribute.tensors).try_for_each(&mut *tensor_seen)?;
            for inner in attribute.g.iter().chain(&attribute.graphs) {
                visit(inner, node_seen, tensor_seen)?;
            }
        }
    }
    Ok(())
}

fn external(tensor: &TensorProto) -> Result<(), LoadError> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        return Err(LoadError::ExternalData { tensor: shortened(&tensor.name) });
    }
    Ok(())
}

/// The graph has exactly one input, under the right name, of the right type and shape.
fn input(graph: &GraphProto, request: &Request<'_>) -> Result<(), LoadError> {
    let constants: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    // Old exporters list the initializers among the inputs.
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).collect();
    let [input] = inputs.as_slice() else { return Err(inputs_error(request, &inputs)) };
    if input.name != request.input {
        return Err(inputs_error(request, &inputs));
    }
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(LoadError::Type { name: input.name.clone(), actual: "no tensor".into() });
    };
    if tensor.elem_type != DataType::Float as i32 {
        return Err(LoadError::Type { name: input.name.clone(), actual: type_name(tensor.elem_type) });
    }
    let Some(shape) = &tensor.shape else { return Ok(()) };
    let declared: Vec<i64> = shape
        .dim
        .iter()
        .map(|axis| match &axis.value {
            Some(dimension::Value::DimValue(length)) if *length > 0 => *length,
            _ => -1,
        })
        .collect();
    let fits = declared.len() == request.input_shape.len()
        && declared
            .iter()
            .zip(request.input_shape)
            .all(|(length, wanted)| *length == -1 || usize::try_from(*length).is_ok_and(|length| length == wanted));
    if fits {
        return Ok(());
    }
    let expected = format!("{:?} as the manifest's [input] says", request.input_shape);
    Err(LoadError::Shape { name: input.name.clone(), expected, actual: declared })
}

fn inputs_error(request: &Request<'_>, inputs: &[&ValueInfoProto]) -> LoadError {
    LoadError::Input {
        expected: request.input.to_owned(),
        actual: inputs.iter().take(NAMES_MAX).map(|input| shortened(&input.name)).collect(),
    }
}

pub(super) fn type_name(code: i32) -> String {
    DataType::try_from(code).map_or_else(|_| format!("type {code}"), |kind| kind.as_str_name().to_lowercase())
}

fn missing<'a>(what: &'static str, name: &str, names: impl Iterator<Item = &'a str>) -> LoadError {
    let mut available: Vec<String> = Vec::new();
    for candidate in names.map(shortened) {
        if available.len() < NAMES_MAX && !available.contains(&candidate) {
            available.push(candidate);
        }
    }
    LoadError::MissingTensor { what, name: name.to_owned(), available }
}

/// The values of a two-dimensional initializer (or constant node); axes of length 1 at the end are
/// left out, as a 1x1 convolution has them.
fn initializer(graph: &GraphProto, name: &str) -> Result<Initializer, LoadError> {
    let constant = |node: &'_ NodeProto| node.op_type == "Constant" && node.output.iter().any(|output| output == name);
    let proto = graph.initializer.iter().find(|tensor| tensor.name == name).or_else(|| {
        graph
            .node
            .iter()
            .find(|node| constant(node))
            .and_then(|node| node.attribute.iter().find_map(|attribute| attribute.t.as_ref()))
    });
    let Some(proto) = proto else {
        let two_axes = graph.initializer.iter().filter(|tensor| tensor.dims.len() >= 2).rev();
        return Err(missing("initializer", name, two_axes.map(|tensor| tensor.name.as_str())));
    };
    if proto.data_type != DataType::Float as i32 {
        return Err(LoadError::Type { name: name.to_owned(), actual: type_name(proto.data_type) });
    }
    let values: Vec<f32> = if proto.raw_data.is_empty() {
        proto.float_data.clone()
    } else {
        proto.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let mut shape: Vec<usize> = proto.dims.iter().map(|axis| usize::try_from(*axis).unwrap_or(0)).collect();
    while shape.len() > 2 && shape.last() == Some(&1) {
        shape.pop();
    }
    let count = shape.iter().try_fold(1_usize, |count, axis| count.checked_mul(*axis));
    if shape.len() != 2 || count != Some(values.len()) || !values.iter().all(|value| value.is_finite()) {
        let expected = "[outputs, channels], with as many finite values".into();
        return Err(LoadError::Shape { name: name.to_owned(), expected, actual: proto.dims.clone() });
    }
    let transposed = graph.node.iter().any(|node| is_right_factor(node, name));
    Ok(Initializer { tensor: Tensor { shape, values }, transposed })
}

/// `x · W` with W being `[C, K]`: a MatMul, or a Gemm without `transB`.
fn is_right_factor(node: &NodeProto, name: &str) -> bool {
    let right = node.input.get(1).is_some_and(|input| input == name);
    let kept = node.attribute.iter().all(|attribute| attribute.name != "transB" || attribute.i == 0);
    right && (node.op_type == "MatMul" || (node.op_type == "Gemm" && kept))
}
