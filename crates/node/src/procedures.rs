//! Performed procedure steps and instance availability notifications as their provider (PS3.4 Annexes F and R): what they
//! say of studies goes into the store, where it settles them. This is no information system: nothing else of them is kept,
//! least of all whose they are, and attributes that settling does not ask for are not looked at.

use std::fmt;

use dicom_core::dictionary::{UidDictionary, UidDictionaryEntry};
use dicom_dictionary_std::{StandardSopClassDictionary, tags, uids};
use dokuei_dataset::{Dataset, Tag};
use dokuei_dimse::{Notice, Pending, ProcedureService, Refusal};
use dokuei_store::{HintId, HintKind, HintUpdate, NamedImage, NewHint, Progress, Store, StoreError, Updated};
use dokuei_types::{DimseStatus, Uid};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::audit::{Audit, What};
use crate::information;
use crate::send::words;

/// Error ID and Error Comment of an N-SET on a step that has ended (PS3.4 Table F.7.2-2).
const MAY_NO_LONGER_BE_UPDATED: (u16, &str) = (0xA710, "Performed Procedure Step Object may no longer be updated");

/// An attribute that a message has to have, and its name.
type Named = (Tag, &'static str);

const STATUS: Named = (tags::PERFORMED_PROCEDURE_STEP_STATUS, "Performed Procedure Step Status");
const STEP_ATTRIBUTES: Named = (tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, "Scheduled Step Attributes Sequence");
const STUDY: Named = (tags::STUDY_INSTANCE_UID, "Study Instance UID");
const SERIES: Named = (tags::SERIES_INSTANCE_UID, "Series Instance UID");
const REFERENCED_SERIES: Named = (tags::REFERENCED_SERIES_SEQUENCE, "Referenced Series Sequence");
const REFERENCED_SOP: Named = (tags::REFERENCED_SOP_SEQUENCE, "Referenced SOP Sequence");
const REFERENCED_CLASS: Named = (tags::REFERENCED_SOP_CLASS_UID, "Referenced SOP Class UID");
const REFERENCED_INSTANCE: Named = (tags::REFERENCED_SOP_INSTANCE_UID, "Referenced SOP Instance UID");
const AVAILABILITY: Named = (tags::INSTANCE_AVAILABILITY, "Instance Availability");

/// Takes in what peers say. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Procedures {
    store: Store,
    audit: Audit,
}

impl fmt::Debug for Procedures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Procedures").finish_non_exhaustive()
    }
}

impl Procedures {
    pub(crate) fn new(store: Store, audit: Audit) -> Self {
        Self { store, audit }
    }

    /// Says in the log and the audit trail what was taken in.
    fn heard(&self, id: HintId, kind: HintKind, peer_ae: &str, progress: Option<Progress>, images: Option<usize>) {
        let progress = progress.map(Progress::as_str);
        let (what, words) = match kind {
            HintKind::Mpps => (What::ProcedureStep, "performed procedure step"),
            HintKind::Availability => (What::InstancesAvailable, "instance availability notification"),
        };
        tracing::info!(hint = %id, peer_ae, progress, images, "{words}");
        let mut fields = json!({ "hint": id, "calling_ae": peer_ae });
        if kind == HintKind::Mpps {
            fields["progress"] = json!(progress);
        }
        if let Some(images) = images {
            fields["images"] = json!(images);
        }
        self.audit.record(what, fields);
    }
}

impl ProcedureService for Procedures {
    fn create(&self, notice: Notice) -> Pending<Result<Uid, Refusal>> {
        let this = self.clone();
        Box::pin(async move {
            let hint = match notice.sop_class.as_str() {
                uids::MODALITY_PERFORMED_PROCEDURE_STEP => begun(&notice)?,
                _ => available(&notice)?,
            };
            let (kind, progress, peer_ae, images) = (hint.kind, hint.progress, hint.peer_ae.clone(), hint.images.len());
            let sop_instance = hint.sop_instance.clone();
            let store = this.store.clone();
            let added = kept(move || store.add_hint(hint)).await?;
            let id = added
                .ok_or_else(|| Refusal::new(DimseStatus::DUPLICATE_SOP_INSTANCE, "there is an instance of this UID"))?;
            this.heard(id, kind, &peer_ae, Some(progress), Some(images));
            Ok(sop_instance)
        })
    }

    fn set(&self, notice: Notice) -> Pending<Result<(), Refusal>> {
        let this = self.clone();
        Box::pin(async move {
            let unknown = || Refusal::new(DimseStatus::NO_SUCH_SOP_INSTANCE, "no such performed procedure step");
            let sop_instance = notice.sop_instance.clone().ok_or_else(unknown)?;
            let update = changed(&notice)?;
            let (progress, images) = (update.progress, update.images.as_ref().map(Vec::len));
            let store = this.store.clone();
            match kept(move || store.update_hint(&sop_instance, update)).await? {
                Updated::Recorded(id) => {
                    this.heard(id, HintKind::Mpps, notice.calling_ae.as_str(), progress, images);
                    Ok(())
                }
                Updated::Unknown => Err(unknown()),
                Updated::Final => {
                    let (error_id, comment) = MAY_NO_LONGER_BE_UPDATED;
                    Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, comment).with_error_id(error_id))
                }
            }
        })
    }
}

/// Has the store keep something, off the threads that serve the network.
async fn kept<T: Send + 'static>(keep: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(keep).await.unwrap_or(Err(StoreError::Closed)).map_err(|error| {
        tracing::error!(error = words(&error), "what is said of a study cannot be kept");
        Refusal::new(DimseStatus::PROCESSING_FAILURE, "it cannot be kept")
    })
}

/// The N-CREATE of a performed procedure step (PS3.4 § F.7.2.1).
fn begun(notice: &Notice) -> Result<NewHint, Refusal> {
    let dataset = read(notice)?;
    match progress(&dataset)? {
        Some(Progress::InProgress) => {}
        Some(_) => return Err(invalid("a performed procedure step begins IN PROGRESS")),
        None => return Err(missing(STATUS)),
    }
    let steps = items(&dataset, STEP_ATTRIBUTES)?;
    Ok(NewHint {
        studies: steps.iter().map(|step| uid(step, STUDY)).collect::<Result<_, _>>()?,
        images: performed(&dataset)?,
        ..hint(notice, HintKind::Mpps, Progress::InProgress)
    })
}

/// The N-SET of a performed procedure step (PS3.4 § F.7.2.2); what it leaves out stays.
fn changed(notice: &Notice) -> Result<HintUpdate, Refusal> {
    let dataset = read(notice)?;
    let images = dataset.contains(tags::PERFORMED_SERIES_SEQUENCE).then(|| performed(&dataset)).transpose();
    // What an N-CREATE lacks is an attribute, what an N-SET lacks is a value (PS3.7 § 10.1.3.1.9).
    let images = images.map_err(|refusal| match refusal.status {
        DimseStatus::MISSING_ATTRIBUTE => Refusal { status: DimseStatus::MISSING_ATTRIBUTE_VALUE, ..refusal },
        _ => refusal,
    })?;
    Ok(HintUpdate { progress: progress(&dataset)?, images })
}

/// An instance availability notification (PS3.4 § R.3.2.1).
fn available(notice: &Notice) -> Result<NewHint, Refusal> {
    let dataset = read(notice)?;
    let mut hint = hint(notice, HintKind::Availability, Progress::Completed);
    hint.studies = vec![uid(&dataset, STUDY)?];
    for item in items(&dataset, REFERENCED_SERIES)? {
        let series = uid(item, SERIES)?;
        for reference in items(item, REFERENCED_SOP)? {
            let (is_image, sop_instance) = referenced(reference)?;
            // PS3.3 § C.4.23.1.1.
            let is_available = match reference.text(AVAILABILITY.0).as_deref() {
                Some("ONLINE" | "NEARLINE") => true,
                Some("OFFLINE" | "UNAVAILABLE") => false,
                Some(_) => return Err(invalid("Instance Availability has a value of its own")),
                None => return Err(lacking(reference, AVAILABILITY)),
            };
            if !is_available {
                hint.gone.push(sop_instance);
            } else if is_image {
                hint.images.push(NamedImage { series: series.clone(), sop_instance });
            }
        }
    }
    Ok(hint)
}

/// A hint without studies and images.
fn hint(notice: &Notice, kind: HintKind, progress: Progress) -> NewHint {
    NewHint {
        kind,
        sop_instance: notice.sop_instance.clone().unwrap_or_else(Uid::random),
        peer_ae: notice.calling_ae.to_string(),
        progress,
        studies: Vec::new(),
        images: Vec::new(),
        gone: Vec::new(),
    }
}

/// How far a step is (PS3.3 § C.4.14), where a message says so.
fn progress(dataset: &Dataset) -> Result<Option<Progress>, Refusal> {
    match dataset.text(STATUS.0).as_deref() {
        Some("IN PROGRESS") => Ok(Some(Progress::InProgress)),
        Some("COMPLETED") => Ok(Some(Progress::Completed)),
        Some("DISCONTINUED") => Ok(Some(Progress::Discontinued)),
        Some(_) => Err(invalid("Performed Procedure Step Status has a value of its own")),
        None if dataset.contains(STATUS.0) => Err(lacking(dataset, STATUS)),
        None => Ok(None),
    }
}

/// The images that a step has made so far. What is an image is told by its SOP class, since the sequence it is in has no
/// significance (PS3.4 § F.7.2.2.2).
fn performed(dataset: &Dataset) -> Result<Vec<NamedImage>, Refusal> {
    let mut images = Vec::new();
    for item in dataset.items(tags::PERFORMED_SERIES_SEQUENCE) {
        let series = uid(item, SERIES)?;
        for sequence in [tags::REFERENCED_IMAGE_SEQUENCE, tags::REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE] {
            for reference in item.items(sequence) {
                if let (true, sop_instance) = referenced(reference)? {
                    images.push(NamedImage { series: series.clone(), sop_instance });
                }
            }
        }
    }
    Ok(images)
}

/// The instance of a reference, and whether it is an image.
fn referenced(reference: &Dataset) -> Result<(bool, Uid), Refusal> {
    Ok((is_image(&uid(reference, REFERENCED_CLASS)?), uid(reference, REFERENCED_INSTANCE)?))
}

/// Whether instances of a SOP class are images. Only these are waited for: reports of dose, presentation states and raw data
/// often go elsewhere, and no model looks at them.
fn is_image(sop_class: &Uid) -> bool {
    let known = StandardSopClassDictionary.by_uid(sop_class.as_str());
    known.is_some_and(|class| class.name().contains("Image Storage") || class.uid() == uids::ENHANCED_US_VOLUME_STORAGE)
}

/// An N-CREATE need not have a data set (PS3.7 § 10.1.5.1).
fn read(notice: &Notice) -> Result<Dataset, Refusal> {
    if notice.information.is_empty() {
        return Ok(Dataset::new());
    }
    information::read(&notice.information, &notice.transfer_syntax)
        .map_err(|error| Refusal::new(DimseStatus::PROCESSING_FAILURE, error.to_string()))
}

/// The items of a sequence that has to have some.
fn items(dataset: &Dataset, of: Named) -> Result<&[Dataset], Refusal> {
    match dataset.items(of.0) {
        [] => Err(lacking(dataset, of)),
        items => Ok(items),
    }
}

fn uid(dataset: &Dataset, of: Named) -> Result<Uid, Refusal> {
    dataset.uid(of.0).ok_or_else(|| match dataset.text(of.0) {
        Some(_) => invalid(&format!("{} is no UID", of.1)),
        None => lacking(dataset, of),
    })
}

/// What has no value, or is not there at all.
fn lacking(dataset: &Dataset, of: Named) -> Refusal {
    if dataset.contains(of.0) {
        return Refusal::new(DimseStatus::MISSING_ATTRIBUTE_VALUE, format!("{} has no value", of.1));
    }
    missing(of)
}

fn missing((_, name): Named) -> Refusal {
    Refusal::new(DimseStatus::MISSING_ATTRIBUTE, format!("{name} is missing"))
}

fn invalid(comment: &str) -> Refusal {
    Refusal::new(DimseStatus::INVALID_ATTRIBUTE_VALUE, comment)
}

#[cfg(test)]
mod tests;
