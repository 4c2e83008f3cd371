//! Who calls: the TLS certificate of the connection and `From` (draft-ietf-mimi-protocol-06 §4.1).

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    ServerName,
    auth::{Authenticator, Origin},
    call::{Call, Reply},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};
use comity_net::ConnectionInfo;

/// What stands before the domain in `From`.
const LOCAL_PART: &str = "mimi@";

/// Proves a provider by mutual TLS: `From` names its domain, and the certificate that the connection's client showed is for that domain.
///
/// The listener has to ask clients for certificates ([`comity_net::ServerTls::asking_clients`]); it verifies who issued them. Behind a proxy that ends TLS,
/// nobody is proven.
#[derive(Debug)]
pub struct MutualTls {
    own: ServerName,
}

impl MutualTls {
    /// For the provider `own`. A connection that was made for another name, by SNI, is no way to it.
    pub fn new(own: ServerName) -> Self {
        Self { own }
    }
}

#[async_trait]
impl Authenticator for MutualTls {
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError> {
        let context = call.context();
        let from = context.from.as_deref();
        let from =
            from.ok_or_else(|| FederationError::unauthorized("`From` does not say who calls"))?;
        let domain = from.strip_prefix(LOCAL_PART);
        let name: Option<ServerName> = domain.and_then(|domain| domain.parse().ok());
        // A domain has no port, and a name that is compared with a certificate none either.
        let name = name.filter(|name| Some(name.host()) == domain);
        let name = name.ok_or_else(|| {
            FederationError::malformed_credentials("`From` is not `mimi@` and a domain")
        })?;
        let connection = context.connection.as_ref();
        let connection = connection.and_then(|info| info.downcast_ref::<ConnectionInfo>());
        let tls = connection.and_then(ConnectionInfo::tls);
        let tls =
            tls.ok_or_else(|| FederationError::unauthorized("the call did not come over TLS"))?;
        if tls.sni.as_deref().is_some_and(|sni| sni != self.own.host()) {
            return Err(FederationError::unauthorized(
                "the connection was made for another provider",
            ));
        }
        if !tls.peer_is(name.host()) {
            return Err(FederationError::unauthorized(format!(
                "the client's certificate is not for {name}"
            )));
        }
        // Proven: the handshake verified the certificate and that its key is the client's.
        Ok(Origin::danger_assume_proven(name, "mutual TLS"))
    }
}

/// Says on each call who makes it.
#[derive(Debug)]
pub struct SayFrom(String);

impl SayFrom {
    /// The layer, for a client of the provider `own`.
    pub fn layer(own: &ServerName) -> AroundLayer<Self> {
        around(Self(format!("{LOCAL_PART}{}", own.host())))
    }
}

impl Around for SayFrom {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        call.context_mut().from = Some(self.0.clone());
        inner.call(call).await
    }
}
