//! What the tests beside the code need to make a result of.

use dokuei_types::{Band, Code, ContentQualification, Finding, ModelIdentity, Uid};

pub(crate) fn model() -> ModelIdentity {
    ModelIdentity {
        name: "cxr-test".into(),
        version: "1.0.0".into(),
        vendor: "Test".into(),
        device_uid: Uid::new("2.25.1").unwrap(),
        weights_sha256: "9f86d081884c7d659a2feaa0c55ad015".into(),
        qualification: ContentQualification::Research,
    }
}

pub(crate) fn finding(name: &str, probability: f32) -> Finding {
    Finding {
        name: name.into(),
        concept: Code::new("233604007", "SCT", "Pneumonia"),
        site: None,
        probability,
        band: Band::High,
        marking_threshold: 0.5,
        regions: Vec::new(),
    }
}
