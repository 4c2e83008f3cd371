#![no_main]

// The other target's property is unused here.
#[allow(dead_code)]
#[path = "../../../rpc-core/tests/fuzz_properties/mod.rs"]
mod fuzz_properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_properties::stream(data));
