//! The same call twice at a time is made once.
//!
//! A caller whose connection died in the middle of a call asks again over another, while the first is still with the homeserver: the second waits for the answer to the
//! first. Nothing is kept once it has come.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use comity_core::{
    Boxed, ServerName,
    call::{Call, Message, Reply, ReplyShape},
    endpoint::Content,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    json::Object,
    layers::{Around, AroundLayer, Inner, around},
};
use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use sha2::{Digest, Sha256};

use crate::admin::{Direction, Metrics};

/// Everything that makes two calls the same. The credentials say whose they are.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    destination: Option<ServerName>,
    method: String,
    target: String,
    /// SHA-256 of the content, for equal content cannot be made up; none of no body, which is signed otherwise than an empty object. Not the content: it would be hashed and compared
    /// under the lock, and kept for as long as the call.
    content: Option<[u8; 32]>,
    credentials: Vec<String>,
}

/// What came, and by which binding.
type Landed = (Result<Object, CallError>, &'static str);
type Flight = Shared<Boxed<'static, Landed>>;

/// The calls in flight, each with a number of its own.
type InFlight = HashMap<Key, (u64, WeakShared<Boxed<'static, Landed>>)>;
type Flights = Mutex<InFlight>;

/// Has a call wait for the same one in flight. Only calls that may be repeated, because two claims of a one-time key are two claims; and only whose reply is one message.
/// Behind [`RunToEnd`](comity_core::layers::RunToEnd), which has a call with effects stay in flight when its caller has gone.
pub(crate) struct Coalesce {
    flights: Arc<Flights>,
    next: AtomicU64,
    direction: Direction,
    metrics: Metrics,
}

impl Coalesce {
    pub(crate) fn layer(direction: Direction, metrics: Metrics) -> AroundLayer<Self> {
        around(Self {
            flights: Arc::default(),
            next: AtomicU64::new(0),
            direction,
            metrics,
        })
    }

    /// The flight of this call, if there is one; else a new one, made by `begin`, and true.
    fn join(
        &self,
        key: Key,
        begin: impl FnOnce(Landing) -> Boxed<'static, Landed>,
    ) -> (Flight, bool) {
        let mut flights = lock(&self.flights);
        if let Some((_, flight)) = flights.get(&key)
            && let Some(flight) = flight.upgrade()
        {
            return (flight, false);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let landing = Landing {
            flights: Arc::clone(&self.flights),
            key: key.clone(),
            number,
        };
        let flight = begin(landing).shared();
        let weak = flight
            .downgrade()
            .expect("a future that was not polled has not ended");
        flights.insert(key, (number, weak));
        (flight, true)
    }
}

impl Around for Coalesce {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        if spec.reply != ReplyShape::Message || !spec.idempotency.is_repeatable() {
            return inner.call(call).await;
        }
        let key = key_of(&mut call)?;
        let noted = call.context().noted_binding();
        let (flight, first) = self.join(key, |landing| {
            Box::pin(async move {
                let _landing = landing;
                let noted = call.context().noted_binding();
                let content = message(inner.call(call).await);
                (content, noted.name())
            })
        });
        if !first {
            self.metrics.coalesced(self.direction, spec.name);
        }
        let (content, binding) = flight.await;
        if !first {
            noted.set(binding);
        }
        Ok(Reply::Message(Message::from_content(content?)))
    }
}

fn message(reply: Result<Reply, CallError>) -> Result<Object, CallError> {
    match reply? {
        Reply::Message(mut message) => Ok(message.content().clone()),
        _ => Err(TransportError::new(
            TransportErrorKind::Protocol,
            Delivery::MaybeProcessed,
            "the reply is not the one message that the operation has",
        )
        .into()),
    }
}

/// Takes the flight off the list when it ends, or when nobody waits for it any more.
struct Landing {
    flights: Arc<Flights>,
    key: Key,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights);
        let own = flights.get(&self.key);
        if own.is_some_and(|(number, _)| *number == self.number) {
            flights.remove(&self.key);
        }
    }
}

fn key_of(call: &mut Call) -> Result<Key, CallError> {
    let form = call.make_form()?;
    let content = match form.content() {
        Content::Absent => None,
        content => Some(Sha256::digest(content.bytes()).into()),
    };
    let (method, target) = (form.method().to_owned(), form.target().to_owned());
    let context = call.context();
    Ok(Key {
        destination: context.destination.clone(),
        method,
        target,
        content,
        credentials: context.credentials.iter().map(str::to_owned).collect(),
    })
}

fn lock(flights: &Flights) -> MutexGuard<'_, InFlight> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Coalesce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("in_flight", &lock(&self.flights).len())
            .finish_non_exhaustive()
    }
}
