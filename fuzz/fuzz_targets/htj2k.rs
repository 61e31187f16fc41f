#![no_main]
#[allow(dead_code)]
#[path = "../../crates/codecs/tests/it/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(
    init: dokuei_fuzz::guarded_decoders_may_panic(),
    |input: &[u8]| property::frame("htj2k", input)
);
