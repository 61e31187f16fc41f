//! `dokuei withdraw`: takes results back by key object notes that every receiver of them gets.

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Limits, read_file};
use dokuei_results::{ObjectReference, RejectReason, Withdrawal, rejection_note};
use dokuei_store::{NewObject, ShownResult, StoreReader, Withdrawn};
use dokuei_types::NodeIdentity;
use jiff::Zoned;
use serde_json::json;

use crate::args::{Reason, Withdraw};
use crate::inspect::{attach, find, unreadable};
use crate::outcome::{self, Failure, line};

pub(crate) fn run(arguments: &Withdraw) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    let mut count = 0_usize;
    for text in &arguments.ids {
        for id in find(&reader, text)? {
            let Some(shown) = reader.show(id).map_err(|error| unreadable(&error))? else { continue };
            let is_meant = |result: &&ShownResult| {
                !result.withdrawn && arguments.model.as_ref().is_none_or(|model| *model == result.model)
            };
            for result in shown.results.iter().filter(is_meant) {
                if let Some(withdrawn) = one(&reader, result, arguments)? {
                    count = count.saturating_add(1);
                    tell(id.0, result, withdrawn, arguments.place.json);
                }
            }
        }
    }
    if count == 0 {
        return Err(Failure::work("there is no result to withdraw: none was made, or all are withdrawn already"));
    }
    Ok(())
}

fn one(reader: &StoreReader, result: &ShownResult, arguments: &Withdraw) -> Result<Option<Withdrawn>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::because("withdraw a result", error);
    let Some(first) = result.objects.iter().find(|object| object.removed_at.is_none()) else {
        return Err(Failure::work(format!(
            "no object of result {} is kept from which a note could be made",
            result.id
        )));
    };
    let bytes = first.file.read().map_err(|error| failed(&error))?;
    let (_, header) = read_file(&bytes, &Limits::default()).map_err(|error| failed(&error))?;
    let object = |object: &dokuei_store::StoredObject| {
        ObjectReference::parse(&object.sop_class, &object.sop_instance, object.series.as_deref()?)
    };
    let objects: Vec<ObjectReference> = result.objects.iter().filter_map(object).collect();
    let note = rejection_note(&Withdrawal {
        object: &header.dataset,
        objects: &objects,
        node: &maker(&header.dataset)?,
        made_at: &Zoned::now(),
        reason: reason(arguments.reason),
        comment: arguments.comment.as_deref().unwrap_or_default(),
    })
    .map_err(|error| failed(&error))?;
    let new = NewObject {
        role: dokuei_store::REJECTION,
        sop_class: &note.sop_class,
        sop_instance: &note.sop_instance,
        series: &note.series_instance,
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        bytes: &note.bytes,
    };
    reader.withdraw(result.id, &new).map_err(|error| failed(&error))
}

fn reason(reason: Reason) -> RejectReason {
    match reason {
        Reason::Quality => RejectReason::Quality,
        Reason::PatientSafety => RejectReason::PatientSafety,
        Reason::Worklist => RejectReason::IncorrectWorklistEntry,
    }
}

/// The node that made an object, which is the one that takes it back.
fn maker(object: &Dataset) -> Result<NodeIdentity, Failure> {
    let text = |tag| object.text(tag).unwrap_or_default();
    let device_uid = object.uid(tags::DEVICE_UID);
    Ok(NodeIdentity {
        ae_title: text(tags::STATION_NAME),
        manufacturer: text(tags::MANUFACTURER),
        model_name: text(tags::MANUFACTURER_MODEL_NAME),
        serial_number: text(tags::DEVICE_SERIAL_NUMBER),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        device_uid: device_uid.ok_or_else(|| Failure::work("the result does not say which node made it"))?,
    })
}

fn tell(instance: i64, result: &ShownResult, withdrawn: Withdrawn, json: bool) {
    let Withdrawn { destinations, stopped } = withdrawn;
    if json {
        let (model, version) = (&result.model, &result.version);
        outcome::json(
            &json!({
                "instance": instance, "model": model, "version": version, "destinations": destinations, "stopped": stopped,
            }),
            false,
        );
    } else {
        line(format!(
            "instance {instance}: the result of {} {} is withdrawn; a note goes to {destinations} destinations, \
             {stopped} deliveries are stopped",
            result.model, result.version
        ));
    }
}
