//! Storage commitment (PS3.4 Annex J): asked of the listener, and told by the sender.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{AbortRQSource, Pdu, RequestorRoles, UserVariableItem};
use dokuei_dimse::message::{CommandSet, Field, action_request, event_report_request, response};
use dokuei_dimse::{
    ALL_COMMITTED, Association, COMMITMENT_INSTANCE, CommitmentResult, CommitmentService, Information, Notice, Pending,
    ProposedContext, Refusal, RequestorConfig, Ticket,
};
use dokuei_types::{DimseStatus, Uid};

use crate::support::{Node, Script, bytes_of, data_pdu, proposed, request, uid, until, value};

const COMMITMENT: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL;
const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;

/// Commits to everything, or refuses, and remembers what it heard.
#[derive(Debug, Default)]
struct Committer {
    refuses: AtomicBool,
    tickets: AtomicI64,
    asked: Mutex<Vec<Notice>>,
    reported: Mutex<Vec<Notice>>,
    told: Mutex<Vec<(Ticket, bool)>>,
}

impl CommitmentService for Committer {
    fn request(&self, notice: Notice) -> Pending<Result<Ticket, Refusal>> {
        let answer = if self.refuses.load(SeqCst) {
            Err(Refusal::new(DimseStatus::INVALID_ARGUMENT_VALUE, "no transaction UID"))
        } else {
            self.asked.lock().unwrap().push(notice);
            Ok(Ticket(self.tickets.fetch_add(1, SeqCst) + 1))
        };
        Box::pin(std::future::ready(answer))
    }

    fn result(&self, Ticket(number): Ticket) -> Pending<Option<CommitmentResult>> {
        let information = Information { implicit: format!("implicit {number}").into(), explicit: b"explicit".into() };
        Box::pin(std::future::ready(Some(CommitmentResult { event_type: ALL_COMMITTED, information })))
    }

    fn told(&self, ticket: Ticket, told: bool) {
        self.told.lock().unwrap().push((ticket, told));
    }

    fn reported(&self, notice: Notice) -> Pending<Result<(), Refusal>> {
        self.reported.lock().unwrap().push(notice);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn committing() -> (Node, Arc<Committer>) {
    let committer = Arc::new(Committer::default());
    let service = committer.clone();
    let node = Node::start(|config| {
        config.commitment = Some(service);
        config.limits.information_bytes = 1000;
    });
    (node, committer)
}

async fn associated(node: &Node) -> Script {
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(vec![proposed(1, COMMITMENT, IMPLICIT)], 0)).await;
    assert_eq!(answer.presentation_contexts[0].transfer_syntax, IMPLICIT);
    script
}

fn action(message_id: u16, instance: &str, action_type: u16, information: &[u8]) -> Vec<u8> {
    let command = action_request(message_id, &uid(COMMITMENT), &uid(instance), action_type);
    let mut bytes = data_pdu(vec![value(1, true, true, &command)]);
    bytes.extend(data_pdu(vec![value(1, false, true, information)]));
    bytes
}

#[tokio::test]
async fn the_result_of_a_request_is_told_over_its_association() {
    let (node, committer) = committing();
    let mut script = associated(&node).await;
    script.send(&action(7, COMMITMENT_INSTANCE, 1, b"what is asked for")).await;
    let answer = script.command().await;
    assert_eq!((Field::of(answer.field()), answer.responds_to()), (Field::ActionResponse, Some(7)));
    assert_eq!(answer.status(), Some(DimseStatus::SUCCESS));
    assert_eq!(answer.number(tags::ACTION_TYPE_ID), Some(1));
    assert_eq!(committer.asked.lock().unwrap()[0].information, b"what is asked for");

    let (event, information) = script.message().await;
    assert_eq!(Field::of(event.field()), Field::EventReportRequest);
    assert_eq!(event.number(tags::EVENT_TYPE_ID), Some(ALL_COMMITTED));
    assert_eq!(event.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(uid(COMMITMENT_INSTANCE)));
    assert_eq!(information, b"implicit 1");
    assert!(committer.told.lock().unwrap().is_empty(), "the peer has not said that it has it");
    script.send(&data_pdu(vec![value(1, true, true, &response(&event, DimseStatus::SUCCESS, ""))])).await;
    script.release().await;
    assert_eq!(*committer.told.lock().unwrap(), [(Ticket(1), true)]);
}

#[tokio::test]
async fn results_are_told_one_at_a_time() {
    let (node, committer) = committing();
    let mut script = associated(&node).await;
    script.send(&action(1, COMMITMENT_INSTANCE, 1, b"a")).await;
    assert_eq!(script.status(1).await, 0);
    let (first, _) = script.message().await;
    script.send(&action(2, COMMITMENT_INSTANCE, 1, b"b")).await;
    assert_eq!(script.status(2).await, 0, "the second waits for the answer to the first");
    script.send(&data_pdu(vec![value(1, true, true, &response(&first, DimseStatus::SUCCESS, ""))])).await;
    let (second, information) = script.message().await;
    assert_ne!(first.message_id(), second.message_id());
    assert_eq!(information, b"implicit 2");
    drop(script);
    until("both are settled", || committer.told.lock().unwrap().len() == 2).await;
    assert_eq!(*committer.told.lock().unwrap(), [(Ticket(1), true), (Ticket(2), false)]);
}

#[tokio::test]
async fn a_peer_that_releases_first_is_to_be_told_otherwise() {
    let (node, committer) = committing();
    let mut script = associated(&node).await;
    let mut bytes = action(1, COMMITMENT_INSTANCE, 1, b"a");
    bytes.extend(bytes_of(&Pdu::ReleaseRQ));
    script.send(&bytes).await;
    // Whether the event still comes depends on who is faster; the release is answered all the same.
    while script.pdu().await != Some(Pdu::ReleaseRP) {}
    until("it is known", || !committer.told.lock().unwrap().is_empty()).await;
    assert_eq!(*committer.told.lock().unwrap(), [(Ticket(1), false)]);
}

#[tokio::test]
async fn what_cannot_be_taken_in_is_refused_with_its_status_and_the_association_goes_on() {
    let (node, committer) = committing();
    let mut script = associated(&node).await;
    for (instance, action_type, length, status) in [
        (COMMITMENT_INSTANCE, 2, 10, DimseStatus::NO_SUCH_ACTION),
        ("1.2.3", 1, 10, DimseStatus::NO_SUCH_SOP_INSTANCE),
        (COMMITMENT_INSTANCE, 1, 1001, DimseStatus::RESOURCE_LIMITATION),
    ] {
        script.send(&action(3, instance, action_type, &vec![0; length])).await;
        assert_eq!(script.status(3).await, status.0);
    }
    committer.refuses.store(true, SeqCst);
    script.send(&action(4, COMMITMENT_INSTANCE, 1, b"")).await;
    let refused = script.command().await;
    assert_eq!(refused.status(), Some(DimseStatus::INVALID_ARGUMENT_VALUE));
    assert_eq!(refused.text(tags::ERROR_COMMENT), "no transaction UID");
    let event = event_report_request(5, &uid(COMMITMENT), &uid(COMMITMENT_INSTANCE), 3);
    script.send(&data_pdu(vec![value(1, true, true, &event), value(1, false, true, b"")])).await;
    assert_eq!(script.status(5).await, DimseStatus::NO_SUCH_EVENT_TYPE.0);
    assert!(committer.asked.lock().unwrap().is_empty());
    script.release().await;
}

#[tokio::test]
async fn an_answer_to_what_was_not_asked_ends_the_association() {
    let (node, _committer) = committing();
    let mut script = associated(&node).await;
    let event = CommandSet::parse(event_report_request(9, &uid(COMMITMENT), &uid(COMMITMENT_INSTANCE), 1)).unwrap();
    script.send(&data_pdu(vec![value(1, true, true, &response(&event, DimseStatus::SUCCESS, ""))])).await;
    assert!(matches!(script.pdu().await, Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(_) })));
    node.check_alive().await;
}

#[tokio::test]
async fn the_sender_tells_a_result_as_the_provider() {
    let (node, committer) = committing();
    let config = RequestorConfig { provides: vec![uid(COMMITMENT)], ..node.requestor() };
    let mut association = Association::request(&config, &[ProposedContext::storage_commitment()]).await.unwrap();
    let result = committer.result(Ticket(1)).await.unwrap();
    assert_eq!(association.report_commitment(&result).await.unwrap(), DimseStatus::SUCCESS);
    association.release().await.unwrap();
    let heard = committer.reported.lock().unwrap();
    assert_eq!((heard[0].information.as_slice(), heard[0].calling_ae.as_str()), (&b"implicit 1"[..], "PEER"));
}

#[tokio::test]
async fn the_role_of_a_provider_is_agreed_on() {
    let (node, _committer) = committing();
    let mut script = Script::connect(node.address).await;
    let mut asked = request(vec![proposed(1, COMMITMENT, IMPLICIT)], 0);
    let role =
        UserVariableItem::ScuScpRoleSelectionSubItem(COMMITMENT.into(), RequestorRoles { scu: false, scp: true });
    asked.user_variables.push(role.clone());
    let answer = script.associate(&asked).await;
    assert!(answer.user_variables.contains(&role));
}

#[tokio::test]
async fn the_sender_asks_and_hears_the_result_on_the_same_association() {
    let (node, committer) = committing();
    let contexts = [ProposedContext::storage_commitment()];
    let mut association = Association::request(&node.requestor(), &contexts).await.unwrap();
    let asked = Information { implicit: b"asked".into(), explicit: b"".into() };
    let answer = association.ask_commitment(&asked).await.unwrap();
    assert_eq!(answer.status, DimseStatus::SUCCESS);
    let report = association.commitment_report(Duration::from_secs(20)).await.unwrap().expect("a report");
    assert_eq!((report.information.as_slice(), report.transfer_syntax.clone()), (&b"implicit 1"[..], uid(IMPLICIT)));
    association.answer_report(report, DimseStatus::SUCCESS).await.unwrap();
    assert!(association.commitment_report(Duration::from_millis(1)).await.unwrap().is_none(), "nothing more comes");
    association.release().await.unwrap();
    assert_eq!(*committer.told.lock().unwrap(), [(Ticket(1), true)]);
    assert_eq!(committer.asked.lock().unwrap()[0].transfer_syntax, Uid::new(IMPLICIT).unwrap());
}
