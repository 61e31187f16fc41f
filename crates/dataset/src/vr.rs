use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

/// The VR the dictionary gives a tag; UN when it knows none (PS3.6).
pub(crate) fn dictionary_vr(tag: Tag, signed_pixels: bool) -> VR {
    if tag.element() == 0 {
        return VR::UL;
    }
    match StandardDataDictionary.by_tag(tag).map(DataDictionaryEntry::vr) {
        Some(VirtualVr::Xs) if signed_pixels => VR::SS,
        Some(vr) => vr.relaxed(),
        // Private creators (PS3.5 § 7.8.1).
        None if tag.group() % 2 == 1 && (0x10..=0xFF).contains(&tag.element()) => VR::LO,
        None => VR::UN,
    }
}

/// Whether the length field after an explicit VR has 16 bits (PS3.5 § 7.1.2).
pub(crate) fn has_short_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::AT
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::FL
            | VR::FD
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::SL
            | VR::SS
            | VR::ST
            | VR::TM
            | VR::UI
            | VR::UL
            | VR::US
    )
}

/// Exchanges the byte order of a value's numbers (PS3.5 § 7.3).
pub(crate) fn swap(bytes: &mut [u8], vr: VR) {
    let unit = match vr {
        VR::US | VR::SS | VR::OW | VR::AT => 2,
        VR::UL | VR::SL | VR::FL | VR::OF | VR::OL => 4,
        VR::FD | VR::OD | VR::UV | VR::SV | VR::OV => 8,
        _ => return,
    };
    for number in bytes.chunks_exact_mut(unit) {
        number.reverse();
    }
}
