//! Replays the fuzzer's corpus, on a stable toolchain and without cargo-fuzz.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, and the fuzz target has the properties too"
)]

mod fuzz_properties;

use bytes::Bytes;
use comity_envelope::{Frame, RequestEnvelope};

#[test]
fn the_corpus_of_envelope_holds() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/fuzz/corpus/envelope");
    let (mut inputs, mut requests, mut frames) = (0, 0, 0);
    for entry in
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let input = Bytes::from(std::fs::read(path).unwrap());
        fuzz_properties::envelope(&input);
        inputs += 1;
        requests += usize::from(RequestEnvelope::decode(&input).is_ok());
        frames += usize::from(Frame::decode(&input).is_ok());
    }
    let refused = inputs - requests - frames;
    assert!(
        requests > 0 && frames > 0 && refused > 0,
        "of {inputs} inputs {requests} are requests and {frames} frames"
    );
}
