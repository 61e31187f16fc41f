//! Report: the objects that say to others what a model says of an image.

use dokuei_pixels::Picture;
use dokuei_results::{
    Object, PagePicture, ReportInput, ResultError, Role, SourceImage, SourcePicture, SrClass, key_object_note,
    presentation_state, result_page, secondary_capture, segmentation, structured_report,
};

use crate::analysis::{AnalysisInput, AnalysisObject, FrameFindings};
use crate::model::ModelStage;

/// A frame as a person sees it.
pub(crate) struct Pictured {
    /// Its index among the frames.
    pub(crate) index: usize,
    pub(crate) picture: Picture,
}

/// The objects of the roles asked for; the report comes in each SOP class a destination may want.
pub(crate) fn objects(
    stage: &dyn ModelStage,
    input: &AnalysisInput<'_>,
    frames: &[FrameFindings],
    pictured: Option<&Pictured>,
) -> Result<Vec<AnalysisObject>, ResultError> {
    let sources = sources(input, frames);
    let parameters = stage.parameters();
    let report = ReportInput {
        sources: &sources,
        model: stage.identity(),
        node: input.node,
        made_at: input.made_at,
        explanation: stage.explanation(),
        parameters: &parameters,
        source_version: input.version,
        revises: input.revises,
        comparison: input.comparison,
    };
    // The report refers to the picture, which is therefore made first.
    let captures = captures(input, &report, frames, pictured)?;
    let mut objects = Vec::new();
    for role in input.roles {
        let made: Vec<Object> = match role {
            Role::Sr => {
                let in_class = |class| structured_report(&report, class, &captures);
                SrClass::PREFERENCE.into_iter().map(in_class).collect::<Result<_, _>>()?
            }
            Role::Sc => captures.iter().flatten().cloned().collect(),
            Role::Pr => presentation_state(&report)?.into_iter().collect(),
            Role::Ko => key_object_note(&report)?.into_iter().collect(),
            Role::Pdf => {
                let shown =
                    pictured.map(|shown| PagePicture { source: shown.index, picture: borrowed(&shown.picture) });
                vec![result_page(&report, shown, stage.intended_use())?]
            }
            Role::Seg => segmentation(&report)?.into_iter().collect(),
            Role::Rejection => Vec::new(),
        };
        objects.extend(made.into_iter().map(|object| AnalysisObject { role: *role, object }));
    }
    Ok(objects)
}

fn sources<'a>(input: &AnalysisInput<'a>, frames: &'a [FrameFindings]) -> Vec<SourceImage<'a>> {
    let header = &input.header.dataset;
    let source = |frame: &'a FrameFindings| match (&frame.declined, &frame.failed) {
        (Some(reason), _) => SourceImage::declined(header, frame.frame, reason),
        (None, Some(reason)) => SourceImage::failed(header, frame.frame, reason),
        (None, None) => SourceImage::analysed(header, frame.frame, &frame.findings),
    };
    frames.iter().map(source).collect()
}

/// The secondary capture of the frame that is shown, at its place among all frames.
fn captures(
    input: &AnalysisInput<'_>,
    report: &ReportInput<'_>,
    frames: &[FrameFindings],
    pictured: Option<&Pictured>,
) -> Result<Vec<Option<Object>>, ResultError> {
    let mut captures: Vec<Option<Object>> = vec![None; frames.len()];
    let Some(Pictured { index, picture }) = pictured.filter(|_| input.roles.contains(&Role::Sc)) else {
        return Ok(captures);
    };
    let maps = frames.get(*index).map(|frame| frame.maps.as_slice()).unwrap_or_default();
    let maps: Vec<Option<&[f32]>> = maps.iter().map(|map| map.as_ref()?.as_slice()).collect();
    let capture = secondary_capture(report, *index, &borrowed(picture), &maps, input.style)?;
    if let Some(place) = captures.get_mut(*index) {
        *place = capture;
    }
    Ok(captures)
}

fn borrowed(picture: &Picture) -> SourcePicture<'_> {
    match picture {
        Picture::Gray { rows, columns, data } => SourcePicture::Gray { rows: *rows, columns: *columns, data },
        Picture::Rgb { rows, columns, data } => SourcePicture::Rgb { rows: *rows, columns: *columns, data },
    }
}
