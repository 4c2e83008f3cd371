//! Making sessions, and who signs a call that goes by none.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use comity_core::{
    Client, ServerName,
    api::{GetVersion, SendTransaction},
    auth::{OwnSession, SESSION_REFUSED, SessionOptions, SessionUse, Sign, Signer},
    call::Call,
    error::{CallError, Delivery, FederationError, TransportErrorKind},
    transport::{Capabilities, Transport},
};
use tower::util::MapRequestLayer;

use crate::{
    homeserver::{key, name},
    sessions::{HOUR, START, Wire, call, session, session_of, x_matrix},
};

fn options(clock: &Arc<AtomicI64>) -> SessionOptions {
    let clock = clock.clone();
    SessionOptions::default().with_now(Arc::new(move || clock.load(Ordering::SeqCst)))
}

#[tokio::test]
async fn this_side_makes_a_session_once_renews_it_in_time_and_by_the_key_of_now() {
    let clock = Arc::new(AtomicI64::new(START));
    let (wire, own, options) = (Wire::new(7), OwnSession::default(), options(&clock));
    let at = |time: i64, signer: &Signer| {
        clock.store(START + time, Ordering::SeqCst);
        own.credential(&*wire, signer, &name("b.example"), &options)
            .unwrap()
            .unwrap()
    };
    let signer = Signer::new(name("a.example"), key(1));
    let first = at(0, &signer);
    assert_eq!(first, session(7));
    assert_eq!(at(HOUR * 3 / 4 - 1, &signer), first);
    let second = at(HOUR * 3 / 4, &signer);
    assert_eq!(
        second,
        session_of("a.example", 1, 7, HOUR * 3 / 4, HOUR * 7 / 4)
    );
    assert_eq!(at(HOUR, &signer), second);
    // A clock that was set back.
    assert_eq!(at(-1, &signer), session_of("a.example", 1, 7, -1, HOUR - 1));
    let rotated = Signer::new(name("a.example"), key(5));
    assert_eq!(at(0, &rotated), session_of("a.example", 5, 7, 0, HOUR));
    assert_eq!(wire.exported.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_a_session_was_refused_goes_without_for_a_while() {
    let clock = Arc::new(AtomicI64::new(START));
    let (wire, own, options) = (Wire::new(7), OwnSession::default(), options(&clock));
    let signer = Signer::new(name("a.example"), key(1));
    let credential = || {
        own.credential(&*wire, &signer, &name("b.example"), &options)
            .unwrap()
    };
    let error = |errcode| FederationError::new(401, errcode, "no");
    assert!(credential().is_some());
    use SessionUse::{On, Required};
    // A handler's own, perhaps: a call that may go by nothing else takes it for no more.
    assert!(!own.is_refusal(&error("M_UNAUTHORIZED"), Required, &options));
    assert!(credential().is_some());
    assert!(own.is_refusal(&error(SESSION_REFUSED), Required, &options));
    assert!(credential().is_none());
    tokio::time::advance(options.pause).await;
    assert!(credential().is_some());
    // A peer that knows nothing of sessions says so in X-Matrix's words.
    assert!(own.is_refusal(&error("M_UNAUTHORIZED"), On, &options));
    assert!(credential().is_none());
    tokio::time::advance(options.pause).await;
    assert!(credential().is_some());
    // An error that is none may have come before anyone looked at the session, as those of routing and admission do.
    for early in [
        FederationError::not_found("x"),
        FederationError::new(404, "M_UNRECOGNIZED", "x"),
        FederationError::new(403, "M_FORBIDDEN", "x"),
        FederationError::invalid_param("x"),
    ] {
        assert!(!own.is_refusal(&early, On, &options));
    }
    assert!(own.is_refusal(&error("M_UNAUTHORIZED"), On, &options));
    tokio::time::advance(options.pause).await;
    assert!(credential().is_some());
    // One that had one accepted means something else by them.
    own.note_worked();
    assert!(!own.is_refusal(&error("M_UNAUTHORIZED"), On, &options));
    assert!(credential().is_some());
    assert!(own.is_refusal(&error(SESSION_REFUSED), On, &options));
    assert!(credential().is_none());
}

#[tokio::test]
async fn two_servers_share_no_connection_that_has_a_session() {
    let clock = Arc::new(AtomicI64::new(START));
    let (wire, own, options) = (Wire::new(7), OwnSession::default(), options(&clock));
    let credential = |origin: &str, seed| {
        let signer = Signer::new(name(origin), key(seed));
        own.credential(&*wire, &signer, &name("b.example"), &options)
    };
    assert!(credential("a.example", 1).unwrap().is_some());
    let error = credential("c.example", 3).unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.to_string().contains("a pool of its own"), "{error}");
}

/// Notes what it was handed.
#[derive(Debug, Default)]
struct Handed {
    binds: bool,
    calls: Mutex<Vec<(Vec<String>, Option<ServerName>)>>,
}

#[async_trait]
impl Transport for Handed {
    fn name(&self) -> &'static str {
        "test"
    }

    fn capabilities(&self) -> Capabilities {
        match self.binds {
            true => Capabilities::NONE.channel_binding(),
            false => Capabilities::NONE,
        }
    }

    async fn send(&self, call: Call) -> Result<comity_core::call::Reply, CallError> {
        let context = call.context();
        let credentials = context.credentials.iter().map(str::to_owned).collect();
        let signer = context.signer().map(|signer| signer.origin().clone());
        self.calls.lock().unwrap().push((credentials, signer));
        Err(FederationError::not_found("nothing is here").into())
    }
}

#[tokio::test]
async fn a_transport_is_handed_a_signature_unless_it_proves_origins_itself() {
    let send = async |binds, call: Call| {
        let transport = Arc::new(Handed {
            binds,
            ..Handed::default()
        });
        let sign = Sign::layer(name("a.example"), key(1));
        let client = Client::layered(transport.clone(), sign);
        client.send(call).await.unwrap_err();
        transport.calls.lock().unwrap().pop().unwrap()
    };
    let signed = vec![x_matrix("a.example", 1)];
    assert_eq!(send(false, call(None, &[])).await, (signed, None));
    let bound = send(true, call(None, &[])).await;
    assert_eq!(bound, (vec![], Some(name("a.example"))));
    // Passed on: it stays as it came, whatever the transport can.
    for binds in [false, true] {
        let passed = send(binds, call(None, &["X-Matrix x"])).await;
        assert_eq!(passed, (vec!["X-Matrix x".to_owned()], None));
        let open = send(binds, Call::new(name("b.example"), GetVersion::default())).await;
        assert_eq!(open, (vec![], None));
    }
}

#[tokio::test]
async fn a_required_session_fails_closed_over_a_transport_that_has_none() {
    for (binds, credentials) in [(false, &[][..]), (true, &["X-Matrix x"])] {
        let transport = Arc::new(Handed {
            binds,
            ..Handed::default()
        });
        let sign = Sign::layer(name("a.example"), key(1));
        let client = Client::layered(transport.clone(), sign);
        let mut needs_proof = call(None, credentials);
        needs_proof.context_mut().sessions = Some(SessionUse::Required);
        let Err(CallError::Transport(error)) = client.send(needs_proof).await else {
            panic!("it was sent");
        };
        let kind = (error.kind(), error.delivery());
        assert_eq!(kind, (TransportErrorKind::Refused, Delivery::NotSent));
        assert!(transport.calls.lock().unwrap().is_empty());
        let mut open = Call::new(name("b.example"), GetVersion::default());
        open.context_mut().sessions = Some(SessionUse::Required);
        client.send(open).await.unwrap_err();
        assert_eq!(transport.calls.lock().unwrap().len(), 1);
    }
}

/// What is signed is what passed the layer.
#[tokio::test]
async fn a_request_that_is_changed_behind_the_layer_is_nobodys() {
    for binds in [false, true] {
        let transport = Arc::new(Handed {
            binds,
            ..Handed::default()
        });
        let change = MapRequestLayer::new(|mut call: Call| {
            let other = SendTransaction::new("1", &name("a.example"), 0, Vec::new());
            call.set_request(Box::new(other));
            call
        });
        let layers = (Sign::layer(name("a.example"), key(1)), change);
        let client = Client::layered(transport.clone(), layers);
        client.send(call(None, &[])).await.unwrap_err();
        let handed = transport.calls.lock().unwrap().pop();
        assert_eq!(handed, Some((vec![], None)));
    }
}
