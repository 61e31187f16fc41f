use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Uid;

use super::Envelope;
use crate::Role;

/// Series Number (0020,0011): high, so that results sort behind the images.
fn number(role: Role) -> &'static str {
    match role {
        Role::Sr => "9001",
        Role::Sc => "9002",
        Role::Pr => "9003",
        Role::Ko => "9004",
        Role::Seg => "9005",
        Role::Pdf => "9006",
        Role::Rejection => "9007",
    }
}

/// Modality (0008,0060). OT for the picture, so that hanging protocols for radiographs leave it alone.
fn modality(role: Role) -> &'static str {
    match role {
        Role::Sr => "SR",
        Role::Sc => "OT",
        Role::Pr => "PR",
        Role::Ko | Role::Rejection => "KO",
        Role::Pdf => "DOC",
        Role::Seg => "SEG",
    }
}

fn title(role: Role) -> &'static str {
    match role {
        Role::Sr => "AI result",
        Role::Sc => "AI heat map",
        Role::Pr => "AI regions",
        Role::Ko => "AI key images",
        Role::Pdf => "AI result page",
        Role::Seg => "AI segmentation",
        Role::Rejection => "AI result withdrawn",
    }
}

/// General Series and the series modules of the IODs made here (PS3.3 C.7.3.1, C.8.20.1, C.11.9, C.17.1, C.17.6.1, C.24.1);
/// `of` names the conditions.
pub(super) fn put(data: &mut Dataset, envelope: &Envelope<'_>, role: Role, of: &str, series: &Uid) {
    data.put_text(tags::MODALITY, VR::CS, modality(role));
    data.put_text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
    data.put_text(tags::SERIES_NUMBER, VR::IS, number(role));
    data.put_text(tags::INSTANCE_NUMBER, VR::IS, "1");
    data.put_text(tags::SERIES_DATE, VR::DA, &envelope.time.date);
    data.put_text(tags::SERIES_TIME, VR::TM, &envelope.time.time);
    envelope.put(data, tags::SERIES_DESCRIPTION, VR::LO, &description(role, of));
}

/// Says what it is of as far as 64 characters allow, and always ends on "(unverified)".
fn description(role: Role, of: &str) -> String {
    const UNVERIFIED: &str = " (unverified)";
    let mut text = format!("{}: {of}", title(role));
    let room = 64 - UNVERIFIED.len();
    if text.chars().count() > room {
        text = text.chars().take(room - 3).collect::<String>() + "...";
    }
    text + UNVERIFIED
}
