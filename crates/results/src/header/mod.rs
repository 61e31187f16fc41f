//! The modules that every result object has, one file each (PS3.3 § A.35.2, § A.8.1).

mod contributing;
mod copy;
mod equipment;
mod evidence;
mod patient;
pub(crate) mod request;
mod series;
mod sop_common;
mod study;
mod text;
mod time;

use dokuei_dataset::{Dataset, Encoding, MetaFields, VR, file_meta, write_dataset};
use dokuei_types::Uid;

use dicom_dictionary_std::{tags, uids};

pub(crate) use copy::{copy, copy_codes, copy_if_valid, copy_or_empty, copy_sequence};
pub(crate) use evidence::{Evidence, Reference, reference_item};
pub(crate) use series::Kind;
pub(crate) use text::OwnText;
pub(crate) use time::OwnTime;

use crate::{Object, ReportInput, ResultError};

/// The input, checked, with what every module asks for again and again.
pub(crate) struct Basis<'a> {
    pub(crate) input: &'a ReportInput<'a>,
    /// The header that patient, study and request are copied from.
    pub(crate) lead: &'a Dataset,
    /// One per source, in the same order.
    pub(crate) references: Vec<Reference>,
    pub(crate) text: OwnText,
    pub(crate) time: OwnTime,
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
        Ok(Self { input, lead, references, text: OwnText::of(lead), time: OwnTime::of(input.made_at, lead) })
    }

    /// A UID for `role` that depends on the sources, the model and nothing else, so that it repeats.
    pub(crate) fn uid(&self, sources: &[Reference], role: &[&str]) -> Uid {
        let model = self.input.model;
        let frames: Vec<String> =
            sources.iter().map(|s| s.frame.map_or_else(String::new, |frame| frame.to_string())).collect();
        let mut parts = vec![model.name.as_str(), &model.version, &model.weights_sha256];
        for (source, frame) in sources.iter().zip(&frames) {
            parts.extend([source.sop_instance.as_str(), frame]);
        }
        parts.extend(role);
        dokuei_types::derived_uid(&parts)
    }

    /// Whether any finding of any source reaches its threshold.
    pub(crate) fn is_positive(&self) -> bool {
        self.input.sources.iter().flat_map(|s| s.findings()).any(dokuei_types::Finding::is_marked)
    }

    /// The data set of an object: the modules that do not depend on its kind.
    pub(crate) fn data_set(&self, class: &str, kind: Kind, series: &Uid, instance: &Uid) -> Dataset {
        let mut data = Dataset::new();
        patient::put(&mut data, self.lead);
        study::put(&mut data, self.lead);
        series::put(&mut data, self, kind, series);
        equipment::put(&mut data, self);
        contributing::put(&mut data, self);
        sop_common::put(&mut data, self, class, instance);
        data
    }

    /// Closes a data set: character set, encoding, file meta information.
    pub(crate) fn object(&self, mut data: Dataset, class: &str, series: Uid, instance: Uid) -> Object {
        self.text.declare(&mut data, self.lead);
        let mut bytes = file_meta(&MetaFields {
            sop_class: class,
            sop_instance: instance.as_str(),
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            source_ae: Some(self.input.node.ae_title.as_str()).filter(|title| !title.is_empty()),
            sending_ae: None,
            receiving_ae: None,
        });
        bytes.extend_from_slice(&write_dataset(&data, Encoding::ExplicitLittle));
        let sop_class = Uid::new(class).expect("the SOP classes of this crate are UIDs of the dictionary");
        Object { sop_class, sop_instance: instance, series_instance: series, bytes }
    }

    /// Sets an element to text of our own in the object's character set.
    pub(crate) fn put(&self, data: &mut Dataset, tag: dokuei_dataset::Tag, vr: VR, text: &str) {
        data.put_text(tag, vr, &self.text.fit(text, vr));
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
