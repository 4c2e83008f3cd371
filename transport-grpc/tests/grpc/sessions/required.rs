//! Where a session is required: no offer, no refusal and no answer lifts that, and the error of a call that has none names the setting.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use comity_core::{
    auth::{SessionOptions, SessionUse},
    error::{CallError, Delivery, FederationError, TransportErrorKind},
    transport::{Policy, Preference},
};
use tower::ServiceExt;

use super::{
    selecting::{select, signing},
    setting::*,
};
use crate::setting::{Serving, destination, handler};

/// It would be no requirement if the other end could lift it.
#[tokio::test]
async fn an_offer_lifts_no_requirement() {
    let homeserver = Homeserver::new();
    let serving = Serving::start(homeserver.service(Arc::new(homeserver.x_matrix()))).await;
    let required = SessionOptions::default().with_usually(SessionUse::Required);
    for (options, said) in [(required, None), (always(), Some(SessionUse::Required))] {
        let caller = Caller::new(&serving, "a.test", 1, options);
        let mut call = asking();
        call.context_mut().sessions = said;
        call.context_mut().sessions_offered = true;
        let error = answered(caller.client.send(call).await.map(drop));
        assert_eq!(error.http_status(), 401);
        assert_eq!(homeserver.schemes(), ["Comity-Session"]);
    }
}

#[tokio::test]
async fn where_a_session_is_required_nothing_is_signed_in_its_place() {
    let homeserver = Homeserver::new();
    homeserver.ahead.store(-HOUR, Ordering::SeqCst);
    let serving = homeserver.start().await;
    let required = SessionOptions::default().with_usually(SessionUse::Required);
    let caller = Caller::new(&serving, "a.test", 1, required);
    let error = answered(caller.ask().await);
    assert_eq!(error.errcode(), Some("DEV.COMITY.SESSION_REFUSED"));
    let Err(CallError::Transport(error)) = caller.ask().await else {
        panic!("the connection has no session");
    };
    let what = (error.kind(), error.delivery());
    assert_eq!(what, (TransportErrorKind::Refused, Delivery::NotSent));
    assert_eq!(homeserver.schemes(), ["Comity-Session"]);
    assert_eq!(homeserver.arrivals(), []);
}

/// What a handler means by it is its own.
#[tokio::test]
async fn where_a_session_is_required_a_handlers_own_401_takes_none_away() {
    let homeserver = Homeserver::new();
    let verifying = homeserver.service(homeserver.sessions());
    let is_first = Arc::new(AtomicBool::new(true));
    let serving = Serving::start(handler(move |call| {
        let is_first = is_first.swap(false, Ordering::SeqCst);
        let verifying = verifying.clone();
        async move {
            let reply = verifying.oneshot(call).await?;
            match is_first {
                true => Err(FederationError::unauthorized("not this one").into()),
                false => Ok(reply),
            }
        }
    }))
    .await;
    let required = SessionOptions::default().with_usually(SessionUse::Required);
    let caller = Caller::new(&serving, "a.test", 1, required);
    assert_eq!(answered(caller.ask().await).http_status(), 401);
    caller.ask().await.unwrap();
    assert_eq!(homeserver.schemes(), ["Comity-Session", "Comity-Session"]);
}

/// One that a `Select` passes on, too: the call says whose setting it is.
#[tokio::test]
async fn the_error_of_a_call_that_finds_no_session_names_the_setting_that_requires_one() {
    let policy = |sessions| Policy {
        binding: Preference::Only(comity_grpc::BINDING.to_owned()),
        sessions,
        ..Policy::default()
    };
    let required = Some(SessionUse::Required);
    let usually = SessionOptions::default().with_usually(SessionUse::Required);
    let silent = SessionOptions::default;
    for (operator, said, options, setting) in [
        (required, None, silent(), "Policy::sessions"),
        (required, required, usually.clone(), "Policy::sessions"),
        (None, required, usually.clone(), "CallContext::sessions"),
        (None, required, silent(), "CallContext::sessions"),
        (None, None, usually, "SessionOptions::usually"),
    ] {
        let homeserver = Homeserver::new();
        homeserver.ahead.store(-HOUR, Ordering::SeqCst);
        let serving = homeserver.start().await;
        let selecting = signing(select(
            &serving,
            "signed",
            policy(operator),
            options.clone(),
        ));
        let alone = Caller::new(&serving, "a.test", 1, options).client;
        for client in [(operator.is_none()).then_some(alone), Some(selecting)]
            .into_iter()
            .flatten()
        {
            let ask = async || {
                let mut call = asking();
                call.context_mut().sessions = said;
                client.send(call).await.map(drop)
            };
            assert_eq!(answered(ask().await).http_status(), 401);
            let Err(CallError::Transport(error)) = ask().await else {
                panic!("the connection has no session");
            };
            let what = (error.kind(), error.delivery());
            assert_eq!(what, (TransportErrorKind::Refused, Delivery::NotSent));
            let expected = format!(
                "nothing is sent over grpc/1: a session is required (setting: {setting}), and this connection has none: it has no TLS 1.3, or {} refused one on it",
                destination()
            );
            assert_eq!(error.message(), expected);
        }
        assert_eq!(homeserver.arrivals(), []);
    }
}
