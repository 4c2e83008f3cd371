//! A sidecar that changes the wire between two Matrix homeservers that know nothing of it.
//!
//! [`Gateway::start`] takes a [`Config`] and binds two listeners. At the *egress* the homeserver beside it hands over its calls, as HTTP/1.1 with targets in
//! absolute form; each goes out over the binding that its destination is known for, and over HTTPS with JSON where that fails. *Inbound*, peers call over HTTPS with JSON
//! or gRPC, on one port, and their calls are delivered to the homeserver over plain HTTP/1.1. Method, target, content and `Authorization` arrive as they were sent, so the
//! homeserver verifies signatures as it would without a gateway. The gateway holds no signing key. `docs/gateway.md` is for operators; `comity gateway` is the
//! program.
//!
//! | file | what stands there |
//! | --- | --- |
//! | `config` | the TOML file; refused with file, line and reason |
//! | `gateway` | start, reload, drain |
//! | `services` | the layers behind the two listeners, in their order |
//! | `egress` | the secret, targets in absolute form, whose calls are passed on |
//! | `open_paths` | what of the homeserver peers may reach |
//! | `verification` | what of a peer's call is proven before it is delivered |
//! | `budget` | how much of peers' requests is held at once |
//! | `circles` | calls that go in a circle, counted |
//! | `coalesce` | the same call twice at a time is made once |
//! | `deadlines` | how long an answer is waited for, for each operation |
//! | `head`, `traces`, `operations` | HEAD; W3C trace context; requests that are not of their row's type |
//! | `outbound`, `homeserver` | the clients: of peers, and of the homeserver |
//! | `admin`, `status` | the operator's pages and metrics |
//!
//! # Who may do what
//!
//! - The egress listens on loopback or a Unix socket, wants the shared secret, and passes on what is signed by its own homeserver, or needs no signature. CONNECT is refused: to look into
//!   a tunnel a gateway would have to forge its peers' certificates.
//! - Peers reach `/_matrix/federation/`, `/_matrix/key/` and `/_matrix/policy/`, over either binding, and legacy media where that is switched on. Everything else is 404 `M_UNRECOGNIZED`.
//! - A call with a proven bad signature, or for another server, is refused. Where no key can be had it is delivered unverified and counted, since the homeserver verifies. A call that no
//!   row of the table knows needs a proof that holds here.
//! - What the gateway answers by itself names it: member `via` of the error, header `Via`.
//!
//! It backs off a binding and never a destination, passes a 429 on at once, and keeps no answer.
//!
//! # Limits
//!
//! | what | default | setting |
//! | --- | --- | --- |
//! | connections accepted at once, at each listener | 10,000 | `limits.connections` |
//! | calls in flight, in each direction; waiting for a turn | 10,000; 5 s | `limits.calls` |
//! | HTTP/2 streams of one connection, so that eight of them carry as many calls | 1,250 | `limits.calls` |
//! | calls with effects that go on when their caller has gone, in each direction | 10,000 | `limits.calls` |
//! | what peers' requests may take in memory, beyond 64 KiB of each; what finds no room waits 30 s | 512 MiB | `limits.request_mib` |
//! | the same for whole replies that peers have not read yet; what finds no room is answered 429 | 512 MiB | `limits.request_mib` |
//! | how long a call of the table waits for its origin's keys; calls that wait for keys at once | 2 s; a quarter of the calls in flight | fixed; `limits.calls` |
//! | connecting to a peer, TLS included | 3 s | – |
//! | a connection over HTTP/2 that is silent is pinged; the answer | 10 s; 5 s | – |
//! | a reply's head; a pause in a reply | 15 s to 11 min, by operation; 75 s | – |
//! | a transaction waits for the one before it, to the same destination | 60 s | – |
//! | calls in flight when the gateway is to stop | 30 s | `limits.drain_seconds` |
//!
//! Requests are held whole, up to the limit of their operation (16 MiB at most), those of the homeserver beside that bound; replies that are streams pass in pieces, and no faster than they are read. Sizes are those of
//! [`SizeLimits`](comity_core::call::SizeLimits), listeners' and pools' limits those of `comity-net`.

#![forbid(unsafe_code)]

pub mod admin;
mod budget;
mod circles;
mod coalesce;
mod config;
mod deadlines;
mod egress;
mod gateway;
mod head;
mod homeserver;
mod open_paths;
mod operations;
mod outbound;
mod secret;
mod services;
mod status;
mod traces;
mod verification;

pub use config::{
    Admin, Bindings, Certificate, Config, ConfigError, Discovery, Egress, Homeserver,
    HomeserverAddress, Limits, Listen, ListenAddress, PathPrefix, Peer, PeerBinding, Trust,
};
pub use gateway::{Gateway, StartError};
pub use secret::Secret;
