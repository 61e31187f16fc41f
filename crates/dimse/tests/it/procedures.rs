//! Performed procedure steps and available instances (PS3.4 Annexes F and R), as the listener hears of them.

use std::sync::{Arc, Mutex};

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::PresentationContextResultReason as Reason;
use dokuei_dimse::message::{Field, create_request, echo_request, set_request};
use dokuei_dimse::{Notice, Pending, ProcedureService, Refusal};
use dokuei_types::{DimseStatus, Uid};

use crate::support::{CT, EXPLICIT, Memory, Node, Script, data_pdu, proposed, request, store_pdus, uid, value};

const STEP: &str = uids::MODALITY_PERFORMED_PROCEDURE_STEP;
const AVAILABILITY: &str = uids::INSTANCE_AVAILABILITY_NOTIFICATION;
const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
/// The instance that is given where the peer leaves it to the node.
const GIVEN: &str = "2.25.7";

/// Remembers what it heard; a step that was set is final.
#[derive(Debug, Default)]
struct Listener {
    created: Mutex<Vec<Notice>>,
    set: Mutex<Vec<Notice>>,
}

impl ProcedureService for Listener {
    fn create(&self, notice: Notice) -> Pending<Result<Uid, Refusal>> {
        let instance = notice.sop_instance.clone().unwrap_or_else(|| uid(GIVEN));
        self.created.lock().unwrap().push(notice);
        Box::pin(std::future::ready(Ok(instance)))
    }

    fn set(&self, notice: Notice) -> Pending<Result<(), Refusal>> {
        let mut set = self.set.lock().unwrap();
        let answer = match set.is_empty() {
            true => Ok(()),
            false => Err(Refusal::new(DimseStatus::PROCESSING_FAILURE, "it is final").with_error_id(0xA710)),
        };
        set.push(notice);
        Box::pin(std::future::ready(answer))
    }
}

fn listening() -> (Node, Arc<Listener>) {
    let listener = Arc::new(Listener::default());
    let service = listener.clone();
    let node = Node::start(|config| {
        config.procedures = Some(service);
        config.limits.information_bytes = 1000;
    });
    (node, listener)
}

/// Associated with steps in context 1, notifications in 3, images in 5 and Verification in 7.
async fn associated(node: &Node) -> Script {
    let mut script = Script::connect(node.address).await;
    let contexts = [(1, STEP), (3, AVAILABILITY), (5, CT), (7, uids::VERIFICATION)];
    let contexts = contexts.map(|(id, class)| proposed(id, class, EXPLICIT));
    let answer = script.associate(&request(contexts.to_vec(), 0)).await;
    assert!(answer.presentation_contexts.iter().all(|context| context.reason == Reason::Acceptance));
    script
}

fn message(context: u8, command: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = data_pdu(vec![value(context, true, true, command)]);
    bytes.extend(data_pdu(vec![value(context, false, true, data)]));
    bytes
}

#[tokio::test]
async fn a_step_is_created_and_set_and_what_is_final_is_said_with_its_error_id() {
    let (node, listener) = listening();
    let mut script = associated(&node).await;
    script.send(&message(1, &create_request(1, &uid(STEP), Some(&uid("1.2.3"))), b"begins")).await;
    let created = script.command().await;
    assert_eq!((Field::of(created.field()), created.responds_to()), (Field::CreateResponse, Some(1)));
    assert_eq!(created.status(), Some(DimseStatus::SUCCESS));
    assert_eq!(created.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(uid("1.2.3")));
    script.send(&message(1, &set_request(2, &uid(STEP), &uid("1.2.3")), b"ends")).await;
    let set = script.command().await;
    assert_eq!((Field::of(set.field()), set.status()), (Field::SetResponse, Some(DimseStatus::SUCCESS)));
    assert_eq!(set.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(uid("1.2.3")));
    script.send(&message(1, &set_request(3, &uid(STEP), &uid("1.2.3")), b"again")).await;
    let refused = script.command().await;
    assert_eq!(refused.status(), Some(DimseStatus::PROCESSING_FAILURE));
    assert_eq!(
        (refused.number(tags::ERROR_ID), refused.text(tags::ERROR_COMMENT)),
        (Some(0xA710), "it is final".into())
    );
    script.release().await;
    let (created, set) = (listener.created.lock().unwrap(), listener.set.lock().unwrap());
    assert_eq!((created[0].information.as_slice(), created[0].sop_class.clone()), (&b"begins"[..], uid(STEP)));
    assert_eq!((set[0].information.as_slice(), set[0].sop_instance.clone()), (&b"ends"[..], Some(uid("1.2.3"))));
    assert_eq!((set[0].calling_ae.as_str(), set[0].transfer_syntax.as_str()), ("PEER", EXPLICIT));
}

#[tokio::test]
async fn an_instance_that_the_peer_does_not_name_is_given_one() {
    let (node, listener) = listening();
    let mut script = associated(&node).await;
    script.send(&message(3, &create_request(1, &uid(AVAILABILITY), None), b"available")).await;
    let created = script.command().await;
    assert_eq!(created.status(), Some(DimseStatus::SUCCESS));
    assert_eq!(created.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(uid(GIVEN)));
    assert_eq!(listener.created.lock().unwrap()[0].sop_instance, None);
}

#[tokio::test]
async fn what_is_not_of_the_service_is_refused_with_its_status_and_the_association_goes_on() {
    let (node, listener) = listening();
    let mut script = associated(&node).await;
    let step = uid("1.2.3");
    let mut no_uid = create_request(1, &uid(STEP), Some(&uid("1.2.999")));
    let at = no_uid.windows(3).position(|bytes| bytes == b"999").unwrap();
    no_uid[at] = b'x';
    for (context, command, length, status) in [
        (1, create_request(1, &uid(AVAILABILITY), None), 10, DimseStatus::NO_SUCH_SOP_CLASS),
        (1, set_request(1, &uid(CT), &step), 10, DimseStatus::NO_SUCH_SOP_CLASS),
        (1, no_uid, 10, DimseStatus::INVALID_SOP_INSTANCE),
        (1, create_request(1, &uid(STEP), None), 1001, DimseStatus::RESOURCE_LIMITATION),
        // A notification is never set, an image never created, and Verification has neither.
        (3, set_request(1, &uid(AVAILABILITY), &step), 10, DimseStatus::UNRECOGNIZED_OPERATION),
        (5, create_request(1, &uid(CT), Some(&step)), 10, DimseStatus::UNRECOGNIZED_OPERATION),
        (7, set_request(1, &uid(STEP), &step), 10, DimseStatus::UNRECOGNIZED_OPERATION),
    ] {
        script.send(&message(context, &command, &vec![0; length])).await;
        assert_eq!(script.status(1).await, status.0, "context {context}, {length} bytes");
    }
    // Nor is anything stored there.
    script.send(&store_pdus(1, 2, "1.2.3.4", b"an image")).await;
    assert_eq!(script.status(2).await, DimseStatus::SOP_CLASS_NOT_SUPPORTED.0);
    script.send(&data_pdu(vec![value(7, true, true, &echo_request(3))])).await;
    assert_eq!(script.status(3).await, 0);
    assert!(listener.created.lock().unwrap().is_empty() && listener.set.lock().unwrap().is_empty());
    script.release().await;
}

#[tokio::test]
async fn steps_are_heard_by_a_node_without_room_for_images() {
    let listener = Arc::new(Listener::default());
    let service = listener.clone();
    let memory = Memory::default();
    memory.congested.store(true, std::sync::atomic::Ordering::SeqCst);
    let node = Node::with(memory, |config| config.procedures = Some(service));
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(vec![proposed(1, STEP, IMPLICIT)], 0)).await;
    assert_eq!(answer.presentation_contexts[0].transfer_syntax, IMPLICIT);
    script.send(&message(1, &create_request(1, &uid(STEP), None), b"begins")).await;
    assert_eq!(script.status(1).await, 0);
}

#[tokio::test]
async fn where_nobody_listens_the_contexts_are_refused_and_so_is_what_cannot_be_read() {
    let node = Node::start(|_| {});
    let mut script = Script::connect(node.address).await;
    let answer =
        script.associate(&request(vec![proposed(1, STEP, EXPLICIT), proposed(3, AVAILABILITY, EXPLICIT)], 0)).await;
    assert!(answer.presentation_contexts.iter().all(|context| context.reason == Reason::AbstractSyntaxNotSupported));
    let (node, _listener) = listening();
    let mut script = Script::connect(node.address).await;
    let answer = script.associate(&request(vec![proposed(1, STEP, uids::JPEG2000)], 0)).await;
    assert_eq!(answer.presentation_contexts[0].reason, Reason::TransferSyntaxesNotSupported);
}
