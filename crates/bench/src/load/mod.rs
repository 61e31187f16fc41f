//! The load: associations that send their next instance when the last is answered, or as many ahead as the
//! asynchronous operations window lets them (PS3.7 § D.3.3.3).

mod disk;
mod sender;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crate::corpus::{Object, Pixels};
use crate::frames::{Frames, fragment_bytes};

pub(crate) use sender::Sender;
pub(crate) use tally::Tally;

const STACK_BYTES: usize = 256 << 10;

/// Who is sent to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) ae_title: &'a str,
}

/// How much is sent, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Threads with one association each.
    pub(crate) associations: u64,
    /// Number of the first; instances of another number are other instances.
    pub(crate) first_association: u64,
    /// Operations outstanding at a time, where the peer agrees.
    pub(crate) window: u16,
    /// No instance is begun after it.
    pub(crate) time: Duration,
    /// Most bytes of data sets of all associations together; every one sends at least one instance.
    pub(crate) bytes_max: u64,
}

impl Load {
    /// A handful of instances that make a receiver load what it loads late.
    pub(crate) fn warm_up(instances: u64, frames: &Frames) -> Self {
        let bytes_max = instances * frames.object_bytes as u64;
        // A number of association that no measurement reaches.
        Self { associations: 1, first_association: 99_999, window: 1, time: Duration::from_secs(60), bytes_max }
    }

    /// Sends to `peer` until time or bytes are used up.
    ///
    /// # Errors
    /// When a thread cannot be started. What the peer does wrong is in the tally.
    pub(crate) fn send(&self, peer: Peer, frames: &Frames) -> io::Result<Tally> {
        self.in_threads(|association, tally| self.associate_and_send(peer, frames, association, tally))
    }

    /// Runs `work` once for each association, all from the same moment on.
    fn in_threads(&self, work: impl Fn(u64, &mut Tally) -> io::Result<()> + Sync) -> io::Result<Tally> {
        let all_are_there = OnceLock::new();
        let one = |association| {
            let are_there: &bool = all_are_there.wait();
            let mut tally = Tally::begin(Instant::now());
            if !are_there {
                return tally;
            }
            if let Err(error) = work(association, &mut tally) {
                tally.fail(error.to_string());
            }
            tally
        };
        thread::scope(|scope| {
            let numbers = self.first_association..self.first_association + self.associations;
            let one = &one;
            let start = |number| Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, move || one(number));
            let threads: io::Result<Vec<_>> = numbers.map(start).collect();
            all_are_there.get_or_init(|| threads.is_ok());
            let panicked = |_| io::Error::other("a thread of the load has panicked");
            let mut tallies = threads?.into_iter().map(|thread| thread.join().map_err(panicked));
            let first = tallies.next().unwrap_or_else(|| Ok(Tally::begin(Instant::now())))?;
            tallies.try_fold(first, |sum, tally| Ok(sum.and(tally?)))
        })
    }

    /// Most instances of one association.
    fn instances_max(&self, object_bytes: u64) -> u64 {
        (self.bytes_max / self.associations / object_bytes).max(1)
    }

    fn associate_and_send(&self, peer: Peer, frames: &Frames, association: u64, tally: &mut Tally) -> io::Result<()> {
        let mut sender = Sender::associate(peer, frames.corpus.sop_class(), self.window)?;
        let begun = tally.associated(Instant::now());
        let time_left = self.time.saturating_sub(begun);
        if !time_left.is_zero() {
            self.send_instances(&mut sender, frames, association, Instant::now() + time_left, tally)?;
        }
        sender.release()
    }

    fn send_instances(
        &self,
        sender: &mut Sender,
        frames: &Frames,
        association: u64,
        deadline: Instant,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let object_bytes = frames.object_bytes as u64;
        let instances_max = self.instances_max(object_bytes);
        let mut front = frames.front();
        let mut outstanding: VecDeque<(u16, Instant)> = VecDeque::new();
        let (mut sequence, mut message_id) = (0, 0_u16);
        loop {
            let more = sequence < instances_max && (sequence == 0 || Instant::now() < deadline);
            if more && outstanding.len() < usize::from(sender.window) {
                message_id = message_id.wrapping_add(1);
                front.number(association, sequence, message_id);
                outstanding.push_back((message_id, Instant::now()));
                front.send(&mut sender.stream())?;
                sequence += 1;
                continue;
            }
            if outstanding.is_empty() {
                return Ok(());
            }
            let (responds_to, status) = sender.response()?;
            let Some(index) = outstanding.iter().position(|(id, _)| *id == responds_to) else {
                return Err(io::Error::other(format!("a response to message {responds_to}, which is not outstanding")));
            };
            let sent = outstanding.remove(index).map(|(_, sent)| sent);
            tally.answered(status, sent, Instant::now(), object_bytes);
        }
    }
}

/// An object cut into what `peer` takes, which it says when it is associated with.
pub(crate) fn frames_for(peer: Peer, object: &Object, pixels: &Pixels) -> io::Result<Frames> {
    let sender = Sender::associate(peer, object.corpus.sop_class(), 1)?;
    let fragment_bytes = fragment_bytes(sender.pdu_length_max_bytes);
    sender.release()?;
    Frames::new(object, pixels, fragment_bytes)
}
