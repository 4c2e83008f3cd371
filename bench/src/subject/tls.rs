//! Certificates of one run.

use comity_core::ServerName;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::Tls;

impl Tls {
    /// A certificate authority of its own, and by it one certificate for all these servers (ECDSA with P-256). Its private key is not kept.
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
        let names: Vec<_> = servers.iter().map(|name| name.host().to_owned()).collect();
        let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: root.pem(),
            certificate: leaf.pem(),
            key: key.serialize_pem(),
        })
    }
}
