//! A server that implements one group and answers over HTTPS, and another that calls it by its name. Both on loopback.

use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, Calls, GetMissingEvents, GetMissingEventsReply},
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::Authenticated,
    error::FederationError,
    event::Pdu,
    json::Value,
    layers::{Clocks, Permits, Side},
    transport::{FixedRoutes, Route},
};
use comity_http::{HttpServer, HttpTransport};
use comity_net::{
    AddressGuard, ClientTls, Connector, Dispatch, Listener, ListenerOptions, Pool, PoolOptions,
    ServerTls,
};

/// A server with one event.
struct House;

#[async_trait::async_trait]
impl api::Events for House {
    async fn get_missing_events(
        &self,
        cx: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        println!("{} asks for events of {}", cx.origin(), request.room_id);
        if request.room_id != "!room:house.example" {
            return Err(FederationError::not_found("no such room"));
        }
        let text = Bytes::from_static(br#"{"depth":7,"type":"m.room.message"}"#);
        let event = Value::parse(text, 65_536)
            .map_err(|error| FederationError::internal(error.to_string()))?;
        let event =
            Pdu::judge(event).map_err(|fault| FederationError::internal(fault.to_string()))?;
        Ok(GetMissingEventsReply::new([event]))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let house: ServerName = "house.example".parse()?;
    let guest: ServerName = "guest.example".parse()?;
    let guest_key = Arc::new(SigningKey::generate("1")?);

    // What the server knows of the guest: its key document, pinned here, otherwise fetched by the ring.
    let valid_until = now_ms() + 3_600_000;
    let document = KeyDocument::new(guest.clone(), valid_until).sign(&[&guest_key])?;
    let certificate = rcgen::generate_simple_self_signed(vec!["house.example".to_owned()])?;
    let client_tls = ClientTls::from_pem(certificate.cert.pem().as_bytes())?;
    let pool = Pool::new(
        Connector::new(client_tls).with_guard(AddressGuard::default().allow_loopback()),
        PoolOptions::default(),
    );
    let nowhere = HttpTransport::new(Arc::new(FixedRoutes::new()), pool.clone());
    let keys = KeyRing::new(Client::new(Arc::new(nowhere)), KeyRingOptions::default())
        .with_pinned(ServerKeys::parse(document)?);

    // Serving: the group's routes, behind the layers, over the binding, on a listener.
    let service = Router::new().with(api::events(Arc::new(House))).layered((
        Permits::layer(Side::Server, 1_000, Duration::from_secs(5)),
        Clocks::layer(Side::Server),
        Verify::layer(Arc::new(XMatrixAuthenticator::new(
            house.clone(),
            Arc::new(keys),
        ))),
    ));
    let http = HttpServer::new(Operations::federation(), service);
    let server_tls = ServerTls::from_pem(
        certificate.cert.pem().as_bytes(),
        certificate.signing_key.serialize_pem().as_bytes(),
    )?;
    let listener = Listener::bind("127.0.0.1:0", ListenerOptions::with_tls(server_tls)).await?;
    let address = listener.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(Dispatch::new(http.boxed()), async {
        let _ = stopped.await;
    }));

    // Calling: a transport with the route written down, behind the layers of a client.
    let routes = FixedRoutes::new().with(
        house.clone(),
        Route {
            addresses: vec![address],
            host: "house.example".to_owned(),
            certificate_name: "house.example".to_owned(),
        },
    );
    let client = Client::layered(
        Arc::new(HttpTransport::new(Arc::new(routes), pool)),
        (Clocks::layer(Side::Client), Sign::layer(guest, guest_key)),
    );
    let request = GetMissingEvents {
        room_id: "!room:house.example".to_owned(),
        latest_events: vec!["$latest".to_owned()],
        ..GetMissingEvents::default()
    };
    let reply = client.get_missing_events(&house, request.clone()).await?;
    assert_eq!(reply.events.len(), 1);
    println!("{house} answers {} event", reply.events.len());

    let unknown = GetMissingEvents {
        room_id: "!other:house.example".to_owned(),
        ..request
    };
    let error = client
        .get_missing_events(&house, unknown)
        .await
        .expect_err("the house has one room");
    println!("{house} answers: {error}");

    drop(stop);
    serving.await?;
    Ok(())
}
