//! C-STORE and C-ECHO from peers that keep to the standard, in all the ways it allows.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dokuei_dimse::message::{CommandSet, CommandWriter, NO_DATA_SET, store_request};
use dokuei_dimse::{Association, ProposedContext, StoreItem};
use dokuei_types::DimseStatus;

use crate::support::{
    CT, EXPLICIT, Kept, Node, Script, data_pdu, pattern, proposed, request, store_pdus, uid, until, value,
};

fn kept(instance: &str, data: &[u8]) -> Kept {
    Kept { sop_class: uid(CT), sop_instance: uid(instance), transfer_syntax: uid(EXPLICIT), data: data.to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_cut_anywhere() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    let command = store_request(1, &uid(CT), &uid("1.2.1"));
    let (begin, end) = command.split_at(11);

    // Everything in one PDU, with empty values and an odd one.
    script
        .send(&data_pdu(vec![
            value(1, true, false, begin),
            value(1, true, false, b""),
            value(1, true, true, end),
            value(1, false, false, b""),
            value(1, false, false, b"abc"),
            value(1, false, true, b""),
        ]))
        .await;
    assert_eq!(script.status(1).await, 0);

    // A byte at a time, two messages without waiting for the first answer.
    let two = [store_pdus(1, 2, "1.2.2", b"second"), store_pdus(1, 3, "1.2.3", b"third")].concat();
    for byte in two {
        script.send(&[byte]).await;
    }
    assert_eq!(script.status(2).await, 0);
    assert_eq!(script.status(3).await, 0);
    script.release().await;
    assert_eq!(node.memory.kept(), [kept("1.2.1", b"abc"), kept("1.2.2", b"second"), kept("1.2.3", b"third")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_maximum_length_of_a_peer_is_kept_to() {
    let node = Node::start(|_| {});
    for maximum in [0, 8, 9, 12, 128, 1 << 31, u32::MAX] {
        let mut script = Script::connect(node.address).await;
        script.associate(&request(vec![proposed(1, CT, EXPLICIT)], maximum)).await;
        script.send(&store_pdus(1, 1, "1.2.3", b"data")).await;
        let mut answer = Vec::new();
        loop {
            let pdu = script.bytes().await.unwrap();
            assert!(maximum == 0 || pdu.len() <= 6 + maximum as usize, "{maximum}: {pdu:02X?}");
            assert!(pdu.len() % 2 == 0, "fragments are even");
            answer.extend_from_slice(&pdu[12..]);
            if pdu[11] & 2 != 0 {
                break;
            }
        }
        assert_eq!(CommandSet::parse(answer).unwrap().status(), Some(DimseStatus::SUCCESS), "{maximum}");
        script.release().await;
    }
}

/// A data set of some size in values of one byte each, with empty ones between, as many to a PDU as fit.
#[tokio::test(flavor = "multi_thread")]
async fn values_may_be_as_many_and_as_short_as_a_pdu_allows() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    let data = pattern(3, 5001);
    let mut stream = data_pdu(vec![value(1, true, true, &store_request(1, &uid(CT), &uid("1.2.1")))]);
    for bytes in data.chunks(500) {
        let mut values: Vec<_> = bytes.iter().map(|byte| value(1, false, false, &[*byte])).collect();
        values.push(value(1, false, false, b""));
        stream.extend(data_pdu(values));
    }
    stream.extend(data_pdu(vec![value(1, false, true, b"")]));
    script.send(&stream).await;
    assert_eq!(script.status(1).await, 0);
    script.release().await;
    assert_eq!(node.memory.kept(), [kept("1.2.1", &data)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_may_share_a_pdu_and_a_pdu_may_be_empty() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    let command = |id, instance| value(1, true, true, &store_request(id, &uid(CT), &uid(instance)));
    let shared = data_pdu(vec![
        command(1, "1.2.1"),
        value(1, false, true, b"one"),
        command(2, "1.2.2"),
        value(1, false, true, b"two"),
    ]);
    let empty = [4, 0, 0, 0, 0, 0];
    script.send(&[&empty[..], &shared, &empty].concat()).await;
    assert_eq!(script.status(1).await, 0);
    assert_eq!(script.status(2).await, 0);
    script.release().await;
    assert_eq!(node.memory.kept(), [kept("1.2.1", b"one"), kept("1.2.2", b"two")]);
}

/// What it is, presentation context, command set, data set, status expected.
type Case<'a> = (&'a str, u8, Vec<u8>, &'a [u8], u16);

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_status_and_the_association_goes_on() {
    let node = Node::start(|config| config.limits.instance_size = 1000);
    let mut script = Script::connect(node.address).await;
    let contexts = vec![
        proposed(1, CT, EXPLICIT),
        proposed(3, uids::MR_IMAGE_STORAGE, EXPLICIT),
        proposed(5, uids::VERIFICATION, EXPLICIT),
    ];
    script.associate(&request(contexts, 0)).await;
    let with_data = |writer: CommandWriter| {
        writer.number(tags::COMMAND_FIELD, 1).number(tags::MESSAGE_ID, 7).number(tags::COMMAND_DATA_SET_TYPE, 0)
    };
    let class = |writer: CommandWriter, class: &str| writer.uid(tags::AFFECTED_SOP_CLASS_UID, &uid(class));
    let instance = |writer: CommandWriter| writer.uid(tags::AFFECTED_SOP_INSTANCE_UID, &uid("1.2.3"));
    let new = CommandWriter::default;
    let whole = instance(with_data(class(new(), CT)));

    let cases: [Case<'_>; 7] = [
        ("class of another context", 3, instance(with_data(class(new(), CT))).finish(), b"x", 0x0122),
        ("class that is no storage", 5, instance(with_data(class(new(), uids::VERIFICATION))).finish(), b"x", 0x0122),
        ("no class", 1, instance(with_data(new())).finish(), b"x", 0x0122),
        ("no instance", 1, with_data(class(new(), CT)).finish(), b"x", 0x0117),
        (
            "an instance that is a path",
            1,
            with_data(class(new(), CT)).text(tags::AFFECTED_SOP_INSTANCE_UID, "../../etc/passwd").finish(),
            b"x",
            0x0117,
        ),
        ("an empty data set", 1, instance(with_data(class(new(), CT))).finish(), b"", 0xC000),
        ("too large", 1, whole.finish(), &[0; 1001], 0xA700),
    ];
    for (what, context, command, data, status) in cases {
        script.send(&data_pdu(vec![value(context, true, true, &command)])).await;
        script.send(&data_pdu(vec![value(context, false, true, data)])).await;
        let response = script.command().await;
        assert_eq!(response.status(), Some(DimseStatus(status)), "{what}");
        assert!(!response.text(tags::ERROR_COMMENT).is_empty(), "{what}");
    }

    let no_data = new().uid(tags::AFFECTED_SOP_CLASS_UID, &uid(CT)).number(tags::COMMAND_FIELD, 1);
    let no_data = instance(no_data.number(tags::MESSAGE_ID, 8).number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET));
    script.send(&data_pdu(vec![value(1, true, true, &no_data.finish())])).await;
    assert_eq!(script.status(8).await, 0xC000);

    node.memory.refuse_begin.store(true, SeqCst);
    script.send(&store_pdus(1, 9, "1.2.3", &[0; 500])).await;
    let response = script.command().await;
    assert_eq!(response.status(), Some(DimseStatus::OUT_OF_RESOURCES));
    assert_eq!(response.text(tags::ERROR_COMMENT), "disk is full");
    assert_eq!(response.uid(tags::AFFECTED_SOP_INSTANCE_UID), Some(uid("1.2.3")));

    // Out of room in the middle: what was begun is discarded while the rest is still on its way.
    node.memory.refuse_begin.store(false, SeqCst);
    node.memory.room.store(10, SeqCst);
    let discarded = node.memory.discarded.load(SeqCst);
    let command = store_request(10, &uid(CT), &uid("1.2.4"));
    script.send(&data_pdu(vec![value(1, true, true, &command), value(1, false, false, &[0; 11])])).await;
    until("the instance is discarded", || node.memory.discarded.load(SeqCst) == discarded + 1).await;
    script.send(&data_pdu(vec![value(1, false, true, b"rest")])).await;
    assert_eq!(script.status(10).await, 0xA700);

    node.memory.room.store(usize::MAX, SeqCst);
    script.send(&store_pdus(1, 11, "1.2.5", b"fits")).await;
    assert_eq!(script.status(11).await, 0);
    script.release().await;
    assert_eq!(node.memory.kept(), [kept("1.2.5", b"fits")]);
    let counters = node.counters.snapshot();
    assert_eq!((counters.instances, counters.refused, counters.aborted), (1, 10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_we_do_not_know_are_answered() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    let command = |field, id, data_set_type| {
        CommandWriter::default()
            .uid(tags::AFFECTED_SOP_CLASS_UID, &uid(CT))
            .number(tags::COMMAND_FIELD, field)
            .number(tags::MESSAGE_ID, id)
            .number(tags::COMMAND_DATA_SET_TYPE, data_set_type)
            .finish()
    };
    let find = command(0x0020, 1, 0);
    script.send(&data_pdu(vec![value(1, true, true, &find), value(1, false, true, b"identifier")])).await;
    let response = script.command().await;
    assert_eq!((response.field(), response.status()), (0x8020, Some(DimseStatus::UNRECOGNIZED_OPERATION)));
    // C-CANCEL has no response, so the next one is that to N-ACTION.
    script.send(&data_pdu(vec![value(1, true, true, &command(0x0FFF, 1, NO_DATA_SET))])).await;
    script.send(&data_pdu(vec![value(1, true, true, &command(0x0130, 2, NO_DATA_SET))])).await;
    assert_eq!(script.status(2).await, 0x0211);
    // An echo outside a context for Verification.
    script.send(&data_pdu(vec![value(1, true, true, &command(0x0030, 3, NO_DATA_SET))])).await;
    assert_eq!(script.status(3).await, 0x0122);
    script.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_hangs_is_answered_for() {
    let node = Node::start(|config| config.timeouts.commit = Duration::from_millis(30));
    node.memory.hold_commits();
    let mut script = Script::associated(node.address).await;
    script.send(&store_pdus(1, 1, "1.2.3", b"data")).await;
    assert_eq!(script.status(1).await, 0xA700);
    node.memory.commits.add_permits(1);
    script.send(&store_pdus(1, 2, "1.2.4", b"data")).await;
    assert_eq!(script.status(2).await, 0);
}

/// A runtime of one thread has nowhere to move other work to.
#[tokio::test(flavor = "current_thread")]
async fn one_thread_is_enough() {
    let node = Node::start(|_| {});
    let mut script = Script::associated(node.address).await;
    script.send(&store_pdus(1, 1, "1.2.3", b"data")).await;
    assert_eq!(script.status(1).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_associations_of_many_instances_each() {
    const ASSOCIATIONS: usize = 16;
    const INSTANCES: usize = 20;
    let node = Node::start(|_| {});
    let mut tasks = Vec::new();
    for association in 0..ASSOCIATIONS {
        let config = node.requestor();
        tasks.push(tokio::spawn(async move {
            let context = ProposedContext::of(uid(CT), uid(EXPLICIT));
            let mut sender = Association::request(&config, &[context]).await.unwrap();
            for instance in 0..INSTANCES {
                let name = uid(&format!("1.2.{association}.{instance}"));
                let data = content(association, instance);
                let outcome = sender
                    .store(StoreItem {
                        sop_class: &uid(CT),
                        sop_instance: &name,
                        transfer_syntax: &uid(EXPLICIT),
                        data_set: data.as_slice(),
                        length: data.len() as u64,
                    })
                    .await
                    .unwrap();
                assert_eq!(outcome.status, DimseStatus::SUCCESS);
            }
            sender.release().await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut arrived = node.memory.kept();
    arrived.sort_by(|a, b| a.sop_instance.cmp(&b.sop_instance));
    let mut expected: Vec<Kept> = (0..ASSOCIATIONS)
        .flat_map(|a| (0..INSTANCES).map(move |i| kept(&format!("1.2.{a}.{i}"), &content(a, i))))
        .collect();
    expected.sort_by(|a, b| a.sop_instance.cmp(&b.sop_instance));
    assert!(arrived == expected, "{} instances arrived", arrived.len());
    let counters = node.counters.snapshot();
    assert_eq!(counters.instances, (ASSOCIATIONS * INSTANCES) as u64);
    assert_eq!(counters.bytes, expected.iter().map(|kept| kept.data.len() as u64).sum::<u64>());
    until("all are closed", || node.counters.snapshot().open == 0).await;
    assert_eq!(node.counters.snapshot().aborted, 0);
}

/// Odd and even lengths, from one byte to more than two PDUs.
fn content(association: usize, instance: usize) -> Vec<u8> {
    pattern(association * 20 + instance, 1 + instance * 17_000)
}
