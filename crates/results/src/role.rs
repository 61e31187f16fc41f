/// What a result object is for; a destination names the roles it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Structured Report: the result itself.
    Sr,
    /// Secondary Capture: a picture with the map.
    Sc,
    /// Softcopy Presentation State, in grey or in colour as the source: outlines and text over it.
    Pr,
    /// Key Object Selection: the source is of interest.
    Ko,
    /// Encapsulated PDF: one page.
    Pdf,
    /// Segmentation: the marked regions as bits.
    Seg,
    /// Key Object Selection that withdraws a result.
    Rejection,
}

impl Role {
    /// Those a destination can ask for, in the order of value.
    pub const ALL: [Self; 6] = [Self::Sr, Self::Sc, Self::Pr, Self::Ko, Self::Pdf, Self::Seg];

    /// The word for it in configurations, the store and file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sr => "sr",
            Self::Sc => "sc",
            Self::Pr => "pr",
            Self::Ko => "ko",
            Self::Pdf => "pdf",
            Self::Seg => "seg",
            Self::Rejection => "rejection",
        }
    }
}
