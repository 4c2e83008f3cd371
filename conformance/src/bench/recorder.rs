//! The service behind every server: it keeps what it is called with, and answers what it is told to, whatever the operation.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use comity_core::{
    Boxed, ServerName,
    call::{AnyRequest, Call, Reply},
    endpoint::EndpointParts,
    error::{CallError, FederationError},
};
use tokio::time::Instant;
use tower::Service;

use crate::ReplySample;

/// What a handler sees of a call.
#[derive(Clone)]
pub struct Seen {
    /// The request as a value.
    pub request: Arc<dyn AnyRequest>,
    /// The server that was proven to call.
    pub origin: Option<ServerName>,
    /// The server that is called.
    pub destination: Option<ServerName>,
    /// The credentials, in order.
    pub credentials: Vec<String>,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The parameters and the content.
    pub parts: EndpointParts,
    /// When the caller stops waiting. Not compared: time passes on the way.
    pub deadline: Option<Instant>,
    /// What the binding knows of the connection. Not compared: it says nothing of the call.
    pub connection: Option<Arc<dyn Any + Send + Sync>>,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.request.same(&*other.request)
            && self.origin == other.origin
            && self.destination == other.destination
            && self.credentials == other.credentials
            && self.method == other.method
            && self.target == other.target
            && self.parts == other.parts
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("request", &self.request)
            .field("origin", &self.origin)
            .field("destination", &self.destination)
            .field("credentials", &self.credentials)
            .field("method", &self.method)
            .field("target", &self.target)
            .field("parts", &self.parts)
            .finish()
    }
}

/// Makes a reply of what a handler sees.
type Handler = Arc<dyn Fn(Seen) -> Boxed<'static, Result<Reply, CallError>> + Send + Sync>;

/// What the recorder answers.
#[derive(Clone)]
pub enum Answer {
    /// This reply.
    Reply(ReplySample),
    /// This reply, broken off by an error behind its last part.
    Broken(ReplySample),
    /// This error.
    Error(FederationError),
    /// What this makes of the call.
    By(Handler),
}

impl Answer {
    /// What `handler` makes of the call.
    pub fn by<F, R>(handler: F) -> Self
    where
        F: Fn(Seen) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, CallError>> + Send + 'static,
    {
        Self::By(Arc::new(move |seen| Box::pin(handler(seen))))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => f.debug_tuple("Reply").field(reply).finish(),
            Self::Broken(reply) => f.debug_tuple("Broken").field(reply).finish(),
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::By(_) => f.write_str("By"),
        }
    }
}

/// Answers every call as it was told to, and keeps what it saw.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<State>);

#[derive(Debug, Default)]
struct State {
    answer: Mutex<Option<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

/// A panic of one trial is no other's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// From now on, this is the answer.
    pub fn prepare(&self, answer: Answer) {
        *lock(&self.0.answer) = Some(answer);
        lock(&self.0.seen).clear();
    }

    /// The calls since then.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.0.seen))
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        lock(&self.0.seen).len()
    }

    async fn answer(self, call: Call) -> Result<Reply, CallError> {
        let form = call.form().expect("every binding gives the endpoint form");
        let context = call.context();
        let seen = Seen {
            request: call.request().clone_box().into(),
            origin: context.origin().cloned(),
            destination: context.destination.clone(),
            credentials: context.credentials.iter().map(str::to_owned).collect(),
            method: form.method().to_owned(),
            target: form.target().to_owned(),
            parts: form.parts().clone(),
            deadline: context.deadline,
            connection: context.connection.clone(),
        };
        lock(&self.0.seen).push(seen.clone());
        let answer = lock(&self.0.answer).clone();
        match answer {
            Some(Answer::Reply(reply)) => Ok(reply.to_reply(None)),
            Some(Answer::Broken(reply)) => {
                let why = FederationError::internal("the handler failed half-way");
                Ok(reply.to_reply(Some(why.into())))
            }
            Some(Answer::Error(error)) => Err(error.into()),
            Some(Answer::By(handler)) => handler(seen).await,
            None => Err(FederationError::internal("nothing was prepared").into()),
        }
    }
}

impl Service<Call> for Recorder {
    type Response = Reply;
    type Error = CallError;
    type Future = Boxed<'static, Result<Reply, CallError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.clone().answer(call))
    }
}
