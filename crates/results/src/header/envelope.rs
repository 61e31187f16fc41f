use dicom_dictionary_std::uids;
use dokuei_dataset::{Dataset, Encoding, MetaFields, Tag, VR, append_dataset, file_meta};
use dokuei_types::{NodeIdentity, Uid};
use jiff::Zoned;

use super::{OwnText, OwnTime, equipment, patient, series, sop_common, study};
use crate::{Object, Role};

/// What every object has around its content, whether an algorithm's result is in it or a person's word about
/// one.
pub(crate) struct Envelope<'a> {
    /// The header that patient, study and request are copied from.
    pub(crate) lead: &'a Dataset,
    pub(crate) node: &'a NodeIdentity,
    pub(crate) text: OwnText,
    pub(crate) time: OwnTime,
}

impl<'a> Envelope<'a> {
    pub(crate) fn new(lead: &'a Dataset, node: &'a NodeIdentity, made_at: &Zoned) -> Self {
        Self { lead, node, text: OwnText::of(lead), time: OwnTime::of(made_at, lead) }
    }

    /// The data set of an object: the modules that do not depend on its kind.
    pub(crate) fn data_set(&self, class: &str, role: Role, of: &str, series: &Uid, instance: &Uid) -> Dataset {
        let mut data = Dataset::new();
        patient::put(&mut data, self.lead);
        study::put(&mut data, self.lead);
        series::put(&mut data, self, role, of, series);
        equipment::put(&mut data, self);
        sop_common::put(&mut data, self, class, instance);
        if role != Role::Pr {
            sop_common::put_content_time(&mut data, self);
        }
        data
    }

    /// Closes a data set: character set, encoding, file meta information.
    pub(crate) fn object(&self, mut data: Dataset, class: &str, series: Uid, instance: Uid) -> Object {
        self.text.declare(&mut data, self.lead);
        let mut bytes = file_meta(&MetaFields {
            sop_class: class,
            sop_instance: instance.as_str(),
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            source_ae: Some(self.node.ae_title.as_str()).filter(|title| !title.is_empty()),
            sending_ae: None,
            receiving_ae: None,
        });
        append_dataset(&data, Encoding::ExplicitLittle, &mut bytes);
        let sop_class = Uid::new(class).expect("the SOP classes of this crate are UIDs of the dictionary");
        Object { sop_class, sop_instance: instance, series_instance: series, bytes }
    }

    /// Sets an element to text of our own in the object's character set.
    pub(crate) fn put(&self, data: &mut Dataset, tag: Tag, vr: VR, text: &str) {
        data.put_text(tag, vr, &self.text.fit(text, vr));
    }
}
