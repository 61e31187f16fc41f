use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Limits, read_file};
use dokuei_phantom::{
    CharacterSet, DicomIdentity, ImageClass, PersonName, Radiograph, to_data_set, to_dicom, to_dicom_in,
};

use crate::small;

fn japanese(radiograph: &Radiograph) -> DicomIdentity {
    DicomIdentity {
        name: PersonName {
            alphabetic: "Yamada^Tarou".into(),
            ideographic: "山田^太郎".into(),
            phonetic: "やまだ^たろう".into(),
        },
        character_set: CharacterSet::Japanese,
        image_class: ImageClass::DigitalXRay,
        ..DicomIdentity::of(radiograph)
    }
}

#[test]
fn our_reader_reads_it_back() {
    let radiograph = small(1, true).render();
    let identity = japanese(&radiograph);
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        let file = to_dicom_in(&radiograph, &identity, syntax);
        let (meta, header) = read_file(&file, &Limits::default()).unwrap();
        assert_eq!(meta.transfer_syntax, syntax);
        assert_eq!(meta.sop_instance.as_ref(), Some(&identity.sop_instance));
        let set = &header.dataset;
        assert_eq!(set.text(tags::PATIENT_NAME).unwrap(), "Yamada^Tarou=山田^太郎=やまだ^たろう");
        assert_eq!(set.text(tags::MODALITY).unwrap(), "DX");
        assert_eq!(set.int(tags::ROWS), Some(200));
        assert_eq!(set.floats(tags::PIXEL_SPACING).len(), 2);
        assert_eq!(set.items(tags::ANATOMIC_REGION_SEQUENCE).len(), 1);
        let pixels = header.pixels.as_ref().unwrap();
        assert_eq!(pixels.length, Some(160 * 200 * 2));
        let start = usize::try_from(pixels.offset).unwrap();
        let first = u16::from_le_bytes([file[start], file[start + 1]]);
        assert_eq!(first, radiograph.pixels[0]);
    }
}

#[test]
fn another_reader_reads_it_back() {
    let radiograph = small(6, false).render();
    let identity = DicomIdentity::of(&radiograph);
    let file = to_dicom(&radiograph, &identity);
    let object = dicom_object::from_reader(&file[..]).unwrap();
    assert_eq!(object.meta().media_storage_sop_instance_uid().trim_end_matches('\0'), identity.sop_instance.as_str());
    let pixels: Vec<u16> = object.element(tags::PIXEL_DATA).unwrap().to_multi_int().unwrap();
    assert_eq!(pixels, radiograph.pixels);
    let bits: u16 = object.element(tags::BITS_STORED).unwrap().to_int().unwrap();
    assert_eq!(bits, radiograph.bits_stored);
    assert_eq!(object.element(tags::PATIENT_ID).unwrap().to_str().unwrap().trim(), identity.patient_id);
}

#[test]
fn every_identity_says_it_is_nobody_and_is_its_own() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..24 {
        for with_opacity in [false, true] {
            let radiograph = small(seed, with_opacity).with_size(24, 30).render();
            let identity = DicomIdentity::of(&radiograph);
            assert_eq!(identity, DicomIdentity::of(&radiograph));
            for uid in [&identity.study_instance, &identity.series_instance, &identity.sop_instance] {
                assert!(seen.insert(uid.clone()), "seed {seed}");
            }
            let set = to_data_set(&radiograph, &identity);
            assert_eq!(set.text(tags::QUALITY_CONTROL_SUBJECT).unwrap(), "YES");
            assert!(set.text(tags::PATIENT_ID).unwrap().starts_with("PHANTOM-"));
            assert_eq!(set.text(tags::PATIENT_NAME).unwrap(), identity.name.joined());
            assert_eq!(set.text(tags::INSTITUTION_NAME).unwrap(), identity.institution);
            assert_eq!(set.contains(tags::IMAGE_LATERALITY), identity.image_class == ImageClass::DigitalXRay);
        }
    }
}

#[test]
fn monochrome1_says_so_everywhere() {
    let spec = dokuei_phantom::PhantomSpec { photometric_monochrome1: true, ..small(1, false) };
    let radiograph = spec.render();
    let set = to_data_set(&radiograph, &japanese(&radiograph));
    assert_eq!(set.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap(), "MONOCHROME1");
    assert_eq!(set.text(tags::PRESENTATION_LUT_SHAPE).unwrap(), "INVERSE");
    assert_eq!(set.bytes(tags::PIXEL_INTENSITY_RELATIONSHIP_SIGN), Some(&[1, 0][..]));
}
