//! What `cargo metadata` says, as far as the checks ask.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// The workspace and everything that it is built from on this host.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) resolve: Resolve,
    #[serde(default)]
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) manifest_path: PathBuf,
    /// Registries that it may be published to; `None`: any.
    #[serde(default)]
    pub(crate) publish: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) license: Option<String>,
    #[serde(default)]
    pub(crate) features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
}

/// A dependency as a manifest declares it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) rename: Option<String>,
    /// `None`, `dev` or `build`.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) optional: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    pub(crate) required_features: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
}

/// A package with the features that are on and what it depends on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) deps: Vec<Edge>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Edge {
    pub(crate) pkg: String,
    pub(crate) dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EdgeKind {
    #[serde(default)]
    pub(crate) kind: Option<String>,
}

/// Asks cargo, for this host. A lock file that is out of date is an error.
pub(crate) fn metadata(root: &Path) -> Result<Metadata, Box<dyn Error>> {
    let version = output(root, Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("`rustc -vV` names no host")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = output(
        root,
        Command::new(cargo).args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            host,
        ]),
    )?;
    Ok(serde_json::from_str(&json)?)
}

fn output(root: &Path, command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.current_dir(root).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} ended with {}: {error}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

impl Metadata {
    /// The packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The libraries that are published.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members().filter(|package| {
            let mut kinds = package.targets.iter().flat_map(|target| &target.kind);
            package.publish.is_none() && kinds.any(|kind| kind == "lib")
        })
    }

    /// Every example, with the name of its package.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (&str, &Target)> {
        self.members().flat_map(|package| {
            let examples = package
                .targets
                .iter()
                .filter(|target| target.kind.iter().any(|kind| kind == "example"));
            examples.map(|target| (package.name.as_str(), target))
        })
    }
}
