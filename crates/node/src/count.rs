//! How many instances a peer has of series and studies, by C-FIND (PS3.4 § C.4.1).

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;
use dokuei_dataset::Tag;
use dokuei_dimse::{Association, ProposedContext, RequestorConfig};
use dokuei_pipeline::Counted;
use dokuei_types::Uid;
use tokio_util::sync::CancellationToken;

use crate::keys::{self, Key, Level};
use crate::query;
use crate::send::words;

/// Asks for all of `counted` over one association; for each the count, or in words why there is none.
pub(crate) async fn count(config: &RequestorConfig, counted: &[Counted]) -> Vec<Result<u64, String>> {
    let model = keys::find_model(Level::Study, false);
    let association = Association::request(config, &[ProposedContext::information_model(model.clone())]).await;
    let mut association = match association {
        Ok(association) => association,
        Err(error) => return vec![Err(format!("{}; {}", words(&error), error.advice())); counted.len()],
    };
    let mut asking = Asking { association: &mut association, model: &model };
    let mut counts = Vec::with_capacity(counted.len());
    for Counted { study, series } in counted {
        counts.push(match series {
            Some(series) => asking.of_series(study, series).await,
            None => asking.of_study(study).await,
        });
    }
    if association.is_usable() {
        drop(association.release().await);
    }
    counts
}

/// Counts over an association that offers C-FIND of this information model.
pub(crate) struct Asking<'a> {
    pub(crate) association: &'a mut Association,
    pub(crate) model: &'a Uid,
}

impl Asking<'_> {
    /// Number of Study Related Instances (PS3.4 § C.3.4), which is optional: else those of its series.
    async fn of_study(&mut self, study: &str) -> Result<u64, String> {
        let number = tags::NUMBER_OF_STUDY_RELATED_INSTANCES;
        let keys = [Key::of(tags::STUDY_INSTANCE_UID, study), Key::any(number)];
        match self.matches(Level::Study, &keys, tags::STUDY_INSTANCE_UID, number).await?.get(study) {
            None => return Ok(0),
            Some(Some(count)) => return Ok(*count),
            Some(None) => {}
        }
        let number = tags::NUMBER_OF_SERIES_RELATED_INSTANCES;
        let keys = [Key::of(tags::STUDY_INSTANCE_UID, study), Key::any(tags::SERIES_INSTANCE_UID), Key::any(number)];
        let mut sum: u64 = 0;
        for (series, count) in self.matches(Level::Series, &keys, tags::SERIES_INSTANCE_UID, number).await? {
            let count = match count {
                Some(count) => count,
                None => self.one_by_one(study, &series).await?,
            };
            sum = sum.saturating_add(count);
        }
        Ok(sum)
    }

    /// Number of Series Related Instances, which is optional too: else its images are counted.
    async fn of_series(&mut self, study: &str, series: &str) -> Result<u64, String> {
        let number = tags::NUMBER_OF_SERIES_RELATED_INSTANCES;
        let keys =
            [Key::of(tags::STUDY_INSTANCE_UID, study), Key::of(tags::SERIES_INSTANCE_UID, series), Key::any(number)];
        match self.matches(Level::Series, &keys, tags::SERIES_INSTANCE_UID, number).await?.get(series) {
            None => Ok(0),
            Some(Some(count)) => Ok(*count),
            Some(None) => self.one_by_one(study, series).await,
        }
    }

    /// The instances of a series, of which each is asked for.
    pub(crate) async fn one_by_one(&mut self, study: &str, series: &str) -> Result<u64, String> {
        let keys = [
            Key::of(tags::STUDY_INSTANCE_UID, study),
            Key::of(tags::SERIES_INSTANCE_UID, series),
            Key::any(tags::SOP_INSTANCE_UID),
        ];
        let number = tags::INSTANCE_NUMBER;
        Ok(self.matches(Level::Image, &keys, tags::SOP_INSTANCE_UID, number).await?.len() as u64)
    }

    /// The matches by the unique key of their level, each with what it says of `number`.
    async fn matches(
        &mut self,
        level: Level,
        keys: &[Key],
        unique: Tag,
        number: Tag,
    ) -> Result<BTreeMap<String, Option<u64>>, String> {
        let mut matches = BTreeMap::new();
        let asked = query::matches(self.association, self.model, (level, keys), CancellationToken::new(), |dataset| {
            let count = dataset.int(number).and_then(|count| u64::try_from(count).ok());
            matches.extend(dataset.uid(unique).map(|uid| (uid.as_str().to_owned(), count)));
        });
        asked.await.map_err(|error| words(&error))?;
        Ok(matches)
    }
}
