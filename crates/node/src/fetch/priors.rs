//! The last earlier image of a patient, from a destination into the node's own store: C-FIND for studies and their series
//! (PS3.4 § C.4.1), C-GET of the first that may be comparable (§ C.4.3). Nothing here decides whether two images are of one
//! patient: that is told from their headers.

use std::sync::{Arc, Mutex, PoisonError};

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};
use dokuei_dimse::{
    Association, IncomingInstance, ProposedContext, Refusal, RequestorConfig, StorageService, StoreRequest,
};
use dokuei_pipeline::{WantedPrior, may_be_same};
use dokuei_results::{Doubt, same_patient};
use dokuei_store::Store;
use dokuei_types::{DimseStatus, Uid};
use tokio_util::sync::CancellationToken;

use super::{contexts, receive};
use crate::keys::{self, Key, Level, known};
use crate::query;
use crate::receiver::{Receiver, Receiving};
use crate::send::words;

/// Studies whose series are asked for, from the last on.
const STUDIES_MAX: usize = 10;
/// Images of one series that are fetched: radiographs are few, and nobody waits for a volume.
const IMAGES_MAX: u32 = 16;

/// What a destination says of a study.
struct Study {
    uid: Uid,
    /// Study Date and Time as they are written, which sorts them.
    taken: [String; 2],
}

/// Brings the last earlier study that may be comparable, those of its series that may be; the SOP Instance UIDs.
pub(crate) async fn fetch(config: &RequestorConfig, wanted: &WantedPrior) -> Result<Vec<Uid>, String> {
    let model = keys::find_model(Level::Study, false);
    let association = Association::request(config, &[ProposedContext::information_model(model.clone())]).await;
    let mut association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let found = last_series(&mut association, &model, wanted).await;
    if association.is_usable() {
        drop(association.release().await);
    }
    match found? {
        Some((study, series)) => get(config, wanted, &study, &series).await,
        None => Ok(Vec::new()),
    }
}

/// The last study that has series which may be comparable, with these.
async fn last_series(
    association: &mut Association,
    model: &Uid,
    wanted: &WantedPrior,
) -> Result<Option<(Uid, Vec<Uid>)>, String> {
    for study in studies(association, model, wanted).await?.into_iter().take(STUDIES_MAX) {
        let any = [
            tags::SERIES_INSTANCE_UID,
            tags::MODALITY,
            tags::BODY_PART_EXAMINED,
            tags::LATERALITY,
            tags::PROTOCOL_NAME,
            tags::NUMBER_OF_SERIES_RELATED_INSTANCES,
        ];
        let keys = asked_for(&[(tags::STUDY_INSTANCE_UID, study.uid.as_str())], &any);
        let mut series = Vec::new();
        let matches = query::matches(association, model, (Level::Series, &keys), CancellationToken::new(), |said| {
            let count = said.int(tags::NUMBER_OF_SERIES_RELATED_INSTANCES).unwrap_or(1);
            let is_comparable = may_be_same(&wanted.same, &wanted.header, said) && count <= i64::from(IMAGES_MAX);
            series.extend(said.uid(tags::SERIES_INSTANCE_UID).filter(|_| is_comparable));
        });
        matches.await.map_err(|error| words(&error))?;
        if !series.is_empty() {
            return Ok(Some((study.uid, series)));
        }
    }
    Ok(None)
}

/// The patient's other studies of these days, the last one first.
async fn studies(association: &mut Association, model: &Uid, wanted: &WantedPrior) -> Result<Vec<Study>, String> {
    let header = &wanted.header;
    let patient_id = header.text(tags::PATIENT_ID).unwrap_or_default();
    if patient_id.contains(['*', '?', '\\']) {
        return Err("the Patient ID would match others (PS3.4 § C.2.2.2.4)".to_owned());
    }
    let days = wanted.days.map(|day| day.strftime("%Y%m%d").to_string()).join("-");
    let any = [
        tags::STUDY_INSTANCE_UID,
        tags::STUDY_TIME,
        tags::PATIENT_BIRTH_DATE,
        tags::PATIENT_SEX,
        tags::ISSUER_OF_PATIENT_ID,
    ];
    let keys = asked_for(&[(tags::PATIENT_ID, &patient_id), (tags::STUDY_DATE, &days)], &any);
    let own = header.uid(tags::STUDY_INSTANCE_UID);
    let mut studies: Vec<Study> = Vec::new();
    let matches = query::matches(association, model, (Level::Study, &keys), CancellationToken::new(), |said| {
        let uid = said.uid(tags::STUDY_INSTANCE_UID).filter(|uid| Some(uid) != own.as_ref());
        if let Some(uid) = uid.filter(|_| may_be_of_patient(header, said)) {
            let taken = [tags::STUDY_DATE, tags::STUDY_TIME].map(|tag| said.text(tag).unwrap_or_default());
            studies.push(Study { uid, taken });
        }
    });
    matches.await.map_err(|error| words(&error))?;
    studies.sort_by(|one, other| other.taken.cmp(&one.taken));
    Ok(studies)
}

fn asked_for(with: &[(Tag, &str)], any: &[Tag]) -> Vec<Key> {
    let with = with.iter().map(|(tag, value)| Key::of(*tag, value));
    with.chain(any.iter().map(|tag| Key::any(*tag))).collect()
}

/// Whether a study may be the patient's, as far as a destination says whose it is: it need not say all.
fn may_be_of_patient(header: &Dataset, said: &Dataset) -> bool {
    let mut said = said.clone();
    // Archives answer in a character set of theirs, which need not have the letters of a name.
    said.remove(tags::PATIENT_NAME);
    for tag in [tags::ISSUER_OF_PATIENT_ID, tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE] {
        if said.get(tag).is_none() || said.text(tag).is_none() && said.items(tag).is_empty() {
            said.remove(tag);
            header.get(tag).cloned().into_iter().for_each(|element| said.put(element));
        }
    }
    matches!(same_patient(header, &said), Ok(()) | Err(Doubt::IdAlone))
}

/// Has the destination send the series, one after the other, over an association of their own.
async fn get(config: &RequestorConfig, wanted: &WantedPrior, study: &Uid, series: &[Uid]) -> Result<Vec<Uid>, String> {
    let cancel = CancellationToken::new();
    let classes = contexts::classes(config, study, &cancel).await;
    let config = RequestorConfig { provides: classes.clone(), ..config.clone() };
    let association = Association::request(&config, &contexts::proposed(&classes)).await;
    let mut association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let came = Arc::default();
    let receiver = Receiver::fetching(wanted.store.clone(), config.calling_ae.clone(), wanted.fetched.clone());
    let bringing = Bringing { receiver, store: wanted.store.clone(), came: Arc::clone(&came) };
    let receive = receive(bringing, &config);
    for series in series {
        let keys =
            [Key::of(tags::STUDY_INSTANCE_UID, study.as_str()), Key::of(tags::SERIES_INSTANCE_UID, series.as_str())];
        let identifier = keys::identifier(Level::Series, &keys);
        let model = known(contexts::GET_MODEL);
        let retrieval = association.get(&model, &identifier, &receive, cancel.clone()).await;
        let mut retrieval = retrieval.map_err(|error| words(&error))?;
        while let Some(response) = retrieval.next().await.map_err(|error| words(&error))? {
            let status = response.status;
            if response.sub_operations.done() > IMAGES_MAX {
                cancel.cancel();
            }
            if !status.is_pending() && !status.is_stored() && status != DimseStatus::CANCELLED {
                tracing::warn!(%status, comment = response.comment, "an earlier image does not come whole");
            }
        }
    }
    drop(association.release().await);
    let came = std::mem::take(&mut *came.lock().unwrap_or_else(PoisonError::into_inner));
    if came.is_empty() { Err("it has earlier images and sends none of them by C-GET".to_owned()) } else { Ok(came) }
}

/// Stores what comes, and notes what that is once the index has it.
struct Bringing {
    receiver: Receiver,
    store: Store,
    came: Arc<Mutex<Vec<Uid>>>,
}

struct Brought {
    receiving: Receiving,
    sop_instance: Uid,
    store: Store,
    came: Arc<Mutex<Vec<Uid>>>,
}

impl StorageService for Bringing {
    type Incoming = Brought;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Brought, Refusal> {
        Ok(Brought {
            sop_instance: request.sop_instance.clone(),
            receiving: self.receiver.begin(request)?,
            store: self.store.clone(),
            came: Arc::clone(&self.came),
        })
    }
}

impl IncomingInstance for Brought {
    type Committed = ();

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.receiving.write(bytes)
    }

    fn may_block(&self, count: usize) -> bool {
        self.receiving.may_block(count)
    }

    async fn commit(self) -> Result<(), Refusal> {
        let Self { receiving, sop_instance, store, came } = self;
        let committed = receiving.commit().await?;
        let indexed = tokio::task::spawn_blocking(move || store.indexed(committed)).await;
        if !matches!(indexed, Ok(Ok(_))) {
            return Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "not in the index"));
        }
        came.lock().unwrap_or_else(PoisonError::into_inner).push(sop_instance);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dokuei_dataset::VR;

    use super::*;

    #[test]
    fn what_a_destination_leaves_unsaid_speaks_against_nobody() {
        let patient = |fields: &[(Tag, VR, &str)]| {
            let mut header = Dataset::new();
            fields.iter().for_each(|(tag, vr, text)| header.put_text(*tag, *vr, text));
            header
        };
        let id = (tags::PATIENT_ID, VR::LO, "4711");
        let issuer = (tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOSPITAL");
        let born = (tags::PATIENT_BIRTH_DATE, VR::DA, "19700101");
        let header = patient(&[id, issuer, born]);
        let check = |said: &[(Tag, VR, &str)], expected| {
            assert_eq!(may_be_of_patient(&header, &patient(said)), expected, "{said:?}");
        };
        check(&[id], true);
        check(&[id, (tags::ISSUER_OF_PATIENT_ID, VR::LO, "")], true);
        check(&[id, issuer, born], true);
        check(&[id, (tags::ISSUER_OF_PATIENT_ID, VR::LO, "OTHER")], false);
        check(&[id, (tags::PATIENT_BIRTH_DATE, VR::DA, "19700102")], false);
        check(&[(tags::PATIENT_ID, VR::LO, "47110")], false);
        check(&[], false);
    }
}
