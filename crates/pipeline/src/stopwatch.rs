use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::analysis::Timings;

/// How many analyses a model has done, and how long they took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Analyses that came to a result.
    pub count: u64,
    /// The sum of each stage.
    pub sum: Timings,
}

/// Takes the time of every model's analyses.
#[derive(Debug, Default)]
pub struct Stopwatch(Mutex<BTreeMap<String, Durations>>);

impl Stopwatch {
    pub(crate) fn add(&self, model: &str, timings: &Timings) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_model = all.entry(model.to_owned()).or_default();
        of_model.count = of_model.count.saturating_add(1);
        of_model.sum.prepare = of_model.sum.prepare.saturating_add(timings.prepare);
        of_model.sum.infer = of_model.sum.infer.saturating_add(timings.infer);
        of_model.sum.explain = of_model.sum.explain.saturating_add(timings.explain);
        of_model.sum.report = of_model.sum.report.saturating_add(timings.report);
    }

    /// By the name of the model, since the pipeline was started.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, Durations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
