use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Arrivals that may wait for the index before senders wait too: a burst of a fast network, which the index catches up
/// with in a few seconds.
const MAX: usize = 131_072;
/// Bytes of what waits along with them: the rest is read back from the log.
const ALONG_BYTES: usize = 4 << 20;

/// How often the index looks whether a burst is over that it lets pass.
const GLANCE: Duration = Duration::from_millis(50);

/// Counts the arrivals that are durable but not in the index yet.
pub(crate) struct Backlog {
    state: Mutex<State>,
    fewer: Condvar,
    /// Someone waits for the index.
    asked: Condvar,
    began: Instant,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { state: Mutex::default(), fewer: Condvar::new(), asked: Condvar::new(), began: Instant::now() }
    }
}

#[derive(Default)]
struct State {
    count: usize,
    /// Requests that someone waits for.
    awaited: usize,
    closed: bool,
    rate: Rate,
    /// Bytes that wait along.
    along: usize,
}

/// Arrivals in the current stretch of time and in the one before.
#[derive(Default)]
struct Rate {
    stretch: u128,
    now: usize,
    before: usize,
}

impl Rate {
    /// Length of a stretch, in milliseconds.
    const STRETCH_MS: u128 = 100;
    /// Arrivals in a stretch that make a burst: what a modality sends in one go, not what it sends all day.
    const BURST: usize = 50;

    fn arrival(&mut self, at_ms: u128) {
        self.advance(at_ms);
        self.now = self.now.saturating_add(1);
    }

    fn is_burst(&mut self, at_ms: u128) -> bool {
        self.advance(at_ms);
        self.now.max(self.before) >= Self::BURST
    }

    fn is_quiet(&mut self, at_ms: u128) -> bool {
        self.advance(at_ms);
        self.now.max(self.before) == 0
    }

    fn advance(&mut self, at_ms: u128) {
        let stretch = at_ms / Self::STRETCH_MS;
        if stretch != self.stretch {
            self.before = if stretch == self.stretch.saturating_add(1) { self.now } else { 0 };
            self.now = 0;
            self.stretch = stretch;
        }
    }
}

/// One of them.
pub(crate) struct Seat(Arc<Backlog>);

/// Room for what waits along with one.
pub(crate) struct Room {
    bytes: usize,
    backlog: Arc<Backlog>,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.backlog.state();
        state.along = state.along.saturating_sub(self.bytes);
    }
}

impl Backlog {
    pub(crate) fn enter(self: &Arc<Self>) -> Seat {
        let now = self.began.elapsed().as_millis();
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        state.rate.arrival(now);
        Seat(Arc::clone(self))
    }

    /// Room for so many bytes to wait along, where there is some.
    pub(crate) fn room(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let mut state = self.state();
        let along = state.along.saturating_add(bytes);
        if along > ALONG_BYTES {
            return None;
        }
        state.along = along;
        drop(state);
        Some(Room { bytes, backlog: Arc::clone(self) })
    }

    /// Whether many arrive at the moment: what can wait lets them go first.
    pub(crate) fn is_burst(&self) -> bool {
        let now = self.began.elapsed().as_millis();
        self.state().rate.is_burst(now)
    }

    /// Whether nothing arrives at the moment.
    pub(crate) fn is_quiet(&self) -> bool {
        let now = self.began.elapsed().as_millis();
        self.state().rate.is_quiet(now)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX
    }

    /// Counts a request that someone waits for.
    pub(crate) fn ask(&self) {
        let mut state = self.state();
        state.awaited = state.awaited.saturating_add(1);
        self.asked.notify_all();
    }

    /// So many of them have their turn.
    pub(crate) fn answer(&self, count: usize) {
        if count > 0 {
            let mut state = self.state();
            state.awaited = state.awaited.saturating_sub(count);
        }
    }

    /// Whether someone waits for the index.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state().awaited > 0
    }

    /// Waits for the end of a burst, for `patience` at most, unless someone waits for the index or half of the room is
    /// taken.
    pub(crate) fn let_pass(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.awaited == 0
            && !state.closed
            && state.count < MAX / 2
            && state.rate.is_burst(self.began.elapsed().as_millis())
            && Instant::now() < until
        {
            (state, _) = self.asked.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner);
        }
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
        self.asked.notify_all();
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
        // Who waits found it full.
        if state.count.saturating_add(1) == MAX {
            self.0.fewer.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_many_at_once_and_over_soon() {
        let mut rate = Rate::default();
        (0..Rate::BURST).for_each(|_| rate.arrival(120));
        assert!(rate.is_burst(199) && rate.is_burst(299), "in its own stretch and the next");
        assert!(!rate.is_burst(300));
        (0..100).for_each(|number| rate.arrival(1_000 + 10 * number));
        assert!(!rate.is_burst(2_000), "a hundred a second is a day like any other");
        assert!(!rate.is_quiet(2_099) && rate.is_quiet(2_100), "nothing in its own stretch and the one before");
    }

    #[test]
    fn bytes_wait_along_as_far_as_there_is_room() {
        let backlog = Arc::new(Backlog::default());
        let mut rooms: Vec<_> = std::iter::from_fn(|| backlog.room(5_000)).collect();
        assert_eq!(rooms.len(), ALONG_BYTES / 5_000);
        rooms.pop();
        assert!(backlog.room(5_000).is_some_and(|room| room.bytes == 5_000), "room again");
    }

    /// Whoever waits as `wait` does goes on once `change` is made.
    fn goes_on_after(backlog: &Arc<Backlog>, wait: impl FnOnce(&Backlog) + Send + 'static, change: impl FnOnce()) {
        let (going, gone) = std::sync::mpsc::channel();
        let waiting = Arc::clone(backlog);
        std::thread::spawn(move || {
            wait(&waiting);
            going.send(()).unwrap();
        });
        assert!(gone.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
        change();
        gone.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn who_waits_for_room_goes_on_when_there_is_some() {
        let backlog = Arc::new(Backlog::default());
        let mut seats: Vec<_> = (0..MAX + 2).map(|_| backlog.enter()).collect();
        goes_on_after(&backlog, Backlog::wait, || seats.truncate(MAX - 1));
    }

    #[test]
    fn who_waits_for_room_goes_on_when_it_closes() {
        let backlog = Arc::new(Backlog::default());
        let _seats: Vec<_> = (0..MAX).map(|_| backlog.enter()).collect();
        goes_on_after(&backlog, Backlog::wait, || backlog.close());
    }

    /// One in which time stands still, and a burst does not end.
    fn in_a_burst() -> Arc<Backlog> {
        let began = Instant::now() + Duration::from_secs(3_600);
        let backlog = Arc::new(Backlog { began, ..Backlog::default() });
        drop((0..Rate::BURST).map(|_| backlog.enter()).collect::<Vec<_>>());
        backlog
    }

    #[test]
    fn the_index_lets_a_burst_pass_until_someone_waits_for_it() {
        let let_pass = |backlog: &Backlog| backlog.let_pass(Duration::from_secs(3_600));
        let backlog = in_a_burst();
        goes_on_after(&backlog, let_pass, || backlog.ask());
        let_pass(&backlog);
        backlog.answer(1);
        let mut seats = Vec::new();
        goes_on_after(&backlog, let_pass, || seats.extend((0..MAX / 2).map(|_| backlog.enter())));
        seats.clear();
        goes_on_after(&backlog, let_pass, || backlog.close());
    }

    #[test]
    fn the_index_is_not_patient_for_ever_and_not_without_a_burst() {
        let began = Instant::now();
        in_a_burst().let_pass(Duration::from_millis(100));
        assert!(began.elapsed() >= Duration::from_millis(100));
        Backlog::default().let_pass(Duration::from_secs(3_600));
    }
}
