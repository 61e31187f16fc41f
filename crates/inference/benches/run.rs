//! Time of one run of a model package, alone and with one session per core.
//!
//! `cargo bench -p dokuei-inference [-- FOLDER]`; without a folder, the bundled package.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dokuei_inference::{Model, Overrides, Package, verify};
use ndarray::Array4;

/// Runs measured for each figure.
const RUNS: usize = 60;

fn main() {
    let bundled = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/cxr-pneumonia");
    let dir = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map_or_else(bundled, PathBuf::from);
    let package = match Package::open(&dir) {
        Ok(package) => package,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let start = Instant::now();
    let report = verify(package.clone(), &Overrides::default(), &|| start.elapsed()).expect("the package loads");
    eprintln!("{} {}: load {:.0?}", report.name, report.version, report.load);
    let model = Model::load(package, &Overrides::default()).expect("the package loads");
    let spec = &model.manifest().input;
    let tensor = Array4::from_shape_fn((1, spec.channels, spec.height, spec.width), |(_, _, y, x)| {
        f32::from(u8::try_from((x * 7 + y * 13) % 256).unwrap_or(0)) / 255.0
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for sessions in [1, cores] {
        let start = Instant::now();
        let mut times: Vec<Duration> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..sessions).map(|_| scope.spawn(|| measure(&model, &tensor))).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("the worker ends")).collect()
        });
        let each_second = (RUNS * sessions) as f64 / start.elapsed().as_secs_f64();
        times.sort();
        let (least, median) = (times[0], times[times.len() / 2]);
        eprintln!("{sessions} sessions: least {least:.1?}, median {median:.1?}, {each_second:.1} runs/s");
    }
}

fn measure(model: &Model, tensor: &Array4<f32>) -> Vec<Duration> {
    let mut session = model.session().expect("a session starts");
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        session.run_tensor(tensor).expect("the model runs");
        times.push(start.elapsed());
    }
    times
}
