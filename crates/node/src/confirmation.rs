//! Whether destinations keep what they have stored: by storage commitment (PS3.4 Annex J), or because C-FIND finds it
//! there (PS3.4 Annex C).

use std::collections::HashMap;
use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, VR};
use dokuei_dimse::{AssociateError, Association, Information, ProposedContext, RequestorConfig, SendError};
use dokuei_pipeline::ConfirmationOutcome;
use dokuei_store::{Inquiry, Unconfirmed};
use dokuei_types::{DimseStatus, Uid};
use tokio_util::sync::CancellationToken;

use crate::information;
use crate::keys::{self, Key, Level};
use crate::query::{self, QueryError};
use crate::send::words;

/// How long a result is waited for over the association of its request. Most peers use one of their own.
const RESULT_WAIT: Duration = Duration::from_secs(2);

/// A result of storage commitment (PS3.4 Table J.3-2).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) transaction_uid: Uid,
    /// What is said of each instance, by class and instance: nothing when it is committed to, else the Failure Reason.
    instances: HashMap<(Uid, Uid), Option<DimseStatus>>,
}

impl Answer {
    /// Reads the information of an N-EVENT-REPORT.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(information: &[u8], transfer_syntax: &Uid) -> Result<Self, String> {
        let said = information::read(information, transfer_syntax).map_err(|error| error.to_string())?;
        let transaction_uid = said.uid(tags::TRANSACTION_UID).ok_or("no Transaction UID")?;
        let failed = said.items(tags::FAILED_SOP_SEQUENCE).iter().filter_map(|item| {
            let reason = item.int(tags::FAILURE_REASON).and_then(|reason| u16::try_from(reason).ok());
            Some((information::referenced(item)?, Some(reason.map_or(DimseStatus::PROCESSING_FAILURE, DimseStatus))))
        });
        let held = said.items(tags::REFERENCED_SOP_SEQUENCE).iter();
        let held = held.filter_map(|item| Some((information::referenced(item)?, None)));
        // What is in both has failed.
        Ok(Self { transaction_uid, instances: held.chain(failed).collect() })
    }

    /// What it says of an object; `None` when it does not name it.
    pub(crate) fn of(&self, object: &Unconfirmed) -> Option<ConfirmationOutcome> {
        let key = (Uid::new(&object.sop_class).ok()?, Uid::new(&object.sop_instance).ok()?);
        Some(self.instances.get(&key)?.map_or(ConfirmationOutcome::Kept, failure))
    }
}

/// What a Failure Reason (PS3.3 § C.14.1.1) means for what was sent.
fn failure(reason: DimseStatus) -> ConfirmationOutcome {
    let said = |what: &str| format!("the destination does not commit to it ({reason}): {what}");
    match reason {
        DimseStatus::NO_SUCH_SOP_INSTANCE => ConfirmationOutcome::Missing(said("it has no such instance")),
        DimseStatus::CLASS_INSTANCE_CONFLICT => ConfirmationOutcome::Refused(said("it has it under another SOP class")),
        DimseStatus::SOP_CLASS_NOT_SUPPORTED => {
            ConfirmationOutcome::Refused(said("it commits to nothing of this SOP class"))
        }
        _ => ConfirmationOutcome::Unable(said("it may later")),
    }
}

/// Asks a destination to commit to what it has stored, and waits a moment for its result.
pub(crate) async fn ask_commitment(config: &RequestorConfig, inquiry: &Inquiry) -> Vec<ConfirmationOutcome> {
    let all = |outcome: ConfirmationOutcome| vec![outcome; inquiry.objects.len()];
    let mut association = match Association::request(config, &[ProposedContext::storage_commitment()]).await {
        Ok(association) => association,
        Err(error) => return unreachable(inquiry, &error),
    };
    let answer = asked(&mut association, inquiry).await;
    if association.is_usable() {
        drop(association.release().await);
    }
    match answer {
        Err(outcome) => all(outcome),
        Ok(None) => all(ConfirmationOutcome::Asked),
        Ok(Some(answer)) => {
            inquiry.objects.iter().map(|object| answer.of(object).unwrap_or(ConfirmationOutcome::Asked)).collect()
        }
    }
}

/// The result, when it comes at once.
async fn asked(association: &mut Association, inquiry: &Inquiry) -> Result<Option<Answer>, ConfirmationOutcome> {
    let sent = association.ask_commitment(&question(inquiry)).await.map_err(|error| match error {
        SendError::NotAccepted { .. } => {
            ConfirmationOutcome::Refused("it offers no storage commitment to us: enable it there".to_owned())
        }
        error => ConfirmationOutcome::Unreachable(words(&error)),
    })?;
    if sent.status != DimseStatus::SUCCESS {
        return Err(ConfirmationOutcome::Unable(format!(
            "asked to commit it answers with {}: {}",
            sent.status, sent.comment
        )));
    }
    let Ok(Some(report)) = association.commitment_report(RESULT_WAIT).await else { return Ok(None) };
    let read = Answer::read(&report.information, &report.transfer_syntax);
    let answer = read.ok().filter(|answer| answer.transaction_uid == inquiry.transaction_uid);
    let status = if answer.is_some() { DimseStatus::SUCCESS } else { DimseStatus::PROCESSING_FAILURE };
    drop(association.answer_report(report, status).await);
    Ok(answer)
}

/// Looks for each object at a destination. One that is not found may still turn up, since archives answer success
/// before they have filed an instance, until `is_late` says otherwise of the time it was stored (milliseconds since 1970).
pub(crate) async fn find(
    config: &RequestorConfig,
    inquiry: &Inquiry,
    is_late: impl Fn(i64) -> bool,
) -> Vec<ConfirmationOutcome> {
    let model = keys::find_model(Level::Image, false);
    let contexts = [ProposedContext::information_model(model.clone())];
    let mut association = match Association::request(config, &contexts).await {
        Ok(association) => association,
        Err(error) => return unreachable(inquiry, &error),
    };
    let mut outcomes = Vec::with_capacity(inquiry.objects.len());
    for object in &inquiry.objects {
        outcomes.push(match found(&mut association, &model, object).await {
            Ok(true) => ConfirmationOutcome::Kept,
            Ok(false) if is_late(object.stored_at) => {
                ConfirmationOutcome::Missing("C-FIND does not find it there".to_owned())
            }
            Ok(false) => ConfirmationOutcome::Unable("C-FIND does not find it there yet".to_owned()),
            Err(outcome) => outcome,
        });
    }
    if association.is_usable() {
        drop(association.release().await);
    }
    outcomes
}

async fn found(association: &mut Association, model: &Uid, object: &Unconfirmed) -> Result<bool, ConfirmationOutcome> {
    let (Some(study), Some(series)) = (&object.study, &object.series) else {
        return Err(ConfirmationOutcome::Refused("without study and series it cannot be asked for".to_owned()));
    };
    let keys = [
        Key::of(tags::STUDY_INSTANCE_UID, study),
        Key::of(tags::SERIES_INSTANCE_UID, series),
        Key::of(tags::SOP_INSTANCE_UID, &object.sop_instance),
    ];
    let mut is_found = false;
    let is_it = |uid: Uid| uid.as_str() == object.sop_instance;
    let asked = query::matches(association, model, (Level::Image, &keys), CancellationToken::new(), |dataset| {
        is_found |= dataset.uid(tags::SOP_INSTANCE_UID).is_some_and(is_it);
    });
    asked.await.map(|()| is_found).map_err(|error| match error {
        QueryError::Broken(SendError::NotAccepted { .. }) => {
            ConfirmationOutcome::Refused("it answers no queries of ours: allow Study Root C-FIND there".to_owned())
        }
        QueryError::Broken(error) => ConfirmationOutcome::Unreachable(words(&error)),
        error => ConfirmationOutcome::Unable(words(&error)),
    })
}

fn unreachable(inquiry: &Inquiry, error: &AssociateError) -> Vec<ConfirmationOutcome> {
    let reason = format!("{}; {}", words(error), error.advice());
    vec![ConfirmationOutcome::Unreachable(reason); inquiry.objects.len()]
}

/// The information of an N-ACTION (PS3.4 Table J.3-1).
fn question(inquiry: &Inquiry) -> Information {
    let item = |object: &Unconfirmed| information::reference(&object.sop_class, &object.sop_instance);
    let mut dataset = Dataset::new();
    dataset.put_text(tags::TRANSACTION_UID, VR::UI, inquiry.transaction_uid.as_str());
    dataset.put_items(tags::REFERENCED_SOP_SEQUENCE, inquiry.objects.iter().map(item).collect());
    information::written(&dataset)
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;
    use dokuei_store::DeliveryId;
    use dokuei_types::InstanceId;

    use super::*;

    fn object(sop_instance: &str) -> Unconfirmed {
        Unconfirmed {
            delivery: DeliveryId(1),
            instance: InstanceId(1),
            role: "original".into(),
            sop_class: uids::CT_IMAGE_STORAGE.into(),
            sop_instance: sop_instance.into(),
            series: None,
            study: None,
            asked: 0,
            first_tried_at: 0,
            stored_at: 0,
        }
    }

    #[test]
    fn an_answer_says_of_each_instance_whether_it_is_kept() {
        let mut dataset = Dataset::new();
        dataset.put_text(tags::TRANSACTION_UID, VR::UI, "1.9");
        let item = |instance: &str, reason: Option<u16>| {
            let mut item = information::reference(uids::CT_IMAGE_STORAGE, instance);
            if let Some(reason) = reason {
                item.put_u16(tags::FAILURE_REASON, &[reason]);
            }
            item
        };
        let failed = [("1.2", Some(0x0112)), ("1.3", Some(0x0119)), ("1.4", Some(0x0213)), ("1.5", None)];
        dataset.put_items(tags::REFERENCED_SOP_SEQUENCE, vec![item("1.1", None), item("1.2", None)]);
        dataset.put_items(
            tags::FAILED_SOP_SEQUENCE,
            failed.iter().map(|(instance, reason)| item(instance, *reason)).collect(),
        );
        let Information { implicit, explicit } = information::written(&dataset);
        for (bytes, syntax) in
            [(implicit, uids::IMPLICIT_VR_LITTLE_ENDIAN), (explicit, uids::EXPLICIT_VR_LITTLE_ENDIAN)]
        {
            let answer = Answer::read(&bytes, &Uid::new(syntax).unwrap()).unwrap();
            assert_eq!(answer.transaction_uid.as_str(), "1.9");
            let of = |instance: &str| answer.of(&object(instance));
            assert_eq!(of("1.1"), Some(ConfirmationOutcome::Kept));
            assert!(matches!(of("1.2"), Some(ConfirmationOutcome::Missing(_))), "in both sequences");
            assert!(matches!(of("1.3"), Some(ConfirmationOutcome::Refused(_))));
            assert!(matches!(of("1.4"), Some(ConfirmationOutcome::Unable(_))));
            assert!(matches!(of("1.5"), Some(ConfirmationOutcome::Unable(_))));
            assert_eq!(of("1.6"), None);
            let other = Unconfirmed { sop_class: uids::MR_IMAGE_STORAGE.into(), ..object("1.1") };
            assert_eq!(answer.of(&other), None, "under another class it is another question");
        }
        let syntax = Uid::new(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert!(Answer::read(&[1, 2, 3], &syntax).is_err());
        assert!(Answer::read(&[], &syntax).is_err());
    }

    #[test]
    fn a_question_names_every_object() {
        let inquiry =
            Inquiry { transaction_uid: Uid::new("1.9").unwrap(), objects: vec![object("1.1"), object("1.2")] };
        let Information { implicit, .. } = question(&inquiry);
        let syntax = Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let answer = Answer::read(&implicit, &syntax).unwrap();
        assert_eq!(answer.transaction_uid.as_str(), "1.9");
        assert!(inquiry.objects.iter().all(|object| answer.of(object) == Some(ConfirmationOutcome::Kept)));
    }
}
