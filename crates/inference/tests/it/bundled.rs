//! The package that comes with the product.

use std::path::Path;
use std::time::Instant;

use dokuei_inference::{Overrides, Package, verify};

#[test]
fn the_bundled_package_is_sound() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/cxr-pneumonia");
    if !dir.join("model.toml").exists() {
        println!("skipped: {} is absent", dir.display());
        return;
    }
    let package = Package::open(&dir).unwrap();
    let finding = &package.manifest.findings[0];
    assert_eq!((finding.bands.medium, finding.bands.high, finding.marking_threshold), (0.30, 0.65, 0.5));
    let start = Instant::now();
    let report = verify(package, &Overrides::default(), &|| start.elapsed()).unwrap();
    println!("{report:#?}");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let test = report.self_test.unwrap();
    assert!(test.output <= test.tolerance && test.tolerance <= 0.01);
}
