use dokuei_types::DeclineReason;

/// Why a frame could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Ours to lack: the transfer syntax, or a part of its codec, is not one we decode.
    #[error("{syntax} with {feature} is not supported")]
    Unsupported {
        /// Name of the transfer syntax or codec.
        syntax: String,
        /// What of it we lack.
        feature: String,
    },
    /// The data's fault: an attribute of the image has a value that no image can have.
    #[error("{attribute} is {value}, which no image can have")]
    Attribute {
        /// The attribute's name.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
    /// The data's fault: the codestream describes another image than the attributes.
    #[error("{codec} data has {property} {found} where the attributes say {expected}")]
    Mismatch {
        /// Name of the codec.
        codec: &'static str,
        /// What differs.
        property: &'static str,
        /// What the codestream says.
        found: u64,
        /// What the attributes say.
        expected: u64,
    },
    /// The data's fault: fewer bytes than the frame needs.
    #[error("{codec} data ends early: {found_bytes} bytes where {expected_bytes} are needed")]
    TooShort {
        /// Name of the codec.
        codec: &'static str,
        /// Bytes present.
        found_bytes: u64,
        /// Bytes needed.
        expected_bytes: u64,
    },
    /// The data's fault: the codestream breaks the rules of its codec.
    #[error("{codec} data is damaged: {detail}")]
    Damaged {
        /// Name of the codec.
        codec: &'static str,
        /// The rule that is broken.
        detail: String,
    },
    /// Our resources: the frame has more samples than the caller allows.
    #[error("the frame has {samples} samples, the limit is {limit}")]
    TooLarge {
        /// Rows x Columns x Samples per Pixel.
        samples: u64,
        /// The limit.
        limit: u64,
    },
    /// Our resources: the operating system refused a thread or memory for the decoder.
    #[error("no {resource} for the {codec} decoder")]
    Exhausted {
        /// Name of the codec.
        codec: &'static str,
        /// What was refused.
        resource: &'static str,
    },
    /// Our bug: a decoder panicked on this data; the panic was contained.
    #[error("the {codec} decoder stopped on this data")]
    Panicked {
        /// Name of the codec.
        codec: &'static str,
    },
}

impl CodecError {
    /// The reason to record for an instance that is declined because of this error.
    #[must_use]
    pub fn decline_reason(&self) -> DeclineReason {
        let detail = self.to_string();
        match self {
            Self::Unsupported { .. } | Self::Panicked { .. } => DeclineReason::Codec(detail),
            Self::Attribute { .. } | Self::Mismatch { .. } | Self::TooShort { .. } | Self::Damaged { .. } => {
                DeclineReason::Malformed(detail)
            }
            Self::TooLarge { .. } | Self::Exhausted { .. } => DeclineReason::Limit(detail),
        }
    }

    pub(crate) fn unsupported(syntax: &str, feature: impl Into<String>) -> Self {
        Self::Unsupported { syntax: syntax.to_owned(), feature: feature.into() }
    }

    pub(crate) fn damaged(codec: &'static str, detail: impl Into<String>) -> Self {
        Self::Damaged { codec, detail: detail.into() }
    }
}
