use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Arrivals that may wait for the index before senders wait too: seconds of the fastest network, and a few
/// megabytes of memory.
const MAX: usize = 16_384;

/// Counts the arrivals that are durable but not in the index yet.
#[derive(Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    fewer: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    closed: bool,
}

/// One of them.
pub(crate) struct Seat(Arc<Backlog>);

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> Seat {
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        Seat(Arc::clone(self))
    }

    /// Waits until there is room for more, or nothing more is to come.
    pub(crate) fn wait(&self) {
        let full = |state: &mut State| state.count >= MAX && !state.closed;
        drop(self.fewer.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner));
    }

    /// Nobody waits any more: an index that fails must not keep a store from being closed.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.fewer.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.state().count
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.count = state.count.saturating_sub(1);
        if state.count < MAX {
            self.0.fewer.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_goes_on_when_it_closes() {
        let backlog = Arc::new(Backlog::default());
        let _seats: Vec<_> = (0..MAX).map(|_| backlog.enter()).collect();
        let (going, gone) = std::sync::mpsc::channel();
        let waiting = Arc::clone(&backlog);
        std::thread::spawn(move || {
            waiting.wait();
            going.send(()).unwrap();
        });
        backlog.close();
        gone.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
}
