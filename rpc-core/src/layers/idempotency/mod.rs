//! A call that is repeated is the same call: it gets the answer that the first one got.

mod memory;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

pub use memory::{MemoryAnswers, MemoryAnswersOptions};
pub use store::{Answer, CallKey, IdempotencyStore, StoreFault};

use super::{Around, AroundLayer, Inner, around};
use crate::{
    ServerName,
    auth::now_ms,
    call::{Call, Idempotency as Repetition, Message, Reply, ReplyShape},
    endpoint::{Content, EndpointForm, target::Segment},
    error::{CallError, FederationError},
    json::Object,
};

/// How answers are kept.
#[derive(Clone)]
pub struct IdempotencyOptions {
    /// How long a kept answer counts.
    pub keep: Duration,
    /// Largest answer that is kept, in bytes. A repetition of a call with a larger one is processed again.
    pub largest: usize,
    /// How long the store may take to find an answer, and to keep one. One that takes longer has failed.
    pub store: Duration,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for IdempotencyOptions {
    /// A day, as Synapse keeps them; 1 MiB; 5 s for the store.
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(24 * 3600),
            largest: 1 << 20,
            store: Duration::from_secs(5),
            now: Arc::new(now_ms),
        }
    }
}

impl std::fmt::Debug for IdempotencyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdempotencyOptions")
            .field("keep", &self.keep)
            .field("largest", &self.largest)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Answers a repetition of a keyed call with what the call was answered, over whichever binding it comes: the same origin, destination, operation, key and request.
///
/// - Replies that are messages are kept, in an [`IdempotencyStore`]. Errors are not, and a reply that streams is made anew.
/// - A repetition that comes while the call is in progress waits for it, and gets its error as well. It waits no longer than until its own reply is due (by the
///   operation's clock `head` and its deadline), and then it is answered that the deadline is exceeded.
/// - The same key with another request is another call: processed, counted (`monotonic_counter.idempotency_conflicts`) and logged. Its answer takes the place of the first one's.
/// - A store that fails, or is too slow, loses no call: the call is processed.
///
/// It stands right inside of [`RunToEnd`](super::RunToEnd), so that a call whose caller has gone ends, and its answer is there for the repetition. Without that, the first
/// repetition that waits takes over.
#[derive(Debug)]
pub struct Idempotency {
    store: Arc<dyn IdempotencyStore>,
    options: IdempotencyOptions,
    in_progress: Lanes,
}

/// The calls in progress, each with how many hold a place in its line.
type Lanes = Arc<Mutex<HashMap<Lane, (Arc<Turn>, usize)>>>;

/// A call, told from every other.
type Lane = (CallKey, [u8; 32]);

/// Its holder processes the call, and leaves what came of it to those who wait.
type Turn = tokio::sync::Mutex<Option<Result<Object, CallError>>>;

impl Idempotency {
    /// Keeps answers in `store`, which all bindings of a server share.
    pub fn layer(store: Arc<dyn IdempotencyStore>) -> AroundLayer<Self> {
        Self::with_options(store, IdempotencyOptions::default())
    }

    /// As [`layer`](Self::layer), with options.
    pub fn with_options(
        store: Arc<dyn IdempotencyStore>,
        options: IdempotencyOptions,
    ) -> AroundLayer<Self> {
        around(Self {
            store,
            options,
            in_progress: Arc::default(),
        })
    }

    /// What the store does, in bounded time: whoever waits for it holds permits.
    async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, StoreFault>>,
    ) -> Result<T, StoreFault> {
        let limit = self.options.store;
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(StoreFault(format!(
                "it took longer than this side's limit of {limit:?} (setting: store)"
            )))
        })
    }

    async fn find(&self, key: &CallKey, digest: &[u8; 32]) -> Option<Object> {
        let found = self
            .timed(self.store.find(key))
            .await
            .unwrap_or_else(|fault| {
                tracing::warn!(%fault, %key, "kept answers cannot be read");
                None
            })?;
        let age = (self.options.now)().saturating_sub(found.at);
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        // The second: it was kept by a clock that has been set back since, by more than anyone would keep it.
        if age > keep || age < -keep {
            return None;
        }
        if found.digest != *digest {
            tracing::info!(
                monotonic_counter.idempotency_conflicts = 1_u64,
                %key,
                "the key of an earlier call with another request"
            );
            return None;
        }
        Object::parse(found.content, self.options.largest)
            .inspect_err(|error| tracing::warn!(%error, %key, "a kept answer is no JSON"))
            .ok()
    }

    async fn keep(&self, key: &CallKey, digest: [u8; 32], content: &Object) {
        let content = content.text().clone();
        if content.len() > self.options.largest {
            let bytes = content.len();
            tracing::debug!(%key, bytes, "an answer too large to be kept");
            return;
        }
        let at = (self.options.now)();
        let answer = Answer {
            digest,
            content,
            at,
        };
        if let Err(fault) = self.timed(self.store.keep(key, answer)).await {
            tracing::warn!(%fault, %key, "an answer is not kept");
        }
    }
}

/// A place in line. The line is forgotten with the last one in it.
struct Place {
    turn: Arc<Turn>,
    lane: Lane,
    lanes: Lanes,
}

impl Place {
    fn in_line(lanes: &Lanes, lane: &Lane) -> Self {
        let mut known = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (turn, places) = known.entry(lane.clone()).or_default();
        *places += 1;
        Self {
            turn: turn.clone(),
            lane: lane.clone(),
            lanes: lanes.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, places)) = lanes.get_mut(&self.lane) {
            *places -= 1;
            if *places == 0 {
                lanes.remove(&self.lane);
            }
        }
    }
}

impl Around for Idempotency {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let Some(key) = key_of(&mut call)? else {
            return inner.call(call).await;
        };
        let destination = call.context().destination.clone();
        let digest = digest(destination.as_ref(), call.make_form()?);
        let lane = (key, digest);
        let place = Place::in_line(&self.in_progress, &lane);
        let by = reply_by(&call);
        let Ok(mut turn) = timeout_at(by, place.turn.lock()).await else {
            let message = format!(
                "an earlier {} with the same key was in progress until this one's reply was due",
                call.spec().name
            );
            return Err(FederationError::deadline_exceeded(message).into());
        };
        if let Some(done) = &*turn {
            return done.clone().map(answer);
        }
        let (key, digest) = &lane;
        if let Some(content) = self.find(key, digest).await {
            *turn = Some(Ok(content.clone()));
            return Ok(answer(content));
        }
        let mut reply = inner.call(call).await;
        match &mut reply {
            Ok(Reply::Message(message)) => {
                let content = message.content().clone();
                self.keep(key, *digest, &content).await;
                *turn = Some(Ok(content));
            }
            // A handler that answers by a stream where its row says message: whoever reads the reply says so.
            Ok(_) => {}
            Err(error) => *turn = Some(Err(error.clone())),
        }
        drop(turn);
        reply
    }
}

/// When the reply to a call is due that comes now.
fn reply_by(call: &Call) -> Instant {
    let context = call.context();
    let clock = Instant::now() + call.spec().clocks.head;
    let ends = [context.head_by, context.deadline];
    ends.into_iter().flatten().fold(clock, Instant::min)
}

fn answer(content: Object) -> Reply {
    Reply::Message(Message::from_content(content))
}

/// The key of a call whose answer is kept.
fn key_of(call: &mut Call) -> Result<Option<CallKey>, CallError> {
    let spec = call.spec();
    let (Repetition::Keyed { by }, ReplyShape::Message) = (spec.idempotency, spec.reply) else {
        return Ok(None);
    };
    let Some(origin) = call.context().origin().cloned() else {
        return Ok(None);
    };
    let mut parameters = call.operation().path().segments().filter_map(|segment| {
        let Segment::Parameter(name) = segment else {
            return None;
        };
        Some(name)
    });
    let Some(at) = parameters.position(|name| name == by) else {
        return Ok(None);
    };
    let key = call.make_form()?.parts().path_parameter(at).to_owned();
    Ok(Some(CallKey {
        origin,
        operation: spec.name,
        key,
    }))
}

/// What has to be equal for two calls to be one: who is called, the parameters as they mean, and the content as it is signed. One who sends to two names of
/// this server may well take the same key for both.
fn digest(destination: Option<&ServerName>, form: &EndpointForm) -> [u8; 32] {
    let mut hash = Sha256::new();
    // Each piece with its length before it, so that no two lists of pieces are one text.
    let mut piece = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    piece(destination.map_or("", ServerName::as_str).as_bytes());
    let parts = form.parts();
    piece(&(parts.path.len() as u64).to_be_bytes());
    for parameter in &parts.path {
        piece(parameter.as_bytes());
    }
    for (name, value) in parts.query.iter() {
        piece(name.as_bytes());
        piece(value.as_bytes());
    }
    // No body counts as an empty one, here as everywhere; their signatures differ, what they ask does not.
    match &parts.content {
        Content::Absent => piece(b"{}"),
        content => piece(&content.bytes()),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_forgotten_with_the_last_one_in_it() {
        let lanes = Lanes::default();
        let lane = |number: usize| {
            let key = CallKey {
                origin: "a.example".parse().unwrap(),
                operation: "SendTransaction",
                key: number.to_string(),
            };
            (key, [0; 32])
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..20_000 {
                        let lane = lane(number % 3);
                        let place = Place::in_line(&lanes, &lane);
                        let _second = Place::in_line(&lanes, &lane);
                        drop(place);
                    }
                });
            }
        });
        assert!(lanes.lock().unwrap().is_empty());
    }
}
