//! Writes a folder of sources and results for other people's validators and eyes:
//! `DOKUEI_OUT=DIR cargo test -p dokuei-results -- --ignored objects_for_validators`

use std::path::{Path, PathBuf};

use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{Dataset, Encoding, MetaFields, VR, file_meta, write_dataset};
use dokuei_results::{
    CaptureStyle, ColourScale, Comparison, Language, Object, ObjectReference, PagePicture, Prior, RejectReason,
    ReportInput, RgbPicture, SourceImage, SourcePicture, SrClass, Withdrawal, capture_picture, key_object_note,
    presentation_state, rejection_note, result_page, secondary_capture, segmentation, structured_report,
};
use dokuei_types::{DeclineReason, Finding, Region};

use crate::comparison::year_before;
use crate::fixtures::{self, COLUMNS, ROWS, Setup, finding, picture_and_map};
use crate::real::headers;

fn out() -> Option<PathBuf> {
    let Some(out) = std::env::var_os("DOKUEI_OUT") else {
        eprintln!("skipped: DOKUEI_OUT names no folder");
        return None;
    };
    std::fs::create_dir_all(&out).unwrap();
    Some(out.into())
}

fn write_source(folder: &Path, name: &str, header: &Dataset) {
    let mut data = header.clone();
    let frames = usize::try_from(header.int(tags::NUMBER_OF_FRAMES).unwrap_or(1)).unwrap();
    let (picture, _) = picture_and_map();
    if header.int(tags::BITS_ALLOCATED) == Some(16) {
        let words: Vec<u8> = picture.iter().flat_map(|g| (u16::from(*g) << 4).to_le_bytes()).collect();
        data.put_bytes(tags::PIXEL_DATA, VR::OW, words);
    } else {
        let samples = usize::try_from(header.int(tags::SAMPLES_PER_PIXEL).unwrap()).unwrap();
        let frame: Vec<u8> = picture.iter().flat_map(|g| vec![*g; samples]).collect();
        data.put_bytes(tags::PIXEL_DATA, VR::OB, frame.repeat(frames));
    }
    let mut bytes = file_meta(&MetaFields {
        sop_class: &header.text(tags::SOP_CLASS_UID).unwrap(),
        sop_instance: &header.text(tags::SOP_INSTANCE_UID).unwrap(),
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        source_ae: None,
        sending_ae: None,
        receiving_ae: None,
    });
    bytes.extend(write_dataset(&data, Encoding::ExplicitLittle));
    std::fs::write(folder.join(format!("{name}-source.dcm")), bytes).unwrap();
}

fn write(folder: &Path, name: &str, object: &Object) {
    std::fs::write(folder.join(format!("{name}.dcm")), &object.bytes).unwrap();
}

/// One case: its source, the heat maps of all marked frames, the report in each class.
fn case(folder: &Path, name: &str, sources: &[SourceImage<'_>]) {
    compared(folder, name, sources, Comparison::NotAsked);
}

/// The same, compared with something or not.
fn compared(folder: &Path, name: &str, sources: &[SourceImage<'_>], comparison: Comparison<'_>) {
    let setup = Setup::new();
    let input = ReportInput { comparison, ..setup.input(sources) };
    let mut written: Vec<String> = Vec::new();
    for source in sources {
        let uid = source.header.text(tags::SOP_INSTANCE_UID).unwrap();
        if !written.contains(&uid) {
            write_source(folder, &format!("{name}-{}", written.len()), source.header);
            written.push(uid);
        }
    }
    let (data, map) = picture_and_map();
    let picture = SourcePicture::Gray { rows: ROWS.into(), columns: COLUMNS.into(), data: &data };
    results(folder, name, &input, &picture, &map);
}

/// The results of an input.
fn results(folder: &Path, name: &str, input: &ReportInput<'_>, picture: &SourcePicture<'_>, map: &[f32]) {
    let captures: Vec<Option<Object>> = input
        .sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let maps = vec![Some(map); source.findings().len()];
            let capture = secondary_capture(input, index, picture, &maps, &CaptureStyle::default()).unwrap();
            if let Some(object) = &capture {
                write(folder, &format!("{name}-sc-{index}"), object);
            }
            capture
        })
        .collect();
    for class in SrClass::PREFERENCE {
        let report = structured_report(input, class, &captures).unwrap();
        write(folder, &format!("{name}-sr-{class:?}"), &report);
    }
    amended(folder, name, input, &captures);
    let shown = Some(PagePicture { source: 0, picture: *picture });
    let others = [
        ("pr", presentation_state(input).unwrap()),
        ("ko", key_object_note(input).unwrap()),
        ("seg", segmentation(input).unwrap()),
        ("pdf", Some(result_page(input, shown, "Research on chest radiographs of adults.").unwrap())),
    ];
    for (role, object) in others {
        if let Some(object) = object {
            write(folder, &format!("{name}-{role}"), &object);
        }
    }
}

/// What comes after a report: its revision by another version, and the note that withdraws it.
fn amended(folder: &Path, name: &str, input: &ReportInput<'_>, captures: &[Option<Object>]) {
    let earlier: Vec<Object> =
        SrClass::PREFERENCE.iter().map(|class| structured_report(input, *class, captures).unwrap()).collect();
    let named: Vec<ObjectReference> = earlier
        .iter()
        .chain(captures.iter().flatten())
        .map(|object| ObjectReference {
            sop_class: object.sop_class.clone(),
            sop_instance: object.sop_instance.clone(),
            series_instance: object.series_instance.clone(),
        })
        .collect();
    let mut setup = Setup::new();
    setup.model.version = "2.0.0".into();
    let revision = ReportInput { model: &setup.model, revises: &named, ..*input };
    let revision = structured_report(&revision, SrClass::Comprehensive3D, captures).unwrap();
    write(folder, &format!("{name}-revision"), &revision);
    let note = rejection_note(&Withdrawal {
        object: &fixtures::read(&earlier[0]),
        objects: &named,
        node: &setup.node,
        made_at: &setup.made_at,
        reason: RejectReason::PatientSafety,
        comment: "the wrong patient",
    });
    write(folder, &format!("{name}-rejection"), &note.unwrap());
}

#[test]
#[ignore = "writes files for validators"]
fn objects_for_validators() {
    let Some(folder) = out() else { return };
    let positive = [finding("pneumonia", 0.873, 1)];
    let negative = [finding("pneumonia", 0.031, 0)];
    let several = [finding("pneumonia", 0.873, 2), finding("pleural-effusion", 0.61, 1), finding("other", 0.12, 0)];
    let unlocated = [finding("pneumonia", 0.7, 0)];

    for (name, header) in [
        ("cr", fixtures::cr("cr")),
        ("dx", fixtures::dx("dx")),
        ("published", fixtures::published("published")),
        ("us", fixtures::us("us")),
    ] {
        case(&folder, &format!("{name}-positive"), &[SourceImage::analysed(&header, None, &positive)]);
    }
    let header = fixtures::cr("negative");
    case(&folder, "negative", &[SourceImage::analysed(&header, None, &negative)]);
    let header = fixtures::cr("several");
    case(&folder, "several", &[SourceImage::analysed(&header, None, &several)]);
    let header = fixtures::cr("unlocated");
    case(&folder, "unlocated", &[SourceImage::analysed(&header, None, &unlocated)]);

    let header = fixtures::multi_frame("frames");
    let frames = [
        SourceImage::analysed(&header, Some(1), &positive),
        SourceImage::analysed(&header, Some(2), &negative),
        SourceImage::failed(&header, Some(3), "time limit of 30 s"),
    ];
    case(&folder, "frames", &frames);

    let reason = DeclineReason::Criteria("view position is LATERAL, PA or AP needed".into());
    let header = fixtures::cr("declined");
    case(&folder, "declined", &[SourceImage::declined(&header, None, &reason)]);

    for (name, now, before) in [("increased", &positive, &negative), ("decreased", &negative, &positive)] {
        let header = fixtures::dx(name);
        let prior = year_before(&header);
        write_source(&folder, &format!("{name}-prior"), &prior);
        let prior = Prior { header: &prior, findings: before };
        compared(&folder, name, &[SourceImage::analysed(&header, None, now)], Comparison::Prior(prior));
    }

    let mut header = fixtures::cr("japanese");
    header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "\\ISO 2022 IR 87");
    header.put_bytes(
        tags::PATIENT_NAME,
        VR::PN,
        *b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    );
    header.put_bytes(tags::STUDY_DESCRIPTION, VR::LO, *b"\x1b$B6;It\x1b(B");
    case(&folder, "japanese", &[SourceImage::analysed(&header, None, &positive)]);
    let chinese: &[u8] = b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab";
    for (name, set, patient) in [
        ("chinese", "GB18030", chinese),
        ("hebrew", "ISO_IR 192", "Levi^Sharon=לוי^שרון".as_bytes()),
        ("arabic", "ISO_IR 192", "Qabbani^Nizar=قباني^نزار علاء سلام محمد عبد الله".as_bytes()),
        ("persian", "ISO_IR 192", "پهلوی‌نژاد^گیتی=ٹھاکر^ژالہ ڑڈے".as_bytes()),
        ("thai", "ISO_IR 192", "Suwan^Pim=พิมพ์ชนก ปั่น ที่^น้ำฝน ญาณี ฟ้า ปีใหม่ กุ้ง กตัญญู ฐุ".as_bytes()),
    ] {
        let mut header = fixtures::cr(name);
        header.put_text(tags::SPECIFIC_CHARACTER_SET, VR::CS, set);
        header.put_bytes(tags::PATIENT_NAME, VR::PN, patient);
        case(&folder, name, &[SourceImage::analysed(&header, None, &positive)]);
    }
}

/// As [`objects_for_validators`], of the real radiographs that are at hand.
#[test]
#[ignore = "writes files for validators"]
fn objects_of_real_radiographs() {
    let Some(folder) = out() else { return };
    let setup = Setup::new();
    let findings = [finding("pneumonia", 0.873, 2)];
    for (path, header) in headers() {
        let is = |tag, value: &str| header.text(tag).as_deref() == Some(value);
        let size = |tag| header.int(tag).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 160);
        let Some((rows, columns)) = size(tags::ROWS).zip(size(tags::COLUMNS)) else { continue };
        if !is(tags::MODALITY, "CR") || !is(tags::BODY_PART_EXAMINED, "CHEST") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().replace('.', "-");
        std::fs::copy(path, folder.join(format!("{name}-source.dcm"))).unwrap();
        let sources = [SourceImage::analysed(header, None, &findings)];
        let pixels = rows as usize * columns as usize;
        let (data, map) = (vec![90; pixels], vec![0.2; pixels]);
        let picture = SourcePicture::Gray { rows, columns, data: &data };
        results(&folder, &name, &setup.input(&sources), &picture, &map);
    }
}

/// An ellipse, as the contour of a map looks.
fn ellipse(x: f32, y: f32, width: f32, height: f32) -> Region {
    let outline = (0u8..72)
        .map(|i| {
            let angle = f32::from(i) * std::f32::consts::TAU / 72.0;
            let wobble = 1.0 + 0.08 * (3.0 * angle).sin();
            [x + width * wobble * angle.cos(), y + height * wobble * angle.sin()]
        })
        .collect();
    Region { outline, peak: 0.95 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
fn darkened_or_lightened(gray: u8, gain: f32) -> u8 {
    (f32::from(gray) * gain) as u8
}

fn save(folder: &Path, name: &str, picture: &RgbPicture) {
    let path = folder.join(format!("{name}.png"));
    image::save_buffer(path, &picture.data, picture.columns, picture.rows, image::ColorType::Rgb8).unwrap();
}

/// As [`objects_for_validators`]; `DOKUEI_BACKGROUND=FILE.png` is what the map is drawn over.
#[test]
#[ignore = "writes pictures for people"]
fn pictures_for_people() {
    let Some(folder) = out() else { return };
    let setup = Setup::new();
    let background = std::env::var_os("DOKUEI_BACKGROUND").map(|path| image::open(path).unwrap().to_luma8());
    let prior = Some(0.341);
    for (name, columns, rows, gain, scale, several, before) in [
        ("512", 512u32, 512u32, 1.0f32, ColourScale::Ember, false, None),
        ("512-prior", 512, 512, 1.0, ColourScale::Ember, false, prior),
        ("512-prior-unchanged", 512, 512, 1.0, ColourScale::Ember, true, Some(0.85)),
        ("2500", 2000, 2500, 1.0, ColourScale::Ember, false, None),
        ("2500-several", 2000, 2500, 1.0, ColourScale::Ember, true, None),
        ("1024-dark", 1024, 1024, 0.5, ColourScale::Ember, false, None),
        ("1024-bright", 1024, 1024, 1.7, ColourScale::Ember, false, prior),
        ("1024-blue-red", 1024, 1024, 1.0, ColourScale::BlueRed, false, None),
        ("4000-blue-red", 4000, 3300, 1.0, ColourScale::BlueRed, true, prior),
        ("4000-prior", 3300, 4000, 1.0, ColourScale::Ember, false, prior),
        ("128", 128, 128, 1.0, ColourScale::Ember, false, prior),
    ] {
        let base = background.clone().unwrap_or_else(|| {
            image::GrayImage::from_fn(64, 64, |x, y| image::Luma([u8::try_from((x * y) % 200).unwrap()]))
        });
        let mut source = image::imageops::resize(&base, columns, rows, image::imageops::FilterType::CatmullRom);
        for pixel in source.pixels_mut() {
            pixel.0[0] = darkened_or_lightened(pixel.0[0], gain);
        }
        let (w, h) = (columns as f32, rows as f32);
        let map: Vec<f32> = (0..rows * columns)
            .map(|i| {
                let (x, y) = ((i % columns) as f32 / w, (i / columns) as f32 / h);
                let bump =
                    |cx: f32, cy: f32, sx: f32, sy: f32| (-(((x - cx) / sx).powi(2) + ((y - cy) / sy).powi(2))).exp();
                bump(0.32, 0.58, 0.11, 0.13)
                    .max(0.75 * bump(0.68, 0.68, 0.09, 0.07))
                    .max(0.12 * bump(0.5, 0.5, 0.5, 0.5))
            })
            .collect();
        let mut header = fixtures::cr(name);
        header.put_u16(tags::ROWS, &[u16::try_from(rows).unwrap()]);
        header.put_u16(tags::COLUMNS, &[u16::try_from(columns).unwrap()]);
        let mut first: Finding = finding("pneumonia", 0.873, 0);
        first.regions = vec![ellipse(0.32 * w, 0.58 * h, 0.1 * w, 0.115 * h)];
        let mut findings = vec![first];
        if several {
            let mut second = finding("pleural-effusion", 0.61, 0);
            second.regions = vec![ellipse(0.68 * w, 0.68 * h, 0.07 * w, 0.05 * h)];
            findings.push(second);
        }
        let sources = [SourceImage::analysed(&header, None, &findings)];
        let picture = SourcePicture::Gray { rows, columns, data: source.as_raw() };
        let maps = [Some(map.as_slice()), None];
        let earlier = year_before(&header);
        let said = before.map(|before| [finding("pneumonia", before, 0), finding("pleural-effusion", 0.9, 0)]);
        let prior = said.as_ref().map(|findings| Prior { header: &earlier, findings });
        let comparison = prior.map_or(Comparison::NotAsked, Comparison::Prior);
        let input = ReportInput { comparison, ..setup.input(&sources) };
        for (language, ending) in [(Language::English, ""), (Language::Japanese, "-ja")] {
            let style = CaptureStyle { scale, language, ..CaptureStyle::default() };
            let drawn = capture_picture(&input, 0, &picture, &maps, &style).unwrap().unwrap();
            save(&folder, &format!("{name}{ending}"), &drawn);
        }
    }
}
