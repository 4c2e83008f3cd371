//! What the author of a binding writes: how it is set up, and what it can.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use comity_core::{
    CallService, Operations, ServerName,
    auth::{Authenticator, XMatrixAuthenticator},
    transport::Transport,
};

/// Why a server could not be set up.
pub type HarnessError = Box<dyn Error + Send + Sync>;

/// Sets up servers of one binding, and the way to them.
///
/// A server is asked for before a trial that needs one, and used for others after it; several stand side by side.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// How the binding is called in the trials' names: `http/1`. A harness that sets it up in an unusual way says so: `http/1 over HTTP/2`.
    fn name(&self) -> String;

    /// Serves `service`, decoding `operations`, and gives the transport that leads to it. `server` is the destination of every call that
    /// is sent by it. It runs on the kit's own tokio runtime, on which the server's tasks have to be spawned: it outlives every trial.
    ///
    /// # Errors
    /// Whatever prevents it; every trial that needs the server fails with these words.
    async fn serve(
        &self,
        server: &ServerName,
        operations: Operations,
        service: CallService,
    ) -> Result<Served, HarnessError>;

    /// Who verifies the calls to a server, given what verifies X-Matrix: that one alone, unless the binding has another way to prove an origin, which its transport then uses for calls that have a
    /// [signer](comity_core::call::CallContext::signer). The kit's proofs by X-Matrix, good and bad, have to be judged as ever.
    fn authenticator(&self, x_matrix: XMatrixAuthenticator) -> Arc<dyn Authenticator> {
        Arc::new(x_matrix)
    }

    /// What the binding does beside its transport's [capabilities](comity_core::transport::Capabilities), and what it cannot.
    fn declared(&self) -> Declared {
        Declared::default()
    }
}

/// A server that stands until this is dropped, and the way to it.
pub struct Served {
    transport: Arc<dyn Transport>,
    cut: Option<Box<dyn Fn() + Send + Sync>>,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Served {
    /// A server that needs no end, or that ends with its transport.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            cut: None,
            guard: None,
        }
    }

    /// With what stops the server when it is dropped.
    #[must_use]
    pub fn until_dropped(self, guard: impl Any + Send + Sync) -> Self {
        Self {
            guard: Some(Box::new(guard)),
            ..self
        }
    }

    /// With a way to kill the server as a power failure does: every connection ends at once, whatever is under way on it, and no new one
    /// comes about. Without it, what happens then is not tried.
    #[must_use]
    pub fn with_cut(self, cut: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            cut: Some(Box::new(cut)),
            ..self
        }
    }

    /// The way to the server.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Kills the server; `false` if the harness gives no way to.
    pub(crate) fn cut(&self) -> bool {
        if let Some(cut) = &self.cut {
            cut();
        }
        self.cut.is_some()
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("transport", &self.transport)
            .field("cut", &self.cut.is_some())
            .field("guard", &self.guard.is_some())
            .finish()
    }
}

/// What a binding does beside its capabilities. The default is a binding whose server reads what was sent, and that holds back nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared {
    /// The server reads requests and the caller reads replies, each within the row's limits. Not so where values are handed over.
    pub reads: bool,
    /// The destination travels beside the request, also if no credential names it.
    pub names_destination: bool,
    /// A typed message travels beside the target that was signed, so that the two can disagree.
    pub typed: bool,
    /// Something on the way passes replies on. What it had to skip of one it cannot pass on, so it breaks the reply off.
    pub relays: bool,
    /// A call with a signer carries a proof of the binding's own, such as a session, in place of an X-Matrix signature: every call of a trial that has one. Wrong proofs are tried as X-Matrix
    /// alone; that wrong ones of its own are refused is for the binding's own tests.
    pub own_proof: bool,
    /// Most bytes of an error's body that are sure to arrive. Of a larger one only the status, the errcode and the wait have to.
    pub error_body: Option<usize>,
    /// How long a trial waits for what should happen at once.
    pub patience: Duration,
    /// How long a failing case is made smaller, to be shown.
    pub shrinking: Duration,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            reads: true,
            names_destination: false,
            typed: false,
            relays: false,
            own_proof: false,
            error_body: None,
            patience: Duration::from_secs(20),
            shrinking: Duration::from_secs(2),
        }
    }
}

impl Declared {
    /// Calls and replies are handed over as values.
    #[must_use]
    pub const fn by_value(mut self) -> Self {
        self.reads = false;
        self
    }

    /// The destination travels beside the request.
    #[must_use]
    pub const fn naming_destination(mut self) -> Self {
        self.names_destination = true;
        self
    }

    /// A typed message travels beside the target that was signed.
    #[must_use]
    pub const fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// Calls prove their origin in the binding's own way, which the harness's [`authenticator`](Harness::authenticator) judges.
    #[must_use]
    pub const fn proving_by_itself(mut self) -> Self {
        self.own_proof = true;
        self
    }

    /// There is a gateway on the way.
    #[must_use]
    pub const fn relaying(mut self) -> Self {
        self.relays = true;
        self
    }

    /// Bodies of errors over so many bytes may be left out.
    #[must_use]
    pub const fn bounding_error_bodies(mut self, bytes: usize) -> Self {
        self.error_body = Some(bytes);
        self
    }

    /// With another time to wait for what should happen at once.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A failing case is shown as it was found.
    #[must_use]
    pub const fn without_shrinking(mut self) -> Self {
        self.shrinking = Duration::ZERO;
        self
    }
}
