//! Two group traits, implemented once, served over HTTP and gRPC on one TLS port, and called by the same typed client over each.
//!
//! `cargo run -p comity-examples --example serve_and_call`

use std::{error::Error, net::Ipv4Addr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{
        self, Calls, Events, GetMissingEvents, GetMissingEventsReply, GetVersion, GetVersionReply,
        Server, ServerVersion,
    },
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::{Authenticated, CallContext},
    error::FederationError,
    event::Pdu,
    json::{Json, Members, Value},
    layers::{Clocks, Flow, Permits, RunToEnd, Side, Trace},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport, is_grpc};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    Protocol, ServerTls,
};
use tower::ServiceBuilder;

/// A server that knows its version and one event. What it does not implement is answered `M_UNRECOGNIZED`.
struct Homeserver;

#[async_trait]
impl Server for Homeserver {
    /// No signature is needed, so the context is that of any call: it tells the binding, for one.
    async fn get_version(
        &self,
        cx: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        println!("  server: version asked for over {}", cx.binding);
        let version = ServerVersion {
            name: Some("Example".to_owned()),
            version: Some("1".to_owned()),
        };
        Ok(GetVersionReply {
            server: Json::write(&version).ok(),
            extra: Members::new(),
        })
    }
}

#[async_trait]
impl Events for Homeserver {
    /// The table says that a server signs this call, so the context holds a proven origin.
    async fn get_missing_events(
        &self,
        cx: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        println!("  server: {} asks over {}", cx.origin(), cx.binding);
        if request.room_id != "!room" {
            return Err(FederationError::not_found("no such room"));
        }
        Ok(GetMissingEventsReply::new([event()]))
    }
}

fn event() -> Pdu {
    let text = Bytes::from_static(br#"{"content":{"body":"hello"},"type":"m.room.message"}"#);
    let value = Value::parse(text, 1024).expect("the text is JSON");
    Pdu::judge(value).expect("and an event")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us: ServerName = "caller.example".parse()?;
    let them: ServerName = "callee.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);

    // The callee: router, layers, both bindings, one port.
    let (root, tls) = certificate(them.host())?;
    let service = {
        // A server fetches other servers' keys: `KeyRing::new(client, ..)`. Here the caller's are known.
        let document = KeyDocument::new(us.clone(), now_ms() + 3_600_000).sign(&[&key])?;
        let nowhere = Client::new(http(FixedRoutes::new(), &root)?);
        let keys = KeyRing::new(nowhere, KeyRingOptions::default())
            .with_pinned(ServerKeys::parse(document)?);
        let authenticator = XMatrixAuthenticator::new(them.clone(), Arc::new(keys));
        let homeserver = Arc::new(Homeserver);
        Router::new()
            .with(api::server(homeserver.clone()))
            .with(api::events(homeserver))
            .layered(
                ServiceBuilder::new()
                    .layer(Permits::layer(Side::Server, 100, Duration::from_secs(1)))
                    .layer(Trace::layer(Side::Server))
                    .layer(Clocks::layer(Side::Server))
                    .layer(Verify::layer(Arc::new(authenticator)))
                    .layer(RunToEnd::layer(100)),
            )
    };
    let operations = Operations::federation();
    let grpc = GrpcServer::new(
        operations.clone(),
        Codecs::federation(),
        service.clone(),
        GrpcServerOptions::default(),
    );
    let dispatch = Dispatch::new(HttpServer::new(operations, service).boxed())
        .with(is_grpc, grpc.into_service());
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), ListenerOptions::with_tls(tls)).await?;
    let route = Route {
        addresses: vec![listener.local_addr()],
        host: them.to_string(),
        certificate_name: them.host().to_owned(),
    };
    let server = tokio::spawn(listener.serve(dispatch, std::future::pending()));

    // The caller: the same layers and the same code over either transport.
    let routes = FixedRoutes::new().with(them.clone(), route);
    for transport in [http(routes.clone(), &root)?, grpc_client(routes, &root)?] {
        println!("over {}:", transport.name());
        let client = Client::layered(
            transport,
            ServiceBuilder::new()
                .layer(Trace::layer(Side::Client))
                .layer(Clocks::layer(Side::Client))
                .layer(Flow::layer(Duration::from_secs(1)))
                .layer(Sign::layer(us.clone(), key.clone())),
        );
        call(&client, &them).await?;
    }
    server.abort();
    println!("both transports gave the same");
    Ok(())
}

async fn call(client: &Client, them: &ServerName) -> Result<(), Box<dyn Error>> {
    let version = client.get_version(them, GetVersion::default()).await?;
    let server = version.server.ok_or("no server in the reply")?.read()?;
    println!("  client: they run {server:?}");
    ensure(
        server.name.as_deref() == Some("Example"),
        "another server answered",
    )?;

    let mut request = GetMissingEvents {
        room_id: "!room".to_owned(),
        latest_events: vec!["$latest".to_owned()],
        ..GetMissingEvents::default()
    };
    let reply = client.get_missing_events(them, request.clone()).await?;
    println!("  client: {} event", reply.events.len());
    ensure(reply.events == [Ok(event())], "another event came")?;

    request.room_id = "!nowhere".to_owned();
    let error = client.get_missing_events(them, request).await;
    let error = error.err().ok_or("a room that is not there was found")?;
    println!("  client: {error}");
    ensure(
        error.to_string().contains("no such room"),
        "another error came",
    )
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn http(routes: FixedRoutes, root: &str) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    let pool = pool(root, Protocol::Http1Or2)?;
    Ok(Arc::new(HttpTransport::new(Arc::new(routes), pool)))
}

fn grpc_client(routes: FixedRoutes, root: &str) -> Result<Arc<dyn Transport>, Box<dyn Error>> {
    let pool = pool(root, Protocol::Http2)?;
    Ok(Arc::new(GrpcTransport::new(Arc::new(routes), pool)))
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
