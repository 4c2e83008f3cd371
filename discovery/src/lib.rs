//! From a server name to where to connect, and which bindings the server offers there.
//!
//! [`Discovery`] follows the six steps of the specification (Server-Server API, "Resolving server names"): IP literals, explicit ports,
//! `.well-known/matrix/server`, SRV records, and port 8448. It keeps what it learns for as long as it may, within bounds, and asks once for all who wait.
//! It says where to connect; [`Connector`](comity_net::Connector) connects, and it is there that addresses are judged.
//!
//! | step | connected to | `Host` | certificate, SNI |
//! | --- | --- | --- | --- |
//! | 1: the name is an IP literal | it, port as written or 8448 | the name | the address, no SNI |
//! | 2: the name has a port | its addresses, that port | the name | its host |
//! | 3: `.well-known` delegates to D | as 1, 2, 4 to 6 would be for D | D | host of D |
//! | 4: SRV `_matrix-fed._tcp` | the targets | the name, without port | its host, never the target |
//! | 5, deprecated: SRV `_matrix._tcp` | the targets | the same | the same |
//! | 6: none of these | its addresses, port 8448 | the name, without port | its host |
//!
//! That a document is missing, or not valid, is no error: steps 4 to 6 follow. That no DNS server answers about an SRV record is one, unless an
//! answer is still known. Redirections stay on `https`. Nothing on the way is connected to unless the connector's guard permits its address.
//!
//! ```no_run
//! use comity_core::transport::Resolve;
//! use comity_discovery::{Discovery, DiscoveryOptions};
//! use comity_net::{ClientTls, Connector, Protocol};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::new(ClientTls::system()?);
//! let discovery = Discovery::new(connector.clone(), DiscoveryOptions::default())?;
//! let route = discovery.resolve(&"matrix.org".parse()?).await?;
//! let connected = connector.connect(&route, Protocol::default()).await?;
//! println!("{} as {}", connected.info.peer(), route.certificate_name);
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! | what | default | setting |
//! | --- | --- | --- |
//! | one question to DNS | 5 s, 8 aliases, 256 records | [`DiscoveryOptions::dns_timeout`] |
//! | answers kept, and for how long | 50,000 and as many KiB; their TTL, 24 h at most | [`DiscoveryOptions::dns_capacity`], [`DiscoveryOptions::dns_max_ttl`] |
//! | an answer beyond its TTL, while no server answers | 24 h | [`DiscoveryOptions::dns_stale`] |
//! | no such name; no answer | 1 h at most; 5 s, doubling up to 5 min | –; [`DiscoveryOptions::dns_max_error_age`] |
//! | targets of a service, addresses of a name | 8, 16; 4 of each target come before the others | – |
//! | a document: time, bytes, redirections | 10 s, 50 KiB, 5 | [`DiscoveryOptions::well_known_timeout`] and its neighbours |
//! | documents kept, and for how long | 20,000 and as many KiB; 5 min to 48 h by its headers, 24 h without | [`DiscoveryOptions::well_known_capacity`], [`DiscoveryOptions::well_known_age`] |
//! | a document that could not be had | 5 min, doubling up to 1 h; 2 min if there was one | [`DiscoveryOptions::well_known_max_error_age`] |
//! | the hint to bindings in a document | 4 KiB, 16 entries, 24 h | – |
//! | questions, and documents, asked for at once | 256 each; more wait | [`DiscoveryOptions::dns_at_once`], [`DiscoveryOptions::well_known_at_once`] |
//! | those that wait | 16,384 each, each no longer than it may take | [`DiscoveryOptions::max_lookups`] |

#![forbid(unsafe_code)]

mod addresses;
mod discovery;
mod dns;
mod error;
mod explain;
mod flights;
mod kept;
mod options;
mod place;
mod well_known;

pub use discovery::Discovery;
pub use error::DiscoveryError;
pub use explain::{ExplainedAddress, ExplainedOffer, ExplainedRoute, Explanation, Step};
pub use options::{DiscoveryOptions, Dns};
