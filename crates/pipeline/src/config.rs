use std::time::Duration;

use crate::analysis::AnalysisLimits;
use crate::delivery::RetryPolicy;

/// How the pipeline runs.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Threads that run models; each has sessions of its own. Default: one per core.
    pub workers: usize,
    /// When deliveries and jobs are tried again.
    pub retry: RetryPolicy,
    /// How often a job is tried before it is a dead letter.
    pub attempts_max: u32,
    /// Objects in one association.
    pub batch: usize,
    /// From a destination's success to the question whether it keeps the object, so that one is about many.
    pub confirm_after: Duration,
    /// Time for one analysis. A model cannot be interrupted: what takes longer is taken over by another worker,
    /// the late result is discarded, and after a few such losses the image is a dead letter.
    pub analysis_time_max: Duration,
    /// What one analysis may use.
    pub limits: AnalysisLimits,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            retry: RetryPolicy::default(),
            attempts_max: 5,
            batch: 64,
            confirm_after: Duration::from_secs(5),
            analysis_time_max: Duration::from_secs(900),
            limits: AnalysisLimits::default(),
        }
    }
}
