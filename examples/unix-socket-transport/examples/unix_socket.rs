//! A signed call over the Unix socket, verified at the other end, and one that nobody signed.
//!
//! `cargo run -p unix-socket-transport --example unix_socket`

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use comity_core::{
    Client, Operations, Router, ServerName,
    api::{self, Calls, GetMissingEvents, GetMissingEventsReply},
    auth::{
        KeyDocument, KeyRing, KeyRingOptions, ServerKeys, Sign, SigningKey, Verify,
        XMatrixAuthenticator, now_ms,
    },
    call::Authenticated,
    error::FederationError,
};
use tokio::net::{UnixListener, unix::UCred};
use unix_socket_transport::{UnixTransport, serve};

/// A server without events, that knows who asks.
struct House;

#[async_trait]
impl api::Events for House {
    async fn get_missing_events(
        &self,
        cx: &Authenticated,
        request: GetMissingEvents,
    ) -> Result<GetMissingEventsReply, FederationError> {
        let process = cx
            .connection
            .as_ref()
            .and_then(|peer| peer.downcast_ref::<UCred>()?.pid());
        println!(
            "{}, over {}, process {process:?}: {}",
            cx.origin(),
            cx.binding,
            request.room_id
        );
        Ok(GetMissingEventsReply::default())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let house: ServerName = "house.example".parse()?;
    let guest: ServerName = "guest.example".parse()?;
    let key = Arc::new(SigningKey::generate("1")?);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("federation.sock");
    let transport = Arc::new(UnixTransport(path.clone()));

    let document = KeyDocument::new(guest.clone(), now_ms() + 3_600_000).sign(&[&key])?;
    let keys = KeyRing::new(Client::new(transport.clone()), KeyRingOptions::default())
        .with_pinned(ServerKeys::parse(document)?);
    let authenticator = XMatrixAuthenticator::new(house.clone(), Arc::new(keys));
    let service = Router::new()
        .with(api::events(Arc::new(House)))
        .layered(Verify::layer(Arc::new(authenticator)));
    tokio::spawn(serve(
        UnixListener::bind(path)?,
        Operations::federation(),
        service,
    ));

    let client = Client::layered(transport.clone(), Sign::layer(guest, key));
    let request = GetMissingEvents {
        room_id: "!room:house.example".to_owned(),
        ..GetMissingEvents::default()
    };
    let reply = client.get_missing_events(&house, request.clone()).await?;
    assert!(reply.events.is_empty());

    let unsigned = Client::new(transport)
        .get_missing_events(&house, request)
        .await;
    let error = unsigned.expect_err("nobody signed it");
    println!("without a signature: {error}");
    Ok(())
}
