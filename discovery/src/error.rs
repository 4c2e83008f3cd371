//! Why there is no discovery.

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The operating system's configuration of DNS cannot be read.
    #[error(
        "the system's DNS configuration cannot be read ({0}); name servers can be given instead"
    )]
    SystemDns(String),
    /// No server is configured.
    #[error("there is no DNS server to ask; name one")]
    NoNameServer,
}
