//! The choice between HTTPS and gRPC over real sockets with TLS, with gRPC broken in the middle in every way that a network breaks things.
//! Nothing is lost, nothing doubled.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod broken;
#[path = "../harnesses/mod.rs"]
mod harnesses;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, ServerName,
    api::{ClaimKeys, GetEvent, SendTransaction},
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{AnyRequest, Call, Endpoint, Message, Reply, operation},
    endpoint::{EndpointParts, read_content},
    error::CallError,
    json::Object,
    layers::{Clocks, Flow, Idempotency, MemoryAnswers, RunToEnd, Side},
    transport::{
        DestinationStatus, FallbackReason, Offer, Offered, Offers, Select, SelectOptions, Transport,
    },
};
use tokio::{sync::Notify, time::Instant};
use tower::{ServiceBuilder, service_fn};

use self::{
    broken::{Break, Middle},
    harnesses::{Authority, Binding, Listening},
};

const HTTP: &str = "http/1";
const GRPC: &str = "grpc/1";

/// Time for one call: far less than the operations' own clocks.
const PATIENCE: Duration = Duration::from_secs(4);

fn caller() -> ServerName {
    "a.example".parse().unwrap()
}

fn callee() -> ServerName {
    "b.example".parse().unwrap()
}

/// What the receiver did, and over what.
#[derive(Debug, Default)]
struct Done {
    effects: Mutex<HashMap<String, Vec<&'static str>>>,
    /// Told of each, before its answer goes out.
    each: Notify,
}

impl Done {
    fn begin(&self, id: String, binding: &'static str) {
        let mut effects = self.effects.lock().unwrap();
        effects.entry(id).or_default().push(binding);
    }

    fn by(&self, call: &mut Call) -> Vec<&'static str> {
        let effects = self.effects.lock().unwrap();
        effects.get(&id(call)).cloned().unwrap_or_default()
    }
}

fn id(call: &mut Call) -> String {
    let form = call.make_form().unwrap();
    format!("{} {:?}", form.target(), form.content().bytes())
}

/// The place where gRPC is said to be.
#[derive(Debug)]
struct At(SocketAddr);

#[async_trait]
impl Offers for At {
    fn source(&self) -> &'static str {
        "signed"
    }

    async fn offered(&self, _: &ServerName) -> Option<Offered> {
        let offer = Offer {
            binding: GRPC.to_owned(),
            connect_to: Some(self.0.to_string().parse().unwrap()),
            priority: 0,
            session: false,
        };
        Some(Offered {
            offers: vec![offer],
            until: i64::MAX,
        })
    }
}

/// A server on one port, something in the middle in front of its gRPC, and a client that chooses.
struct World {
    done: Arc<Done>,
    select: Select,
    client: Client,
    middle: Middle,
    _server: Listening,
}

impl World {
    async fn new(kind: Break) -> Self {
        let done = Arc::new(Done::default());
        let key = Arc::new(SigningKey::generate("1").unwrap());
        let authority = Authority::shared();
        let (address, server) = authority
            .serve(Operations::federation(), service(&done, &key))
            .await
            .unwrap();
        let middle = Middle::before(address, kind, done.clone()).await;
        let at = |binding| authority.transport(binding, &callee(), address).unwrap();
        let others: Vec<Arc<dyn Transport>> = vec![at(Binding::Grpc)];
        let sources: Vec<Arc<dyn Offers>> = vec![Arc::new(At(middle.address()))];
        let select = Select::new(
            at(Binding::Http1),
            others,
            sources,
            SelectOptions::default(),
        );
        let client = Client::layered(
            Arc::new(select.clone()),
            ServiceBuilder::new()
                .layer(Clocks::layer(Side::Client))
                .layer(Flow::layer(Duration::from_secs(10)))
                .layer(Sign::layer(caller(), key)),
        )
        .with_deadline(PATIENCE);
        let world = Self {
            done,
            select,
            client,
            middle,
            _server: server,
        };
        // The first call learns where gRPC is.
        world.send(safe(0)).await.unwrap();
        while world.status().await.binding != Some(GRPC) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        self.client.send(call).await
    }

    async fn status(&self) -> DestinationStatus {
        self.select.destination(&callee()).await.unwrap()
    }

    async fn reasons(&self) -> Vec<FallbackReason> {
        let status = self.status().await;
        status.bindings[1].fallbacks.keys().copied().collect()
    }
}

/// The receiver's half: verified, and each answer kept.
fn service(done: &Arc<Done>, key: &SigningKey) -> comity_core::CallService {
    let document = KeyDocument::new(caller(), now_ms() + 3_600_000);
    let keys = ServerKeys::parse(document.sign(&[key]).unwrap()).unwrap();
    let nowhere = Client::from_service(tower::util::BoxCloneSyncService::new(service_fn(
        |_: Call| async { panic!("the key is known") },
    )));
    let ring = KeyRing::new(nowhere, KeyRingOptions::default()).with_pinned(keys);
    let authenticator = XMatrixAuthenticator::new(callee(), Arc::new(ring));
    let done = done.clone();
    let handler = service_fn(move |mut call: Call| {
        let done = done.clone();
        async move {
            let binding = call.context().binding;
            let id = id(&mut call);
            done.begin(id, binding);
            done.each.notify_waiters();
            // Whoever is in the middle has time to act.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let content =
                r#"{"one_time_keys":{},"origin":"b.example","origin_server_ts":1,"pdus":[]}"#;
            let content = Object::parse(content.into(), 1000).unwrap();
            Ok::<_, CallError>(Reply::Message(Message::from_content(content)))
        }
    });
    tower::util::BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(Verify::layer(Arc::new(authenticator)))
            .layer(RunToEnd::layer(100))
            .layer(Idempotency::layer(Arc::new(MemoryAnswers::default())))
            .service(handler),
    )
}

fn read<O: Endpoint>(path: &[String], body: Option<String>) -> Call {
    let body = body.unwrap_or_default().into();
    let content = read_content(operation::<O>(), None, body).unwrap();
    let parts = EndpointParts {
        path: path.to_vec(),
        content,
        ..EndpointParts::default()
    };
    let request: Box<dyn AnyRequest> = Box::new(O::read(&parts).unwrap());
    let form = request.write().unwrap();
    let context = comity_core::call::CallContext::to(callee());
    Call::received(request, form, context)
}

fn safe(number: usize) -> Call {
    read::<GetEvent>(&[format!("$event{number}")], None)
}

fn keyed(number: usize) -> Call {
    let body = r#"{"origin":"a.example","origin_server_ts":1,"pdus":[]}"#;
    read::<SendTransaction>(&[format!("txn{number}")], Some(body.to_owned()))
}

fn unrepeatable(number: usize) -> Call {
    let body = format!(r#"{{"one_time_keys":{{"@u{number}:b.example":{{}}}}}}"#);
    read::<ClaimKeys>(&[], Some(body))
}

#[tokio::test]
async fn without_a_fault_calls_go_by_grpc_once() {
    let world = World::new(Break::Nothing).await;
    for mut call in [safe(1), keyed(1), unrepeatable(1)] {
        world.send(call.duplicate()).await.unwrap();
        assert_eq!(world.done.by(&mut call), [GRPC]);
    }
    assert!(world.reasons().await.is_empty());
}

/// Faults that leave no doubt: nothing arrived.
#[tokio::test]
async fn what_never_arrives_goes_by_https_whatever_it_is() {
    for (kind, reason) in [
        (Break::Closed, FallbackReason::Connect),
        (Break::NotTls, FallbackReason::Tls),
        (Break::OtherCertificate, FallbackReason::Tls),
        (Break::Unimplemented, FallbackReason::Rejected),
    ] {
        for (number, make) in [safe, keyed, unrepeatable].into_iter().enumerate() {
            let world = World::new(kind).await;
            let mut call = make(1);
            world.send(call.duplicate()).await.unwrap();
            assert_eq!(world.done.by(&mut call), [HTTP], "{kind:?} {number}");
            assert_eq!(world.reasons().await, [reason], "{kind:?} {number}");
            // The next one does not try.
            assert_eq!(world.status().await.binding, Some(HTTP));
            let touched = world.middle.touched();
            world.send(make(2)).await.unwrap();
            assert_eq!(world.middle.touched(), touched);
        }
    }
}

/// The connection is cut, or falls silent, when the receiver has begun.
#[tokio::test]
async fn what_was_begun_is_repeated_only_if_it_is_the_same_call() {
    for (kind, reason) in [
        (Break::Reset, FallbackReason::Closed),
        (Break::Silent, FallbackReason::NoReply),
    ] {
        let world = World::new(kind).await;
        let begun = Instant::now();
        let mut call = keyed(1);
        world.send(call.duplicate()).await.unwrap();
        // The second was the same call: the receiver gave the answer of the first.
        assert_eq!(world.done.by(&mut call), [GRPC], "{kind:?}");
        assert_eq!(world.reasons().await, [reason], "{kind:?}");
        assert!(begun.elapsed() < PATIENCE);

        let world = World::new(kind).await;
        let mut call = safe(1);
        world.send(call.duplicate()).await.unwrap();
        assert_eq!(world.done.by(&mut call), [GRPC, HTTP], "{kind:?}");

        let world = World::new(kind).await;
        let mut call = unrepeatable(1);
        let error = world.send(call.duplicate()).await.unwrap_err();
        assert_eq!(
            error.delivery(),
            Some(comity_core::error::Delivery::MaybeProcessed)
        );
        assert_eq!(world.done.by(&mut call), [GRPC], "{kind:?}");
        assert!(world.reasons().await.is_empty());
    }
}

/// Nothing answers at all, from the first byte of the handshake on.
#[tokio::test]
async fn a_black_hole_does_not_eat_the_deadline() {
    let world = World::new(Break::BlackHole).await;
    for make in [safe, keyed] {
        let begun = Instant::now();
        let mut call = make(1);
        world.send(call.duplicate()).await.unwrap();
        assert_eq!(world.done.by(&mut call), [HTTP]);
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
    // The first found out for both.
    let status = world.status().await;
    let fallbacks = &status.bindings[1].fallbacks;
    assert_eq!(fallbacks[&FallbackReason::NoReply], 1);
    assert_eq!(fallbacks[&FallbackReason::BackingOff], 1);
}
