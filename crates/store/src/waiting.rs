use std::sync::Arc;

use crate::arrive::{Arriving, Description, Outcome, RecordId};
use crate::backlog::{Backlog, Room, Seat};
use crate::error::StoreError;
use crate::folder::Placed;
use crate::log::{Digest, Place};
use crate::store::Inner;
use crate::writer::{Request, Tx};

/// An arrival that waits for its turn with the index, as small as it can be: many wait when many arrive.
pub(crate) struct Waiting {
    told: Told,
    place: Place,
    placed: Option<Box<Placed>>,
    outcome: Option<Outcome>,
    _seat: Seat,
    /// Called once the index has it; `None` when the sender was answered before.
    done: Option<Done>,
}

/// Hears what an arrival was to the index.
pub(crate) type Done = Box<dyn FnOnce(Result<Outcome, StoreError>) + Send>;

/// What the index is told of an arrival.
pub(crate) enum Told {
    /// There is room for it.
    Along(Box<Along>),
    /// It is read back from the log, with a header of so many bytes when that is at hand.
    InLog { header_len: Option<usize> },
}

/// What waits along with an arrival, whose bytes are gone by then.
pub(crate) struct Along {
    digest: Digest,
    description: Description,
    header: Option<Box<[u8]>>,
    _room: Option<Room>,
}

impl Told {
    /// With the text of the description, the digest of the data set and its header, when that is at hand.
    pub(crate) fn new(
        store: &Inner,
        description: Description,
        text: &[u8],
        digest: Digest,
        header: Option<&[u8]>,
    ) -> Self {
        let header_len = header.map(<[u8]>::len);
        // In pieces a description takes about twice the bytes of its text.
        let bytes = text.len().saturating_mul(2).saturating_add(header_len.unwrap_or_default());
        match store.backlog.room(bytes) {
            Some(room) => {
                let header = header.map(Box::from);
                Self::Along(Box::new(Along { digest, description, header, _room: Some(room) }))
            }
            None => Self::InLog { header_len },
        }
    }
}

impl Along {
    fn read_back(place: &Place, header_len: Option<usize>) -> Result<Self, StoreError> {
        let read = place.read_back(header_len.unwrap_or_default())?;
        let description = Description::read(&read.description, RecordId::of(place))?;
        Ok(Self { digest: read.digest, description, header: header_len.map(|_| read.header.into()), _room: None })
    }
}

impl Waiting {
    pub(crate) fn new(
        told: Told,
        place: Place,
        placed: Option<Placed>,
        backlog: &Arc<Backlog>,
        done: Option<Done>,
    ) -> Self {
        Self { told, place, placed: placed.map(Box::new), outcome: None, _seat: backlog.enter(), done }
    }
}

impl Request for Waiting {
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
        let read;
        let Along { digest, description, header, .. } = match &self.told {
            Told::Along(along) => along.as_ref(),
            Told::InLog { header_len } => {
                read = Along::read_back(&self.place, *header_len)?;
                &read
            }
        };
        let record = RecordId::of(&self.place);
        let arriving = Arriving { record, digest: *digest, description, header: header.as_deref() };
        // A transaction that failed may have come through after all.
        if self.outcome.is_none() || !arriving.indexed(tx)? {
            self.outcome = Some(arriving.index(tx)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { place, placed, outcome, done, .. } = *self;
        let outcome = outcome.filter(|_| result.is_ok());
        match (placed, outcome) {
            (Some(placed), Some(outcome)) if !outcome.is_kept() => drop(placed),
            // What the index does not have yet it is told from the log at the next open.
            (Some(placed), _) => placed.keep(),
            (None, Some(outcome)) if !outcome.is_kept() => place.free(),
            (None, _) => {}
        }
        if outcome.is_some() {
            place.indexed();
        }
        if let Some(done) = done {
            done(match outcome {
                Some(outcome) => Ok(outcome),
                None => Err(result.err().unwrap_or(StoreError::Closed)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::queue::Queued;

    #[test]
    fn what_waits_is_small() {
        assert!(size_of::<Queued>() <= 96, "{}", size_of::<Queued>());
    }
}
