use std::fmt;

use serde::{Deserialize, Serialize};

/// A DIMSE status code (PS3.7 Annex C; C-STORE: PS3.4 § B.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DimseStatus(pub u16);

impl DimseStatus {
    /// 0000: success.
    pub const SUCCESS: Self = Self(0x0000);
    /// 0106: invalid attribute value (PS3.7 Annex C).
    pub const INVALID_ATTRIBUTE_VALUE: Self = Self(0x0106);
    /// 0110: processing failure (PS3.7 Annex C).
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    /// 0111: duplicate SOP instance (PS3.7 Annex C).
    pub const DUPLICATE_SOP_INSTANCE: Self = Self(0x0111);
    /// 0112: no such SOP instance (PS3.7 Annex C).
    pub const NO_SUCH_SOP_INSTANCE: Self = Self(0x0112);
    /// 0113: no such event type (PS3.7 Annex C).
    pub const NO_SUCH_EVENT_TYPE: Self = Self(0x0113);
    /// 0115: invalid argument value (PS3.7 Annex C).
    pub const INVALID_ARGUMENT_VALUE: Self = Self(0x0115);
    /// 0117: invalid SOP Instance UID (PS3.7 Annex C).
    pub const INVALID_SOP_INSTANCE: Self = Self(0x0117);
    /// 0118: no such SOP class (PS3.7 Annex C).
    pub const NO_SUCH_SOP_CLASS: Self = Self(0x0118);
    /// 0119: class-instance conflict (PS3.7 Annex C).
    pub const CLASS_INSTANCE_CONFLICT: Self = Self(0x0119);
    /// 0120: missing attribute (PS3.7 Annex C).
    pub const MISSING_ATTRIBUTE: Self = Self(0x0120);
    /// 0121: missing attribute value (PS3.7 Annex C).
    pub const MISSING_ATTRIBUTE_VALUE: Self = Self(0x0121);
    /// 0122: SOP class not supported (PS3.7 Annex C).
    pub const SOP_CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// 0123: no such action (PS3.7 Annex C).
    pub const NO_SUCH_ACTION: Self = Self(0x0123);
    /// 0124: not authorized (PS3.7 Annex C).
    pub const NOT_AUTHORIZED: Self = Self(0x0124);
    /// 0211: unrecognized operation (PS3.7 Annex C).
    pub const UNRECOGNIZED_OPERATION: Self = Self(0x0211);
    /// 0212: mistyped argument (PS3.7 Annex C).
    pub const MISTYPED_ARGUMENT: Self = Self(0x0212);
    /// 0213: resource limitation (PS3.7 Annex C).
    pub const RESOURCE_LIMITATION: Self = Self(0x0213);
    /// A700: out of resources (PS3.4 § B.2.3).
    pub const OUT_OF_RESOURCES: Self = Self(0xA700);
    /// A900: data set does not match SOP class (PS3.4 § B.2.3).
    pub const DATA_SET_DOES_NOT_MATCH: Self = Self(0xA900);
    /// C000: cannot understand (PS3.4 § B.2.3).
    pub const CANNOT_UNDERSTAND: Self = Self(0xC000);
    /// FE00: ended by C-CANCEL (PS3.7 Annex C).
    pub const CANCELLED: Self = Self(0xFE00);

    /// Stored: success, or one of the warnings B000, B006, B007 after which the instance is kept (PS3.4 § B.2.3).
    #[must_use]
    pub fn is_stored(self) -> bool {
        self.0 == 0 || self.is_warning()
    }

    /// A warning: 0001, 0107, 0116 or Bxxx (PS3.7 Annex C).
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(self.0, 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF)
    }

    /// Further responses follow: FF00, or FF01 where some keys are not supported (PS3.7 Annex C, PS3.4 § C.4.1.1.4).
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self.0, 0xFF00 | 0xFF01)
    }

    /// A refusal that may pass with time: out of resources (A7xx).
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self.0, 0xA700..=0xA7FF)
    }
}

impl fmt::Display for DimseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for DimseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
