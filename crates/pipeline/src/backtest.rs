use std::collections::BTreeMap;
use std::sync::Arc;

use dokuei_dataset::Limits;
use dokuei_store::{StoreError, StoreReader, StoredInstance};
use dokuei_types::InstanceId;
use serde::Serialize;
use serde_json::Value;

use crate::flow::{explain, read_stored};
use crate::rules::Rules;
use crate::trace::RouteTrace;

/// Instances read from the index at a time.
const PAGE: usize = 256;
/// Instances named for each change of a route.
const EXAMPLES: usize = 5;

/// What other rules would do with instances of a store, against what was decided of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Backtest {
    /// Instances that were compared.
    pub compared: u64,
    /// Left out, since their bytes are no longer there.
    pub not_kept: u64,
    /// Left out, since nothing is decided of them yet.
    pub undecided: u64,
    /// Left out, since they were fetched to compare with, and no route takes them.
    pub fetched: u64,
    /// Every route of before or now, by name.
    pub routes: BTreeMap<String, Changed>,
    /// Instances to which no route applies.
    pub no_route: Changed,
}

/// To which instances a route applies, against before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Before and now.
    pub same: u64,
    /// Only now.
    pub gained: u64,
    /// Only before.
    pub lost: u64,
    /// SOP Instance UIDs of the first ones that were gained.
    pub gained_examples: Vec<String>,
    /// SOP Instance UIDs of the first ones that were lost.
    pub lost_examples: Vec<String>,
}

impl Backtest {
    /// Asks `rules` about everything received since `since` (milliseconds since 1970). Holds one page of the index and
    /// one header at a time, and writes nothing.
    ///
    /// # Errors
    /// What the index says. Files that cannot be opened count as no longer kept.
    pub fn run(rules: &Rules, reader: &StoreReader, since: i64, limits: &Limits) -> Result<Self, StoreError> {
        let mut backtest = Self::default();
        for route in rules.routes() {
            backtest.routes.entry(route.config.name.clone()).or_default();
        }
        let mut last = InstanceId(0);
        loop {
            let page = reader.decided(last, since, PAGE)?;
            let Some(end) = page.last() else { return Ok(backtest) };
            last = end.instance.id;
            for decided in &page {
                match &decided.trace {
                    Some(trace) => backtest.compare(rules, &decided.instance, trace, limits),
                    None if reader.fetched_for(decided.instance.id)?.is_some() => backtest.fetched += 1,
                    None => backtest.undecided += 1,
                }
            }
        }
    }

    fn compare(&mut self, rules: &Rules, instance: &StoredInstance, before: &Value, limits: &Limits) {
        let header = match instance.removed_at {
            Some(_) => None,
            None => read_stored(instance, limits).ok(),
        };
        let Some(header) = header else {
            self.not_kept = self.not_kept.saturating_add(1);
            return;
        };
        let dataset = header.map(|(header, _)| header.dataset).unwrap_or_default();
        let before: Vec<RouteTrace> = serde_json::from_value(before.clone()).unwrap_or_default();
        let now = explain(rules, instance, Arc::new(dataset));
        self.compared = self.compared.saturating_add(1);
        for name in before.iter().chain(&now).map(|trace| &trace.route) {
            self.routes.entry(name.clone()).or_default();
        }
        for (name, changed) in &mut self.routes {
            let applies = |traces: &[RouteTrace]| traces.iter().any(|trace| trace.matched && trace.route == *name);
            changed.count(applies(&before), applies(&now), &instance.sop_instance);
        }
        let nothing = |traces: &[RouteTrace]| traces.iter().all(|trace| !trace.matched);
        self.no_route.count(nothing(&before), nothing(&now), &instance.sop_instance);
    }
}

impl Changed {
    fn count(&mut self, before: bool, now: bool, sop_instance: &str) {
        let (count, examples) = match (before, now) {
            (false, false) => return,
            (true, true) => {
                self.same = self.same.saturating_add(1);
                return;
            }
            (false, true) => (&mut self.gained, &mut self.gained_examples),
            (true, false) => (&mut self.lost, &mut self.lost_examples),
        };
        *count = count.saturating_add(1);
        if examples.len() < EXAMPLES {
            examples.push(sop_instance.to_owned());
        }
    }
}
