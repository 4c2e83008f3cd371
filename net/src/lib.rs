//! Dialling and accepting, for every binding of Comity.
//!
//! - [`Connector`] dials a [`Route`](comity_core::transport::Route): address guard, TCP, TLS for the name that the route asks for; or a Unix socket on this host;
//! - [`Pool`] sends HTTP requests over connections that it keeps, and says of each failure whether the peer may have acted on it;
//! - [`Listener`] accepts HTTP/1.1 and HTTP/2 on one port or Unix socket, bound or [`inherited`], and hands each request to the first binding that claims it
//!   ([`Dispatch`]).
//!
//! # Limits
//!
//! | what | default | setting |
//! | --- | --- | --- |
//! | header list, either direction | 64 KiB | – |
//! | HTTP/2 windows: stream, connection, frame | 1 MiB, 16 MiB, 128 KiB | – |
//! | HTTP/2: of one stream, what a sender holds back; resets of streams that nobody has looked at | 128 KiB; 50 | – |
//! | HTTP/2: bytes that a connection holds to write them together | 16 KiB | – |
//! | TLS: bytes that a connection reads from its socket at a time, and keeps until the last of them is taken | 32 KiB | – |
//! | HTTP/2 streams that a peer may open on one connection | 200 | [`ListenerOptions::max_concurrent_streams`] |
//! | connections accepted at once | 4,096 | [`ListenerOptions::max_connections`] |
//! | when as many are open, or as many files as the process may open ([`raise_descriptor_limit`]): a connection without a request that makes room for another | idle for 1 s | – |
//! | TLS handshake; request head | 10 s; 10 s | [`ListenerOptions::handshake_timeout`], [`ListenerOptions::header_timeout`] |
//! | accepted connection without a request | 120 s | [`ListenerOptions::idle_timeout`] |
//! | a reply of which the peer reads nothing | 60 s | [`ListenerOptions::write_timeout`] |
//! | drain on shutdown | 30 s | [`ListenerOptions::drain_timeout`] |
//! | dialling: TCP, then TLS, of one address | 10 s, 10 s | [`Connector::with_connect_timeout`], [`Connector::with_tls_timeout`] |
//! | dialling in all | as these allow | [`Connector::with_total_timeout`] |
//! | addresses tried for one route | 16 | – |
//! | lead of an address over the next one (RFC 8305) | 250 ms | [`Connector::with_attempt_delay`] |
//! | a dialled connection whose peer acknowledges nothing (TCP) | 15 s | [`Connector::with_silence_timeout`] |
//! | exchanges at once with one origin | 256 | [`PoolOptions::max_in_flight`] |
//! | HTTP/2 connections with one origin: another is dialled when the peer has no stream left | 8 | [`PoolOptions::max_http2`] |
//! | silence of an HTTP/2 connection with exchanges before a ping; until its answer | 10 s; 5 s | [`PoolOptions::ping_interval`], [`PoolOptions::ping_timeout`] |
//! | the same of an accepted connection | 30 s; 20 s | – |
//! | idle HTTP/1.1 connections kept for one origin, and how long | 16, 60 s | [`PoolOptions::max_idle`], [`PoolOptions::idle_timeout`] |
//!
//! What a client says of itself in `X-Forwarded-For` is believed of [`TrustedProxies`] alone.
//!
//! Request and response bodies are streams: their sizes, and the time of a whole call, are limited by the bindings.

#![forbid(unsafe_code)]

pub mod body;
mod connect;
mod connect_unix;
mod delivery;
mod descriptors;
mod gathered;
mod guard;
mod happy_eyeballs;
mod info;
mod listener;
mod pool;
mod proxies;
mod range;
mod silence;
mod socket;
mod stream;
mod tls;
mod url;

pub use body::{Body, BoxError};
pub use connect::{Connected, Connector};
pub use delivery::{delivery_of, transport_error};
pub use descriptors::raise_descriptor_limit;
pub use guard::AddressGuard;
pub use info::{ConnectionInfo, ExportError, TlsInfo};
pub use listener::{
    Claims, Dispatch, Drained, HttpService, InheritedSocket, Listener, ListenerOptions, inherited,
};
pub use pool::{Pool, PoolOptions};
pub use proxies::{ClientAddress, TrustedProxies};
pub use range::RangeError;
pub use socket::Address;
pub use stream::{Counters, Stream};
pub use tls::{ClientTls, ServerTls, TlsConfigError, provider};
pub use url::{Url, UrlError};

/// Which versions of HTTP are offered, or accepted, on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone; without TLS, by prior knowledge (RFC 9113 §3.3).
    Http2,
    /// Both. ALPN decides (RFC 7301); without TLS a client speaks HTTP/1.1, and a server tells by the first bytes.
    #[default]
    Http1Or2,
}

impl Protocol {
    /// The ALPN names to offer, the preferred one first.
    fn alpn(self) -> Vec<Vec<u8>> {
        let (h1, h2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self {
            Protocol::Http1 => vec![h1],
            Protocol::Http2 => vec![h2],
            Protocol::Http1Or2 => vec![h2, h1],
        }
    }
}

/// HTTP/2 settings of both sides. The windows of 64 KiB that RFC 9113 begins with make a body of 75 KB two to four times slower.
mod http2_settings {
    use std::time::Duration;

    pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
    pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
    pub(crate) const FRAME: u32 = 128 << 10;
    /// What of one stream waits here, given to HTTP/2 and not sent, while the peer's window or the socket has no room. hyper's own choice, 400 KiB, makes a reply
    /// that is read slowly cost that much for nothing: it is asked for more as soon as this has room.
    pub(crate) const SEND_BUFFER: usize = 128 << 10;
    /// A listener sends a ping when it received nothing for this long while streams are open. For a pool it is [`PoolOptions`](crate::PoolOptions) that says.
    pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
    pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(20);
    /// Streams that the peer reset before we looked at them (CVE-2023-44487, "rapid reset").
    pub(crate) const PENDING_RESETS: usize = 50;
}

/// Most bytes of a header list, sent or received.
const HEADER_LIST: usize = 64 << 10;
