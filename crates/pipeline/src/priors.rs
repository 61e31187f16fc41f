//! Prior: the last comparable result of the same patient, which a report says beside the new one.
//!
//! The index knows the images of a patient; where none of them will do, a destination may name or bring one
//! ([`fetching`](crate::fetching)). Of one without a result of just this model the model is asked
//! first, in the same step: results of other versions have certainties on another scale, so that the difference would be the
//! model's and not the patient's. Where the index or a file cannot be read, or the earlier image is still in work, the report
//! goes without.

use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, FileSection, Header, Tag};
use dokuei_results::{Change, Comparison, Prior, same_patient, taken};
use dokuei_store::{Changes, Comparable, EarlierImage, NewTask, REJECTION, Sought, StoreError, StoredInstance};
use dokuei_types::{Finding, InstanceId, Interval, ModelIdentity, Uid};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::analysis::{Analysis, Analyst, Verdict};
use crate::fetching::Asked;
use crate::flow::{Stages, read_stored};
use crate::looking::Shown;
use crate::variables::{Variable, text};

/// Earlier images of one patient that are considered, from the last on.
const CANDIDATES_MAX: usize = 64;
/// Those of them that the model is asked about for one image.
const LOOKS_MAX: usize = 3;

/// `priors` of a route: which earlier results its results are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorsConfig {
    /// How long before an image the earlier one was taken at most.
    pub within: Interval,
    /// Attributes that both images have, with the same value, by the names conditions use.
    pub same: Vec<String>,
    /// The destination that is asked for an earlier image where this node knows of none, by name.
    pub at: Option<String>,
    /// How long an image waits for that at most.
    pub wait_at_most: Interval,
}

impl Default for PriorsConfig {
    fn default() -> Self {
        let same = ["modality", "body_part", "view_position"].map(str::to_owned).to_vec();
        let days = |count: u64| Duration::from_secs(count.saturating_mul(86_400));
        Self { within: Interval(days(730)), same, at: None, wait_at_most: Interval(Duration::from_secs(120)) }
    }
}

/// The attribute that a name in `same` stands for; `None` for one that no image has.
pub(crate) fn attribute_named(name: &str) -> Option<Tag> {
    match Variable::named(name)? {
        Variable::Text(tag)
        | Variable::Texts(tag)
        | Variable::Int(tag)
        | Variable::Float(tag)
        | Variable::Floats(tag) => Some(tag),
        _ => None,
    }
}

/// What came of looking for a prior.
pub(crate) enum Found {
    /// The route does not ask.
    NotAsked,
    /// There is none, and why; never what a header says of the patient.
    Nothing(String),
    /// There is one.
    Earlier(Box<Earlier>),
}

/// An earlier image, and what the same version of the model said of it.
pub(crate) struct Earlier {
    instance: InstanceId,
    header: Dataset,
    findings: Vec<Finding>,
    taken: DateTime,
}

impl Earlier {
    fn prior(&self) -> Prior<'_> {
        Prior { header: &self.header, findings: &self.findings }
    }
}

impl Found {
    /// What the report says.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        match self {
            Self::NotAsked => Comparison::NotAsked,
            Self::Nothing(_) => Comparison::NoPrior,
            Self::Earlier(earlier) => Comparison::Prior(earlier.prior()),
        }
    }

    /// What the store keeps of it beside the findings of an analysis.
    pub(crate) fn json(&self, analysis: &Analysis) -> Option<Value> {
        match self {
            Self::NotAsked => None,
            Self::Nothing(why) => Some(json!({ "nothing": why })),
            Self::Earlier(earlier) => {
                let prior = earlier.prior();
                let findings = analysis.frames.iter().flat_map(|frame| &frame.findings).filter_map(|finding| {
                    let before = prior.of(finding)?;
                    let change = Change::between(before.probability, finding.probability);
                    Some(json!({
                        "name": finding.name,
                        "probability": before.probability,
                        "change_points": change.points(),
                        "trend": change.trend().as_str(),
                    }))
                });
                Some(json!({
                    "instance": earlier.instance,
                    "sop_instance": earlier.header.uid(tags::SOP_INSTANCE_UID),
                    "taken": earlier.taken.to_string(),
                    "findings": findings.collect::<Vec<_>>(),
                }))
            }
        }
    }
}

impl Stages<'_> {
    /// Of which patient an image is and when it was taken; `Err` says in words why that cannot be told.
    pub(crate) fn comparable(&self, header: &Dataset) -> Result<Comparable, String> {
        if header.int(tags::NUMBER_OF_FRAMES).is_some_and(|frames| frames > 1) {
            return Err("images of several frames are not compared".to_owned());
        }
        let patient_id = header.text(tags::PATIENT_ID).ok_or("the image has no Patient ID")?;
        let issuer = header.text(tags::ISSUER_OF_PATIENT_ID).unwrap_or_default();
        let taken = taken(header).ok_or("the image does not say when it was taken")?;
        let patient = self.store.patient(&patient_id, &issuer).map_err(|error| error.to_string())?;
        Ok(Comparable { patient, taken_at: seconds(taken).ok_or("the image was taken at no time there is")? })
    }

    /// Notes what later images find an image by, where its header says so.
    pub(crate) fn note_comparable(&self, changes: Changes, instance: InstanceId, header: &Dataset) -> Changes {
        match self.comparable(header) {
            Ok(comparable) => changes.comparable(instance, comparable),
            Err(_) => changes,
        }
    }

    /// The last image that this one can be compared with, where the route asks, and what the model says of it; `Err` is
    /// when one that is being fetched has to be here, in milliseconds since 1970.
    pub(crate) fn prior(&self, planned: &NewTask, this: &Shown, analyst: &mut Analyst) -> Result<Found, i64> {
        let route = self.setup.rules.route(&planned.route);
        let Some(config) = route.and_then(|route| route.priors.as_ref()) else { return Ok(Found::NotAsked) };
        if !matches!(self.store.reader().fetched_for(planned.instance), Ok(None)) {
            // A prior itself: looked at to be compared with, and no more.
            return Ok(Found::NotAsked);
        }
        let here = self.fetches.here(planned.instance, &planned.route);
        let why = match self.last_comparable(config, this, analyst, &here) {
            Ok(earlier) => return Ok(Found::Earlier(Box::new(earlier))),
            Err(why) => why,
        };
        let why = match self.ask(planned, &this.header.dataset) {
            Asked::Nobody => why,
            Asked::Waiting(until) => return Err(until),
            Asked::Answered(said) => format!("{why}; {said}"),
        };
        tracing::debug!(instance = %planned.instance, model = planned.model, "no prior: {why}");
        Ok(Found::Nothing(why))
    }

    /// `here` are SOP Instance UIDs of images that a destination has named or brought.
    fn last_comparable(
        &self,
        config: &PriorsConfig,
        this: &Shown,
        analyst: &mut Analyst,
        here: &[Uid],
    ) -> Result<Earlier, String> {
        let header = &this.header.dataset;
        let comparable = self.comparable(header)?;
        let wanted = wanted(config, header)?;
        let within = i64::try_from(config.within.0.as_secs()).unwrap_or(i64::MAX);
        let attributes: Vec<_> = wanted.iter().map(|wanted| (wanted.name, wanted.value.as_str())).collect();
        let sought = Sought {
            this: comparable,
            since: comparable.taken_at.saturating_sub(within),
            other_than: this.stored.study.as_deref(),
            attributes: &attributes,
        };
        let images = self.candidates(&sought, here).map_err(|error| error.to_string())?;
        let mut considering = Considering { this, wanted, analyst, looks_left: LOOKS_MAX };
        let mut first = None;
        for instance in &images {
            match self.earlier(*instance, &mut considering) {
                Ok(earlier) => return Ok(earlier),
                Err(why) => first = first.or(Some((instance, why))),
            }
        }
        Err(match first {
            None => format!("no earlier image of the patient is known within {}", config.within),
            Some((instance, why)) => format!("none of {} earlier images: instance {instance}, {why}", images.len()),
        })
    }

    /// The images that may be compared with, as the index knows them or a destination names them, the last one first.
    fn candidates(&self, sought: &Sought<'_>, here: &[Uid]) -> Result<Vec<InstanceId>, StoreError> {
        let times = sought.since..sought.this.taken_at;
        let mut images = self.store.reader().earlier_images(sought, CANDIDATES_MAX)?;
        for uid in here {
            for instance in self.store.reader().find(uid.as_str())? {
                let is_known = images.iter().any(|image| image.instance == instance);
                let taken_at = if is_known { None } else { self.taken_at(instance)? };
                let taken_at = taken_at.filter(|taken_at| times.contains(taken_at));
                images.extend(taken_at.map(|taken_at| EarlierImage { instance, taken_at }));
            }
        }
        images.sort_by_key(|image| std::cmp::Reverse((image.taken_at, image.instance)));
        Ok(images.into_iter().map(|image| image.instance).collect())
    }

    /// When a stored image was taken, where it says so and can be read.
    pub(crate) fn taken_at(&self, instance: InstanceId) -> Result<Option<i64>, StoreError> {
        Ok(self.header_of(instance)?.and_then(|header| seconds(taken(&header)?)))
    }

    /// An earlier image, with what the model says of it; `Err` says in words why it cannot be compared.
    fn earlier(&self, instance: InstanceId, considering: &mut Considering<'_>) -> Result<Earlier, String> {
        let Considering { this, wanted, analyst, looks_left } = considering;
        let reader = self.store.reader();
        let stored = reader.instance(instance).map_err(|error| error.to_string())?;
        let stored = stored.filter(|stored| stored.removed_at.is_none()).ok_or("its image is no longer kept")?;
        if stored.study == this.stored.study {
            return Err("of the same study".to_owned());
        }
        // Whose it is, and what it shows, is what it said last.
        if reader.has_later_version(instance).map_err(|error| error.to_string())? {
            return Err("it came again with other bytes".to_owned());
        }
        let read = read_stored(&stored, &self.config.limits.dataset).map_err(|error| error.to_string())?;
        let (header, file) = read.map_err(|reason| reason.to_string())?;
        let earlier = header.dataset.clone();
        same_patient(&this.header.dataset, &earlier).map_err(|doubt| doubt.to_string())?;
        if let Some(other) = wanted.iter().find(|wanted| text(&earlier, wanted.tag) != wanted.value) {
            return Err(format!("another {}", other.name));
        }
        let uids = [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID, tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID];
        if uids.iter().any(|tag| earlier.uid(*tag).is_none()) {
            return Err("without a UID that a reference needs".to_owned());
        }
        let taken = taken(&earlier).ok_or("it does not say when it was taken")?;
        let model = analyst.model().identity().clone();
        let kept = match reader.result(instance, &model).map_err(|error| error.to_string())? {
            Some(result) if result.objects.iter().any(|object| object.role == REJECTION) => {
                return Err("its result was withdrawn".to_owned());
            }
            Some(result) => result.findings,
            None => {
                self.comparable(&earlier)?;
                *looks_left = looks_left.checked_sub(1).ok_or("too many before it are without a result")?;
                self.look_back(stored, (header, file), &model, analyst)?
            }
        };
        let findings = findings(&kept).ok_or("not analysed as a single frame")?;
        Ok(Earlier { instance, header: earlier, findings, taken })
    }

    /// Has the model look at an earlier image that it has not looked at, and keeps what it says; nothing of it is sent.
    fn look_back(
        &self,
        stored: StoredInstance,
        read: (Header, FileSection),
        model: &ModelIdentity,
        analyst: &mut Analyst,
    ) -> Result<Value, String> {
        let (instance, reader) = (stored.id, self.store.reader());
        if reader.end(instance).map_err(|error| error.to_string())?.is_none() {
            return Err("still in work".to_owned());
        }
        if reader.is_without_result(instance, &model.name).map_err(|error| error.to_string())? {
            return Err(format!("{} has looked at it without a result", model.name));
        }
        let shown = self.show(stored, read, model, &[]).map_err(|error| error.to_string())?;
        let verdict = analyst.analyze(&self.input(&shown, Comparison::NotAsked)).map_err(|error| error.reason())?;
        let analysis = match verdict {
            Verdict::Declined(reason) => return Err(format!("{} declines it: {reason}", model.name)),
            Verdict::Reported(analysis) => analysis,
        };
        let changes = self.keep_result(Changes::unleased(), &shown, model, &analysis, &Found::NotAsked);
        let kept = changes.and_then(|changes| Ok(self.store.apply(changes)?));
        kept.map_err(|error| error.to_string())?;
        tracing::info!(%instance, model = model.name, "looked at to compare with");
        let result = reader.result(instance, model).map_err(|error| error.to_string())?;
        result.map(|result| result.findings).ok_or_else(|| "its result is not kept".to_owned())
    }
}

/// An image whose prior is looked for, and by what.
struct Considering<'a> {
    this: &'a Shown,
    wanted: Vec<Wanted<'a>>,
    analyst: &'a mut Analyst,
    /// Images that the model may still be asked about.
    looks_left: usize,
}

/// An attribute that the earlier image has to have too.
struct Wanted<'a> {
    name: &'a str,
    tag: Tag,
    value: String,
}

/// What has to be the same; an image that does not say it is comparable with none.
fn wanted<'a>(config: &'a PriorsConfig, header: &Dataset) -> Result<Vec<Wanted<'a>>, String> {
    let one = |name: &'a String| {
        let tag = attribute_named(name).ok_or_else(|| format!("there is no {name}"))?;
        match text(header, tag) {
            value if value.is_empty() => Err(format!("the image has no {name}")),
            value => Ok(Wanted { name, tag, value }),
        }
    };
    config.same.iter().map(one).collect()
}

/// What was said of an image with one frame, all of which the model looked at.
fn findings(kept: &Value) -> Option<Vec<Finding>> {
    let [frame] = kept.as_array()?.as_slice() else { return None };
    let is_whole = ["frame", "declined", "failed"].iter().all(|key| frame.get(key).is_none_or(Value::is_null));
    is_whole.then(|| serde_json::from_value(frame.get("findings")?.clone()).ok()).flatten()
}

/// Seconds from 1970 on a clock whose time zone does not matter.
pub(crate) fn seconds(taken: DateTime) -> Option<i64> {
    Some(taken.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}
