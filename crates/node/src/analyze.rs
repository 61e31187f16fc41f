//! `dokuei analyze`: the models look at files, without a network or a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_dictionary_std::tags;
use dokuei_dataset::{Limits, read_file};
use dokuei_pipeline::{Analysis, AnalysisInput, AnalysisLimits, Analyst, Attributes, FrameFindings, Verdict};
use dokuei_results::{CaptureStyle, Comparison, Role, object_text};
use dokuei_types::NodeIdentity;
use jiff::Zoned;
use serde_json::{Value, json};

use crate::args::Analyze;
use crate::config;
use crate::files::{self, DicomFile};
use crate::outcome::{self, Failure, line, say};
use crate::picture;
use crate::reports;
use crate::site::{self, Site};

pub(crate) fn run(arguments: &Analyze) -> Result<(), Failure> {
    let site = Site::check(config::load(arguments.config.as_deref())?)?;
    let mut analysts = analysts(&site, arguments.model.as_deref())?;
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out).map_err(|error| Failure::because(&out.display().to_string(), &error))?;
    }
    let node = site::identity(&site.file.config.node);
    let style = site.file.config.results.capture_style();
    let mut failed = false;
    for (path, named) in files::collect(&arguments.paths)? {
        match files::open(&path) {
            Ok(file) => {
                for analyst in &mut analysts {
                    failed |= !one(arguments, analyst, &file, &node, &style)?;
                }
            }
            Err(error) => {
                failed |= named;
                not_dicom(arguments, &path, &error);
            }
        }
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}

fn analysts(site: &Site, only: Option<&str>) -> Result<Vec<Analyst>, Failure> {
    let ready = site.ready_models().map_err(|errors| Failure::work(format!("{errors:?}")))?;
    let chosen = ready.into_iter().filter(|model| only.is_none_or(|name| model.name() == name));
    let analysts: Result<Vec<Analyst>, _> = chosen.map(Analyst::new).collect();
    let analysts = analysts.map_err(|error| Failure::because("prepare the models", &error))?;
    if analysts.is_empty() {
        let names: Vec<&str> = site.models.iter().map(|model| model.identity().name.as_str()).collect();
        return Err(Failure::work(format!("no model is named {:?}", only.unwrap_or_default()))
            .help(format!("there is {}", names.join(", "))));
    }
    Ok(analysts)
}

fn not_dicom(arguments: &Analyze, path: &Path, error: &Failure) {
    if arguments.json {
        outcome::json(&json!({ "path": path, "outcome": "not_dicom", "reason": error.to_string() }), false);
    } else {
        say(error);
    }
}

/// One model looks at one file; `false` when that failed.
fn one(
    arguments: &Analyze,
    analyst: &mut Analyst,
    file: &DicomFile,
    node: &NodeIdentity,
    style: &CaptureStyle,
) -> Result<bool, Failure> {
    let model = analyst.model().name().to_owned();
    let attributes = Attributes::new(Arc::new(file.header.dataset.clone()), "", "", &file.meta.transfer_syntax);
    let limits = AnalysisLimits::default();
    let input = AnalysisInput {
        attributes: &attributes,
        header: &file.header,
        file: &file.file,
        node,
        style,
        made_at: &Zoned::now(),
        version: 1,
        revises: &[],
        comparison: Comparison::NotAsked,
        roles: &Role::ALL,
        limits: &limits,
    };
    let (fields, words) = match analyst.analyze(&input) {
        Ok(Verdict::Reported(analysis)) => {
            let written = match &arguments.out {
                Some(out) => write(out, &stem(&file.path, &model), &analysis)?,
                None => Vec::new(),
            };
            (analysed(&analysis, &written), findings_in_words(&analysis))
        }
        Ok(Verdict::Declined(reason)) => {
            (json!({ "outcome": "declined", "reason": reason.to_string() }), format!("declined, {reason}"))
        }
        Err(error) => {
            let reason = error.reason();
            (json!({ "outcome": "failed", "reason": reason }), format!("failed, {reason}"))
        }
    };
    let failed = fields["outcome"] == "failed";
    if arguments.json {
        let mut value = json!({ "path": file.path, "model": model });
        if let (Some(all), Value::Object(fields)) = (value.as_object_mut(), fields) {
            all.extend(fields);
        }
        outcome::json(&value, false);
    } else {
        line(format!("{}: {model}: {words}", file.path.display()));
    }
    Ok(!failed)
}

fn analysed(analysis: &Analysis, written: &[PathBuf]) -> Value {
    let frame = |frame: &FrameFindings| {
        let declined = frame.declined.as_ref().map(ToString::to_string);
        json!({
            "frame": frame.frame,
            "findings": frame.findings,
            "unfamiliarity": frame.unfamiliarity,
            "declined": declined,
            "failed": frame.failed,
        })
    };
    let milliseconds = |duration: std::time::Duration| (duration.as_secs_f64() * 1e5).round() / 100.0;
    json!({
        "outcome": "analysed",
        "frames": analysis.frames.iter().map(frame).collect::<Vec<_>>(),
        "written": written,
        "timings_ms": {
            "prepare": milliseconds(analysis.timings.prepare),
            "infer": milliseconds(analysis.timings.infer),
            "explain": milliseconds(analysis.timings.explain),
            "report": milliseconds(analysis.timings.report),
        },
    })
}

fn findings_in_words(analysis: &Analysis) -> String {
    let all = analysis.frames.iter().flat_map(|frame| frame.findings.iter().map(move |finding| (frame.frame, finding)));
    all.map(|(frame, finding)| {
        let frame = frame.map(|frame| format!("frame {frame} ")).unwrap_or_default();
        let regions =
            if finding.is_marked() { format!(", {} regions marked", finding.regions.len()) } else { String::new() };
        format!("{frame}{} {:.1} % ({}{regions})", finding.name, finding.probability * 100.0, finding.band.as_str())
    })
    .collect::<Vec<_>>()
    .join("; ")
}

/// A file name for results: the source's own without its extension, and the model's.
fn stem(path: &Path, model: &str) -> String {
    format!("{}.{model}", path.file_stem().unwrap_or_default().to_string_lossy())
}

/// Writes each object as DICOM, of alternatives the preferred one, and beside it what people open.
pub(crate) fn write(out: &Path, stem: &str, analysis: &Analysis) -> Result<Vec<PathBuf>, Failure> {
    let mut written = Vec::new();
    for role in Role::ALL {
        let Some(object) = analysis.objects.iter().find(|object| object.role == role) else { continue };
        written.extend(write_object(out, stem, role.as_str(), &object.object.bytes)?);
    }
    Ok(written)
}

/// Writes a result object, and beside it what people open.
pub(crate) fn write_object(out: &Path, stem: &str, role: &str, bytes: &[u8]) -> Result<Vec<PathBuf>, Failure> {
    let save = |name: String, bytes: &[u8]| {
        let path = out.join(name);
        let written = std::fs::write(&path, bytes);
        written.map(|()| path.clone()).map_err(|error| Failure::because(&path.display().to_string(), &error))
    };
    let mut written = vec![save(format!("{stem}.{role}.dcm"), bytes)?];
    // A page with a large picture in it is larger than what is read of strangers' values.
    let limits = Limits { value_bytes: u64::MAX, ..Limits::default() };
    let (_, header) = read_file(&bytes, &limits).map_err(|error| Failure::because(stem, &error))?;
    if let Some(text) = reports::text_of(&header, &bytes) {
        written.push(save(format!("{stem}.{role}.txt"), text.as_bytes())?);
    } else if let Some(pdf) = header.dataset.bytes(tags::ENCAPSULATED_DOCUMENT) {
        let length = header.dataset.int(tags::ENCAPSULATED_DOCUMENT_LENGTH).and_then(|n| usize::try_from(n).ok());
        let pdf = length.and_then(|length| pdf.get(..length)).unwrap_or(pdf);
        written.push(save(format!("{stem}.{role}"), pdf)?);
    } else if let Some(png) = picture::png(&header, &bytes) {
        written.push(save(format!("{stem}.{role}.png"), &png)?);
    } else if let Some(text) = object_text(&header.dataset) {
        written.push(save(format!("{stem}.{role}.txt"), text.as_bytes())?);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;
    use dokuei_dataset::{Dataset, Encoding, MetaFields, VR, file_meta, write_dataset};

    use super::*;

    #[test]
    fn a_page_is_opened_however_large_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, size) in [("small", 11), ("large", (3 << 20) + 1)] {
            let pdf: Vec<u8> = (0..size).map(|index: u32| index.to_le_bytes()[0]).collect();
            let mut page = Dataset::new();
            page.put_text(tags::SOP_CLASS_UID, VR::UI, uids::ENCAPSULATED_PDF_STORAGE);
            page.put_bytes(tags::ENCAPSULATED_DOCUMENT, VR::OB, pdf.clone());
            page.put_u32(tags::ENCAPSULATED_DOCUMENT_LENGTH, &[size]);
            let mut bytes = file_meta(&MetaFields {
                sop_class: uids::ENCAPSULATED_PDF_STORAGE,
                sop_instance: "1.2.3",
                transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
                source_ae: None,
                sending_ae: None,
                receiving_ae: None,
            });
            bytes.extend(write_dataset(&page, Encoding::ExplicitLittle));
            let written = write_object(folder.path(), name, "pdf", &bytes).unwrap();
            let [object, opened] = written.as_slice() else { panic!("{written:?}") };
            assert_eq!(std::fs::read(object).unwrap(), bytes);
            assert_eq!(opened, &folder.path().join(format!("{name}.pdf")));
            assert!(std::fs::read(opened).unwrap() == pdf, "{name}");
        }
    }
}
