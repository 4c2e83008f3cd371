//! An answer is the same on both ends, and trouble on the way is told from it.

use std::time::Duration;

use comity_core::{
    Operations,
    api::{Calls, DownloadMedia, GetVersion, SendJoin},
    error::{CallError, ErrorOrigin, FederationError},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};

use crate::setting::{Serving, destination, fails, pdu};

fn rows() -> Vec<FederationError> {
    let mut rows = vec![
        FederationError::unauthorized("who?"),
        FederationError::malformed_credentials("what?"),
        FederationError::forbidden("no ü\n\"%"),
        FederationError::new(400, "M_FORBIDDEN", "no"),
        FederationError::not_found("no"),
        FederationError::unrecognized(),
        FederationError::method_not_allowed(),
        FederationError::not_json("no"),
        FederationError::bad_json("no"),
        FederationError::missing_param("no"),
        FederationError::invalid_param("no"),
        FederationError::too_large("x", 1, "receiver", "y"),
        FederationError::new(502, "M_TOO_LARGE", "x"),
        FederationError::limit_exceeded("slow", Some(Duration::from_millis(1500))),
        FederationError::limit_exceeded("slow", None),
        FederationError::deadline_exceeded("late"),
        FederationError::internal("oops"),
        FederationError::new(504, "M_NOT_YET_UPLOADED", "wait")
            .with_retry_after(Duration::from_secs(2)),
        FederationError::new(418, "M_UNKNOWN", "x"),
        FederationError::new(599, "ORG.EXAMPLE.ODD-é", ""),
        FederationError::new(400, "M_INCOMPATIBLE_ROOM_VERSION", "x")
            .with_string("room_version", "12"),
        FederationError::from_http(404, None, "".into()),
        FederationError::from_http(502, Some("7"), "<html>bad gateway</html>".into()),
        FederationError::from_http(
            429,
            None,
            r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":250}"#.into(),
        ),
        FederationError::from_http(301, None, "".into()),
        FederationError::from_http(202, None, "".into()),
        FederationError::forbidden("via").with_origin(ErrorOrigin::Gateway("gw.test".to_owned())),
    ];
    for errcode in [
        "M_RESOURCE_LIMIT_EXCEEDED",
        "M_UNABLE_TO_GRANT_JOIN",
        "M_BAD_STATE",
        "M_SERVER_NOT_TRUSTED",
    ] {
        rows.push(FederationError::new(400, errcode, "x"));
    }
    rows
}

fn same(sent: &FederationError, got: CallError) {
    let CallError::Federation(got) = got else {
        panic!("{sent:?} arrived as {got:?}");
    };
    assert_eq!(got.http_status(), sent.http_status());
    assert_eq!(got.errcode(), sent.errcode());
    assert_eq!(got.kind(), sent.kind());
    assert_eq!(got.body(), sent.body());
    assert_eq!(got.retry_after(), sent.retry_after());
    assert_eq!(got.message(), sent.message());
}

#[tokio::test]
async fn every_answer_arrives_as_it_was() {
    for error in rows() {
        let serving = Serving::start(fails(error.clone())).await;
        let to = destination();
        let client = serving.client();
        same(
            &error,
            client
                .get_version(&to, GetVersion::default())
                .await
                .unwrap_err(),
        );
        let media = DownloadMedia {
            media_id: "x".to_owned(),
            ..Default::default()
        };
        same(&error, client.download_media(&to, media).await.unwrap_err());
        let join = SendJoin {
            room_id: "!r".to_owned(),
            event_id: "$e".to_owned(),
            event: pdu(1),
            omit_members: None,
            extra_query: Default::default(),
        };
        same(&error, client.send_join(&to, join).await.unwrap_err());
    }
}

#[tokio::test]
async fn every_answer_arrives_as_it_was_through_invoke() {
    for error in rows() {
        let serving = Serving::invoke_only(fails(error.clone())).await;
        let got = serving
            .client()
            .get_version(&destination(), GetVersion::default())
            .await;
        same(&error, got.unwrap_err());
    }
}

#[tokio::test]
async fn who_said_it_arrives() {
    let gateway = ErrorOrigin::Gateway("gw.test".to_owned());
    for (sent, told) in [
        (FederationError::forbidden("x"), ErrorOrigin::Remote),
        (
            FederationError::forbidden("x").with_origin(gateway.clone()),
            gateway,
        ),
        (
            FederationError::from_http(502, None, "<html>".into()),
            ErrorOrigin::Intermediary,
        ),
    ] {
        let serving = Serving::start(fails(sent)).await;
        let got = serving
            .client()
            .get_version(&destination(), GetVersion::default())
            .await;
        let Err(CallError::Federation(got)) = got else {
            panic!("{got:?}");
        };
        assert_eq!(*got.origin(), told);
    }
}

#[tokio::test]
async fn details_stay_small_and_lose_the_body_first() {
    let big =
        FederationError::forbidden("x".repeat(20_000)).with_retry_after(Duration::from_secs(3));
    let serving = Serving::start(fails(big)).await;
    let got = serving
        .client()
        .get_version(&destination(), GetVersion::default())
        .await;
    let Err(CallError::Federation(got)) = got else {
        panic!("{got:?}");
    };
    assert_eq!(got.http_status(), 403);
    assert_eq!(got.errcode(), Some("M_FORBIDDEN"));
    assert_eq!(got.retry_after(), Some(Duration::from_secs(3)));
    assert!(got.message().starts_with("xxx") && got.message().len() <= 2048);
}

#[tokio::test]
async fn a_gateway_says_so_in_errors_of_its_own_and_in_every_reply() {
    let options = || GrpcServerOptions::default().with_via("gw.test".parse().unwrap());
    let spoken = |service, codecs| {
        GrpcServer::new(Operations::federation(), codecs, service, options()).into_service()
    };
    let own = FederationError::internal("ours");
    let theirs = FederationError::internal("theirs").with_origin(ErrorOrigin::Remote);
    let gateway = ErrorOrigin::Gateway("gw.test".to_owned());
    for codecs in [Codecs::federation(), Codecs::none()] {
        for (error, origin) in [(&own, &gateway), (&theirs, &ErrorOrigin::Remote)] {
            let serving = Serving::http(spoken(fails(error.clone()), codecs.clone())).await;
            let got = serving
                .client()
                .get_version(&destination(), GetVersion::default())
                .await;
            let Err(CallError::Federation(got)) = got else {
                panic!("{got:?}");
            };
            assert_eq!(got.origin(), origin);
            let named = r#""via":"gw.test""#;
            let body = std::str::from_utf8(got.body()).unwrap();
            assert_eq!(body.contains(named), *origin == gateway, "{body}");
        }
    }
    let serving = Serving::http(spoken(fails(own), Codecs::federation())).await;
    let request = http::Request::post("/comity.federation.v1.Server/GetVersion")
        .header("content-type", "application/grpc")
        .body(comity_net::body::full(vec![0; 5]))
        .unwrap();
    let response = serving.pool().send(&serving.route(), request).await;
    assert_eq!(response.unwrap().headers()["via"], "grpc/1 gw.test");
}
