//! Writes computed radiographs as 8-bit PNG with their masks and a table of truth.
//!
//! `cargo run -p dokuei-phantom --example export -- OUTDIR COUNT [--size WxH] [--positives FRACTION] [--seed FIRST] [--dicom]`
//!
//! The same arguments give the same files. `labels.csv` has one line a picture: file, label (1 with an
//! opacity), mask (empty without one), then what else is known. With `--dicom` each picture is also
//! written as a DICOM file, at its full depth.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use dokuei_phantom::{DicomIdentity, PhantomSpec, Radiograph, to_dicom};
use image::GrayImage;

struct Arguments {
    folder: PathBuf,
    count: u64,
    size: (u32, u32),
    positives: f64,
    first_seed: u64,
    dicom: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments().map_err(|problem| {
        format!("{problem}\nusage: export OUTDIR COUNT [--size WxH] [--positives FRACTION] [--seed FIRST] [--dicom]")
    })?;
    fs::create_dir_all(&arguments.folder)?;
    let mut table = String::from(
        "file,label,mask,seed,sex,age,kvp,bits_stored,monochrome1,side,zone,pattern,radius_mm,filling,area_pixels,added_mass\n",
    );
    for i in 0..arguments.count {
        // Positives are spread evenly, and the seed of a picture does not depend on the fraction.
        let share = |n: u64| (n as f64 * arguments.positives + 1e-9).floor();
        let positive = share(i + 1) > share(i);
        let spec =
            PhantomSpec::from_seed(arguments.first_seed + i, positive).with_size(arguments.size.0, arguments.size.1);
        let radiograph = spec.render();
        write_one(&arguments, &spec, &radiograph, &mut table)?;
    }
    fs::write(arguments.folder.join("labels.csv"), table)?;
    Ok(())
}

fn write_one(
    arguments: &Arguments,
    spec: &PhantomSpec,
    radiograph: &Radiograph,
    table: &mut String,
) -> Result<(), Box<dyn Error>> {
    let name = format!("phantom_{:06}", spec.seed);
    let file = format!("{name}.png");
    save(&arguments.folder.join(&file), radiograph, radiograph.windowed())?;
    if arguments.dicom {
        let file = to_dicom(radiograph, &DicomIdentity::of(radiograph));
        fs::write(arguments.folder.join(format!("{name}.dcm")), file)?;
    }
    let mut mask_file = String::new();
    if let Some(mask) = &radiograph.mask {
        mask_file = format!("{name}_mask.png");
        let data = mask.iter().map(|&m| m * 255).collect();
        save(&arguments.folder.join(&mask_file), radiograph, data)?;
    }
    let truth = &radiograph.truth;
    write!(
        table,
        "{file},{},{mask_file},{},{},{},{},{},{},",
        u8::from(truth.opacity.is_some()),
        spec.seed,
        truth.sex.as_str(),
        truth.age_years,
        truth.kvp,
        radiograph.bits_stored,
        u8::from(radiograph.monochrome1),
    )?;
    match &truth.opacity {
        Some(opacity) => writeln!(
            table,
            "{},{},{},{:.1},{:.3},{},{:.3}",
            opacity.spec.side.as_str(),
            opacity.spec.zone.as_str(),
            opacity.spec.pattern.as_str(),
            opacity.spec.radius_mm,
            opacity.spec.filling,
            opacity.area_pixels,
            opacity.added_mass,
        )?,
        None => writeln!(table, ",,,,,,")?,
    }
    Ok(())
}

fn save(path: &std::path::Path, radiograph: &Radiograph, data: Vec<u8>) -> Result<(), Box<dyn Error>> {
    let image = GrayImage::from_raw(radiograph.columns, radiograph.rows, data).ok_or("wrong number of pixels")?;
    image.save(path)?;
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut positional = Vec::new();
    let (mut size, mut positives, mut first_seed, mut dicom) = ((512, 640), 0.5, 1, false);
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--size" => {
                let text = value()?;
                let (width, height) = text.split_once('x').ok_or("--size is WIDTHxHEIGHT, such as 512x640")?;
                size = (width.parse()?, height.parse()?);
            }
            "--positives" => positives = value()?.parse()?,
            "--seed" => first_seed = value()?.parse()?,
            "--dicom" => dicom = true,
            _ => positional.push(argument),
        }
    }
    match positional.as_slice() {
        [folder, count] => Ok(Arguments {
            folder: PathBuf::from(folder),
            count: count.parse()?,
            size,
            positives: f64::clamp(positives, 0.0, 1.0),
            first_seed,
            dicom,
        }),
        _ => Err("an output folder and a count are needed".into()),
    }
}
