//! What a destination brings of that which it was asked for, over whichever association.

use std::sync::{Mutex, PoisonError};

use dokuei_store::{Fetched, IndexEntry, RemovedImage};
use dokuei_types::Uid;
use tokio_util::sync::CancellationToken;

/// Images that are taken at a time to be compared with: radiographs are few, and nobody waits for a volume.
pub(super) const IMAGES_MAX: usize = 16;

/// What comes, and for what.
#[derive(Debug)]
pub(crate) struct Brought {
    wanted: Wanted,
    came: Mutex<Vec<Uid>>,
    /// Why something that came was not taken, the first time.
    refused: Mutex<Option<String>>,
    /// Cancelled once there is more than enough.
    pub(super) enough: CancellationToken,
}

/// What is asked for.
#[derive(Debug)]
enum Wanted {
    /// Series with images to compare with.
    Earlier(Fetched),
    /// Images whose bytes were removed.
    Again(Vec<RemovedImage>),
}

/// What may become of an instance that comes.
pub(crate) enum Taken {
    /// It was asked for, and is stored as that.
    Wanted(IndexEntry),
    /// It was not asked for.
    Unwanted(IndexEntry),
    /// It has the UID of one that was asked for, and is another one; in words.
    Other(String),
}

impl Brought {
    /// Earlier images.
    pub(super) fn earlier(fetched: Fetched) -> Self {
        Self::of(Wanted::Earlier(fetched))
    }

    /// Images whose bytes were removed.
    pub(super) fn again(images: Vec<RemovedImage>) -> Self {
        Self::of(Wanted::Again(images))
    }

    fn of(wanted: Wanted) -> Self {
        Self { wanted, came: Mutex::default(), refused: Mutex::default(), enough: CancellationToken::new() }
    }

    /// As what an instance is stored that comes with this entry. `is_of` says whether it is of a patient, as the index knows
    /// one.
    pub(crate) fn take(
        &self,
        sop_instance: &Uid,
        entry: IndexEntry,
        is_of: impl FnOnce(dokuei_store::PatientKey) -> bool,
    ) -> Taken {
        let images = match &self.wanted {
            Wanted::Earlier(fetched) => return Taken::Wanted(IndexEntry { fetched: Some(fetched.clone()), ..entry }),
            Wanted::Again(images) => images,
        };
        let Some(RemovedImage { stored, patient }) =
            images.iter().find(|image| image.stored.sop_instance == sop_instance.as_str())
        else {
            return Taken::Unwanted(entry);
        };
        let is_same = |known: &Option<String>, uid: &Option<Uid>| known.as_deref() == uid.as_ref().map(Uid::as_str);
        let other = match () {
            () if !is_same(&stored.study, &entry.study) => "study",
            () if !is_same(&stored.series, &entry.series) => "series",
            () if patient.is_some_and(|patient| !is_of(patient)) => "patient",
            () => return Taken::Wanted(IndexEntry { is_again: true, ..entry }),
        };
        let why = format!("what it sends as {sop_instance} is of another {other} than what came here");
        self.refuse(why.clone());
        Taken::Other(why)
    }

    /// Something that came was not taken.
    pub(crate) fn refuse(&self, why: String) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// Why something was not taken.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An instance came, and is durable.
    pub(crate) fn add(&self, sop_instance: Uid) {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.push(sop_instance);
        if matches!(self.wanted, Wanted::Earlier(_)) && came.len() > IMAGES_MAX {
            self.enough.cancel();
        }
    }

    /// How many have come by now.
    pub(super) fn count(&self) -> usize {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What has come by now.
    pub(super) fn came(&self) -> Vec<Uid> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use dokuei_store::{Priority, Store, StoreConfig, StoredFile, StoredInstance};
    use dokuei_types::InstanceId;

    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    fn entry(study: &str, series: &str) -> IndexEntry {
        IndexEntry { study: Some(uid(study)), series: Some(uid(series)), ..IndexEntry::default() }
    }

    #[test]
    fn only_the_same_instance_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig { disk_free_min: 0, ..StoreConfig::new(folder.path()) }).unwrap();
        let [own, other] = ["4711", "4712"].map(|id| store.patient(id, "").unwrap());
        let stored = StoredInstance {
            id: InstanceId(1),
            version: 1,
            sop_class: "1.2.1".into(),
            sop_instance: "1.1".into(),
            transfer_syntax: String::new(),
            study: Some("1.2".into()),
            series: Some("1.3".into()),
            file: StoredFile { path: folder.path().into(), offset: 0, length: 0, seal: None },
            data_set_offset: 0,
            size_bytes: 0,
            calling_ae: String::new(),
            called_ae: String::new(),
            received_at: 0,
            removed_at: Some(1),
        };
        let brought = |patient| Brought::again(vec![RemovedImage { stored: stored.clone(), patient }]);
        let check = |brought: Brought, instance: &str, entry: IndexEntry, expected: &str| {
            let said = match brought.take(&uid(instance), entry, |patient| patient == own) {
                Taken::Wanted(entry) => format!("again {}", entry.is_again),
                Taken::Unwanted(entry) => format!("unwanted {}", entry.is_again),
                Taken::Other(why) => {
                    assert_eq!(brought.refused().as_deref(), Some(why.as_str()));
                    why
                }
            };
            assert!(said.contains(expected), "{said}");
        };
        check(brought(Some(own)), "1.1", entry("1.2", "1.3"), "again true");
        check(brought(None), "1.1", entry("1.2", "1.3"), "again true");
        check(brought(Some(own)), "1.4", entry("1.2", "1.3"), "unwanted false");
        check(brought(Some(other)), "1.1", entry("1.2", "1.3"), "1.1 is of another patient");
        check(brought(Some(own)), "1.1", entry("1.2", "1.4"), "another series");
        check(brought(Some(own)), "1.1", entry("1.4", "1.3"), "another study");
        check(brought(Some(own)), "1.1", IndexEntry::default(), "another study");
        let fetched = Fetched { route: "chest".into(), models: Vec::new(), priority: Priority::Routine };
        check(Brought::earlier(fetched), "1.1", entry("1.4", "1.4"), "again false");
    }
}
