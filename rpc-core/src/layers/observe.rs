//! What a call came to, told to whoever keeps the numbers.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Around, AroundLayer, Inner, Side, around, stream};
use crate::{
    ServerName,
    auth::OwnProof,
    call::{Call, Reply},
    error::{CallError, Delivery, ErrorKind, TransportErrorKind},
    transport::FallbackReason,
};

/// Is told of each call that has ended, and of each that left a binding. It must not block.
pub trait Observer: Debug + Send + Sync + 'static {
    /// A call has ended, its reply's stream included.
    fn ended(&self, call: &Observed);

    /// A call goes by another binding than the one that was chosen first.
    fn fell_back(&self, fallback: &FellBack) {
        let _ = fallback;
    }
}

/// A call that has ended. All but the peer and the proof are of closed sets, or of what this program registers: fit for labels. How many peers there are is
/// for others to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// Which end of the call this is.
    pub side: Side,
    /// The operation's name.
    pub operation: &'static str,
    /// The binding that carried it, the last one if there were two; empty if none did.
    pub binding: &'static str,
    /// The other server: the destination, or the origin if that was proven.
    pub peer: Option<ServerName>,
    /// How a call of this side proved its origin, by the binding that carried it. None if it needed no proof or came with one, if nothing was sent over that binding, or if a third party's
    /// transport says nothing.
    pub proof: Option<OwnProof>,
    /// What it came to.
    pub outcome: Outcome,
    /// From the beginning to the reply's head, or to the error.
    pub to_head: Option<Duration>,
    /// From the beginning to the end.
    pub total: Duration,
    /// The request's content, in bytes.
    pub request_bytes: u64,
    /// The reply's content, in bytes, as far as it came. Of a message that is never written as JSON on this side, 0.
    pub reply_bytes: u64,
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A whole reply.
    Reply,
    /// An error as the answer.
    Answer(ErrorKind),
    /// No answer, or only a part of it.
    Failure(TransportErrorKind),
    /// The caller stopped waiting, or reading.
    Abandoned,
}

impl Outcome {
    fn of(error: &CallError) -> Self {
        match error {
            CallError::Federation(error) => Self::Answer(error.kind()),
            CallError::Transport(error) => Self::Failure(error.kind()),
        }
    }

    /// The class, for a label: `reply`, `answer`, `failure`, `abandoned`.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Answer(_) => "answer",
            Self::Failure(_) => "failure",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A call that goes by another binding than the one that was chosen first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FellBack {
    /// To whom.
    pub destination: ServerName,
    /// The operation's name.
    pub operation: &'static str,
    /// The binding it left.
    pub from: &'static str,
    /// The binding it goes by.
    pub to: &'static str,
    /// Why.
    pub reason: FallbackReason,
}

impl FellBack {
    pub(crate) fn trace(&self) {
        let Self {
            destination,
            operation,
            from,
            to,
            reason,
        } = self;
        // While a binding is left alone every call is one of these; what mattered was said when it failed.
        if matches!(
            reason,
            FallbackReason::BackingOff | FallbackReason::Unproven
        ) {
            tracing::debug!(
                monotonic_counter.binding_fallbacks = 1_u64,
                %destination, operation, from, to, %reason, "another binding"
            );
        } else {
            tracing::info!(
                monotonic_counter.binding_fallbacks = 1_u64,
                %destination, operation, from, to, %reason, "another binding"
            );
        }
    }
}

/// Tells an [`Observer`] of each call, once, when its reply has ended or its caller has gone. Outermost, so that nothing is missed.
#[derive(Debug)]
pub struct Observe {
    side: Side,
    observer: Arc<dyn Observer>,
}

impl Observe {
    /// For one side.
    pub fn layer(side: Side, observer: Arc<dyn Observer>) -> AroundLayer<Self> {
        around(Self { side, observer })
    }
}

impl Around for Observe {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let notes = Arc::new(Notes::default());
        let request_bytes = call
            .form()
            .map_or(0, |form| form.content().bytes().len() as u64);
        let context = call.context_mut();
        let (binding, peer) = match self.side {
            Side::Client => ("", context.destination.clone()),
            Side::Server => (context.binding, None),
        };
        context.notes = Some(notes.clone());
        let mut record = Record {
            observer: self.observer.clone(),
            notes,
            begun: Instant::now(),
            call: Some(Observed {
                side: self.side,
                operation: call.spec().name,
                binding,
                peer,
                proof: None,
                outcome: Outcome::Abandoned,
                to_head: None,
                total: Duration::ZERO,
                request_bytes,
                reply_bytes: 0,
            }),
        };
        let result = inner.call(call).await;
        record.head(&result);
        stream::watch(result?, record)
    }
}

/// What is only known further in: which binding was taken, who the origin is, how this side proved that it is itself.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    binding: Mutex<&'static str>,
    origin: Mutex<Option<ServerName>>,
    proof: Mutex<Option<OwnProof>>,
}

impl Notes {
    pub(crate) fn binding(&self, name: &'static str) {
        *self.binding.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }

    pub(crate) fn origin(&self, name: &ServerName) {
        let mut origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        *origin = Some(name.clone());
    }

    pub(crate) fn proof(&self, own: Option<OwnProof>) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    /// What an attempt came to. One that sent nothing has proven nothing, whatever was prepared for it.
    pub(crate) fn attempted(&self, result: &Result<Reply, CallError>) {
        if let Err(CallError::Transport(error)) = result
            && error.delivery() == Delivery::NotSent
        {
            self.proof(None);
        }
    }
}

/// Where [`Observe`] reads which binding carried a client's call. Of a call that nobody observes, nothing is kept.
#[derive(Clone, Debug)]
pub struct NotedBinding(Option<Arc<Notes>>);

impl NotedBinding {
    pub(crate) fn new(notes: Option<Arc<Notes>>) -> Self {
        Self(notes)
    }

    /// The name that was noted last; empty if none was.
    pub fn name(&self) -> &'static str {
        let name = self.0.as_ref().map(|notes| notes.binding.lock());
        name.map_or("", |name| *name.unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a name.
    pub fn set(&self, name: &'static str) {
        if let Some(notes) = &self.0 {
            notes.binding(name);
        }
    }
}

/// Tells of the call when it has ended, or when it is dropped before.
struct Record {
    observer: Arc<dyn Observer>,
    notes: Arc<Notes>,
    begun: Instant,
    call: Option<Observed>,
}

impl Record {
    fn head(&mut self, result: &Result<Reply, CallError>) {
        let Some(call) = &mut self.call else { return };
        call.to_head = Some(self.begun.elapsed());
        match result {
            Ok(Reply::Message(message)) => call.reply_bytes = message.text_len() as u64,
            Ok(_) => {}
            Err(error) => self.tell(Outcome::of(error)),
        }
    }

    fn tell(&mut self, outcome: Outcome) {
        let Some(mut call) = self.call.take() else {
            return;
        };
        call.outcome = outcome;
        call.total = self.begun.elapsed();
        match call.side {
            Side::Client => {
                let binding = self.notes.binding.lock();
                call.binding = *binding.unwrap_or_else(PoisonError::into_inner);
                let proof = self.notes.proof.lock();
                call.proof = proof.unwrap_or_else(PoisonError::into_inner).take();
            }
            Side::Server => {
                let origin = self.notes.origin.lock();
                call.peer = origin.unwrap_or_else(PoisonError::into_inner).take();
            }
        }
        self.observer.ended(&call);
    }
}

impl stream::Watch for Record {
    fn arrived(&mut self, bytes: usize) -> Result<(), CallError> {
        if let Some(call) = &mut self.call {
            call.reply_bytes += bytes as u64;
        }
        Ok(())
    }

    fn ended(&mut self, error: Option<&CallError>) {
        self.tell(error.map_or(Outcome::Reply, Outcome::of));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.tell(Outcome::Abandoned);
    }
}
