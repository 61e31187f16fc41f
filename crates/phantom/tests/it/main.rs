//! The phantom from outside: pixels, masks and DICOM objects.

mod image;
mod objects;

use dokuei_phantom::{PhantomSpec, Radiograph};

/// Small enough to compute in a moment, large enough to show everything.
fn small(seed: u64, with_opacity: bool) -> PhantomSpec {
    PhantomSpec::from_seed(seed, with_opacity).with_size(160, 200)
}

fn mean(radiograph: &Radiograph, values: &[u8], inside: impl Fn(usize, usize) -> bool) -> f64 {
    let width = usize::try_from(radiograph.columns).expect("a width fits");
    let chosen: Vec<f64> =
        values.iter().enumerate().filter(|(i, _)| inside(i % width, i / width)).map(|(_, v)| f64::from(*v)).collect();
    assert!(!chosen.is_empty());
    chosen.iter().sum::<f64>() / chosen.len() as f64
}
