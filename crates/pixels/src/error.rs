use std::io;

use dokuei_codecs::CodecError;
use dokuei_types::DeclineReason;

use crate::input::SpecError;

/// Why pixels could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PixelError {
    // The data's fault.
    /// There is no pixel data element, or it is empty.
    #[error("the data set has no pixel data")]
    NoPixels,
    /// An attribute without which the pixels mean nothing is absent or unreadable.
    #[error("{keyword} is missing or unreadable")]
    Missing {
        /// Its keyword in PS3.6.
        keyword: &'static str,
    },
    /// An attribute has a value that the standard or another attribute rules out.
    #[error("{keyword} is {value}: {rule}")]
    Attribute {
        /// Its keyword in PS3.6.
        keyword: &'static str,
        /// What it is.
        value: String,
        /// What it would have to be.
        rule: &'static str,
    },
    /// Rescale Slope is 0, which would erase the image.
    #[error("Rescale Slope is 0")]
    RescaleSlopeZero,
    /// A lookup table that cannot be used.
    #[error("{keyword}: {fault}")]
    LookupTable {
        /// Keyword of the attribute at fault.
        keyword: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Native pixel data shorter than its attributes say.
    #[error("pixel data of {actual_bytes} bytes where its attributes ask for {expected_bytes}")]
    Length {
        /// Frames x Rows x Columns x Samples per Pixel x Bits Allocated / 8.
        expected_bytes: u64,
        /// What is there.
        actual_bytes: u64,
    },
    /// Encapsulated pixel data that does not follow PS3.5 § A.4.
    #[error("encapsulated pixel data at byte {offset}: {fault}")]
    Encapsulation {
        /// What is wrong.
        fault: &'static str,
        /// Where.
        offset: u64,
    },
    /// The fragments cannot be told apart into frames.
    #[error("{fragments} fragments cannot be told apart into {frames} frames")]
    Fragments {
        /// How many fragments there are.
        fragments: usize,
        /// Number of Frames.
        frames: u32,
    },
    /// The decoder gave up on a frame.
    #[error("decode frame {index}")]
    Codec {
        /// The frame, from 0.
        index: u32,
        /// Why.
        source: CodecError,
    },
    /// A decoded frame is not what the attributes announce.
    #[error("frame {index} decodes to {actual} where the attributes say {expected}")]
    Decoded {
        /// The frame, from 0.
        index: u32,
        /// What came out.
        actual: String,
        /// What the attributes say.
        expected: String,
    },
    /// Valid, and of a kind that is not decoded.
    #[error("{keyword} {value} is not supported")]
    Unsupported {
        /// Keyword of the attribute.
        keyword: &'static str,
        /// Its value.
        value: String,
    },

    // Our resources.
    /// Beyond one of [`Limits`](crate::Limits).
    #[error("{what}: {actual} exceed the limit of {limit}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
        /// How much was asked for.
        actual: u64,
    },
    /// The medium failed.
    #[error("read pixel data at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// What it said.
        source: io::Error,
    },

    // The caller's.
    /// No such frame.
    #[error("frame {index} of an image with {frames}")]
    FrameIndex {
        /// What was asked for, from 0.
        index: u32,
        /// How many there are.
        frames: u32,
    },
    /// The model's input specification contradicts itself.
    #[error("input specification")]
    Spec(#[from] SpecError),

    // Our bug.
    /// The resampler refused sizes that were checked before.
    #[error("resample the frame")]
    Resample,
}

impl PixelError {
    /// The reason that is recorded for the instance.
    #[must_use]
    pub fn decline_reason(&self) -> DeclineReason {
        match self {
            Self::NoPixels => DeclineReason::NoPixels(self.to_string()),
            Self::Missing { .. }
            | Self::Attribute { .. }
            | Self::RescaleSlopeZero
            | Self::LookupTable { .. }
            | Self::Length { .. }
            | Self::Encapsulation { .. }
            | Self::Fragments { .. }
            | Self::Decoded { .. }
            | Self::FrameIndex { .. } => DeclineReason::Malformed(self.to_string()),
            Self::Codec { source, .. } => source.decline_reason(),
            Self::Unsupported { .. } | Self::Resample => DeclineReason::Codec(self.to_string()),
            Self::Limit { .. } => DeclineReason::Limit(self.to_string()),
            Self::Read { source, .. } => DeclineReason::Limit(format!("{self}: {source}")),
            Self::Spec(source) => DeclineReason::Criteria(format!("{self}: {source}")),
        }
    }

    /// Whether another try may succeed, because the medium failed and not the image.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}
