//! The key that calls are signed by: a file, as Synapse and others keep it.

use std::{fs, io::Read, path::Path};

use comity_core::auth::SigningKey;

use crate::failure::Failure;

/// No key file is longer.
const LONGEST: u64 = 64 << 10;

/// Reads the first key of a file of lines `ed25519 VERSION BASE64`. Nothing of the file's content is ever in an error.
pub(crate) fn read(path: &Path) -> Result<SigningKey, Failure> {
    let shown = path.display();
    let cannot = |error| Failure::usage(format!("the key file {shown} cannot be read: {error}"));
    let file = fs::File::open(path).map_err(cannot)?;
    warn_of_readers(path, &file);
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    parse(&text).map_err(|why| {
        Failure::usage(format!("the key file {shown} {why}")).next(
            "a key file has lines of three words, `ed25519 a_AbCd BASE64SEED`, as a homeserver's signing.key",
        )
    })
}

fn parse(text: &str) -> Result<SigningKey, String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    match words[..] {
        ["ed25519", version, seed] => SigningKey::from_base64_seed(version, seed)
            .map_err(|error| format!("has no good key: {error}")),
        [_, _, _] => Err("has a key of another algorithm than ed25519".to_owned()),
        _ => Err("has no key".to_owned()),
    }
}

#[cfg(unix)]
fn warn_of_readers(path: &Path, file: &fs::File) {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map(|data| data.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let shown = path.display();
        eprintln!("comity: note: others on this machine can read {shown}; chmod 600 keeps it");
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &Path, _: &fs::File) {}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";

    #[test]
    fn synapses_format_is_read() {
        for text in [
            format!("ed25519 a_1 {SEED}\n"),
            format!("\n  ed25519   a_1 {SEED}\ned25519 b {SEED}"),
        ] {
            assert_eq!(parse(&text).unwrap().key_id().as_str(), "ed25519:a_1");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let bad = format!("{SEED}!");
        for text in [
            String::new(),
            SEED.to_owned(),
            format!("ed25519 a_1 {bad}"),
            format!("ed25519 a-1 {SEED}"),
            format!("curve25519 a {SEED}"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(!error.contains(&SEED[..8]), "{error}");
        }
    }
}
