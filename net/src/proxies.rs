//! Whom requests come from, behind proxies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName};

use crate::range::{Range, RangeError};
use crate::{Address, ConnectionInfo};

/// No RFC's (RFC 7239 has another), and what nginx, Caddy and HAProxy write.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// More addresses than this of one request are not looked at: chains of proxies are short.
const MAX_HOPS: usize = 32;

/// The proxies in front of a listener that are believed about who their clients are. None, unless told.
///
/// `X-Forwarded-For` is a list that each proxy adds to on the right, and whose left part the client may have written itself. So it is read from the right, as long as
/// the address there is a trusted proxy's; the first other one is the client's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    ranges: Vec<Range>,
    unix: bool,
}

impl TrustedProxies {
    /// Trusts proxies with addresses of this range: `10.1.0.0/16`, `fd00::/8`, or a single address.
    ///
    /// # Errors
    ///
    /// If the text is no address range.
    pub fn trust(mut self, range: &str) -> Result<Self, RangeError> {
        self.ranges.push(range.parse()?);
        Ok(self)
    }

    /// Trusts proxies that connect by a Unix socket: its permissions say who can.
    pub fn trust_unix(mut self) -> Self {
        self.unix = true;
        self
    }

    /// The client's address, as the peer of this connection says it; nothing if the peer is not trusted, or says nothing that can be read.
    ///
    /// Of what is no address nobody knows who wrote it, nor what stands on its left: the last address on its right is given then, a proxy's.
    pub fn client(&self, peer: &Address, headers: &HeaderMap) -> Option<IpAddr> {
        let trusted = match peer {
            Address::Ip(address) => self.trusts(address.ip()),
            Address::Unix(_) => self.unix,
        };
        if !trusted {
            return None;
        }
        let mut nearest = None;
        let lists = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = address(hop) else { break };
            nearest = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.ranges.iter().any(|range| range.contains(address))
    }
}

/// An address, bare or in brackets, with or without a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let bracketed = || {
        let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
        Some(IpAddr::V6(inner.parse().ok()?))
    };
    let address = hop.parse().ok().or_else(bracketed);
    let address = address.or_else(|| hop.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.map(|address| address.to_canonical())
}

/// The address of a request's client, as a [trusted proxy](TrustedProxies) said it: in the extensions of a request that a [`Listener`](crate::Listener) hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request's client: what a trusted proxy said, else the other end of its connection. Nothing of a Unix socket whose peer says nothing.
    pub fn of(extensions: &Extensions) -> Option<IpAddr> {
        if let Some(Self(address)) = extensions.get() {
            return Some(*address);
        }
        let connection = extensions.get::<Arc<ConnectionInfo>>()?;
        Some(connection.peer().ip()?.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, lists: &[&[u8]]) -> Option<String> {
        let trusted = TrustedProxies::default();
        let trusted = trusted.trust("127.0.0.0/8").unwrap();
        let trusted = trusted.trust("10.0.0.0/8").unwrap().trust("::1").unwrap();
        let peer = match peer {
            "unix" => Address::Unix(None),
            ip => Address::Ip(SocketAddr::new(ip.parse().unwrap(), 40_000)),
        };
        let mut headers = HeaderMap::new();
        for list in lists {
            let list = HeaderValue::from_bytes(list).unwrap();
            headers.append(FORWARDED_FOR, list);
        }
        Some(trusted.client(&peer, &headers)?.to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxys_is_the_clients() {
        for (lists, expected) in [
            (&[&b"192.0.2.1"[..]][..], "192.0.2.1"),
            (&[b"192.0.2.1, 10.0.0.1,127.0.0.1"], "192.0.2.1"),
            // What stands on the left of the client the client wrote.
            (
                &[b"127.0.0.1, 198.51.100.9, 192.0.2.1, 10.0.0.1"],
                "192.0.2.1",
            ),
            (&[b"198.51.100.9", b"192.0.2.1,10.0.0.1"], "192.0.2.1"),
            (&[b"192.0.2.1", b"10.0.0.1", b"10.0.0.2"], "192.0.2.1"),
            // A client among the proxies.
            (&[b"10.9.9.9, 10.0.0.1"], "10.9.9.9"),
            (&[b" 2001:db8::1\t"], "2001:db8::1"),
            (&[b"[2001:db8::1]"], "2001:db8::1"),
            (&[b"[2001:db8::1]:443"], "2001:db8::1"),
            (&[b"192.0.2.1:50000"], "192.0.2.1"),
            (&[b"::ffff:192.0.2.1"], "192.0.2.1"),
            (&[b"192.0.2.1, ::ffff:10.0.0.1"], "192.0.2.1"),
        ] {
            assert_eq!(client("127.0.0.1", lists).as_deref(), Some(expected));
            assert_eq!(client("::1", lists).as_deref(), Some(expected));
            assert_eq!(client("::ffff:10.0.0.1", lists).as_deref(), Some(expected));
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let said = [&b"198.51.100.9"[..]];
        for peer in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "unix"] {
            assert_eq!(client(peer, &said), None, "{peer}");
        }
        let none = TrustedProxies::default();
        let peer = Address::Ip(SocketAddr::from(([127, 0, 0, 1], 1)));
        let headers = HeaderMap::from_iter([(FORWARDED_FOR, "192.0.2.1".parse().unwrap())]);
        assert_eq!(none.client(&peer, &headers), None);
        let unix = none.trust_unix();
        assert_eq!(unix.client(&peer, &headers), None);
        assert!(unix.client(&Address::Unix(None), &headers).is_some());
    }

    #[test]
    fn garbage_is_no_address_and_hides_what_stands_on_its_left() {
        for garbage in [
            &b""[..],
            b",",
            b"unknown",
            b"_hidden",
            b"192.0.2.256",
            b"192.0.2.1:99999",
            b"192.0.2.1 198.51.100.9",
            b"[192.0.2.1]",
            b"[2001:db8::1",
            b"\xff\xfe",
            b"\"192.0.2.1\"",
            b"http://192.0.2.1",
            b"192.0.2.1\t;for=x",
        ] {
            assert_eq!(client("127.0.0.1", &[garbage]), None, "{garbage:?}");
            let left_of_it = [&b"192.0.2.1, "[..], garbage, b",10.0.0.1"].concat();
            let nearest = client("127.0.0.1", &[&left_of_it]);
            assert_eq!(nearest.as_deref(), Some("10.0.0.1"), "{garbage:?}");
        }
        assert_eq!(client("127.0.0.1", &[]), None);
    }

    #[test]
    fn a_long_list_is_not_read_to_its_end() {
        let long = format!("192.0.2.1{}", ",10.0.0.1".repeat(5_000));
        assert_eq!(client("127.0.0.1", &[long.as_bytes()]).unwrap(), "10.0.0.1");
    }
}
