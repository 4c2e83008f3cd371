//! A call as an HTTP request and back, without a socket.

use bytes::Bytes;
use comity_core::{
    Operations,
    api::{DownloadMedia, GetMissingEvents},
    call::{Call, Credentials},
    endpoint::Content,
};
use comity_http::request::{PeerHeaders, from_request, to_request};
use http::{Request, header};

use crate::setting::destination;

fn ask() -> GetMissingEvents {
    GetMissingEvents {
        room_id: "!a/b:c d".to_owned(),
        limit: Some(5),
        ..Default::default()
    }
}

#[test]
fn a_request_carries_method_target_credentials_and_content() {
    let mut call = Call::new(destination(), ask());
    call.context_mut().credentials =
        Credentials::new(vec!["X-Matrix one".into(), "Bearer two".into()]);
    let request = to_request(&mut call, &PeerHeaders::default()).unwrap();
    assert_eq!(request.method(), "POST");
    assert_eq!(
        request.uri(),
        "/_matrix/federation/v1/get_missing_events/%21a%2Fb%3Ac%20d"
    );
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/json");
    let credentials: Vec<_> = request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .collect();
    assert!(
        credentials.iter().eq(["X-Matrix one", "Bearer two"].iter()),
        "{credentials:?}"
    );
    assert!(credentials.iter().all(|value| value.is_sensitive()));
    assert_eq!(
        request.body(),
        r#"{"earliest_events":[],"latest_events":[],"limit":5}"#
    );
}

#[test]
fn a_get_has_no_body_and_no_content_type() {
    let media = DownloadMedia {
        media_id: "x".into(),
        timeout_ms: Some(7),
        ..Default::default()
    };
    let request = to_request(
        &mut Call::new(destination(), media),
        &PeerHeaders::default(),
    )
    .unwrap();
    assert_eq!(
        request.uri(),
        "/_matrix/federation/v1/media/download/x?timeout_ms=7"
    );
    assert!(request.body().is_empty());
    assert!(!request.headers().contains_key(header::CONTENT_TYPE));
}

#[test]
fn a_received_target_is_kept_byte_for_byte() {
    for target in [
        "/_matrix/federation/v1/get_missing_events/!r:c",
        "/_matrix/federation/v1/get_missing_events/%21r%3ac",
        "/_matrix/federation/v1/get_missing_events/%21r:c?",
        "/_matrix/federation/v1/get_missing_events/!r+:c?unknown=a+b&unknown=%20",
    ] {
        let body = r#"{ "latest_events": [], "earliest_events": [], "x": {"b":1,"a":2} }"#;
        let request = Request::post(target).body(Bytes::from(body)).unwrap();
        let call =
            from_request(&Operations::federation(), request, &PeerHeaders::default()).unwrap();
        let form = call.form().unwrap();
        assert_eq!(form.target(), target);
        let Content::Json(object) = form.content() else {
            panic!()
        };
        assert_eq!(
            object.text(),
            r#"{"earliest_events":[],"latest_events":[],"x":{"a":2,"b":1}}"#
        );
        // Passed on, it goes out as it came.
        let mut call = call.duplicate();
        assert_eq!(
            to_request(&mut call, &PeerHeaders::default())
                .unwrap()
                .uri(),
            target
        );
    }
}

#[test]
fn the_deadline_travels_only_between_peers_that_agreed() {
    let peer = PeerHeaders {
        deadline: Some("x-time-left-ms".parse().unwrap()),
        trace: true,
    };
    let mut call = Call::new(destination(), ask());
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    call.context_mut().limit_deadline(deadline);
    call.context_mut().trace.parent = Some("00-trace".to_owned());
    let request = to_request(&mut call, &PeerHeaders::default()).unwrap();
    assert!(
        !request.headers().contains_key("x-time-left-ms")
            && !request.headers().contains_key("traceparent")
    );
    let request = to_request(&mut call, &peer).unwrap();
    let operations = Operations::federation();
    let received = from_request(&operations, request.clone(), &peer).unwrap();
    assert!(
        received.context().deadline.unwrap() <= deadline + std::time::Duration::from_millis(100)
    );
    assert_eq!(received.context().trace.parent.as_deref(), Some("00-trace"));
    let received = from_request(&operations, request, &PeerHeaders::default()).unwrap();
    assert!(received.context().deadline.is_none() && received.context().trace.parent.is_none());
}
