//! One record for each call that has ended, and for each that left a binding.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use comity_core::{
    Client, Operations,
    auth::{OwnProof, Sign},
    call::{Credentials, Reply},
    error::{Delivery, ErrorKind, FederationError, TransportErrorKind as Kind},
    layers::{FellBack, Observe, Observed, Observer, Outcome, Side},
    transport::{
        FallbackReason, MemoryMode, MemoryTransport, Select, SelectOptions, Transport,
        TransportService,
    },
};
use futures_util::StreamExt;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::{
    homeserver::{Homeserver, key, name},
    select::{
        GRPC, HTTP, prefer,
        wires::{Act, Wire, media, send, to, version},
    },
};

#[derive(Debug, Default)]
pub struct Log {
    pub ended: Mutex<Vec<Observed>>,
    pub fell_back: Mutex<Vec<FellBack>>,
}

impl Observer for Log {
    fn ended(&self, call: &Observed) {
        self.ended.lock().unwrap().push(call.clone());
    }

    fn fell_back(&self, fallback: &FellBack) {
        self.fell_back.lock().unwrap().push(fallback.clone());
    }
}

impl Log {
    fn only(&self) -> Observed {
        let mut ended = self.ended.lock().unwrap();
        assert_eq!(ended.len(), 1, "{ended:?}");
        ended.pop().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_says_binding_peer_outcome_and_times() {
    let log = Arc::new(Log::default());
    let wire = Wire::new(HTTP, Act::Reply);
    let service =
        Observe::layer(Side::Client, log.clone()).layer(TransportService::new(wire.clone()));
    let wait = Duration::from_secs(2);
    wire.always(Act::After(wait, Box::new(Act::Reply)));
    let mut call = send();
    let request_bytes = call.make_form().unwrap().content().bytes().len() as u64;
    service.clone().oneshot(call).await.unwrap();
    let record = log.only();
    assert_eq!(
        (record.side, record.operation),
        (Side::Client, "SendTransaction")
    );
    assert_eq!((record.binding, record.peer), (HTTP, Some(to())));
    assert_eq!(record.outcome, Outcome::Reply);
    assert_eq!((record.to_head, record.total), (Some(wait), wait));
    assert_eq!(
        (record.request_bytes, record.reply_bytes),
        (request_bytes, 2)
    );

    wire.always(Act::Answer(FederationError::not_found("no")));
    service.clone().oneshot(version()).await.unwrap_err();
    assert_eq!(log.only().outcome, Outcome::Answer(ErrorKind::NotFound));
    wire.always(Act::Fail(Kind::Tls, Delivery::NotSent));
    service.clone().oneshot(version()).await.unwrap_err();
    assert_eq!(log.only().outcome, Outcome::Failure(Kind::Tls));
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_to_its_end_and_a_caller_who_leaves_is_told_of() {
    let log = Arc::new(Log::default());
    let wire = Wire::new(HTTP, Act::Reply);
    let service =
        Observe::layer(Side::Client, log.clone()).layer(TransportService::new(wire.clone()));
    let Reply::Blob(blob) = service.clone().oneshot(media()).await.unwrap() else {
        panic!()
    };
    assert!(log.ended.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _: Vec<_> = blob.bytes.collect().await;
    let record = log.only();
    assert_eq!((record.outcome, record.reply_bytes), (Outcome::Reply, 4));
    assert_eq!(record.to_head, Some(Duration::ZERO));
    assert_eq!(record.total, Duration::from_secs(3));

    wire.always(Act::BreakOff);
    let Reply::Blob(blob) = service.clone().oneshot(media()).await.unwrap() else {
        panic!()
    };
    let _: Vec<_> = blob.bytes.collect().await;
    assert_eq!(log.only().outcome, Outcome::Failure(Kind::Closed));

    drop(service.clone().oneshot(media()).await.unwrap());
    assert_eq!(log.only().outcome, Outcome::Abandoned);
    wire.always(Act::Hang);
    let sent = service.oneshot(version());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), sent)
            .await
            .is_err()
    );
    let record = log.only();
    assert_eq!((record.outcome, record.to_head), (Outcome::Abandoned, None));
}

#[tokio::test]
async fn a_fallback_is_told_of_and_the_call_counts_once_by_the_binding_that_carried_it() {
    let log = Arc::new(Log::default());
    let (http, grpc) = (Wire::new(HTTP, Act::Reply), Wire::new(GRPC, Act::Reply));
    let options = SelectOptions {
        observer: Some(log.clone()),
        ..SelectOptions::default()
    };
    let select = Select::new(http, vec![grpc.clone()], Vec::new(), options);
    select.set_policies(prefer(GRPC, false));
    let service = Observe::layer(Side::Client, log.clone())
        .layer(TransportService::new(Arc::new(select.clone())));
    service.clone().oneshot(version()).await.unwrap();
    assert_eq!(log.only().binding, GRPC);
    grpc.always(Act::Fail(Kind::Tls, Delivery::NotSent));
    service.clone().oneshot(version()).await.unwrap();
    assert_eq!(log.only().binding, HTTP);
    service.clone().oneshot(version()).await.unwrap();
    assert_eq!(log.only().binding, HTTP);
    let told = std::mem::take(&mut *log.fell_back.lock().unwrap());
    let reasons: Vec<_> = told
        .iter()
        .map(|one| (one.from, one.to, one.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (GRPC, HTTP, FallbackReason::Tls),
            (GRPC, HTTP, FallbackReason::BackingOff)
        ]
    );
    assert_eq!(
        (told[0].operation, &told[0].destination),
        ("GetVersion", &to())
    );
    // What nothing carried has no binding.
    select.set_policies(prefer("quic/1", true));
    service.oneshot(version()).await.unwrap_err();
    assert_eq!(log.only().binding, "");
}

#[tokio::test]
async fn a_server_knows_the_origin_if_it_was_proven() {
    let log = Arc::new(Log::default());
    let (us, peer) = (
        Homeserver::new("a.example", 1),
        Homeserver::new("b.example", 2),
    );
    let ring = crate::homeserver::ring_of(&peer);
    let verify = comity_core::auth::XMatrixAuthenticator::new(us.name.clone(), Arc::new(ring));
    let service = us.router().layered(
        ServiceBuilder::new()
            .layer(Observe::layer(Side::Server, log.clone()))
            .layer(comity_core::auth::Verify::layer(Arc::new(verify))),
    );
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new(
        Operations::federation(),
        service,
        MemoryMode::ThroughCodec,
    ));
    for (seed, outcome, proven) in [
        (2, Outcome::Reply, Some(peer.name.clone())),
        (9, Outcome::Answer(ErrorKind::Unauthenticated), None),
    ] {
        let client = Client::layered(transport.clone(), Sign::layer(peer.name.clone(), key(seed)));
        let mut call = send();
        call.context_mut().destination = Some(name("a.example"));
        let _ = client.send(call).await;
        let record = log.only();
        assert_eq!(
            (record.side, record.binding),
            (Side::Server, "memory-codec")
        );
        assert_eq!((record.outcome, record.peer), (outcome, proven));
    }
}

#[test]
fn names_for_labels_are_distinct() {
    let names: std::collections::BTreeSet<_> = FallbackReason::ALL
        .iter()
        .map(|reason| reason.name())
        .collect();
    assert_eq!(names.len(), FallbackReason::ALL.len());
}

/// What a transport that binds proofs says is tested where one is: `transport-grpc/tests/grpc/sessions`.
#[tokio::test]
async fn a_record_says_how_the_origin_was_proven() {
    let log = Arc::new(Log::default());
    let wire = Wire::new(HTTP, Act::Reply);
    let stack = ServiceBuilder::new()
        .layer(Observe::layer(Side::Client, log.clone()))
        .layer(Sign::layer(name("a.example"), key(1)));
    let client = Client::layered(wire.clone(), stack);
    client.send(send()).await.unwrap();
    let Some(OwnProof::XMatrix {
        key: by,
        instead_of_session,
    }) = log.only().proof
    else {
        panic!("it was signed");
    };
    assert_eq!((by, instead_of_session), (key(1).key_id().clone(), false));
    client.send(version()).await.unwrap();
    assert_eq!(log.only().proof, None, "it needs none");
    // Whoever passes a call on proves nothing.
    let mut passed_on = send();
    passed_on.context_mut().credentials = Credentials::new(vec!["X-Matrix".to_owned()]);
    client.send(passed_on).await.unwrap();
    assert_eq!(log.only().proof, None);
}

#[tokio::test]
async fn what_was_not_sent_was_not_proven() {
    let log = Arc::new(Log::default());
    // The one that is chosen is handed signatures; the other would say itself what it does, and says nothing.
    let (http, grpc) = (Wire::binding(HTTP, Act::Reply), Wire::new(GRPC, Act::Reply));
    let options = SelectOptions::default();
    let select = Select::new(http.clone(), vec![grpc.clone()], Vec::new(), options);
    select.set_policies(prefer(GRPC, false));
    let stack = || {
        ServiceBuilder::new()
            .layer(Observe::layer(Side::Client, log.clone()))
            .layer(Sign::layer(name("a.example"), key(1)))
    };
    let client = Client::layered(Arc::new(select), stack());
    let proven = || {
        let record = log.only();
        (record.binding, record.proof.is_some())
    };
    client.send(send()).await.unwrap();
    assert_eq!(proven(), (GRPC, true));
    // What came of the first attempt is not said of the second.
    grpc.next(Act::Fail(Kind::Busy, Delivery::Rejected));
    client.send(send()).await.unwrap();
    assert_eq!(proven(), (HTTP, false));

    for (delivery, is_proven) in [(Delivery::NotSent, false), (Delivery::MaybeProcessed, true)] {
        let wire = Wire::new(HTTP, Act::Fail(Kind::Connect, delivery));
        let client = Client::layered(wire.clone(), stack());
        client.send(send()).await.unwrap_err();
        assert_eq!(proven(), (HTTP, is_proven));
        let select = Select::new(wire, Vec::new(), Vec::new(), SelectOptions::default());
        let client = Client::layered(Arc::new(select), stack());
        client.send(send()).await.unwrap_err();
        assert_eq!(proven(), (HTTP, is_proven));
    }
}
