//! Images whose bytes were removed, from a destination into the node's own store: one by one, since the rest of their series
//! is here or not wanted.

use std::sync::Arc;

use dokuei_dimse::{Association, RequestorConfig};
use dokuei_pipeline::WantedAgain;
use dokuei_types::Uid;

use super::brought::Brought;
use super::retrieval::{Part, Retrieving, retrieve};
use crate::send::words;

/// Has the destination send images of one study; what is wrong with some of them in words, or why it cannot be asked.
pub(crate) async fn fetch(
    config: &RequestorConfig,
    retrieving: &Retrieving,
    wanted: WantedAgain,
) -> Result<Option<String>, String> {
    let uid = |text: Option<&str>| text.and_then(|text| Uid::new(text).ok());
    let study = wanted.images.first().and_then(|image| uid(image.stored.study.as_deref()));
    let Some(study) = study else { return Ok(Some("it is asked by study, and the image has none".to_owned())) };
    let part = |image: &dokuei_store::RemovedImage| {
        let instance = uid(Some(&image.stored.sop_instance))?;
        Some(Part { series: uid(image.stored.series.as_deref())?, instance: Some(instance) })
    };
    let parts: Vec<Part> = wanted.images.iter().filter_map(part).collect();
    let association = Association::request(config, &retrieving.contexts()).await;
    let association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let way = retrieving.way(&association);
    drop(association.release().await);
    let brought = Arc::new(Brought::again(wanted.images));
    let outcome = retrieve(way?, config, retrieving, (&study, &parts), (&wanted.store, &brought)).await;
    match (brought.refused(), outcome) {
        (Some(refused), _) => Ok(Some(refused)),
        (None, Err(wrong)) => Err(wrong),
        (None, Ok(())) => Ok(None),
    }
}
