//! A crate from outside, built on the libraries as they would be published: `examples/msc4370` on what `cargo package` puts into them.
//!
//! The packages are unpacked to the folders that they have in the workspace, and a copy of the example stands beside them, so its manifest
//! holds unchanged. A file that the package leaves out, or an item that is not public, breaks the build here.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Outcome,
    cargo::{self, Package},
    command::Command,
};

/// The crate from outside, and its program.
const OUTSIDER: &str = "examples/msc4370";
const PROGRAM: &str = "both_bindings";

/// Packs, unpacks, builds and tests.
pub(crate) fn check(root: &Path) -> Outcome {
    let metadata = cargo::metadata(root)?;
    let target = &metadata.target_directory;
    let place = target.join("published");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let libraries: Vec<(&Package, PathBuf)> = metadata
        .published()
        .map(|package| Ok((package, folder(root, package)?)))
        .collect::<Result<_, Box<dyn Error>>>()?;

    let names: String = libraries
        .iter()
        .map(|(package, _)| format!(" --package {}", package.name))
        .collect();
    let pack = "package --quiet --no-verify --no-metadata --allow-dirty --exclude-lockfile";
    Command::cargo(root, &format!("{pack}{names}")).run()?;
    for (package, folder) in &libraries {
        let into = place.join(folder);
        fs::create_dir_all(&into)?;
        let packed = format!("package/{}-{}.crate", package.name, package.version);
        // `m`: the times in a package are all the same old one, and cargo would take what it built of another state for this one.
        let unpack = format!(
            "tar -xzmf \"{}\" --strip-components=1",
            target.join(packed).display()
        );
        Command::shell(&into, &unpack).run()?;
    }

    let outsider = place.join(OUTSIDER);
    copy(&root.join(OUTSIDER), &outsider)?;
    // The versions of the workspace, so that nothing is fetched or built twice for this step.
    fs::copy(root.join("Cargo.lock"), outsider.join("Cargo.lock"))?;
    fs::create_dir_all(place.join(".cargo"))?;
    let folders = libraries
        .iter()
        .map(|(package, folder)| (package.name.as_str(), folder.as_path()));
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    fs::write(
        place.join(".cargo/config.toml"),
        config(folders, &manifest)?,
    )?;

    for arguments in [
        "fmt --check".to_owned(),
        "clippy --quiet --all-targets -- -D warnings".to_owned(),
        "test --quiet".to_owned(),
        format!("run --quiet --example {PROGRAM}"),
    ] {
        Command::cargo(&outsider, &arguments)
            .env("CARGO_TARGET_DIR", &target.display().to_string())
            .run()?;
    }
    Ok(())
}

/// Where a package stands in the workspace.
fn folder(root: &Path, package: &Package) -> Result<PathBuf, Box<dyn Error>> {
    let folder = package.manifest_path.parent();
    let folder = folder.and_then(|folder| folder.strip_prefix(root).ok());
    Ok(folder
        .ok_or_else(|| format!("{} lies outside the workspace", package.name))?
        .to_owned())
}

/// A folder without what a build of it left there.
fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name == "Cargo.lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Cargo's configuration beside the unpacked packages: they depend on one another by version, so the registry's place is taken by these
/// folders. The profiles are the workspace's, so that what it built of other people's crates serves here.
fn config<'a>(
    packages: impl Iterator<Item = (&'a str, &'a Path)>,
    manifest: &str,
) -> Result<String, Box<dyn Error>> {
    let mut config = String::from("[patch.crates-io]\n");
    for (name, folder) in packages {
        writeln!(config, "{name}.path = \"{}\"", folder.display())?;
    }
    let mut in_profile = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_profile = line.starts_with("[profile.");
        }
        if in_profile {
            writeln!(config, "{line}")?;
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_every_package_and_the_profiles_alone() {
        let manifest = "[workspace]\nmembers = []\n[profile.dev]\ndebug = 1\n[lints]\nx = 1\n[profile.dev.package]\na.opt-level = 2\n";
        let packages = [("a", Path::new("one")), ("b", Path::new("dev/two"))];
        assert_eq!(
            config(packages.into_iter(), manifest).unwrap(),
            "[patch.crates-io]\na.path = \"one\"\nb.path = \"dev/two\"\n[profile.dev]\ndebug = 1\n[profile.dev.package]\na.opt-level = 2\n"
        );
    }
}
