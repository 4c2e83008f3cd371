//! What every binding of the Matrix Federation API must carry: ours, or anyone's.
//!
//! Each operation has one [`Sample`]: random requests, random contents and random replies, hostile ones among them. [`samples`] gives
//! those of the whole table with their types erased, so a law over all operations is a loop. An operation joins every law by
//! being in the table; without a sample it does not compile:
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
//! The laws themselves are this crate's tests (`tests/laws`); they run over every binding of this workspace, on real sockets. A binding
//! outside it runs the same samples between its own client and server, and compares by [`ReplySample`].
//!
//! A group's samples stand in the file with the group's name, as everywhere in the workspace.

#![forbid(unsafe_code)]

mod devices;
mod events;
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
mod third_party;
mod timestamps;
mod transactions;

pub use identifiers::{extra_query, identifier};
pub use lists::{Elements, List, Lists, ReplyLists, Streamed};
pub use parameter::{Kind, Parameter, Place};
pub use reply::{BlobSample, BodySample, Failure, Outcome, ReplySample};
pub use sample::{AnyList, AnySample, Sample};
pub use server::no_body;

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
