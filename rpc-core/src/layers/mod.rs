//! What cuts across all operations: each concern is one file, written once over one method.
//!
//! Server, outermost first: [`Observe`], [`Permits`], [`Trace`], [`Clocks`], [`Hops`] if it passes calls on, verify, [`Backoff::arrivals`], [`Acl`], [`RunToEnd`],
//! [`Idempotency`], router. Client: [`Observe`], [`Trace`], [`Backoff`], [`Clocks`], [`Fallback`], [`Flow`], sign, transport, which may be
//! [`Select`](crate::transport::Select). tower's own request-side layers fit between them. What must cover a reply's stream
//! (a permit, a clock, a count of bytes) is here, because tower's own end at the reply's head.

mod acl;
mod backoff;
mod clocks;
mod fallback;
mod flow;
mod hops;
mod idempotency;
mod limits;
mod observe;
mod permits;
mod run_to_end;
pub(crate) mod stream;
mod trace;

use std::{fmt::Debug, sync::Arc, task::Poll};

use tower::{Layer, Service};

pub use acl::{Acl, MAX_ACL_ROOMS};
pub use backoff::{Arrivals, Backoff, BackoffOptions};
pub use clocks::Clocks;
pub use fallback::{Fallback, Fallbacks};
pub use flow::Flow;
pub use hops::Hops;
pub use idempotency::{
    Answer, CallKey, Idempotency, IdempotencyOptions, IdempotencyStore, MemoryAnswers,
    MemoryAnswersOptions, StoreFault,
};
pub use limits::Limits;
pub(crate) use observe::Notes;
pub use observe::{FellBack, NotedBinding, Observe, Observed, Observer, Outcome};
pub use permits::Permits;
pub use run_to_end::RunToEnd;
pub use trace::Trace;

use crate::{
    Boxed,
    call::{Call, Reply},
    error::CallError,
};

/// Which end of a call a layer stands on: it decides what an exceeded limit is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The caller: an exceeded limit is a [`TransportError`](crate::error::TransportError).
    Client,
    /// The receiver: it is a [`FederationError`](crate::error::FederationError) that the caller reads.
    Server,
}

/// What stands behind a layer.
pub trait Inner:
    Service<Call, Response = Reply, Error = CallError, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Inner for S where
    S: Service<Call, Response = Reply, Error = CallError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What a layer does around a call. Implement this and wrap it by [`around`]: the rest of tower's ceremony is here.
pub trait Around: Debug + Send + Sync + 'static {
    /// Passes the call on to `inner`, or not.
    fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        inner: S,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send;
}

/// A tower layer that does `what` around each call.
pub fn around<A: Around>(what: A) -> AroundLayer<A> {
    AroundLayer(Arc::new(what))
}

/// See [`around`].
#[derive(Debug)]
pub struct AroundLayer<A>(Arc<A>);

impl<A> Clone for AroundLayer<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A, S> Layer<S> for AroundLayer<A> {
    type Service = AroundService<A, S>;

    fn layer(&self, inner: S) -> Self::Service {
        AroundService {
            what: self.0.clone(),
            inner,
        }
    }
}

/// A service behind a layer. See [`around`].
#[derive(Debug)]
pub struct AroundService<A, S> {
    what: Arc<A>,
    inner: S,
}

impl<A, S: Clone> Clone for AroundService<A, S> {
    fn clone(&self) -> Self {
        Self {
            what: self.what.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<A: Around, S: Inner> Service<Call> for AroundService<A, S> {
    type Response = Reply;
    type Error = CallError;
    type Future = Boxed<'static, Result<Reply, CallError>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        // The service that was made ready is the one to call; a clone takes its place.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        Box::pin(self.what.clone().around(call, inner))
    }
}
