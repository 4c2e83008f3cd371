//! Six operations by value and through the codec.

use comity_core::{api::*, call::Arrival, error::CallError, transport::MemoryMode};
use futures_util::TryStreamExt;

use crate::homeserver::*;

const MODES: [MemoryMode; 2] = [MemoryMode::ByValue, MemoryMode::ThroughCodec];

#[tokio::test]
async fn an_operation_of_each_kind_arrives_by_value_and_through_the_codec() {
    for mode in MODES {
        let (a, b) = (
            Homeserver::new("a.example", 1),
            Homeserver::new("b.example", 2),
        );
        let client = signing(guarded(&b, &a, mode), &a);
        let to = &b.name;

        assert_eq!(
            client.get_version(to, GetVersion::default()).await.unwrap(),
            GetVersionReply::default()
        );
        let keys = client
            .get_server_keys(to, GetServerKeys::default())
            .await
            .unwrap();
        assert!(keys.document.get("verify_keys").is_some());

        client
            .send_transaction(to, transaction(r#"[{"type":"m.a"},7,{"type":"m.b"}]"#))
            .await
            .unwrap();
        assert_eq!(*b.transactions.lock().unwrap(), [(a.name.clone(), 2, 1)]);

        let missing = client
            .get_missing_events(
                to,
                GetMissingEvents {
                    room_id: "!r".into(),
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        assert_eq!(missing.events.len(), 1);

        let mut reply = client.send_join(to, join()).await.unwrap();
        let mut arrays = Vec::new();
        while let Some(arrival) = reply.next().await {
            match arrival.unwrap() {
                Arrival::Item { array, .. } => arrays.push(array),
                Arrival::Bad { bad, .. } => panic!("{bad:?}"),
            }
        }
        assert_eq!(
            arrays.iter().filter(|array| **array == "state").count(),
            100
        );
        assert_eq!(
            arrays
                .iter()
                .filter(|array| **array == "auth_chain")
                .count(),
            1
        );
        assert_eq!(reply.finish().await.unwrap().members_omitted, Some(false));

        let blob = client
            .download_media(
                to,
                DownloadMedia {
                    media_id: "cat".into(),
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        let bytes: Vec<_> = blob.bytes.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"meow!");
    }
}

#[tokio::test]
async fn an_error_comes_back_with_its_status_and_errcode() {
    for mode in MODES {
        let (a, b) = (
            Homeserver::new("a.example", 1),
            Homeserver::new("b.example", 2),
        );
        let client = signing(guarded(&b, &a, mode), &a);
        let error = client
            .download_media(
                &b.name,
                DownloadMedia {
                    media_id: "dog".into(),
                    ..Default::default()
                },
            )
            .await
            .unwrap_err();
        let CallError::Federation(error) = error else {
            panic!("{error}")
        };
        assert_eq!(
            (error.http_status(), error.errcode()),
            (404, Some("M_NOT_FOUND"))
        );
    }
}

#[tokio::test]
async fn a_method_that_nobody_wrote_is_unrecognized() {
    struct Empty;
    impl Server for Empty {}
    let router = comity_core::Router::new().with(server(std::sync::Arc::new(Empty)));
    let transport = comity_core::transport::MemoryTransport::new(
        comity_core::Operations::federation(),
        router.layered(tower::layer::util::Identity::new()),
        MemoryMode::ThroughCodec,
    );
    let client = comity_core::Client::new(std::sync::Arc::new(transport));
    let to = name("b.example");
    let version = client
        .get_version(&to, GetVersion::default())
        .await
        .unwrap_err();
    let keys = client
        .get_server_keys(&to, GetServerKeys::default())
        .await
        .unwrap_err();
    for error in [version, keys] {
        let CallError::Federation(error) = error else {
            panic!("{error}")
        };
        assert_eq!(
            (error.http_status(), error.errcode()),
            (404, Some("M_UNRECOGNIZED"))
        );
    }
}

#[test]
fn a_target_is_routed_by_its_raw_path() {
    let operations = comity_core::Operations::federation();
    let routed = |method: &str, target: &str| {
        operations
            .route(method, target)
            .map(|(op, parts)| (op.spec().name, parts.path))
            .map_err(|error| (error.http_status(), error.errcode().unwrap().to_owned()))
    };
    let unrecognized = |status| Err((status, "M_UNRECOGNIZED".to_owned()));
    assert_eq!(
        routed("PUT", "/_matrix/federation/v1/send/a%2Fb@%3a+"),
        Ok(("SendTransaction", vec!["a/b@:+".to_owned()]))
    );
    assert_eq!(
        routed("PUT", "/_matrix/federation/v1/send/x/"),
        Ok(("SendTransaction", vec!["x".to_owned()]))
    );
    assert_eq!(
        routed("GET", "/_matrix/key/v2/server/"),
        Ok(("GetServerKeys", vec![]))
    );
    assert_eq!(
        routed("GET", "/_matrix/federation/v1/version/"),
        unrecognized(404)
    );
    assert_eq!(
        routed("GET", "/_matrix/federation/v1//version"),
        unrecognized(404)
    );
    assert_eq!(
        routed("GET", "/_matrix/federation/v1/./version"),
        unrecognized(404)
    );
    assert_eq!(
        routed("GET", "/_matrix/federation/v1/Version"),
        unrecognized(404)
    );
    assert_eq!(
        routed("POST", "/_matrix/federation/v1/version"),
        unrecognized(405)
    );
    assert_eq!(routed("GET", "/_matrix/key/v2/nothing"), unrecognized(404));
    for bad in [
        "/_matrix/federation/v1/send/%zz",
        "/_matrix/federation/v1/send/%ff",
        "/_matrix/federation/v1/send/x y",
    ] {
        assert_eq!(
            routed("PUT", bad),
            Err((400, "M_INVALID_PARAM".to_owned())),
            "{bad}"
        );
    }
    let long = format!("/_matrix/federation/v1/send/{}", "x".repeat(9000));
    assert_eq!(
        routed("PUT", &long),
        Err((414, "M_INVALID_PARAM".to_owned()))
    );
}

#[test]
fn a_wrong_parameter_or_member_is_named() {
    let read = |method: &'static str, target: &str, body: &'static str| {
        comity_core::Operations::federation()
            .read(
                method.into(),
                target.to_owned(),
                comity_core::call::CallContext::default(),
                |op| comity_core::endpoint::read_content(op, None, body.as_bytes().into()),
            )
            .map(|_| ())
            .map_err(|error| {
                (
                    error.http_status(),
                    error.errcode().unwrap().to_owned(),
                    error.message().to_owned(),
                )
            })
    };
    let send = "/_matrix/federation/v1/send/1";
    for (method, target, body, status, errcode, named) in [
        ("PUT", send, "", 400, "M_MISSING_PARAM", "pdus"),
        ("PUT", send, "{}", 400, "M_MISSING_PARAM", "pdus"),
        ("PUT", send, r#"{"pdus":{}}"#, 400, "M_BAD_JSON", "pdus"),
        (
            "PUT",
            send,
            r#"{"pdus":[],"edus":1}"#,
            400,
            "M_BAD_JSON",
            "edus",
        ),
        ("PUT", send, "[]", 400, "M_BAD_JSON", ""),
        ("PUT", send, "{", 400, "M_NOT_JSON", "byte 1"),
        ("PUT", send, "\u{feff}{}", 400, "M_NOT_JSON", "byte 0"),
        (
            "PUT",
            send,
            r#"{"a":"\ud800"}"#,
            400,
            "M_NOT_JSON",
            "surrogate",
        ),
        (
            "GET",
            "/_matrix/federation/v1/media/download/x?timeout_ms=soon",
            "",
            400,
            "M_INVALID_PARAM",
            "timeout_ms",
        ),
        (
            "PUT",
            "/_matrix/federation/v2/send_join/!r/$e?omit_members=yes",
            "{}",
            400,
            "M_INVALID_PARAM",
            "omit_members",
        ),
        (
            "POST",
            "/_matrix/federation/v1/get_missing_events/!r",
            r#"{"earliest_events":[1],"latest_events":[]}"#,
            400,
            "M_BAD_JSON",
            "earliest_events",
        ),
    ] {
        let (got_status, got_errcode, message) = read(method, target, body).unwrap_err();
        assert_eq!(
            (got_status, got_errcode.as_str()),
            (status, errcode),
            "{target} {body}: {message}"
        );
        assert!(message.contains(named), "{target} {body}: {message}");
    }
    let many = |count: usize, name: &str| {
        format!(
            r#"{{"pdus":[],"{name}":[{}]}}"#,
            vec!["{}"; count].join(",")
        )
    };
    for (body, limit) in [
        (many(101, "edus"), "100"),
        (many(51, "pdus").replacen(r#""pdus":[],"#, "", 1), "50"),
    ] {
        let (status, errcode, message) =
            read("PUT", send, Box::leak(body.into_boxed_str())).unwrap_err();
        assert_eq!((status, errcode.as_str()), (400, "M_BAD_JSON"));
        assert!(message.contains(limit), "{message}");
    }
}

#[test]
fn one_deep_or_odd_event_spoils_no_other() {
    for depth in [100usize, 990, 10_000] {
        let deep = format!(
            r#"{{"a":{}1{}}}"#,
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        );
        let request = transaction(&format!(
            r#"[{{"type":"m.a"}},{deep},{{"n":1.1}},{{"type":"m.b"}}]"#
        ));
        assert_eq!(request.pdus[1].is_ok(), depth < 1000, "{depth}");
        for good in [0, 2, 3] {
            assert!(request.pdus[good].is_ok());
        }
        assert!(request.pdus[2].as_ref().unwrap().has_odd_numbers());
        assert!(!request.pdus[3].as_ref().unwrap().has_odd_numbers());
    }
}

#[test]
fn a_server_of_one_edition_does_not_recognize_what_lies_outside() {
    use comity_core::call::Edition;
    let all = comity_core::Operations::federation();
    for edition in [Edition::Matrix, Edition::Ietf] {
        let own = all.clone().in_edition(edition);
        assert!(own.iter().len() > 0);
        for op in all.iter() {
            let stands = op.spec().edition(edition);
            let stands = stands.is_some_and(|span| span.until.is_none());
            assert_eq!(own.contains(op), stands, "{op:?} in {edition}");
            assert_eq!(own.by_name(op.spec().name).is_some(), stands);
            let parameters = op.path().segments().filter_map(|segment| match segment {
                comity_core::endpoint::target::Segment::Parameter(_) => Some("x"),
                comity_core::endpoint::target::Segment::Literal(_) => None,
            });
            let target = op.path().write(&parameters.collect::<Vec<_>>());
            match own.route(op.method(), &target) {
                Ok((found, _)) => assert_eq!(found == op, stands, "{op:?} is {found:?}"),
                Err(error) => {
                    assert!(!stands, "{op:?}: {error}");
                    assert_eq!(error.errcode(), Some("M_UNRECOGNIZED"), "{op:?}");
                }
            }
        }
    }
    let ietf = all.clone().in_edition(Edition::Ietf);
    assert!(ietf.by_name("SendTransaction").is_some());
    assert!(ietf.by_name("QueryProfile").is_none());
    // Without it nobody can check what such a server signs.
    assert!(ietf.by_name("GetServerKeys").is_some());
    // What is taken in beside the rows stays so.
    let open = all.with_unregistered().in_edition(Edition::Ietf);
    let (op, _) = open
        .route("GET", "/_matrix/federation/v1/query/profile?user_id=@a:b")
        .unwrap();
    assert_eq!(op.spec().name, "Unregistered");
}

/// An operation of one edition that it took out again.
#[test]
fn what_an_edition_took_out_is_outside_of_it() {
    use comity_core::call::Edition;
    let removed = comity_core::call::operation::<crate::shapes::Removed>();
    let all = comity_core::Operations::federation()
        .with([removed])
        .unwrap();
    assert!(all.contains(removed));
    assert!(!all.clone().in_edition(Edition::Matrix).contains(removed));
    assert!(all.in_edition(Edition::Ietf).contains(removed));
}
