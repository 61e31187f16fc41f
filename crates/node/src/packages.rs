//! Model packages: the bundled one and those of the configuration.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dokuei_inference::{Deviation, LoadError, Model, Overrides, Package, PackageError, VerifyReport, verify};
use serde_json::json;

use crate::args::{Models, ModelsAction, ModelsPlace};
use crate::config::{self, ConfigError, ConfigFile};
use crate::evaluate;
use crate::init;
use crate::outcome::{self, Failure, line, say, table};
use crate::send::words;

/// Name of the package inside the binary.
pub(crate) const BUNDLED: &str = "cxr-pneumonia";

/// Embeds files of the bundled package under their names inside it.
macro_rules! bundled_files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../models/cxr-pneumonia/", $name)).as_slice())),*]
    };
}

const BUNDLED_FILES: &[(&str, &[u8])] = bundled_files![
    "model.toml",
    "model.onnx",
    "MODEL_CARD.md",
    "selftest/input.npy",
    "selftest/output.npy",
    "selftest/maps.npy",
];

fn bundled() -> Result<Package, PackageError> {
    Package::from_files(BUNDLED, BUNDLED_FILES)
}

/// Loads every model of the configuration, or the bundled one where it names none.
///
/// # Errors
/// [`ConfigError`], each problem at the line of its package.
pub(crate) fn load(file: &ConfigFile) -> Result<Vec<Arc<Model>>, ConfigError> {
    let mut models: Vec<Arc<Model>> = Vec::new();
    let mut problems = Vec::new();
    if file.config.models.is_empty() {
        let package = bundled().map_err(|error| words(&error));
        match package.and_then(|package| load_one(package, &Overrides::default())) {
            Ok(model) => models.push(Arc::new(model)),
            Err(why) => problems.push(config::Problem::new(format!("the bundled model: {why}"))),
        }
    }
    for entry in &file.config.models {
        let model = entry.as_ref();
        let overrides = Overrides { finding: model.findings.clone() };
        let folder = file.resolve(&model.path);
        let loaded =
            Package::open(&folder).map_err(|error| words(&error)).and_then(|package| load_one(package, &overrides));
        let span = file.find(entry.span(), "path", &model.path.to_string_lossy());
        match loaded {
            Ok(loaded) if models.iter().any(|other| other.identity().name == loaded.identity().name) => {
                let why =
                    format!("a second model is named {:?}; routes could not tell them apart", loaded.identity().name);
                problems.push(file.problem(span, why));
            }
            Ok(loaded) => models.push(Arc::new(loaded)),
            Err(why) => problems.push(file.problem(span, why)),
        }
    }
    if problems.is_empty() { Ok(models) } else { Err(file.invalid(problems)) }
}

fn load_one(package: Package, overrides: &Overrides) -> Result<Model, String> {
    Model::load(package, overrides).map_err(|error: LoadError| words(&error))
}

/// A model by the folder of its package, or by the name it has in the configuration.
///
/// # Errors
/// There is no such model, or it cannot be loaded.
pub(crate) fn chosen(name: &str, file: &ConfigFile) -> Result<Arc<Model>, Failure> {
    let folder = Path::new(name);
    if folder.is_dir() {
        let package = Package::open(folder).map_err(|error| Failure::because("", &error))?;
        let model = Model::load(package, &Overrides::default()).map_err(|error| Failure::because(name, &error))?;
        return Ok(Arc::new(model));
    }
    let models = load(file)?;
    let known: Vec<&str> = models.iter().map(|model| model.identity().name.as_str()).collect();
    models.iter().find(|model| model.identity().name == name).cloned().ok_or_else(|| {
        let words = format!("{name} is neither a folder nor a model of the configuration");
        Failure::work(words).help(format!("the configuration has {}", known.join(", ")))
    })
}

pub(crate) fn run(arguments: &Models) -> Result<(), Failure> {
    match &arguments.action {
        ModelsAction::Evaluate(arguments) => evaluate::run(arguments),
        ModelsAction::Compare(arguments) => evaluate::compare(arguments),
        ModelsAction::Init(arguments) => init::run(arguments),
        ModelsAction::List(place) => list(place),
        ModelsAction::Verify(place) => verify_all(place),
    }
}

/// A package as it was found, and what the site overrides of it.
struct Found {
    from: String,
    package: Result<Package, String>,
    overrides: Overrides,
}

/// The packages named, or else those of the configuration.
fn packages(place: &ModelsPlace) -> Result<Vec<Found>, Failure> {
    let open = |folder: &Path, overrides| Found {
        from: folder.display().to_string(),
        package: Package::open(folder).map_err(|error| words(&error)),
        overrides,
    };
    if !place.packages.is_empty() {
        return Ok(place.packages.iter().map(|folder| open(folder, Overrides::default())).collect());
    }
    let file = config::load(place.config.as_deref())?;
    if file.config.models.is_empty() {
        let package = bundled().map_err(|error| words(&error));
        return Ok(vec![Found { from: format!("{BUNDLED} (bundled)"), package, overrides: Overrides::default() }]);
    }
    let configured = file.config.models.iter().map(toml::Spanned::as_ref);
    Ok(configured
        .map(|model| open(&file.resolve(&model.path), Overrides { finding: model.findings.clone() }))
        .collect())
}

fn list(place: &ModelsPlace) -> Result<(), Failure> {
    let mut rows = vec![["name", "version", "vendor", "use", "findings", "from"].map(str::to_owned).to_vec()];
    let mut listed = Vec::new();
    let mut broken = false;
    for Found { from, package, .. } in packages(place)? {
        let manifest = match package {
            Ok(package) => package.manifest,
            Err(why) => {
                broken = true;
                say(format!("{from}: {why}"));
                continue;
            }
        };
        let identity = manifest.identity();
        let findings: Vec<&str> = manifest.findings.iter().map(|finding| finding.name.as_str()).collect();
        let qualification = format!("{:?}", identity.qualification).to_lowercase();
        rows.push(vec![
            identity.name.clone(),
            identity.version.clone(),
            identity.vendor.clone(),
            qualification.clone(),
            findings.join(", "),
            from.clone(),
        ]);
        listed.push(json!({
            "name": identity.name,
            "version": identity.version,
            "vendor": identity.vendor,
            "qualification": qualification,
            "weights_sha256": identity.weights_sha256,
            "device_uid": identity.device_uid,
            "accepts": manifest.accepts.when.iter().map(|requirement| &requirement.condition).collect::<Vec<_>>(),
            "findings": findings,
            "from": from,
        }));
    }
    if place.json {
        outcome::json(&listed, true)
    } else {
        table(&rows)
    }
    if broken { Err(Failure::Said) } else { Ok(()) }
}

fn verify_all(place: &ModelsPlace) -> Result<(), Failure> {
    let start = Instant::now();
    let elapsed = || start.elapsed();
    let mut reports = Vec::new();
    let mut failed = false;
    for Found { from, package, overrides } in packages(place)? {
        let verified = package.and_then(|package| verify(package, &overrides, &elapsed).map_err(|error| words(&error)));
        failed |= verified.is_err();
        if place.json {
            reports.push(match &verified {
                Ok(report) => json!({ "from": from, "ok": true, "report": report }),
                Err(why) => json!({ "from": from, "ok": false, "error": why }),
            });
        } else {
            match &verified {
                Ok(report) => show(&from, report),
                Err(why) => say(format!("{from}: {why}")),
            }
        }
    }
    if place.json {
        outcome::json(&reports, true);
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// What verifying a package showed.
pub(crate) fn show(from: &str, report: &VerifyReport) {
    line(format!("{} {} from {from}", report.name, report.version));
    line(format!("  weights      {} bytes, SHA-256 {}", report.weights_bytes, report.weights_sha256));
    let nodes: usize = report.operators.values().sum();
    line(format!(
        "  operators    {nodes} of {} kinds, version {}, all known to the engine",
        report.operators.len(),
        report.opset
    ));
    line(format!("  input        {}", sides(&report.input)));
    for (name, shape) in &report.outputs {
        line(format!("  computes     {name}: {}", sides(shape)));
    }
    line(format!("  load         {}", milliseconds(report.load)));
    line(format!("  one run      {} on one core", milliseconds(report.run)));
    match &report.self_test {
        Some(deviation) => line(format!("  self-test    passed: {}", deviations(deviation))),
        None => line("  self-test    none in the package"),
    }
    line(format!("  explanation  {}", report.explanation));
    for finding in &report.findings {
        line(format!("  {:<12} {:.1} % ({})", finding.name, finding.probability * 100.0, finding.band.as_str()));
    }
    if let Some(of) = &report.familiarity {
        line(format!("  unfamiliar   {:.2}, taken up to {}", of.unfamiliarity, of.at_most));
    }
    for warning in &report.warnings {
        say(format!("  warning: {warning}"));
    }
}

fn sides(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// How far each part of a self-test was off.
fn deviations(of: &Deviation) -> String {
    let parts = [
        ("output", Some(of.output)),
        ("maps", of.maps),
        ("probabilities", of.probabilities),
        ("unfamiliarity", of.unfamiliarity),
    ];
    let parts = parts.iter().filter_map(|(name, off)| Some(format!("{name} off by {:.1e}", (*off)?)));
    format!("{}; {} is allowed", parts.collect::<Vec<_>>().join(", "), of.tolerance)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
