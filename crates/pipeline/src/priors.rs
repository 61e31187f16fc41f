//! Prior: the last comparable result of the same patient, which a report says beside the new one.
//!
//! Only what the models of the node itself have looked at counts; where that is nothing, a destination may bring an earlier
//! image ([`fetching`](crate::fetching)). Where the index or a file cannot be read, or the earlier image is still to be
//! analysed, the report goes without. Results of another version of the model are left alone, since its certainties are on
//! another scale: the difference would be the model's and not the patient's.

use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};
use dokuei_results::{Change, Comparison, Prior, same_patient, taken};
use dokuei_store::{Comparable, EarlierResult, StoredInstance};
use dokuei_types::{Finding, InstanceId, Interval, ModelIdentity};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::analysis::Analysis;
use crate::flow::{Stages, read_stored};
use crate::variables::{Variable, text};

/// Earlier results of one patient that are looked at, from the last on.
const CANDIDATES_MAX: usize = 64;

/// `priors` of a route: which earlier results its results are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorsConfig {
    /// How long before an image the earlier one was taken at most.
    pub within: Interval,
    /// Attributes that both images have, with the same value, by the names conditions use.
    pub same: Vec<String>,
    /// The destination that is asked for an earlier image where this node has reported on none, by name.
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

    /// The last result that one of `model` on this image can be compared with, where the route asks.
    pub(crate) fn prior(&self, route: &str, this: &StoredInstance, header: &Dataset, model: &ModelIdentity) -> Found {
        let route = self.setup.rules.route(route);
        let Some(config) = route.and_then(|route| route.priors.as_ref()) else { return Found::NotAsked };
        if !matches!(self.store.reader().fetched_for(this.id), Ok(None)) {
            // A prior itself: looked at to be compared with, and no more.
            return Found::NotAsked;
        }
        match self.last_comparable(config, this, header, model) {
            Ok(earlier) => Found::Earlier(Box::new(earlier)),
            Err(why) => {
                tracing::debug!(instance = %this.id, model = model.name, "no prior: {why}");
                Found::Nothing(why)
            }
        }
    }

    fn last_comparable(
        &self,
        config: &PriorsConfig,
        this: &StoredInstance,
        header: &Dataset,
        model: &ModelIdentity,
    ) -> Result<Earlier, String> {
        let comparable = self.comparable(header)?;
        let wanted = wanted(config, header)?;
        let within = i64::try_from(config.within.0.as_secs()).unwrap_or(i64::MAX);
        let since = comparable.taken_at.saturating_sub(within);
        let found = self.store.reader().earlier_results(&comparable, &model.name, since, CANDIDATES_MAX);
        let found = found.map_err(|error| error.to_string())?;
        let mut first = None;
        for result in &found {
            match self.earlier(result, this, header, model, &wanted) {
                Ok(earlier) => return Ok(earlier),
                Err(why) => first = first.or(Some((result.instance, why))),
            }
        }
        Err(match first {
            None => format!("no result of {} on an earlier image of the patient within {}", model.name, config.within),
            Some((instance, why)) => format!("none of {} earlier results: instance {instance}, {why}", found.len()),
        })
    }

    /// An earlier result with its image; `Err` says in words why it cannot be compared.
    fn earlier(
        &self,
        result: &EarlierResult,
        this: &StoredInstance,
        header: &Dataset,
        model: &ModelIdentity,
        wanted: &[Wanted<'_>],
    ) -> Result<Earlier, String> {
        if (&result.version, &result.weights_sha256) != (&model.version, &model.weights_sha256) {
            return Err(format!("analysed by another version of the model, {}", result.version));
        }
        let findings = findings(&result.findings).ok_or("not analysed as a single frame")?;
        let stored = self.store.reader().instance(result.instance).map_err(|error| error.to_string())?;
        let stored = stored.filter(|stored| stored.removed_at.is_none()).ok_or("its image is no longer kept")?;
        if stored.study == this.study {
            return Err("of the same study".to_owned());
        }
        let read = read_stored(&stored, &self.config.limits.dataset).map_err(|error| error.to_string())?;
        let (earlier, _) = read.map_err(|reason| reason.to_string())?;
        let earlier = earlier.dataset;
        same_patient(header, &earlier).map_err(|doubt| doubt.to_string())?;
        if let Some(other) = wanted.iter().find(|wanted| text(&earlier, wanted.tag) != wanted.value) {
            return Err(format!("another {}", other.name));
        }
        let uids = [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID, tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID];
        if uids.iter().any(|tag| earlier.uid(*tag).is_none()) {
            return Err("without a UID that a reference needs".to_owned());
        }
        let taken = taken(&earlier).ok_or("it does not say when it was taken")?;
        Ok(Earlier { instance: result.instance, header: earlier, findings, taken })
    }
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
fn seconds(taken: DateTime) -> Option<i64> {
    Some(taken.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}
