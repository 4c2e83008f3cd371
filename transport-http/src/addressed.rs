//! To which server a request is, where its target says so.

use comity_core::{ServerName, error::FederationError};
use http::Uri;

/// Scheme of the targets that a homeserver sends to its federation sender's proxy: `matrix-federation://hs1.example/_matrix/…`, as Synapse writes them.
pub const FEDERATION_SCHEME: &str = "matrix-federation";

/// The server that a request is to. In a request's extensions it becomes the call's
/// [destination](comity_core::call::CallContext::destination): whoever listens for a homeserver's outbound requests puts it there.
///
/// An [`HttpServer`](crate::HttpServer) does not read it from the target by itself. `Host` never says it: Synapse writes a port there that the name does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed(pub ServerName);

impl Addressed {
    /// Reads an absolute-form target (RFC 9112 §3.2.2) of the scheme [`FEDERATION_SCHEME`]: its authority is the server name, as it was written. Path and query, which
    /// alone are signed, stay in the request as they arrived.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM` for a target of another form or scheme, or an authority that is no server name.
    pub fn from_target(target: &Uri) -> Result<Self, FederationError> {
        let authority = match (target.scheme_str(), target.authority()) {
            (Some(FEDERATION_SCHEME), Some(authority)) => authority.as_str(),
            _ => {
                return Err(FederationError::invalid_param(format!(
                    "the target of the request is not of the form `{FEDERATION_SCHEME}://server.name/path`"
                )));
            }
        };
        authority.parse().map(Self).map_err(|error| {
            FederationError::invalid_param(format!(
                "the authority of the request's target is no server name: {error}"
            ))
        })
    }
}
