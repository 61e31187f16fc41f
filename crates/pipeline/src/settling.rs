//! When a series or study counts as settled: DICOM has no end of either, so it is told from signs.
//!
//! | sign | settled |
//! |---|---|
//! | nothing came for `settle_after`, and every association that brought some of it is over | `quiet` |
//! | the same, and its source (`count_at`) has no more of it than is here | `count` |
//! | `settle_at_most` has passed since its first instance | `cap` |

use std::time::Duration;

use dokuei_store::{Changes, Lease, SettleReason, StoredUnit, UnitId, UnitLevel};

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
        match source {
            None if is_quiet && !is_arriving => settled(SettleReason::Quiet),
            _ if now >= unit.cap_at => settled(SettleReason::Cap),
            _ if !is_quiet => Ok(Step::Done(until_quiet(lease, &unit, settle_after))),
            _ if is_arriving => {
                let reason = "an association that brought some of it is still open";
                Ok(Step::Done(again(lease, &unit, now, settle_after, reason)))
            }
            Some((source, counted)) => {
                let (lease, source) = (lease.clone(), source.clone());
                Ok(Step::Ask(Box::new(Question { lease, unit, counted, source, settle_after })))
            }
            None => settled(SettleReason::Quiet),
        }
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

/// The unit settles, and the job is done.
pub(crate) fn settled(lease: &Lease, unit: &StoredUnit, reason: SettleReason) -> Changes {
    tracing::info!(route = unit.route, unit = unit.uid, reason = reason.as_str(), "settled");
    Changes::complete(lease).settle(unit.id, reason)
}

/// The unit waits for its quiet time: something came since.
pub(crate) fn until_quiet(lease: &Lease, unit: &StoredUnit, settle_after: Duration) -> Changes {
    Changes::retry(lease, quiet_at(unit, settle_after).min(unit.cap_at), "something came since")
}

/// The unit goes on waiting although it is quiet.
pub(crate) fn again(lease: &Lease, unit: &StoredUnit, now: i64, settle_after: Duration, reason: &str) -> Changes {
    tracing::debug!(route = unit.route, unit = unit.uid, reason, "not settled");
    Changes::retry(lease, after(now, settle_after.max(LOOK_AGAIN_MIN)).min(unit.cap_at), reason)
}

fn quiet_at(unit: &StoredUnit, settle_after: Duration) -> i64 {
    after(unit.last_at, settle_after)
}

fn after(at: i64, time: Duration) -> i64 {
    at.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
