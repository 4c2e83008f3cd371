//! The rules about who may depend on whom (docs/architecture.md).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cargo::{Metadata, Package},
    graph::{Graph, Kinds},
};

/// A library of the workspace and the packages of the workspace that it may depend on. A transport is never among them.
const ARROWS: &[(&str, &[&str])] = &[
    ("comity-core", &[]),
    ("comity-proto", &[]),
    ("comity-net", &["comity-core"]),
    ("comity-envelope", &["comity-core"]),
    ("comity-discovery", &["comity-core", "comity-net"]),
    ("comity-store", &["comity-core"]),
    ("comity-http", &["comity-core", "comity-net"]),
    (
        "comity-grpc",
        &["comity-core", "comity-net", "comity-proto"],
    ),
    (
        "comity-gateway",
        &[
            "comity-core",
            "comity-net",
            "comity-discovery",
            "comity-http",
            "comity-grpc",
        ],
    ),
    ("comity-conformance", &["comity-core"]),
    (
        "comity-bench",
        &[
            "comity-core",
            "comity-net",
            "comity-http",
            "comity-grpc",
            "comity-conformance",
        ],
    ),
];

/// What stands at the ends of the arrows: it may depend on every library, and no library on it.
const ENDS: &[&str] = &[
    "comity-cli",
    "comity-examples",
    "comity-homeserver",
    "comity-floors",
    "comity-interop",
    "comity-spec-coverage",
    "mimi",
    "mimi-profile",
    "unix-socket-transport",
    "xtask",
];

/// What the Federation API may not know of: wires, and the means to carry them.
const WIRES: &[&str] = &[
    "h2",
    "hyper",
    "hyper-util",
    "prost",
    "quinn",
    "rustls",
    "tokio-rustls",
    "tonic",
];

/// TLS stacks and crypto providers beside aws-lc-rs. Two providers in one program panic when the first connection is made.
const OTHER_TLS: &[&str] = &[
    "boring",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "rustls-rustcrypto",
    "schannel",
    "security-framework",
];

/// Crates that exist once or not at all: two versions of a curve are two implementations of what a valid signature is.
const ONCE: &[&str] = &["curve25519-dalek", "ed25519-dalek", "aws-lc-rs", "rustls"];

/// Every broken rule, worded.
pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let graph = Graph::new(metadata);
    let mut findings = Vec::new();
    for package in metadata.members() {
        arrows(package, metadata, &mut findings);
        let tree = graph.tree(package, Kinds::WithDev);
        for other in tree
            .iter()
            .filter(|other| OTHER_TLS.contains(&other.name.as_str()))
        {
            findings.push(format!(
                "{} is built with {} {}: aws-lc-rs is the only TLS crypto provider",
                package.name, other.name, other.version
            ));
        }
        for rustls in tree.iter().filter(|other| other.name == "rustls") {
            if !graph.has_feature(rustls, "aws-lc-rs") && !graph.has_feature(rustls, "aws_lc_rs") {
                findings.push(format!(
                    "{} is built with rustls without aws-lc-rs",
                    package.name
                ));
            }
        }
        if package.name == "comity-core" {
            let normal = graph.tree(package, Kinds::Normal);
            for wire in normal
                .iter()
                .filter(|other| WIRES.contains(&other.name.as_str()))
            {
                findings.push(format!(
                    "comity-core depends on {}: the Federation API knows no wire",
                    wire.name
                ));
            }
        }
    }
    duplicates(metadata, &graph, &mut findings);
    findings
}

fn arrows(package: &Package, metadata: &Metadata, findings: &mut Vec<String>) {
    if ENDS.contains(&package.name.as_str()) {
        return;
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        findings.push(format!(
            "{} has no row in dev/xtask/src/ci/rules.rs: say what it may depend on",
            package.name
        ));
        return;
    };
    let members: BTreeSet<&str> = metadata
        .members()
        .map(|member| member.name.as_str())
        .collect();
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        // Tests may reach further than the library: a binding is tested by the conformance kit.
        if dependency.kind.as_deref() != Some("dev")
            && members.contains(name)
            && !allowed.contains(&name)
        {
            findings.push(format!("{} may not depend on {name}", package.name));
        }
    }
}

fn duplicates<'a>(metadata: &'a Metadata, graph: &Graph<'a>, findings: &mut Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for member in metadata.members() {
        for package in graph.tree(member, Kinds::WithDev) {
            if ONCE.contains(&package.name.as_str()) {
                let versions = versions.entry(&package.name).or_default();
                versions.insert(&package.version);
            }
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 {
            let versions: Vec<&str> = versions.into_iter().collect();
            findings.push(format!(
                "{name} is built in more than one version: {}",
                versions.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A package `name` with a library, depending on `on`: names, or `dev:name`.
    fn package(name: &str, on: &[&str]) -> (Value, Value) {
        let split = |text: &str| match text.split_once(':') {
            Some((kind, name)) => (json!(kind), name.to_owned()),
            None => (Value::Null, text.to_owned()),
        };
        let declared: Vec<Value> = on
            .iter()
            .map(|text| {
                let (kind, name) = split(text);
                json!({"name": name, "kind": kind})
            })
            .collect();
        let edges: Vec<Value> = on
            .iter()
            .map(|text| {
                let (kind, name) = split(text);
                json!({"pkg": name, "dep_kinds": [{"kind": kind}]})
            })
            .collect();
        (
            json!({"id": name, "name": name, "version": "1.0.0", "dependencies": declared}),
            json!({"id": name, "deps": edges, "features": ["aws_lc_rs"]}),
        )
    }

    fn metadata(members: &[&str], packages: Vec<(Value, Value)>) -> Metadata {
        let (packages, nodes): (Vec<Value>, Vec<Value>) = packages.into_iter().unzip();
        serde_json::from_value(json!({
            "packages": packages,
            "workspace_members": members,
            "resolve": {"nodes": nodes},
        }))
        .unwrap()
    }

    #[test]
    fn a_workspace_that_keeps_the_rules_passes() {
        let metadata = metadata(
            &["comity-core", "comity-net", "comity-http", "comity-cli"],
            vec![
                package("comity-core", &["serde", "dev:hyper"]),
                package("comity-net", &["comity-core", "hyper", "rustls"]),
                package(
                    "comity-http",
                    &["comity-core", "comity-net", "dev:comity-cli"],
                ),
                package("comity-cli", &["comity-http"]),
                package("serde", &[]),
                package("hyper", &[]),
                package("rustls", &["aws-lc-rs"]),
                package("aws-lc-rs", &[]),
            ],
        );
        assert_eq!(check(&metadata), Vec::<String>::new());
    }

    #[test]
    fn each_broken_rule_is_found() {
        let metadata = metadata(
            &["comity-core", "comity-grpc", "comity-http", "comity-new"],
            vec![
                package("comity-core", &["tower"]),
                package("comity-http", &["comity-core", "ed25519-dalek"]),
                package("comity-grpc", &["comity-http", "dev:native-tls"]),
                package("comity-new", &[]),
                package("tower", &["hyper"]),
                package("hyper", &[]),
                package("native-tls", &[]),
                package("ed25519-dalek", &[]),
            ],
        );
        let findings = check(&metadata);
        for expected in [
            "comity-core depends on hyper",
            "comity-grpc may not depend on comity-http",
            "comity-grpc is built with native-tls",
            "comity-new has no row",
        ] {
            assert!(
                findings.iter().any(|finding| finding.contains(expected)),
                "{expected}: {findings:?}"
            );
        }
        assert_eq!(findings.len(), 4, "{findings:?}");
    }

    #[test]
    fn two_versions_of_a_curve_are_found() {
        let mut metadata = metadata(
            &["comity-core"],
            vec![
                package("comity-core", &["curve25519-dalek", "signer"]),
                package("signer", &["old"]),
                package("curve25519-dalek", &[]),
                package("old", &[]),
            ],
        );
        let old = metadata
            .packages
            .iter_mut()
            .find(|package| package.id == "old")
            .unwrap();
        old.name = "curve25519-dalek".to_owned();
        old.version = "4.0.0".to_owned();
        assert_eq!(
            check(&metadata),
            ["curve25519-dalek is built in more than one version: 1.0.0, 4.0.0"]
        );
    }

    #[test]
    fn an_optional_dependency_counts_only_if_a_feature_asks_for_it() {
        let build = |feature: &str| {
            let mut metadata = metadata(
                &["comity-net"],
                vec![
                    package("comity-net", &["webpki"]),
                    package("webpki", &["ring"]),
                    package("ring", &[]),
                ],
            );
            let webpki = &mut metadata.packages[1];
            webpki.dependencies[0].optional = true;
            webpki.features = [
                ("alloc".to_owned(), vec!["ring?/alloc".to_owned()]),
                ("ring".to_owned(), vec!["dep:ring".to_owned()]),
            ]
            .into();
            metadata.resolve.nodes[1].features = vec![feature.to_owned()];
            check(&metadata).len()
        };
        assert_eq!(build("alloc"), 0);
        assert_eq!(build("ring"), 1);
    }
}
