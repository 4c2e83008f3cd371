//! Dialling a Unix socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use http::Version;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::stream::Metered;
use crate::{Address, Connected, ConnectionInfo, Counters, Protocol, Stream};

/// The file of a Unix socket to dial.
#[derive(Clone, Debug)]
pub(crate) struct UnixPath(Arc<Path>);

impl UnixPath {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.into())
    }

    pub(crate) async fn connect(
        &self,
        limit: Duration,
        protocol: Protocol,
        counters: Option<Counters>,
    ) -> Result<Connected, TransportError> {
        let failed = |kind, what: &str| {
            let message = format!("{} {what}", self.0.display());
            TransportError::new(kind, Delivery::NotSent, message)
        };
        // It waits while the queue of the one who listens is full.
        let unix = timeout(limit, UnixStream::connect(&*self.0))
            .await
            .map_err(|_| {
                let what = format!("did not answer within {limit:?}");
                failed(TransportErrorKind::Timeout, &what)
            })?
            .map_err(|error| {
                failed(TransportErrorKind::Connect, "takes no connection").with_source(error)
            })?;
        let version = match protocol {
            Protocol::Http2 => Version::HTTP_2,
            Protocol::Http1 | Protocol::Http1Or2 => Version::HTTP_11,
        };
        let peer = Address::Unix(Some(Arc::clone(&self.0)));
        let info = ConnectionInfo::without_tls(peer, Address::Unix(None), version);
        Ok(Connected {
            stream: Stream::plain(Metered::new(unix, counters)),
            info: Arc::new(info),
        })
    }
}
