//! Bindings that do as they are told, and remember what they were given.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    api::*,
    auth::SessionUse,
    call::{AnyRequest, Blob, BlobSource, Call, Endpoint, Message, Reply, ReplyShape, operation},
    endpoint::{EndpointForm, EndpointParts, read_content},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::Object,
    transport::{Capabilities, ConnectTo, Offer, Offered, Offers, Transport},
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::homeserver::{name, transaction};

/// What a binding does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    Reply,
    Answer(FederationError),
    Fail(TransportErrorKind, Delivery),
    /// Fails, after it has waited.
    After(Duration, Box<Act>),
    Hang,
    /// Gives the head of a stream, which then breaks off.
    BreakOff,
}

/// What a binding was given.
#[derive(Debug, Clone)]
pub struct Seen {
    pub form: Option<EndpointForm>,
    pub credentials: Vec<String>,
    pub connect_to: Option<String>,
    pub deadline: Option<Instant>,
    pub sessions: Option<SessionUse>,
    pub sessions_offered: bool,
    pub has_signer: bool,
}

pub struct Wire {
    name: &'static str,
    capabilities: Capabilities,
    always: Mutex<Act>,
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
}

impl Wire {
    pub fn new(name: &'static str, always: Act) -> Arc<Self> {
        Self::with(name, always, Capabilities::NONE.streaming())
    }

    /// One that binds proofs to its connections.
    pub fn binding(name: &'static str, always: Act) -> Arc<Self> {
        let capabilities = Capabilities::NONE.streaming().channel_binding();
        Self::with(name, always, capabilities)
    }

    pub fn with(name: &'static str, always: Act, capabilities: Capabilities) -> Arc<Self> {
        Arc::new(Self {
            name,
            capabilities,
            always: Mutex::new(always),
            script: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    pub fn always(&self, act: Act) {
        *self.always.lock().unwrap() = act;
    }

    pub fn next(&self, act: Act) {
        self.script.lock().unwrap().push_back(act);
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

pub fn reply_to(call: &Call) -> Reply {
    match call.spec().reply {
        ReplyShape::Message => Reply::Message(Message::from_content(Object::empty())),
        _ => blob(stream::iter([Ok(Bytes::from_static(b"meow"))]).boxed()),
    }
}

fn blob(bytes: comity_core::call::ByteStream) -> Reply {
    Reply::Blob(Blob {
        metadata: Object::empty(),
        source: BlobSource::Here {
            content_type: None,
            content_disposition: None,
        },
        bytes,
    })
}

fn failure(kind: TransportErrorKind, delivery: Delivery) -> CallError {
    TransportError::new(kind, delivery, "as told").into()
}

#[async_trait]
impl Transport for Wire {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let context = call.context();
        self.seen.lock().unwrap().push(Seen {
            form: call.form().cloned(),
            credentials: context.credentials.iter().map(str::to_owned).collect(),
            connect_to: context.connect_to.as_ref().map(ToString::to_string),
            deadline: context.deadline,
            sessions: context.sessions,
            sessions_offered: context.sessions_offered,
            has_signer: context.signer().is_some(),
        });
        let scripted = self.script.lock().unwrap().pop_front();
        let mut act = scripted.unwrap_or_else(|| self.always.lock().unwrap().clone());
        loop {
            act = match act {
                Act::Reply => return Ok(reply_to(&call)),
                Act::Answer(error) => return Err(error.into()),
                Act::Fail(kind, delivery) => return Err(failure(kind, delivery)),
                Act::After(wait, then) => {
                    tokio::time::sleep(wait).await;
                    *then
                }
                Act::Hang => std::future::pending().await,
                Act::BreakOff => {
                    let broken = failure(TransportErrorKind::Closed, Delivery::MaybeProcessed);
                    return Ok(blob(
                        stream::iter([Ok(Bytes::from_static(b"me")), Err(broken)]).boxed(),
                    ));
                }
            };
        }
    }
}

/// A source that says what it is told to.
#[derive(Debug)]
pub struct Source {
    name: &'static str,
    pub says: Mutex<Option<Offered>>,
    pub takes: Mutex<Duration>,
    pub asked: AtomicUsize,
}

impl Source {
    pub fn new(name: &'static str, offers: Vec<Offer>) -> Arc<Self> {
        Self::until(name, offers, i64::MAX)
    }

    pub fn until(name: &'static str, offers: Vec<Offer>, until: i64) -> Arc<Self> {
        Arc::new(Self {
            name,
            says: Mutex::new(Some(Offered { offers, until })),
            takes: Mutex::default(),
            asked: AtomicUsize::new(0),
        })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Offers for Source {
    fn source(&self) -> &'static str {
        self.name
    }

    fn is_signed(&self) -> bool {
        self.name == "signed"
    }

    async fn offered(&self, _: &ServerName) -> Option<Offered> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        self.says.lock().unwrap().clone()
    }
}

pub fn offer(binding: &str, target: Option<&str>) -> Offer {
    Offer {
        binding: binding.to_owned(),
        connect_to: target.map(|target| target.parse::<ConnectTo>().unwrap()),
        priority: 0,
        session: false,
    }
}

pub fn to() -> ServerName {
    name("b.example")
}

pub fn call(request: impl AnyRequest) -> Call {
    Call::new(to(), request)
}

/// A call of each idempotency: none, safe, keyed.
pub fn claim() -> Call {
    let content = read_content(
        operation::<ClaimKeys>(),
        None,
        r#"{"one_time_keys":{}}"#.into(),
    );
    call(
        ClaimKeys::read(&EndpointParts {
            content: content.unwrap(),
            ..EndpointParts::default()
        })
        .unwrap(),
    )
}

pub fn version() -> Call {
    call(GetVersion::default())
}

pub fn send() -> Call {
    call(transaction("[]"))
}

pub fn media() -> Call {
    call(DownloadMedia {
        media_id: "cat".to_owned(),
        ..Default::default()
    })
}

/// Lets tasks that are ready run.
pub async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
