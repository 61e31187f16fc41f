//! Writes small ONNX files: the protobuf wire format by hand, so that no generated code stands
//! between a test and the bytes it means.

/// A protobuf message under construction.
#[derive(Default, Clone)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.key(field, 0);
        self.varint(value.cast_unsigned());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }
}

/// `TensorProto` of 32-bit floats.
pub(crate) fn tensor(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let message = shape.iter().fold(Message::default(), |message, axis| message.int(1, *axis));
    message.int(2, 1).text(8, name).bytes(9, &raw)
}

/// `TensorProto` whose values are said to be in another file.
pub(crate) fn external_tensor(name: &str, shape: &[i64]) -> Message {
    let entry = Message::default().text(1, "location").text(2, "weights.bin");
    let message = shape.iter().fold(Message::default(), |message, axis| message.int(1, *axis));
    message.int(2, 1).text(8, name).message(13, &entry).int(14, 1)
}

/// `ValueInfoProto` of 32-bit floats; an axis of -1 is free.
pub(crate) fn value(name: &str, shape: &[i64]) -> Message {
    let axes = shape.iter().fold(Message::default(), |message, axis| {
        let dimension = Message::default();
        message.message(1, &if *axis < 0 { dimension.text(2, "N") } else { dimension.int(1, *axis) })
    });
    let tensor = Message::default().int(1, 1).message(2, &axes);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

/// `NodeProto`.
pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    let message = outputs.iter().fold(message, |message, output| message.text(2, output));
    let message = message.text(3, &format!("node_{}", outputs[0])).text(4, operator);
    attributes.iter().fold(message, |message, attribute| message.message(5, attribute))
}

/// A node of another domain than ONNX's own.
pub(crate) fn of_domain(domain: &str, node: Message) -> Message {
    node.text(7, domain)
}

/// What is put behind a `ModelProto` to give it a function.
pub(crate) fn function(domain: &str, name: &str) -> Vec<u8> {
    Message::default().message(25, &Message::default().text(1, name).text(10, domain)).0
}

/// `AttributeProto` of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().text(1, name), |message, value| message.int(8, *value)).int(20, 7)
}

/// `AttributeProto` of one integer.
pub(crate) fn int(name: &str, value: i64) -> Message {
    Message::default().text(1, name).int(3, value).int(20, 2)
}

/// `AttributeProto` of one number.
pub(crate) fn float(name: &str, value: f32) -> Message {
    Message::default().text(1, name).float(2, value).int(20, 1)
}

/// `GraphProto` within a `ModelProto`, operator set 13.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) inputs: Vec<Message>,
    pub(crate) outputs: Vec<Message>,
    pub(crate) initializers: Vec<Message>,
    pub(crate) nodes: Vec<Message>,
}

impl Graph {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let add = |graph: Message, field: u64, items: &[Message]| {
            items.iter().fold(graph, |graph, item| graph.message(field, item))
        };
        let graph = add(Message::default(), 1, &self.nodes).text(2, "test");
        let graph = add(graph, 5, &self.initializers);
        let graph = add(add(graph, 11, &self.inputs), 12, &self.outputs);
        Message::default().int(1, 8).message(7, &graph).message(8, &Message::default().text(1, "").int(2, 13)).0
    }
}

/// How the small network ends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Head {
    /// `Gemm` with `transB`, weights `[K, C]`, as PyTorch exports a linear layer.
    Gemm,
    /// `MatMul`, weights `[C, K]`, then the bias.
    MatMul,
}

/// The network all tests know: input `[1, 1, 8, 8]`; a 2 x 2 convolution with stride 2 whose two
/// channels are the mean of a cell and its negative; relu gives `features` `[1, 2, 4, 4]`; global
/// average pooling and a linear layer give `logits` `[1, K]`.
pub(crate) struct Network {
    pub(crate) head: Head,
    /// `[K][C]`.
    pub(crate) weights: Vec<[f32; 2]>,
    pub(crate) bias: Vec<f32>,
}

impl Network {
    pub(crate) fn graph(&self) -> Graph {
        let classes = self.weights.len() as i64;
        let flat: Vec<f32> = self.weights.iter().flatten().copied().collect();
        let columns: Vec<f32> = (0..2).flat_map(|c| self.weights.iter().map(move |row| row[c])).collect();
        let mut graph = Graph {
            inputs: vec![value("input", &[-1, 1, 8, 8])],
            outputs: vec![value("logits", &[-1, classes]), value("features", &[-1, 2, 4, 4])],
            initializers: vec![
                tensor("conv.weight", &[2, 1, 2, 2], &[0.25, 0.25, 0.25, 0.25, -0.25, -0.25, -0.25, -0.25]),
                tensor("classifier.bias", &[classes], &self.bias),
            ],
            nodes: vec![
                node(
                    "Conv",
                    &["input", "conv.weight"],
                    &["conv"],
                    &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
                ),
                node("Relu", &["conv"], &["features"], &[]),
                node("GlobalAveragePool", &["features"], &["pooled"], &[]),
                node("Flatten", &["pooled"], &["flat"], &[int("axis", 1)]),
            ],
        };
        match self.head {
            Head::Gemm => {
                graph.initializers.push(tensor("classifier.weight", &[classes, 2], &flat));
                let inputs = ["flat", "classifier.weight", "classifier.bias"];
                graph.nodes.push(node("Gemm", &inputs, &["logits"], &[int("transB", 1), float("alpha", 1.0)]));
            }
            Head::MatMul => {
                graph.initializers.push(tensor("classifier.weight", &[2, classes], &columns));
                graph.nodes.push(node("MatMul", &["flat", "classifier.weight"], &["product"], &[]));
                graph.nodes.push(node("Add", &["product", "classifier.bias"], &["logits"], &[]));
            }
        }
        graph
    }
}
