//! How `unix/1` is set up, for the conformance kit and for the comparison.

// [doc: harness]
use std::sync::Arc;

use comity_conformance::{Declared, Harness, HarnessError, Served, async_trait};
use comity_core::{CallService, Operations, ServerName};
use tempfile::TempDir;
use tokio::{net::UnixListener, task::AbortHandle};
use unix_socket_transport::{BINDING, UnixTransport, serve};

#[derive(Debug)]
pub(crate) struct Unix;

/// The server, and the folder that holds its socket.
struct Serving(AbortHandle, #[expect(dead_code, reason = "held")] TempDir);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Harness for Unix {
    fn name(&self) -> String {
        BINDING.to_owned()
    }

    async fn serve(
        &self,
        _: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let serving = tokio::spawn(serve(listener, operations, service)).abort_handle();
        let cut = serving.clone();
        Ok(Served::new(Arc::new(UnixTransport(path)))
            .until_dropped(Serving(serving, folder))
            .with_cut(move || cut.abort()))
    }

    fn declared(&self) -> Declared {
        Declared::default().naming_destination()
    }
}
// [end doc]
