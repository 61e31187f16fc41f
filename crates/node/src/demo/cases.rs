//! What the demonstration sends.

use std::path::{Path, PathBuf};

use dokuei_phantom::{CharacterSet, DicomIdentity, PhantomSpec, to_dicom};

use super::patient;
use crate::files::{self, Sendable};
use crate::outcome::Failure;

/// Seeds of the computed people, chosen for their names, modalities, polarity and for findings the
/// bundled model sees; even ones have an opacity.
const SEEDS: [u64; 6] = [9011, 9002, 9013, 9012, 9015, 9018];

/// One radiograph to be sent.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) patient: String,
    pub(crate) truth: String,
    pub(crate) file: Sendable,
}

/// The given files, or computed radiographs written to `folder`.
pub(crate) fn prepare(input: &[PathBuf], folder: &Path) -> Result<Vec<Case>, Failure> {
    if input.is_empty() {
        return computed(folder);
    }
    let mut cases = Vec::new();
    for (index, (path, _)) in files::collect(input)?.into_iter().enumerate() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        cases.push(case(format!("{:02}-{stem}", index + 1), "-".to_owned(), &path)?);
    }
    Ok(cases)
}

fn computed(folder: &Path) -> Result<Vec<Case>, Failure> {
    let failed = |error: std::io::Error| Failure::because(&folder.display().to_string(), &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut cases = Vec::new();
    for seeds in SEEDS.chunks(threads) {
        let written: Result<Vec<(u64, String, PathBuf)>, std::io::Error> = std::thread::scope(|scope| {
            let workers: Vec<_> = seeds.iter().map(|&seed| scope.spawn(move || one(seed, folder))).collect();
            workers.into_iter().map(|worker| worker.join().expect("computing a radiograph does not panic")).collect()
        });
        for (seed, truth, path) in written.map_err(failed)? {
            cases.push(case(format!("{seed}"), truth, &path)?);
        }
    }
    Ok(cases)
}

fn one(seed: u64, folder: &Path) -> std::io::Result<(u64, String, PathBuf)> {
    let radiograph = PhantomSpec::from_seed(seed, seed.is_multiple_of(2)).render();
    let truth = match &radiograph.truth.opacity {
        Some(opacity) => format!("opacity, {} lung, {} zone", opacity.spec.side.as_str(), opacity.spec.zone.as_str()),
        None => "clear".to_owned(),
    };
    let path = folder.join(format!("{seed}.dcm"));
    let mut identity = DicomIdentity::of(&radiograph);
    if identity.character_set == CharacterSet::Japanese {
        // Every viewer reads UTF-8; some know no code extensions.
        identity.character_set = CharacterSet::Utf8;
    }
    std::fs::write(&path, to_dicom(&radiograph, &identity))?;
    Ok((seed, truth, path))
}

fn case(name: String, truth: String, path: &Path) -> Result<Case, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::because(&path.display().to_string(), &error))?;
    let file =
        files::sendable_at(path).ok_or_else(|| Failure::work(format!("{} is not a DICOM instance", path.display())))?;
    Ok(Case { name, patient: patient(&bytes), truth, file })
}
