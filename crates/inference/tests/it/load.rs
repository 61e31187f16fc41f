//! What is refused at load, and with which words.

use dokuei_inference::{LoadError, Model, Overrides, Package, PackageError, inspect, npy, verify};
use proptest::prelude::*;

use crate::onnx::{Graph, Head, Network, external_tensor, function, int, node, of_domain, tensor, value};
use crate::package::{CAM, Parts, bright_cell, finding, network};

/// Loading fails, and the chain of causes says `expected`.
fn check(parts: &Parts, expected: &str) {
    let error = parts.load().err().expect("must be refused");
    let mut text = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(text.contains(expected), "{text:?} does not say {expected:?}");
}

fn with_graph(change: impl FnOnce(&mut Graph)) -> Parts {
    let mut graph = network().graph();
    change(&mut graph);
    Parts { network: graph.bytes(), ..Parts::default() }
}

#[test]
fn a_sound_package_loads() {
    let model = Parts::default().load().unwrap();
    assert_eq!(model.identity().name, "test");
    assert_eq!(model.outputs(), [("logits".to_owned(), vec![1, 1]), ("features".to_owned(), vec![1, 2, 4, 4])]);
    assert_eq!(model.self_test(), None);
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    shared(&model);
    sent(&model.session().unwrap());
}

#[test]
fn another_network_than_the_manifest_was_written_for() {
    let sha256 = Some("0".repeat(64));
    check(&Parts { sha256, ..Parts::default() }, "the manifest says 0000000000");
}

#[test]
fn names_that_the_graph_does_not_have() {
    let explanation = |text: &str| Parts { explanation: text.into(), ..Parts::default() };
    let graph = |graph| Parts { graph, ..Parts::default() };
    check(&graph("input = 'input'\noutput = 'prediction'"), "no tensor `prediction`; it has `logits`, `features`");
    check(&graph("input = 'image'\noutput = 'logits'"), "the manifest names the input `image`, the graph has `input`");
    check(&explanation("kind = 'cam'\nfeatures = 'map'\nweights = 'classifier.weight'"), "no tensor `map`");
    check(
        &explanation("kind = 'cam'\nfeatures = 'features'\nweights = 'fc.weight'"),
        "no initializer `fc.weight`; it has `classifier.weight`",
    );
    check(&explanation("kind = 'output'\nmap = 'heat'"), "no tensor `heat`");
}

#[test]
fn shapes_that_do_not_fit() {
    let input = "channels = 1\nheight = 16\nwidth = 8\ngeometry = 'pad'\nresampling = 'bilinear'\n\
                 intensity = 'voi'\nmean = [0.0]\nscale = [1.0]";
    check(&Parts { input, ..Parts::default() }, "`input` has the shape [-1, 1, 8, 8], must have [1, 1, 16, 8]");
    check(&Parts { findings: finding("pneumonia", 1, ""), ..Parts::default() }, "must have an element 1");
    let map = "kind = 'cam'\nfeatures = 'pooled'\nweights = 'conv.weight'".into();
    check(&Parts { explanation: map, ..Parts::default() }, "`conv.weight` has the shape [2, 1, 2, 2]");
    let flat = "kind = 'cam'\nfeatures = 'flat'\nweights = 'classifier.weight'".into();
    check(&Parts { explanation: flat, ..Parts::default() }, "`flat` has the shape [1, 2], must have [1, channels");
    let given = "kind = 'output'\nmap = 'features'".into();
    let two = Parts {
        explanation: given,
        findings: finding("a", 0, "") + &finding("b", 0, "") + &finding("c", 0, ""),
        ..Parts::default()
    };
    check(&two, "`features` has the shape [1, 2, 4, 4], must have [1, 1 or 3, height, width]");
    let mut wrong = Parts {
        explanation: CAM.replace("weights =", "weights_file =").replace("classifier.weight", "cam.npy"),
        ..Parts::default()
    };
    wrong.files.push(("cam.npy", npy::write(&[1, 3], &[1.0, 2.0, 3.0])));
    check(&wrong, "`cam.npy` has the shape [1, 3], must have [1, 2]");
}

#[test]
fn graphs_with_several_inputs_or_none() {
    check(&with_graph(|graph| graph.inputs.push(value("age", &[1, 1]))), "the graph has `input`, `age`");
    check(&with_graph(|graph| graph.inputs.clear()), "the graph has none");
}

#[test]
fn operators() {
    check(
        &with_graph(|graph| graph.nodes.push(node("Loop", &["flat"], &["looped"], &[]))),
        "the engine does not know the operators Loop",
    );
    let random = |graph: &mut Graph| graph.nodes.push(node("RandomNormalLike", &["flat"], &["noise"], &[]));
    check(&with_graph(random), "RandomNormalLike draw random numbers");
    let pool = |graph: &mut Graph| graph.nodes.push(node("GlobalLpPool", &["pooled"], &["other"], &[]));
    check(&with_graph(pool), "other numbers than ONNX defines for GlobalLpPool; export the model without");
}

#[test]
fn a_softmax_between_quantised_tensors() {
    let with = |tail: &[(&str, &str, &str)]| {
        with_graph(|graph| {
            graph.initializers.push(tensor("step", &[], &[0.01]));
            for (operator, from, to) in tail {
                let inputs: &[&str] = if operator.ends_with("Linear") { &[from, "step"] } else { &[from] };
                graph.nodes.push(node(operator, inputs, &[to], &[]));
            }
        })
    };
    let quantised = [
        ("QuantizeLinear", "flat", "a"),
        ("DequantizeLinear", "a", "b"),
        ("Softmax", "b", "c"),
        ("Identity", "c", "d"),
        ("QuantizeLinear", "d", "e"),
    ];
    check(&with(&quantised), "ONNX defines for Softmax between quantised tensors");
    with(&quantised[..4]).load().expect("its result is a float");
}

#[test]
fn weights_elsewhere() {
    let graph = |graph: &mut Graph| graph.initializers[0] = external_tensor("conv.weight", &[2, 1, 2, 2]);
    check(&with_graph(graph), "keeps the tensor `conv.weight` in another file");
}

#[test]
fn contradictions_inside_the_graph() {
    // Three input channels wanted, one given.
    let channels = |graph: &mut Graph| graph.initializers[0] = tensor("conv.weight", &[2, 3, 2, 2], &[0.1; 24]);
    check(&with_graph(channels), "prepare the graph");
    // Small constants that together make a tensor of 2^29 elements.
    let huge = |graph: &mut Graph| {
        graph.initializers.push(tensor("column", &[1, 1, 1 << 14, 1], &vec![0.0; 1 << 14]));
        graph.initializers.push(tensor("row", &[1, 1, 1, 1 << 14], &vec![0.0; 1 << 14]));
        graph.nodes.push(node("Add", &["pooled", "column"], &["tall"], &[]));
        graph.nodes.push(node("Add", &["tall", "row"], &["large"], &[]));
    };
    let parts = Parts { explanation: "kind = 'output'\nmap = 'large'".into(), ..with_graph(huge) };
    check(&parts, "makes a tensor of the shape [1, 2, 16384, 16384], more than 268435456 elements");
    let not_finite = |graph: &mut Graph| graph.initializers[1] = tensor("classifier.bias", &[1], &[f32::NAN]);
    check(
        &with_graph(not_finite),
        "run the self-test: the network's `logits` holds a value that is not a finite number",
    );
}

#[test]
fn bytes_that_are_no_network() {
    for bytes in [&b""[..], b"\x00", b"<html>404</html>", &network().graph().bytes()[..100]] {
        let parts = Parts { network: bytes.to_vec(), ..Parts::default() };
        assert!(parts.load().is_err());
    }
    check(&Parts { network: Vec::new(), ..Parts::default() }, "there is no graph");
}

#[test]
fn self_tests() {
    let model = Parts::default().with_self_test(1.0, "probabilities = [0.7310586]").load().unwrap();
    let deviation = model.self_test().unwrap();
    assert!(deviation.output < 1e-6 && deviation.probabilities.unwrap() < 1e-6 && deviation.maps.is_none());
    check(&Parts::default().with_self_test(1.001, ""), "self-test: output is off by 0.00");
    check(&Parts::default().with_self_test(1.0, "probabilities = [0.74]"), "self-test: probabilities is off by 0.008");
    let mut parts = Parts::default().with_self_test(1.0, "maps = 'selftest/maps.npy'");
    let mut map = [0.0; 16];
    map[6] = 0.5;
    parts.files.push(("selftest/maps.npy", npy::write(&[1, 4, 4], &map)));
    assert_eq!(parts.load().unwrap().self_test().unwrap().maps, Some(0.0));
    map[7] = 0.1;
    parts.files[2].1 = npy::write(&[1, 4, 4], &map);
    check(&parts, "self-test: maps is off by 0.1");
    parts.files[2].1 = npy::write(&[1, 2, 8], &map);
    check(&parts, "`selftest/maps.npy` has the shape [1, 2, 8], must have [1, 4, 4]");
    parts.files[0].1 = npy::write(&[1, 8, 8], bright_cell().as_slice().unwrap());
    check(&parts, "`selftest/input.npy` has the shape [1, 8, 8], must have [1, 1, 8, 8]");
}

#[test]
fn verify_tells_what_loading_showed() {
    let parts = Parts::default().with_self_test(1.0, "");
    let ticks = std::cell::Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 1);
        std::time::Duration::from_millis(ticks.get())
    };
    let report = verify(parts.package().unwrap(), &Overrides::default(), &clock).unwrap();
    assert_eq!((report.name.as_str(), report.explanation, report.weights_bytes), ("test", "cam", parts.network.len()));
    assert!(report.warnings.is_empty() && report.self_test.is_some());
    assert_eq!((report.load.as_millis(), report.run.as_millis()), (1, 1));
    assert!((report.findings[0].probability - 0.731_058_6).abs() < 1e-6);
    let bare = verify(Parts::default().package().unwrap(), &Overrides::default(), &clock).unwrap();
    assert!(bare.warnings[0].contains("no [selftest]"));
}

#[test]
fn a_folder_is_a_package() {
    let dir = tempfile::tempdir().unwrap();
    let missing = |file: &str| match Package::open(dir.path()) {
        Err(PackageError::Missing { file: missing, .. }) => assert_eq!(missing, file),
        other => panic!("{other:?}"),
    };
    missing("model.toml");
    let parts = Parts::default().with_self_test(1.0, "");
    std::fs::write(dir.path().join("model.toml"), parts.manifest()).unwrap();
    missing("model.onnx");
    std::fs::write(dir.path().join("model.onnx"), &parts.network).unwrap();
    missing("selftest/input.npy");
    std::fs::create_dir(dir.path().join("selftest")).unwrap();
    for (name, bytes) in &parts.files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let package = Package::open(dir.path()).unwrap();
    assert_eq!(package.card, None);
    let from_folder = Model::load(package, &Overrides::default()).unwrap();
    assert_eq!(from_folder.fingerprint(), parts.load().unwrap().fingerprint());
    std::fs::write(dir.path().join("selftest/input.npy"), b"PK").unwrap();
    assert!(matches!(Package::open(dir.path()), Err(PackageError::Tensor { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a damaged network is, loading it ends in a model or a reason.
    #[test]
    fn damaged_networks_are_refused_or_run(
        cut in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<bool>(),
    ) {
        let mut bytes = network().graph().bytes();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !keep {
            bytes.truncate(cut.index(bytes.len()));
        }
        let loaded: Result<Model, LoadError> = Parts { network: bytes, ..Parts::default() }.load();
        if let Ok(model) = loaded {
            let tensor = bright_cell();
            let _outcome = model.session().unwrap().run(&crate::prepared(tensor));
        }
    }

    #[test]
    fn any_bytes_as_a_tensor_file(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        let start: &[u8] = if magic { b"\x93NUMPY\x01\x00" } else { b"" };
        let _outcome = npy::read(&[start, &bytes].concat());
    }
}

#[test]
fn a_file_says_what_a_manifest_has_to_name() {
    for head in [Head::Gemm, Head::MatMul] {
        let network = Network { head, weights: vec![[32.0, 0.0], [1.0, 2.0], [0.0, 1.0]], bias: vec![0.0; 3] };
        let found = inspect(&network.graph().bytes()).unwrap();
        assert_eq!(found.inputs.len(), 1);
        assert_eq!((found.inputs[0].name.as_str(), found.inputs[0].element.as_str()), ("input", "float"));
        assert_eq!(found.inputs[0].shape, [None, Some(1), Some(8), Some(8)]);
        assert_eq!(found.outputs[0].shape, [None, Some(3)]);
        assert_eq!((found.opset, found.operators.get("Conv")), (13, Some(&1)));
        let expected = dokuei_inference::Head {
            features: "features".into(),
            weights: "classifier.weight".into(),
            output: "logits".into(),
            end: "logits".into(),
            classes: 3,
            activation: None,
        };
        assert_eq!(found.heads, [expected]);
        assert!(found.activations.is_empty());
    }
}

#[test]
fn a_function_of_the_file_is_not_taken_for_the_operator_of_its_name() {
    let own = |of: &str| {
        let mut graph = network().graph();
        graph.nodes[1] = of_domain(of, node("Relu", &["conv"], &["features"], &[]));
        Parts { network: [graph.bytes(), function("mine", "Relu")].concat(), ..Parts::default() }
    };
    check(&own("mine"), "mine::Relu");
    own("").load().unwrap();
}

#[test]
fn a_softmax_over_one_output_says_nothing() {
    let findings = finding("pneumonia", 0, "").replace("'sigmoid'", "'softmax'");
    check(&Parts { findings, ..Parts::default() }, "two elements or more, as the activation `softmax` asks for");
}

#[test]
fn what_is_no_probability_is_not_taken_for_one() {
    let findings = finding("pneumonia", 0, "").replace("'sigmoid'", "'none'");
    check(&Parts { findings, ..Parts::default() }, "`logits` gives -1 for pneumonia, which its activation `none` says");
}

#[test]
fn a_file_says_how_it_ends() {
    let mut graph = Network { head: Head::Gemm, weights: vec![[32.0, 0.0]; 2], bias: vec![0.0; 2] }.graph();
    graph.nodes.push(node("Softmax", &["logits"], &["shares"], &[]));
    graph.outputs = vec![value("shares", &[1, 2])];
    let found = inspect(&graph.bytes()).unwrap();
    assert_eq!(found.activations.get("shares").map(String::as_str), Some("Softmax"));
    let [head] = found.heads.as_slice() else { panic!("{:?}", found.heads) };
    assert_eq!((head.output.as_str(), head.end.as_str()), ("logits", "shares"));
    assert_eq!(head.activation.as_deref(), Some("Softmax"));

    // A layer beside it that makes no output is none; one that does comes in the order of the outputs.
    graph.initializers.push(tensor("sex.weight", &[1, 2], &[1.0, 1.0]));
    graph.nodes.push(node("Gemm", &["flat", "sex.weight"], &["sex"], &[int("transB", 1)]));
    assert_eq!(inspect(&graph.bytes()).unwrap().heads, found.heads);
    graph.outputs.push(value("sex", &[1, 1]));
    let ends = |graph: &Graph| inspect(&graph.bytes()).unwrap().heads.iter().map(|head| head.end.clone()).collect();
    let ends_in: Vec<String> = ends(&graph);
    assert_eq!(ends_in, ["shares", "sex"]);
    graph.outputs.clear();
    let ends_in: Vec<String> = ends(&graph);
    assert_eq!(ends_in, ["sex"], "the last, where none is declared");

    // Without global average pooling there is no class activation map.
    graph.nodes[2] = node("Relu", &["features"], &["pooled"], &[]);
    assert_eq!(inspect(&graph.bytes()).unwrap().heads, []);
    graph.nodes[2] = node("Wizardry", &["features"], &["pooled"], &[]);
    assert!(matches!(inspect(&graph.bytes()), Err(LoadError::UnknownOperators { .. })));
    assert!(matches!(inspect(b"no protobuf"), Err(LoadError::Malformed(_))));
}
