use dicom_core::Tag;

/// Why no result object could be made.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// The data: an attribute that every reference needs is absent, empty or not a UID.
    #[error("source {source_index} has no valid {name} {tag}")]
    SourceAttribute {
        /// Position in the input's sources.
        source_index: usize,
        /// Keyword of the attribute.
        name: &'static str,
        /// Its tag.
        tag: Tag,
    },
    /// The data: sources of one result differ in patient or study, or those of one segmentation in size.
    #[error("source {source_index} is of another {what} than the first")]
    MixedSources {
        /// Position in the input's sources.
        source_index: usize,
        /// `patient`, `study` or `size`.
        what: &'static str,
    },
    /// The data: what to compare with does not say what it is or when it was taken, or may be of another patient.
    #[error("the earlier image is not one to compare with: {why}")]
    Prior {
        /// What is missing or wrong, or the doubt.
        why: String,
    },
    /// Our resources: an image has at most 65,535 rows and columns (PS3.3 C.7.6.3).
    #[error("a picture of {rows} rows and {columns} columns does not fit an image")]
    PictureTooLarge {
        /// Rows of the picture.
        rows: u32,
        /// Columns of the picture.
        columns: u32,
    },
    /// Our bug: a report about nothing.
    #[error("a result needs at least one source")]
    NoSource,
    /// Our bug: the picture or a map has another number of samples than its size says, or another size than
    /// the source.
    #[error("the {what} has {actual} samples where {expected} belong")]
    Samples {
        /// `picture` or `map`.
        what: &'static str,
        /// What the size asks for.
        expected: u64,
        /// What was passed.
        actual: u64,
    },
    /// Our bug: fewer than three vertices, one that is not a number, or no area inside the image.
    #[error("region {region} of finding {finding:?} is not an area of the image")]
    Region {
        /// Name of the finding.
        finding: String,
        /// Position in the finding's regions.
        region: usize,
    },
    /// Our bug: a probability outside 0 to 1.
    #[error("finding {finding:?} has the probability {probability}")]
    Probability {
        /// Name of the finding.
        finding: String,
        /// What was passed.
        probability: f32,
    },
}
