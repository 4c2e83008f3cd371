//! Where a call goes: what stands between a binding and the network.

use std::{collections::HashMap, fmt, fmt::Debug, net::SocketAddr, str::FromStr};

use async_trait::async_trait;

use crate::{
    ServerName, ServerNameError,
    call::CallContext,
    error::{Delivery, TransportError, TransportErrorKind},
};

/// Where and how to connect for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Addresses to try, in order.
    pub addresses: Vec<SocketAddr>,
    /// Value of `Host` or `:authority`.
    pub host: String,
    /// DNS name, or IP literal without brackets, that the certificate has to be for.
    pub certificate_name: String,
}

/// A host and port to connect to instead of where the destination's name leads: `fed.example.org:8448`, `192.0.2.1:8448`, `[2001:db8::1]:8448`.
///
/// It changes where packets go and nothing else: `Host` and the name in the certificate stay what the specification asks for, so whoever
/// wrote it gains nothing by a wrong one. Only [`as_server`](Self::as_server), which no text says, has another certificate expected there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectTo {
    name: ServerName,
    port: u16,
    server: Option<ServerName>,
}

impl ConnectTo {
    /// The DNS name or IP literal, with brackets if it is IPv6.
    pub fn host(&self) -> &str {
        self.name.host()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is an IP literal: nothing is left to look up.
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.name.ip()?, self.port))
    }

    /// Says who is there: the destination itself, or the server that it delegates to. `Host` and the certificate's name are of that server then, and nobody is asked whom the
    /// destination delegates to. For operators, who know; never of what a peer says.
    #[must_use]
    pub fn as_server(self, server: ServerName) -> Self {
        Self {
            server: Some(server),
            ..self
        }
    }

    /// Who is there, if that was [said](Self::as_server).
    pub fn server(&self) -> Option<&ServerName> {
        self.server.as_ref()
    }
}

impl FromStr for ConnectTo {
    type Err = BadConnectTo;

    fn from_str(text: &str) -> Result<Self, BadConnectTo> {
        let name: ServerName = text.parse()?;
        let port = name.connect_port().ok().flatten();
        let port = port.ok_or_else(|| BadConnectTo::Port(text.to_owned()))?;
        Ok(Self {
            name,
            port,
            server: None,
        })
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host(), self.port)
    }
}

/// Text that says no place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadConnectTo {
    /// The host is none.
    #[error("not a host and port: {0}")]
    Host(#[from] ServerNameError),
    /// The port is missing, 0 or over 65535.
    #[error("{0:?} needs a port from 1 to 65535 behind a colon")]
    Port(String),
}

/// Finds out where to connect for a server name.
#[async_trait]
pub trait Resolve: Send + Sync + Debug + 'static {
    /// Resolves `destination`.
    ///
    /// # Errors
    /// The name cannot be resolved; nothing was sent.
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError>;

    /// Resolves `destination`, but has connections made to `to`: `Host` and the certificate's name stay what they would be, or are of [`ConnectTo::server`].
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve). What is given here takes IP literals only.
    async fn resolve_at(
        &self,
        destination: &ServerName,
        to: &ConnectTo,
    ) -> Result<Route, TransportError> {
        let Some(address) = to.address() else {
            return Err(unresolved(format!(
                "{to} is not an IP address with a port, and names are not looked up here"
            )));
        };
        let server = to.server().unwrap_or(destination);
        let route = self.resolve(server).await?;
        Ok(Route {
            addresses: vec![address],
            ..route
        })
    }
}

/// Where a call goes: its destination's route, by way of [`CallContext::connect_to`] if that is set. What every binding's client asks first.
///
/// # Errors
/// As [`Resolve::resolve`], and if the call has no destination; nothing was sent.
pub async fn route_of(
    resolve: &dyn Resolve,
    context: &CallContext,
) -> Result<Route, TransportError> {
    let Some(destination) = &context.destination else {
        return Err(unresolved("the call has no destination".to_owned()));
    };
    match &context.connect_to {
        Some(to) => resolve.resolve_at(destination, to).await,
        None => resolve.resolve(destination).await,
    }
}

fn unresolved(message: String) -> TransportError {
    TransportError::new(TransportErrorKind::Resolve, Delivery::NotSent, message)
}

/// Routes that the operator wrote down. Any other name is refused.
#[derive(Clone, Debug, Default)]
pub struct FixedRoutes(HashMap<ServerName, Route>);

impl FixedRoutes {
    /// No route.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route. An earlier one for the same name is replaced.
    #[must_use]
    pub fn with(mut self, destination: ServerName, route: Route) -> Self {
        self.0.insert(destination, route);
        self
    }
}

#[async_trait]
impl Resolve for FixedRoutes {
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError> {
        self.0
            .get(destination)
            .cloned()
            .ok_or_else(|| unresolved(format!("no route to {destination} is configured")))
    }
}
