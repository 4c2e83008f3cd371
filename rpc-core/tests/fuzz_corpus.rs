//! Replays the fuzzers' corpus, on a stable toolchain and without cargo-fuzz.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fuzz_properties;

fn replay(target: &str, property: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../dev/fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        property(&std::fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus is not empty");
}

#[test]
fn the_corpus_of_ingest_holds() {
    replay("ingest", fuzz_properties::ingest);
}

#[test]
fn the_corpus_of_stream_holds() {
    replay("stream", fuzz_properties::stream);
}
