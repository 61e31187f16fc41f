#![no_main]
#[allow(dead_code)]
#[path = "../../crates/dataset/tests/it/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::file(input));
