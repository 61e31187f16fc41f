//! What `echo` and `check` say of a peer: how it was reached, what it takes, and what it must know to reach us.

use std::time::{Duration, SystemTime};

use dicom_dictionary_std::uids;
use dokuei_dimse::{AcceptedContext, EchoReport, Examination, Fault, PeerInfo, ProposedContext, Steps};
use dokuei_types::Uid;
use serde_json::{Value, json};

use crate::config::Retrieve;
use crate::send::words;

/// What a destination may be sent, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Reports,
    Captures,
    PresentationStates,
    KeyObjects,
    Documents,
    Segmentations,
    Originals,
    Commitments,
    Queries,
    Retrievals(Retrieve),
}

/// The three SOP classes a report can be sent as.
const REPORTS: [(&str, &str); 3] = [
    (uids::COMPREHENSIVE3_DSR_STORAGE, "Comprehensive 3D SR"),
    (uids::COMPREHENSIVE_SR_STORAGE, "Comprehensive SR"),
    (uids::ENHANCED_SR_STORAGE, "Enhanced SR"),
];
const CAPTURES: [(&str, &str); 1] = [(uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "Secondary Capture")];
/// Of images in grey and of images in colour: neither is sent in the place of the other.
const PRESENTATION_STATES: [(&str, &str); 2] = [
    (uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE, "Grayscale Softcopy Presentation State"),
    (uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE, "Color Softcopy Presentation State"),
];
const KEY_OBJECTS: [(&str, &str); 1] = [(uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE, "Key Object Selection")];
const DOCUMENTS: [(&str, &str); 1] = [(uids::ENCAPSULATED_PDF_STORAGE, "Encapsulated PDF")];
const SEGMENTATIONS: [(&str, &str); 1] = [(uids::SEGMENTATION_STORAGE, "Segmentation")];
const COMMITMENTS: [(&str, &str); 1] = [(uids::STORAGE_COMMITMENT_PUSH_MODEL, "Storage Commitment")];
const QUERIES: [(&str, &str); 1] = [(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND, "Study Root C-FIND")];
const RETRIEVALS: [(&str, &str); 2] = [
    (uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET, "Study Root C-GET"),
    (uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE, "Study Root C-MOVE"),
];
/// What modalities send most; originals may be anything else too.
const ORIGINALS: [(&str, &str); 11] = [
    (uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, "CR"),
    (uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION, "DX"),
    (uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING, "DX for processing"),
    (uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION, "MG"),
    (uids::CT_IMAGE_STORAGE, "CT"),
    (uids::ENHANCED_CT_IMAGE_STORAGE, "Enhanced CT"),
    (uids::MR_IMAGE_STORAGE, "MR"),
    (uids::ENHANCED_MR_IMAGE_STORAGE, "Enhanced MR"),
    (uids::ULTRASOUND_IMAGE_STORAGE, "US"),
    (uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE, "XA"),
    (uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE, "RF"),
];

/// The transfer syntaxes of our own results.
const OWN_SYNTAXES: [(&str, &str); 2] =
    [(uids::EXPLICIT_VR_LITTLE_ENDIAN, "explicit VR"), (uids::IMPLICIT_VR_LITTLE_ENDIAN, "implicit VR")];
/// Those most originals come in; each is sent on only as it came.
const SYNTAXES: [(&str, &str); 9] = [
    OWN_SYNTAXES[0],
    OWN_SYNTAXES[1],
    (uids::JPEG_BASELINE8_BIT, "JPEG baseline"),
    (uids::JPEG_LOSSLESS_SV1, "JPEG lossless"),
    (uids::JPEGLS_LOSSLESS, "JPEG-LS lossless"),
    (uids::JPEG2000_LOSSLESS, "JPEG 2000 lossless"),
    (uids::JPEG2000, "JPEG 2000"),
    (uids::HTJ2K_LOSSLESS, "HTJ2K lossless"),
    (uids::RLE_LOSSLESS, "RLE"),
];

impl Purpose {
    pub(crate) const ALL: [Self; 10] = [
        Self::Reports,
        Self::Captures,
        Self::PresentationStates,
        Self::KeyObjects,
        Self::Documents,
        Self::Segmentations,
        Self::Originals,
        Self::Commitments,
        Self::Queries,
        Self::Retrievals(Retrieve::Any),
    ];

    fn sop_classes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Reports => &REPORTS,
            Self::Captures => &CAPTURES,
            Self::PresentationStates => &PRESENTATION_STATES,
            Self::KeyObjects => &KEY_OBJECTS,
            Self::Documents => &DOCUMENTS,
            Self::Segmentations => &SEGMENTATIONS,
            Self::Originals => &ORIGINALS,
            Self::Commitments => &COMMITMENTS,
            Self::Queries => &QUERIES,
            Self::Retrievals(Retrieve::Any) => &RETRIEVALS,
            Self::Retrievals(Retrieve::Get) => &RETRIEVALS[..1],
            Self::Retrievals(Retrieve::Move) => &RETRIEVALS[1..],
        }
    }

    fn transfer_syntaxes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Originals => &SYNTAXES,
            // Each peer has it (PS3.5 § 10.1), and there is no room for both.
            Self::Commitments | Self::Queries | Self::Retrievals(_) => &OWN_SYNTAXES[1..],
            _ => &OWN_SYNTAXES,
        }
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reports => "reports",
            Self::Captures => "heat maps",
            Self::PresentationStates => "presentation states",
            Self::KeyObjects => "key object notes",
            Self::Documents => "PDF pages",
            Self::Segmentations => "segmentations",
            Self::Originals => "originals",
            Self::Commitments => "storage commitment",
            Self::Queries => "queries",
            Self::Retrievals(_) => "retrieval",
        })
    }
}

/// One context for each SOP class and transfer syntax, so that the answer tells them all apart.
pub(crate) fn contexts(purposes: &[Purpose]) -> Vec<ProposedContext> {
    let pairs = purposes.iter().flat_map(|purpose| {
        let classes = purpose.sop_classes().iter();
        classes.flat_map(|(class, _)| purpose.transfer_syntaxes().iter().map(move |(syntax, _)| (class, syntax)))
    });
    let known = |uid| Uid::new(uid).expect("a UID of the dictionary");
    pairs.map(|(class, syntax)| ProposedContext::of(known(class), known(syntax))).collect()
}

/// The SOP classes of one purpose that were accepted, each with its transfer syntaxes, by name.
pub(crate) fn accepted(purpose: Purpose, contexts: &[AcceptedContext]) -> Vec<(&'static str, Vec<&'static str>)> {
    let syntaxes_of = |class: &str| {
        let accepted = |syntax: &str| {
            let mut contexts = contexts.iter();
            contexts.any(|one| one.abstract_syntax.as_str() == class && one.transfer_syntax.as_str() == syntax)
        };
        purpose.transfer_syntaxes().iter().filter(|(uid, _)| accepted(uid)).map(|(_, name)| *name).collect::<Vec<_>>()
    };
    let classes = purpose.sop_classes().iter().map(|(uid, name)| (*name, syntaxes_of(uid)));
    classes.filter(|(_, syntaxes)| !syntaxes.is_empty()).collect()
}

/// A SOP class of one purpose that was not accepted, where those that were cannot be sent instead.
pub(crate) fn lacking(purpose: Purpose, accepted: &[(&'static str, Vec<&'static str>)]) -> Option<&'static str> {
    let is_lacking = |name: &&str| accepted.iter().all(|(known, _)| known != name);
    let names = purpose.sop_classes().iter().map(|(_, name)| *name);
    names.filter(|_| purpose == Purpose::PresentationStates).find(is_lacking)
}

/// Accepted SOP classes in one line, those with the same transfer syntaxes together.
pub(crate) fn in_words(accepted: &[(&'static str, Vec<&'static str>)]) -> String {
    let mut groups: Vec<(Vec<&str>, &[&str])> = Vec::new();
    for (class, syntaxes) in accepted {
        match groups.iter_mut().find(|(_, known)| *known == syntaxes.as_slice()) {
            Some((classes, _)) => classes.push(class),
            None => groups.push((vec![class], syntaxes)),
        }
    }
    let words = groups.iter().map(|(classes, syntaxes)| format!("{} in {}", classes.join(", "), syntaxes.join(", ")));
    words.collect::<Vec<_>>().join("; ")
}

/// The steps that were done, with their times.
pub(crate) fn times(steps: &Steps) -> String {
    let done =
        named(steps).into_iter().filter_map(|(step, taken)| Some(format!("{step} {:.1} ms", milliseconds(taken?))));
    done.collect::<Vec<_>>().join(", ")
}

/// The first step that was not done, in words that follow "it failed to".
pub(crate) fn failed_step(steps: &Steps, with_tls: bool) -> &'static str {
    match steps {
        Steps { resolve: None, .. } => "resolve the name",
        Steps { connect: None, .. } => "connect",
        Steps { tls: None, .. } if with_tls => "agree on TLS",
        Steps { associate: None, .. } => "associate",
        _ => "echo",
    }
}

fn named(steps: &Steps) -> [(&'static str, Option<Duration>); 5] {
    [
        ("resolve", steps.resolve),
        ("connect", steps.connect),
        ("TLS", steps.tls),
        ("associate", steps.associate),
        ("echo", steps.echo),
    ]
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// How the peer names itself.
pub(crate) fn implementation(peer: &PeerInfo) -> &str {
    peer.implementation_version_name.as_deref().or(peer.implementation_class_uid.as_deref()).unwrap_or("not said")
}

/// What is encrypted how, and until when the peer's certificate holds.
pub(crate) fn transport(peer: &PeerInfo) -> String {
    let Some(tls) = &peer.tls else { return "TCP, not encrypted".to_owned() };
    let certificate = tls.peer_certificate.as_ref().map_or_else(String::new, |shown| {
        format!(", certificate of {} with {} days left", shown.subject, shown.days_left(SystemTime::now()))
    });
    format!("{}, {}{certificate}", tls.version, tls.cipher_suite)
}

/// What to do about a C-ECHO that failed, and where.
pub(crate) fn advice(examination: &Examination) -> Option<String> {
    let whose = match examination.fault()? {
        Fault::Ours => "to be changed here",
        Fault::Network => "on the way",
        Fault::Peer => "at the peer",
    };
    Some(format!("{whose}: {}", examination.advice()?))
}

/// All of it, for a program.
pub(crate) fn as_json(examination: &Examination) -> Value {
    let mut answer = json!({});
    for (step, taken) in named(&examination.steps) {
        answer[format!("{}_ms", step.to_lowercase())] = json!(taken.map(milliseconds));
    }
    answer["address"] = json!(examination.steps.address);
    answer["local_address"] = json!(examination.steps.local_address);
    match &examination.echo {
        Ok(report) => reported(&mut answer, report),
        Err(error) => {
            answer["error"] = json!(words(error));
            answer["advice"] = json!(advice(examination));
        }
    }
    match &examination.accepted {
        Some(Ok(contexts)) => {
            let pairs = contexts.iter().map(
                |context| json!({ "sop_class": context.abstract_syntax, "transfer_syntax": context.transfer_syntax }),
            );
            answer["accepts"] = pairs.collect();
        }
        Some(Err(error)) => answer["accepts_error"] = json!(words(error)),
        None => {}
    }
    answer
}

fn reported(answer: &mut Value, EchoReport { peer, status, transfer_syntax, release_problem, .. }: &EchoReport) {
    answer["status"] = json!(status.to_string());
    answer["implementation_version_name"] = json!(peer.implementation_version_name);
    answer["implementation_class_uid"] = json!(peer.implementation_class_uid);
    answer["maximum_length"] = json!(peer.maximum_length);
    answer["transfer_syntax"] = json!(transfer_syntax.as_str());
    answer["release_problem"] = json!(release_problem);
    if let Some(tls) = &peer.tls {
        let certificate = tls.peer_certificate.as_ref();
        answer["tls"] = json!({
            "version": tls.version,
            "cipher_suite": tls.cipher_suite,
            "certificate": certificate.map(|shown| &shown.subject),
            "certificate_days_left": certificate.map(|shown| shown.days_left(SystemTime::now())),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(class: &str, syntax: &str) -> AcceptedContext {
        let known = |uid| Uid::new(uid).unwrap();
        AcceptedContext { id: 1, abstract_syntax: known(class), transfer_syntax: known(syntax) }
    }

    #[test]
    fn all_purposes_fit_one_association() {
        assert!(contexts(&Purpose::ALL).len() <= dokuei_dimse::CONTEXTS_MAX);
    }

    #[test]
    fn classes_with_the_same_syntaxes_are_named_together() {
        let both = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
        let mut contexts: Vec<AcceptedContext> = [uids::CT_IMAGE_STORAGE, uids::MR_IMAGE_STORAGE]
            .iter()
            .flat_map(|class| both.iter().map(|syntax| context(class, syntax)))
            .collect();
        contexts.push(context(uids::ENHANCED_SR_STORAGE, both[1]));
        contexts.push(context(uids::ULTRASOUND_IMAGE_STORAGE, uids::RLE_LOSSLESS));
        let words = in_words(&accepted(Purpose::Originals, &contexts));
        assert_eq!(words, "CT, MR in explicit VR, implicit VR; US in RLE");
        assert_eq!(in_words(&accepted(Purpose::Reports, &contexts)), "Enhanced SR in implicit VR");
        assert!(accepted(Purpose::Captures, &contexts).is_empty());
    }

    #[test]
    fn the_step_that_failed_is_the_first_that_was_not_done() {
        let done = Some(Duration::from_millis(1));
        let steps = Steps { resolve: done, connect: done, ..Steps::default() };
        assert_eq!(failed_step(&Steps::default(), true), "resolve the name");
        assert_eq!(failed_step(&steps, true), "agree on TLS");
        assert_eq!(failed_step(&steps, false), "associate");
        assert_eq!(times(&steps), "resolve 1.0 ms, connect 1.0 ms");
    }
}
