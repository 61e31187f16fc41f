//! What a destination brings of a series that it was asked for, over whichever association.

use std::sync::{Mutex, PoisonError};

use dokuei_store::Fetched;
use dokuei_types::Uid;
use tokio_util::sync::CancellationToken;

/// Images that are taken at a time: radiographs are few, and nobody waits for a volume.
pub(super) const IMAGES_MAX: usize = 16;

/// What comes, and for what.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) fetched: Fetched,
    came: Mutex<Vec<Uid>>,
    /// Cancelled once there is more than enough.
    pub(super) enough: CancellationToken,
}

impl Brought {
    pub(super) fn new(fetched: Fetched) -> Self {
        Self { fetched, came: Mutex::default(), enough: CancellationToken::new() }
    }

    /// An instance came, and is durable.
    pub(crate) fn add(&self, sop_instance: Uid) {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.push(sop_instance);
        if came.len() > IMAGES_MAX {
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
