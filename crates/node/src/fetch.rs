//! `dokuei fetch`: a study, series or instance from a PACS, by C-MOVE or C-GET.

pub(crate) mod again;
mod brought;
mod contexts;
mod folder;
mod moves;
pub(crate) mod priors;
mod relay;
mod retrieval;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dokuei_dimse::message::{SubOperations, meaning};
use dokuei_dimse::{
    Association, ProposedContext, QueryResponse, Receive, Received, RequestorConfig, StorageService, Timeouts,
};
use dokuei_types::{AeTitle, DimseStatus};
use indicatif::ProgressBar;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::Fetch;
use crate::config;
use crate::find::{broken, no_association, on_interrupt, refused};
use crate::information;
use crate::keys::{self, Key, Level, known};
use crate::outcome::{self, Failure, line, say};
use crate::requestor;

pub(crate) use self::brought::{Brought, Taken};
pub(crate) use self::moves::{Moves, Origin};
pub(crate) use self::retrieval::Retrieving;

use self::folder::Folder;
use self::relay::Relay;

/// For the next response: peers need not say that they are at work (PS3.4 § C.4.2.3.1), and an archive may have to
/// bring the instances from afar.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run(arguments: &Fetch) -> Result<(), Failure> {
    let config = requestor::of(&arguments.asked)?;
    let cancel = on_interrupt();
    let bar = outcome::progress("instances", None, arguments.json);
    let last = match (&arguments.move_to, &arguments.out) {
        (Some(destination), _) => move_to(destination, arguments, &config, cancel, &bar).await?,
        (None, Some(folder)) => into_folder(arguments, &config, folder, cancel, &bar).await?,
        (None, None) => to_node(arguments, &config, cancel, &bar).await?,
    };
    bar.finish_and_clear();
    tell(arguments, last.as_ref())
}

async fn move_to(
    destination: &AeTitle,
    arguments: &Fetch,
    config: &RequestorConfig,
    cancel: CancellationToken,
    bar: &ProgressBar,
) -> Result<Option<QueryResponse>, Failure> {
    let (model, wanted) = (known(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE), wanted(arguments));
    let mut association = associate(config, &[ProposedContext::information_model(model.clone())]).await?;
    let query = association.move_to(destination, &model, &wanted, cancel).await;
    let mut query = query.map_err(|error| broken(&error))?;
    let mut last = None;
    while let Some(response) = query.next().await.map_err(|error| broken(&error))? {
        show(bar, &response.sub_operations);
        last = Some(response);
    }
    drop(association.release().await);
    Ok(last)
}

async fn into_folder(
    arguments: &Fetch,
    config: &RequestorConfig,
    folder: &Path,
    cancel: CancellationToken,
    bar: &ProgressBar,
) -> Result<Option<QueryResponse>, Failure> {
    let service = Folder::new(folder).map_err(|error| Failure::because(&folder.display().to_string(), &error))?;
    let (association, config) = associate_for_get(arguments, config, &cancel).await?;
    get(arguments, association, &receive(service, &config), cancel, bar).await
}

/// Sends each instance on to the node of the configuration before it is answered for, as if the peer had sent it there.
async fn to_node(
    arguments: &Fetch,
    config: &RequestorConfig,
    cancel: CancellationToken,
    bar: &ProgressBar,
) -> Result<Option<QueryResponse>, Failure> {
    let file = config::load(arguments.asked.config.as_deref())?;
    let node = &file.config.node;
    let address = reachable(node.listen).to_string();
    let peer = config.called_ae.clone();
    let to = RequestorConfig::new(address, node.ae_title.clone(), peer, requestor::implementation());
    let (association, config) = associate_for_get(arguments, config, &cancel).await?;
    let relay = Relay::new(to, contexts::accepted(&association)).await;
    let relay = relay.map_err(|error| Failure::because("associate with the node", &error).help(error.advice()))?;
    let receive = receive(relay, &config);
    let last = get(arguments, association, &receive, cancel, bar).await;
    receive.service.release().await;
    last
}

/// Where a node on this machine that listens at `address` is called.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(if address.ip().is_unspecified() { loopback } else { address.ip() }, address.port())
}

/// An association on which the peer may send what it is asked for, and how it was requested.
async fn associate_for_get(
    arguments: &Fetch,
    config: &RequestorConfig,
    cancel: &CancellationToken,
) -> Result<(Association, RequestorConfig), Failure> {
    let classes = contexts::classes(config, &arguments.study, cancel).await;
    let config = RequestorConfig { provides: classes.clone(), ..config.clone() };
    let association = associate(&config, &contexts::proposed(&classes)).await?;
    Ok((association, config))
}

fn receive<S>(service: S, config: &RequestorConfig) -> Receive<S> {
    let (limits, timeouts) = (dokuei_dimse::Limits::default(), Timeouts::default());
    Receive {
        service,
        peer_ae: config.called_ae.clone(),
        own_ae: config.calling_ae.clone(),
        instance_size: limits.instance_size,
        within_message: timeouts.within_message,
        bytes_per_second_min: limits.bytes_per_second_min,
        commit: timeouts.commit,
    }
}

async fn get<S: StorageService>(
    arguments: &Fetch,
    mut association: Association,
    receive: &Receive<S>,
    cancel: CancellationToken,
    bar: &ProgressBar,
) -> Result<Option<QueryResponse>, Failure> {
    let (model, wanted) = (known(contexts::GET_MODEL), wanted(arguments));
    let retrieval = association.get(&model, &wanted, receive, cancel).await;
    let mut retrieval = retrieval.map_err(|error| broken(&error))?;
    let mut last = None;
    let end = loop {
        match retrieval.next().await {
            Ok(Some(response)) => {
                show(bar, &response.sub_operations);
                last = Some(response);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let received = retrieval.received().clone();
    if let Some(why) = &received.first_refusal {
        say(format!("{} of the instances that came are not kept: {why}", received.refused));
    }
    if let Err(error) = end {
        say(format!("{} fetched before it ended", received.stored));
        return Err(broken(&error));
    }
    if let Some(last) = &mut last {
        last.sub_operations = by_our_count(&last.sub_operations, &received);
    }
    let has_roles = association.contexts().iter().any(|context| association.provides(&context.abstract_syntax));
    drop(association.release().await);
    if !has_roles {
        say("the peer has not answered the role selection: it may not be able to send over our association; \
             --move-to needs no roles");
    }
    Ok(last)
}

/// What the peer says it has sent may not have come, and what has come may not be kept.
fn by_our_count(counts: &SubOperations, received: &Received) -> SubOperations {
    let count = |number: u32| Some(u16::try_from(number).unwrap_or(u16::MAX));
    let failed = counts.done().saturating_sub(received.stored).max(received.refused);
    SubOperations {
        remaining: counts.remaining,
        completed: count(received.stored),
        failed: count(failed),
        warning: None,
    }
}

async fn associate(config: &RequestorConfig, contexts: &[ProposedContext]) -> Result<Association, Failure> {
    let config = RequestorConfig { response_timeout: config.response_timeout.max(PATIENCE), ..config.clone() };
    Association::request(&config, contexts).await.map_err(|error| no_association(&error))
}

/// The identifier: unique keys down to the level that is fetched (PS3.4 § C.4.2.2.1).
fn wanted(arguments: &Fetch) -> dokuei_dimse::Information {
    let Fetch { study, series, instance, .. } = arguments;
    let level = match (series, instance) {
        (_, Some(_)) => Level::Image,
        (Some(_), None) => Level::Series,
        (None, None) => Level::Study,
    };
    let keys = [
        (tags::STUDY_INSTANCE_UID, Some(study)),
        (tags::SERIES_INSTANCE_UID, series.as_ref()),
        (tags::SOP_INSTANCE_UID, instance.as_ref()),
    ];
    let keys: Vec<Key> = keys.into_iter().filter_map(|(tag, uid)| Some(Key::of(tag, uid?.as_str()))).collect();
    keys::identifier(level, &keys)
}

fn show(bar: &ProgressBar, counts: &SubOperations) {
    let done = u64::from(counts.done());
    if let Some(remaining) = counts.remaining {
        bar.set_length(done.saturating_add(remaining.into()));
    }
    bar.set_position(done);
}

/// Says what came of it; a failure where not everything did.
fn tell(arguments: &Fetch, last: Option<&QueryResponse>) -> Result<(), Failure> {
    let Some(last) = last else { return Err(refused(DimseStatus::PROCESSING_FAILURE, "")) };
    let counts = last.sub_operations;
    let failed = failed_instances(last);
    if arguments.json {
        let said = json!({
            "status": last.status.to_string(),
            "meaning": meaning(last.status),
            "comment": last.comment,
            "completed": counts.completed,
            "warning": counts.warning,
            "failed": counts.failed,
            "remaining": counts.remaining,
            "failed_instances": failed,
        });
        outcome::json(&said, true);
    } else {
        let said = [(counts.completed, "fetched"), (counts.warning, "with a warning"), (counts.failed, "failed")];
        let said = said.iter().filter_map(|(count, what)| Some(format!("{} {what}", (*count)?)));
        let said: Vec<String> = said.collect();
        line(if said.is_empty() { "the peer counts nothing".to_owned() } else { said.join(", ") });
        failed.iter().for_each(|uid| say(format!("failed: {uid}")));
    }
    let is_whole = last.status == DimseStatus::SUCCESS || last.status.is_warning();
    if is_whole && counts.failed.unwrap_or(0) == 0 && failed.is_empty() {
        let is_nothing = counts.completed == Some(0) && counts.done() == 0;
        return if is_nothing { Err(Failure::work("the peer has nothing that matches")) } else { Ok(()) };
    }
    if last.status == DimseStatus::SUCCESS {
        return Err(Failure::work("not all of it has come, although the peer answers with success"));
    }
    let failure = refused(last.status, &last.comment);
    Err(if last.status.0 == 0xA801 {
        failure.help("enter the AE title of --move-to in the peer, with its address and port")
    } else {
        failure
    })
}

/// Failed SOP Instance UID List (0008,0058) of the final response (PS3.4 § C.4.2.1.4.2, § C.4.3.1.3.2).
fn failed_instances(last: &QueryResponse) -> Vec<String> {
    if last.identifier.is_empty() {
        return Vec::new();
    }
    match information::read(&last.identifier, &last.transfer_syntax) {
        Ok(dataset) => dataset.texts(tags::FAILED_SOP_INSTANCE_UID_LIST),
        Err(error) => {
            say(format!("the list of what failed cannot be read: {error}"));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_it_has_sent_is_not_what_has_come() {
        let counts = |completed, failed| SubOperations { completed, failed, ..SubOperations::default() };
        for (said, stored, refused, failed) in [
            (counts(Some(2), Some(0)), 2, 0, 0),
            (counts(None, None), 2, 0, 0),
            (counts(Some(5), Some(0)), 1, 0, 4),
            (counts(Some(1), Some(0)), 0, 1, 1),
            (counts(Some(1), Some(2)), 1, 2, 2),
            (counts(Some(1), Some(2)), 1, 0, 2),
            (counts(Some(1), Some(0)), 2, 0, 0),
            (counts(Some(u16::MAX), Some(u16::MAX)), 0, 0, u16::MAX),
        ] {
            let counted = by_our_count(&said, &Received { stored, refused, first_refusal: None });
            assert_eq!((counted.completed.map(u32::from), counted.failed), (Some(stored), Some(failed)), "{said:?}");
        }
    }

    #[test]
    fn a_node_that_listens_everywhere_is_called_on_this_machine() {
        for (listens, called) in
            [("0.0.0.0:104", "127.0.0.1:104"), ("[::]:104", "[::1]:104"), ("10.0.0.7:104", "10.0.0.7:104")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), called.parse().unwrap());
        }
    }
}
