//! Properties of everything that reads bytes.

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, MAXIMUM_PDU_SIZE, PDataValue, Pdu, PresentationContextProposed,
    PresentationContextResult, PresentationContextResultReason, RequestorRoles, UserIdentity, UserIdentityType,
    UserVariableItem, read_pdu,
};
use dokuei_dimse::message::{Assembler, CommandSet};
use dokuei_dimse::pdu::{Event, Framer, PduKind, read_accept, read_request};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{bytes_of, data_pdu, value};

fn data_value() -> impl Strategy<Value = PDataValue> {
    let length = prop_oneof![0..8usize, 0..700usize];
    (any::<u8>(), any::<bool>(), any::<bool>(), length, any::<u8>()).prop_map(
        |(context, is_command, is_last, length, fill)| value(context, is_command, is_last, &vec![fill; length]),
    )
}

/// Feeds `stream` in pieces of the given sizes and puts the fragments together into values.
fn framed(stream: &[u8], pieces: &[usize], capacity: usize) -> (Vec<PDataValue>, Vec<PduKind>) {
    let mut framer = Framer::new(u32::MAX, capacity);
    let (mut values, mut controls) = (Vec::new(), Vec::new());
    let mut current: Vec<u8> = Vec::new();
    let (mut rest, mut pieces) = (stream, pieces.iter().cycle());
    loop {
        while let Some(event) = framer.next().unwrap() {
            match event {
                Event::Fragment(fragment) => {
                    current.extend_from_slice(fragment.bytes);
                    assert!(fragment.ends_value || !fragment.ends_set);
                    if fragment.ends_value {
                        let data = std::mem::take(&mut current);
                        values.push(value(fragment.context, fragment.is_command, fragment.ends_set, &data));
                    }
                }
                Event::Control { kind, .. } => controls.push(kind),
                Event::Foreign(kind) => panic!("{kind}"),
            }
        }
        if rest.is_empty() {
            assert!(framer.is_between_pdus());
            return (values, controls);
        }
        let space = framer.space();
        let count = (*pieces.next().unwrap()).min(space.len()).min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        framer.filled(count);
        rest = &rest[count..];
    }
}

fn item_text() -> impl Strategy<Value = String> {
    "[0-9][0-9.]{0,30}[0-9]"
}

fn user_variables() -> impl Strategy<Value = Vec<UserVariableItem>> {
    let one = prop_oneof![
        any::<u32>().prop_map(UserVariableItem::MaxLength),
        item_text().prop_map(UserVariableItem::ImplementationClassUID),
        "[A-Z0-9_]{1,16}".prop_map(UserVariableItem::ImplementationVersionName),
        (item_text(), any::<bool>(), any::<bool>())
            .prop_map(|(uid, scu, scp)| UserVariableItem::ScuScpRoleSelectionSubItem(uid, RequestorRoles { scu, scp })),
        any::<[u8; 4]>().prop_map(|bytes| UserVariableItem::Unknown(0x53, bytes.to_vec())),
        (item_text(), vec(any::<u8>(), 0..20))
            .prop_map(|(uid, bytes)| UserVariableItem::SopClassExtendedNegotiationSubItem(uid, bytes)),
        (any::<bool>(), vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..20)).prop_map(|(response, name, passcode)| {
            let identity = UserIdentity::new(response, UserIdentityType::UsernamePassword, name, passcode);
            UserVariableItem::UserIdentityItem(identity)
        }),
        vec(any::<u8>(), 0..20).prop_map(|bytes| UserVariableItem::Unknown(0x59, bytes)),
    ];
    vec(one, 0..6)
}

/// Mostly few, since a great many take long to make.
fn few_or_many<S: Strategy + 'static>(one: S) -> impl Strategy<Value = Vec<S::Value>> {
    let one = one.boxed();
    prop_oneof![9 => vec(one.clone(), 0..4), 1 => vec(one, 128)]
}

fn association_request() -> impl Strategy<Value = AssociationRQ> {
    let context =
        (any::<u8>(), item_text(), vec(item_text(), 1..4)).prop_map(|(id, abstract_syntax, transfer_syntaxes)| {
            PresentationContextProposed { id, abstract_syntax, transfer_syntaxes }
        });
    ("[A-Z]{1,16}", "[A-Z]{1,16}", any::<u16>(), few_or_many(context), user_variables()).prop_map(
        |(calling, called, protocol_version, presentation_contexts, user_variables)| AssociationRQ {
            protocol_version,
            calling_ae_title: calling,
            called_ae_title: called,
            application_context_name: "1.2.840.10008.3.1.1.1".into(),
            presentation_contexts,
            user_variables,
        },
    )
}

fn association_accept() -> impl Strategy<Value = AssociationAC> {
    use PresentationContextResultReason as Reason;
    let reason = prop::sample::select(vec![
        Reason::Acceptance,
        Reason::UserRejection,
        Reason::NoReason,
        Reason::AbstractSyntaxNotSupported,
        Reason::TransferSyntaxesNotSupported,
    ]);
    let context = (any::<u8>(), reason, item_text())
        .prop_map(|(id, reason, transfer_syntax)| PresentationContextResult { id, reason, transfer_syntax });
    (few_or_many(context), user_variables()).prop_map(|(presentation_contexts, user_variables)| AssociationAC {
        protocol_version: 1,
        calling_ae_title: "CALLING".into(),
        called_ae_title: "CALLED".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts,
        user_variables,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_framer_gives_what_an_independent_reader_gives(
        pdus in vec(vec(data_value(), 0..5), 0..6),
        pieces in vec(prop_oneof![Just(1usize), 1..40usize, 1..3000usize], 1..20),
        capacity in prop_oneof![Just(16usize), 16..300usize, Just(1 << 16)],
    ) {
        let mut stream: Vec<u8> = pdus.iter().flat_map(|values| data_pdu(values.clone())).collect();
        stream.extend(bytes_of(&Pdu::ReleaseRQ));
        let mut independent = Vec::new();
        let mut rest = stream.as_slice();
        while let Some(pdu) = read_pdu(&mut rest, MAXIMUM_PDU_SIZE, true).unwrap() {
            if let Pdu::PData { data } = pdu {
                independent.extend(data);
            }
        }
        let (values, controls) = framed(&stream, &pieces, capacity);
        prop_assert_eq!(values, independent);
        prop_assert_eq!(controls, vec![PduKind::ReleaseRequest]);
    }

    #[test]
    fn association_requests_are_read_as_they_were_written(request in association_request()) {
        let bytes = bytes_of(&request.clone().into());
        prop_assert_eq!(read_request(&bytes[6..]), Ok(request));
    }

    #[test]
    fn association_answers_are_read_as_they_were_written(accept in association_accept()) {
        let bytes = bytes_of(&accept.clone().into());
        prop_assert_eq!(read_accept(&bytes[6..]), Ok(accept));
    }

    #[test]
    fn changed_association_requests_are_read_or_refused(
        request in association_request(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes_of(&request.into())[6..].to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        drop(read_request(&bytes));
        drop(read_accept(&bytes));
        drop(read_request(&bytes[..cut.index(bytes.len())]));
    }

    #[test]
    fn any_bytes_are_framed_or_refused(
        start in prop::sample::select(vec![vec![], vec![4, 0, 0, 0], vec![4, 0, 0, 0, 1, 0, 0, 0, 0], vec![7, 0, 0, 0, 0, 4]]),
        noise in vec(any::<u8>(), 0..600),
        limit in prop_oneof![Just(0u32), 0..512u32, Just(u32::MAX)],
    ) {
        let stream = [start, noise].concat();
        let mut framer = Framer::new(limit, 64);
        let mut assembler = Assembler::new((0..=255).collect(), 256);
        let mut rest = stream.as_slice();
        'stream: loop {
            loop {
                match framer.next() {
                    Ok(Some(Event::Fragment(fragment))) => if assembler.accept(fragment).is_err() { break 'stream },
                    Ok(Some(Event::Control { .. })) => {}
                    Ok(Some(Event::Foreign(_))) | Err(_) => break 'stream,
                    Ok(None) => break,
                }
            }
            if rest.is_empty() { break }
            let space = framer.space();
            prop_assert!(!space.is_empty(), "the framer would wait for bytes it has no room for");
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            framer.filled(count);
            rest = &rest[count..];
        }
    }

    #[test]
    fn any_bytes_are_a_command_set_or_refused(noise in vec(any::<u8>(), 0..200), tame in any::<bool>()) {
        let mut bytes = noise;
        if tame {
            // Group 0000 and short lengths, so that more than the first element is looked at.
            for chunk in bytes.chunks_mut(12) {
                for index in [0, 1, 5, 6, 7] {
                    if let Some(byte) = chunk.get_mut(index) { *byte = 0 }
                }
                if let Some(length) = chunk.get_mut(4) { *length = 4 }
            }
        }
        if let Ok(set) = CommandSet::parse(bytes) {
            let _text = set.text(dicom_dictionary_std::tags::ERROR_COMMENT);
            let _uid = set.uid(dicom_dictionary_std::tags::AFFECTED_SOP_INSTANCE_UID);
        }
    }
}

/// dicom-ul reads these as errors, which is why our own reader exists; if this fails, look again.
#[test]
fn an_unknown_item_is_still_refused_by_the_library() {
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "A".into(),
        called_ae_title: "B".into(),
        application_context_name: "1.2".into(),
        presentation_contexts: vec![],
        user_variables: vec![],
    };
    let mut bytes = bytes_of(&request.into());
    bytes.extend([0x77, 0, 0, 2, 1, 2]);
    bytes[5] += 6;
    assert!(read_pdu(&mut bytes.as_slice(), MAXIMUM_PDU_SIZE, true).is_err());
    assert!(read_request(&bytes[6..]).is_ok());
}
