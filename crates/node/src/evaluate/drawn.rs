//! Charts, and pictures of the images a model is most wrong about.

use std::path::Path;

use dokuei_evaluation::{Auroc, Bin, Case, Figures, proportion};
use dokuei_pipeline::{Analyst, Verdict};
use dokuei_results::{Chart, Curve, Role, chart_picture};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::labels::LabelledImage;
use super::score::{self, Scorer};
use super::{save, words};
use crate::outcome::Failure;
use crate::picture;

/// A model's ROC curve.
pub(crate) struct RocCurve<'a> {
    pub(crate) name: &'a str,
    pub(crate) auroc: Option<Auroc>,
    pub(crate) points: &'a [[f64; 2]],
}

/// The ROC curves of models as PNG.
pub(crate) fn roc(models: &[RocCurve<'_>]) -> Result<Vec<u8>, Failure> {
    let names: Vec<String> = models.iter().map(|of| format!("{}: AUROC {}", of.name, words::area(of.auroc))).collect();
    let points: Vec<Vec<[f32; 2]>> = models.iter().map(|of| of.points.iter().map(single).collect()).collect();
    let curves = names.iter().zip(&points).map(|(name, points)| Curve { name, points, intervals: &[], dots: false });
    let curves: Vec<Curve<'_>> = curves.collect();
    png(&Chart { title: "ROC", across: "1 - specificity", up: "sensitivity", curves: &curves })
}

/// The calibration of a finding as PNG, as the cases are mixed.
pub(crate) fn calibration(name: &str, figures: &Figures, cases: &[Case]) -> Result<Vec<u8>, Failure> {
    let Some(of) = figures.calibration.first() else { return Err(Failure::work("no image was scored")) };
    let name = format!("{name}: expected calibration error {:.3}, {:.0} % positive", of.error, of.prevalence * 100.0);
    let points: Vec<[f32; 2]> = of.bins.iter().map(|bin| single(&[bin.mean_probability, bin.positive])).collect();
    let intervals: Vec<[f32; 2]> = of.bins.iter().map(|bin| single(&interval(bin, cases))).collect();
    let curve = Curve { name: &name, points: &points, intervals: &intervals, dots: true };
    png(&Chart { title: "Calibration", across: "probability", up: "share of positives", curves: &[curve] })
}

/// The 95 % interval of a bin's share of positives.
fn interval(bin: &Bin, cases: &[Case]) -> [f64; 2] {
    let inside = cases.iter().filter(|case| bin.holds(case.score));
    let share = proportion(inside.map(|case| (case.positive, case.patient)));
    share.map_or([bin.positive; 2], |share| share.interval)
}

/// Writes the picture of an image: the secondary capture where the model marks something, else the image alone. Gives
/// its name in the folder, or `None` where there is no picture.
pub(crate) fn worst(
    scorer: &Scorer,
    analyst: &mut Analyst,
    image: &LabelledImage,
    out: &Path,
    name: &str,
) -> Result<Option<String>, Failure> {
    let Ok(opened) = score::open(&image.path) else { return Ok(None) };
    let verdict = scorer.look(analyst, &opened, &[Role::Sc]);
    let capture = match &verdict {
        Ok(Verdict::Reported(analysis)) => score::object(analysis, Role::Sc).and_then(picture::png_of),
        Ok(Verdict::Declined(_)) | Err(_) => None,
    };
    let Some(png) = capture.or_else(|| picture::png(&opened.header, &*opened.bytes)) else { return Ok(None) };
    let name = format!("{name}.png");
    save(&out.join(&name), &png)?;
    Ok(Some(name))
}

fn png(chart: &Chart<'_>) -> Result<Vec<u8>, Failure> {
    let picture = chart_picture(chart).map_err(|error| Failure::because("draw a chart", &error))?;
    let mut png = Vec::new();
    let written =
        PngEncoder::new(&mut png).write_image(&picture.data, picture.columns, picture.rows, ExtendedColorType::Rgb8);
    written.map_err(|error| Failure::because("write a chart", &error))?;
    Ok(png)
}

#[expect(clippy::cast_possible_truncation, reason = "a place in a chart")]
fn single(point: &[f64; 2]) -> [f32; 2] {
    point.map(|share| share as f32)
}
