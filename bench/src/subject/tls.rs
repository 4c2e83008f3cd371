//! Certificates of one run.

use std::collections::BTreeSet;

use comity_core::ServerName;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::Tls;

impl Tls {
    /// A certificate authority of its own, and by it one certificate for all these servers (ECDSA with P-256), of one name if they are neighbours: it is as large for one server
    /// as for a hundred. The authority's private key is not kept.
    ///
    /// # Errors
    /// A server's host is no name that a certificate can have.
    pub fn drawn(servers: &[ServerName]) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate()?;
        let root = params.self_signed(&root_key)?;
        let issuer = Issuer::from_params(&params, &root_key);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(names(servers))?.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: root.pem(),
            certificate: leaf.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// What the certificate is for: a wildcard (RFC 9525, section 6.3) where all names stand in one domain, as a real server's certificate has a name or two, and what a handshake costs is not
/// to hang on how many servers its scenario has. Otherwise each host.
fn names(servers: &[ServerName]) -> Vec<String> {
    let domain = |server: &ServerName| {
        let (_, domain) = server.host().split_once('.')?;
        let is_name = domain.contains('.') && domain.contains(|c: char| c.is_ascii_alphabetic());
        is_name.then(|| domain.to_owned())
    };
    let domains: Option<BTreeSet<String>> = servers.iter().map(domain).collect();
    match domains {
        Some(domains) if domains.len() == 1 => {
            domains.iter().map(|domain| format!("*.{domain}")).collect()
        }
        _ => servers.iter().map(|name| name.host().to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(servers: &[&str]) -> Vec<String> {
        let servers: Vec<ServerName> = servers.iter().map(|name| name.parse().unwrap()).collect();
        names(&servers)
    }

    #[test]
    fn a_certificate_has_one_name_however_many_neighbours_there_are() {
        let many: Vec<String> = (0..101).map(|n| format!("s{n}.bench.example")).collect();
        let many: Vec<&str> = many.iter().map(|name| &name[..]).collect();
        assert_eq!(of(&many), ["*.bench.example"]);
        assert_eq!(of(&many[..1]), ["*.bench.example"]);
    }

    #[test]
    fn servers_of_several_domains_are_named_one_by_one() {
        for servers in [
            &["a.bench.example", "a.other.example"][..],
            // A wildcard is not for what stands right below a top-level domain, nor for an address.
            &["a.example", "b.example"],
            &["127.0.0.1"],
            &["localhost"],
        ] {
            assert_eq!(of(servers), servers);
        }
    }
}
