use std::net::Ipv4Addr;

use dicom_dictionary_std::uids;
use dokuei_store::{Fetched, Priority};

use super::*;
use crate::keys::known as uid;
use crate::requestor::implementation;

const SERIES: &str = "1.2.3.4";

fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

fn at(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// The node calls as DOKUEI and has asked PACS at 10.0.0.1 for a series; with the Message ID.
fn asking() -> (Moves, u16, Arc<Brought>) {
    let moves = Moves::new(1_700_000_000_000);
    moves.call_as(&title("DOKUEI"));
    let fetched = Fetched { route: "chest".into(), models: Vec::new(), priority: Priority::Routine };
    let brought = Arc::new(Brought::earlier(fetched));
    let config = RequestorConfig::new("10.0.0.1:104", title("PACS"), title("DOKUEI"), implementation());
    let message_id = moves.expect(&config, at(1), &uid(SERIES), &brought);
    (moves, message_id, brought)
}

/// What an instance of a series is taken for, which comes from there and names this C-MOVE.
fn taken_for(
    moves: &Moves,
    (calling_ae, address): (&str, u8),
    move_originator: Option<(&str, Option<u16>)>,
    series: &str,
) -> &'static str {
    let move_originator =
        move_originator.map(|(ae_title, message_id)| MoveOriginator { ae_title: title(ae_title), message_id });
    let request = StoreRequest {
        calling_ae: &title(calling_ae),
        called_ae: &title("DOKUEI"),
        peer: SocketAddr::new(at(address), 40_000),
        sop_class: &uid(uids::CT_IMAGE_STORAGE),
        sop_instance: &uid("1.2.3.4.5"),
        transfer_syntax: &uid(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        move_originator: move_originator.as_ref(),
        association: 1,
    };
    match moves.origin(&request).map(|origin| origin.told(Some(&uid(series)))) {
        Ok(Some(_)) => "fetched",
        Ok(None) => "sent",
        Err(refusal) => {
            assert_eq!(refusal.status, DimseStatus::PROCESSING_FAILURE);
            "refused"
        }
    }
}

#[test]
fn what_was_asked_for_is_told_from_what_is_sent() {
    let (moves, id, _) = asking();
    let pacs = ("PACS", 1);
    for (from, originator, series, expected) in [
        // Whoever sends it, and whatever of: its archive may have changed the UIDs.
        (pacs, Some(("DOKUEI", Some(id))), SERIES, "fetched"),
        (("ANNEX", 9), Some(("DOKUEI", Some(id))), "1.2.9", "fetched"),
        // Somebody else has had the archive send the same series here.
        (pacs, Some(("VIEWER", Some(id))), SERIES, "sent"),
        // Nobody is named, or nobody that can be told: the archive itself, and another of its titles or addresses.
        (pacs, None, SERIES, "fetched"),
        (("PACS", 9), None, SERIES, "fetched"),
        (("PACS_SEND", 1), None, SERIES, "fetched"),
        (pacs, Some(("DOKUEI", None)), SERIES, "fetched"),
        (pacs, Some(("DOKUEI", Some(1))), SERIES, "fetched"),
        (pacs, Some(("PACS", Some(1))), SERIES, "fetched"),
        // Another series of the archive, and the same one of somebody else.
        (pacs, None, "1.2.9", "sent"),
        (("CR_ROOM_1", 9), None, SERIES, "sent"),
        (("CR_ROOM_1", 9), Some(("DOKUEI", Some(1))), SERIES, "sent"),
    ] {
        assert_eq!(taken_for(&moves, from, originator, series), expected, "{from:?} {originator:?} {series}");
    }
}

#[test]
fn what_a_run_before_asked_for_is_refused_and_what_others_asked_for_is_not() {
    let moves = Moves::new(0);
    moves.call_as(&title("DOKUEI"));
    for (originator, expected) in [
        (("DOKUEI", Some(FIRST_ID)), "refused"),
        (("DOKUEI", Some(u16::MAX)), "refused"),
        (("DOKUEI", Some(1)), "sent"),
        (("VIEWER", Some(u16::MAX)), "sent"),
    ] {
        assert_eq!(taken_for(&moves, ("PACS", 1), Some(originator), SERIES), expected, "{originator:?}");
    }
}

#[test]
fn once_all_has_come_the_archive_sends_by_itself() {
    let (moves, id, _) = asking();
    moves.forget(id);
    assert_eq!(taken_for(&moves, ("PACS", 1), None, SERIES), "sent");
    assert_eq!(taken_for(&moves, ("PACS", 1), Some(("DOKUEI", Some(id))), SERIES), "refused");
}

#[test]
fn requests_have_message_ids_of_their_own_over_their_whole_range() {
    let (moves, first, brought) = asking();
    let config = RequestorConfig::new("10.0.0.1:104", title("PACS"), title("DOKUEI"), implementation());
    let mut ids = BTreeSet::from([first]);
    for _ in 1..usize::from(FIRST_ID) {
        let id = moves.expect(&config, at(1), &uid(SERIES), &brought);
        assert!(id >= FIRST_ID && ids.insert(id), "{id}");
        moves.forget(id);
    }
    assert_ne!(first, Moves::new(1_700_000_001_000).known().last_id + 1, "another run begins elsewhere");
}

#[test]
fn more_than_enough_is_cancelled() {
    let (_, _, brought) = asking();
    let add = |number: usize| brought.add(uid(&format!("1.2.{number}")));
    (0..crate::fetch::brought::IMAGES_MAX).for_each(add);
    assert!(!brought.enough.is_cancelled());
    add(99);
    assert!(brought.enough.is_cancelled());
    assert_eq!((brought.count(), brought.came().len()), (17, 17));
}

#[test]
fn a_rejected_association_of_the_archive_is_told_with_what_was_asked() {
    let (moves, id, _) = asking();
    let observer = moves.observer(None);
    let observe = |calling_ae, address| {
        let peer = SocketAddr::new(at(address), 40_000);
        let what = Happened::Refused("calling AE title not recognized");
        observer.observe(&Observed { association: 1, peer, calling_ae, called_ae: "DOKUEI", what });
    };
    observe("CR_ROOM_1", 9);
    assert_eq!(moves.rejected(id), None);
    observe("PACS_SEND", 1);
    let said = moves.rejected(id).unwrap();
    let words =
        "the association of PACS_SEND at 10.0.0.1 with DOKUEI was rejected here: calling AE title not recognized";
    assert_eq!(said, words);
    assert_eq!(moves.rejected(id), None, "said once");
}
