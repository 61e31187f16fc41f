use std::sync::Arc;

use crate::arrive::{Arriving, Committed, Description, Outcome, RecordId};
use crate::backlog::{Backlog, Beginning, Seat};
use crate::error::StoreError;
use crate::folder::Placed;
use crate::log::{Digest, Place};
use crate::writer::{Request, Tx};

/// An arrival that waits for its turn with the index, as small as it can be: many wait when many arrive.
pub(crate) struct Waiting<D> {
    told: Told,
    place: Place,
    placed: Option<Placed>,
    outcome: Option<Outcome>,
    _seat: Seat,
    /// Called once the index has it; `None` when the sender was answered before.
    done: Option<D>,
}

/// What a record tells the index, and what belongs to it.
pub(crate) struct Told {
    pub(crate) description: Box<Description>,
    /// The header of the data set, when it is at hand.
    pub(crate) beginning: Option<Beginning>,
    pub(crate) digest: Digest,
    /// Bytes of the record.
    pub(crate) record_bytes: u64,
}

impl<D> Waiting<D> {
    pub(crate) fn new(
        told: Told,
        place: Place,
        placed: Option<Placed>,
        backlog: &Arc<Backlog>,
        done: Option<D>,
    ) -> Self {
        Self { told, place, placed, outcome: None, _seat: backlog.enter(), done }
    }
}

impl<D: FnOnce(Result<Committed, StoreError>) + Send> Request for Waiting<D> {
    fn is_in_log(&self) -> bool {
        true
    }

    fn must_last(&self) -> bool {
        self.done.is_some()
    }

    fn postponed(&mut self, error: &StoreError) {
        if let Some(done) = self.done.take() {
            done(Err(error.clone()));
        }
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Told { description, beginning, digest, .. } = &self.told;
        let (record, beginning) = (RecordId::of(&self.place), beginning.as_deref());
        let arriving = Arriving { record, digest: *digest, description, beginning };
        // A transaction that failed may have come through after all.
        if self.outcome.is_none() || !arriving.indexed(tx)? {
            self.outcome = Some(arriving.index(tx)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { told, place, placed, outcome, done, .. } = *self;
        let outcome = outcome.filter(|_| result.is_ok());
        let record = RecordId::of(&place);
        match (placed, outcome) {
            (Some(placed), Some(outcome)) if !outcome.is_kept() => drop(placed),
            // What the index does not have yet it is told from the log at the next open.
            (Some(placed), _) => placed.keep(),
            (None, Some(outcome)) if !outcome.is_kept() => place.segment().free(place.offset(), told.record_bytes),
            (None, _) => {}
        }
        if outcome.is_some() {
            place.indexed();
        }
        if let Some(done) = done {
            let sop_instance = told.description.arrival.sop_instance;
            done(match outcome {
                Some(Outcome::Stored(_)) => Ok(Committed { sop_instance, record }),
                Some(Outcome::Refused) => Err(StoreError::OtherBytes { sop_instance: sop_instance.to_string() }),
                None => Err(result.err().unwrap_or(StoreError::Closed)),
            });
        }
    }
}
