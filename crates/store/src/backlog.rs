use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Arrivals that may wait for the index before senders wait too: seconds of the fastest network, and a few
/// megabytes of memory.
const MAX: usize = 16_384;

/// Counts the arrivals that are durable but not in the index yet.
#[derive(Default)]
pub(crate) struct Backlog {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One of them.
pub(crate) struct Seat(Arc<Backlog>);

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> Seat {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add(1);
        Seat(Arc::clone(self))
    }

    /// Waits until there is room for more.
    pub(crate) fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.fewer.wait_while(count, |count| *count >= MAX).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn len(&self) -> usize {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        if *count < MAX {
            self.0.fewer.notify_all();
        }
    }
}
