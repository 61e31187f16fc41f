use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::Dataset;

use super::RgbPicture;
use crate::codes::{self, Concept};
use crate::header::{Basis, Evidence, anatomy, copy_sequence, lossy, source_item};
use crate::tree::code_item;
use crate::{Explanation, Object, ResultError, Role};

const CLASS: &str = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;

/// The object around the picture of one source (PS3.3 A.8.1). It is Secondary Capture and not Multi-frame True
/// Color, because that is accepted everywhere.
pub(super) fn secondary_capture(basis: &Basis<'_>, source: usize, picture: RgbPicture) -> Result<Object, ResultError> {
    let reference = basis.references.get(source).ok_or(ResultError::NoSource)?;
    let image = basis.input.sources.get(source).ok_or(ResultError::NoSource)?;
    let header = image.header;
    let of_source = std::slice::from_ref(reference);
    let series = basis.uid(of_source, &[Role::Sc.as_str(), "series"]);
    let instance = basis.uid_beside_prior(of_source, &[Role::Sc.as_str(), CLASS]);

    let mut data = basis.data_set(CLASS, Role::Sc, &series, &instance);
    anatomy::put_in_series(&mut data, header, image.findings());
    anatomy::put_in_image(&mut data, header);
    copy_sequence(header, &mut data, tags::REQUEST_ATTRIBUTES_SEQUENCE);
    equipment(&mut data, basis);
    general_image(&mut data, header);
    derivation(&mut data, basis);

    data.put_items(tags::SOURCE_IMAGE_SEQUENCE, vec![source_item(reference, &basis.envelope.text)]);
    let mut evidence = Evidence::default();
    evidence.add(reference);
    data.put_items(tags::REFERENCED_SERIES_SEQUENCE, evidence.by_series());

    pixels(&mut data, picture)?;
    Ok(basis.object(data, CLASS, series, instance))
}

/// SC Equipment and SC Image (PS3.3 C.8.6.1, C.8.6.2).
fn equipment(data: &mut Dataset, basis: &Basis<'_>) {
    let node = basis.envelope.node;
    data.put_text(tags::CONVERSION_TYPE, VR::CS, "WSD");
    for (tag, text) in [
        (tags::SECONDARY_CAPTURE_DEVICE_MANUFACTURER, &node.manufacturer),
        (tags::SECONDARY_CAPTURE_DEVICE_MANUFACTURER_MODEL_NAME, &node.model_name),
        (tags::SECONDARY_CAPTURE_DEVICE_SOFTWARE_VERSIONS, &node.software_version),
    ] {
        if !text.is_empty() {
            basis.put(data, tag, VR::LO, text);
        }
    }
    data.put_text(tags::DATE_OF_SECONDARY_CAPTURE, VR::DA, &basis.envelope.time.date);
    data.put_text(tags::TIME_OF_SECONDARY_CAPTURE, VR::TM, &basis.envelope.time.time);
}

/// General Image (PS3.3 C.7.6.1).
fn general_image(data: &mut Dataset, header: &Dataset) {
    data.put_text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
    data.put_text(tags::IMAGE_COMMENTS, VR::LT, "AI output, not verified, not for diagnosis, not for measurement");
    // It asks for text that identifies the patient and the date of the image: the source may have some, the caption has not.
    let burned_in = header.text(tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES");
    data.put_text(tags::BURNED_IN_ANNOTATION, VR::CS, if burned_in { "YES" } else { "NO" });
    let recognizable = header.text(tags::RECOGNIZABLE_VISUAL_FEATURES).as_deref() == Some("YES");
    data.put_text(tags::RECOGNIZABLE_VISUAL_FEATURES, VR::CS, if recognizable { "YES" } else { "NO" });
    lossy::put(data, header);
}

/// How the picture came about.
fn derivation(data: &mut Dataset, basis: &Basis<'_>) {
    let (code, words): (Option<Concept>, &str) = match basis.input.explanation {
        Explanation::ClassActivation => (Some(codes::CLASS_ACTIVATION), "class activation map"),
        Explanation::GradientClassActivation => {
            (Some(codes::GRADIENT_CLASS_ACTIVATION), "gradient-weighted class activation map")
        }
        Explanation::Saliency => (Some(codes::SALIENCY), "saliency map"),
        Explanation::Occlusion => (Some(codes::SALIENCY), "map of the output's sensitivity to occlusion"),
        Explanation::ModelOutput => (None, "map put out by the model"),
        Explanation::None => (None, "outline, without a map,"),
    };
    if let Some(code) = code {
        data.put_items(tags::DERIVATION_CODE_SEQUENCE, vec![code_item(&code, &basis.envelope.text)]);
    }
    let model = basis.input.model;
    let text = format!("{} {}: {words} over the source image as displayed", model.name, model.version);
    basis.put(data, tags::DERIVATION_DESCRIPTION, VR::ST, &text);
}

/// Image Pixel (PS3.3 C.7.6.3): RGB by pixel, 8 bits.
fn pixels(data: &mut Dataset, picture: RgbPicture) -> Result<(), ResultError> {
    let (rows, columns) = (picture.rows, picture.columns);
    let too_large = |_| ResultError::PictureTooLarge { rows, columns };
    data.put_u16(tags::SAMPLES_PER_PIXEL, &[3]);
    data.put_text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    data.put_u16(tags::PLANAR_CONFIGURATION, &[0]);
    data.put_u16(tags::ROWS, &[u16::try_from(rows).map_err(too_large)?]);
    data.put_u16(tags::COLUMNS, &[u16::try_from(columns).map_err(too_large)?]);
    data.put_u16(tags::BITS_ALLOCATED, &[8]);
    data.put_u16(tags::BITS_STORED, &[8]);
    data.put_u16(tags::HIGH_BIT, &[7]);
    data.put_u16(tags::PIXEL_REPRESENTATION, &[0]);
    // The writer pads to even length.
    data.put_bytes(tags::PIXEL_DATA, VR::OB, picture.data);
    Ok(())
}
