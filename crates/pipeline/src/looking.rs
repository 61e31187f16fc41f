//! An image as a model is shown it, and what is kept of what the model says.

use std::sync::Arc;

use dokuei_dataset::{Dataset, FileSection, Header};
use dokuei_results::{Comparison, ObjectReference, Role, other_patient};
use dokuei_store::{Changes, NewResult, REJECTION, SendTo, StoreError, StoredInstance, StoredObject, Tally};
use dokuei_types::{InstanceId, ModelIdentity};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::analysis::{Analysis, AnalysisInput, FrameFindings};
use crate::error::FlowError;
use crate::flow::{Stages, attributes, read_stored};
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
    /// Earlier versions of the image as another patient's, of which the model has given results that stand.
    other_patients: Vec<InstanceId>,
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
        let (revises, other_patients) = self.said_before(&stored, &header.dataset, model)?;
        Ok(Shown {
            attributes: attributes(&stored, Arc::new(header.dataset.clone())),
            revises,
            other_patients,
            roles: self.roles(send),
            began: made_at.to_zoned(TimeZone::system()),
            stored,
            header,
            file,
        })
    }

    /// What the model said of it before: the last result, by another version of the model or of an earlier version of the image
    /// in the study, which the next one revises; and the earlier versions that were another patient's, whose results are not
    /// revised and stand.
    fn said_before(
        &self,
        stored: &StoredInstance,
        header: &Dataset,
        model: &ModelIdentity,
    ) -> Result<(Vec<ObjectReference>, Vec<InstanceId>), FlowError> {
        let (mut revises, mut other_patients) = (None, Vec::new());
        for earlier in self.store.reader().earlier_results(stored.id, model)? {
            let before = if earlier.instance == stored.id { None } else { self.header_of(earlier.instance)? };
            if before.is_some_and(|before| other_patient(header, &before)) {
                let is_withdrawn = earlier.objects.iter().any(|object| object.role == REJECTION);
                if !is_withdrawn && !other_patients.contains(&earlier.instance) {
                    other_patients.push(earlier.instance);
                }
            } else if earlier.is_in_study && revises.is_none() {
                revises = Some(earlier.objects.iter().filter_map(reference).collect());
            }
        }
        Ok((revises.unwrap_or_default(), other_patients))
    }

    /// The header of a stored image, where it can be read.
    pub(crate) fn header_of(&self, instance: InstanceId) -> Result<Option<Dataset>, StoreError> {
        let stored = self.store.reader().instance(instance)?;
        let read = stored.and_then(|stored| read_stored(&stored, &self.config.limits.dataset).ok()?.ok());
        Ok(read.map(|(header, _)| header.dataset))
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

fn reference(object: &StoredObject) -> Option<ObjectReference> {
    ObjectReference::parse(&object.sop_class, &object.sop_instance, object.series.as_deref()?)
}

/// Says that what was said of an image when it was another patient's stands.
pub(crate) fn note_other_patients(changes: Changes, route: &str, shown: &Shown) -> Changes {
    let instance = shown.stored.id;
    shown.other_patients.iter().fold(changes, |changes, earlier| {
        tracing::warn!(
            %instance,
            "instance {earlier} has come again as another patient's: what was said of it stands until `dokuei withdraw {earlier}`"
        );
        changes.tally(*earlier, Tally::OtherPatient { route: route.to_owned() })
    })
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
