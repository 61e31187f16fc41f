use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Wakes threads that wait for work. A ring is never missed: who waits says which ring it has heard.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    /// Rings so far; to be asked before looking for work.
    pub(crate) fn heard(&self) -> u64 {
        *self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone.
    pub(crate) fn ring(&self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        *rings = rings.wrapping_add(1);
        self.rung.notify_all();
    }

    /// Waits until it rings after `heard`, at most `timeout`.
    pub(crate) fn wait(&self, heard: u64, timeout: Duration) {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.rung.wait_timeout_while(rings, timeout, |rings| *rings == heard));
    }
}
