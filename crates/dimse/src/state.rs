//! The upper layer state machine (PS3.8 § 9.2), as data.
//!
//! States and actions keep the names of the standard. Local primitives are function calls here, so
//! the states that wait for the local user (Sta3, Sta8 to Sta12) pass within one call, and Sta1 and
//! Sta4 are the time before a connection exists. What remains to be looked up is what a PDU, the end
//! of the connection or the ARTIM timer means in the five states that wait for the peer:
//!
//! | state | waits for | listener | sender |
//! |---|---|---|---|
//! | Sta2 | A-ASSOCIATE-RQ, under ARTIM | after accept | – |
//! | Sta5 | A-ASSOCIATE-AC or -RJ | – | after its request |
//! | Sta6 | anything of an established association | serving | sending |
//! | Sta7 | A-RELEASE-RP | – | after its release |
//! | Sta13 | the end of the connection, under ARTIM | after -RJ, -RP, A-ABORT | after A-ABORT |

use crate::pdu::PduKind;

/// The states that wait for the peer (PS3.8 Tables 9-1 to 9-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Connection open, A-ASSOCIATE-RQ awaited.
    Sta2,
    /// A-ASSOCIATE-AC or A-ASSOCIATE-RJ awaited.
    Sta5,
    /// Association established.
    Sta6,
    /// A-RELEASE-RP awaited.
    Sta7,
    /// End of the connection awaited.
    Sta13,
}

/// What comes from outside (the rows of PS3.8 Table 9-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A PDU.
    Pdu(PduKind),
    /// A PDU that is unrecognized or invalid.
    InvalidPdu,
    /// The connection was closed.
    Closed,
    /// The ARTIM timer expired.
    Artim,
}

/// What to do (PS3.8 Tables 9-6 to 9-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Association accepted by the peer.
    Ae3,
    /// Association rejected by the peer: close.
    Ae4,
    /// Request received: decide.
    Ae6,
    /// Data received.
    Dt2,
    /// Release requested: answer it.
    Ar2,
    /// Release answered: close.
    Ar3,
    /// The peer closed after us.
    Ar5,
    /// Data received while our release is under way.
    Ar6,
    /// Both sides release: answer, and go on waiting.
    Ar8,
    /// Send A-ABORT (service user), await the end of the connection.
    Aa1,
    /// Close the connection.
    Aa2,
    /// Aborted by the peer: close.
    Aa3,
    /// The connection ended without a word.
    Aa4,
    /// The connection ended before a request.
    Aa5,
    /// Ignore the PDU.
    Aa6,
    /// Send A-ABORT again.
    Aa7,
    /// Send A-ABORT (service provider), await the end of the connection.
    Aa8,
}

/// The rows of Table 9-10 for the states of [`State`], in their order.
const TABLE: [(Event, [Action; 5]); 10] = {
    use Action::{Aa1, Aa2, Aa3, Aa4, Aa5, Aa6, Aa7, Aa8, Ae3, Ae4, Ae6, Ar2, Ar3, Ar5, Ar6, Ar8, Dt2};
    use PduKind::{Abort, AssociateAccept, AssociateReject, AssociateRequest, Data, ReleaseRequest, ReleaseResponse};
    [
        //                              Sta2 Sta5 Sta6 Sta7 Sta13
        (Event::Pdu(AssociateRequest), [Ae6, Aa8, Aa8, Aa8, Aa7]),
        (Event::Pdu(AssociateAccept), [Aa1, Ae3, Aa8, Aa8, Aa6]),
        (Event::Pdu(AssociateReject), [Aa1, Ae4, Aa8, Aa8, Aa6]),
        (Event::Pdu(Data), [Aa1, Aa8, Dt2, Ar6, Aa6]),
        (Event::Pdu(ReleaseRequest), [Aa1, Aa8, Ar2, Ar8, Aa6]),
        (Event::Pdu(ReleaseResponse), [Aa1, Aa8, Aa8, Ar3, Aa6]),
        (Event::Pdu(Abort), [Aa2, Aa3, Aa3, Aa3, Aa2]),
        (Event::InvalidPdu, [Aa1, Aa8, Aa8, Aa8, Aa7]),
        (Event::Closed, [Aa5, Aa4, Aa4, Aa4, Ar5]),
        // ARTIM runs in Sta2 and Sta13 only; elsewhere our own timers end in an abort of the user.
        (Event::Artim, [Aa2, Aa1, Aa1, Aa1, Aa2]),
    ]
};

/// What an event means in a state.
#[must_use]
pub fn action(state: State, event: Event) -> Action {
    let [sta2, sta5, sta6, sta7, sta13] =
        TABLE.iter().find(|(row, _)| *row == event).map_or([Action::Aa8; 5], |(_, actions)| *actions);
    match state {
        State::Sta2 => sta2,
        State::Sta5 => sta5,
        State::Sta6 => sta6,
        State::Sta7 => sta7,
        State::Sta13 => sta13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_row_and_only_once() {
        let mut events: Vec<Event> = (1..=7).filter_map(PduKind::of).map(Event::Pdu).collect();
        events.extend([Event::InvalidPdu, Event::Closed, Event::Artim]);
        for event in events {
            assert_eq!(TABLE.iter().filter(|(row, _)| *row == event).count(), 1, "{event:?}");
        }
    }

    #[test]
    fn a_stranger_is_aborted_by_the_user_and_an_established_peer_by_the_provider() {
        assert_eq!(action(State::Sta2, Event::Pdu(PduKind::Data)), Action::Aa1);
        assert_eq!(action(State::Sta6, Event::Pdu(PduKind::AssociateRequest)), Action::Aa8);
        assert_eq!(action(State::Sta7, Event::Pdu(PduKind::ReleaseRequest)), Action::Ar8);
        assert_eq!(action(State::Sta13, Event::Pdu(PduKind::Data)), Action::Aa6);
    }
}
