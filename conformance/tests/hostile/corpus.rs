//! The inputs: what is checked in below `dev/fuzz/corpus`, and a few that are larger than a file should be.

use std::{fs, path::Path, sync::OnceLock};

use bytes::Bytes;

/// One input.
#[derive(Debug)]
pub(crate) struct Input {
    /// Where it comes from.
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// Every input, in the same order each time.
pub(crate) fn inputs() -> &'static [Input] {
    static INPUTS: OnceLock<Vec<Input>> = OnceLock::new();
    INPUTS.get_or_init(|| {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev/fuzz/corpus");
        let mut inputs = large();
        for folder in entries(&corpus) {
            for file in entries(&folder) {
                let name = file.strip_prefix(&corpus).unwrap();
                inputs.push(Input {
                    name: name.display().to_string(),
                    bytes: fs::read(&file).unwrap().into(),
                });
            }
        }
        assert!(inputs.len() > 200, "the corpus is there");
        inputs
    })
}

/// The share of the one whose `turn` it is, of so many: together they get each input three times, however many they are.
pub(crate) fn share(turn: usize, of: usize) -> impl Iterator<Item = &'static Input> {
    let stride = of.div_ceil(3);
    inputs().iter().skip(turn % stride).step_by(stride)
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn large() -> Vec<Input> {
    let deep = |open: &str| open.repeat(30_000);
    [
        ("nothing", String::new()),
        ("deep arrays", deep("[")),
        ("deep objects", deep("{\"a\":")),
        ("deep and closed", format!("{}{}", deep("["), deep("]"))),
        (
            "many members",
            format!("{{{}\"a\":1}}", "\"a\":1,".repeat(20_000)),
        ),
        (
            "a long string",
            format!("{{\"a\":\"{}\"}}", "\\u0000".repeat(10_000)),
        ),
        ("a long number", format!("{{\"a\":{}}}", "9".repeat(50_000))),
        ("nothing but spaces", " ".repeat(60_000)),
    ]
    .map(|(name, text)| Input {
        name: name.to_owned(),
        bytes: text.into(),
    })
    .into()
}
