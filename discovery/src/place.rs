//! What a server name alone says about where to connect (SS "Resolving server names", steps 1, 2 and 3.1, 3.2).

use std::net::SocketAddr;

use comity_core::ServerName;

/// The port of a server whose name has none, and for which there is no SRV record.
pub(crate) const FEDERATION_PORT: u16 = 8448;

/// Where a name leads by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An IP literal: nothing is looked up.
    Address(SocketAddr),
    /// A name with a port: its addresses are looked up, and nothing else.
    Port { name: String, port: u16 },
    /// A bare name: SRV records, or the port of the federation. The name of a server itself is looked up with `.well-known` first; one that was delegated to is not.
    Name(String),
}

impl Place {
    /// # Errors
    /// Why nothing can be connected to by this name.
    pub(crate) fn of(server: &ServerName) -> Result<Self, String> {
        let port = server
            .connect_port()
            .map_err(|error| format!("{server} cannot be connected to: {error}"))?;
        if let Some(ip) = server.ip() {
            let port = port.unwrap_or(FEDERATION_PORT);
            return Ok(Self::Address(SocketAddr::new(ip, port)));
        }
        if server.is_ip_literal() {
            return Err(format!("{server} is in brackets, but no address"));
        }
        let name = server.host().to_ascii_lowercase();
        Ok(match port {
            Some(port) => Self::Port { name, port },
            None => Self::Name(name),
        })
    }
}

/// The name that a certificate has to be for, whatever leads there: lower case, or an address without brackets.
pub(crate) fn certificate_name(server: &ServerName) -> String {
    match server.ip() {
        Some(ip) => ip.to_string(),
        None => server.host().to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Result<Place, String> {
        Place::of(&name.parse().unwrap())
    }

    #[test]
    fn a_name_says_by_itself_what_is_looked_up() {
        let address = |text: &str| Ok(Place::Address(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), address("192.0.2.1:8448"));
        assert_eq!(of("192.0.2.1:443"), address("192.0.2.1:443"));
        // Decimal in the grammar, whatever a C library makes of it.
        assert_eq!(of("127.0.0.010"), address("127.0.0.10:8448"));
        assert_eq!(of("[2001:DB8::1]"), address("[2001:db8::1]:8448"));
        assert_eq!(of("[::1]:1"), address("[::1]:1"));
        let port = |name: &str, port| {
            let name = name.to_owned();
            Ok(Place::Port { name, port })
        };
        assert_eq!(of("A.b:08448"), port("a.b", 8448));
        assert_eq!(of("Matrix.ORG"), Ok(Place::Name("matrix.org".to_owned())));
        // A DNS name by the grammar, not an address.
        assert_eq!(of("300.1.1.1"), Ok(Place::Name("300.1.1.1".to_owned())));
        for bad in ["a.b:0", "a.b:65536", "1.2.3.4:0", "[:::]", "[:::]:1"] {
            assert!(of(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn certificates_are_for_the_name_without_case_port_and_brackets() {
        for (name, wanted) in [
            ("A.b:1", "a.b"),
            ("[::1]:2", "::1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(certificate_name(&name.parse().unwrap()), wanted);
        }
    }
}
