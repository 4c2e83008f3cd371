//! Which packages are really built, as opposed to named in the lock file.
//!
//! `cargo metadata` also lists an optional dependency that only a weak feature (`ring?/alloc`) mentions. Such an edge is left out
//! here: an optional dependency counts only if a feature that is on asks for it.

use std::collections::{BTreeMap, BTreeSet};

use super::cargo::{Dependency, Edge, Metadata, Node, Package};

/// The packages of a [`Metadata`] by ID, with the edges that are built.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    packages: BTreeMap<&'a str, &'a Package>,
    nodes: BTreeMap<&'a str, &'a Node>,
}

/// Which kinds of a workspace package's own dependencies to follow. Of all others, those that their library is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// What a user of the package links.
    Normal,
    /// What building its tests takes as well.
    WithDev,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(metadata: &'a Metadata) -> Self {
        let packages = metadata.packages.iter();
        let nodes = metadata.resolve.nodes.iter();
        Self {
            packages: packages
                .map(|package| (package.id.as_str(), package))
                .collect(),
            nodes: nodes.map(|node| (node.id.as_str(), node)).collect(),
        }
    }

    /// Everything that `start` is built from, itself included.
    pub(crate) fn tree(&self, start: &'a Package, kinds: Kinds) -> Vec<&'a Package> {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.id.as_str()];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            let dev = kinds == Kinds::WithDev && id == start.id;
            let build = kinds == Kinds::WithDev;
            let followed = node.deps.iter().filter(|edge| {
                edge.dep_kinds.iter().any(|edge_kind| {
                    let kind = edge_kind.kind.as_deref();
                    let wanted = match kind {
                        None => true,
                        Some("dev") => dev,
                        _ => build,
                    };
                    wanted && self.is_built(node, edge, kind)
                })
            });
            open.extend(followed.map(|edge| edge.pkg.as_str()));
        }
        seen.into_iter()
            .filter_map(|id| self.packages.get(id).copied())
            .collect()
    }

    /// Whether the feature `name` of a package is on.
    pub(crate) fn has_feature(&self, package: &Package, name: &str) -> bool {
        self.nodes
            .get(package.id.as_str())
            .is_some_and(|node| node.features.iter().any(|feature| feature == name))
    }

    fn is_built(&self, node: &Node, edge: &Edge, kind: Option<&str>) -> bool {
        let (Some(package), Some(on)) = (
            self.packages.get(node.id.as_str()),
            self.packages.get(edge.pkg.as_str()),
        ) else {
            return true;
        };
        let mut declared = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.name == on.name && dependency.kind.as_deref() == kind)
            .peekable();
        // A dependency that cannot be matched is counted: better one finding too many than one too few.
        declared.peek().is_none()
            || declared
                .any(|dependency| !dependency.optional || is_asked_for(package, node, dependency))
    }
}

/// Whether a feature that is on switches this optional dependency on.
fn is_asked_for(package: &Package, node: &Node, dependency: &Dependency) -> bool {
    let name = dependency.rename.as_deref().unwrap_or(&dependency.name);
    let switch = format!("dep:{name}");
    let path = format!("{name}/");
    node.features.iter().any(|feature| {
        package.features.get(feature).is_some_and(|means| {
            means
                .iter()
                .any(|item| *item == switch || item.starts_with(&path))
        })
    })
}
