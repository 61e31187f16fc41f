use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Uid;

use super::Basis;

/// The kinds of result object, each in a series of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Report,
    HeatMap,
}

impl Kind {
    /// Series Number (0020,0011): high, so that results sort behind the images.
    fn number(self) -> &'static str {
        match self {
            Self::Report => "9001",
            Self::HeatMap => "9002",
        }
    }

    /// Modality (0008,0060). OT for the picture, so that hanging protocols for radiographs leave it alone.
    fn modality(self) -> &'static str {
        match self {
            Self::Report => "SR",
            Self::HeatMap => "OT",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Report => "AI result",
            Self::HeatMap => "AI heat map",
        }
    }

    /// What makes its UIDs differ from those of the other kinds.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Report => "sr",
            Self::HeatMap => "sc",
        }
    }
}

/// General Series and SR Document Series (PS3.3 C.7.3.1, C.17.1).
pub(super) fn put(data: &mut Dataset, basis: &Basis<'_>, kind: Kind, series: &Uid) {
    data.put_text(tags::MODALITY, VR::CS, kind.modality());
    data.put_text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
    data.put_text(tags::SERIES_NUMBER, VR::IS, kind.number());
    data.put_text(tags::INSTANCE_NUMBER, VR::IS, "1");
    data.put_text(tags::SERIES_DATE, VR::DA, &basis.time.date);
    data.put_text(tags::SERIES_TIME, VR::TM, &basis.time.time);
    basis.put(data, tags::SERIES_DESCRIPTION, VR::LO, &description(basis, kind));
}

/// Names the conditions as far as 64 characters allow, and always ends on "(unverified)".
fn description(basis: &Basis<'_>, kind: Kind) -> String {
    const UNVERIFIED: &str = " (unverified)";
    let mut names: Vec<&str> = Vec::new();
    let findings = basis.input.sources.iter().flat_map(|source| source.findings());
    for finding in findings.filter(|finding| kind == Kind::Report || finding.is_marked()) {
        if !names.contains(&finding.name.as_str()) {
            names.push(&finding.name);
        }
    }
    if names.is_empty() {
        names.push(&basis.input.model.name);
    }
    let mut text = format!("{}: {}", kind.title(), names.join(", "));
    let room = 64 - UNVERIFIED.len();
    if text.chars().count() > room {
        text = text.chars().take(room - 3).collect::<String>() + "...";
    }
    text + UNVERIFIED
}
