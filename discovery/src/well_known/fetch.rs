//! Asking for a server's document.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use comity_core::{ServerName, error::TransportError, error::TransportErrorKind, transport::Route};
use comity_net::{Body, Connector, Pool, PoolOptions, Protocol, Url, body};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;

use super::{Document, Fault, lifetime};
use crate::{
    DiscoveryOptions,
    addresses::{Addresses, addresses_of},
    dns::Names,
};

/// Where every document is asked for first.
const TARGET: &str = "/.well-known/matrix/server";

/// Most bytes of a URL that is redirected to.
const MAX_URL: usize = 2 << 10;

/// Most characters of such a URL that are kept to be shown.
const SHOWN: usize = 200;

/// A document as it was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) document: Document,
    /// For how long it may be kept, if that was said.
    pub(super) said: Option<Duration>,
    /// The URLs that it was redirected to.
    pub(super) hops: Vec<String>,
}

/// Why nothing was fetched.
#[derive(Debug)]
pub(super) enum Missing {
    /// That is what there is.
    Fault(Fault),
    /// This side has too much to do, so that it is not known.
    Busy(TransportError),
}

impl From<TransportError> for Missing {
    fn from(error: TransportError) -> Self {
        if error.kind() == TransportErrorKind::Busy {
            return Self::Busy(error);
        }
        let cause = std::error::Error::source(&error);
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        Self::Fault(Fault {
            why: format!("{}: {}{cause}", error.kind(), error.message()),
            temporary: error.kind() != TransportErrorKind::Refused,
        })
    }
}

/// Fetches over a pool of its own, whose connections end with each answer.
pub(super) struct Fetch {
    names: Names,
    pool: Pool,
    options: DiscoveryOptions,
}

impl Fetch {
    pub(super) fn new(names: Names, connector: Connector, options: DiscoveryOptions) -> Self {
        let keep = PoolOptions {
            protocol: Protocol::Http1,
            max_idle: 0,
            idle_timeout: Duration::from_secs(1),
            ..PoolOptions::default()
        };
        Self {
            names,
            pool: Pool::new(connector, keep),
            options,
        }
    }

    /// One attempt, redirections included. It is not bounded in time.
    pub(super) async fn document(&self, host: &ServerName) -> Result<Fetched, Missing> {
        let limit = self.options.well_known_max_bytes;
        let (response, hops) = self.follow(host).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let why = format!("it was answered with {}", status.as_u16());
            let temporary = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(Missing::Fault(Fault { why, temporary }));
        }
        let said = lifetime::said(response.headers(), (self.options.now)());
        let body = read(response, limit).await?;
        let document = Document::read(body, limit).map_err(lasting)?;
        Ok(Fetched {
            document,
            said,
            hops,
        })
    }

    /// The first response that redirects nowhere, and where it was found if not where it was asked for.
    async fn follow(&self, host: &ServerName) -> Result<(Response<Body>, Vec<String>), Missing> {
        let limit = self.options.well_known_redirects;
        let mut seen = vec![Url::https(host.clone(), TARGET)];
        loop {
            let url = seen.last().expect("it begins with one");
            let response = self.ask(url).await?;
            if !redirects(&response) {
                let hops = seen[1..].iter().map(shown);
                return Ok((response, hops.collect()));
            }
            let next = url
                .join(response.headers(), MAX_URL)
                .map_err(|why| lasting(format!("{} leads nowhere: {why}", shown(url))))?;
            if seen.contains(&next) {
                let next = shown(&next);
                return Err(lasting(format!("it is redirected in a circle, to {next}")));
            }
            if seen.len() > limit {
                return Err(lasting(format!(
                    "it is redirected more often than this side's limit of {limit} times (setting: well_known_redirects)"
                )));
            }
            seen.push(next);
        }
    }

    async fn ask(&self, url: &Url) -> Result<Response<Body>, Missing> {
        let route = self.route(url.server()).await?;
        let mut request = Request::new(body::empty());
        *request.uri_mut() = url.target().clone();
        let agent = self.options.user_agent.clone();
        // No `Accept`: the document's type is ignored, so no server has to think about it.
        request.headers_mut().insert(header::USER_AGENT, agent);
        Ok(self.pool.send(&route, request).await?)
    }

    async fn route(&self, server: &ServerName) -> Result<Route, Missing> {
        let port = server.port().unwrap_or(self.options.well_known_port);
        let name = server.host().to_ascii_lowercase();
        let (addresses, certificate_name) = match server.ip() {
            Some(ip) => (vec![SocketAddr::new(ip, port)], ip.to_string()),
            None => {
                let (v6, v4) = self.names.addresses(&name).await?;
                let addresses = match addresses_of(&v6, &v4) {
                    Addresses::Some(addresses) => addresses,
                    Addresses::None(absence) => {
                        return Err(lasting(format!(
                            "{name} has no address: {}",
                            absence.as_str()
                        )));
                    }
                    Addresses::Unknown(why) => {
                        return Err(temporary(format!(
                            "no address of {name} could be learned: {why}"
                        )));
                    }
                };
                let with_port = |ip: IpAddr| SocketAddr::new(ip, port);
                (addresses.into_iter().map(with_port).collect(), name)
            }
        };
        Ok(Route {
            addresses,
            host: server.as_str().to_owned(),
            certificate_name,
        })
    }
}

/// The beginning of a URL.
fn shown(url: &Url) -> String {
    url.to_string().chars().take(SHOWN).collect()
}

fn redirects(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A whole body that is not larger than the limit. Nothing beyond it is waited for.
async fn read(response: Response<Body>, limit: usize) -> Result<Bytes, Missing> {
    let too_large = || {
        // Temporary, as others have it: what lies there now is hardly meant to be the document.
        temporary(format!(
            "it is over this side's limit of {limit} bytes (setting: well_known_max_bytes)"
        ))
    };
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = response.into_body();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| temporary(format!("it broke off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > limit {
                return Err(too_large());
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

fn lasting(why: String) -> Missing {
    let temporary = false;
    Missing::Fault(Fault { why, temporary })
}

fn temporary(why: String) -> Missing {
    let temporary = true;
    Missing::Fault(Fault { why, temporary })
}
