use serde::{Deserialize, Serialize};

/// A coded concept: value, coding scheme designator, meaning (PS3.3 § 8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Code Value (0008,0100).
    pub value: String,
    /// Coding Scheme Designator (0008,0102), such as `SCT` or `DCM`.
    pub scheme: String,
    /// Code Meaning (0008,0104).
    pub meaning: String,
}

impl Code {
    /// A code from its three parts.
    #[must_use]
    pub fn new(value: &str, scheme: &str, meaning: &str) -> Self {
        Self { value: value.into(), scheme: scheme.into(), meaning: meaning.into() }
    }
}

/// The confidence band a probability falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Below the lower limit.
    Low,
    /// From the lower limit to below the upper one.
    Medium,
    /// From the upper limit on.
    High,
}

impl Band {
    /// The word a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// A marked area of one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// `[column, row]` vertices in pixels of the source frame, (0,0) at the outer corner of its first
    /// pixel (PS3.3 C.18.6.1.2); at least three, the first not repeated at the end.
    pub outline: Vec<[f32; 2]>,
    /// The highest value of the explanation map inside, 0 to 1.
    pub peak: f32,
}

/// What a model says of one image about one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The finding's key in the model's manifest, such as `pneumonia`.
    pub name: String,
    /// The coded condition.
    pub concept: Code,
    /// The coded anatomic site, if the model names one.
    pub site: Option<Code>,
    /// Calibrated probability, 0 to 1.
    pub probability: f32,
    /// The band `probability` falls into.
    pub band: Band,
    /// The probability from which the region is marked, 0 to 1.
    pub marking_threshold: f32,
    /// Outlines of the marked areas; empty below the marking threshold or when nothing stands out.
    pub regions: Vec<Region>,
}

impl Finding {
    /// Whether the probability reaches the marking threshold.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.probability >= self.marking_threshold
    }
}
