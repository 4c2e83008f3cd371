//! Each cargo feature on its own, and each package with examples: what only builds beside something else of the workspace, with the features that this needs, is found here.

use std::path::Path;

use super::{
    Outcome,
    cargo::{self, Package},
    command::Command,
};

/// Checks each feature of each package of the workspace alone, and the examples of each as a user builds them who runs one of them by its package's name.
pub(crate) fn check(root: &Path) -> Outcome {
    let metadata = cargo::metadata(root)?;
    for package in metadata.members() {
        for feature in alone(package) {
            let name = &package.name;
            Command::cargo(
                root,
                &format!(
                    "check --quiet --package {name} --no-default-features --features {feature}"
                ),
            )
            .run()?;
        }
    }
    let mut last = "";
    for (package, _) in metadata.examples() {
        if package != last {
            let check = format!("check --quiet --package {package} --examples");
            Command::cargo(root, &check).run()?;
        }
        last = package;
    }
    Ok(())
}

/// What to check alone. `default` is what every other step builds.
fn alone(package: &Package) -> impl Iterator<Item = &str> {
    let features = package.features.keys().map(String::as_str);
    features.filter(|feature| *feature != "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_features_is_not_checked_again() {
        let package = |features: &str| -> Package {
            let json =
                format!(r#"{{"id":"a","name":"a","version":"1.0.0","features":{features}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        assert_eq!(alone(&package("{}")).count(), 0);
        let two = package(r#"{"default":["x"],"x":[],"y":["dep:z"]}"#);
        assert_eq!(alone(&two).collect::<Vec<_>>(), ["x", "y"]);
    }
}
