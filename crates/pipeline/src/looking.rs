//! An image as a model is shown it, and what is kept of what the model says.

use std::sync::Arc;

use dokuei_dataset::{FileSection, Header};
use dokuei_results::{Comparison, ObjectReference, Role};
use dokuei_store::{Changes, NewResult, SendTo, StoredInstance};
use dokuei_types::ModelIdentity;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::analysis::{Analysis, AnalysisInput, FrameFindings};
use crate::error::FlowError;
use crate::flow::{Stages, attributes};
use crate::priors::Found;
use crate::variables::Attributes;

/// A stored image whose header is read.
pub(crate) struct Shown {
    pub(crate) stored: StoredInstance,
    pub(crate) header: Header,
    pub(crate) attributes: Attributes,
    file: FileSection,
    began: Zoned,
    revises: Vec<ObjectReference>,
    roles: Vec<Role>,
}

impl Stages<'_> {
    /// An image that a model is to look at now, for results that go to `send`.
    pub(crate) fn show(
        &self,
        stored: StoredInstance,
        (header, file): (Header, FileSection),
        model: &ModelIdentity,
        send: &[SendTo],
    ) -> Result<Shown, FlowError> {
        let made_at = Timestamp::from_millisecond(self.store.clock().now_ms()).unwrap_or_default();
        Ok(Shown {
            attributes: attributes(&stored, Arc::new(header.dataset.clone())),
            revises: self.revised(stored.id, model)?,
            roles: self.roles(send),
            began: made_at.to_zoned(TimeZone::system()),
            stored,
            header,
            file,
        })
    }

    /// What an analysis of it is given.
    pub(crate) fn input<'b>(&'b self, shown: &'b Shown, comparison: Comparison<'b>) -> AnalysisInput<'b> {
        AnalysisInput {
            attributes: &shown.attributes,
            header: &shown.header,
            file: &shown.file,
            node: &self.setup.node,
            style: &self.setup.style,
            made_at: &shown.began,
            version: shown.stored.version,
            revises: &shown.revises,
            comparison,
            roles: &shown.roles,
            limits: &self.config.limits,
        }
    }

    /// Keeps what a model said of it, and notes what later images find it by.
    pub(crate) fn keep_result(
        &self,
        changes: Changes,
        shown: &Shown,
        model: &ModelIdentity,
        analysis: &Analysis,
        found: &Found,
    ) -> Result<Changes, FlowError> {
        self.stopwatch.add(&model.name, &analysis.timings);
        let instance = shown.stored.id;
        let made_at = shown.began.timestamp().as_millisecond();
        let result = NewResult { instance, model: model.clone(), findings: findings(analysis, found), made_at };
        let changes = changes.result(result, self.keep(&analysis.objects)?);
        Ok(self.note_comparable(changes, instance, &shown.header.dataset))
    }
}

/// What the store keeps of an analysis for lists and programs.
fn findings(analysis: &Analysis, found: &Found) -> serde_json::Value {
    let frames = analysis.frames.iter().map(|frame| {
        let FrameFindings { frame, findings, unfamiliarity, declined, failed, .. } = frame;
        let mut kept = serde_json::json!({
            "frame": frame,
            "findings": findings,
            "unfamiliarity": unfamiliarity,
            "declined": declined,
            "failed": failed,
        });
        if let (Some(kept), Some(comparison)) = (kept.as_object_mut(), found.json(analysis)) {
            kept.insert("comparison".to_owned(), comparison);
        }
        kept
    });
    frames.collect()
}
