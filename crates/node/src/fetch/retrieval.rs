//! Parts of a study from a destination into the node's own store: by C-GET over our own association (PS3.4 § C.4.3), or by
//! C-MOVE to our own listener (§ C.4.2), where [`Moves`] tells them from what is sent by itself.

use std::sync::Arc;

use dicom_dictionary_std::{tags, uids};
use dokuei_dimse::message::meaning;
use dokuei_dimse::{Association, ProposedContext, QueryResponse, RequestorConfig};
use dokuei_store::Store;
use dokuei_types::{AeTitle, DimseStatus, Uid};

use super::brought::Brought;
use super::moves::Moves;
use super::{PATIENCE, contexts, receive};
use crate::config::Retrieve;
use crate::keys::{self, Key, Level, known};
use crate::receiver::Receiver;
use crate::send::words;

const MOVE_MODEL: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;

/// How a destination is asked for images.
#[derive(Debug, Clone)]
pub(crate) struct Retrieving {
    pub(crate) retrieve: Retrieve,
    /// The AE title under which it knows this node, for C-MOVE.
    pub(crate) move_to: AeTitle,
    pub(crate) moves: Moves,
}

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Get,
    Move,
}

impl Retrieving {
    /// The contexts that tell which way the destination offers.
    pub(super) fn contexts(&self) -> Vec<ProposedContext> {
        let models = match self.retrieve {
            Retrieve::Any => &[contexts::GET_MODEL, MOVE_MODEL][..],
            Retrieve::Get => &[contexts::GET_MODEL],
            Retrieve::Move => &[MOVE_MODEL],
        };
        models.iter().map(|model| ProposedContext::information_model(known(model))).collect()
    }

    /// The first of them that the destination offers.
    pub(super) fn way(&self, association: &Association) -> Result<Way, String> {
        let offers = |model: &str| association.contexts().iter().any(|one| one.abstract_syntax.as_str() == model);
        let none = match self.retrieve {
            _ if offers(contexts::GET_MODEL) => return Ok(Way::Get),
            _ if offers(MOVE_MODEL) => return Ok(Way::Move),
            Retrieve::Any => "neither C-GET nor C-MOVE",
            Retrieve::Get => "no C-GET",
            Retrieve::Move => "no C-MOVE",
        };
        Err(format!("it offers {none} of Study Root to our AE title"))
    }
}

/// A part of a study: a series, or one instance of it.
pub(super) struct Part {
    pub(super) series: Uid,
    pub(super) instance: Option<Uid>,
}

/// Has the destination send the parts, one after the other; in words what went wrong, where something did.
pub(super) async fn retrieve(
    way: Way,
    config: &RequestorConfig,
    retrieving: &Retrieving,
    (study, parts): (&Uid, &[Part]),
    (store, brought): (&Store, &Arc<Brought>),
) -> Result<(), String> {
    match way {
        Way::Get => get(config, study, parts, store, brought).await,
        Way::Move => move_here(config, retrieving, study, parts, brought).await,
    }
}

/// The identifier: unique keys down to the level that is fetched (PS3.4 § C.4.2.2.1).
fn identifier(study: &Uid, Part { series, instance }: &Part) -> dokuei_dimse::Information {
    let series =
        [Key::of(tags::STUDY_INSTANCE_UID, study.as_str()), Key::of(tags::SERIES_INSTANCE_UID, series.as_str())];
    match instance {
        None => keys::identifier(Level::Series, &series),
        Some(instance) => {
            let instance = Key::of(tags::SOP_INSTANCE_UID, instance.as_str());
            keys::identifier(Level::Image, &[&series[..], &[instance]].concat())
        }
    }
}

async fn get(
    config: &RequestorConfig,
    study: &Uid,
    parts: &[Part],
    store: &Store,
    brought: &Arc<Brought>,
) -> Result<(), String> {
    let classes = contexts::classes(config, study, &brought.enough).await;
    let config = RequestorConfig { provides: classes.clone(), ..config.clone() };
    let association = Association::request(&config, &contexts::proposed(&classes)).await;
    let mut association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let receive = receive(Receiver::fetching(store.clone(), config.calling_ae.clone(), Arc::clone(brought)), &config);
    let mut trouble = None;
    for part in parts.iter().take_while(|_| !brought.enough.is_cancelled()) {
        let (model, wanted) = (known(contexts::GET_MODEL), identifier(study, part));
        let retrieval = association.get(&model, &wanted, &receive, brought.enough.clone()).await;
        let mut retrieval = retrieval.map_err(|error| words(&error))?;
        while let Some(response) = retrieval.next().await.map_err(|error| words(&error))? {
            trouble = trouble.or_else(|| failure(&response, "C-GET"));
        }
    }
    drop(association.release().await);
    trouble.map_or(Ok(()), Err)
}

async fn move_here(
    config: &RequestorConfig,
    Retrieving { move_to, moves, .. }: &Retrieving,
    study: &Uid,
    parts: &[Part],
    brought: &Arc<Brought>,
) -> Result<(), String> {
    // It need not say that it is at work (PS3.4 § C.4.2.3.1).
    let config = RequestorConfig { response_timeout: config.response_timeout.max(PATIENCE), ..config.clone() };
    let model = known(MOVE_MODEL);
    let association = Association::request(&config, &[ProposedContext::information_model(model.clone())]).await;
    let mut association = association.map_err(|error| format!("{}; {}", words(&error), error.advice()))?;
    let address = association.peer().address.ip();
    let mut trouble = None;
    for part in parts.iter().take_while(|_| !brought.enough.is_cancelled()) {
        let before = brought.count();
        let message_id = moves.expect(&config, address, &part.series, brought);
        association.number_from(message_id);
        let query = association.move_to(move_to, &model, &identifier(study, part), brought.enough.clone()).await;
        let mut query = query.map_err(|error| words(&error))?;
        while let Some(response) = query.next().await.map_err(|error| words(&error))? {
            if response.status.is_pending() {
                continue;
            }
            let came = brought.count().saturating_sub(before);
            let rejected = moves.rejected(message_id);
            let wrong = failure(&response, "C-MOVE").or_else(|| astray(&response, came));
            match wrong {
                Some(wrong) => trouble = trouble.or_else(|| Some(advised(wrong, &response, rejected, move_to))),
                // What it has said it would send is here: whatever it sends now, it sends by itself.
                None => moves.forget(message_id),
            }
        }
    }
    drop(association.release().await);
    trouble.map_or(Ok(()), Err)
}

/// What is wrong by the last response, in words.
fn failure(response: &QueryResponse, operation: &str) -> Option<String> {
    let QueryResponse { status, comment, sub_operations, .. } = response;
    if status.is_pending() || *status == DimseStatus::CANCELLED {
        return None;
    }
    let (failed, done) = (sub_operations.failed.unwrap_or_default(), sub_operations.done());
    if failed > 0 {
        return Some(format!("it could not send {failed} of {done} images by {operation} ({status})"));
    }
    let said = if comment.is_empty() { String::new() } else { format!(", {comment}") };
    (!status.is_stored()).then(|| format!("it answers {operation} with {status}: {}{said}", meaning(*status)))
}

/// What it says it has sent and did not come, in words.
fn astray(response: &QueryResponse, came: usize) -> Option<String> {
    let sent = response.sub_operations.completed.unwrap_or_default();
    (came < usize::from(sent)).then(|| format!("it says it has sent {sent} images by C-MOVE, of which {came} came"))
}

/// With what is to be changed, and where.
fn advised(wrong: String, response: &QueryResponse, rejected: Option<String>, move_to: &AeTitle) -> String {
    /// Refused: Move Destination unknown (PS3.4 § C.4.2.1.5).
    const DESTINATION_UNKNOWN: DimseStatus = DimseStatus(0xA801);
    let entry = format!("AE title {move_to} with this machine's address and the port of `node.listen`");
    match rejected {
        Some(rejected) => format!(
            "{wrong}; {rejected}; where accept = \"listed\" it has to be a [[peer]], and it has to call `node.ae_title`"
        ),
        None if response.status == DESTINATION_UNKNOWN => format!("{wrong}; enter there {entry}"),
        None if response.sub_operations.done() > 0 => format!("{wrong}; look whether it has {entry}"),
        None => wrong,
    }
}

#[cfg(test)]
mod tests {
    use dokuei_dimse::message::SubOperations;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_what_to_change() {
        let title = AeTitle::new("DOKUEI").unwrap();
        let check =
            |status: u16, [completed, failed]: [u16; 2], came: usize, rejected: Option<&str>, expected: &[&str]| {
                let sub_operations =
                    SubOperations { completed: Some(completed), failed: Some(failed), ..SubOperations::default() };
                let (status, transfer_syntax) = (DimseStatus(status), known(uids::IMPLICIT_VR_LITTLE_ENDIAN));
                let response = QueryResponse {
                    status,
                    comment: String::new(),
                    sub_operations,
                    identifier: Vec::new(),
                    transfer_syntax,
                };
                let wrong = failure(&response, "C-MOVE").or_else(|| astray(&response, came));
                let said = wrong.map(|wrong| advised(wrong, &response, rejected.map(str::to_owned), &title));
                let said = said.unwrap_or_default();
                assert_eq!(said.is_empty(), expected.is_empty(), "{said}");
                assert!(expected.iter().all(|words| said.contains(words)), "{said}");
            };
        check(0, [2, 0], 2, None, &[]);
        check(0, [0, 0], 0, None, &[]);
        check(0xB000, [2, 0], 2, None, &[]);
        check(0xFE00, [17, 0], 17, None, &[]);
        check(
            0xA801,
            [0, 0],
            0,
            None,
            &["A801: it does not know the AE title to send to; enter there AE title DOKUEI"],
        );
        check(0xA702, [0, 3], 0, None, &["could not send 3 of 3 images by C-MOVE (A702)", "has AE title DOKUEI"]);
        check(0xB000, [1, 1], 1, Some("PACS was rejected"), &["1 of 2", "PACS was rejected", "[[peer]]"]);
        check(0, [2, 0], 1, None, &["has sent 2 images by C-MOVE, of which 1 came", "`node.listen`"]);
        check(0xC001, [0, 0], 0, None, &["answers C-MOVE with C001"]);
    }
}
