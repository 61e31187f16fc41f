#![no_main]
#[allow(dead_code)]
#[path = "../../crates/dimse/tests/it/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::pdu_stream(input));
