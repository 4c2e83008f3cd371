//! The conformance kit over `unix/1`: every case of every operation that its capabilities ask for.

#![allow(clippy::unwrap_used, unreachable_pub)]

use std::sync::Arc;

use async_trait::async_trait;
use comity_conformance::{Declared, Harness, HarnessError, Served, samples, suite};
use comity_core::{CallService, Operations, ServerName};
use libtest_mimic::Arguments;
use tokio::net::UnixListener;
use unix_socket_transport::{BINDING, UnixTransport, serve};

// [doc: harness]
struct Sockets;

#[async_trait]
impl Harness for Sockets {
    fn name(&self) -> String {
        BINDING.to_owned()
    }

    fn declared(&self) -> Declared {
        Declared::default().naming_destination()
    }

    async fn serve(
        &self,
        _: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("federation.sock");
        let listener = UnixListener::bind(&path)?;
        let server = tokio::spawn(serve(listener, operations, service)).abort_handle();
        let ended = server.clone();
        Ok(Served::new(Arc::new(UnixTransport(path)))
            .with_cut(move || ended.abort())
            .until_dropped((folder, AbortOnDrop(server))))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, suite(Sockets, &samples())).exit();
}
// [end doc]

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
