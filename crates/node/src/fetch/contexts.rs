//! The presentation contexts of a C-GET: the peer can send only what was proposed before it is asked.

use dicom_dictionary_std::{tags, uids};
use dokuei_dimse::{Association, CONTEXTS_MAX, ProposedContext, RequestorConfig};
use dokuei_types::Uid;
use tokio_util::sync::CancellationToken;

use crate::keys::{self, Key, Level, known};
use crate::query::{self, QueryError};

pub(super) const GET_MODEL: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET;

/// Contexts that are left beside that of the C-GET itself.
const ROOM: usize = CONTEXTS_MAX - 1;
/// SOP classes that can be proposed, two contexts each.
const CLASSES_MAX: usize = ROOM / 2;

/// What most instances come in.
const UNCOMPRESSED: [&str; 2] = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
const COMPRESSED: [&str; 11] = [
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEG_LOSSLESS,
    uids::JPEGLS_LOSSLESS,
    uids::JPEG2000_LOSSLESS,
    uids::HTJ2K_LOSSLESS,
    uids::RLE_LOSSLESS,
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG2000,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
];

/// Proposed to a peer that does not say which classes a study has.
const COMMON: [&str; 56] = [
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_INTRA_ORAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::BREAST_TOMOSYNTHESIS_IMAGE_STORAGE,
    uids::BREAST_PROJECTION_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::CT_IMAGE_STORAGE,
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_COLOR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
    uids::MR_SPECTROSCOPY_STORAGE,
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    uids::ENHANCED_US_VOLUME_STORAGE,
    uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
    uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::ENHANCED_XA_IMAGE_STORAGE,
    uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
    uids::ENHANCED_XRF_IMAGE_STORAGE,
    uids::X_RAY3_D_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::VL_ENDOSCOPIC_IMAGE_STORAGE,
    uids::VL_MICROSCOPIC_IMAGE_STORAGE,
    uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
    uids::OPHTHALMIC_PHOTOGRAPHY8_BIT_IMAGE_STORAGE,
    uids::OPHTHALMIC_TOMOGRAPHY_IMAGE_STORAGE,
    uids::SEGMENTATION_STORAGE,
    uids::PARAMETRIC_MAP_STORAGE,
    uids::SPATIAL_REGISTRATION_STORAGE,
    uids::RT_IMAGE_STORAGE,
    uids::RT_DOSE_STORAGE,
    uids::RT_STRUCTURE_SET_STORAGE,
    uids::RT_PLAN_STORAGE,
    uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::BASIC_TEXT_SR_STORAGE,
    uids::ENHANCED_SR_STORAGE,
    uids::COMPREHENSIVE_SR_STORAGE,
    uids::COMPREHENSIVE3_DSR_STORAGE,
    uids::MAMMOGRAPHY_CADSR_STORAGE,
    uids::CHEST_CADSR_STORAGE,
    uids::X_RAY_RADIATION_DOSE_SR_STORAGE,
    uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
    uids::ENCAPSULATED_PDF_STORAGE,
    uids::RAW_DATA_STORAGE,
];

/// The SOP classes that may come: those the peer says the study has (0008,0062), else the most common ones.
pub(super) async fn classes(config: &RequestorConfig, study: &Uid, cancel: &CancellationToken) -> Vec<Uid> {
    match in_study(config, study, cancel.clone()).await {
        Ok(classes) if !classes.is_empty() && classes.len() <= CLASSES_MAX => classes,
        other => {
            tracing::debug!(?other, "the peer does not say which SOP classes the study has");
            COMMON.into_iter().map(known).collect()
        }
    }
}

async fn in_study(config: &RequestorConfig, study: &Uid, cancel: CancellationToken) -> Result<Vec<Uid>, QueryError> {
    let model = keys::find_model(Level::Study, false);
    let contexts = [ProposedContext::information_model(model.clone())];
    // Who cannot be reached is said of the association that follows.
    let Ok(mut association) = Association::request(config, &contexts).await else { return Ok(Vec::new()) };
    let keys = [Key::of(tags::STUDY_INSTANCE_UID, study.as_str()), Key::any(tags::SOP_CLASSES_IN_STUDY)];
    let mut classes = Vec::new();
    let asked = query::matches(&mut association, &model, (Level::Study, &keys), cancel, |dataset| {
        if classes.is_empty() {
            let named = dataset.texts(tags::SOP_CLASSES_IN_STUDY);
            classes.extend(named.iter().filter_map(|uid| Uid::new(uid).ok()));
        }
    });
    asked.await?;
    drop(association.release().await);
    Ok(classes)
}

/// A context for each class and transfer syntax where there is room, so that the peer can send everything as it has
/// it; else two for each class, the compressed syntaxes apart.
pub(super) fn proposed(classes: &[Uid]) -> Vec<ProposedContext> {
    let syntaxes = [&UNCOMPRESSED[..], &COMPRESSED[..]];
    let all = syntaxes.concat();
    let mut contexts = vec![ProposedContext::information_model(known(GET_MODEL))];
    if classes.len().saturating_mul(all.len()) <= ROOM {
        let pairs = classes.iter().flat_map(|class| all.iter().map(move |syntax| (class.clone(), known(syntax))));
        contexts.extend(pairs.map(|(class, syntax)| ProposedContext::of(class, syntax)));
    } else {
        let groups = classes.iter().take(CLASSES_MAX).flat_map(|class| syntaxes.map(|group| (class.clone(), group)));
        contexts.extend(groups.map(|(abstract_syntax, group)| ProposedContext {
            abstract_syntax,
            transfer_syntaxes: group.iter().map(|syntax| known(syntax)).collect(),
        }));
    }
    contexts
}

/// What may come over an association, each as it comes.
pub(super) fn accepted(association: &Association) -> Vec<ProposedContext> {
    let storage = association.contexts().iter().filter(|context| context.abstract_syntax.as_str() != GET_MODEL);
    storage
        .map(|context| ProposedContext::of(context.abstract_syntax.clone(), context.transfer_syntax.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_classes_have_a_context_for_each_syntax_and_many_fit_all_the_same() {
        let common: Vec<Uid> = COMMON.into_iter().map(known).collect();
        let few = proposed(&common[..9]);
        assert_eq!(few.len(), 1 + 9 * (UNCOMPRESSED.len() + COMPRESSED.len()));
        assert!(few[1..].iter().all(|context| context.transfer_syntaxes.len() == 1));
        let many = proposed(&common);
        assert_eq!(many.len(), 1 + 2 * COMMON.len());
        assert!(few.len() <= CONTEXTS_MAX && many.len() <= CONTEXTS_MAX);
        let distinct: std::collections::HashSet<_> = common.iter().collect();
        assert_eq!(distinct.len(), COMMON.len());
    }
}
