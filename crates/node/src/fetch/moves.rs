//! What the node has asked destinations for by C-MOVE. It comes to the node's own listener, over associations of its own,
//! and has to be told from what is sent by itself:
//!
//! | the C-STORE request names as its C-MOVE (PS3.7 § 9.1.1.1) | and is |
//! |---|---|
//! | a request of this node: a calling AE title of ours, a Message ID that no other request of ours has | fetched |
//! | such a Message ID that is not known: asked for before the node was started again | refused, since it is asked for again |
//! | the request of somebody else | sent |
//! | nobody, the archive itself, or this node with another Message ID | fetched when it comes from the archive, is of the series it was asked for, and the archive may be at it still; else sent |

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dokuei_dimse::{AssociationObserver, Happened, MoveOriginator, Observed, Refusal, RequestorConfig, StoreRequest};
use dokuei_types::{AeTitle, DimseStatus, Uid};

use super::brought::Brought;

/// The first Message ID of a C-MOVE for which the node stores what comes; `dokuei fetch` counts from 1.
const FIRST_ID: u16 = 0x8000;
/// For so long it is known what was asked for: an archive may have to bring it from afar.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// The C-MOVE requests of the node whose images may come.
#[derive(Debug, Clone)]
pub(crate) struct Moves(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    /// The AE titles the node calls from.
    titles: BTreeSet<AeTitle>,
    last_id: u16,
    asked: Vec<Asked>,
}

/// A series that an archive is to send to the node.
#[derive(Debug)]
struct Asked {
    message_id: u16,
    calling_ae: AeTitle,
    archive: Archive,
    series: Uid,
    at: Instant,
    brought: Arc<Brought>,
    /// Why an association of the archive with the node was rejected meanwhile.
    rejected: Option<String>,
}

/// Who is asked.
#[derive(Debug)]
struct Archive {
    ae_title: AeTitle,
    address: IpAddr,
}

impl Archive {
    /// Whether one that calls like this from there is the archive, or a part of it with an AE title of its own.
    fn is(&self, calling_ae: &str, address: SocketAddr) -> bool {
        self.ae_title.as_str() == calling_ae || self.address == address.ip()
    }
}

/// Where an instance comes from, as far as its C-STORE request tells.
pub(crate) enum Origin {
    /// It is sent by itself.
    Sent,
    /// It was asked for.
    Fetched(Arc<Brought>),
    /// It was asked for when it is of one of these series.
    OfSeries(Vec<(Uid, Arc<Brought>)>),
}

impl Origin {
    /// What it was asked for with; `None` when it is sent by itself.
    pub(crate) fn told(self, series: Option<&Uid>) -> Option<Arc<Brought>> {
        match self {
            Self::Sent => None,
            Self::Fetched(brought) => Some(brought),
            Self::OfSeries(asked) => asked.into_iter().find(|(asked, _)| Some(asked) == series).map(|(_, with)| with),
        }
    }
}

impl Moves {
    /// None yet. `now_ms` sets where Message IDs begin: not where those of the run before did.
    pub(crate) fn new(now_ms: i64) -> Self {
        let seconds = u16::try_from(now_ms.div_euclid(1000).rem_euclid(i64::from(FIRST_ID))).unwrap_or_default();
        Self(Arc::new(Mutex::new(Known { titles: BTreeSet::new(), last_id: FIRST_ID | seconds, asked: Vec::new() })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an AE title that the node calls from.
    pub(crate) fn call_as(&self, title: &AeTitle) {
        self.known().titles.insert(title.clone());
    }

    /// Expects a series that the archive is about to be asked for, by a request with the Message ID that is given back.
    pub(super) fn expect(
        &self,
        config: &RequestorConfig,
        address: IpAddr,
        series: &Uid,
        brought: &Arc<Brought>,
    ) -> u16 {
        let mut known = self.known();
        known.asked.retain(|asked| asked.at.elapsed() < KNOWN_FOR);
        known.last_id = known.last_id.wrapping_add(1) | FIRST_ID;
        let message_id = known.last_id;
        known.asked.push(Asked {
            message_id,
            calling_ae: config.calling_ae.clone(),
            archive: Archive { ae_title: config.called_ae.clone(), address: address.to_canonical() },
            series: series.clone(),
            at: Instant::now(),
            brought: Arc::clone(brought),
            rejected: None,
        });
        message_id
    }

    /// Why an association of the archive was rejected since it was asked.
    pub(super) fn rejected(&self, message_id: u16) -> Option<String> {
        let mut known = self.known();
        known.asked.iter_mut().find(|asked| asked.message_id == message_id)?.rejected.take()
    }

    /// All that was asked for has come.
    pub(super) fn forget(&self, message_id: u16) {
        self.known().asked.retain(|asked| asked.message_id != message_id);
    }

    /// Where an instance comes from.
    ///
    /// # Errors
    /// It was asked for, and nobody knows any more for what.
    pub(crate) fn origin(&self, request: &StoreRequest<'_>) -> Result<Origin, Refusal> {
        let mut known = self.known();
        known.asked.retain(|asked| asked.at.elapsed() < KNOWN_FOR);
        let originator = request.move_originator;
        if let Some(MoveOriginator { ae_title, message_id: Some(id) }) = originator
            && *id >= FIRST_ID
            && known.titles.contains(ae_title)
        {
            let mut asked = known.asked.iter();
            let asked = asked.find(|asked| asked.message_id == *id && asked.calling_ae == *ae_title);
            let forgotten = || Refusal::new(DimseStatus::PROCESSING_FAILURE, "no longer waited for: asked for again");
            return asked.map(|asked| Origin::Fetched(Arc::clone(&asked.brought))).ok_or_else(forgotten);
        }
        let may_be_for = |asked: &&Asked| {
            let is_said = |title: &AeTitle| known.titles.contains(title) || *title == asked.archive.ae_title;
            asked.archive.is(request.calling_ae.as_str(), request.peer)
                && originator.is_none_or(|originator| is_said(&originator.ae_title))
        };
        let candidates = known.asked.iter().filter(may_be_for);
        let candidates: Vec<_> = candidates.map(|asked| (asked.series.clone(), Arc::clone(&asked.brought))).collect();
        Ok(if candidates.is_empty() { Origin::Sent } else { Origin::OfSeries(candidates) })
    }

    /// What tells of associations that are rejected, and `then` of everything.
    pub(crate) fn observer(&self, then: Option<Arc<dyn AssociationObserver>>) -> Arc<dyn AssociationObserver> {
        Arc::new(Watch { moves: self.clone(), then })
    }
}

/// Sees the associations with which archives would send what they were asked for.
#[derive(Debug)]
struct Watch {
    moves: Moves,
    then: Option<Arc<dyn AssociationObserver>>,
}

impl AssociationObserver for Watch {
    fn observe(&self, association: &Observed<'_>) {
        if let Observed { what: Happened::Refused(why), calling_ae, called_ae, peer, .. } = association {
            let mut known = self.moves.known();
            for asked in known.asked.iter_mut().filter(|asked| asked.archive.is(calling_ae, *peer)) {
                let from = peer.ip();
                asked.rejected = Some(format!(
                    "the association of {calling_ae} at {from} with {called_ae} was rejected here: {why}"
                ));
            }
        }
        if let Some(then) = &self.then {
            then.observe(association);
        }
    }
}

#[cfg(test)]
mod tests;
