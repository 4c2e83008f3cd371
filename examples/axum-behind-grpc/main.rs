//! An unchanged axum application answers over gRPC.
//!
//! `app.rs` is that application. axum itself serves it over plain HTTP, as it always did; beside that, [`ServiceTransport`] makes of the same
//! router what a gRPC server of Comity hands its calls to. No proxy and no socket stands between the two: the gRPC server
//! rebuilds the request that was signed, and the application checks the signature itself, as on any other day.
//!
//! `cargo run -p comity-examples --example axum-behind-grpc`

mod app;

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use comity_core::{
    CallService, Client, Operations, ServerName,
    api::{Calls, GetMissingEvents, GetMissingEventsReply, GetVersion},
    auth::{Sign, SigningKey},
    error::CallError,
    json::Value,
    transport::{FixedRoutes, Route, Transport, TransportService},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions, GrpcTransport};
use comity_http::{HttpTransport, ServiceTransport};
use comity_net::{
    AddressGuard, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions, Protocol,
};
use serde_json::json;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us: ServerName = "caller.example".parse()?;
    let them: ServerName = "app.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);

    let app = app::App::new(
        them.as_str().try_into()?,
        (
            us.as_str(),
            key.key_id().as_str(),
            &key.verify_key().to_base64(),
        ),
        (
            "!room:app.example",
            (0..12)
                .map(|depth| json!({"depth": depth, "type": "m.room.message"}))
                .collect(),
        ),
    )
    .into_router();

    // As it always was: axum serves the router.
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let http_address = socket.local_addr()?;
    let http_server = tokio::spawn(axum::serve(socket, app.clone()).into_future());

    // The new part: the same router behind a gRPC server.
    let application = ServiceTransport::new(app);
    let grpc = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        CallService::new(TransportService::new(Arc::new(application))),
        GrpcServerOptions::default(),
    );
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0), ListenerOptions::default()).await?;
    let grpc_address = listener.local_addr();
    let grpc_server =
        tokio::spawn(listener.serve(Dispatch::new(grpc.into_service()), std::future::pending()));

    let (routes, pool) = way_to(&them, http_address, Protocol::Http1);
    let http: Arc<dyn Transport> = Arc::new(HttpTransport::new(routes, pool));
    let (routes, pool) = way_to(&them, grpc_address, Protocol::Http2);
    let grpc: Arc<dyn Transport> = Arc::new(GrpcTransport::new(routes, pool));
    let mut answers = Vec::new();
    for transport in [http, grpc] {
        println!("over {}:", transport.name());
        let signing = Client::layered(transport.clone(), Sign::layer(us.clone(), Arc::clone(&key)));
        answers.push(call(&signing, &Client::new(transport), &them).await?);
    }
    http_server.abort();
    grpc_server.abort();
    if answers[0] != answers[1] {
        return Err(format!("the answers differ: {answers:?}").into());
    }
    println!("the application gave the same answers over both");
    Ok(())
}

/// What came of the calls: two replies and two errors.
type Answers = (
    Option<String>,
    GetMissingEventsReply,
    Vec<(u16, Option<String>, String)>,
);

async fn call(
    client: &Client,
    unsigned: &Client,
    them: &ServerName,
) -> Result<Answers, Box<dyn Error>> {
    let version = client.get_version(them, GetVersion::default()).await?;
    let name = version.server.ok_or("no server in the reply")?.read()?.name;
    println!("  they run: {}", name.as_deref().unwrap_or("?"));

    let request = GetMissingEvents {
        room_id: "!room:app.example".to_owned(),
        latest_events: vec!["$latest".to_owned()],
        ..GetMissingEvents::default()
    };
    let reply = client.get_missing_events(them, request.clone()).await?;
    let left_out = reply.extra.get("example.left_out");
    let left_out = left_out.map_or("absent", Value::as_text);
    println!(
        "  missing events: {}; a member that the API does not know: {left_out}",
        reply.events.len()
    );

    let nowhere = GetMissingEvents {
        room_id: "!nowhere:app.example".to_owned(),
        ..request.clone()
    };
    let mut errors = Vec::new();
    for result in [
        client.get_missing_events(them, nowhere).await,
        unsigned.get_missing_events(them, request).await,
    ] {
        let Err(CallError::Federation(error)) = result else {
            return Err(format!("no refusal: {result:?}").into());
        };
        println!("  refused: {error}");
        let errcode = error.errcode().map(str::to_owned);
        errors.push((error.http_status(), errcode, error.message().to_owned()));
    }
    Ok((name, reply, errors))
}

/// Loopback without TLS, for an example; `serve_and_call` does it with.
fn way_to(name: &ServerName, address: SocketAddr, protocol: Protocol) -> (Arc<FixedRoutes>, Pool) {
    let route = Route {
        addresses: vec![address],
        host: name.to_string(),
        certificate_name: name.host().to_owned(),
    };
    let routes = Arc::new(FixedRoutes::new().with(name.clone(), route));
    let connector =
        Connector::danger_without_tls().with_guard(AddressGuard::default().allow_loopback());
    let pool = Pool::new(connector, PoolOptions::default().with_protocol(protocol));
    (routes, pool)
}
