//! Who is let in: the counts of associations, and the connections that have not associated yet.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

#[derive(Debug, Default)]
struct Inner {
    associations: usize,
    by_peer: HashMap<IpAddr, usize>,
    half_open: BTreeMap<u64, CancellationToken>,
}

impl Inner {
    fn evict_oldest(&mut self) {
        if let Some((_, oldest)) = self.half_open.pop_first() {
            oldest.cancel();
        }
    }
}

/// Shared by every connection of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission(Arc<Mutex<Inner>>);

impl Admission {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The counts are whole after every statement, so a panic elsewhere leaves nothing to repair.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers connection `number` that is not associated, or no longer; beyond the limit the oldest is told to go, since
    /// newcomers are more likely to be about to associate than one that has been silent for longest.
    pub(crate) fn connected(&self, number: u64, limit: usize) -> HalfOpen {
        let mut inner = self.lock();
        let evicted = CancellationToken::new();
        inner.half_open.insert(number, evicted.clone());
        if inner.half_open.len() > limit.max(1) {
            inner.evict_oldest();
        }
        HalfOpen { admission: self.clone(), number, evicted }
    }

    /// Has the oldest of them go, for want of what they hold.
    pub(crate) fn evict_oldest(&self) {
        self.lock().evict_oldest();
    }

    /// Room for one more association from `peer`, held until dropped; `None` at a limit.
    pub(crate) fn associate(&self, peer: IpAddr, limits: &Limits) -> Option<Admitted> {
        let mut inner = self.lock();
        let of_peer = inner.by_peer.get(&peer).copied().unwrap_or(0);
        if inner.associations >= limits.associations || of_peer >= limits.associations_per_peer {
            return None;
        }
        inner.associations = inner.associations.saturating_add(1);
        inner.by_peer.insert(peer, of_peer.saturating_add(1));
        Some(Admitted { admission: self.clone(), peer })
    }
}

/// Turns at what takes time: one at a time has it, and of those that wait for it each peer has one.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    peers: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Semaphore::new(1), peers: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn of `peer`, which ends when it is dropped.
    pub(crate) async fn take(&self, peer: IpAddr) -> Turn<'_> {
        let of_peer = self.of(peer).acquire_owned().await;
        Turn { _all: self.all.acquire().await, _of_peer: of_peer }
    }

    fn of(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|_, known| known.strong_count() > 0);
        let known = peers.get(&peer).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(1));
            peers.insert(peer, Arc::downgrade(&new));
            new
        })
    }
}

/// A turn of [`Turns`]; neither semaphore is ever closed.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _all: Result<SemaphorePermit<'a>, AcquireError>,
    _of_peer: Result<OwnedSemaphorePermit, AcquireError>,
}

/// A connection that has not associated, or has before; no longer counted once dropped.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    admission: Admission,
    number: u64,
    /// Cancelled when it has to give way.
    pub(crate) evicted: CancellationToken,
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.admission.lock().half_open.remove(&self.number);
    }
}

/// Room for an association; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Admission,
    peer: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut inner = self.admission.lock();
        inner.associations = inner.associations.saturating_sub(1);
        match inner.by_peer.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => {
                inner.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn room_is_counted_in_total_and_by_peer_and_given_back() {
        let admission = Admission::default();
        let limits = Limits { associations: 3, associations_per_peer: 2, ..Limits::default() };
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = admission.associate(a, &limits);
        let _second = admission.associate(a, &limits).unwrap();
        assert!(admission.associate(a, &limits).is_none());
        let _third = admission.associate(b, &limits).unwrap();
        assert!(admission.associate(b, &limits).is_none());
        drop(first);
        assert!(admission.associate(b, &limits).is_some());
        assert!(admission.associate(a, &limits).is_some());
    }

    #[test]
    fn the_oldest_half_open_connection_gives_way() {
        let admission = Admission::default();
        let first = admission.connected(1, 2);
        let second = admission.connected(2, 2);
        drop(admission.connected(3, 2));
        assert!(first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled());
        let _fourth = admission.connected(4, 2);
        assert!(!second.evicted.is_cancelled());
        // One that was associated once comes before those that came later.
        assert!(admission.connected(1, 2).evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled());
    }

    #[tokio::test]
    async fn one_has_a_turn_and_each_peer_one_place_in_the_queue() {
        let turns = Turns::default();
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = turns.take(a).await;
        let mut of_a: Vec<_> = (0..100).map(|_| Box::pin(turns.take(a))).collect();
        let mut of_b = Box::pin(turns.take(b));
        let mut cx = Context::from_waker(Waker::noop());
        for waiting in of_a.iter_mut().chain([&mut of_b]) {
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
        }
        drop(first);
        // The next of the first peer comes behind the other peer, however many wait.
        let turn = tokio::time::timeout(std::time::Duration::from_secs(10), of_b).await.unwrap();
        assert_eq!(turns.peers.lock().unwrap().len(), 2);
        drop((turn, of_a));
        drop(turns.take(b).await);
        assert_eq!(turns.peers.lock().unwrap().len(), 1, "none is kept of who is gone");
    }
}
