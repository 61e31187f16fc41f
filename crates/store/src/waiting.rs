use std::sync::Arc;

use dokuei_types::Uid;

use crate::arrive::{Arriving, Committed, Description, Outcome, RecordId};
use crate::backlog::{Backlog, Room, Seat};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::folder::Placed;
use crate::log::{Head, Place};
use crate::store::Inner;
use crate::writer::{Request, Tx};

/// An arrival that waits for its turn with the index, as small as it can be: many wait when many arrive.
pub(crate) struct Waiting<D> {
    head: Head,
    told: Told,
    place: Place,
    placed: Option<Placed>,
    outcome: Option<Outcome>,
    _seat: Seat,
    /// Called once the index has it; `None` when the sender was answered before.
    done: Option<D>,
}

/// What the index is told of an arrival.
pub(crate) struct Told {
    pub(crate) sop_instance: Uid,
    /// As far as there is room; the rest is read back from the log.
    along: Option<Along>,
    /// Bytes of the header, when it is at hand.
    header_len: Option<usize>,
    disk: Arc<dyn Disk>,
}

/// What waits along with an arrival, whose bytes are gone by then.
struct Along {
    description: Box<Description>,
    header: Option<Box<[u8]>>,
    _room: Option<Room>,
}

impl Told {
    /// With the text of the description and the header of the data set, when that is at hand.
    pub(crate) fn new(store: &Inner, description: Description, text: &[u8], header: Option<&[u8]>) -> Self {
        let sop_instance = description.arrival.sop_instance.clone();
        let header_len = header.map(<[u8]>::len);
        // In pieces a description takes about twice the bytes of its text.
        let bytes = text.len().saturating_mul(2).saturating_add(header_len.unwrap_or_default());
        let along = store.backlog.room(bytes).map(|room| Along {
            description: Box::new(description),
            header: header.map(Box::from),
            _room: Some(room),
        });
        Self { sop_instance, along, header_len, disk: Arc::clone(&store.config.disk) }
    }

    fn read_back(&self, place: &Place, head: &Head) -> Result<Along, StoreError> {
        let (header, text) = place.read_back(self.disk.as_ref(), head, self.header_len.unwrap_or_default())?;
        let description = Box::new(Description::read(&text, RecordId::of(place))?);
        Ok(Along { description, header: self.header_len.map(|_| header.into()), _room: None })
    }
}

impl<D> Waiting<D> {
    pub(crate) fn new(
        head: Head,
        told: Told,
        place: Place,
        placed: Option<Placed>,
        backlog: &Arc<Backlog>,
        done: Option<D>,
    ) -> Self {
        Self { head, told, place, placed, outcome: None, _seat: backlog.enter(), done }
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
        let read;
        let Along { description, header, .. } = match &self.told.along {
            Some(along) => along,
            None => {
                read = self.told.read_back(&self.place, &self.head)?;
                &read
            }
        };
        let (record, digest) = (RecordId::of(&self.place), self.head.digest);
        let arriving = Arriving { record, digest, description, header: header.as_deref() };
        // A transaction that failed may have come through after all.
        if self.outcome.is_none() || !arriving.indexed(tx)? {
            self.outcome = Some(arriving.index(tx)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let Self { head, told, place, placed, outcome, done, .. } = *self;
        let outcome = outcome.filter(|_| result.is_ok());
        let record = RecordId::of(&place);
        match (placed, outcome) {
            (Some(placed), Some(outcome)) if !outcome.is_kept() => drop(placed),
            // What the index does not have yet it is told from the log at the next open.
            (Some(placed), _) => placed.keep(),
            (None, Some(outcome)) if !outcome.is_kept() => place.segment().free(place.offset(), head.record_len()),
            (None, _) => {}
        }
        if outcome.is_some() {
            place.indexed();
        }
        if let Some(done) = done {
            let sop_instance = told.sop_instance;
            done(match outcome {
                Some(Outcome::Stored(_)) => Ok(Committed { sop_instance, record }),
                Some(Outcome::Refused) => Err(StoreError::OtherBytes { sop_instance: sop_instance.to_string() }),
                None => Err(result.err().unwrap_or(StoreError::Closed)),
            });
        }
    }
}
