//! What the tests share: a network of names, and a clock that a test moves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use comity_core::{
    ServerName,
    error::TransportError,
    transport::{Resolve, Route},
};
use comity_discovery::{Discovery, DiscoveryOptions};
use comity_net::{AddressGuard, Connector};

use crate::{
    dns::Dns,
    web::{Authority, Web},
};

/// Milliseconds since the Unix epoch at which every test begins: Mon, 01 Jan 2024 00:00:00 GMT.
pub const START: i64 = 1_704_067_200_000;

/// A clock that stands until it is moved.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn set_back(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_sub(ms, Ordering::SeqCst);
    }

    pub fn pass_secs(&self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }
}

/// A network: DNS, one web server at 127.0.0.1 for all names, discovery that uses them.
pub struct World {
    pub dns: Dns,
    pub web: Web,
    pub clock: Clock,
    pub authority: Authority,
}

impl World {
    /// A network where certificates are for these names.
    pub async fn new(names: &[&str]) -> Self {
        let authority = Authority::new(names);
        Self {
            dns: Dns::start().await,
            web: Web::start(&authority).await,
            clock: Clock::new(),
            authority,
        }
    }

    pub fn connector(&self) -> Connector {
        Connector::new(self.authority.client()).with_guard(AddressGuard::default().allow_loopback())
    }

    pub fn options(&self) -> DiscoveryOptions {
        let clock = self.clock.clone();
        DiscoveryOptions {
            dns: comity_discovery::Dns::Servers(vec![self.dns.address]),
            dns_timeout: Duration::from_secs(10),
            well_known_port: self.web.address.port(),
            well_known_timeout: Duration::from_secs(20),
            now: Arc::new(move || clock.now()),
            ..DiscoveryOptions::default()
        }
    }

    pub fn discovery(&self) -> Discovery {
        Discovery::new(self.connector(), self.options()).unwrap()
    }

    /// Options for a test that waits for time to run out.
    pub fn impatient(&self) -> DiscoveryOptions {
        DiscoveryOptions {
            dns_timeout: Duration::from_millis(500),
            well_known_timeout: Duration::from_millis(1_500),
            ..self.options()
        }
    }
}

pub fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

pub async fn resolve(discovery: &Discovery, server: &str) -> Result<Route, TransportError> {
    discovery.resolve(&name(server)).await
}

/// `Host`, the certificate's name and the addresses.
pub fn route(host: &str, certificate_name: &str, addresses: &[&str]) -> Route {
    Route {
        addresses: addresses.iter().map(|text| address(text)).collect(),
        host: host.to_owned(),
        certificate_name: certificate_name.to_owned(),
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Waits until something is so, for five seconds at most.
pub async fn eventually(what: &str, so: impl Fn() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come true that {what}");
}
