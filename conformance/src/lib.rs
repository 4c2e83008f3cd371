//! The conformance kit: what every binding of the Matrix Federation API must do, ours or anyone's, as tests.
//!
//! # Your binding
//!
//! A binding is a [`Transport`](comity_core::transport::Transport) and a server for it. Say how the two are set up, in a [`Harness`], and
//! hand it to [`suite`] in a test program of your crate, say `tests/conformance.rs`:
//!
//! ```
//! use std::sync::Arc;
//!
//! use comity_conformance::{Harness, HarnessError, Served, async_trait, samples, suite};
//! use comity_core::{CallService, Operations, ServerName, transport::{MemoryMode, MemoryTransport}};
//! use libtest_mimic::Arguments;
//!
//! struct InMemory;
//!
//! #[async_trait]
//! impl Harness for InMemory {
//!     fn name(&self) -> String {
//!         "memory".to_owned()
//!     }
//!
//!     async fn serve(
//!         &self,
//!         server: &ServerName,
//!         operations: Operations,
//!         service: CallService,
//!     ) -> Result<Served, HarnessError> {
//!         // A socket would be bound here, its address noted as that of `server`, and a task spawned that answers on it by `service`.
//!         let transport = MemoryTransport::new(operations, service, MemoryMode::ThroughCodec);
//!         // `.until_dropped(guard)` stops that task; `.with_cut(..)` kills its connections.
//!         Ok(Served::new(Arc::new(transport)))
//!     }
//! }
//!
//! fn main() {
//!     let trials = suite(InMemory, &samples());
//! #   let trials = trials.into_iter().filter(|trial| trial.name().contains("GetVersion")).collect();
//!     libtest_mimic::run(&Arguments::from_args(), trials).exit();
//! }
//! ```
//!
//! and in its `Cargo.toml`
//!
//! ```toml
//! [dev-dependencies]
//! comity-conformance = "0.1"
//! libtest-mimic = "0.8"
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! `cargo test --test conformance` runs it; `-- SendJoin` only what has this in its name: `memory: SendJoin: smallest request`. A trial that fails says
//! what came of the call, and for a random one the smallest that fails. [`equivalence`] compares two bindings call by call.
//!
//! # What is tried
//!
//! For each operation: its smallest and largest request and reply, unknown members, random requests, contents and replies, hostile ones among
//! them; the target and the credentials as they were sent; every error that its row documents, and those that any call may be answered
//! with; proofs that are missing, malformed, wrong, for another destination or expired; malformed events among good ones; one delivery, whatever
//! the answer; the same key twice. For the binding as a whole: unknown operations and methods, limits one under, at and one over, replies
//! at once, deadlines, cancelling, back pressure, large replies, and a peer that is gone. The files in `src/cases` say why, one for each
//! concern; `cases/*.json` hold what is data.
//!
//! What your transport's [`Capabilities`](comity_core::transport::Capabilities) do not declare is not asked of it, nor is what the harness gives
//! no means to try. Such trials are reported as ignored, with the reason; none is left out in silence. [`Declared`] says what else differs
//! between bindings in order. Two trials are smaller for some, and pass: a binding that [reads](Declared::reads) nothing is sent no content
//! that cannot be read, and the largest request and reply are no larger than the transport's `max_message`.
//!
//! # Your operations
//!
//! Each operation has one [`Sample`]: random requests, random contents and random replies. [`samples`] gives those of the whole table, with
//! their types erased; [`AnySample::of`] that of an operation of your own, and [`suite`] takes both. An operation of the table
//! joins every case by being there; without a sample it does not compile:
//!
//! ```compile_fail,E0277
//! # use comity_core::{api::GetVersionReply, call::{self, Endpoint}, endpoint::{EndpointParts, PathTemplate}, error::FederationError};
//! # #[derive(Clone, Debug, PartialEq)] pub struct GetWeather;
//! # comity_core::define_operations! {
//! #     /// A family of calls of someone else.
//! #     group Weather weather {
//! #         /// Says how warm it is.
//! #         none get_weather: GetWeather => GetVersionReply {
//! #             idempotency: Safe, flow: Concurrent, reply: Message,
//! #             limits: call::SizeLimits::SMALL, clocks: call::Clocks::DEFAULT,
//! #             errors: [], server_acl: Unchecked, editions: [],
//! #         }
//! #     }
//! # }
//! # impl Endpoint for GetWeather {
//! #     const METHOD: &'static str = "GET";
//! #     const PATH: PathTemplate = PathTemplate::new("/_example/weather");
//! #     fn write(&self) -> EndpointParts { EndpointParts::default() }
//! #     fn read(_: &EndpointParts) -> Result<Self, FederationError> { Ok(Self) }
//! # }
//! // error: operation `GetWeather` has no conformance sample
//! let sample = comity_conformance::AnySample::of::<GetWeather>();
//! ```
//!
//! # Trials of your own
//!
//! [`bench`](mod@bench) is what the cases stand on: a server and clients that a harness set up, and a recorder behind the server. [`Case`]s can be run
//! without `libtest-mimic`. What is tried below a transport, with bytes on a socket, is a binding's own business; for ours that is
//! `tests/laws` of this crate. `tests/mutants` is the test of the kit: transports with a fault each, all of which it has to find.
//!
//! A group's samples stand in the file with the group's name, as everywhere in the workspace.

#![forbid(unsafe_code)]

pub mod bench;
mod cases;
mod devices;
mod equivalence;
mod events;
mod harness;
mod identifiers;
pub mod json;
mod keys;
mod lists;
mod media;
mod membership;
mod parameter;
mod policy;
mod queries;
mod reply;
mod rooms;
mod sample;
mod server;
mod stream;
mod suite;
mod third_party;
mod timestamps;
mod transactions;

pub use async_trait::async_trait;
pub use bench::Bench;
pub use harness::{Declared, Harness, HarnessError, Served};
pub use identifiers::{extra_query, identifier};
pub use lists::{Elements, List, Lists, ReplyLists, Streamed};
pub use parameter::{Kind, Parameter, Place};
pub use reply::{BlobSample, BodySample, Failure, Outcome, ReplySample, written};
pub use sample::{AnyList, AnySample, Sample};
pub use server::no_body;
pub use suite::{Case, Verdict, cases, equivalence, equivalence_cases, suite};

/// A row of the table without a sample does not compile.
macro_rules! every_sample {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        /// The sample of every operation of the table in [`comity_core::api`].
        pub fn samples() -> Vec<AnySample> {
            vec![$($( AnySample::of::<$Request>() ),*),*]
        }
    };
}

comity_core::operations!(every_sample);
