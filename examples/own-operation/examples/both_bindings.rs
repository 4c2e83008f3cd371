//! Serves `GetRoomComplexity` beside Comity's own operations, over HTTP and gRPC on one TLS port, and calls it in every way there is.
//!
//! `cargo run --example both_bindings`, in the folder of this crate.

use std::{
    error::Error,
    mem,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router, ServerName,
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::Authenticated,
    error::FederationError,
    json::{Json, Members, Value},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcCodec, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use own_operation::{Calls, Complexity, GetRoomComplexity, GetRoomComplexityReply, complexity};

/// The rpc that carries any operation.
const INVOKE: &str = "/comity.federation.v1.Invocation/Invoke";

struct Homeserver;

#[async_trait]
impl Complexity for Homeserver {
    async fn get_room_complexity(
        &self,
        _: &Authenticated,
        request: GetRoomComplexity,
    ) -> Result<GetRoomComplexityReply, FederationError> {
        if request.room_id != "!room:callee.example" {
            return Err(FederationError::not_found("no such room"));
        }
        // No double holds the second number; it crosses every binding all the same.
        let huge = Value::parse("1e400".into(), 64).expect("a number is JSON");
        Ok(GetRoomComplexityReply {
            v1: Json::write(&(151.0 / 500.0)).expect("a finite number is JSON"),
            extra: Members::from_iter([("org.example.v2".to_owned(), huge)]),
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us: ServerName = "caller.example".parse()?;
    let them: ServerName = "callee.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);
    let (root, tls) = certificate(them.host())?;

    // Comity's operations and ours, side by side; a name or path that were taken would be an error here.
    let operations = Operations::federation().with(own_operation::operations())?;
    let codecs = Codecs::federation().with::<GetRoomComplexity>();

    let document = KeyDocument::new(us.clone(), now_ms() + 3_600_000).sign(&[&key])?;
    let nowhere = Client::new(Arc::new(HttpTransport::new(
        Arc::new(FixedRoutes::new()),
        pool(&root, Protocol::Http1)?,
    )));
    let keys =
        KeyRing::new(nowhere, KeyRingOptions::default()).with_pinned(ServerKeys::parse(document)?);
    let authenticator = XMatrixAuthenticator::new(them.clone(), Arc::new(keys));
    let service = Router::new()
        .with(complexity(Arc::new(Homeserver)))
        .layered(Verify::layer(Arc::new(authenticator)));

    let grpc = GrpcServer::new(
        operations.clone(),
        codecs.clone(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    // Writes down what arrives, as the two ways over gRPC look the same to a handler.
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let log = arrived.clone();
    let claims = move |head: &http::request::Parts| {
        println!("  {} {}", head.method, head.uri.path());
        log.lock()
            .expect("nobody panics with it")
            .push(head.uri.path().to_owned());
        is_grpc(head)
    };
    let dispatch = Dispatch::new(HttpServer::new(operations, service).boxed())
        .with(claims, grpc.into_service());
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), ListenerOptions::with_tls(tls)).await?;
    let routes = Arc::new(FixedRoutes::new().with(
        them.clone(),
        Route {
            addresses: vec![listener.local_addr()],
            host: them.to_string(),
            certificate_name: them.host().to_owned(),
        },
    ));
    let server = tokio::spawn(listener.serve(dispatch, std::future::pending()));

    let http = HttpTransport::new(routes.clone(), pool(&root, Protocol::Http1)?);
    let typed =
        GrpcTransport::new(routes.clone(), pool(&root, Protocol::Http2)?).with_codecs(codecs);
    // This peer has Comity's codecs alone: to it our operation is one of those that go through `Invoke`.
    let without = GrpcTransport::new(routes, pool(&root, Protocol::Http2)?);
    let rpc = format!("/{}", GetRoomComplexity::RPC);
    let ways: [(&str, Arc<dyn Transport>, &str); 3] = [
        (
            "HTTP",
            Arc::new(http),
            "/_matrix/federation/unstable/rooms/",
        ),
        ("gRPC, with the typed message", Arc::new(typed), &rpc),
        ("gRPC, from a peer without it", Arc::new(without), INVOKE),
    ];
    for (way, transport, path) in ways {
        println!("{way}:");
        let client = Client::layered(transport, Sign::layer(us.clone(), key.clone()));
        let mut request = GetRoomComplexity {
            room_id: "!room:callee.example".to_owned(),
            ..GetRoomComplexity::default()
        };
        let reply = client.get_room_complexity(&them, request.clone()).await?;
        let (v1, v2) = (reply.v1.read()?, reply.extra.get("org.example.v2"));
        println!("  v1 is {v1}, and a member that the operation does not know is {v2:?}");
        if v1 != 0.302 || v2.map(Value::as_text) != Some("1e400") {
            return Err("another reply arrived than the one that was given".into());
        }
        request.room_id = "!other:callee.example".to_owned();
        let refused = client.get_room_complexity(&them, request).await;
        let error = refused.err().ok_or("a room that is not there was found")?;
        println!("  {error}");
        let arrived = mem::take(&mut *arrived.lock().expect("nobody panics with it"));
        if arrived.len() != 2 || !arrived.iter().all(|arrived| arrived.starts_with(path)) {
            return Err(format!("{way}: two calls of {path} went out, {arrived:?} arrived").into());
        }
    }
    server.abort();
    Ok(())
}

/// Loopback is refused unless it is allowed: names of other servers must not lead into one's own network.
fn pool(root: &str, protocol: Protocol) -> Result<Pool, Box<dyn Error>> {
    let connector = Connector::new(ClientTls::from_pem(root.as_bytes())?)
        .with_guard(AddressGuard::default().allow_loopback());
    let options = PoolOptions::default().with_protocol(protocol);
    Ok(Pool::new(connector, options))
}

/// A certificate for `name`, and what to trust for it.
fn certificate(name: &str) -> Result<(String, ServerTls), Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    let certificate = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    let tls = ServerTls::from_pem(certificate.as_bytes(), key.as_bytes())?;
    Ok((certificate, tls))
}
