use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Uid;

use super::OwnText;
use crate::tree::code_item;
use crate::{Object, ObjectReference, ResultError, SourceImage, codes};

/// What it takes to point at an instance, or at one frame of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) study: Uid,
    pub(crate) series: Uid,
    pub(crate) sop_class: Uid,
    pub(crate) sop_instance: Uid,
    pub(crate) frame: Option<u32>,
}

impl Reference {
    pub(crate) fn of_source(source_index: usize, source: &SourceImage<'_>) -> Result<Self, ResultError> {
        let uid = |name: &'static str, tag: Tag| {
            source.header.uid(tag).ok_or(ResultError::SourceAttribute { source_index, name, tag })
        };
        Ok(Self {
            study: uid("StudyInstanceUID", tags::STUDY_INSTANCE_UID)?,
            series: uid("SeriesInstanceUID", tags::SERIES_INSTANCE_UID)?,
            sop_class: uid("SOPClassUID", tags::SOP_CLASS_UID)?,
            sop_instance: uid("SOPInstanceUID", tags::SOP_INSTANCE_UID)?,
            frame: source.frame,
        })
    }

    /// The instance, whatever frame of it is meant.
    pub(crate) fn whole(&self) -> Self {
        Self { frame: None, ..self.clone() }
    }

    /// A result object of this study.
    pub(crate) fn of_object(object: &Object, study: &Uid) -> Self {
        let reference = ObjectReference {
            sop_class: object.sop_class.clone(),
            sop_instance: object.sop_instance.clone(),
            series_instance: object.series_instance.clone(),
        };
        Self::of_earlier(&reference, study)
    }

    /// A result object of this study that was made before.
    pub(crate) fn of_earlier(object: &ObjectReference, study: &Uid) -> Self {
        Self {
            study: study.clone(),
            series: object.series_instance.clone(),
            sop_class: object.sop_class.clone(),
            sop_instance: object.sop_instance.clone(),
            frame: None,
        }
    }
}

/// An item that names an instance (PS3.3 Table 10-11), and its frame where one is meant (Table 10-3).
pub(crate) fn reference_item(reference: &Reference) -> Dataset {
    let mut item = instance_item(reference);
    if let Some(frame) = reference.frame {
        item.put_text(tags::REFERENCED_FRAME_NUMBER, VR::IS, &frame.to_string());
    }
    item
}

/// An item of Source Image Sequence (PS3.3 C.12.4.1.1.2, C.7.6.16.2.6) for what has the source's own pixels: nothing is
/// scaled, moved or cropped, so coordinates in the source are coordinates in the picture.
pub(crate) fn source_item(reference: &Reference, text: &OwnText) -> Dataset {
    let mut item = reference_item(reference);
    item.put_text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES");
    item.put_items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![code_item(&codes::SOURCE_FOR_PROCESSING, text)]);
    item
}

fn instance_item(reference: &Reference) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, reference.sop_class.as_str());
    item.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, reference.sop_instance.as_str());
    item
}

/// Everything an object refers to, each instance once, in the order of mention.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    references: Vec<Reference>,
}

impl Evidence {
    /// Whether the instance is new.
    pub(crate) fn add(&mut self, reference: &Reference) -> bool {
        let is_new = !self.references.iter().any(|known| known.sop_instance == reference.sop_instance);
        if is_new {
            self.references.push(reference.clone());
        }
        is_new
    }

    /// The items of Current Requested Procedure Evidence Sequence: study, series, instance (PS3.3 Table C.17-3).
    pub(crate) fn by_study(&self) -> Vec<Dataset> {
        groups(self.references.iter(), |reference| &reference.study)
            .into_iter()
            .map(|(study, references)| {
                let mut item = Dataset::new();
                item.put_text(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
                item.put_items(
                    tags::REFERENCED_SERIES_SEQUENCE,
                    series_items(&references, tags::REFERENCED_SOP_SEQUENCE),
                );
                item
            })
            .collect()
    }

    /// The items of Referenced Series Sequence in Common Instance Reference (PS3.3 C.12.2).
    pub(crate) fn by_series(&self) -> Vec<Dataset> {
        series_items(&self.references.iter().collect::<Vec<_>>(), tags::REFERENCED_INSTANCE_SEQUENCE)
    }
}

fn series_items(references: &[&Reference], instances: Tag) -> Vec<Dataset> {
    groups(references.iter().copied(), |reference| &reference.series)
        .into_iter()
        .map(|(series, references)| {
            let mut item = Dataset::new();
            item.put_text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
            item.put_items(instances, references.into_iter().map(instance_item).collect());
            item
        })
        .collect()
}

/// Groups in the order of first mention, which keeps the bytes the same for the same input.
fn groups<'a>(
    references: impl Iterator<Item = &'a Reference>,
    key: impl Fn(&'a Reference) -> &'a Uid,
) -> Vec<(&'a Uid, Vec<&'a Reference>)> {
    let mut groups: Vec<(&Uid, Vec<&Reference>)> = Vec::new();
    for reference in references {
        let uid = key(reference);
        match groups.iter_mut().find(|(known, _)| *known == uid) {
            Some((_, members)) => members.push(reference),
            None => groups.push((uid, vec![reference])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(series: &str, instance: &str) -> Reference {
        Reference {
            study: Uid::new("1").unwrap(),
            series: Uid::new(series).unwrap(),
            sop_class: Uid::new("1.2").unwrap(),
            sop_instance: Uid::new(instance).unwrap(),
            frame: Some(2),
        }
    }

    #[test]
    fn each_instance_once_below_its_series() {
        let mut evidence = Evidence::default();
        for (series, instance) in [("1.1", "1.1.1"), ("1.2", "1.2.1"), ("1.1", "1.1.2"), ("1.1", "1.1.1")] {
            evidence.add(&reference(series, instance));
        }
        let studies = evidence.by_study();
        let series = studies[0].items(tags::REFERENCED_SERIES_SEQUENCE);
        let counts: Vec<_> = series.iter().map(|s| s.items(tags::REFERENCED_SOP_SEQUENCE).len()).collect();
        assert_eq!((studies.len(), counts), (1, vec![2, 1]));
        assert!(!series[0].items(tags::REFERENCED_SOP_SEQUENCE)[0].contains(tags::REFERENCED_FRAME_NUMBER));
    }
}
