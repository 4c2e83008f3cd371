//! The file as it is written. Texts keep their place, so that what is wrong with them can be pointed at.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

type Text = Spanned<String>;

pub(super) fn parse(text: &str) -> Result<File, toml::de::Error> {
    toml::from_str(text)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) server_name: Text,
    pub(super) homeserver: Homeserver,
    pub(super) egress: Egress,
    pub(super) listen: Spanned<Listen>,
    #[serde(default)]
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) discovery: Discovery,
    #[serde(default)]
    pub(super) keys: Keys,
    #[serde(default)]
    pub(super) bindings: Bindings,
    #[serde(default)]
    pub(super) peers: BTreeMap<Text, Spanned<Peer>>,
    pub(super) admin: Option<Admin>,
    #[serde(default)]
    pub(super) limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Homeserver {
    pub(super) url: Text,
    pub(super) paths: Option<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Egress {
    pub(super) listen: Text,
    pub(super) secret_file: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) address: Text,
    pub(super) tls: Option<bool>,
    pub(super) certificate: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) trusted_proxies: Option<Vec<Text>>,
    #[serde(default)]
    pub(super) danger_deliver_unverified: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Trust {
    pub(super) ca: Vec<Text>,
    pub(super) allow_addresses: Vec<Text>,
    pub(super) danger_accept_any_certificate_for: Vec<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Discovery {
    pub(super) dns: Vec<Text>,
    pub(super) well_known_port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) store: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Bindings {
    pub(super) grpc: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Peer {
    pub(super) binding: Option<Text>,
    pub(super) target: Option<Text>,
    pub(super) delegated: Option<Text>,
    pub(super) required: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) calls: Option<Spanned<u64>>,
    pub(super) request_mib: Option<Spanned<u64>>,
    pub(super) drain_seconds: Option<Spanned<u64>>,
}
