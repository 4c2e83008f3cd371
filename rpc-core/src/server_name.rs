//! Server names: who a homeserver is (Matrix specification, Appendices, "Server Name").

use std::{
    borrow::Borrow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most characters of a DNS name (`dns-name = 1*255dns-char`).
const MAX_DNS_NAME: usize = 255;

/// The name of a homeserver: a host name or an IP literal, and an optional port.
///
/// The grammar is the specification's and nothing more, so names that DNS would refuse (`a..b`, `-a.b`, `300.1.1.1`)
/// are names here: identity must not depend on what can be looked up. The text is kept as it was written, and
/// compared, ordered and hashed byte by byte: `MATRIX.ORG` and `matrix.org` are two servers. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the ID of a user of the server: `@`, a local part, `:` and exactly its name.
    pub fn has_user(&self, user_id: &str) -> bool {
        let name = user_id.strip_prefix('@');
        let name = name.and_then(|name| name.split_once(':'));
        name.is_some_and(|(_, of)| of == self.as_str())
    }

    /// The name without its port; an IPv6 literal keeps its brackets. Case is as written: lower it for DNS only.
    pub fn host(&self) -> &str {
        split(&self.0).0
    }

    /// The explicit port, if there is one and it fits a `u16`; `0` is returned as written.
    ///
    /// The grammar allows `0` and up to `99999`: use [`connect_port`](Self::connect_port) to open a connection.
    pub fn port(&self) -> Option<u16> {
        split(&self.0).1?.parse().ok()
    }

    /// The explicit port to connect to, `None` if the name has none.
    ///
    /// # Errors
    /// [`PortError`] if the name has a port that is no TCP port: `0`, or over 65535.
    pub fn connect_port(&self) -> Result<Option<u16>, PortError> {
        let Some(digits) = split(&self.0).1 else {
            return Ok(None);
        };
        match digits.parse() {
            Ok(0) | Err(_) => Err(PortError(digits.into())),
            Ok(port) => Ok(Some(port)),
        }
    }

    /// Whether the host is written as an IP literal: four decimal octets, or anything in brackets.
    ///
    /// This is a question about the text, as server ACLs ask it (`allow_ip_literals`).
    pub fn is_ip_literal(&self) -> bool {
        let host = self.host();
        host.starts_with('[') || ipv4(host).is_some()
    }

    /// The address, if the host is an IP literal. `None` for a bracketed text that the grammar allows but that is no
    /// address (`[:::]`). Octets are decimal even with leading zeros, as in the grammar.
    pub fn ip(&self) -> Option<IpAddr> {
        let host = self.host();
        match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => ipv4(host).map(IpAddr::V4),
        }
    }
}

/// Checks the grammar: `hostname [ ":" 1*5DIGIT ]`.
fn check(name: &str) -> Result<(), ServerNameError> {
    let (host, port) = split(name);
    if let Some(port) = port {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        if !digits || !(1..=5).contains(&port.len()) {
            return Err(ServerNameError::Port);
        }
    }
    if let Some(rest) = host.strip_prefix('[') {
        let inner = rest.strip_suffix(']').ok_or(ServerNameError::Ipv6)?;
        let legal = |b: u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
        if !(2..=45).contains(&inner.len()) || !inner.bytes().all(legal) {
            return Err(ServerNameError::Ipv6);
        }
        return Ok(());
    }
    if host.is_empty() {
        return Err(ServerNameError::EmptyHost);
    }
    if !host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    {
        return Err(ServerNameError::Host);
    }
    // Every IPv4 address is a dns-name too, so there is nothing left to check for it.
    if host.len() > MAX_DNS_NAME {
        return Err(ServerNameError::TooLong);
    }
    Ok(())
}

/// Splits off the port: at the colon after the bracket of an IPv6 literal, else at the first colon. A bare `::1` thus
/// has an empty host, which the grammar refuses.
fn split(name: &str) -> (&str, Option<&str>) {
    let after_literal = match name.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(name.len(), |at| at + 2),
        None => 0,
    };
    match name[after_literal..].find(':') {
        Some(at) => {
            let colon = after_literal + at;
            (&name[..colon], Some(&name[colon + 1..]))
        }
        None => (name, None),
    }
}

/// `1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT`, each up to 255. The standard library's parser refuses leading
/// zeros, which would let `127.0.0.01` pass for a DNS name.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if !(1..=3).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        check(name)?;
        Ok(Self(name.into()))
    }
}

impl TryFrom<&str> for ServerName {
    type Error = ServerNameError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl TryFrom<String> for ServerName {
    type Error = ServerNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        check(&name)?;
        Ok(Self(name.into()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for ServerName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Sound for map look-ups: equality, order and hash are those of the text.
impl Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for ServerName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for ServerName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for ServerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .try_into()
            .map_err(de::Error::custom)
    }
}

/// Why a text is no server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerNameError {
    /// Nothing before the port, or nothing at all. A bare IPv6 address ends here too: it needs brackets.
    #[error("the server name has no host")]
    EmptyHost,
    /// A character other than ASCII letters, digits, `-` and `.`.
    #[error("the server name's host has a character other than letters, digits, '-' and '.'")]
    Host,
    /// Over 255 characters.
    #[error("the server name's host is longer than {MAX_DNS_NAME} characters")]
    TooLong,
    /// A bracketed host that is not 2 to 45 hexadecimal digits, colons and dots, or whose bracket does not close.
    #[error("the server name's IPv6 literal is malformed")]
    Ipv6,
    /// A port that is not one to five digits.
    #[error("the server name's port is not one to five digits")]
    Port,
}

/// A server name's explicit port cannot be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port {0} is not between 1 and 65535")]
pub struct PortError(Box<str>);
