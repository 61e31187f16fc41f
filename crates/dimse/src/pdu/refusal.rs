//! A-ASSOCIATE-RJ (PS3.8 § 9.3.4) and A-ABORT (PS3.8 § 9.3.8): the two PDUs that say no, in words.

use std::fmt;

/// An association rejected. Kept as the three numbers of the wire, so that what a peer invents is
/// still shown; [`fmt::Display`] puts them into the words of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// 1 permanent, 2 transient.
    pub result: u8,
    /// 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    pub source: u8,
    /// Meaning depends on `source`.
    pub reason: u8,
}

impl Rejection {
    /// Permanent, user: no reason given.
    pub const NO_REASON: Self = Self { result: 1, source: 1, reason: 1 };
    /// Permanent, user: application context name not supported.
    pub const APPLICATION_CONTEXT: Self = Self { result: 1, source: 1, reason: 2 };
    /// Permanent, user: calling AE title not recognized.
    pub const CALLING_AE: Self = Self { result: 1, source: 1, reason: 3 };
    /// Permanent, user: called AE title not recognized.
    pub const CALLED_AE: Self = Self { result: 1, source: 1, reason: 7 };
    /// Permanent, provider (ACSE): no reason given, which is how a user that is not recognized is turned away
    /// (PS3.7 § D.3.3.7.3).
    pub const USER_IDENTITY: Self = Self { result: 1, source: 2, reason: 1 };
    /// Permanent, provider (ACSE): protocol version not supported.
    pub const PROTOCOL_VERSION: Self = Self { result: 1, source: 2, reason: 2 };
    /// Transient, provider (presentation): temporary congestion.
    pub const CONGESTION: Self = Self { result: 2, source: 3, reason: 1 };
    /// Transient, provider (presentation): local limit exceeded.
    pub const LOCAL_LIMIT: Self = Self { result: 2, source: 3, reason: 2 };

    /// Whether the same request may be accepted later.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.result == 2
    }

    /// The reason in the words of the standard.
    #[must_use]
    pub fn reason_words(self) -> &'static str {
        match (self.source, self.reason) {
            (1, 1) | (2, 1) => "no reason given",
            (1, 2) => "application context name not supported",
            (1, 3) => "calling AE title not recognized",
            (1, 7) => "called AE title not recognized",
            (2, 2) => "protocol version not supported",
            (3, 1) => "temporary congestion",
            (3, 2) => "local limit exceeded",
            _ => "reason unknown to the standard",
        }
    }

    /// The whole PDU.
    #[must_use]
    pub fn to_pdu(self) -> [u8; 10] {
        [3, 0, 0, 0, 0, 4, 0, self.result, self.source, self.reason]
    }

    /// From the four bytes after the PDU header.
    #[must_use]
    pub fn from_body([_, result, source, reason]: [u8; 4]) -> Self {
        Self { result, source, reason }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason_words();
        let lasting = match self.result {
            1 => "permanently",
            2 => "for now",
            _ => "with a result unknown to the standard",
        };
        let Self { result, source, reason: code } = self;
        write!(f, "{reason}, {lasting} (result {result}, source {source}, reason {code})")
    }
}

/// An association aborted, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Abort {
    /// 0 service user, 2 service provider.
    pub source: u8,
    /// Meaning only when `source` is 2.
    pub reason: u8,
}

impl Abort {
    /// By the service user: a decision, not a breach of the protocol.
    pub const USER: Self = Self { source: 0, reason: 0 };
    /// Provider: reason not specified.
    pub const NOT_SPECIFIED: Self = Self { source: 2, reason: 0 };
    /// Provider: unrecognized PDU.
    pub const UNRECOGNIZED_PDU: Self = Self { source: 2, reason: 1 };
    /// Provider: unexpected PDU.
    pub const UNEXPECTED_PDU: Self = Self { source: 2, reason: 2 };
    /// Provider: unexpected PDU parameter.
    pub const UNEXPECTED_PARAMETER: Self = Self { source: 2, reason: 5 };
    /// Provider: invalid PDU parameter value.
    pub const INVALID_PARAMETER: Self = Self { source: 2, reason: 6 };

    /// The whole PDU.
    #[must_use]
    pub fn to_pdu(self) -> [u8; 10] {
        [7, 0, 0, 0, 0, 4, 0, 0, self.source, self.reason]
    }

    /// From the four bytes after the PDU header.
    #[must_use]
    pub fn from_body([_, _, source, reason]: [u8; 4]) -> Self {
        Self { source, reason }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source, self.reason) {
            (0, _) => f.write_str("by the application"),
            (2, 0) => f.write_str("by the network layer, reason not specified"),
            (2, 1) => f.write_str("by the network layer: unrecognized PDU"),
            (2, 2) => f.write_str("by the network layer: unexpected PDU"),
            (2, 4) => f.write_str("by the network layer: unrecognized PDU parameter"),
            (2, 5) => f.write_str("by the network layer: unexpected PDU parameter"),
            (2, 6) => f.write_str("by the network layer: invalid PDU parameter value"),
            (source, reason) => write!(f, "source {source}, reason {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_standard() {
        let cases = [
            (Rejection::CALLED_AE, "called AE title not recognized, permanently (result 1, source 1, reason 7)"),
            (Rejection::LOCAL_LIMIT, "local limit exceeded, for now (result 2, source 3, reason 2)"),
            (
                Rejection { result: 9, source: 9, reason: 9 },
                "reason unknown to the standard, with a result unknown to the standard (result 9, source 9, reason 9)",
            ),
        ];
        for (rejection, words) in cases {
            assert_eq!(rejection.to_string(), words);
        }
    }

    #[test]
    fn both_survive_the_wire() {
        let pdu = Rejection::CALLING_AE.to_pdu();
        assert_eq!(Rejection::from_body([pdu[6], pdu[7], pdu[8], pdu[9]]), Rejection::CALLING_AE);
        let pdu = Abort::INVALID_PARAMETER.to_pdu();
        assert_eq!(Abort::from_body([pdu[6], pdu[7], pdu[8], pdu[9]]), Abort::INVALID_PARAMETER);
    }
}
