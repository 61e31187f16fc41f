use std::time::Instant;

use dicom_dictionary_std::tags;
use dokuei_dataset::VR;
use dokuei_pixels::{Image, Limits, prepare};
use ndarray::Array2;

use crate::object::{Object, le, spec};

/// `cargo test -p dokuei-pixels -- --ignored --nocapture` prints what one radiograph costs.
#[test]
#[ignore = "measures, asserts nothing"]
fn a_radiograph_of_2500_by_3000() {
    let values: Vec<u16> =
        (0..3000_u32 * 2500).map(|i| u16::try_from(i.wrapping_mul(2_654_435_761) >> 18).unwrap()).collect();
    let object = Object::grey((3000, 2500), (16, 14), &le(&values));
    let windowed = object.clone().set(tags::WINDOW_CENTER, VR::DS, "8000").set(tags::WINDOW_WIDTH, VR::DS, "9000");
    for (name, object) in [("percentiles", object), ("window", windowed)] {
        let file = object.bytes();
        let (_, header) = dokuei_dataset::read_file(&file, &dokuei_dataset::Limits::default()).unwrap();
        let image = Image::open(&header, &file, &Limits::default()).unwrap();
        let mut times = Vec::new();
        for filter in ["bilinear", "bicubic"] {
            let spec = spec((320, 320), &format!("geometry = \"pad\"\nresampling = \"{filter}\""));
            let best = (0..5).map(|_| {
                let start = Instant::now();
                drop(prepare(&image, 0, &spec).unwrap());
                start.elapsed()
            });
            times.push((filter, best.min().unwrap()));
        }
        let mut time = |name, work: &dyn Fn()| {
            let best = (0..5).map(|_| {
                let start = Instant::now();
                work();
                start.elapsed()
            });
            times.push((name, best.min().unwrap()));
        };
        time("frame", &|| drop(image.frame(0).unwrap()));
        time("picture", &|| drop(image.picture(0).unwrap()));
        let geometry = prepare(&image, 0, &spec((320, 320), "geometry = \"pad\"")).unwrap().geometry;
        let map = Array2::from_elem((10, 10), 0.5);
        time("map_to_source", &|| drop(geometry.map_to_source(&map)));
        println!("{name}: {times:?}");
    }
}
