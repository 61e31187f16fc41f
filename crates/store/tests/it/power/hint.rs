use std::collections::BTreeSet;
use std::fmt;

use dokuei_store::{
    HintKind, HintUpdate, Hinted, NamedImage, NewHint, Progress, Store, StoredUnit, UnitId, UnitLevel, Updated,
};
use dokuei_types::Uid;

use super::payload::Payload;

/// What a peer says of the study that all images are of, and of one that is the hint's alone: what it names follows from its
/// number, also whether it is a step, which names some of it in progress and all of it when it is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hint(pub(super) u64);

/// What a peer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    /// The step in progress is recorded.
    Begun,
    /// All of it is recorded.
    Whole,
}

impl Hint {
    fn is_step(self) -> bool {
        self.0.is_multiple_of(2)
    }

    fn uid(self) -> Uid {
        uid(&format!("1.2.88.{}", self.0))
    }

    fn study(self) -> Uid {
        uid(&format!("1.2.77.{}", self.0))
    }

    /// Images that senders send, and others; seldom more than one transaction takes.
    fn named(self) -> BTreeSet<String> {
        let others = [3, 40, 7, 620][(self.0 / 2 % 4) as usize];
        let known = (0..self.0 % 64).map(|number| Payload { number: number as u32, version: 1 }.uid());
        known.chain((0..others).map(|number| format!("1.2.66.{}.{number}", self.0))).collect()
    }

    fn images(self, count: usize) -> Vec<NamedImage> {
        let image = |instance: &String| NamedImage { series: uid("1.2.3.1"), sop_instance: uid(instance) };
        self.named().iter().take(count).map(image).collect()
    }

    /// Says it to the store, again where it was said before; what the peer is told, step by step.
    pub(super) fn say(self, store: &Store, mut told: impl FnMut(Promise)) {
        let (kind, progress, count) = match self.is_step() {
            true => (HintKind::Mpps, Progress::InProgress, self.named().len() / 2),
            false => (HintKind::Availability, Progress::Completed, usize::MAX),
        };
        let hint = NewHint {
            kind,
            sop_instance: self.uid(),
            peer_ae: "CR_ROOM_1".into(),
            progress,
            studies: vec![self.study(), uid("1.2.3")],
            images: self.images(count),
            gone: Vec::new(),
        };
        // None: it is there already.
        if store.add_hint(hint).is_err() {
            return;
        }
        if !self.is_step() {
            return told(Promise::Whole);
        }
        told(Promise::Begun);
        let update = HintUpdate { progress: Some(Progress::Completed), images: Some(self.images(usize::MAX)) };
        match store.update_hint(&self.uid(), update) {
            Ok(Updated::Recorded(_) | Updated::Final) => told(Promise::Whole),
            Ok(Updated::Unknown) => panic!("{self:?} was recorded and is lost"),
            Err(_) => {}
        }
    }

    fn heeded(self, store: &Store) -> Hinted {
        let unit = StoredUnit {
            id: UnitId(0),
            route: String::new(),
            level: UnitLevel::Study,
            uid: self.study().to_string(),
            study: None,
            last_at: 0,
            cap_at: 0,
            signs: 0,
            peers: Vec::new(),
        };
        store.reader().hinted(&unit, &HintKind::ALL).unwrap()
    }

    /// It is heeded as a whole or not at all, and as far as its peer was told.
    pub(super) fn check(self, store: &Store, promise: Option<Promise>) {
        let heeded = self.heeded(store);
        let is_whole = heeded.by.is_some();
        let expected = if is_whole { self.named().len() as u64 } else { 0 };
        assert_eq!((heeded.images, heeded.unnamed), (expected, 0), "{self:?}: {heeded:?}");
        assert!(heeded.in_progress == 0 || self.is_step() && !is_whole, "{self:?}: {heeded:?}");
        match promise {
            None => {}
            Some(Promise::Begun) => assert!(is_whole || heeded.in_progress == 1, "{self:?} is lost: {heeded:?}"),
            Some(Promise::Whole) => assert!(is_whole, "{self:?} is lost: {heeded:?}"),
        }
    }

    /// Of what it names that is missing which is not here.
    pub(super) fn check_missing(self, store: &Store, here: &BTreeSet<String>) {
        let heeded = self.heeded(store);
        if heeded.by.is_some() {
            let missing = self.named().iter().filter(|image| !here.contains(*image)).count() as u64;
            assert_eq!(heeded.missing, missing, "{self:?}");
        }
    }
}

impl Promise {
    /// What a child said.
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Begun, Self::Whole].into_iter().find(|promise| promise.to_string() == word)
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => "begun",
            Self::Whole => "whole",
        })
    }
}

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}
