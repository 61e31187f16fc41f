//! The requests and responses we write (PS3.7 § 9.3, § 10.3), and the command fields we know (PS3.7 § E.1).

use dicom_dictionary_std::{tags, uids};
use dokuei_types::{AeTitle, DimseStatus, Uid};

use super::{CommandSet, CommandWriter, NO_DATA_SET};

/// Command Data Set Type of our requests that carry one; any value but 0101 would do.
const DATA_SET: u16 = 0x0001;
/// Priority (0000,0700): medium.
const MEDIUM: u16 = 0x0000;
/// The bit by which the field of a response differs from that of its request.
const RESPONSE: u16 = 0x8000;

/// What a command asks for, as far as this crate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// 0001: C-STORE-RQ.
    StoreRequest,
    /// 0030: C-ECHO-RQ.
    EchoRequest,
    /// 0FFF: C-CANCEL-RQ, which has no response.
    CancelRequest,
    /// 0100: N-EVENT-REPORT-RQ.
    EventReportRequest,
    /// 0120: N-SET-RQ.
    SetRequest,
    /// 0130: N-ACTION-RQ.
    ActionRequest,
    /// 0140: N-CREATE-RQ.
    CreateRequest,
    /// Another request.
    OtherRequest(u16),
    /// 8001: C-STORE-RSP.
    StoreResponse,
    /// 8010: C-GET-RSP.
    GetResponse,
    /// 8020: C-FIND-RSP.
    FindResponse,
    /// 8021: C-MOVE-RSP.
    MoveResponse,
    /// 8030: C-ECHO-RSP.
    EchoResponse,
    /// 8100: N-EVENT-REPORT-RSP.
    EventReportResponse,
    /// 8120: N-SET-RSP.
    SetResponse,
    /// 8130: N-ACTION-RSP.
    ActionResponse,
    /// 8140: N-CREATE-RSP.
    CreateResponse,
    /// Another response.
    OtherResponse(u16),
}

impl Field {
    /// The meaning of a Command Field (0000,0100).
    #[must_use]
    pub fn of(field: u16) -> Self {
        match field {
            0x0001 => Self::StoreRequest,
            0x0030 => Self::EchoRequest,
            0x0100 => Self::EventReportRequest,
            0x0120 => Self::SetRequest,
            0x0130 => Self::ActionRequest,
            0x0140 => Self::CreateRequest,
            0x0FFF => Self::CancelRequest,
            0x8001 => Self::StoreResponse,
            0x8010 => Self::GetResponse,
            0x8020 => Self::FindResponse,
            0x8021 => Self::MoveResponse,
            0x8030 => Self::EchoResponse,
            0x8100 => Self::EventReportResponse,
            0x8120 => Self::SetResponse,
            0x8130 => Self::ActionResponse,
            0x8140 => Self::CreateResponse,
            other if other & RESPONSE != 0 => Self::OtherResponse(other),
            other => Self::OtherRequest(other),
        }
    }
}

/// C-ECHO-RQ (PS3.7 § 9.3.5.1).
#[must_use]
pub fn echo_request(message_id: u16) -> Vec<u8> {
    let verification = Uid::new(uids::VERIFICATION).ok();
    let writer = match &verification {
        Some(uid) => CommandWriter::default().uid(tags::AFFECTED_SOP_CLASS_UID, uid),
        None => CommandWriter::default(),
    };
    writer
        .number(tags::COMMAND_FIELD, 0x0030)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .finish()
}

/// C-STORE-RQ (PS3.7 § 9.3.1.1); its data set follows.
#[must_use]
pub fn store_request(message_id: u16, sop_class: &Uid, sop_instance: &Uid) -> Vec<u8> {
    CommandWriter::default()
        .uid(tags::AFFECTED_SOP_CLASS_UID, sop_class)
        .number(tags::COMMAND_FIELD, 0x0001)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::PRIORITY, MEDIUM)
        .number(tags::COMMAND_DATA_SET_TYPE, DATA_SET)
        .uid(tags::AFFECTED_SOP_INSTANCE_UID, sop_instance)
        .finish()
}

/// C-FIND-RQ (PS3.7 § 9.3.2.1); its identifier follows.
#[must_use]
pub fn find_request(message_id: u16, model: &Uid) -> Vec<u8> {
    query_request(0x0020, message_id, model, None)
}

/// C-GET-RQ (PS3.7 § 9.3.3.1); its identifier follows.
#[must_use]
pub fn get_request(message_id: u16, model: &Uid) -> Vec<u8> {
    query_request(0x0010, message_id, model, None)
}

/// C-MOVE-RQ (PS3.7 § 9.3.4.1); its identifier follows.
#[must_use]
pub fn move_request(message_id: u16, model: &Uid, destination: &AeTitle) -> Vec<u8> {
    query_request(0x0021, message_id, model, Some(destination))
}

fn query_request(field: u16, message_id: u16, model: &Uid, destination: Option<&AeTitle>) -> Vec<u8> {
    let mut writer = CommandWriter::default()
        .uid(tags::AFFECTED_SOP_CLASS_UID, model)
        .number(tags::COMMAND_FIELD, field)
        .number(tags::MESSAGE_ID, message_id);
    if let Some(title) = destination {
        writer = writer.text(tags::MOVE_DESTINATION, title.as_str());
    }
    writer.number(tags::PRIORITY, MEDIUM).number(tags::COMMAND_DATA_SET_TYPE, DATA_SET).finish()
}

/// C-CANCEL-RQ for the C-FIND, C-GET or C-MOVE with this ID (PS3.7 § 9.3.2.3, § 9.3.3.3, § 9.3.4.3).
#[must_use]
pub fn cancel_request(message_id: u16) -> Vec<u8> {
    CommandWriter::default()
        .number(tags::COMMAND_FIELD, 0x0FFF)
        .number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .finish()
}

/// N-ACTION-RQ (PS3.7 § 10.3.4.1); its action information follows.
#[must_use]
pub fn action_request(message_id: u16, sop_class: &Uid, sop_instance: &Uid, action_type: u16) -> Vec<u8> {
    CommandWriter::default()
        .uid(tags::REQUESTED_SOP_CLASS_UID, sop_class)
        .number(tags::COMMAND_FIELD, 0x0130)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, DATA_SET)
        .uid(tags::REQUESTED_SOP_INSTANCE_UID, sop_instance)
        .number(tags::ACTION_TYPE_ID, action_type)
        .finish()
}

/// N-EVENT-REPORT-RQ (PS3.7 § 10.3.1.1); its event information follows.
#[must_use]
pub fn event_report_request(message_id: u16, sop_class: &Uid, sop_instance: &Uid, event_type: u16) -> Vec<u8> {
    CommandWriter::default()
        .uid(tags::AFFECTED_SOP_CLASS_UID, sop_class)
        .number(tags::COMMAND_FIELD, 0x0100)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, DATA_SET)
        .uid(tags::AFFECTED_SOP_INSTANCE_UID, sop_instance)
        .number(tags::EVENT_TYPE_ID, event_type)
        .finish()
}

/// N-CREATE-RQ (PS3.7 § 10.3.5.1); its attribute list follows. Without an instance the peer is to name one.
#[must_use]
pub fn create_request(message_id: u16, sop_class: &Uid, sop_instance: Option<&Uid>) -> Vec<u8> {
    let writer = CommandWriter::default()
        .uid(tags::AFFECTED_SOP_CLASS_UID, sop_class)
        .number(tags::COMMAND_FIELD, 0x0140)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, DATA_SET);
    match sop_instance {
        Some(uid) => writer.uid(tags::AFFECTED_SOP_INSTANCE_UID, uid).finish(),
        None => writer.finish(),
    }
}

/// N-SET-RQ (PS3.7 § 10.3.3.1); its modification list follows.
#[must_use]
pub fn set_request(message_id: u16, sop_class: &Uid, sop_instance: &Uid) -> Vec<u8> {
    CommandWriter::default()
        .uid(tags::REQUESTED_SOP_CLASS_UID, sop_class)
        .number(tags::COMMAND_FIELD, 0x0120)
        .number(tags::MESSAGE_ID, message_id)
        .number(tags::COMMAND_DATA_SET_TYPE, DATA_SET)
        .uid(tags::REQUESTED_SOP_INSTANCE_UID, sop_instance)
        .finish()
}

/// What a response says beside the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Status (0000,0900).
    pub status: DimseStatus,
    /// Error Comment (0000,0902); left out when empty.
    pub comment: &'a str,
    /// Error ID (0000,0903).
    pub error_id: Option<u16>,
    /// Affected SOP Instance UID (0000,1000), where the request has none.
    pub sop_instance: Option<&'a Uid>,
}

impl<'a> Answer<'a> {
    /// Just this status and comment.
    #[must_use]
    pub fn new(status: DimseStatus, comment: &'a str) -> Self {
        Self { status, comment, error_id: None, sop_instance: None }
    }

    /// The response to a request, without a data set. Affected SOP Class and Instance are those of the
    /// request, where it has them (those it requested, for N-ACTION and N-SET: PS3.7 § 10.3.4.2, § 10.3.3.2), and so are
    /// the types of an event and an action.
    #[must_use]
    pub fn to(&self, request: &CommandSet) -> Vec<u8> {
        let mut writer = CommandWriter::default();
        let named = |affected, requested| request.uid(affected).or_else(|| request.uid(requested));
        if let Some(uid) = named(tags::AFFECTED_SOP_CLASS_UID, tags::REQUESTED_SOP_CLASS_UID) {
            writer = writer.uid(tags::AFFECTED_SOP_CLASS_UID, &uid);
        }
        writer = writer
            .number(tags::COMMAND_FIELD, request.field() | RESPONSE)
            .number(tags::MESSAGE_ID_BEING_RESPONDED_TO, request.message_id().unwrap_or(0))
            .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
            .number(tags::STATUS, self.status.0);
        if !self.comment.is_empty() {
            writer = writer.text(tags::ERROR_COMMENT, self.comment);
        }
        if let Some(number) = self.error_id {
            writer = writer.number(tags::ERROR_ID, number);
        }
        let instance = named(tags::AFFECTED_SOP_INSTANCE_UID, tags::REQUESTED_SOP_INSTANCE_UID);
        if let Some(uid) = instance.as_ref().or(self.sop_instance) {
            writer = writer.uid(tags::AFFECTED_SOP_INSTANCE_UID, uid);
        }
        for tag in [tags::EVENT_TYPE_ID, tags::ACTION_TYPE_ID] {
            if let Some(number) = request.number(tag) {
                writer = writer.number(tag, number);
            }
        }
        writer.finish()
    }
}

/// The response of just this status and comment; see [`Answer::to`].
#[must_use]
pub fn response(request: &CommandSet, status: DimseStatus, comment: &str) -> Vec<u8> {
    Answer::new(status, comment).to(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_what_it_answers() {
        let (class, instance) = (Uid::new("1.2.3").unwrap(), Uid::new("1.2.3.4").unwrap());
        let request = CommandSet::parse(store_request(77, &class, &instance)).unwrap();
        assert_eq!((Field::of(request.field()), request.has_data_set()), (Field::StoreRequest, true));
        let answer = CommandSet::parse(response(&request, DimseStatus::OUT_OF_RESOURCES, "no room")).unwrap();
        assert_eq!(Field::of(answer.field()), Field::StoreResponse);
        assert_eq!((answer.responds_to(), answer.has_data_set()), (Some(77), false));
        assert_eq!(answer.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(instance));
        assert_eq!(answer.text(tags::ERROR_COMMENT), "no room");
    }

    #[test]
    fn a_response_to_an_action_or_an_event_names_its_instance_and_type() {
        let (class, instance) = (Uid::new("1.2.3").unwrap(), Uid::new("1.2.3.4").unwrap());
        for (request, field, kind) in [
            (action_request(5, &class, &instance, 1), Field::ActionResponse, tags::ACTION_TYPE_ID),
            (event_report_request(5, &class, &instance, 2), Field::EventReportResponse, tags::EVENT_TYPE_ID),
        ] {
            let request = CommandSet::parse(request).unwrap();
            assert!(request.has_data_set());
            let answer = CommandSet::parse(response(&request, DimseStatus::SUCCESS, "")).unwrap();
            assert_eq!((Field::of(answer.field()), answer.responds_to()), (field, Some(5)));
            assert_eq!(answer.uid(tags::AFFECTED_SOP_CLASS_UID), Some(class.clone()));
            assert_eq!(answer.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(instance.clone()));
            assert_eq!(answer.number(kind), request.number(kind));
        }
    }

    #[test]
    fn a_response_names_the_instance_that_was_created_or_set() {
        let (class, instance, given) = (Uid::new("1.2.3").unwrap(), Uid::new("1.2.3.4").unwrap(), Uid::random());
        for (request, field, named) in [
            (create_request(5, &class, Some(&instance)), Field::CreateResponse, &instance),
            (create_request(5, &class, None), Field::CreateResponse, &given),
            (set_request(5, &class, &instance), Field::SetResponse, &instance),
        ] {
            let request = CommandSet::parse(request).unwrap();
            assert!(request.has_data_set());
            let status = DimseStatus::PROCESSING_FAILURE;
            let answer = Answer { status, comment: "no", error_id: Some(0xA710), sop_instance: Some(&given) };
            let answer = CommandSet::parse(answer.to(&request)).unwrap();
            assert_eq!((Field::of(answer.field()), answer.responds_to()), (field, Some(5)));
            assert_eq!(answer.uid(tags::AFFECTED_SOP_CLASS_UID), Some(class.clone()));
            assert_eq!(answer.uid(tags::AFFECTED_SOP_INSTANCE_UID).as_ref(), Some(named));
            assert_eq!(answer.number(tags::ERROR_ID), Some(0xA710));
        }
    }

    #[test]
    fn a_query_names_its_model_and_a_cancellation_what_it_cancels() {
        let (model, destination) = (Uid::new("1.2.3").unwrap(), AeTitle::new("DOKUEI").unwrap());
        for (request, field, to) in [
            (find_request(9, &model), 0x0020, ""),
            (get_request(9, &model), 0x0010, ""),
            (move_request(9, &model, &destination), 0x0021, "DOKUEI"),
        ] {
            let request = CommandSet::parse(request).unwrap();
            assert_eq!((request.field(), request.message_id(), request.has_data_set()), (field, Some(9), true));
            assert_eq!(request.uid(tags::AFFECTED_SOP_CLASS_UID), Some(model.clone()));
            assert_eq!(request.text(tags::MOVE_DESTINATION), to);
        }
        let cancel = CommandSet::parse(cancel_request(9)).unwrap();
        assert_eq!(Field::of(cancel.field()), Field::CancelRequest);
        assert_eq!((cancel.responds_to(), cancel.has_data_set()), (Some(9), false));
    }
}
