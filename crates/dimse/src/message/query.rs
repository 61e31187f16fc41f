//! What responses to C-FIND, C-GET and C-MOVE say (PS3.4 Annex C, PS3.7 § 9.3.2 to § 9.3.4).

use dicom_dictionary_std::tags;
use dokuei_types::DimseStatus;

use super::CommandSet;

/// The C-STORE sub-operations of a C-GET or C-MOVE (PS3.7 § 9.1.3.1, § 9.1.4.1); `None` where the peer does not
/// say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubOperations {
    /// Not begun yet, or never when it was cancelled.
    pub remaining: Option<u16>,
    /// Ended with success.
    pub completed: Option<u16>,
    /// Ended with a failure.
    pub failed: Option<u16>,
    /// Ended with a warning.
    pub warning: Option<u16>,
}

impl SubOperations {
    /// Those a response counts.
    #[must_use]
    pub fn of(response: &CommandSet) -> Self {
        Self {
            remaining: response.number(tags::NUMBER_OF_REMAINING_SUBOPERATIONS),
            completed: response.number(tags::NUMBER_OF_COMPLETED_SUBOPERATIONS),
            failed: response.number(tags::NUMBER_OF_FAILED_SUBOPERATIONS),
            warning: response.number(tags::NUMBER_OF_WARNING_SUBOPERATIONS),
        }
    }

    /// Those that have ended.
    #[must_use]
    pub fn done(&self) -> u32 {
        [self.completed, self.failed, self.warning].into_iter().flatten().map(u32::from).sum()
    }
}

/// What the peer means by the status of a C-FIND, C-GET or C-MOVE, in words (PS3.4 § C.4.1.1.4, § C.4.2.1.5,
/// § C.4.3.1.4; PS3.7 Annex C).
#[must_use]
pub fn meaning(status: DimseStatus) -> &'static str {
    match status.0 {
        0x0000 => "done",
        0x0106 => "an attribute has a value it does not allow",
        0x0110 => "it failed while processing the request",
        0x0112 => "it has no such instance",
        0x0115 => "an argument has a value it does not allow",
        0x0118 | 0x0122 => "it does not support this kind of query",
        0x0124 => "it does not allow us to ask",
        0x0210 => "it takes the request for one it has already",
        0x0211 => "it does not know the operation",
        0x0212 => "it does not understand an argument",
        0x0213 => "it is at a limit of its own",
        0xA701 => "it is out of resources and cannot count what matches",
        0xA702 => "it is out of resources and cannot send what matches",
        0xA700..=0xA7FF => "it is out of resources",
        0xA801 => "it does not know the AE title to send to",
        0xA900..=0xA9FF => "the keys do not fit the level or the information model",
        0xB000 => "done, but some instances failed or gave warnings",
        0xC000..=0xCFFF => "it cannot process this query",
        0xFE00 => "cancelled",
        0xFF00 => "more follows",
        0xFF01 => "more follows; it does not know some of the keys",
        0x0001 | 0x0107 | 0x0116 | 0xB001..=0xBFFF => "done, with a warning",
        0xA000..=0xAFFF => "refused",
        _ => "a status the standard does not define here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{CommandWriter, NO_DATA_SET};

    #[test]
    fn what_is_not_counted_is_not_taken_for_nothing() {
        let response = CommandWriter::default()
            .number(tags::COMMAND_FIELD, 0x8021)
            .number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
            .number(tags::STATUS, 0xB000)
            .number(tags::NUMBER_OF_COMPLETED_SUBOPERATIONS, u16::MAX)
            .number(tags::NUMBER_OF_FAILED_SUBOPERATIONS, 2)
            .finish();
        let counts = SubOperations::of(&CommandSet::parse(response).unwrap());
        assert_eq!((counts.remaining, counts.failed, counts.warning), (None, Some(2), None));
        assert_eq!(counts.done(), 65_537);
    }

    #[test]
    fn every_status_has_words_of_its_own_kind() {
        for (status, words) in [(0xA701, "count"), (0xA702, "send"), (0xA703, "out of resources"), (0xC123, "process")]
        {
            assert!(meaning(DimseStatus(status)).contains(words), "{status:04X}");
        }
        assert!((0..=u16::MAX).all(|status| !meaning(DimseStatus(status)).is_empty()));
    }
}
