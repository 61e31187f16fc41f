//! Every real file of the shared test data, where that is present. `DOKUEI_LOOK=FOLDER` has every picture
//! written there (PGM or PPM) for a person to look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dicom_dictionary_std::uids;
use dokuei_dataset as dataset;
use dokuei_pixels::{Image, Limits, Picture, Samples, prepare};
use dokuei_testkit::{manifest, real_dicom};
use sha2::{Digest, Sha256};

use crate::object::spec;

/// Transfer syntaxes whose decoders may differ by a rounding, so that other decoders' digests are no judge.
const LOSSY: [&str; 4] = [uids::JPEG_BASELINE8_BIT, uids::JPEG_EXTENDED12_BIT, uids::JPEG2000, uids::HTJ2K];

/// Lossless files whose digest is of another decoder's rounding: GDCM gives the values we do.
const DIGEST_IS_WRONG: [&str; 1] = ["2900d5d3-sample-op.dcm"];

#[test]
fn every_file_opens_or_is_declined_with_a_reason() {
    let Some(folder) = real_dicom() else { return };
    let rows = manifest(&folder);
    let (shown, declined, unequal) = std::thread::scope(|scope| {
        let halves = rows.chunks(rows.len().div_ceil(2));
        let work: Vec<_> = halves.map(|half| scope.spawn(|| look_at(&folder, half))).collect();
        let results = work.into_iter().map(|half| half.join().unwrap());
        results.fold((0, Vec::new(), Vec::new()), |(shown, mut declined, mut unequal), (s, d, u)| {
            declined.extend(d);
            unequal.extend(u);
            (shown + s, declined, unequal)
        })
    });
    println!("{shown} shown, {} declined, {} differ", declined.len(), unequal.len());
    println!("{}\n{}", declined.join("\n"), unequal.join("\n"));
    assert!(shown >= 250, "only {shown} of {} shown", rows.len());
    let is_explained = |line: &&String| {
        LOSSY.iter().any(|syntax| line.ends_with(syntax)) || DIGEST_IS_WRONG.iter().any(|name| line.starts_with(name))
    };
    let unexplained: Vec<_> = unequal.iter().filter(|line| !is_explained(line)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

fn look_at(folder: &Path, rows: &[BTreeMap<String, String>]) -> (usize, Vec<String>, Vec<String>) {
    let spec = spec((224, 224), "geometry = \"pad\"");
    let (mut shown, mut declined, mut unequal) = (0, Vec::new(), Vec::new());
    for row in rows {
        let name = &row["file"];
        let file = std::fs::read(folder.join(name)).unwrap();
        let Ok((_, header)) = dataset::read_file(&file, &dataset::Limits::default()) else {
            assert_ne!(row["dec"], "ok", "{name} has pixels and no header");
            continue;
        };
        let result = Image::open(&header, &file, &Limits::default()).and_then(|image| {
            let picture = image.picture(0)?;
            // Large ones take long in a build for tests, and their pixels go the same way.
            if file.len() < 300_000 {
                let tensor = prepare(&image, 0, &spec)?.tensor;
                assert!(tensor.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
            }
            let big_endian = header.encoding() == dataset::Encoding::ExplicitBig;
            Ok((picture, digest(&image.frame(0)?.samples, big_endian)))
        });
        match result {
            Ok((picture, digest)) => {
                shown += 1;
                if let Some(folder) = std::env::var_os("DOKUEI_LOOK") {
                    write(&PathBuf::from(folder).join(name), &picture);
                }
                if row["dec"] == "ok" && digest != row["pixsha"] {
                    unequal.push(format!("{name} {} {} {}", row["pi"], row["bits"], row["ts"]));
                }
            }
            Err(error) => {
                assert_ne!(row["dec"], "ok", "{name}: {error}");
                declined.push(format!("{name}: {}", error.decline_reason()));
            }
        }
    }
    (shown, declined, unequal)
}

/// The first 16 hexadecimal digits of the SHA-256 of the stored values, in the byte order they were sent in.
fn digest(samples: &Samples, big_endian: bool) -> String {
    let mut bytes = samples.to_le_bytes();
    if big_endian {
        let size = bytes.len() / samples.len();
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    hex[..16].to_owned()
}

fn write(path: &Path, picture: &Picture) {
    let (kind, rows, columns, data) = match picture {
        Picture::Gray { rows, columns, data } => (5, rows, columns, data),
        Picture::Rgb { rows, columns, data } => (6, rows, columns, data),
    };
    let mut bytes = format!("P{kind}\n{columns} {rows}\n255\n").into_bytes();
    bytes.extend(data);
    std::fs::write(path.with_extension("pnm"), bytes).unwrap();
}
