//! The six steps (SS "Resolving server names").

use std::{collections::HashSet, fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    ServerName,
    error::{Delivery, TransportError, TransportErrorKind},
    transport::{ConnectTo, Offered, Offers, Resolve, Route},
};
use comity_net::{AddressGuard, Connector};
use futures_util::future::join_all;

use crate::{
    DiscoveryError, DiscoveryOptions, Explanation,
    addresses::{Addresses, addresses_of},
    dns::{Answer, Known, Names, Service},
    explain::{Notes, Step},
    options::ms,
    place::{FEDERATION_PORT, Place, certificate_name},
    well_known::{self, WellKnown},
};

/// The services of step 4 and, deprecated, step 5; with their numbers for a server's own name and for one that it delegates to.
const SERVICES: [(&str, &str, &str); 2] = [
    ("_matrix-fed._tcp", "4", "3.3"),
    ("_matrix._tcp", "5", "3.4"),
];

/// Most addresses of one target that come before the next target's. A connector tries so many of a route, and a target whose addresses all are dead must not
/// keep it from the others.
const OF_ONE_TARGET: usize = 4;

/// Longest time that a hint to bindings counts.
const MAX_HINT_AGE: Duration = Duration::from_secs(24 * 3600);

/// Finds servers: [`Resolve`] by the specification's six steps, and [`Offers`] from the hint in `.well-known/matrix/server`.
///
/// Clones share what is known. It needs a tokio runtime.
#[derive(Clone)]
pub struct Discovery {
    names: Names,
    well_known: WellKnown,
    guard: AddressGuard,
    options: Arc<DiscoveryOptions>,
}

impl Discovery {
    /// Fetches `.well-known` documents by way of `connector`: what it trusts and which addresses it permits counts for them and for their redirections. Nothing is
    /// asked before the first call, but the system's DNS configuration is read.
    ///
    /// # Errors
    /// If there is no DNS server to ask.
    pub fn new(connector: Connector, options: DiscoveryOptions) -> Result<Self, DiscoveryError> {
        let names = Names::new(&options)?;
        Ok(Self {
            guard: connector.guard().clone(),
            well_known: WellKnown::new(names.clone(), connector, &options),
            names,
            options: Arc::new(options),
        })
    }

    /// Resolves a name, and tells of every step what was asked and what was found. What is known already is not asked again.
    ///
    /// It takes a bounded time, and dropping it is safe.
    pub async fn explain(&self, server: &ServerName) -> Explanation {
        let mut notes = Notes::on((self.options.now)());
        let route = self.route(server, &mut notes).await;
        let hint = self.offered(server).await;
        Explanation::new(server, notes, route, hint, &self.guard)
    }

    async fn route(
        &self,
        destination: &ServerName,
        notes: &mut Notes,
    ) -> Result<Route, TransportError> {
        let (server, place, own) = self.delegated(destination, notes).await?;
        let addresses = match place {
            Place::Address(address) => {
                notes.step(|_| Step::new(if own { "1" } else { "3.1" }, format!("{server}")));
                vec![address]
            }
            Place::Port { name, port } => {
                let number = if own { "2" } else { "3.2" };
                self.addresses(number, &name, port, notes).await?
            }
            Place::Name(name) => self.by_service(&name, own, notes).await?,
        };
        Ok(route_to(&server, addresses))
    }

    /// Whom `destination` delegates to, and what that name says by itself. If to nobody, itself and `true`.
    async fn delegated(
        &self,
        destination: &ServerName,
        notes: &mut Notes,
    ) -> Result<(ServerName, Place, bool), TransportError> {
        let place = Place::of(destination).map_err(unresolved)?;
        if !matches!(place, Place::Name(_)) {
            return Ok((destination.clone(), place, true));
        }
        let known = self.well_known.get(destination).await?;
        notes.well_known(destination, &known);
        match &known.found {
            // One level: the name that is delegated to is not asked for a document.
            Ok(document) => {
                let place = Place::of(&document.server).map_err(unresolved)?;
                Ok((document.server.clone(), place, false))
            }
            Err(_) => Ok((destination.clone(), place, true)),
        }
    }

    /// Steps 4 to 6, or 3.3 to 3.5.
    async fn by_service(
        &self,
        name: &str,
        own: bool,
        notes: &mut Notes,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        for (service, number, delegated) in SERVICES {
            let number = if own { number } else { delegated };
            let service = format!("{service}.{name}");
            let known = self.names.services(&service).await?;
            notes.service(number, &service, &known);
            match &known.answer {
                Answer::Services(targets) => {
                    return self.targets(number, &service, targets, notes).await;
                }
                Answer::Failed(why) => {
                    // To go on would be to go to another place, as whoever keeps the answer back might wish.
                    return Err(unresolved(format!("no answer about {service}: {why}")));
                }
                Answer::Absent(_) | Answer::Addresses(_) => {}
            }
        }
        let number = if own { "6" } else { "3.5" };
        self.addresses(number, name, FEDERATION_PORT, notes).await
    }

    /// The addresses of a service's targets: the first few of each in the targets' order, then the others of each.
    async fn targets(
        &self,
        number: &'static str,
        service: &str,
        targets: &[Service],
        notes: &mut Notes,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        if targets.is_empty() {
            return Err(unresolved(format!(
                "{service} says that the service is not offered (RFC 2782, target \".\")"
            )));
        }
        let known = targets.iter().map(|to| self.names.addresses(&to.target));
        let (mut addresses, mut others) = (Vec::new(), Vec::new());
        let mut failure = None;
        for (to, known) in targets.iter().zip(join_all(known).await) {
            let known = known?;
            notes.addresses(number, &to.target, to.port, &known, true);
            match with_port(&to.target, to.port, &known) {
                Ok(mut found) => {
                    others.extend(found.split_off(found.len().min(OF_ONE_TARGET)));
                    addresses.extend(found);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if addresses.is_empty() => Err(error),
            _ => {
                addresses.extend(others);
                let mut seen = HashSet::new();
                addresses.retain(|address| seen.insert(*address));
                Ok(addresses)
            }
        }
    }

    async fn addresses(
        &self,
        number: &'static str,
        name: &str,
        port: u16,
        notes: &mut Notes,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        let known = self.names.addresses(name).await?;
        notes.addresses(number, name, port, &known, false);
        with_port(name, port, &known)
    }
}

fn with_port(
    name: &str,
    port: u16,
    (v6, v4): &(Arc<Known>, Arc<Known>),
) -> Result<Vec<SocketAddr>, TransportError> {
    match addresses_of(v6, v4) {
        Addresses::Some(addresses) => {
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
            Ok(addresses.collect())
        }
        Addresses::None(absence) => Err(unresolved(format!(
            "{name} has no address: {}",
            absence.as_str()
        ))),
        Addresses::Unknown(why) => Err(unresolved(format!(
            "no address of {name} could be learned: {why}"
        ))),
    }
}

/// `Host` is the name as it was written; the certificate is for its host, never for what an SRV record names.
fn route_to(server: &ServerName, addresses: Vec<SocketAddr>) -> Route {
    Route {
        addresses,
        host: server.as_str().to_owned(),
        certificate_name: certificate_name(server),
    }
}

#[async_trait]
impl Resolve for Discovery {
    async fn resolve(&self, destination: &ServerName) -> Result<Route, TransportError> {
        self.route(destination, &mut Notes::off()).await
    }

    async fn resolve_at(
        &self,
        destination: &ServerName,
        to: &ConnectTo,
    ) -> Result<Route, TransportError> {
        let server = match to.server() {
            Some(server) => server.clone(),
            // `Host` and the certificate's name may be delegated, and are not `to`'s to change.
            None => self.delegated(destination, &mut Notes::off()).await?.0,
        };
        let addresses = match to.address() {
            Some(address) => vec![address],
            None => {
                let name = to.host().to_ascii_lowercase();
                let known = self.names.addresses(&name).await?;
                with_port(&name, to.port(), &known)?
            }
        };
        Ok(route_to(&server, addresses))
    }
}

#[async_trait]
impl Offers for Discovery {
    fn source(&self) -> &'static str {
        "hint"
    }

    async fn offered(&self, destination: &ServerName) -> Option<Offered> {
        // IP literals and explicit ports have no document.
        let Ok(Place::Name(_)) = Place::of(destination) else {
            return None;
        };
        let known: Arc<well_known::Known> = self.well_known.get(destination).await.ok()?;
        let document = known.found.as_ref().ok()?;
        Some(Offered {
            offers: document.offers.clone(),
            until: known.until.min(known.at.saturating_add(ms(MAX_HINT_AGE))),
        })
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn unresolved(message: String) -> TransportError {
    TransportError::new(TransportErrorKind::Resolve, Delivery::NotSent, message)
}
