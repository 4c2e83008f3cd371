//! How the server behaves.

use std::time::Duration;

use comity_core::ServerName;

use crate::invoked::OnInvoke;

/// Settings of a [`GrpcServer`](crate::GrpcServer).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GrpcServerOptions {
    /// How long a request's message may take to arrive. 60 s unless set.
    pub read_timeout: Duration,
    /// Whether W3C trace context is believed: for servers whose callers are configured peers. Not unless set.
    pub trace: bool,
    /// The name of the gateway that this server is, if it answers for another: it stands in `via` of each reply, and of errors of its own.
    pub via: Option<ServerName>,
    /// Is told of each call that arrives through `Invoke`.
    pub on_invoke: Option<OnInvoke>,
}

impl Default for GrpcServerOptions {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_secs(60),
            trace: false,
            via: None,
            on_invoke: None,
        }
    }
}

impl GrpcServerOptions {
    /// Sets how long a request's message may take to arrive.
    #[must_use]
    pub fn with_read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = limit;
        self
    }

    /// Tells of each call that arrives through `Invoke`.
    #[must_use]
    pub fn with_on_invoke(mut self, on_invoke: OnInvoke) -> Self {
        self.on_invoke = Some(on_invoke);
        self
    }

    /// Has W3C trace context believed. Otherwise it is dropped, as anybody can send some.
    #[must_use]
    pub fn with_trace(mut self) -> Self {
        self.trace = true;
        self
    }

    /// Sets the name of the gateway that this server is.
    #[must_use]
    pub fn with_via(mut self, name: ServerName) -> Self {
        self.via = Some(name);
        self
    }
}
