//! `dokuei models init`: a package from an ONNX file. What the file says is taken from it, the rest is asked for.

mod answers;
mod manifest;

use std::fs;
use std::path::Path;
use std::time::Instant;

use dokuei_inference::npy::{self, Tensor};
use dokuei_inference::{Inspection, Model, Overrides, Package, inspect, verify};
use ndarray::Array4;
use sha2::{Digest as _, Sha256};

use self::answers::Answers;
use crate::args::Init;
use crate::outcome::{Failure, line};
use crate::packages;
use crate::send::words;

/// Largest difference a self-test allows.
const TOLERANCE: f32 = 0.001;

pub(crate) fn run(arguments: &Init) -> Result<(), Failure> {
    let file = arguments.onnx.display().to_string();
    let onnx = fs::read(&arguments.onnx).map_err(|error| Failure::because(&file, &error))?;
    let inspection = inspect(&onnx).map_err(|error| Failure::because(&file, &error))?;
    say_found(&inspection);
    if arguments.out.join("model.toml").exists() {
        return Err(Failure::work(format!("{} is a package already", arguments.out.display())));
    }
    let answers = Answers::gather(arguments, &inspection)?;
    let sha256: String = Sha256::digest(&onnx).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = manifest::text(&answers, &sha256);
    let package = Package::from_files(&answers.name, &[("model.toml", text.as_bytes()), ("model.onnx", &onnx)])
        .map_err(|error| Failure::because("the manifest that follows from the answers", &error))?;
    let model = Model::load(package, &Overrides::default()).map_err(|error| Failure::because(&file, &error))?;
    check_output(&model, arguments)?;
    let test = self_test(&model, arguments)?;
    let text = text + &test.section;

    let mut files = vec![("model.toml", text.as_bytes()), ("model.onnx", onnx.as_slice())];
    files.extend(test.files.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
    let package = Package::from_files(&answers.name, &files).map_err(|error| Failure::because("", &error))?;
    let start = Instant::now();
    let report = verify(package, &Overrides::default(), &|| start.elapsed())
        .map_err(|error| Failure::work(format!("{file}: {}", words(&error))))?;
    write(&arguments.out, &files)?;
    let folder = arguments.out.display().to_string();
    packages::show(&folder, &report);
    line("");
    line(format!("next: complete {folder}/model.toml (codes, [accepts], bands), write {folder}/MODEL_CARD.md, then"));
    line(format!("  dokuei models evaluate --model {folder} --images DIR --labels CSV"));
    Ok(())
}

fn say_found(found: &Inspection) {
    let shape = |axes: &[Option<usize>]| {
        let axes = axes.iter().map(|axis| axis.map_or_else(|| "any".to_owned(), |length| length.to_string()));
        axes.collect::<Vec<_>>().join(" x ")
    };
    for (word, tensors) in [("input", &found.inputs), ("output", &found.outputs)] {
        for tensor in tensors {
            line(format!("{word:<10} {}: {} of {}", tensor.name, tensor.element, shape(&tensor.shape)));
        }
    }
    for head in &found.heads {
        line(format!(
            "maps       class activation of {} by {}: {} outputs in {}",
            head.features, head.weights, head.classes, head.output
        ));
    }
    if found.heads.is_empty() {
        line("maps       by occlusion: no linear layer over a globally averaged feature map was found");
    }
}

/// Of an output that is a mask or boxes no element is a finding, unless somebody says which.
fn check_output(model: &Model, arguments: &Init) -> Result<(), Failure> {
    let is_said = arguments.finding.iter().all(|finding| finding.contains('@')) && !arguments.finding.is_empty();
    match model.output_of_many_axes() {
        Some((name, shape)) if !is_said => {
            let words = format!("{name} has the shape {shape:?}, must have one number for each finding");
            Err(Failure::work(words).help("name such a tensor with --output, or the numbers with --finding NAME@INDEX"))
        }
        _ => Ok(()),
    }
}

/// `[selftest]` and the files it names.
struct SelfTest {
    section: String,
    files: Vec<(&'static str, Vec<u8>)>,
}

/// Runs the network once: on the example given, or on a pattern. With `--expected` what its maker saw is what it must
/// give again; without, what it gives here.
fn self_test(model: &Model, arguments: &Init) -> Result<SelfTest, Failure> {
    let spec = &model.manifest().input;
    let shape = [1, spec.channels, spec.height, spec.width];
    let input = match &arguments.example {
        Some(file) => read(file, &shape)?.values,
        None => pattern(&shape, &|channel, value| {
            let of = |values: &[f32], or: f32| values.get(channel).or(values.first()).copied().unwrap_or(or);
            (value - of(&spec.mean, 0.0)) / of(&spec.scale, 1.0)
        }),
    };
    let tensor = Array4::from_shape_vec(shape, input.clone()).map_err(|error| Failure::because("example", &error))?;
    let mut session = model.session().map_err(|error| Failure::because("prepare the model", &error))?;
    let computed = session.run_tensor(&tensor).map_err(|error| Failure::because("run the model", &error))?;
    let (_, of_output) = model.outputs().first().cloned().unwrap_or_default();
    let output = match &arguments.expected {
        Some(file) => {
            let expected = read(file, &of_output)?.values;
            let off = expected.iter().zip(&computed.output).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
            line(format!("self-test  differs from {} by {off:e} at most", file.display()));
            expected
        }
        None => computed.output,
    };
    let mut files = vec![
        ("selftest/input.npy", npy::write(&shape, &input)),
        ("selftest/output.npy", npy::write(&of_output, &output)),
    ];
    let mut section = "\n[selftest]\ninput = \"selftest/input.npy\"\noutput = \"selftest/output.npy\"\n".to_owned();
    if let Some(maps) = computed.maps.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()
        && let Some((height, width)) = maps.first().map(|map| map.dim())
    {
        let values: Vec<f32> = maps.iter().flat_map(|map| map.iter().copied()).collect();
        files.push(("selftest/maps.npy", npy::write(&[maps.len(), height, width], &values)));
        section.push_str("maps = \"selftest/maps.npy\"\n");
    }
    section.push_str(&format!("probabilities = {:?}\ntolerance = {TOLERANCE}\n", computed.probabilities));
    Ok(SelfTest { section, files })
}

fn read(file: &Path, shape: &[usize]) -> Result<Tensor, Failure> {
    let name = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| Failure::because(&name, &error))?;
    let tensor = npy::read(&bytes).map_err(|error| Failure::because(&name, &error))?;
    if tensor.shape == shape {
        return Ok(tensor);
    }
    Err(Failure::work(format!("{name} has the shape {:?}, must have {shape:?}", tensor.shape)))
}

/// Waves of several widths over a slope, 0 to 1, normalised as the model takes them: nobody's image.
fn pattern(shape: &[usize; 4], normalised: &dyn Fn(usize, f32) -> f32) -> Vec<f32> {
    let [_, channels, height, width] = *shape;
    let at = |channel: usize, row: usize, column: usize| {
        let (y, x) = (row as f32 / height as f32, column as f32 / width as f32);
        let waves = (6.0 * x).sin() * (9.0 * y).cos() + 0.5 * (31.0 * x + 17.0 * y).sin();
        normalised(channel, (0.5 + 0.2 * waves + 0.15 * (y - x)).clamp(0.0, 1.0))
    };
    let rows = |channel| (0..height).flat_map(move |row| (0..width).map(move |column| (channel, row, column)));
    (0..channels).flat_map(rows).map(|(channel, row, column)| at(channel, row, column)).collect()
}

fn write(out: &Path, files: &[(&str, &[u8])]) -> Result<(), Failure> {
    for (name, bytes) in files {
        let path = out.join(name);
        let failed = |error: std::io::Error| Failure::because(&path.display().to_string(), &error);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        fs::write(&path, bytes).map_err(failed)?;
    }
    Ok(())
}
