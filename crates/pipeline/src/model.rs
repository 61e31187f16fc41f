use std::fmt;
use std::sync::Arc;

use dokuei_inference::{Accepts, Explanation as Explaining, InferError, Inference, Model, Session};
use dokuei_pixels::{InputSpec, Prepared};
use dokuei_results::Explanation;
use dokuei_types::{DeclineReason, ModelIdentity};

use crate::condition::Condition;
use crate::rules::{RuleError, explain};
use crate::variables::Attributes;

/// What the pipeline needs of a model; tests put their own in its place.
pub trait ModelStage: Send + Sync {
    /// What reports say of it.
    fn identity(&self) -> &ModelIdentity;
    /// Which images it looks at.
    fn accepts(&self) -> &Accepts;
    /// How an image becomes its input.
    fn input(&self) -> &InputSpec;
    /// How its maps come about.
    fn explanation(&self) -> Explanation;
    /// What a report says of its settings, `key=value`.
    fn parameters(&self) -> Vec<String>;
    /// What its maker says it may be used for; empty where that is unsaid.
    fn intended_use(&self) -> &str;
    /// A session for one thread.
    ///
    /// # Errors
    /// The engine cannot make its buffers.
    fn session(&self) -> Result<Box<dyn ModelSession>, InferError>;
}

/// One thread's use of a model.
pub trait ModelSession: Send {
    /// Looks at one frame.
    ///
    /// # Errors
    /// What the engine says; the session can be used again.
    fn run(&mut self, input: &Prepared) -> Result<Inference, InferError>;
}

impl ModelStage for Model {
    fn identity(&self) -> &ModelIdentity {
        Self::identity(self)
    }

    fn accepts(&self) -> &Accepts {
        &self.manifest().accepts
    }

    fn input(&self) -> &InputSpec {
        &self.manifest().input
    }

    fn explanation(&self) -> Explanation {
        match &self.manifest().explanation {
            Explaining::Cam { .. } => Explanation::ClassActivation,
            Explaining::Output { .. } => Explanation::ModelOutput,
            Explaining::Occlusion { .. } => Explanation::Occlusion,
            Explaining::None => Explanation::None,
        }
    }

    fn parameters(&self) -> Vec<String> {
        let bands = self.manifest().findings.iter().flat_map(|finding| {
            let bands = &finding.bands;
            [format!("{}.medium={}", finding.name, bands.medium), format!("{}.high={}", finding.name, bands.high)]
        });
        bands.chain([format!("fingerprint={}", self.fingerprint())]).collect()
    }

    fn intended_use(&self) -> &str {
        &self.manifest().model.intended_use
    }

    fn session(&self) -> Result<Box<dyn ModelSession>, InferError> {
        Ok(Box::new(Self::session(self)?))
    }
}

impl ModelSession for Session {
    fn run(&mut self, input: &Prepared) -> Result<Inference, InferError> {
        Self::run(self, input)
    }
}

/// A model whose own conditions are checked.
pub struct ReadyModel {
    stage: Arc<dyn ModelStage>,
    conditions: Vec<Condition>,
}

impl ReadyModel {
    /// Checks the conditions of a model's manifest.
    ///
    /// # Errors
    /// Every condition that cannot be used.
    pub fn new(stage: Arc<dyn ModelStage>) -> Result<Self, Vec<RuleError>> {
        let (mut conditions, mut errors) = (Vec::new(), Vec::new());
        for text in stage.accepts().when.iter().map(|requirement| &requirement.condition) {
            match Condition::compile(text) {
                Ok(condition) => conditions.push(condition),
                Err(error) => {
                    errors.push(RuleError::condition(&stage.identity().name, "accepts.when", text, error));
                }
            }
        }
        if errors.is_empty() { Ok(Self { stage, conditions }) } else { Err(errors) }
    }

    /// A model that is shown images without attributes, such as plain pictures: its manifest's conditions cannot be
    /// asked, its quality limits hold.
    #[must_use]
    pub fn without_conditions(stage: Arc<dyn ModelStage>) -> Self {
        Self { stage, conditions: Vec::new() }
    }

    /// The name routes use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stage.identity().name
    }

    /// What reports say of it.
    #[must_use]
    pub fn identity(&self) -> &ModelIdentity {
        self.stage.identity()
    }

    pub(crate) fn stage(&self) -> &dyn ModelStage {
        self.stage.as_ref()
    }

    /// Why the model does not look at an image of these attributes.
    #[must_use]
    pub fn declines(&self, of: &Attributes) -> Option<DeclineReason> {
        let traces = explain(&self.conditions, of);
        let (index, failing) = traces.into_iter().enumerate().find(|(_, trace)| !trace.matched)?;
        let reason = self.stage.accepts().when.get(index).and_then(|requirement| requirement.reason.as_deref());
        let reason = reason.map(|reason| format!("{reason}: ")).unwrap_or_default();
        let mut text = format!("{reason}`{}` does not hold", failing.when);
        if let Some(error) = failing.error {
            text.push_str(&format!(": {error}"));
        } else if !failing.values.is_empty() {
            let values: Vec<String> = failing.values.iter().map(|(name, value)| format!("{name} is {value}")).collect();
            text.push_str(&format!(": {}", values.join(", ")));
        }
        Some(DeclineReason::Criteria(text))
    }
}

impl fmt::Debug for ReadyModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyModel").field("identity", self.identity()).finish_non_exhaustive()
    }
}
