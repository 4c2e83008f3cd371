//! The service behind every server: it keeps what it is called with, and answers what it is told to, whatever the operation.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use comity_conformance::ReplySample;
use comity_core::{
    Boxed, ServerName,
    call::{AnyRequest, Call, CallContext, Reply},
    endpoint::EndpointParts,
    error::{CallError, FederationError},
};
use comity_net::ConnectionInfo;
use tower::Service;

/// What a handler sees of a call.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) request: Arc<dyn AnyRequest>,
    pub(crate) origin: Option<ServerName>,
    pub(crate) destination: Option<ServerName>,
    pub(crate) credentials: Vec<String>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) parts: EndpointParts,
    /// Where the connection came from. Not compared: it says nothing of the call.
    pub(crate) peer: Option<SocketAddr>,
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

/// What the recorder answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This reply.
    Reply(ReplySample),
    /// This reply, broken off by an error behind its last part.
    Broken(ReplySample),
    /// This error.
    Error(FederationError),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<State>);

#[derive(Debug, Default)]
struct State {
    answer: Mutex<Option<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

impl Recorder {
    /// From now on, this is the answer.
    pub(crate) fn prepare(&self, answer: Answer) {
        *self.0.answer.lock().unwrap() = Some(answer);
        self.0.seen.lock().unwrap().clear();
    }

    /// The calls since then.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.seen.lock().unwrap())
    }

    fn answer(&self, call: &Call) -> Result<Reply, CallError> {
        let form = call.form().expect("every binding gives the endpoint form");
        let context = call.context();
        self.0.seen.lock().unwrap().push(Seen {
            request: call.request().clone_box().into(),
            origin: context.origin().cloned(),
            destination: context.destination.clone(),
            credentials: context.credentials.iter().map(str::to_owned).collect(),
            method: form.method().to_owned(),
            target: form.target().to_owned(),
            parts: form.parts().clone(),
            peer: peer_of(context),
        });
        match self.0.answer.lock().unwrap().clone() {
            Some(Answer::Reply(reply)) => Ok(reply.to_reply(None)),
            Some(Answer::Broken(reply)) => {
                let why = FederationError::internal("the handler failed half-way");
                Ok(reply.to_reply(Some(why.into())))
            }
            Some(Answer::Error(error)) => Err(error.into()),
            None => Err(FederationError::internal("nothing was prepared").into()),
        }
    }
}

/// The other end of the connection; in memory there is none.
fn peer_of(context: &CallContext) -> Option<SocketAddr> {
    let connection = context.connection.as_ref()?;
    let info = connection.downcast_ref::<ConnectionInfo>()?;
    Some(info.peer())
}

impl Service<Call> for Recorder {
    type Response = Reply;
    type Error = CallError;
    type Future = Boxed<'static, Result<Reply, CallError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let recorder = self.clone();
        Box::pin(async move { recorder.answer(&call) })
    }
}
