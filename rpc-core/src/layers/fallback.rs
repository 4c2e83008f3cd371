//! What to send where a server does not know a call: other spellings of it, then the call that it took the place of.

use std::{any::Any, any::TypeId, collections::HashMap, fmt, sync::Arc};

use tokio::time::Instant;
use tower::ServiceExt;

use super::{Around, AroundLayer, Inner, around};
use crate::{
    ServerName,
    api::{DownloadMedia, DownloadThumbnail, Invite, SendJoin, SendLeave},
    call::{Call, Older, Op, Operation, Reply, ReplyForm, operation},
    endpoint::TrailingSlash,
    error::{CallError, FederationError},
};

/// Which operations have an older one to fall back to. A third party adds its own.
#[derive(Clone, Debug, Default)]
pub struct Fallbacks(HashMap<TypeId, Step>);

/// From an operation to an older one.
#[derive(Clone, Copy)]
struct Step {
    older: Op,
    request: fn(&Call, &ServerName) -> Option<Call>,
    reply: fn(Reply) -> Result<Reply, CallError>,
}

impl Fallbacks {
    /// No older operations: other spellings of the same are tried all the same.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of the table: see the operations that implement [`Older`].
    pub fn federation() -> Self {
        Self::none()
            .with::<SendJoin>()
            .with::<Invite>()
            .with::<SendLeave>()
            .with::<DownloadMedia>()
            .with::<DownloadThumbnail>()
    }

    /// The operation that calls of `op` fall back to.
    pub fn older(&self, op: Op) -> Option<Op> {
        Some(self.0.get(&op.id())?.older)
    }

    /// Adds an operation's older one. One for the same operation is replaced.
    #[must_use]
    pub fn with<O: Older>(mut self) -> Self {
        let step = Step {
            older: operation::<O::Older>(),
            request: |call, destination| {
                let request = (call.request() as &dyn Any).downcast_ref::<O>()?;
                let mut older = Call::new(destination.clone(), request.older(destination)?);
                *older.context_mut() = call.context().clone();
                Some(older)
            },
            reply: |reply| {
                let reply = <O::Older as Operation>::Reply::from_reply(reply)?;
                Ok(O::newer(reply)?.into_reply())
            },
        };
        self.0.insert(TypeId::of::<O>(), step);
        self
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.older).finish()
    }
}

/// Sends a call again, in another form, where it is answered as unknown
/// ([`is_unknown_endpoint`](FederationError::is_unknown_endpoint)): by each of its
/// [other spellings](crate::call::Endpoint::ALTERNATIVES); by its path with a slash behind it, if it was answered 400 `M_UNRECOGNIZED` and
/// servers have wanted that slash; as the [older](Older) operation, by that one's spellings, and so on. The last answer counts.
///
/// Only an answer leads on, because it says that the peer did nothing; never an error on the way. Each attempt is signed anew, so this stands
/// outside of [`Flow`](super::Flow) and [`Sign`](crate::auth::Sign), and inside of [`Clocks`](super::Clocks), whose time is for
/// all attempts together, as the call's deadline is. Nothing is remembered: the next call begins with its first spelling again.
/// Each step is an event of `tracing` at level info, with the answer that led to it, and counts one on `monotonic_counter.fallbacks`.
///
/// A call that somebody else made, and that is passed on here, is left alone: its signature holds for one spelling, and its caller falls
/// back by itself.
#[derive(Debug)]
pub struct Fallback {
    steps: Fallbacks,
}

impl Fallback {
    /// Falls back to these operations.
    pub fn layer(steps: Fallbacks) -> AroundLayer<Self> {
        around(Self { steps })
    }

    /// Whether there is anything else to send than the call itself.
    fn has_more(&self, op: Op) -> bool {
        !op.alternatives().is_empty()
            || op.trailing_slash() == TrailingSlash::Accept
            || self.steps.0.contains_key(&op.id())
    }
}

impl Around for Fallback {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let context = call.context();
        let own = context.credentials.is_empty() && context.binding.is_empty();
        let (Some(destination), true) = (context.destination.clone(), own) else {
            return inner.call(call).await;
        };
        let mut replies = Vec::new();
        let mut seen = Vec::new();
        loop {
            let op = call.operation();
            if !self.has_more(op) {
                return newest(inner.ready().await?.call(call).await?, replies);
            }
            let answer = match every_spelling(&call, &mut inner).await {
                Ok(reply) => return newest(reply, replies),
                Err(CallError::Federation(answer)) if answer.is_unknown_endpoint() => answer,
                Err(error) => return Err(error),
            };
            seen.push(op.id());
            // A third party's registry could lead in a circle.
            let step = self.steps.0.get(&op.id());
            let step = step.filter(|step| !seen.contains(&step.older.id()));
            let older = step.and_then(|step| Some((step, (step.request)(&call, &destination)?)));
            let Some((step, older)) = older.filter(|_| has_time(&call)) else {
                return Err(answer.into());
            };
            report(&call, &answer, step.older.spec().name);
            replies.push(step.reply);
            call = older;
        }
    }
}

/// The reply to the oldest call as one to the newest.
fn newest(
    reply: Reply,
    steps: Vec<fn(Reply) -> Result<Reply, CallError>>,
) -> Result<Reply, CallError> {
    steps
        .into_iter()
        .rev()
        .try_fold(reply, |reply, newer| newer(reply))
}

/// Sends one operation's call by each of its spellings, until one is known.
async fn every_spelling<S: Inner>(call: &Call, inner: &mut S) -> Result<Reply, CallError> {
    let op = call.operation();
    let mut answer = match unknown(inner.ready().await?.call(call.duplicate()).await)? {
        Ok(reply) => return Ok(reply),
        Err(answer) => answer,
    };
    // Old servers without a slash-less route said so, and nothing else.
    let wants_slash = op.trailing_slash() == TrailingSlash::Accept && answer.http_status() == 400;
    let others = op.alternatives().iter().map(Some);
    for other in others.chain(wants_slash.then_some(None)) {
        if !has_time(call) {
            break;
        }
        let mut next = call.duplicate();
        let spelling = match other {
            Some(other) => {
                next.respell(other)?;
                format!("{} {}", other.method, other.path)
            }
            None => {
                next.add_slash()?;
                format!("{} {}/", op.method(), op.path())
            }
        };
        report(call, &answer, &spelling);
        answer = match unknown(inner.ready().await?.call(next).await)? {
            Ok(reply) => return Ok(reply),
            Err(answer) => answer,
        };
    }
    Err(answer.into())
}

/// A reply, or the answer that the call is unknown; any other error ends it all.
fn unknown(result: Result<Reply, CallError>) -> Result<Result<Reply, FederationError>, CallError> {
    match result {
        Ok(reply) => Ok(Ok(reply)),
        Err(CallError::Federation(answer)) if answer.is_unknown_endpoint() => Ok(Err(answer)),
        Err(error) => Err(error),
    }
}

/// Whether the deadline leaves time for another attempt.
fn has_time(call: &Call) -> bool {
    call.context()
        .deadline
        .is_none_or(|deadline| deadline > Instant::now())
}

/// Targets are left out, as everywhere: they can hold an access token.
fn report(call: &Call, answer: &FederationError, to: &str) {
    let destination = call.context().destination.as_ref();
    tracing::info!(
        monotonic_counter.fallbacks = 1_u64,
        operation = call.spec().name,
        destination = destination.map(tracing::field::display),
        reason = %answer,
        to,
        "the peer does not know the call"
    );
}
