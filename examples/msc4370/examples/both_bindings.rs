//! Serves `GetExtremities` beside Comity's own operations, over HTTP and gRPC on one TLS port, and calls it in every way there is.
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
    json::{Members, Value},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcCodec, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use msc4370::{Calls, Extremities, GetExtremities, GetExtremitiesReply, extremities};

/// The rpc that carries any operation.
const INVOKE: &str = "/comity.federation.v1.Invocation/Invoke";

struct Homeserver;

// [doc: serve]
#[async_trait]
impl Extremities for Homeserver {
    async fn get_extremities(
        &self,
        cx: &Authenticated,
        request: GetExtremities,
    ) -> Result<GetExtremitiesReply, FederationError> {
        if request.room_id != "!room:callee.example" {
            let origin = cx.origin();
            return Err(FederationError::not_found(format!(
                "no such room, {origin}"
            )));
        }
        let draft = Value::string("not in the proposal");
        Ok(GetExtremitiesReply {
            prev_events: vec!["$one".to_owned(), "$other".to_owned()],
            extra: Members::from_iter([("org.example.more".to_owned(), draft)]),
        })
    }
}
// [end doc]

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us: ServerName = "caller.example".parse()?;
    let them: ServerName = "callee.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);
    let (root, tls) = certificate(them.host())?;

    // [doc: register]
    // Comity's operations and ours, side by side; a name or path that were taken would be an error here.
    let operations = Operations::federation().with(msc4370::operations())?;
    let codecs = Codecs::federation().with::<GetExtremities>();
    // [end doc]

    let document = KeyDocument::new(us.clone(), now_ms() + 3_600_000).sign(&[&key])?;
    let nowhere = Client::new(Arc::new(HttpTransport::new(
        Arc::new(FixedRoutes::new()),
        pool(&root, Protocol::Http1)?,
    )));
    let keys =
        KeyRing::new(nowhere, KeyRingOptions::default()).with_pinned(ServerKeys::parse(document)?);
    let authenticator = XMatrixAuthenticator::new(them.clone(), Arc::new(keys));
    let service = Router::new()
        .with(extremities(Arc::new(Homeserver)))
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
    let rpc = format!("/{}", GetExtremities::RPC);
    let ways: [(&str, Arc<dyn Transport>, &str); 3] = [
        (
            "HTTP",
            Arc::new(http),
            "/_matrix/federation/unstable/org.matrix.msc4370/extremities/",
        ),
        ("gRPC, with the typed message", Arc::new(typed), &rpc),
        ("gRPC, from a peer without it", Arc::new(without), INVOKE),
    ];
    for (way, transport, path) in ways {
        println!("{way}:");
        let client = Client::layered(transport, Sign::layer(us.clone(), key.clone()));
        let mut request = GetExtremities {
            room_id: "!room:callee.example".to_owned(),
            ..GetExtremities::default()
        };
        let reply = client.get_extremities(&them, request.clone()).await?;
        let more = reply.extra.get("org.example.more");
        println!(
            "  {:?}, and a member that the operation does not know: {more:?}",
            reply.prev_events
        );
        if reply.prev_events != ["$one", "$other"] || more.is_none() {
            return Err("another reply arrived than the one that was given".into());
        }
        request.room_id = "!other:callee.example".to_owned();
        let refused = client.get_extremities(&them, request).await;
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
