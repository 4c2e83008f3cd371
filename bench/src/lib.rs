//! The comparison of transports: `comity bench`, and the same for a third party's transport.
//!
//! # Your transport
//!
//! A transport takes part as a [`Wire`](subject::Wire), with its server and its client in processes of their own and any network between them:
//!
//! ```no_run
//! use std::{net::SocketAddr, process::ExitCode, sync::Arc};
//!
//! use async_trait::async_trait;
//! use clap::Parser;
//! use comity_bench::{Options, child, main as compare, subject::{self, Client, Guard, Setting, SetupError, Subject, Wire}};
//! use comity_core::{CallService, Operations, auth::Authenticator, transport::Transport};
//! use comity_net::Counters;
//!
//! # async fn listen(_: &Setting, _: Operations, _: CallService) -> Result<(SocketAddr, Guard), SetupError> { unimplemented!() }
//! # fn dial(_: &Setting, _: &[SocketAddr], _: Counters) -> Result<Arc<dyn Transport>, SetupError> { unimplemented!() }
//! #[derive(Debug)]
//! struct Mine;
//!
//! #[async_trait]
//! impl Wire for Mine {
//!     fn name(&self) -> String {
//!         "mine".to_owned()
//!     }
//!
//!     async fn serve(
//!         &self,
//!         setting: &Setting,
//!         operations: Operations,
//!         service: CallService,
//!     ) -> Result<(Vec<SocketAddr>, Guard), SetupError> {
//!         let (mut addresses, mut guards) = (Vec::new(), Vec::new());
//!         for server in &setting.servers {
//!             // The layers of a real server, with X-Matrix by keys that are drawn from the seed; nothing when the conformance kit asks.
//!             let verify = setting.x_matrix(server)?.map(|it| Arc::new(it) as Arc<dyn Authenticator>);
//!             let service = setting.guarded(verify, service.clone());
//!             // Your listener, on `setting.listen`, with the certificate of `setting.tls`.
//!             let (address, guard) = listen(setting, operations.clone(), service).await?;
//!             addresses.push(address);
//!             guards.push(guard);
//!         }
//!         Ok((addresses, Box::new(guards)))
//!     }
//!
//!     async fn connect(&self, setting: &Setting, addresses: &[SocketAddr]) -> Result<Client, SetupError> {
//!         // Your client, which counts the bytes of its sockets. What signs comes before it.
//!         let counters = Counters::new();
//!         let transport = dial(setting, addresses, counters.clone())?;
//!         Ok(Client { transport: setting.signing(transport), counters })
//!     }
//! }
//!
//! fn subjects() -> Vec<Subject> {
//!     let mut subjects = subject::ours();
//!     subjects.push(Subject::Apart(Arc::new(Mine)));
//!     subjects
//! }
//!
//! fn main() -> ExitCode {
//!     // Each side of a transport is this program once more.
//!     if let Some(ended) = child(subjects()) {
//!         return ended;
//!     }
//!     #[derive(Parser)]
//!     struct Arguments {
//!         #[command(flatten)]
//!         options: Options,
//!     }
//!     compare(subjects(), &Arguments::parse().options)
//! }
//! ```
//!
//! Whoever has a [`Harness`](comity_conformance::Harness) for the conformance kit already hands that in, as [`Subject::Together`](subject::Subject::Together): both sides
//! are one process then, and networks are a delay within the client. Either way the kit is asked first, by [`subject::harness`] of a wire; what fails it is refused.

#![forbid(unsafe_code)]

mod child;
mod draw;
mod machine;
pub mod model;
pub mod network;
mod options;
#[cfg(feature = "peers")]
pub mod peers;
mod place;
mod plan;
mod process;
mod progress;
pub mod report;
mod run;
pub mod scenario;
pub mod subject;

pub use child::child;
pub use options::Options;
pub use run::main;
