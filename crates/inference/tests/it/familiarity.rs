//! A further output of the graph that says how unlike the images it was made for an image is.

use std::time::Duration;

use dokuei_inference::{Inference, Manifest, Overrides, verify};
use dokuei_types::DeclineReason;
use ndarray::Array4;

use crate::onnx::{int, ints, node};
use crate::package::{CAM, Parts, bright_cell, network};

const ACCEPTS: &str =
    "[accepts.familiarity]\noutput = 'strange'\nat_most = 0.05\nreason = 'does not look like a test'\n";

/// The tests' network with the mean of its input, 1/16 for the bright cell, as the number.
fn parts() -> Parts {
    let mut graph = network().graph();
    let options = [ints("axes", &[1, 2, 3]), int("keepdims", 0)];
    graph.nodes.push(node("ReduceMean", &["input"], &["strange"], &options));
    Parts { network: graph.bytes(), accepts: ACCEPTS.into(), ..Parts::default() }
}

fn declined(parts: &Parts, inference: &Inference) -> Option<String> {
    let reason = parts.load().unwrap().manifest().accepts.decline_unfamiliar(inference)?;
    let DeclineReason::Picture(text) = reason else { unreachable!("{reason:?}") };
    Some(text)
}

#[test]
fn beyond_the_limit_an_image_is_declined_in_the_packages_words() {
    for explanation in [CAM, "kind = 'none'", "kind = 'occlusion'\npatch = 2\nstride = 2"] {
        let parts = Parts { explanation: explanation.into(), ..parts() };
        let inference = parts.run(&bright_cell()).unwrap();
        assert_eq!(inference.unfamiliarity, Some(0.0625), "{explanation}");
        let expected = "the image does not look like a test: unfamiliarity 0.06, the model takes up to 0.05";
        assert_eq!(declined(&parts, &inference).as_deref(), Some(expected));
        // The many runs of an occlusion map are spared.
        assert_eq!(inference.maps[0].is_some(), explanation == CAM, "{explanation}");
        let blank = parts.run(&Array4::zeros((1, 1, 8, 8))).unwrap();
        assert_eq!((blank.unfamiliarity, declined(&parts, &blank)), (Some(0.0), None), "{explanation}");
    }
    let silent = Parts::default().run(&bright_cell()).unwrap();
    assert_eq!((silent.unfamiliarity, declined(&parts(), &silent)), (None, None));
}

#[test]
fn at_the_limit_itself_an_image_is_looked_at() {
    let parts = Parts { accepts: ACCEPTS.replace("0.05", "0.0625"), ..parts() };
    assert_eq!(declined(&parts, &parts.run(&bright_cell()).unwrap()), None);
}

#[test]
fn the_tensor_must_be_one_number_of_its_own() {
    let load = |accepts: String| {
        let error = Parts { accepts, ..parts() }.load().err().expect("must be refused");
        error.to_string()
    };
    assert!(load(ACCEPTS.replace("strange", "novelty")).contains("no tensor `novelty`"));
    let many = load(ACCEPTS.replace("strange", "features"));
    assert!(many.contains("`features` has the shape [1, 2, 4, 4], must have one element"), "{many}");

    let refused = |accepts: String, expected: &str| {
        let error = Manifest::parse(&Parts { accepts, ..parts() }.manifest(), "model.toml").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(ACCEPTS.replace("strange", "logits"), "`accepts.familiarity.output`: must be a tensor of its own");
    refused(ACCEPTS.replace("0.05", "inf"), "`accepts.familiarity.at_most`: must be a finite number");
    refused(ACCEPTS.replace("does not look like a test", ""), "`accepts.familiarity.reason`: must have 1 to 200");
    refused(ACCEPTS.replace("at_most = 0.05\n", ""), "`accepts.familiarity`: missing field `at_most`");
    let without = Parts { accepts: String::new(), ..parts() }.with_self_test(1.0, "unfamiliarity = 0.0625");
    let error = Manifest::parse(&without.manifest(), "model.toml").unwrap_err().to_string();
    assert!(error.contains("`selftest.unfamiliarity`: must be a finite number, and needs"), "{error}");
}

#[test]
fn the_self_test_covers_it_and_verify_shows_it() {
    let package = parts().with_self_test(1.0, "unfamiliarity = 0.0625").package().unwrap();
    let report = verify(package, &Overrides::default(), &|| Duration::ZERO).unwrap();
    let found = report.familiarity.unwrap();
    assert_eq!((found.unfamiliarity, found.at_most), (0.0625, 0.05));
    assert_eq!(report.self_test.unwrap().unfamiliarity, Some(0.0));
    assert!(report.outputs.iter().any(|(name, _)| name == "strange"));
    let error = parts().with_self_test(1.0, "unfamiliarity = 0.07").load().err().expect("must be refused");
    assert!(error.to_string().contains("self-test: unfamiliarity is off by 0.0075"), "{error}");
}
