//! Fetch: where this node knows of no image to compare with, a destination may have one, or name one that is here. It is
//! asked once for each image and route; the image's work is put off meanwhile, and holds no worker. What comes is stored,
//! looked at by the route's models and never sent; then, or once the route's patience is over, the work goes on with what is
//! there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Dataset, Tag};
use dokuei_results::taken;
use dokuei_store::{Fetched, NewTask, Store, StoreError};
use dokuei_types::{InstanceId, Uid};
use jiff::SignedDuration;
use jiff::civil::Date;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::delivery::Destination;
use crate::flow::Stages;
use crate::pipeline::Core;
use crate::priors::{attribute_named, seconds};

/// Images for which something is fetched at a time.
const FETCHES_MAX: usize = 4;
/// Between two looks at whether the models have looked at what came.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// For so long it is remembered what came of a fetch, milliseconds.
const REMEMBERED_MS: i64 = 3_600_000;

/// An earlier image that a destination is asked for.
#[derive(Clone)]
pub struct WantedPrior {
    /// Where what comes is stored.
    pub store: Store,
    /// As what it is stored.
    pub fetched: Fetched,
    /// The header of the image that it is to be compared with.
    pub header: Arc<Dataset>,
    /// First and last day on which it may have been taken.
    pub days: [Date; 2],
    /// Attributes that both images have to have, with the same value.
    pub same: Vec<Tag>,
}

/// What is fetched at the moment and what came of it, by image and route.
pub(crate) struct Fetches {
    states: Mutex<HashMap<(InstanceId, String), State>>,
    asked: UnboundedSender<Fetch>,
}

/// Waited for until then, milliseconds since 1970; and what came of it, in words, with the images that are here then.
#[derive(Clone)]
struct State {
    until: i64,
    said: Option<String>,
    here: Vec<Uid>,
}

/// What comes of asking a destination.
pub(crate) enum Asked {
    /// The route has nobody asked.
    Nobody,
    /// It is waited for until then, in milliseconds since 1970.
    Waiting(i64),
    /// What came of it, in words.
    Answered(String),
}

/// One question to a destination.
pub(crate) struct Fetch {
    key: (InstanceId, String),
    /// The destination's name.
    at: String,
    source: Arc<dyn Destination>,
    wanted: WantedPrior,
    patience: Duration,
}

impl Fetches {
    pub(crate) fn new(asked: UnboundedSender<Fetch>) -> Self {
        Self { states: Mutex::default(), asked }
    }

    fn state(&self, key: &(InstanceId, String)) -> Option<State> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn begin(&self, fetch: Fetch, now: i64, until: i64) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, state| state.until.saturating_add(REMEMBERED_MS) > now);
        states.insert(fetch.key.clone(), State { until, said: None, here: Vec::new() });
        // Nobody is there to fetch only when the node stops.
        drop(self.asked.send(fetch));
    }

    fn end(&self, key: &(InstanceId, String), said: String, here: Vec<Uid>) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get_mut(key) {
            (state.said, state.here) = (Some(said), here);
        }
    }

    /// The SOP Instance UIDs of what a destination has named or brought to compare an image with.
    pub(crate) fn here(&self, instance: InstanceId, route: &str) -> Vec<Uid> {
        self.state(&(instance, route.to_owned())).map(|state| state.here).unwrap_or_default()
    }
}

impl Stages<'_> {
    /// Has a destination asked for an earlier image, once.
    pub(crate) fn ask(&self, planned: &NewTask, header: &Dataset) -> Asked {
        let Some(fetch) = self.fetch(planned, header) else { return Asked::Nobody };
        let at = fetch.at.clone();
        let now = self.store.clock().now_ms();
        match self.fetches.state(&fetch.key) {
            None => {
                let until = now.saturating_add(i64::try_from(fetch.patience.as_millis()).unwrap_or(i64::MAX));
                self.fetches.begin(fetch, now, until);
                Asked::Waiting(until)
            }
            Some(State { said: Some(said), .. }) => Asked::Answered(format!("{at}: {said}")),
            Some(State { until, .. }) if now < until => Asked::Waiting(until),
            Some(_) => Asked::Answered(format!("{at}: nothing in time")),
        }
    }

    /// What to ask for; nothing where the route names no destination, or the image does not say whose it is and of when.
    fn fetch(&self, planned: &NewTask, header: &Dataset) -> Option<Fetch> {
        let route = self.setup.rules.route(&planned.route)?;
        let config = route.priors.as_ref()?;
        let source = self.setup.destination(config.at.as_deref()?)?;
        self.comparable(header).ok()?;
        let until = taken(header)?;
        let since = until.checked_sub(SignedDuration::try_from(config.within.0).ok()?).ok()?;
        let fetched = Fetched { route: planned.route.clone(), models: route.models.clone(), priority: route.priority };
        let wanted = WantedPrior {
            store: self.store.clone(),
            fetched,
            header: Arc::new(header.clone()),
            days: [since.date(), until.date()],
            same: config.same.iter().filter_map(|name| attribute_named(name)).collect(),
        };
        Some(Fetch {
            key: (planned.instance, planned.route.clone()),
            at: source.name.clone(),
            source: Arc::clone(&source.destination),
            wanted,
            patience: config.wait_at_most.0,
        })
    }
}

/// Fetches what is asked for, until told to stop.
pub(crate) async fn drive(core: Arc<Core>, mut asked: UnboundedReceiver<Fetch>, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(FETCHES_MAX));
    let fetch = async {
        let mut running = JoinSet::new();
        while let Some(fetch) = asked.recv().await {
            running.spawn(one(Arc::clone(&core), Arc::clone(&room), fetch));
            while running.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = fetch => {}
    }
}

/// Fetches for one image, and has its work go on.
async fn one(core: Arc<Core>, room: Arc<Semaphore>, fetch: Fetch) {
    let bring = bring(&core, &room, &fetch);
    let (said, here) = match tokio::time::timeout(fetch.patience, bring).await {
        Ok(Ok(here)) => (format!("{} images of it are here", here.len()), here),
        Ok(Err(why)) => (why, Vec::new()),
        Err(_elapsed) => ("nothing in time".to_owned(), Vec::new()),
    };
    let (instance, route) = &fetch.key;
    tracing::info!(%instance, route, said, "fetched to compare with");
    core.fetches.end(&fetch.key, said, here);
    let instance = *instance;
    loop {
        let store = core.store.clone();
        match spawn_blocking(move || store.hasten(instance)).await {
            // What asked may not have been put off yet.
            Ok(Ok(true)) => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(Ok(false)) | Err(_) => break,
            Ok(Err(error)) => {
                // Its turn comes all the same, later.
                tracing::warn!(%error, "the work on an image cannot be hastened");
                break;
            }
        }
    }
}

/// The images that are here, once the work on those taken before has ended.
async fn bring(core: &Arc<Core>, room: &Semaphore, fetch: &Fetch) -> Result<Vec<Uid>, String> {
    let here = {
        let _turn = room.acquire().await;
        fetch.source.fetch_prior(fetch.wanted.clone()).await?
    };
    if here.is_empty() {
        return Err("it has no earlier image to compare with".to_owned());
    }
    let here = Arc::new(here);
    let before = taken(&fetch.wanted.header).and_then(seconds);
    loop {
        let (core, uids) = (Arc::clone(core), Arc::clone(&here));
        let looked = spawn_blocking(move || are_done(&core, &uids, before)).await;
        match looked {
            Ok(Ok(true)) => return Ok(here.to_vec()),
            Ok(Ok(false)) => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Whether the index has all instances of these UIDs, and the work on those has ended that were taken before, in seconds since
/// 1970. The others are not compared with, and may be waiting for this one themselves.
fn are_done(core: &Core, sop_instances: &[Uid], before: Option<i64>) -> Result<bool, StoreError> {
    let (reader, setup) = (core.store.reader(), core.setup());
    let stages = core.stages(&setup);
    for uid in sop_instances {
        let instances = reader.find(uid.as_str())?;
        if instances.is_empty() {
            return Ok(false);
        }
        for instance in instances {
            if reader.end(instance)?.is_none() && stages.taken_at(instance)?.is_some_and(|at| Some(at) < before) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether the series a destination tells of may be comparable, as far as it says: for those who ask it.
///
/// `header` is of the present image, `series` what the destination says of an earlier series.
#[must_use]
pub fn may_be_same(wanted: &[Tag], header: &Dataset, series: &Dataset) -> bool {
    /// What archives may say of a series.
    const OF_SERIES: [Tag; 4] = [tags::MODALITY, tags::BODY_PART_EXAMINED, tags::LATERALITY, tags::PROTOCOL_NAME];
    let contradicts = |tag: &Tag| series.text(*tag).zip(header.text(*tag)).is_some_and(|(said, own)| said != own);
    !wanted.iter().any(|tag| OF_SERIES.contains(tag) && contradicts(tag))
}
