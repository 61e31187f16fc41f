//! When a series or study counts as settled: DICOM has no end of either, so it is told from signs.
//!
//! | sign | settled |
//! |---|---|
//! | nothing came for `settle_after`, and every association that brought some of it is over | `quiet` |
//! | the same, and its source (`count_at`) has no more of it than is here | `count` |
//! | completed procedure steps, or notifications of an archive, name all of it that waits, and all they name is here | `mpps`, `availability` |
//! | `settle_at_most` has passed since its first instance | `cap` |
//!
//! It waits beyond its quiet time while a procedure step is in progress, and for images that are named and not here.

use std::time::Duration;

use dokuei_store::{Changes, HintKind, Hinted, Lease, SettleReason, StoreError, StoredUnit, UnitId, UnitLevel};

use crate::delivery::Counted;
use crate::error::FlowError;
use crate::flow::Stages;
use crate::pipeline::DestinationSetup;
use crate::route_config::RouteConfig;

/// Shortest time until a unit that waits is looked at again.
const LOOK_AGAIN_MIN: Duration = Duration::from_secs(1);

/// What comes of looking at a job.
pub(crate) enum Step {
    /// It ends with these changes.
    Done(Changes),
    /// The source of its unit is asked first; the lease is held until then.
    Ask(Box<Question>),
}

/// What procedure steps and notifications say of a unit.
enum Told {
    /// Nothing that would settle it or hold it up.
    Nothing,
    /// It is whole, for this reason.
    Whole(SettleReason, String),
    /// More of it is to come, in words.
    More(String),
}

/// How much of a unit there is at its source.
pub(crate) struct Question {
    pub(crate) lease: Lease,
    pub(crate) unit: StoredUnit,
    pub(crate) counted: Counted,
    pub(crate) source: DestinationSetup,
    pub(crate) settle_after: Duration,
}

impl Stages<'_> {
    /// Settle: whether a unit whose timer is over has settled, or goes on waiting.
    pub(crate) fn settle(&self, lease: &Lease, unit: UnitId) -> Result<Step, FlowError> {
        let unit = self.store.reader().unit(unit)?;
        let unit = unit.ok_or_else(|| FlowError::Hopeless("the unit is not in the store".to_owned()))?;
        let settled = |reason| Ok(Step::Done(settled(lease, &unit, reason)));
        let Some(route) = self.route_named(&unit.route) else { return settled(SettleReason::Quiet) };
        let now = self.store.clock().now_ms();
        let (settle_after, source) = (route.settle_after.0, self.source(route, &unit));
        let is_quiet = now >= quiet_at(&unit, settle_after);
        let is_arriving = unit.peers.iter().any(|peer| (self.is_sending)(peer));
        let waits = |reason: &str| Ok(Step::Done(again(lease, &unit, now, settle_after, reason)));
        match (self.told(route, &unit)?, source) {
            (Told::Whole(reason, words), _) => Ok(Step::Done(settled_because(lease, &unit, reason, &words))),
            (Told::Nothing, None) if is_quiet && !is_arriving => settled(SettleReason::Quiet),
            _ if now >= unit.cap_at => settled(SettleReason::Cap),
            (Told::More(reason), _) => waits(&reason),
            _ if !is_quiet => Ok(Step::Done(until_quiet(lease, &unit, settle_after))),
            _ if is_arriving => waits("an association that brought some of it is still open"),
            (Told::Nothing, Some((source, counted))) => {
                let (lease, source) = (lease.clone(), source.clone());
                Ok(Step::Ask(Box::new(Question { lease, unit, counted, source, settle_after })))
            }
            (Told::Nothing, None) => settled(SettleReason::Quiet),
        }
    }

    /// What hints say of a unit, of those its route goes by.
    fn told(&self, route: &RouteConfig, unit: &StoredUnit) -> Result<Told, StoreError> {
        let Hinted { in_progress, images, missing, unnamed, by } =
            self.store.reader().hinted(unit, &route.settle_by)?;
        if in_progress > 0 {
            return Ok(Told::More("a performed procedure step of it is in progress".to_owned()));
        }
        let Some((reason, done, who)) = by.map(words_for) else { return Ok(Told::Nothing) };
        Ok(if missing > 0 {
            Told::More(format!("{missing} of {images} images missing that {who} names"))
        } else if images == 0 || unnamed > 0 {
            Told::Nothing
        } else {
            Told::Whole(reason, format!("{done}, {images} of {images} images here"))
        })
    }

    /// Where a route has the unit counted, and as what; none for a series without a study, which cannot be asked for.
    fn source(&self, route: &RouteConfig, unit: &StoredUnit) -> Option<(&DestinationSetup, Counted)> {
        let source = self.setup.destination(route.count_at.as_deref()?)?;
        let counted = match unit.level {
            UnitLevel::Study => Counted { study: unit.uid.clone(), series: None },
            UnitLevel::Series => Counted { study: unit.study.clone()?, series: Some(unit.uid.clone()) },
        };
        Some((source, counted))
    }

    fn route_named(&self, name: &str) -> Option<&RouteConfig> {
        self.setup.rules.routes().iter().map(|route| &route.config).find(|route| route.name == name)
    }
}

/// What a unit is settled by, what has happened, and what names its images.
fn words_for(kind: HintKind) -> (SettleReason, &'static str, &'static str) {
    match kind {
        HintKind::Mpps => (SettleReason::Mpps, "performed procedure step completed", "a completed procedure step"),
        HintKind::Availability => (SettleReason::Availability, "notified as available", "an archive's notification"),
    }
}

/// The unit settles, and the job is done.
pub(crate) fn settled(lease: &Lease, unit: &StoredUnit, reason: SettleReason) -> Changes {
    tracing::info!(route = unit.route, unit = unit.uid, reason = reason.as_str(), "settled");
    Changes::complete(lease).settle(unit.id, reason)
}

/// As [`settled`], with the reason in more words.
fn settled_because(lease: &Lease, unit: &StoredUnit, reason: SettleReason, detail: &str) -> Changes {
    tracing::info!(route = unit.route, unit = unit.uid, reason = reason.as_str(), detail, "settled");
    Changes::complete(lease).settle_because(unit.id, reason, detail)
}

/// The unit waits for its quiet time: something came since.
pub(crate) fn until_quiet(lease: &Lease, unit: &StoredUnit, settle_after: Duration) -> Changes {
    Changes::retry(lease, quiet_at(unit, settle_after).min(unit.cap_at), "something came since").heed(unit)
}

/// The unit goes on waiting, for a reason that may be over in `settle_after`.
pub(crate) fn again(lease: &Lease, unit: &StoredUnit, now: i64, settle_after: Duration, reason: &str) -> Changes {
    tracing::debug!(route = unit.route, unit = unit.uid, reason, "not settled");
    Changes::retry(lease, after(now, settle_after.max(LOOK_AGAIN_MIN)).min(unit.cap_at), reason).heed(unit)
}

fn quiet_at(unit: &StoredUnit, settle_after: Duration) -> i64 {
    after(unit.last_at, settle_after)
}

fn after(at: i64, time: Duration) -> i64 {
    at.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
