//! `dokuei find`: what a PACS has, by C-FIND.

use dokuei_dataset::{Dataset, Tag};
use dokuei_dimse::message::meaning;
use dokuei_dimse::{AssociateError, Association, ProposedContext, Query, QueryResponse, SendError};
use dokuei_types::DimseStatus;
use tokio_util::sync::CancellationToken;

use crate::args::Find;
use crate::information;
use crate::json_model;
use crate::keys::{self, Key};
use crate::outcome::{self, Failure, say};
use crate::requestor;

/// Characters of a table's cell; what is longer is cut.
const CELL_MAX: usize = 48;

pub(crate) async fn run(arguments: &Find) -> Result<(), Failure> {
    let config = requestor::of(&arguments.asked)?;
    let model = keys::find_model(arguments.level, arguments.patient_root);
    let keys = asked_for(arguments);
    let identifier = keys::identifier(arguments.level, &keys);
    let contexts = [ProposedContext::information_model(model.clone())];
    let mut association = Association::request(&config, &contexts).await.map_err(|error| no_association(&error))?;
    let cancel = on_interrupt();
    let mut query = association.find(&model, &identifier, cancel.clone()).await.map_err(|error| broken(&error))?;
    let mut matches = Matches::new(&keys, arguments);
    let last = take_all(&mut query, &mut matches, &cancel).await;
    drop(association.release().await);
    matches.end();
    let last = match last {
        // It goes on although it was told to stop: what is shown is what was wanted.
        Err(SendError::NoResponse(_)) if matches.are_more => None,
        last => last.map_err(|error| broken(&error))?,
    };
    let status = last.as_ref().map_or(DimseStatus::CANCELLED, |response| response.status);
    let comment = last.map(|response| response.comment).unwrap_or_default();
    if matches.are_more && matches!(status, DimseStatus::SUCCESS | DimseStatus::CANCELLED) {
        say(format!("the first {}; there are more: narrow the keys, or raise --limit", arguments.limit));
        return Ok(());
    }
    say(format!("{} found", matches.count));
    if status == DimseStatus::SUCCESS || status.is_warning() { Ok(()) } else { Err(refused(status, &comment)) }
}

/// Takes matches in until the final response, which it returns, and stops the peer when there are too many.
async fn take_all(
    query: &mut Query<'_>,
    matches: &mut Matches,
    cancel: &CancellationToken,
) -> Result<Option<QueryResponse>, SendError> {
    while let Some(response) = query.next().await? {
        if !response.status.is_pending() {
            return Ok(Some(response));
        }
        if !matches.take(&response) {
            cancel.cancel();
        }
    }
    Ok(None)
}

/// The keys named, and what the level shows anyway.
fn asked_for(arguments: &Find) -> Vec<Key> {
    let is_named = |tag: Tag| arguments.keys.iter().any(|key| key.tag == tag);
    let shown = arguments.level.attributes().iter().filter(|tag| !is_named(**tag)).map(|tag| Key::any(*tag));
    shown.chain(arguments.keys.iter().cloned()).collect()
}

/// What has been found, shown as it comes or as one table.
struct Matches {
    columns: Vec<Tag>,
    rows: Vec<Vec<String>>,
    count: usize,
    limit: usize,
    json: bool,
    /// There was one beyond the limit.
    are_more: bool,
    /// The peer has said that it does not know some of the keys.
    lacks_keys: bool,
}

impl Matches {
    fn new(keys: &[Key], arguments: &Find) -> Self {
        let columns: Vec<Tag> = keys.iter().map(|key| key.tag).collect();
        let heading = columns.iter().map(|tag| keys::name(*tag)).collect();
        let (limit, json) = (arguments.limit, arguments.json);
        Self { columns, rows: vec![heading], count: 0, limit, json, are_more: false, lacks_keys: false }
    }

    /// Takes a match in; `false` when it is one too many.
    fn take(&mut self, response: &QueryResponse) -> bool {
        if self.count >= self.limit {
            self.are_more = true;
            return false;
        }
        self.count = self.count.saturating_add(1);
        self.lacks_keys |= response.status == DimseStatus(0xFF01);
        match information::read(&response.identifier, &response.transfer_syntax) {
            Ok(dataset) if self.json => outcome::json(&json_model::object(&dataset), false),
            Ok(dataset) => self.rows.push(self.columns.iter().map(|tag| cell(&dataset, *tag)).collect()),
            Err(error) => say(format!("match {} cannot be read: {error}", self.count)),
        }
        true
    }

    fn end(&self) {
        if !self.json && self.rows.len() > 1 {
            outcome::table(&self.rows);
        }
        if self.lacks_keys {
            say("the peer does not know some of these keys: it neither matches nor shows them");
        }
    }
}

/// A value as one cell shows it; a peer's control characters would reach the terminal.
fn cell(dataset: &Dataset, tag: Tag) -> String {
    let numbers = || dataset.ints(tag).iter().map(ToString::to_string).collect::<Vec<_>>().join("\\");
    let is_text = dataset.get(tag).is_some_and(|element| keys::is_text(element.vr));
    let text = if is_text { dataset.text(tag).unwrap_or_default() } else { numbers() };
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CELL_MAX).collect();
    if text.chars().nth(CELL_MAX).is_some() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// A token that the first Ctrl-C cancels; the second ends the process.
pub(crate) fn on_interrupt() -> CancellationToken {
    let cancel = CancellationToken::new();
    let ordered = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            say("cancelling; once more to end at once");
            ordered.cancel();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    cancel
}

pub(crate) fn no_association(error: &AssociateError) -> Failure {
    Failure::because("associate", error).help(error.advice())
}

/// The association has failed in the middle of an operation.
pub(crate) fn broken(error: &SendError) -> Failure {
    let failure = Failure::because("ask the peer", error);
    match error {
        SendError::NotAccepted { .. } => {
            failure.help("the peer does not offer this kind of query to us: allow it there, or ask another way")
        }
        SendError::NoResponse(_) => failure.help("--timeout waits longer for each response"),
        _ => failure,
    }
}

/// The peer's final answer is a failure.
pub(crate) fn refused(status: DimseStatus, comment: &str) -> Failure {
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    Failure::work(format!("the peer answers with status {status}: {}{comment}", meaning(status)))
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::tags;
    use dokuei_dataset::VR;

    use super::*;

    #[test]
    fn a_cell_is_short_and_holds_nothing_for_the_terminal() {
        let mut dataset = Dataset::new();
        dataset.put_text(tags::STUDY_DESCRIPTION, VR::LO, "CHEST\u{1B}[2J\r\nPA");
        dataset.put_text(tags::PATIENT_ID, VR::LO, &"9".repeat(64));
        dataset.put_u16(tags::ROWS, &[512]);
        assert_eq!(cell(&dataset, tags::STUDY_DESCRIPTION), "CHEST [2J  PA");
        assert_eq!(cell(&dataset, tags::PATIENT_ID), format!("{}…", "9".repeat(CELL_MAX - 1)));
        assert_eq!((cell(&dataset, tags::ROWS).as_str(), cell(&dataset, tags::MODALITY).as_str()), ("512", ""));
    }
}
