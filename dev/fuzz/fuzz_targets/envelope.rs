#![no_main]

#[path = "../../../envelope/tests/fuzz_properties/mod.rs"]
mod fuzz_properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_properties::envelope(data));
