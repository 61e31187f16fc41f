//! What several fuzz targets share.

/// Lets a panic in the threads of guarded decoders go by, which the product answers; any other one ends the fuzzer.
pub fn guarded_decoders_may_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if !std::thread::current().name().is_some_and(|name| name.starts_with("decode ")) {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
}
