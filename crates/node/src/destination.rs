//! A destination reached by C-STORE.

use std::io::{Cursor, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Encoding, Limits, ReadAt, read_file, write_dataset};
use dokuei_dimse::{Association, ProposedContext, RequestorConfig, SendError, StoreItem, StoreOutcome};
use dokuei_pipeline::{
    BoxFuture, ConfirmationOutcome, Counted, DeliveryOutcome, Destination, Parcel, WantedAgain, WantedPrior,
};
use dokuei_store::{Inquiry, ORIGINAL, StoredObject};
use dokuei_types::{AeTitle, Uid};

use crate::config::{self, Confirm};
use crate::confirmation;
use crate::count;
use crate::fetch::{self, Moves, Retrieving};
use crate::files;
use crate::pace::{Pace, Paced, Paces};
use crate::send::{self, words};

/// After this time an association takes no further object: what is urgent may have come, or its hours may be over.
const ASSOCIATION_TIME: Duration = Duration::from_secs(60);

/// A peer that stores what we send.
pub(crate) struct DicomDestination {
    config: RequestorConfig,
    pace: Option<Arc<Pace>>,
    association_time: Duration,
    confirm: Confirm,
    confirm_within: Duration,
    retrieving: Retrieving,
}

impl DicomDestination {
    /// `own` is the AE title of the node's listener.
    pub(crate) fn new(
        config: RequestorConfig,
        destination: &config::Destination,
        own: &AeTitle,
        paces: &Paces,
        moves: &Moves,
    ) -> Self {
        let pace = destination.bandwidth.map(|rate| paces.of(&destination.name, rate));
        let (confirm, confirm_within) = (destination.confirm, destination.confirm_within.0);
        moves.call_as(&config.calling_ae);
        let move_to = destination.move_to.clone().unwrap_or_else(|| own.clone());
        let retrieving = Retrieving { retrieve: destination.retrieve, move_to, moves: moves.clone() };
        Self { config, pace, association_time: ASSOCIATION_TIME, confirm, confirm_within, retrieving }
    }

    /// Whether an object that was stored then, in milliseconds since 1970, should have been filed by now.
    fn is_late(&self, stored_at: i64) -> bool {
        let stored_at = UNIX_EPOCH + Duration::from_millis(u64::try_from(stored_at).unwrap_or_default());
        stored_at.elapsed().is_ok_and(|elapsed| elapsed >= self.confirm_within)
    }
}

impl Destination for DicomDestination {
    fn deliver(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Vec<DeliveryOutcome>> {
        Box::pin(self.send(parcels))
    }

    fn confirm(&self, inquiry: Inquiry) -> BoxFuture<'_, Vec<ConfirmationOutcome>> {
        Box::pin(async move {
            match self.confirm {
                Confirm::Find => confirmation::find(&self.config, &inquiry, |stored_at| self.is_late(stored_at)).await,
                Confirm::No | Confirm::Commitment => confirmation::ask_commitment(&self.config, &inquiry).await,
            }
        })
    }

    fn count(&self, counted: Vec<Counted>) -> BoxFuture<'_, Vec<Result<u64, String>>> {
        Box::pin(async move { count::count(&self.config, &counted).await })
    }

    fn fetch_prior(&self, wanted: WantedPrior) -> BoxFuture<'_, Result<Vec<Uid>, String>> {
        Box::pin(async move { fetch::priors::fetch(&self.config, &self.retrieving, &wanted).await })
    }

    fn retrieve(&self, wanted: WantedAgain) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(fetch::again::fetch(&self.config, &self.retrieving, wanted))
    }
}

impl DicomDestination {
    /// Sends all parcels over one association, or as many as there is time for.
    async fn send(&self, parcels: Vec<Parcel>) -> Vec<DeliveryOutcome> {
        let began = Instant::now();
        let contexts = contexts(&parcels);
        let mut association = match Association::request(&self.config, &contexts).await {
            Ok(association) => association,
            Err(error) => {
                let reason = format!("{}; {}", words(&error), error.advice());
                return parcels.iter().map(|_| DeliveryOutcome::Unreachable(reason.clone())).collect();
            }
        };
        let mut outcomes = Vec::with_capacity(parcels.len());
        for parcel in &parcels {
            outcomes.push(if !outcomes.is_empty() && began.elapsed() >= self.association_time {
                DeliveryOutcome::Unsent("its turn comes over another association".to_owned())
            } else if association.is_usable() {
                one(&mut association, parcel, self.pace.as_ref()).await
            } else {
                DeliveryOutcome::Unsent("the association ended".to_owned())
            });
        }
        if association.is_usable() {
            drop(association.release().await);
        }
        outcomes
    }
}

/// Just what is sent: originals as they are, our own results in explicit or else implicit VR.
fn contexts(parcels: &[Parcel]) -> Vec<ProposedContext> {
    let mut contexts: Vec<ProposedContext> = Vec::new();
    for object in parcels.iter().flat_map(|parcel| &parcel.alternatives) {
        let (Ok(sop_class), Some(transfer_syntaxes)) = (Uid::new(&object.sop_class), transfer_syntaxes(object)) else {
            continue;
        };
        let context = ProposedContext { abstract_syntax: sop_class, transfer_syntaxes };
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    contexts
}

/// The transfer syntaxes an object can be sent in, preferred one first.
fn transfer_syntaxes(object: &StoredObject) -> Option<Vec<Uid>> {
    let own = Uid::new(&object.transfer_syntax).ok()?;
    let mut syntaxes = vec![own];
    if object.role != ORIGINAL && object.transfer_syntax == uids::EXPLICIT_VR_LITTLE_ENDIAN {
        syntaxes.extend(Uid::new(uids::IMPLICIT_VR_LITTLE_ENDIAN));
    }
    Some(syntaxes)
}

/// Sends the first alternative the peer has accepted.
async fn one(association: &mut Association, parcel: &Parcel, pace: Option<&Arc<Pace>>) -> DeliveryOutcome {
    for (alternative, object) in parcel.alternatives.iter().enumerate() {
        let Ok(sop_class) = Uid::new(&object.sop_class) else { continue };
        let syntaxes = transfer_syntaxes(object).unwrap_or_default();
        let Some(syntax) = syntaxes.iter().find(|syntax| association.accepted(&sop_class, syntax).is_some()) else {
            continue;
        };
        let sent = if syntax.as_str() == object.transfer_syntax {
            as_it_is(association, object, pace).await
        } else {
            in_implicit_vr(association, object, syntax, pace).await
        };
        return match sent {
            Some(Ok(StoreOutcome { status, comment })) if status.is_stored() => {
                DeliveryOutcome::Stored { status, alternative, comment: Some(comment).filter(|text| !text.is_empty()) }
            }
            Some(Ok(StoreOutcome { status, comment })) => DeliveryOutcome::Refused { status, comment },
            Some(Err(SendError::Source(error))) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                    DeliveryOutcome::Unreadable(words(&error))
                }
                _ => DeliveryOutcome::Unread(words(&error)),
            },
            Some(Err(error)) => DeliveryOutcome::Unreachable(words(&error)),
            None => DeliveryOutcome::Unreadable(format!("{} is no DICOM file", object.file.path.display())),
        };
    }
    let classes: Vec<&str> = parcel.alternatives.iter().map(|object| object.sop_class.as_str()).collect();
    DeliveryOutcome::NotAccepted(format!("the peer accepts no presentation context for {}", classes.join(", ")))
}

async fn as_it_is(
    association: &mut Association,
    object: &StoredObject,
    pace: Option<&Arc<Pace>>,
) -> Option<Result<StoreOutcome, SendError>> {
    let file = object.file.clone();
    let sendable = match tokio::task::spawn_blocking(move || files::sendable(file)).await.ok()? {
        Ok(sendable) => sendable?,
        Err(error) => return Some(Err(SendError::Source(error))),
    };
    Some(send::store(association, &sendable, pace).await)
}

/// Sends a result of ours to a peer that takes Implicit VR Little Endian only, which every peer must (PS3.5 § 10.1).
async fn in_implicit_vr(
    association: &mut Association,
    object: &StoredObject,
    transfer_syntax: &Uid,
    pace: Option<&Arc<Pace>>,
) -> Option<Result<StoreOutcome, SendError>> {
    let file = object.file.clone();
    let read = tokio::task::spawn_blocking(move || file.read().map(|file| implicit(&file))).await.ok()?;
    let data_set = match read {
        Ok(data_set) => data_set?,
        Err(error) => return Some(Err(SendError::Source(error))),
    };
    let (sop_class, sop_instance) = (Uid::new(&object.sop_class).ok()?, Uid::new(&object.sop_instance).ok()?);
    let length = data_set.len() as u64;
    let item = StoreItem {
        sop_class: &sop_class,
        sop_instance: &sop_instance,
        transfer_syntax,
        data_set: Paced::new(Cursor::new(data_set), pace),
        length,
    };
    Some(association.store(item).await)
}

/// The data set of a file of ours, in implicit VR.
fn implicit(file: &Vec<u8>) -> Option<Vec<u8>> {
    let (_, header) = read_file(file, &Limits::default()).ok()?;
    let mut dataset = header.dataset;
    if let Some(pixels) = header.pixels {
        let mut bytes = vec![0; usize::try_from(pixels.length?).ok()?];
        file.read_exact_at(&mut bytes, pixels.offset).ok()?;
        // Pixel Data is OW in implicit VR whatever it was before (PS3.5 § A.1).
        dataset.put_bytes(tags::PIXEL_DATA, dokuei_dataset::VR::OW, bytes);
    }
    Some(write_dataset(&dataset, Encoding::ImplicitLittle))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use dokuei_phantom::{DicomIdentity, PhantomSpec, to_dicom};
    use dokuei_store::{Arrival, DeliveryId, IndexEntry, Store, StoreConfig, StoredFile};
    use dokuei_types::{InstanceId, Interval};

    use super::*;
    use crate::demo::pacs::Pacs;
    use crate::requestor;

    fn parcel(folder: &Path, seed: u64) -> Parcel {
        let radiograph = PhantomSpec::from_seed(seed, false).with_size(320, 400).render();
        let (path, bytes) = (folder.join(seed.to_string()), to_dicom(&radiograph, &DicomIdentity::of(&radiograph)));
        std::fs::write(&path, &bytes).unwrap();
        let files::Sendable { sop_class, sop_instance, transfer_syntax, .. } = files::sendable_at(&path).unwrap();
        let object = StoredObject {
            file: StoredFile::whole(path).unwrap(),
            role: ORIGINAL.to_owned(),
            sop_class: sop_class.to_string(),
            sop_instance: sop_instance.to_string(),
            transfer_syntax: transfer_syntax.to_string(),
            series: None,
            removed_at: None,
        };
        let (delivery, instance) = (DeliveryId(1), InstanceId(1));
        Parcel { delivery, instance, study: None, role: ORIGINAL.to_owned(), alternatives: vec![object] }
    }

    /// Keeps what a parcel holds as if it had been received.
    fn received(store: &Store, parcel: &mut Parcel) {
        let object = &mut parcel.alternatives[0];
        let (bytes, offset) =
            (object.file.read().unwrap(), files::sendable_at(&object.file.path).unwrap().data_set_offset);
        let (file_meta, data_set) = bytes.split_at(usize::try_from(offset).unwrap());
        let mut incoming = store
            .receive(Arrival {
                calling_ae: AeTitle::new("CR1").unwrap(),
                called_ae: AeTitle::new("DOKUEI").unwrap(),
                peer_addr: "127.0.0.1".into(),
                sop_class: Uid::new(&object.sop_class).unwrap(),
                sop_instance: Uid::new(&object.sop_instance).unwrap(),
                transfer_syntax: Uid::new(&object.transfer_syntax).unwrap(),
                file_meta: file_meta.to_vec(),
            })
            .unwrap();
        incoming.write(data_set).unwrap();
        let (done, committed) = std::sync::mpsc::channel();
        incoming.commit(IndexEntry::default(), move |outcome| done.send(outcome.map(drop)).unwrap());
        committed.recv().unwrap().unwrap();
        // Behind it the index knows of all arrivals.
        store.lease(dokuei_store::JobKind::Settle, 1, Duration::ZERO).unwrap();
        object.file = store.reader().newest(1).unwrap().remove(0).file;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_damaged_on_the_disk_is_not_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let pacs = Pacs::start(&folder.path().join("pacs")).await.unwrap();
        let store = StoreConfig { disk_free_min: 0, ..StoreConfig::new(folder.path().join("data")) };
        let store = Store::open(store).unwrap();
        let mut parcels: Vec<Parcel> = (0..2).map(|seed| parcel(folder.path(), seed)).collect();
        parcels.iter_mut().for_each(|parcel| received(&store, parcel));
        let StoredFile { path, offset, length, .. } = &parcels[0].alternatives[0].file;
        let mut segment = std::fs::read(path).unwrap();
        segment[usize::try_from(offset + length / 2).unwrap()] ^= 1;
        std::fs::write(path, segment).unwrap();

        let address = pacs.address().to_string().parse().unwrap();
        let title = |text| AeTitle::new(text).unwrap();
        let config = requestor::with(&address, title("PACS"), title("DOKUEI"), Interval(ASSOCIATION_TIME));
        let destination = destination(config);
        let [damaged, intact] = [0, 1].map(|index: usize| parcels[index].alternatives[0].sop_instance.clone());
        let outcomes = destination.deliver(parcels.clone()).await;
        let [DeliveryOutcome::Unreadable(why), DeliveryOutcome::Unsent(_)] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert!(why.contains("not those that were stored"), "{why}");
        let outcomes = destination.deliver(vec![parcels.remove(1)]).await;
        assert!(matches!(outcomes.as_slice(), [DeliveryOutcome::Stored { .. }]), "{outcomes:?}");
        let there = [&damaged, &intact].map(|sop_instance| pacs.about(&Uid::new(sop_instance).unwrap()).len());
        assert_eq!(there, [0, 1]);
        pacs.stop().await;
    }

    /// The destination that is called like this, and no key of its configuration says more.
    fn destination(config: RequestorConfig) -> DicomDestination {
        let text = format!("name = \"pacs\"\nae_title = \"PACS\"\naddress = {:?}", config.address);
        let (own, moves) = (config.calling_ae.clone(), Moves::new(0));
        DicomDestination::new(config, &toml::from_str(&text).unwrap(), &own, &Paces::default(), &moves)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_association_takes_no_further_object_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let pacs = Pacs::start(&folder.path().join("pacs")).await.unwrap();
        let title = |text| AeTitle::new(text).unwrap();
        let address = pacs.address().to_string().parse().unwrap();
        let config = requestor::with(&address, title("PACS"), title("DOKUEI"), Interval(ASSOCIATION_TIME));
        let parcels: Vec<Parcel> = (0..3).map(|seed| parcel(folder.path(), seed)).collect();
        for (association_time, stored) in [(Duration::ZERO, 1), (ASSOCIATION_TIME, 3)] {
            let destination = DicomDestination { association_time, ..destination(config.clone()) };
            let outcomes = destination.deliver(parcels.clone()).await;
            let (sent, rest) = outcomes.split_at(stored);
            assert!(sent.iter().all(|outcome| matches!(outcome, DeliveryOutcome::Stored { .. })), "{outcomes:?}");
            assert!(rest.iter().all(|outcome| matches!(outcome, DeliveryOutcome::Unsent(_))), "{outcomes:?}");
        }
        pacs.stop().await;
    }
}
