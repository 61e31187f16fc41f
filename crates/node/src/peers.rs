//! What `check` says of the destinations: each is called, asked what it takes, and told apart from its neighbours.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use dokuei_dimse::{AcceptedContext, EchoError, EchoReport, Examination, RequestorConfig, SendError, examine};
use dokuei_pipeline::{RouteConfig, SENDER};

use crate::certificates::RENEW_WITHIN_DAYS;
use crate::check::{Checked, Verdict};
use crate::config::{Accept, Confirm, Destination, Peer, ResultObject, Retrieve};
use crate::doctor::{self, Purpose};
use crate::send::words;
use crate::site::{Site, accept};

/// Calls every destination, one after the other.
pub(crate) async fn check(site: &Site) -> Vec<Checked> {
    let mut checked = Vec::new();
    for (destination, config) in site.destinations() {
        let purposes = purposes(site, destination);
        let examination = examine(&config, &doctor::contexts(&purposes)).await;
        checked.push(reached(destination, &examination));
        checked.extend(certificate(destination, &examination));
        checked.extend(taken(destination, &examination, &purposes));
        checked.extend(may_not_send(site, destination));
        checked.extend(may_not_report(site, destination));
        checked.extend(way_back(site, destination, &config, &examination));
    }
    checked.extend(no_way_back(site));
    checked
}

/// The senders known by name to whom results are to be returned, and cannot be.
fn no_way_back(site: &Site) -> Option<Checked> {
    let routes: Vec<&str> =
        site.routes.iter().filter(|route| returns(route)).map(|route| route.name.as_str()).collect();
    let is_destination = |peer: &&Peer| site.destinations().any(|(known, _)| known.ae_title == peer.ae_title);
    let peers = site.file.config.peers.iter().map(toml::Spanned::as_ref).filter(|peer| !is_destination(peer));
    let peers: Vec<&str> = peers.map(|peer| peer.ae_title.as_str()).collect();
    (!routes.is_empty() && !peers.is_empty()).then(|| Checked {
        what: format!("route {}, the way back", routes.join(", ")),
        verdict: Verdict::Warning,
        words: format!(
            "no [[destination]] has the AE title of {}: what they send is looked at, and the results do not go back to \
             them",
            peers.join(", ")
        ),
    })
}

fn returns(route: &RouteConfig) -> bool {
    route.send_results.iter().any(|name| name == SENDER)
}

/// What the routes send there.
fn purposes(site: &Site, destination: &Destination) -> Vec<Purpose> {
    // It gets what is for itself, and what those cannot take in whose place it may be.
    let stands_for = |other: &&Destination| other.failover.as_ref() == Some(&destination.name);
    let others = site.destinations().map(|(other, _)| other).filter(stands_for);
    let all: Vec<&Destination> = std::iter::once(destination).chain(others).collect();
    // Whoever may send gets results that are returned to the sender.
    let peers = &site.file.config.peers;
    let may_send =
        |to: &Destination| peers.is_empty() || peers.iter().any(|peer| peer.as_ref().ae_title == to.ae_title);
    let is_sent_results = |to: &Destination| {
        let is_sent = |route: &RouteConfig| route.send_results.contains(&to.name) || (returns(route) && may_send(to));
        site.routes.iter().any(is_sent)
    };
    let is_sent_images = |to: &Destination| site.routes.iter().any(|route| route.send_images.contains(&to.name));
    let results = all.iter().any(|to| is_sent_results(to));
    let originals = all.iter().any(|to| is_sent_images(to));
    let wants = |object| all.iter().any(|to| is_sent_results(to) && to.objects.contains(&object));
    let objects =
        [ResultObject::Sr, ResultObject::Sc, ResultObject::Pr, ResultObject::Ko, ResultObject::Pdf, ResultObject::Seg];
    let confirms = |how| destination.confirm == how && (results || originals);
    let counts = site.routes.iter().any(|route| route.count_at.as_ref() == Some(&destination.name));
    let brings_priors = brings_priors(site, destination);
    let brings = brings_priors || brings_again(site, destination);
    let queries = confirms(Confirm::Find) || counts || brings_priors;
    let asked = objects.into_iter().map(wants).chain([originals, confirms(Confirm::Commitment), queries]);
    let purposes = Purpose::ALL.into_iter().zip(asked).filter_map(|(purpose, asked)| asked.then_some(purpose));
    purposes.chain(brings.then_some(Purpose::Retrievals(destination.retrieve))).collect()
}

/// Whether a route has it asked for earlier images.
fn brings_priors(site: &Site, destination: &Destination) -> bool {
    let mut priors = site.routes.iter().filter_map(|route| route.priors.as_ref());
    priors.any(|priors| priors.at.as_ref() == Some(&destination.name))
}

/// Whether it is asked for images whose bytes were removed.
fn brings_again(site: &Site, destination: &Destination) -> bool {
    site.file.config.retention.archive.as_ref() == Some(&destination.name)
}

/// Whether no association of its own is accepted from it: only listed peers may have one.
fn is_refused(site: &Site, destination: &Destination) -> bool {
    let peers = &site.file.config.peers;
    let is_listed = peers.iter().any(|peer| peer.as_ref().ae_title == destination.ae_title);
    accept(&site.file.config) == Accept::Listed && !is_listed
}

/// What it commits to it reports on the association of the request or on one of its own.
fn may_not_report(site: &Site, destination: &Destination) -> Option<Checked> {
    (destination.confirm == Confirm::Commitment && is_refused(site, destination)).then(|| Checked {
        what: format!("destination {}, confirmation", destination.name),
        verdict: Verdict::Warning,
        words: format!(
            "no [[peer]] has its AE title {}: what it reports of its commitment by an association of its own would be \
             rejected here; list it, or set confirm = \"find\"",
            destination.ae_title
        ),
    })
}

/// What it sends by C-MOVE comes over associations of its own.
fn may_not_send(site: &Site, destination: &Destination) -> Option<Checked> {
    let is_refused = is_refused(site, destination);
    let brings = brings_priors(site, destination) || brings_again(site, destination);
    (is_refused && destination.retrieve != Retrieve::Get && brings).then(|| Checked {
        what: format!("destination {}, retrieval by C-MOVE", destination.name),
        verdict: Verdict::Warning,
        words: format!(
            "no [[peer]] has its AE title {}: what it sends by C-MOVE would be rejected here, unless it calls from another \
             one; list it, or set retrieve = \"get\"",
            destination.ae_title
        ),
    })
}

fn reached(destination: &Destination, examination: &Examination) -> Checked {
    let what = format!("destination {}", destination.name);
    match &examination.echo {
        Ok(EchoReport { peer, steps, status, release_problem, .. }) => {
            let problem =
                release_problem.as_ref().map(|problem| format!("; it did not release as it should: {problem}"));
            let words = format!(
                "{} answered C-ECHO with {status}: {}; implementation {}, maximum PDU {} bytes, {}{}",
                peer.address,
                doctor::times(steps),
                doctor::implementation(peer),
                peer.maximum_length,
                doctor::transport(peer),
                problem.unwrap_or_default()
            );
            let verdict = if status.is_stored() { Verdict::Ok } else { Verdict::Warning };
            Checked { what, verdict, words }
        }
        Err(error) => {
            let advice = doctor::advice(examination).unwrap_or_default();
            let step = doctor::failed_step(&examination.steps, destination.tls.is_some());
            let words = format!("failed to {step}: {}; {advice}", words(error));
            let verdict = match error {
                EchoError::Send(SendError::NotAccepted { .. }) => Verdict::Warning,
                _ => Verdict::Failed,
            };
            Checked { what, verdict, words }
        }
    }
}

/// A word on the peer's certificate when it has to be renewed.
fn certificate(destination: &Destination, examination: &Examination) -> Option<Checked> {
    let shown = examination.echo.as_ref().ok()?.peer.tls.as_ref()?.peer_certificate.as_ref()?;
    let now = SystemTime::now();
    let days_left = shown.days_left(now);
    let words = if shown.not_before > now {
        format!("that of {} is not valid yet: look at the clocks here and there", shown.subject)
    } else {
        format!("that of {} has {days_left} days left: have it renewed there", shown.subject)
    };
    (days_left < RENEW_WITHIN_DAYS || shown.not_before > now).then(|| Checked {
        what: format!("destination {}, its certificate", destination.name),
        verdict: Verdict::Warning,
        words,
    })
}

fn taken(destination: &Destination, examination: &Examination, purposes: &[Purpose]) -> Vec<Checked> {
    let what = |purpose| format!("destination {}, {purpose}", destination.name);
    match &examination.accepted {
        Some(Ok(contexts)) => purposes.iter().map(|purpose| accepted(what(*purpose), *purpose, contexts)).collect(),
        Some(Err(error)) => {
            let outcome = Err(format!("asked what it takes, it failed: {}; {}", words(error), error.advice()));
            vec![Checked::of(format!("destination {}, what it takes", destination.name), outcome)]
        }
        None if purposes.is_empty() && examination.echo.is_ok() => vec![Checked {
            what: format!("destination {}, what it takes", destination.name),
            verdict: Verdict::Warning,
            words: "no route sends anything there: name it in send_results or send_images of a route".to_owned(),
        }],
        None => Vec::new(),
    }
}

fn accepted(what: String, purpose: Purpose, contexts: &[AcceptedContext]) -> Checked {
    let accepted = doctor::accepted(purpose, contexts);
    if !accepted.is_empty() {
        let words = format!("takes {}", doctor::in_words(&accepted));
        let Some(lacking) = doctor::lacking(purpose, &accepted) else { return Checked::of(what, Ok(words)) };
        let words = format!(
            "{words}; does not take {lacking}, and each becomes a dead letter: enable it there, or have the routes of such \
             images send to a [[destination]] of the same address without \"pr\""
        );
        return Checked { what, verdict: Verdict::Warning, words };
    }
    let (verdict, words) = match purpose {
        Purpose::Reports => (
            Verdict::Failed,
            "takes none of the Structured Reports: enable Comprehensive 3D, Comprehensive or Enhanced SR Storage there, \
             or set objects = [\"sc\"]",
        ),
        Purpose::Captures => (
            Verdict::Failed,
            "does not take Secondary Capture: enable Secondary Capture Image Storage there, or set objects = [\"sr\"]",
        ),
        Purpose::PresentationStates => (
            Verdict::Failed,
            "does not take presentation states: enable Grayscale and Color Softcopy Presentation State Storage there, \
             or leave \"pr\" out of objects",
        ),
        Purpose::KeyObjects => (
            Verdict::Failed,
            "does not take key object notes: enable Key Object Selection Document Storage there, or leave \"ko\" out of \
             objects",
        ),
        Purpose::Documents => (
            Verdict::Failed,
            "does not take PDF: enable Encapsulated PDF Storage there, or leave \"pdf\" out of objects",
        ),
        Purpose::Segmentations => (
            Verdict::Failed,
            "does not take segmentations: enable Segmentation Storage there, or leave \"seg\" out of objects",
        ),
        Purpose::Commitments => (
            Verdict::Failed,
            "offers no storage commitment: enable Storage Commitment Push Model there, or leave out confirm",
        ),
        Purpose::Queries => (
            Verdict::Failed,
            "answers no queries: allow Study Root C-FIND there for our AE title, or leave out confirm, count_at and priors.at",
        ),
        Purpose::Retrievals(Retrieve::Any) => (
            Verdict::Failed,
            "sends no images: allow Study Root C-GET or C-MOVE there for our AE title, or leave out priors.at and \
             retention.archive",
        ),
        Purpose::Retrievals(Retrieve::Get) => (
            Verdict::Failed,
            "sends no images by C-GET: allow it there for our AE title, or leave out retrieve where it offers C-MOVE",
        ),
        Purpose::Retrievals(Retrieve::Move) => (
            Verdict::Failed,
            "sends no images by C-MOVE: allow it there for our AE title, or leave out retrieve where it offers C-GET",
        ),
        Purpose::Originals => (
            Verdict::Warning,
            "takes none of the usual image classes as they come: enable those that are to be forwarded there",
        ),
    };
    Checked { what, verdict, words: words.to_owned() }
}

/// What its administrator has to enter for us.
fn way_back(
    site: &Site,
    destination: &Destination,
    calling: &RequestorConfig,
    examination: &Examination,
) -> Option<Checked> {
    let seen = examination.steps.local_address.filter(|_| examination.speaks.is_none())?.ip();
    let node = &site.file.config.node;
    let tls = site.file.config.tls.as_ref().map(|tls| tls.as_ref().listen);
    let ways = [(Some(node.listen), ""), (tls, " with TLS")].into_iter().filter_map(|(listen, how)| {
        let reachable = reachable(listen?, seen)?;
        Some(format!("{} at {reachable}{how}", node.ae_title))
    });
    let ways: Vec<String> = ways.collect();
    let back = match ways.as_slice() {
        [] => "it cannot send to us, since we listen on a loopback address".to_owned(),
        ways => format!("to send to us it calls {}", ways.join(", or ")),
    };
    let words = format!("it has to know us as {} at {seen}; {back}", calling.calling_ae);
    Some(Checked::of(format!("destination {}, the way back", destination.name), Ok(words)))
}

/// Where a peer that sees us at `seen` reaches what listens on `listen`.
fn reachable(listen: SocketAddr, seen: IpAddr) -> Option<SocketAddr> {
    match listen.ip() {
        ip if ip.is_unspecified() => Some(SocketAddr::new(seen, listen.port())),
        ip if ip.is_loopback() && !seen.is_loopback() => None,
        _ => Some(listen),
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;
    use dokuei_types::Uid;

    use super::*;

    #[test]
    fn one_presentation_state_does_not_stand_for_the_other() {
        let check = |purpose, classes: &[&str], verdict: Verdict, part: &str| {
            let known = |uid: &str| Uid::new(uid).unwrap();
            let context = |class: &&str| AcceptedContext {
                id: 1,
                abstract_syntax: known(class),
                transfer_syntax: known(uids::EXPLICIT_VR_LITTLE_ENDIAN),
            };
            let contexts: Vec<AcceptedContext> = classes.iter().map(context).collect();
            let checked = accepted("it".to_owned(), purpose, &contexts);
            assert!(checked.verdict == verdict && checked.words.contains(part), "{}", checked.words);
        };
        let gray = uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE;
        let color = uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE;
        let states = Purpose::PresentationStates;
        check(states, &[gray, color], Verdict::Ok, "takes Grayscale Softcopy Presentation State, Color");
        check(states, &[gray], Verdict::Warning, "does not take Color Softcopy Presentation State");
        check(states, &[color], Verdict::Warning, "does not take Grayscale Softcopy Presentation State");
        check(states, &[], Verdict::Failed, "leave \"pr\" out");
        check(Purpose::Reports, &[uids::ENHANCED_SR_STORAGE], Verdict::Ok, "takes Enhanced SR");
    }

    #[test]
    fn a_peer_is_told_an_address_it_can_reach() {
        for (listen, seen, reached) in [
            ("0.0.0.0:104", "10.0.1.5", Some("10.0.1.5:104")),
            ("[::]:104", "10.0.1.5", Some("10.0.1.5:104")),
            ("10.0.2.5:104", "10.0.1.5", Some("10.0.2.5:104")),
            ("127.0.0.1:11112", "127.0.0.1", Some("127.0.0.1:11112")),
            ("127.0.0.1:11112", "10.0.1.5", None),
        ] {
            let found = reachable(listen.parse().unwrap(), seen.parse().unwrap());
            assert_eq!(found.map(|address| address.to_string()).as_deref(), reached, "{listen} {seen}");
        }
    }
}
