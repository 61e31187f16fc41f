//! What comes out, to the number.

use dokuei_inference::{FindingOverride, InferError, LoadError, Model, Overrides};
use dokuei_types::Band;
use ndarray::{Array4, array};

use crate::onnx::{Head, Network, node};
use crate::package::{CAM, Parts, bright_cell, finding, network};
use crate::prepared;

/// Fills what one cell of the feature map sees.
fn fill_cell(tensor: &mut Array4<f32>, row: usize, column: usize, value: f32) {
    for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        tensor[[0, 0, 2 * row + y, 2 * column + x]] = value;
    }
}

fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

#[test]
fn probability_map_and_region_of_known_weights() {
    let inference = Parts::default().run(&bright_cell()).unwrap();
    let finding = &inference.findings[0];
    assert!((finding.probability - sigmoid(1.0)).abs() < 1e-6, "{}", finding.probability);
    assert_eq!((finding.name.as_str(), finding.band), ("pneumonia", Band::High));
    assert_eq!(finding.concept.value, "233604007");
    let expected = array![[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
    assert_eq!(inference.maps[0].as_ref().unwrap(), &expected);
    // The cell covers tensor pixels x 4..6, y 2..4, source pixels ten times as many.
    let region = &finding.regions[0];
    assert_eq!((finding.regions.len(), region.peak), (1, 0.5));
    let count = region.outline.len() as f32;
    let centre = [0, 1].map(|axis| region.outline.iter().map(|point| point[axis]).sum::<f32>() / count);
    assert!((centre[0] - 50.0).abs() < 2.0 && (centre[1] - 30.0).abs() < 2.0, "{centre:?}");
}

#[test]
fn evidence_against_lowers_the_probability_and_stays_out_of_the_map() {
    let mut tensor = bright_cell();
    fill_cell(&mut tensor, 3, 0, -1.0);
    let inference = Parts::default().run(&tensor).unwrap();
    assert!((inference.findings[0].probability - sigmoid(0.75)).abs() < 1e-6);
    assert_eq!(inference.maps[0].as_ref().unwrap()[[3, 0]], 0.0);
}

#[test]
fn below_the_marking_threshold_nothing_is_marked() {
    let inference = Parts::default().run(&Array4::zeros((1, 1, 8, 8))).unwrap();
    let finding = &inference.findings[0];
    assert!((finding.probability - sigmoid(-1.0)).abs() < 1e-6);
    assert_eq!((finding.band, finding.regions.len()), (Band::Low, 0));
    assert!(inference.maps[0].as_ref().unwrap().iter().all(|value| *value == 0.0));
}

#[test]
fn the_same_tensor_gives_the_same_bits_in_any_session() {
    let model = Parts::default().load().unwrap();
    let again = Parts::default().load().unwrap();
    let tensor = Array4::from_shape_fn((1, 1, 8, 8), |(_, _, y, x)| ((y * 8 + x) as f32).sin());
    let first = model.session().unwrap().run(&prepared(tensor.clone())).unwrap();
    let bits = |inference: &dokuei_inference::Inference| inference.findings[0].probability.to_bits();
    std::thread::scope(|scope| {
        for model in [&model, &again] {
            scope.spawn(|| {
                let mut session = model.session().unwrap();
                for _ in 0..3 {
                    session.run(&prepared(bright_cell())).unwrap();
                    let next = session.run(&prepared(tensor.clone())).unwrap();
                    assert_eq!((bits(&next), &next), (bits(&first), &first));
                }
            });
        }
    });
}

#[test]
fn weights_in_either_direction_give_the_same() {
    let two = |head| {
        let network = Network { head, weights: vec![[32.0, -4.0], [-8.0, 48.0]], bias: vec![-1.0, 0.5] };
        let findings = finding("pneumonia", 0, "") + &finding("effusion", 1, "");
        let parts = Parts { network: network.graph().bytes(), findings, ..Parts::default() };
        let mut tensor = bright_cell();
        fill_cell(&mut tensor, 3, 0, -1.0);
        parts.run(&tensor).unwrap()
    };
    let (gemm, product) = (two(Head::Gemm), two(Head::MatMul));
    assert_eq!(gemm.maps, product.maps);
    assert_eq!(gemm.maps[0].as_ref().unwrap()[[1, 2]], 0.5);
    assert_eq!(gemm.maps[1].as_ref().unwrap()[[3, 0]], 0.75);
    assert!((gemm.findings[1].probability - sigmoid(48.0 / 16.0 - 8.0 / 16.0 + 0.5)).abs() < 1e-6);
}

#[test]
fn weights_from_a_file() {
    let explanation = CAM.replace("weights =", "weights_file =").replace("classifier.weight", "cam.npy");
    let mut parts = Parts { explanation, ..Parts::default() };
    parts.files.push(("cam.npy", dokuei_inference::npy::write(&[1, 2], &[16.0, 0.0])));
    assert_eq!(parts.run(&bright_cell()).unwrap().maps[0].as_ref().unwrap()[[1, 2]], 0.25);
}

#[test]
fn a_map_that_the_graph_gives() {
    let mut graph = Network { weights: vec![[32.0, -4.0], [0.0, 0.0]], bias: vec![-1.0, 0.0], ..network() }.graph();
    graph.nodes.push(node("Relu", &["features"], &["heat"], &[]));
    let findings = finding("pneumonia", 0, "") + &finding("effusion", 1, "");
    let explanation = "kind = 'output'\nmap = 'heat'\nfull_scale = 2.0".into();
    let inference =
        Parts { network: graph.bytes(), findings, explanation, ..Parts::default() }.run(&bright_cell()).unwrap();
    assert_eq!(inference.maps[0].as_ref().unwrap()[[1, 2]], 0.5);
    assert_eq!(inference.maps[1].as_ref().unwrap()[[1, 2]], 0.0);
}

#[test]
fn occlusion_finds_what_the_network_looks_at() {
    let explanation = "kind = 'occlusion'\npatch = 2\nstride = 2";
    let parts = Parts { explanation: explanation.into(), ..Parts::default() };
    let inference = parts.run(&bright_cell()).unwrap();
    let map = inference.maps[0].as_ref().unwrap();
    assert_eq!(map.dim(), (4, 4));
    assert!(map.indexed_iter().all(|(at, value)| *value == if at == (1, 2) { 1.0 } else { 0.0 }), "{map}");
    assert_eq!(inference.findings[0].regions.len(), 1);
    // Below the marking threshold the many runs are spared.
    assert_eq!(parts.run(&Array4::zeros((1, 1, 8, 8))).unwrap().maps, [None]);
    let none = Parts { explanation: "kind = 'none'".into(), ..Parts::default() };
    let inference = none.run(&bright_cell()).unwrap();
    assert_eq!((inference.maps.len(), inference.findings[0].regions.len()), (1, 0));
}

#[test]
fn a_tensor_for_another_model_is_refused_and_the_session_lives() {
    let mut session = Parts::default().load().unwrap().session().unwrap();
    let other = session.run(&prepared(Array4::zeros((1, 1, 8, 9))));
    assert!(matches!(other, Err(InferError::InputShape { .. })), "{other:?}");
    let not_finite = session.run(&prepared(Array4::from_elem((1, 1, 8, 8), f32::INFINITY)));
    assert!(matches!(not_finite, Err(InferError::InputNotFinite)), "{not_finite:?}");
    let overflow = session.run(&prepared(Array4::from_elem((1, 1, 8, 8), f32::MAX)));
    assert!(matches!(overflow, Err(InferError::OutputNotFinite { .. })), "{overflow:?}");
    assert!((session.run(&prepared(bright_cell())).unwrap().findings[0].probability - sigmoid(1.0)).abs() < 1e-6);
}

#[test]
fn a_site_sets_its_own_bands_and_threshold() {
    let overrides: Overrides =
        toml::from_str("finding.pneumonia = { bands = { medium = 0.4, high = 0.8 }, marking_threshold = 0.75 }")
            .unwrap();
    let parts = Parts::default();
    let model = Model::load(parts.package().unwrap(), &overrides).unwrap();
    let inference = model.session().unwrap().run(&prepared(bright_cell())).unwrap();
    let finding = &inference.findings[0];
    assert_eq!((finding.band, finding.marking_threshold, finding.regions.len()), (Band::Medium, 0.75, 0));
    assert_ne!(model.fingerprint(), parts.load().unwrap().fingerprint());

    let refused = |overrides: Overrides, expected: &str| match Model::load(parts.package().unwrap(), &overrides) {
        Err(LoadError::Override(error)) => assert!(error.to_string().contains(expected), "{error}"),
        other => panic!("{:?}", other.err()),
    };
    let one = |name: &str, change| Overrides { finding: [(name.to_owned(), change)].into() };
    refused(one("fracture", FindingOverride::default()), "the model has only pneumonia");
    let high = FindingOverride { marking_threshold: Some(1.5), ..FindingOverride::default() };
    refused(one("pneumonia", high), "`marking_threshold` must be between 0 and 1, not 1.5");
    let error = toml::from_str::<Overrides>("finding.pneumonia = { band = 1 }").unwrap_err();
    assert!(error.to_string().contains("unknown field `band`"), "{error}");
}
