//! The modules that every result object has, one file each (PS3.3 § A.35.2, § A.8.1).

pub(crate) mod anatomy;
pub(crate) mod content;
mod contributing;
mod copy;
mod envelope;
mod equipment;
mod evidence;
mod functional;
pub(crate) mod lossy;
mod patient;
pub(crate) mod request;
mod series;
mod sop_common;
mod study;
mod text;
mod time;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, VR};
use dokuei_types::{Finding, Uid};
use jiff::civil::Date;

pub(crate) use copy::{copy, copy_codes, copy_if_valid, copy_measure, copy_or_empty, copy_sequence};
pub(crate) use envelope::Envelope;
pub(crate) use evidence::{Evidence, Reference, reference_item, source_item};
pub(crate) use functional::functional_group;
pub(crate) use text::OwnText;
pub(crate) use time::OwnTime;

use crate::{
    Change, Changed, Comparison, Object, Outcome, Prior, ReportInput, ResultError, Role, SourceImage, same_patient,
    taken,
};

/// The input, checked, with what every module asks for again and again.
pub(crate) struct Basis<'a> {
    pub(crate) input: &'a ReportInput<'a>,
    /// What goes around the content.
    pub(crate) envelope: Envelope<'a>,
    /// One per source, in the same order.
    pub(crate) references: Vec<Reference>,
    /// What the one source is compared with.
    pub(crate) earlier: Option<Earlier<'a>>,
}

/// An earlier image to compare with, checked.
pub(crate) struct Earlier<'a> {
    pub(crate) prior: Prior<'a>,
    pub(crate) reference: Reference,
    pub(crate) date: Date,
}

impl<'a> Basis<'a> {
    pub(crate) fn new(input: &'a ReportInput<'a>) -> Result<Self, ResultError> {
        let lead = input.sources.first().ok_or(ResultError::NoSource)?.header;
        let references = input
            .sources
            .iter()
            .enumerate()
            .map(|(index, source)| Reference::of_source(index, source))
            .collect::<Result<Vec<_>, _>>()?;
        same_subject(input, &references)?;
        let earlier = match (input.comparison, references.as_slice()) {
            (Comparison::Prior(prior), [reference]) => Some(Earlier::new(prior, lead, &reference.study)?),
            _ => None,
        };
        Ok(Self { input, envelope: Envelope::new(lead, input.node, input.made_at), references, earlier })
    }

    /// A UID for `role` that depends on the sources, their version, the model and nothing else, so that it repeats.
    pub(crate) fn uid(&self, sources: &[Reference], role: &[&str]) -> Uid {
        let model = self.input.model;
        let frames: Vec<String> =
            sources.iter().map(|s| s.frame.map_or_else(String::new, |frame| frame.to_string())).collect();
        let version = format!("version {}", self.input.source_version);
        let mut parts = vec![model.name.as_str(), &model.version, &model.weights_sha256];
        for (source, frame) in sources.iter().zip(&frames) {
            parts.extend([source.sop_instance.as_str(), frame]);
        }
        parts.extend(role);
        if self.input.source_version > 1 {
            parts.push(&version);
        }
        if !self.input.sources.iter().any(|source| matches!(source.outcome, Outcome::Analysed(_))) {
            // The model may look at the image yet.
            parts.push("not analysed");
        }
        dokuei_types::derived_uid(&parts)
    }

    /// A UID for an object of `role` that says what the result was compared with: with another prior, or without one, it is
    /// another object.
    pub(crate) fn uid_of_compared(&self, role: &[&str]) -> Uid {
        match self.input.comparison {
            Comparison::NoPrior => self.uid(&self.references, &[role, &["compared with", "nothing"]].concat()),
            Comparison::NotAsked | Comparison::Prior(_) => self.uid_beside_prior(&self.references, role),
        }
    }

    /// As [`uid_of_compared`](Self::uid_of_compared), for an object about `sources` that says nothing where there is no prior.
    pub(crate) fn uid_beside_prior(&self, sources: &[Reference], role: &[&str]) -> Uid {
        match &self.earlier {
            Some(earlier) => {
                let prior = earlier.reference.sop_instance.as_str();
                self.uid(sources, &[role, &["compared with", prior]].concat())
            }
            None => self.uid(sources, role),
        }
    }

    /// The identifier's text and UID for `what` was found in source `index`. Neither depends on the object that
    /// speaks of it, so that all of them track the same thing.
    pub(crate) fn tracking(&self, index: usize, what: &str) -> (String, Uid) {
        let source = self.references.get(index).map(std::slice::from_ref).unwrap_or_default();
        let uid = self.uid(source, &["tracking", what]);
        if self.references.len() == 1 {
            return (what.to_owned(), uid);
        }
        (format!("image-{}/{what}", index.saturating_add(1)), uid)
    }

    /// As [`tracking`](Self::tracking), of the region with this index in `finding`.
    pub(crate) fn region_tracking(&self, index: usize, finding: &str, region: usize) -> (String, Uid) {
        self.tracking(index, &format!("{finding}/region-{}", region.saturating_add(1)))
    }

    /// As [`tracking`](Self::tracking), of what was found in the earlier image: the UID is that of its own report.
    pub(crate) fn earlier_tracking(&self, earlier: &Earlier<'_>, what: &str) -> (String, Uid) {
        (format!("prior/{what}"), self.uid(std::slice::from_ref(&earlier.reference), &["tracking", what]))
    }

    /// Whether any finding of any source reaches its threshold.
    pub(crate) fn is_positive(&self) -> bool {
        self.input.sources.iter().flat_map(|s| s.findings()).any(dokuei_types::Finding::is_marked)
    }

    /// The data set of an object: the modules that do not depend on its kind.
    pub(crate) fn data_set(&self, class: &str, role: Role, series: &Uid, instance: &Uid) -> Dataset {
        let mut data = self.envelope.data_set(class, role, &self.conditions(role), series, instance);
        contributing::put(&mut data, self);
        sop_common::put_qualification(&mut data, self.input.model.qualification);
        data
    }

    /// Names the conditions an object is about, or the model where there are none.
    fn conditions(&self, role: Role) -> String {
        let mut names: Vec<&str> = Vec::new();
        let findings = self.input.sources.iter().flat_map(|source| source.findings());
        for finding in findings.filter(|finding| matches!(role, Role::Sr | Role::Pdf) || finding.is_marked()) {
            if !names.contains(&finding.name.as_str()) {
                names.push(&finding.name);
            }
        }
        if names.is_empty() { self.input.model.name.clone() } else { names.join(", ") }
    }

    /// Closes a data set.
    pub(crate) fn object(&self, data: Dataset, class: &str, series: Uid, instance: Uid) -> Object {
        self.envelope.object(data, class, series, instance)
    }

    /// Sets an element to text of our own in the object's character set.
    pub(crate) fn put(&self, data: &mut Dataset, tag: dokuei_dataset::Tag, vr: VR, text: &str) {
        self.envelope.put(data, tag, vr, text);
    }
}

impl<'a> Earlier<'a> {
    fn new(prior: Prior<'a>, lead: &Dataset, study: &Uid) -> Result<Self, ResultError> {
        let refused = |why: String| ResultError::Prior { why };
        same_patient(lead, prior.header).map_err(|doubt| refused(doubt.to_string()))?;
        let image = SourceImage::analysed(prior.header, None, prior.findings);
        let reference = Reference::of_source(0, &image).map_err(|error| refused(error.to_string()))?;
        if reference.study == *study {
            return Err(refused("the same study".to_owned()));
        }
        let taken = taken(prior.header).ok_or_else(|| refused("no date".to_owned()))?;
        Ok(Self { prior, reference, date: taken.date() })
    }

    /// What became of a finding; `None` where nothing was said of it before.
    pub(crate) fn changed(&self, finding: &Finding) -> Option<Changed<'a>> {
        let before = self.prior.of(finding)?;
        let change = Change::between(before.probability, finding.probability);
        Some(Changed { before, date: self.date, change })
    }
}

/// A report must never mix people: what is compared are the bytes, as a PACS compares them.
fn same_subject(input: &ReportInput<'_>, references: &[Reference]) -> Result<(), ResultError> {
    let identity = |header: &Dataset| {
        [tags::PATIENT_ID, tags::ISSUER_OF_PATIENT_ID]
            .map(|tag| header.bytes(tag).unwrap_or_default().trim_ascii_end().to_vec())
    };
    let Some((first, lead)) = references.first().zip(input.sources.first()) else {
        return Err(ResultError::NoSource);
    };
    for (source_index, (reference, source)) in references.iter().zip(input.sources).enumerate() {
        if reference.study != first.study {
            return Err(ResultError::MixedSources { source_index, what: "study" });
        }
        if identity(source.header) != identity(lead.header) {
            return Err(ResultError::MixedSources { source_index, what: "patient" });
        }
    }
    Ok(())
}
