//! The last earlier image of a patient, from a destination into the node's own store: C-FIND for studies and their series
//! (PS3.4 § C.4.1), then the first study that may be comparable, as far as it is not here. Nothing here decides whether two
//! images are of one patient: that is told from their headers.

use std::sync::Arc;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};
use dokuei_dimse::{Association, ProposedContext, RequestorConfig};
use dokuei_pipeline::{WantedPrior, may_be_same};
use dokuei_results::{Doubt, same_patient};
use dokuei_store::{Store, StoreError};
use dokuei_types::Uid;
use tokio_util::sync::CancellationToken;

use super::brought::{Brought, IMAGES_MAX};
use super::retrieval::{Part, Retrieving, retrieve};
use crate::count::Asking;
use crate::keys::{self, Key, Level};
use crate::query;
use crate::send::words;

/// Studies whose series are asked for, from the last on.
const STUDIES_MAX: usize = 10;

/// What a destination says of a study.
struct Study {
    uid: Uid,
    /// Study Date and Time as they are written, which sorts them.
    taken: [String; 2],
}

/// What a destination says of a series that may be comparable.
struct Series {
    uid: Uid,
    /// Its instances, where it says so.
    count: Option<u64>,
}

/// Brings the last earlier study that may be comparable, those of its series that may be and are not here; the SOP Instance
/// UIDs of what is here then.
pub(crate) async fn fetch(
    config: &RequestorConfig,
    retrieving: &Retrieving,
    wanted: &WantedPrior,
) -> Result<Vec<Uid>, String> {
    let model = keys::find_model(Level::Study, false);
    let contexts = [vec![ProposedContext::information_model(model.clone())], retrieving.contexts()].concat();
    let association = Association::request(config, &contexts).await;
    let mut association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let found = last_series(&mut association, &model, wanted).await;
    let way = retrieving.way(&association);
    if association.is_usable() {
        drop(association.release().await);
    }
    let Some((study, series)) = found? else { return Ok(Vec::new()) };
    let store = wanted.store.clone();
    let known = tokio::task::spawn_blocking(move || split(&store, series)).await.map_err(|error| words(&error))?;
    let (mut images, absent) = known.map_err(|error| words(&error))?;
    if absent.is_empty() {
        return Ok(images);
    }
    let brought = Arc::new(Brought::earlier(wanted.fetched.clone()));
    let parts: Vec<Part> = absent.into_iter().map(|series| Part { series, instance: None }).collect();
    let outcome = retrieve(way?, config, retrieving, (&study, &parts), (&wanted.store, &brought)).await;
    images.extend(brought.came());
    match outcome {
        Err(wrong) if images.is_empty() => Err(format!("it has earlier images: {wrong}")),
        Ok(()) if images.is_empty() => Err("it has earlier images and sends none of them".to_owned()),
        Err(wrong) => {
            tracing::warn!(archive = %config.called_ae, wrong, "an earlier study does not come whole");
            Ok(images)
        }
        Ok(()) => Ok(images),
    }
}

/// The last study that has series which may be comparable, with these.
async fn last_series(
    association: &mut Association,
    model: &Uid,
    wanted: &WantedPrior,
) -> Result<Option<(Uid, Vec<Series>)>, String> {
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
            let count = said.int(tags::NUMBER_OF_SERIES_RELATED_INSTANCES);
            let count = count.and_then(|count| u64::try_from(count).ok());
            let uid = said.uid(tags::SERIES_INSTANCE_UID);
            let uid = uid.filter(|_| may_be_same(&wanted.same, &wanted.header, said));
            series.extend(uid.map(|uid| Series { uid, count }));
        });
        matches.await.map_err(|error| words(&error))?;
        let mut asking = Asking { association: &mut *association, model };
        for one in series.iter_mut().filter(|one: &&mut Series| one.count.is_none()) {
            one.count = asking.one_by_one(study.uid.as_str(), one.uid.as_str()).await.ok();
        }
        series.retain(|one| one.count.is_none_or(|count| count <= IMAGES_MAX as u64));
        if !series.is_empty() {
            return Ok(Some((study.uid, series)));
        }
    }
    Ok(None)
}

/// The images of those series that are here, and the series that are not.
fn split(store: &Store, series: Vec<Series>) -> Result<(Vec<Uid>, Vec<Uid>), StoreError> {
    let (mut images, mut absent) = (Vec::new(), Vec::new());
    for series in series {
        match here(store, &series)? {
            Some(here) => images.extend(here),
            None => absent.push(series.uid),
        }
    }
    Ok((images, absent))
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

/// The instances of a series that are here, each with its bytes; `None` where the destination has more, or does not say.
fn here(store: &Store, Series { uid, count }: &Series) -> Result<Option<Vec<Uid>>, StoreError> {
    let reader = store.reader();
    let mut here = Vec::new();
    for instance in reader.find(uid.as_str())? {
        let stored = reader.instance(instance)?.filter(|stored| stored.removed_at.is_none());
        here.extend(stored.and_then(|stored| Uid::new(&stored.sop_instance).ok()));
    }
    here.sort_unstable();
    here.dedup();
    let is_all = count.is_some_and(|count| here.len() as u64 >= count);
    Ok(is_all.then_some(here))
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
