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

/// The VR these two characters name (PS3.5 § 6.2). Every element asks, so it is one comparison of numbers.
pub(crate) fn named_vr(characters: [u8; 2]) -> Option<VR> {
    Some(match &characters {
        b"AE" => VR::AE,
        b"AS" => VR::AS,
        b"AT" => VR::AT,
        b"CS" => VR::CS,
        b"DA" => VR::DA,
        b"DS" => VR::DS,
        b"DT" => VR::DT,
        b"FL" => VR::FL,
        b"FD" => VR::FD,
        b"IS" => VR::IS,
        b"LO" => VR::LO,
        b"LT" => VR::LT,
        b"OB" => VR::OB,
        b"OD" => VR::OD,
        b"OF" => VR::OF,
        b"OL" => VR::OL,
        b"OV" => VR::OV,
        b"OW" => VR::OW,
        b"PN" => VR::PN,
        b"SH" => VR::SH,
        b"SL" => VR::SL,
        b"SQ" => VR::SQ,
        b"SS" => VR::SS,
        b"ST" => VR::ST,
        b"SV" => VR::SV,
        b"TM" => VR::TM,
        b"UC" => VR::UC,
        b"UI" => VR::UI,
        b"UL" => VR::UL,
        b"UN" => VR::UN,
        b"UR" => VR::UR,
        b"US" => VR::US,
        b"UT" => VR::UT,
        b"UV" => VR::UV,
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vr_has_its_name_and_nothing_else_has_one() {
        let named = (0..=u16::MAX).map(u16::to_le_bytes).filter(|&characters| {
            let vr = named_vr(characters);
            assert_eq!(vr, VR::from_binary(characters));
            vr.is_some()
        });
        assert_eq!(named.count(), 34);
    }
}
