//! The life of what arrived, one named step per stage:
//!
//! ```text
//! match ▸ settle ▸ accept ▸ prior ▸ prepare ▸ infer ▸ explain ▸ report ▸ outbox
//! ```
//!
//! Every step takes a lease from the store's queue and gives back the [`Changes`] that end it, so that
//! what it has done and that it is done become durable together. A crash anywhere repeats the step, and
//! a repeated step changes nothing twice: results are kept once per instance and model version, and each
//! object is in the outbox once per destination.

use std::sync::Arc;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Beginning, Dataset, FileSection, Header, Limits, ReadAt, read_header};
use dokuei_results::{Role, made_by_algorithm, written_by_us};
use dokuei_store::{
    Changes, Decision, Lease, NewMember, NewObject, NewResult, NewTask, SendTo, Store, StoredFile, StoredInstance,
    StoredTask, Subject, Tally, TaskEnd, TaskId, UnitLevel,
};
use dokuei_types::{DeclineReason, InstanceId, ModelIdentity, Uid};
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};

use crate::analysis::{Analysis, AnalysisInput, AnalysisObject, Analyst, Verdict};
use crate::config::PipelineConfig;
use crate::error::FlowError;
use crate::fetching::Fetches;
use crate::looking::note_other_patients;
use crate::pipeline::{IsSending, Setup};
use crate::priors::Found;
use crate::route_config::{RouteConfig, SENDER, Trigger};
use crate::rules::{Route, Rules};
use crate::settling::Step;
use crate::stopwatch::Stopwatch;
use crate::trace::{Returned, RouteTrace};
use crate::variables::Attributes;

/// How long a version of an instance waits for the earlier one, before it looks again, in milliseconds.
const VERSION_WAITS_MS: i64 = 1_000;

/// Explicit VR Little Endian, in which results are written (PS3.5 § A.2).
const EXPLICIT_VR_LITTLE_ENDIAN: &str = dicom_dictionary_std::uids::EXPLICIT_VR_LITTLE_ENDIAN;

/// What every step works with.
pub(crate) struct Stages<'a> {
    pub(crate) store: &'a Store,
    pub(crate) setup: &'a Setup,
    pub(crate) config: &'a PipelineConfig,
    /// Whether the association from this address and port is still open.
    pub(crate) is_sending: &'a IsSending,
    pub(crate) fetches: &'a Fetches,
    pub(crate) stopwatch: &'a Stopwatch,
}

impl Stages<'_> {
    /// Does what a lease of the cheap kinds is about: match or settle.
    pub(crate) fn route(&self, lease: &Lease) -> Result<Step, FlowError> {
        match lease.subject {
            Subject::Instance(instance) => self.decide(lease, instance).map(Step::Done),
            Subject::Unit(unit) => self.settle(lease, unit),
            Subject::Task(task, _) => Err(FlowError::Hopeless(format!("task {task} came to the router"))),
        }
    }

    /// Match: which routes apply, what they ask for, and why.
    fn decide(&self, lease: &Lease, instance: InstanceId) -> Result<Changes, FlowError> {
        if let Some(route) = self.store.reader().fetched_for(instance)? {
            return Ok(self.look_again(Changes::complete(lease), instance, &route));
        }
        let stored = self.stored(instance)?;
        let header = self.header(&stored)?.map(|(header, _)| header);
        Ok(self.apply_routes(Changes::complete(lease), &stored, header))
    }

    /// Has the models of the route that an instance was fetched for look at it again; no rule is asked, nothing is sent.
    fn look_again(&self, mut changes: Changes, instance: InstanceId, route: &str) -> Changes {
        let Some(RouteConfig { name, models, priority, .. }) = self.setup.rules.route(route) else { return changes };
        for model in models {
            let (route, model) = (name.clone(), model.clone());
            let task = NewTask { instance, route, model, send: Vec::new(), priority: *priority };
            changes = changes.begin(task, None);
        }
        changes
    }

    /// The same while the index is told of an instance, whose header is `beginning`; `None` to have it read from the disk.
    pub(crate) fn decide_at_arrival(&self, stored: &StoredInstance, beginning: &[u8]) -> Option<Changes> {
        let file = Beginning::new(beginning, stored.size_bytes);
        let header = read_header(&file, 0, &stored.transfer_syntax, &self.config.limits.dataset).ok()?;
        let is_whole = header.pixels.is_some() || file.available() == file.size();
        is_whole.then(|| self.apply_routes(Changes::unleased(), stored, Ok(header)))
    }

    fn apply_routes(
        &self,
        mut changes: Changes,
        stored: &StoredInstance,
        header: Result<Header, DeclineReason>,
    ) -> Changes {
        let (dataset, held_back) = match header {
            Ok(header) => {
                let held_back = mistaken(stored, &header).or_else(|| no_pixels(&header));
                (header.dataset, held_back)
            }
            // What cannot be read has no attributes: routes without conditions still forward it.
            Err(reason) => (Dataset::new(), Some(reason)),
        };
        let derived = derived(&dataset);
        if held_back.is_none() && derived.is_none() {
            changes = self.note_comparable(changes, stored.id, &dataset);
        }
        let dataset = Arc::new(dataset);
        let traces = explain(&self.setup.rules, stored, Arc::clone(&dataset));
        changes = tallies(&traces).fold(changes, |changes, tally| changes.tally(stored.id, tally));
        for (route, returned) in ways_back(&traces).filter(|(_, returned)| returned.to.is_none()) {
            tracing::warn!(instance = %stored.id, route, "{returned}");
        }
        let mut declined = None;
        for (route, _) in self.setup.rules.routes().iter().zip(&traces).filter(|(_, trace)| trace.matched) {
            changes = self.forward(changes, route, stored);
            if route.config.models.is_empty() {
                continue;
            }
            let derived = derived.clone().filter(|_| !route.config.analyze_derived);
            match held_back.clone().or(derived) {
                Some(reason) => declined = declined.or(Some(reason)),
                None => changes = self.plan(changes, route, stored),
            }
        }
        changes.decide(stored.id, Decision { trace: json(&traces), declined })
    }

    /// Originals go on untouched and at once, whatever a model makes of them; never back to their sender.
    fn forward(&self, mut changes: Changes, route: &Route, stored: &StoredInstance) -> Changes {
        if route.config.shadow {
            return changes;
        }
        for name in &route.config.send_images {
            let destination = self.setup.destination(name);
            let sender = destination.and_then(|destination| destination.ae_title.as_ref());
            if sender.is_none_or(|title| title.as_str() != stored.calling_ae) {
                changes = changes.send_original(stored.id, name, route.config.priority);
            }
        }
        changes
    }

    /// A task for each model, now or once the series or study has settled.
    fn plan(&self, mut changes: Changes, route: &Route, stored: &StoredInstance) -> Changes {
        let send = self.send(route);
        if let Some((level, uid)) = unit(route.config.trigger, stored) {
            return changes.join(NewMember {
                instance: stored.id,
                route: route.config.name.clone(),
                level,
                uid,
                models: route.config.models.clone(),
                send,
                priority: route.config.priority,
                settle_after: route.config.settle_after.0,
                settle_at_most: route.config.settle_at_most.0,
            });
        }
        for model in &route.config.models {
            let priority = route.config.priority;
            let (route, model, send) = (route.config.name.clone(), model.clone(), send.clone());
            changes = changes.begin(NewTask { instance: stored.id, route, model, send, priority }, None);
        }
        changes
    }

    /// Where the results of a route go, and which of their objects.
    fn send(&self, route: &Route) -> Vec<SendTo> {
        if route.config.shadow {
            return Vec::new();
        }
        let to = |name: &String| {
            let roles = self.setup.destination(name).map(|destination| destination.roles.clone()).unwrap_or_default();
            SendTo { destination: name.clone(), roles }
        };
        route.config.send_results.iter().map(to).collect()
    }

    /// A task whose results go to destinations alone: to that which the sender is, where they are returned.
    fn addressed(&self, mut planned: NewTask) -> Result<NewTask, FlowError> {
        if planned.send.iter().all(|to| to.destination != SENDER) {
            return Ok(planned);
        }
        let sender = self.stored(planned.instance)?.calling_ae;
        let way_back = self.setup.rules.way_back(&sender).and_then(|name| self.setup.destination(name));
        planned.send.retain(|to| to.destination != SENDER);
        match way_back {
            Some(to) => planned.send.push(SendTo { destination: to.name.clone(), roles: to.roles.clone() }),
            None => tracing::warn!(instance = %planned.instance, sender, "results do not go back to their sender"),
        }
        Ok(planned)
    }

    /// The objects to be made: report and picture always, the others where some destination wants them, since a
    /// result is made once and another route may send it later.
    pub(crate) fn roles(&self, planned: &[SendTo]) -> Vec<Role> {
        let configured = self.setup.destinations.iter().flat_map(|destination| &destination.roles);
        let wanted: Vec<&String> = planned.iter().flat_map(|to| &to.roles).chain(configured).collect();
        let is_wanted = |role: &Role| {
            matches!(role, Role::Sr | Role::Sc) || wanted.iter().any(|wanted| wanted.as_str() == role.as_str())
        };
        Role::ALL.into_iter().filter(is_wanted).collect()
    }

    /// Accept, prior, prepare, infer, explain, report, outbox: one model and one instance.
    ///
    /// What was reported before is not made again but sent as it was kept.
    pub(crate) fn analyze(
        &self,
        lease: &Lease,
        task: TaskId,
        instance: InstanceId,
        analysts: &mut Analysts,
    ) -> Result<Changes, FlowError> {
        let StoredTask { task: planned, .. } = self
            .store
            .reader()
            .task(task)?
            .ok_or_else(|| FlowError::Hopeless(format!("task {task} is not in the store")))?;
        let planned = self.addressed(planned)?;
        let analyst = analysts.of(self.setup, &planned.model)?;
        let model = analyst.model().identity().clone();
        let changes = Changes::complete(lease);
        if self.store.reader().result(instance, &model)?.is_some() {
            let changes = changes.finish(task, TaskEnd::Reported(Box::new(model.clone())));
            return Ok(outbox(changes, &planned, &model));
        }
        if self.store.reader().is_earlier_version_in_work(instance, &planned.model)? {
            let until = self.store.clock().now_ms().saturating_add(VERSION_WAITS_MS);
            return Ok(Changes::postpone(lease, until, "an earlier version of this instance is looked at first"));
        }
        let stored = self.stored(instance)?;
        intact(&stored)?;
        let read = match self.header(&stored)? {
            Ok(read) => read,
            Err(reason) => return Ok(changes.finish(task, TaskEnd::Declined(reason))),
        };
        let shown = self.show(stored, read, &model, &planned.send)?;
        let changes = note_other_patients(changes, &planned.route, &shown);
        let found = match analyst.model().declines(&shown.attributes) {
            Some(_) => Found::NotAsked,
            None => match self.prior(&planned, &shown, analyst) {
                Ok(found) => found,
                Err(until) => return Ok(Changes::postpone(lease, until, "an earlier image is fetched first")),
            },
        };
        let input = self.input(&shown, found.comparison());
        let verdict = analyst.analyze(&input).map_err(|error| match error.is_transient() {
            true => FlowError::Again(error.reason()),
            false => FlowError::Hopeless(error.reason()),
        })?;
        match verdict {
            Verdict::Declined(reason) => {
                tracing::info!(%instance, model = model.name, "declined");
                let changes = match self.is_reported(&planned.route, &reason) {
                    true => self.report_declined(changes, &planned, analyst, &input, &reason)?,
                    false => changes,
                };
                Ok(changes.finish(task, TaskEnd::Declined(reason)))
            }
            Verdict::Reported(analysis) => {
                log(instance, &model.name, &analysis);
                let changes = self.keep_result(changes, &shown, &model, &analysis, &found)?;
                let changes = changes.finish(task, TaskEnd::Reported(Box::new(model.clone())));
                Ok(outbox(changes, &planned, &model))
            }
        }
    }

    /// Whether a route wants a report of an image that was declined for this reason.
    fn is_reported(&self, route: &str, reason: &DeclineReason) -> bool {
        self.setup.rules.route(route).is_some_and(|route| route.report_declined.covers(reason))
    }

    /// The report that a model did not look at an image. It is kept under weights of its own, so that the model may
    /// look at the image later: what it then says revises this.
    fn report_declined(
        &self,
        changes: Changes,
        planned: &NewTask,
        analyst: &Analyst,
        input: &AnalysisInput<'_>,
        reason: &DeclineReason,
    ) -> Result<Changes, FlowError> {
        let instance = planned.instance;
        let model = analyst.model().identity().clone();
        let model = ModelIdentity { weights_sha256: format!("{} (declined)", model.weights_sha256), ..model };
        let reader = self.store.reader();
        if reader.result(instance, &model)?.is_some() {
            return Ok(outbox(changes, planned, &model));
        }
        let Ok(objects) = analyst.declined(input, reason) else {
            // An image without study and series has no place for a report.
            return Ok(changes);
        };
        let findings = serde_json::json!([{ "frame": null, "findings": [], "declined": reason, "failed": null }]);
        let made_at = input.made_at.timestamp().as_millisecond();
        let result = NewResult { instance, model: model.clone(), findings, made_at };
        let staged = self.keep(&objects)?;
        Ok(outbox(changes.result(result, staged), planned, &model))
    }

    /// Writes the result objects durably; the changes that follow name them.
    pub(crate) fn keep(&self, objects: &[AnalysisObject]) -> Result<Vec<dokuei_store::Staged>, FlowError> {
        let objects = objects.iter().map(|made| {
            let new = NewObject {
                role: made.role.as_str(),
                sop_class: &made.object.sop_class,
                sop_instance: &made.object.sop_instance,
                series: &made.object.series_instance,
                transfer_syntax: EXPLICIT_VR_LITTLE_ENDIAN,
                bytes: &made.object.bytes,
            };
            self.store.stage(&new)
        });
        // A full disk may have room again; the image waits for it.
        objects.collect::<Result<_, _>>().map_err(|error| FlowError::Again(error.to_string()))
    }

    fn stored(&self, instance: InstanceId) -> Result<StoredInstance, FlowError> {
        let stored = self.store.reader().instance(instance)?;
        let stored = stored.ok_or_else(|| FlowError::Hopeless(format!("instance {instance} is not in the store")))?;
        Ok(self.store.reader().as_sent(stored)?)
    }

    /// The header of a stored file and the file; the inner error is the data's own fault.
    fn header(&self, stored: &StoredInstance) -> Result<Result<(Header, FileSection), DeclineReason>, FlowError> {
        if stored.removed_at.is_some() {
            return Err(FlowError::Hopeless("its image is no longer kept".to_owned()));
        }
        let path = &stored.file.path;
        read_stored(stored, &self.config.limits.dataset).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => FlowError::Hopeless(format!("the file {} is gone", path.display())),
            _ => FlowError::Again(format!("read {}: {error}", path.display())),
        })
    }
}

/// That the image is what was received; where it cannot be read, that is for the one who reads it to say.
fn intact(stored: &StoredInstance) -> Result<(), FlowError> {
    match stored.file.check() {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let StoredFile { path, offset, .. } = &stored.file;
            Err(FlowError::Hopeless(format!("{error}: at {offset} of {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Reads the header of a stored file; the inner error is the data's own fault.
pub(crate) fn read_stored(
    stored: &StoredInstance,
    limits: &Limits,
) -> std::io::Result<Result<(Header, FileSection), DeclineReason>> {
    let file = FileSection::new(stored.file.open()?, stored.file.offset, stored.file.length);
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        read_header(&file, stored.data_set_offset, &stored.transfer_syntax, limits)
    }));
    Ok(match read {
        Ok(Ok(header)) => Ok((header, file)),
        Ok(Err(error)) => match error.of_the_medium() {
            Ok(error) => return Err(error),
            Err(error) => Err(DeclineReason::Malformed(error.to_string())),
        },
        Err(_) => Err(DeclineReason::Malformed("the reader panicked".to_owned())),
    })
}

/// The sessions of one thread, made when first needed.
#[derive(Default)]
pub(crate) struct Analysts {
    ready: Vec<Analyst>,
}

impl Analysts {
    /// The session of a model, made anew when the model was loaded anew.
    fn of(&mut self, setup: &Setup, name: &str) -> Result<&mut Analyst, FlowError> {
        let model = setup
            .models
            .iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| FlowError::Hopeless(format!("the model {name} is no longer configured")))?;
        // Sessions of models that are gone or were loaded anew hold their weights in memory.
        self.ready.retain(|analyst| setup.models.iter().any(|model| Arc::ptr_eq(analyst.model(), model)));
        let known = self.ready.iter().position(|analyst| analyst.model().name() == name);
        let place = match known {
            Some(place) => place,
            None => {
                let analyst = Analyst::new(Arc::clone(model)).map_err(|error| FlowError::Again(error.reason()))?;
                self.ready.push(analyst);
                self.ready.len().saturating_sub(1)
            }
        };
        self.ready.get_mut(place).ok_or_else(|| FlowError::Again("the session is gone".to_owned()))
    }
}

/// Outbox: each destination gets the objects it wants.
fn outbox(mut changes: Changes, planned: &NewTask, model: &ModelIdentity) -> Changes {
    for to in &planned.send {
        for role in &to.roles {
            changes = changes.send_result(planned.instance, model, role, &to.destination, planned.priority);
        }
    }
    changes
}

/// What rules say of a stored instance with this header.
pub(crate) fn explain(rules: &Rules, stored: &StoredInstance, dataset: Arc<Dataset>) -> Vec<RouteTrace> {
    let received_at = Timestamp::from_millisecond(stored.received_at).unwrap_or_default();
    rules.explain(&attributes(stored, dataset), received_at)
}

pub(crate) fn attributes(stored: &StoredInstance, dataset: Arc<Dataset>) -> Attributes {
    Attributes::new(dataset, &stored.calling_ae, &stored.called_ae, &stored.transfer_syntax)
}

/// A data set under another identity than its C-STORE request gave: a result could end up with the wrong image.
fn mistaken(stored: &StoredInstance, header: &Header) -> Option<DeclineReason> {
    let [instance, class] = [tags::SOP_INSTANCE_UID, tags::SOP_CLASS_UID].map(|tag| header.dataset.uid(tag));
    let other = |found: Option<Uid>, sent: &str| found.filter(|found| found.as_str() != sent);
    let found = other(instance, &stored.sop_instance).or_else(|| other(class, &stored.sop_class))?;
    Some(DeclineReason::Malformed(format!("sent under another UID than the {found} of its data set")))
}

/// Objects without pixels are not for models: reports, plans, waveforms, presentation states.
fn no_pixels(header: &Header) -> Option<DeclineReason> {
    header.pixels.is_none().then(|| DeclineReason::NoPixels("the data set has no pixel data".to_owned()))
}

/// The loop guard: what a node or another algorithm has made is not analysed, unless a route asks.
fn derived(dataset: &Dataset) -> Option<DeclineReason> {
    if written_by_us(dataset) {
        return Some(DeclineReason::Derived("written by a Dokuei node".to_owned()));
    }
    made_by_algorithm(dataset).then(|| DeclineReason::Derived("made by an algorithm".to_owned()))
}

/// The series or study a route waits for; an instance without its UID is looked at alone.
fn unit(trigger: Trigger, stored: &StoredInstance) -> Option<(UnitLevel, Uid)> {
    let (level, uid) = match trigger {
        Trigger::Instance => return None,
        Trigger::Series => (UnitLevel::Series, stored.series.as_deref()?),
        Trigger::Study => (UnitLevel::Study, stored.study.as_deref()?),
    };
    Some((level, Uid::new(uid).ok()?))
}

/// Where routes that apply return results to.
fn ways_back(traces: &[RouteTrace]) -> impl Iterator<Item = (&String, &Returned)> {
    traces.iter().filter_map(|trace| Some((&trace.route, trace.returned.as_ref()?)))
}

/// What is counted over all instances: conditions that failed, shadow routes that applied, senders without a way back.
fn tallies(traces: &[RouteTrace]) -> impl Iterator<Item = Tally> {
    let nowhere = ways_back(traces).filter(|(_, returned)| returned.to.is_none());
    let nowhere =
        nowhere.map(|(route, returned)| Tally::NoWayBack { route: route.clone(), sender: returned.sender.clone() });
    let said = traces.iter().flat_map(|RouteTrace { route, matched, shadow, conditions, .. }| {
        let failed = conditions.iter().filter(|condition| condition.error.is_some());
        let failed =
            failed.map(move |condition| Tally::Failed { route: route.clone(), condition: condition.when.clone() });
        failed.chain((*matched && *shadow).then(|| Tally::Shadow { route: route.clone() }))
    });
    said.chain(nowhere)
}

fn json(traces: &[RouteTrace]) -> Box<RawValue> {
    to_raw_value(traces).unwrap_or_default()
}

fn log(instance: InstanceId, model: &str, analysis: &Analysis) {
    let timings = &analysis.timings;
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        %instance,
        model,
        prepare_ms = ms(timings.prepare),
        infer_ms = ms(timings.infer),
        explain_ms = ms(timings.explain),
        report_ms = ms(timings.report),
        "reported"
    );
}
