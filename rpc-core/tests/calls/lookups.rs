//! Rooms, queries, tokens and signatures: what single operations promise beyond what all keep.

use comity_core::{
    CallService, Client, Operations,
    api::*,
    call::{
        AnyRequest, Call, Endpoint, Message, MessageForm, Operation, OperationSpec, Reply,
        Unregistered, operation,
    },
    endpoint::{Content, EndpointParts, PathTemplate, Query, read_content},
    error::{CallError, FederationError},
    json::{Json, Object},
};

use crate::homeserver::name;

fn object(text: &str) -> Object {
    Object::parse(text.to_owned().into(), 16 << 20).unwrap()
}

fn routed(method: &str, target: &str) -> Result<(&'static str, Vec<String>), u16> {
    let routed = Operations::federation().route(method, target);
    routed
        .map(|(op, parts)| (op.spec().name, parts.path))
        .map_err(|error| error.http_status())
}

#[test]
fn a_query_with_a_row_of_its_own_is_no_custom_one() {
    let query = |name: &str| format!("/_matrix/federation/v1/query/{name}?room_alias=%23a:b");
    assert_eq!(
        routed("GET", &query("directory")),
        Ok(("QueryDirectory", vec![]))
    );
    assert_eq!(
        routed("GET", &query("profile")),
        Ok(("QueryProfile", vec![]))
    );
    for (written, read) in [
        ("client_keys", "client_keys"),
        ("org.example%2Fx", "org.example/x"),
        ("Directory", "Directory"),
        ("directory%20", "directory "),
    ] {
        assert_eq!(
            routed("GET", &query(written)),
            Ok(("QueryCustom", vec![read.to_owned()]))
        );
    }
    assert_eq!(routed("POST", &query("directory")), Err(405));
    assert_eq!(routed("GET", &query("directory/")), Err(404));
    assert_eq!(routed("GET", &query("")), Err(404));
}

#[test]
fn keys_are_asked_for_with_and_without_their_id() {
    for (method, target, found) in [
        ("GET", "/_matrix/key/v2/server", "GetServerKeys"),
        ("GET", "/_matrix/key/v2/server/", "GetServerKeys"),
        (
            "GET",
            "/_matrix/key/v2/server/ed25519:1",
            "GetServerKeysById",
        ),
        ("POST", "/_matrix/key/v2/query", "BatchQueryServerKeys"),
        ("POST", "/_matrix/key/v2/query/", "BatchQueryServerKeys"),
        (
            "GET",
            "/_matrix/key/v2/query/a.example%3A8448",
            "QueryServerKeys",
        ),
        (
            "GET",
            "/_matrix/key/v2/query/a.example/ed25519:1",
            "QueryServerKeysById",
        ),
    ] {
        let routed = routed(method, target).map(|(name, _)| name);
        assert_eq!(routed, Ok(found), "{method} {target}");
    }
}

#[test]
fn other_spellings_are_understood() {
    for (method, target, found) in [
        (
            "PUT",
            "/_matrix/federation/v1/3pid/onbind",
            "NotifyThirdPartyBind",
        ),
        (
            "POST",
            "/_matrix/federation/v1/3pid/onbind",
            "NotifyThirdPartyBind",
        ),
        (
            "GET",
            "/_matrix/federation/unstable/org.matrix.msc2946/hierarchy/!a:b",
            "GetHierarchy",
        ),
        (
            "POST",
            "/_matrix/policy/unstable/org.matrix.msc4284/sign",
            "PolicySign",
        ),
        (
            "GET",
            "/_matrix/media/v3/download/a.example/x",
            "DownloadMediaLegacy",
        ),
        (
            "GET",
            "/_matrix/media/r0/download/a.example/x",
            "DownloadMediaLegacy",
        ),
        (
            "GET",
            "/_matrix/media/v1/thumbnail/a.example/x?width=1&height=1",
            "DownloadThumbnailLegacy",
        ),
    ] {
        let routed = routed(method, target).map(|(name, _)| name);
        assert_eq!(routed, Ok(found), "{method} {target}");
    }
}

/// A query type of someone else's: a row of its own wins over `QueryCustom` as `directory` does, though it was registered later.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryWeather;

impl Operation for QueryWeather {
    type Reply = QueryCustomReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "QueryWeather",
        ..*QueryCustom::SPEC
    };
}

impl Endpoint for QueryWeather {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/weather");

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

/// The same under the path of another row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryAnything;

impl Operation for QueryAnything {
    type Reply = QueryCustomReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "QueryAnything",
        ..*QueryCustom::SPEC
    };
}

impl Endpoint for QueryAnything {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/query/{anything}");

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

#[test]
fn a_query_type_can_be_given_a_row_of_its_own() {
    let operations = Operations::federation()
        .with([operation::<QueryWeather>()])
        .unwrap();
    let routed = |name: &str| {
        let target = format!("/_matrix/federation/v1/query/{name}");
        operations.route("GET", &target).unwrap().0.spec().name
    };
    assert_eq!(routed("weather"), "QueryWeather");
    assert_eq!(routed("weathers"), "QueryCustom");
    let clash = Operations::federation().with([operation::<QueryAnything>()]);
    assert!(clash.unwrap_err().to_string().contains("QueryAnything"));
}

#[tokio::test]
async fn a_query_reaches_the_same_operation_by_value_as_on_a_wire() {
    use comity_core::transport::{MemoryMode, MemoryTransport};
    let operations = Operations::federation()
        .with([operation::<QueryWeather>()])
        .unwrap();
    for mode in [MemoryMode::ByValue, MemoryMode::ThroughCodec] {
        let service = CallService::new(tower::service_fn(|call: Call| async move {
            let reached = format!(r#"{{"reached":"{}"}}"#, call.spec().name);
            Ok(Reply::Message(Message::from_content(object(&reached))))
        }));
        let transport = MemoryTransport::new(operations.clone(), service, mode);
        let client = Client::new(std::sync::Arc::new(transport));
        for (query_type, reached) in [
            ("profile", "QueryProfile"),
            ("weather", "QueryWeather"),
            ("org.example.x", "QueryCustom"),
        ] {
            let request = QueryCustom {
                query_type: query_type.to_owned(),
                parameters: Query::parse("user_id=%40a%3Ab").unwrap(),
            };
            let reply = client.query_custom(&name("b.example"), request).await;
            let reply = format!("{:?}", reply.unwrap());
            assert!(reply.contains(reached), "{mode:?} {query_type}: {reply}");
        }
    }
}

#[test]
fn an_access_token_is_shown_nowhere() {
    const TOKEN: &str = "SomeT0kenHere";
    let mut extra_query = Query::new();
    extra_query.push("access_token", TOKEN);
    extra_query.push("other", "shown");
    let request = GetOpenIdUserInfo {
        access_token: TOKEN.to_owned(),
        extra_query,
    };
    let form = AnyRequest::write(&request).unwrap();
    assert!(form.target().contains(TOKEN));
    let mut call = Call::new(name("b.example"), request.clone());
    call.make_form().unwrap();
    for shown in [
        format!("{request:?}"),
        format!("{form:?}"),
        format!("{:?}", form.parts()),
        format!("{:#?}", form.parts().query),
        format!("{call:?}"),
    ] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    assert!(format!("{request:?}").contains("shown"));
    let unknown = Unregistered::new("GET", form.target(), Content::Absent).unwrap();
    assert!(!format!("{unknown:?}").contains(TOKEN));

    let long = GetOpenIdUserInfo {
        access_token: TOKEN.repeat(1_000),
        ..request
    };
    let CallError::Transport(error) = AnyRequest::write(&long).unwrap_err() else {
        panic!("it is not sent")
    };
    let error = format!("{error:?} {error}");
    assert!(!error.contains(TOKEN), "{error}");
    let target = format!("{}&x=%zz", form.target());
    let error = Operations::federation().route("GET", &target).unwrap_err();
    let error = format!("{error:?} {error}");
    assert!(!error.contains(TOKEN), "{error}");
}

#[test]
fn without_its_token_a_request_lacks_its_proof() {
    let error = GetOpenIdUserInfo::read(&EndpointParts::default()).unwrap_err();
    assert_eq!(
        (error.http_status(), error.errcode()),
        (401, Some("M_MISSING_TOKEN"))
    );
    let error = AnyRequest::write(&GetOpenIdUserInfo::default()).unwrap_err();
    assert!(error.to_string().contains("`access_token`"), "{error}");
}

#[test]
fn a_token_is_of_a_user_of_the_server_that_was_asked() {
    let asked = name("a.example:8448");
    let answer = |sub: &str| {
        let reply = GetOpenIdUserInfoReply {
            sub: sub.to_owned(),
            ..Default::default()
        };
        reply.user_of(&asked).map(str::to_owned)
    };
    for good in ["@alice:a.example:8448", "@:a.example:8448"] {
        assert_eq!(answer(good), Ok(good.to_owned()));
    }
    for bad in [
        "@alice:b.example",
        "@alice:a.example",
        "@alice:a.example:8448:8448",
        "@alice:A.example:8448",
        "@alice:b.example:a.example:8448",
        "alice:a.example:8448",
        "@alice",
        "",
    ] {
        let error = answer(bad).unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
}

/// Synapse wrote both as strings once.
#[test]
fn a_search_by_an_older_server_is_understood() {
    let text = r#"{"filter":{"generic_search_term":"x","room_types":[null,"m.space"]},"include_all_networks":"false","limit":"20"}"#;
    let parts = EndpointParts {
        content: read_content(operation::<QueryPublicRooms>(), None, text.into()).unwrap(),
        ..EndpointParts::default()
    };
    let request = QueryPublicRooms::read(&parts).unwrap();
    assert_eq!((request.limit, request.include_all_networks), (None, None));
    let filter = request.filter.as_ref().unwrap().read().unwrap();
    assert_eq!(
        filter.room_types,
        Some(vec![None, Some("m.space".to_owned())])
    );
    assert_eq!(Endpoint::write(&request), parts);
    assert_eq!(Json::write(&filter).unwrap(), request.filter.unwrap());
}

#[test]
fn what_is_said_of_a_room_is_read_one_by_one() {
    let good = r##"{"allowed_room_ids":null,"canonical_alias":null,"children_state":[{"origin_server_ts":1.5,"type":"m.space.child"},7],"guest_can_join":false,"num_joined_members":3,"org.example":1e400,"room_id":"!a:b","world_readable":true}"##;
    let text = format!(r#"{{"chunk":[{good},{{"room_id":7}},"x"],"next_batch":null}}"#);
    let reply = PublicRoomsReply::read(&object(&text)).unwrap();
    assert_eq!(reply.write().text(), text.as_bytes());
    let first = reply.chunk[0].read().unwrap();
    assert_eq!(
        (first.room_id.as_str(), first.num_joined_members),
        ("!a:b", 3)
    );
    assert_eq!(first.allowed_room_ids, None);
    let children = first.children_state.unwrap();
    assert_eq!(
        children[0].as_text(),
        r#"{"origin_server_ts":1.5,"type":"m.space.child"}"#
    );
    assert!(reply.chunk[1].read().is_err());
    assert!(reply.chunk[2].read().is_err());
}

#[test]
fn a_list_within_a_summary_is_bounded_too() {
    let most = GetHierarchy::SPEC.limits.elements;
    let room = |list: &str, elements: usize| {
        let list_text = vec![r#""""#; elements].join(",");
        let text = format!(
            r#"{{"guest_can_join":true,"num_joined_members":0,"room_id":"","world_readable":true,"{list}":[{list_text}]}}"#
        );
        let room = object(&text).to_value();
        Json::<RoomSummary>::from_value(room).read()
    };
    for list in ["allowed_room_ids", "children_state"] {
        room(list, most).unwrap();
        let error = room(list, most + 1).unwrap_err().to_string();
        assert!(error.contains("100000"), "{error}");
    }
}

#[test]
fn a_policy_server_signs_or_refuses() {
    let server = name("policy.example");
    let reply = |text: &str| PolicySignReply::read(&object(text)).unwrap();
    let signed = reply(r#"{"policy.example":{"ed25519:policy_server":"AAAA"},"x":1}"#);
    assert_eq!(signed.signature_of(&server).as_deref(), Some("AAAA"));
    assert_eq!(signed.signature_of(&name("other.example")), None);
    for none in [
        "{}",
        r#"{"policy.example":{"ed25519:1":"AAAA"}}"#,
        r#"{"policy.example":7}"#,
    ] {
        assert_eq!(reply(none).signature_of(&server), None, "{none}");
    }
    for (status, errcode, refused) in [
        (400, "M_FORBIDDEN", true),
        (403, "M_FORBIDDEN", true),
        (400, "M_BAD_JSON", false),
        (404, "M_NOT_FOUND", false),
    ] {
        let error = FederationError::new(status, errcode, "");
        assert_eq!(
            PolicySign::is_refusal(&error),
            refused,
            "{status} {errcode}"
        );
    }
}
