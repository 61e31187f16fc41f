//! Damaged messages: an answer each time, and the same one however they are cut.

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, RequestorRoles, UserIdentity, UserIdentityType, UserVariableItem,
};
use dokuei_dimse::COMMITMENT_INSTANCE;
use dokuei_dimse::message::{
    CommandSet, CommandWriter, NO_DATA_SET, action_request, cancel_request, create_request, echo_request,
    event_report_request, find_request, move_request, response, set_request, store_request,
};
use dokuei_testkit::mutated;
use dokuei_types::DimseStatus;

use crate::property::{self, CALLED};
use crate::support::{CT, EXPLICIT, ae, bytes_of, data_pdu, store_pdus, uid, value};

fn commands() -> Vec<Vec<u8>> {
    let store = store_request(7, &uid(CT), &uid("1.2.3.4"));
    let request = CommandSet::parse(store.clone()).unwrap();
    let (class, instance) = (uid(uids::STORAGE_COMMITMENT_PUSH_MODEL), uid(COMMITMENT_INSTANCE));
    let model = uid(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE);
    let moved = CommandWriter::default()
        .uid(tags::AFFECTED_SOP_CLASS_UID, &model)
        .number(tags::COMMAND_FIELD, 0x8021)
        .number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 5)
        .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .number(tags::STATUS, 0xFF00)
        .number(tags::NUMBER_OF_REMAINING_SUBOPERATIONS, 9)
        .number(tags::NUMBER_OF_COMPLETED_SUBOPERATIONS, 1)
        .finish();
    vec![
        store,
        find_request(5, &model),
        move_request(5, &model, &ae("DOKUEI")),
        moved,
        cancel_request(5),
        echo_request(1),
        response(&request, DimseStatus::OUT_OF_RESOURCES, "no room"),
        action_request(3, &class, &instance, 1),
        event_report_request(4, &class, &instance, 2),
        create_request(6, &uid(uids::MODALITY_PERFORMED_PROCEDURE_STEP), Some(&uid("1.2.3.4"))),
        create_request(6, &uid(uids::INSTANCE_AVAILABILITY_NOTIFICATION), None),
        set_request(7, &uid(uids::MODALITY_PERFORMED_PROCEDURE_STEP), &uid("1.2.3.4")),
    ]
}

fn streams() -> Vec<Vec<u8>> {
    let store = store_request(7, &uid(CT), &uid("1.2.3.4"));
    let echo = data_pdu(vec![value(3, true, true, &echo_request(1))]);
    let (begin, end) = store.split_at(40);
    // Many values in a PDU, command and data together, empty ones, a command in two.
    let together = data_pdu(vec![
        value(1, true, false, begin),
        value(1, true, false, b""),
        value(1, true, true, end),
        value(1, false, false, &[7; 200]),
        value(1, false, true, b""),
    ]);
    let released = [&echo[..], &bytes_of(&Pdu::ReleaseRQ)].concat();
    let streams = [store_pdus(1, 1, "1.2.3", &[7; 1000]), together, released];
    streams.into_iter().map(|stream| [&[6], &stream[..]].concat()).collect()
}

fn requests() -> Vec<Vec<u8>> {
    let context = |id, abstract_syntax: &str| PresentationContextProposed {
        id,
        abstract_syntax: abstract_syntax.to_owned(),
        transfer_syntaxes: vec![EXPLICIT.to_owned(), uids::JPEG2000_LOSSLESS.to_owned(), "1.2.3.4.5".to_owned()],
    };
    let identity = UserIdentity::new(true, UserIdentityType::UsernamePassword, b"user".to_vec(), b"secret".to_vec());
    let plain = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "CR_ROOM_1".into(),
        called_ae_title: CALLED.into(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.into(),
        presentation_contexts: vec![context(1, uids::VERIFICATION), context(3, CT), context(5, "1.2.840.99999.1")],
        user_variables: vec![
            UserVariableItem::MaxLength(16_384),
            UserVariableItem::ImplementationClassUID("1.2.3.4".into()),
            UserVariableItem::ImplementationVersionName("PEER".into()),
            UserVariableItem::ScuScpRoleSelectionSubItem(CT.into(), RequestorRoles { scu: true, scp: true }),
            // Asynchronous operations window (PS3.7 § D.3.3.3).
            UserVariableItem::Unknown(0x53, vec![0, 4, 0, 4]),
            UserVariableItem::UserIdentityItem(identity),
        ],
    };
    let many = AssociationRQ {
        presentation_contexts: (0..128).map(|number| context(number * 2 + 1, CT)).collect(),
        ..plain.clone()
    };
    [plain, many].map(|request| bytes_of(&Pdu::AssociationRQ(request))[6..].to_vec()).into()
}

#[test]
fn damaged_command_sets_are_refused_or_answered() {
    mutated("command", &commands(), 5000, property::command);
}

#[test]
fn damaged_streams_say_the_same_in_any_pieces() {
    assert!(streams().iter().all(|input| property::is_sound(input)));
    mutated("pdu_stream", &streams(), 3000, property::pdu_stream);
}

#[test]
fn damaged_association_requests_are_refused_or_answered() {
    mutated("association", &requests(), 600, property::association);
}
