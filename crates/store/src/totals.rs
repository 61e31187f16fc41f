use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Something that happens over and over, counted by the transactions that make it so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    /// An instance came: `new`, `duplicate`, `superseded`, `replaced`, `restored` or `refused`, as
    /// [`ShownArrival::outcome`](crate::ShownArrival::outcome) has it.
    Arrival(&'static str),
    /// The work on an instance ended.
    End {
        /// The word of the end.
        end: &'static str,
        /// Of what was declined, the kind of reason.
        reason: Option<&'static str>,
    },
    /// A destination was sent an object.
    Delivery {
        /// Its name.
        destination: String,
        /// `stored`, `retried` (not yet, it is tried again) or `given_up`.
        outcome: &'static str,
    },
}

/// How often, since the store was opened.
pub type Totals = BTreeMap<Occurrence, u64>;

/// Adds `count` of them to `totals`.
pub(crate) fn add(totals: &mut Totals, occurrence: Occurrence, count: u64) {
    let total = totals.entry(occurrence).or_default();
    *total = total.saturating_add(count);
}

/// Adds each of `more` to `totals`.
pub(crate) fn merge(totals: &mut Totals, more: Totals) {
    more.into_iter().for_each(|(occurrence, count)| add(totals, occurrence, count));
}

/// The totals that the writer adds to.
#[derive(Default)]
pub(crate) struct Running(Mutex<Totals>);

impl Running {
    pub(crate) fn add(&self, more: Totals) {
        if !more.is_empty() {
            merge(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), more);
        }
    }

    pub(crate) fn now(&self) -> Totals {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
