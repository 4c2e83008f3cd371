//! Health and reflection, asked by hand, on one port with both bindings.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use comity_core::{
    Client, Operations,
    api::{Calls, GetVersion},
    call::{Message as Content, Reply},
    transport::Transport,
};
use comity_grpc::{
    Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, Health, is_grpc, is_reflection,
    reflection,
};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{Body, ConnectionInfo, Dispatch, Pool, PoolOptions, Protocol, body};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest as Ask,
    server_reflection_response::MessageResponse as Told,
};

use crate::setting::{Serving, destination, handler, object};

/// Both bindings, and what may stand beside them.
fn dispatch(health: Option<&Health>) -> Dispatch {
    let service = handler(|_| async {
        Ok(Reply::Message(Content::from_content(object(
            r#"{"server":{"name":"x"}}"#,
        ))))
    });
    let http = HttpServer::new(Operations::federation(), service.clone());
    let grpc = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        service,
        GrpcServerOptions::default(),
    );
    let dispatch = Dispatch::new(http.boxed());
    let dispatch = match health {
        Some(health) => dispatch
            .with(Health::claims, health.service())
            .with(is_reflection, reflection()),
        None => dispatch,
    };
    dispatch.with(is_grpc, grpc.into_service())
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap()
}

/// A reply that is read message by message.
struct Answer {
    response: Response<Body>,
    bytes: BytesMut,
    trailers: HeaderMap,
}

impl Answer {
    async fn to(serving: &Serving, path: &str, body: Body) -> Self {
        let pool = serving.pool();
        let response = pool
            .send(&serving.route(), request(path, body))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        Self {
            trailers: response.headers().clone(),
            response,
            bytes: BytesMut::new(),
        }
    }

    async fn next<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if self.bytes.len() >= 5 {
                let length = (&self.bytes[1..5]).get_u32() as usize;
                if self.bytes.len() >= 5 + length {
                    let frame = self.bytes.split_to(5 + length);
                    return Some(M::decode(&frame[5..]).unwrap());
                }
            }
            let frame = self.response.body_mut().frame().await?.unwrap();
            match frame.into_data() {
                Ok(data) => self.bytes.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().unwrap(),
            }
        }
    }

    /// The status, in the head or behind the body.
    async fn status(mut self) -> String {
        while self.next::<HealthCheckResponse>().await.is_some() {}
        self.trailers["grpc-status"].to_str().unwrap().to_owned()
    }
}

fn of(service: &str) -> Body {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    body::full(framed(&request))
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn health_is_asked_for_the_whole_and_for_each_service() {
    let health = Health::new();
    let serving = Serving::dispatching(dispatch(Some(&health))).await;
    for (serves, status) in [
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
        (true, ServingStatus::Serving),
    ] {
        health.set_serving(serves).await;
        for service in [
            "",
            "comity.federation.v1.Server",
            "comity.federation.v1.Membership",
        ] {
            let mut answer = Answer::to(&serving, CHECK, of(service)).await;
            let said: HealthCheckResponse = answer.next().await.unwrap();
            assert_eq!(said.status(), status, "{service}");
            assert_eq!(answer.status().await, "0");
        }
    }
    let unknown = Answer::to(&serving, CHECK, of("org.example.Nothing")).await;
    assert_eq!(unknown.status().await, "5", "NOT_FOUND");
}

#[tokio::test]
async fn who_watches_the_health_is_told_when_it_changes() {
    let health = Health::new();
    let serving = Serving::dispatching(dispatch(Some(&health))).await;
    let mut watching = Answer::to(&serving, WATCH, of("")).await;
    let mut said = Vec::new();
    for serves in [true, false, true] {
        health.set_serving(serves).await;
        let told: HealthCheckResponse = watching.next().await.unwrap();
        said.push(told.status());
    }
    use ServingStatus::{NotServing, Serving as Serves};
    assert_eq!(said, [Serves, NotServing, Serves]);
}

fn questions(asks: Vec<Ask>) -> Body {
    body::from_stream(stream::iter(asks).map(|ask| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(ask),
        };
        Ok::<_, std::io::Error>(framed(&request))
    }))
}

#[tokio::test]
async fn the_schema_is_told_to_generic_clients() {
    let health = Health::new();
    let serving = Serving::dispatching(dispatch(Some(&health))).await;
    let asks = vec![
        Ask::ListServices(String::new()),
        Ask::FileContainingSymbol("comity.federation.v1.Server.GetVersion".to_owned()),
    ];
    let mut answer = Answer::to(&serving, REFLECT, questions(asks)).await;
    let first: ServerReflectionResponse = answer.next().await.unwrap();
    let Some(Told::ListServicesResponse(list)) = first.message_response else {
        panic!("{first:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|one| one.name.as_str()).collect();
    for name in [
        "comity.federation.v1.Server",
        "comity.federation.v1.Transactions",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let second: ServerReflectionResponse = answer.next().await.unwrap();
    let Some(Told::FileDescriptorResponse(files)) = second.message_response else {
        panic!("{second:?}");
    };
    let mut missing = Vec::new();
    let mut found = false;
    for file in &files.file_descriptor_proto {
        let file = FileDescriptorProto::decode(&file[..]).unwrap();
        found |= file
            .service
            .iter()
            .any(|service| service.name() == "Server");
        missing.extend(file.dependency);
    }
    assert!(found);
    assert_eq!(answer.status().await, "0");
    // A client asks for what a file imports, until nothing is missing.
    while let Some(name) = missing.pop() {
        let ask = questions(vec![Ask::FileByFilename(name.clone())]);
        let mut answer = Answer::to(&serving, REFLECT, ask).await;
        let told: ServerReflectionResponse = answer.next().await.unwrap();
        let Some(Told::FileDescriptorResponse(files)) = told.message_response else {
            panic!("{name}: {told:?}");
        };
        for file in &files.file_descriptor_proto {
            missing.extend(FileDescriptorProto::decode(&file[..]).unwrap().dependency);
        }
    }
}

#[tokio::test]
async fn nothing_of_it_is_served_unless_it_is_mounted() {
    let serving = Serving::dispatching(dispatch(None)).await;
    for path in [CHECK, WATCH, REFLECT] {
        let answer = Answer::to(&serving, path, of("")).await;
        assert_eq!(answer.status().await, "12", "{path}: UNIMPLEMENTED");
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let health = Health::new();
    let serving = Serving::dispatching(dispatch(Some(&health))).await;
    let large = of(&"x".repeat(5_000));
    let compressed = body::full(Bytes::from_static(&[1, 0, 0, 0, 2, 0x1f, 0x8b]));
    let garbage = body::full(Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff]));
    for (body, statuses) in [
        (large, &["11"][..]),
        (compressed, &["12", "13"]),
        (garbage, &["13"]),
    ] {
        let status = Answer::to(&serving, CHECK, body).await.status().await;
        assert!(statuses.contains(&status.as_str()), "{status}");
    }
    let other = Answer::to(&serving, "/grpc.health.v1.Health/Other", of("")).await;
    assert_eq!(other.status().await, "12");
    // Without gRPC's content type it is a path that no row has.
    let plain = Request::post(CHECK).body(body::empty()).unwrap();
    let plain = serving.pool().send(&serving.route(), plain).await.unwrap();
    assert_eq!(plain.status(), 404);
    let text = plain.into_body().collect().await.unwrap().to_bytes();
    assert!(
        text.starts_with(br#"{"errcode":"M_UNRECOGNIZED""#),
        "{text:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_does_not_come_is_not_waited_for() {
    // Without a socket, so that time may run by itself.
    let silent = body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let mut service = Health::new().service();
    let asked = tower::Service::call(&mut service, request(CHECK, silent));
    let response = tokio::time::timeout(Duration::from_secs(11), asked).await;
    let response = response.unwrap().unwrap();
    assert_eq!(response.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
    // And one who watches is cut off, some time.
    let watched = tower::Service::call(&mut service, request(WATCH, of("")));
    let mut body = watched.await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let end = tokio::time::timeout(Duration::from_secs(3_700), body.frame()).await;
    assert!(end.unwrap().unwrap().is_err());
}

/// HTTP/1.1 and HTTP/2 with JSON, gRPC, health and reflection: one port, one certificate, ALPN.
#[tokio::test]
async fn one_port_with_tls_serves_everything_at_once() {
    let health = Health::new();
    let serving = Arc::new(Serving::dispatching(dispatch(Some(&health))).await);
    let pool = |protocol| {
        Pool::new(
            serving.connector(),
            PoolOptions::default().with_protocol(protocol),
        )
    };
    let routes = serving.routes();
    let transports: [(Arc<dyn Transport>, &str); 4] = [
        (
            Arc::new(HttpTransport::new(routes.clone(), pool(Protocol::Http1))),
            "http/1.1",
        ),
        (
            Arc::new(HttpTransport::new(routes.clone(), pool(Protocol::Http2))),
            "h2",
        ),
        (
            Arc::new(HttpTransport::new(routes.clone(), pool(Protocol::Http1Or2))),
            "h2",
        ),
        (
            Arc::new(GrpcTransport::new(routes.clone(), pool(Protocol::Http2))),
            "h2",
        ),
    ];
    let mut calls = Vec::new();
    for (transport, _) in &transports {
        for _ in 0..25 {
            let client = Client::new(transport.clone());
            calls.push(tokio::spawn(async move {
                let to = destination();
                let reply = client.get_version(&to, GetVersion::default());
                reply.await.map(|_| ())
            }));
        }
    }
    let mut checks = Vec::new();
    for _ in 0..10 {
        let serving = serving.clone();
        checks.push(tokio::spawn(async move {
            let health = Answer::to(&serving, CHECK, of("")).await.status().await;
            let ask = questions(vec![Ask::ListServices(String::new())]);
            let mut reflected = Answer::to(&serving, REFLECT, ask).await;
            (health, reflected.next::<ServerReflectionResponse>().await)
        }));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for check in checks {
        let (health, reflected) = check.await.unwrap();
        assert_eq!(health, "0");
        assert!(reflected.is_some());
    }
    for (protocol, alpn) in [
        (Protocol::Http1, "http/1.1"),
        (Protocol::Http2, "h2"),
        (Protocol::Http1Or2, "h2"),
    ] {
        let request = Request::get("/_matrix/federation/v1/version");
        let request = request.body(body::empty()).unwrap();
        let response = pool(protocol)
            .send(&serving.route(), request)
            .await
            .unwrap();
        let info = response.extensions().get::<Arc<ConnectionInfo>>().unwrap();
        let agreed = info.tls().unwrap().alpn.as_deref();
        assert_eq!(agreed, Some(alpn.as_bytes()));
    }
}
