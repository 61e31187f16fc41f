//! Bandwidth: bytes of data sets that go to a destination no faster than its configuration allows.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dokuei_types::ByteRate;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What may go at once: as much as goes in this time. Timers are a millisecond late, which is made good within it.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The bandwidth of one destination, for all associations with it.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: AtomicU64,
    /// When more may go.
    free_at: Mutex<Instant>,
}

/// The bandwidth of every destination that has a limit, over reloads: what is still being sent counts.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<BTreeMap<String, Arc<Pace>>>);

impl Paces {
    /// That of a destination, which is `rate` from now on.
    pub(crate) fn of(&self, destination: &str, rate: ByteRate) -> Arc<Pace> {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = paces.entry(destination.to_owned()).or_insert_with(|| Arc::new(Pace::new(rate)));
        pace.bytes_per_second.store(rate.0.get(), Ordering::Relaxed);
        Arc::clone(pace)
    }
}

impl Pace {
    fn new(rate: ByteRate) -> Self {
        Self { bytes_per_second: AtomicU64::new(rate.0.get()), free_at: Mutex::new(Instant::now()) }
    }

    fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second.load(Ordering::Relaxed).max(1)
    }

    /// When more may go, if it is not now.
    fn busy_until(&self) -> Option<Instant> {
        let free_at = *self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        (free_at > Instant::now()).then_some(free_at)
    }

    /// Bytes that may go at once.
    fn at_once(&self) -> usize {
        let bytes = u128::from(self.bytes_per_second()).saturating_mul(AT_ONCE.as_millis()) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }

    fn spend(&self, bytes: usize) {
        let nanos = (bytes as u128).saturating_mul(1_000_000_000) / u128::from(self.bytes_per_second());
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earliest = now.checked_sub(AT_ONCE).unwrap_or(now);
        *free_at = (*free_at).max(earliest) + time;
    }
}

/// Bytes that come at the pace of a destination, or at once where it has none.
#[derive(Debug)]
pub(crate) struct Paced<R> {
    bytes: R,
    pace: Option<Arc<Pace>>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<R> Paced<R> {
    pub(crate) fn new(bytes: R, pace: Option<&Arc<Pace>>) -> Self {
        Self { bytes, pace: pace.cloned(), wait: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Paced<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(pace) = this.pace.as_ref().filter(|_| buf.remaining() > 0) else {
            return Pin::new(&mut this.bytes).poll_read(context, buf);
        };
        while let Some(until) = pace.busy_until() {
            let wait = this.wait.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(wait.as_mut().poll(context));
            this.wait = None;
        }
        let most = buf.remaining().min(pace.at_once());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut this.bytes).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        pace.spend(read);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn rate(text: &str) -> ByteRate {
        text.parse().unwrap()
    }

    async fn read(bytes: &[u8], pace: Option<&Arc<Pace>>) -> usize {
        let mut read = vec![0; bytes.len()];
        Paced::new(bytes, pace).read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        read.len()
    }

    #[tokio::test]
    async fn all_who_share_a_pace_are_as_fast_as_one() {
        let paces = Paces::default();
        let (first, second) = (paces.of("pacs", rate("1 MiB/s")), paces.of("pacs", rate("2 MiB/s")));
        let bytes = vec![7; 256 << 10];
        let begun = Instant::now();
        let both = tokio::join!(read(&bytes, Some(&first)), read(&bytes, Some(&second)));
        assert_eq!(both, (256 << 10, 256 << 10));
        // Half a MiB at 2 MiB/s, of which what may go at once goes first and is not waited for in the end.
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
        let begun = Instant::now();
        second.spend(200 << 10);
        read(b"a report", Some(&first)).await;
        assert!(begun.elapsed() >= Duration::from_millis(45), "what is small waits too: {:?}", begun.elapsed());
        assert_eq!(read(&bytes, None).await, 256 << 10);
    }
}
