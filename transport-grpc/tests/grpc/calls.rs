//! One call of each shape: what was asked arrives, what was answered comes back.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client, Operations, Router, ServerName,
    api::{
        Calls, DownloadMedia, GetVersion, GetVersionReply, Media, Membership, SendJoin,
        SendJoinMembers, SendJoinReply, SendTransaction, SendTransactionReply, Server,
        Transactions, media, membership, server, transactions,
    },
    auth::{KeyFault, KeyId, KeySource, Sign, SigningKey, Verify, VerifyKey, XMatrixAuthenticator},
    call::{
        AnyRequest, Arrival, Authenticated, Blob, BlobSource, Call, CallContext, Message, Reply,
        TraceContext,
    },
    endpoint::EndpointForm,
    error::{CallError, FederationError},
    json::{Members, Value},
};
use comity_grpc::{Codecs, GrpcServer, GrpcServerOptions};
use comity_net::ConnectionInfo;
use futures_util::{StreamExt, stream};

use crate::setting::{Serving, destination, handler, object, pdu, value};

struct Homeserver;

#[async_trait::async_trait]
impl Server for Homeserver {
    async fn get_version(
        &self,
        cx: &CallContext,
        _: GetVersion,
    ) -> Result<GetVersionReply, FederationError> {
        assert_eq!(cx.binding, "grpc/1");
        assert_eq!(cx.destination, Some(destination()));
        Ok(GetVersionReply {
            server: None,
            extra: [("unknown".to_owned(), Value::null())]
                .into_iter()
                .collect(),
        })
    }
}

#[async_trait::async_trait]
impl Transactions for Homeserver {
    async fn send_transaction(
        &self,
        cx: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        assert_eq!(cx.origin().as_str(), "origin.test");
        assert_eq!(request, transaction());
        assert_eq!(
            cx.form().unwrap().target(),
            "/_matrix/federation/v1/send/t%2F1"
        );
        Ok(SendTransactionReply::new(&Default::default()))
    }
}

#[async_trait::async_trait]
impl Membership for Homeserver {
    async fn send_join(
        &self,
        _: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        assert_eq!(request, join());
        let none: Vec<comity_core::event::Pdu> = Vec::new();
        Ok(SendJoinReply::new(
            vec![("auth_chain", none), ("state", (0..500).map(pdu).collect())],
            members(),
        ))
    }
}

#[async_trait::async_trait]
impl Media for Homeserver {
    async fn download_media(
        &self,
        _: &Authenticated,
        request: DownloadMedia,
    ) -> Result<Blob, FederationError> {
        assert_eq!(request.timeout_ms, Some(5));
        Ok(Blob {
            metadata: object("{}"),
            source: BlobSource::Here {
                content_type: Some("image/png".to_owned()),
                content_disposition: None,
            },
            bytes: stream::iter((0..40).map(|n| Ok(vec![n; 70_000].into()))).boxed(),
        })
    }
}

fn transaction() -> SendTransaction {
    let mut request = SendTransaction::new(
        "t/1",
        &"origin.test".parse().unwrap(),
        1_700_000_000_000,
        (0..50).map(pdu),
    );
    request.edus = Some(Vec::new());
    request.extra = [("unknown".to_owned(), value("[1,null]"))]
        .into_iter()
        .collect();
    request
}

fn join() -> SendJoin {
    SendJoin {
        room_id: "!room:matrix.test".to_owned(),
        event_id: "$event/+ %".to_owned(),
        event: pdu(7),
        omit_members: Some(true),
        extra_query: Default::default(),
    }
}

fn members() -> SendJoinMembers {
    SendJoinMembers {
        event: None,
        members_omitted: Some(true),
        servers_in_room: Some(vec!["a.test".to_owned()]),
        extra: Members::new(),
    }
}

#[derive(Debug)]
struct OneKey(KeyId, VerifyKey);

#[async_trait::async_trait]
impl KeySource for OneKey {
    async fn request_key(&self, _: &ServerName, key: &KeyId) -> Result<VerifyKey, KeyFault> {
        match *key == self.0 {
            true => Ok(self.1.clone()),
            false => Err(KeyFault::Unknown),
        }
    }
}

/// A homeserver that verifies and a client that signs.
async fn signed(peer: Peer) -> (Serving, Client) {
    let key = Arc::new(SigningKey::from_seed("1", &[7; 32]).unwrap());
    let keys = OneKey(key.key_id().clone(), key.verify_key());
    let homeserver = Arc::new(Homeserver);
    let service = Router::new()
        .with(server(homeserver.clone()))
        .with(transactions(homeserver.clone()))
        .with(membership(homeserver.clone()))
        .with(media(homeserver))
        .layered(Verify::layer(Arc::new(XMatrixAuthenticator::new(
            destination(),
            Arc::new(keys),
        ))));
    let serving = match peer {
        Peer::LacksMethods => Serving::invoke_only(service).await,
        _ => Serving::start(service).await,
    };
    let mut transport = serving.transport();
    if let Peer::ClientLacksMethods = peer {
        transport = transport.with_codecs(comity_grpc::Codecs::none());
    }
    let sign = Sign::layer("origin.test".parse().unwrap(), key);
    let client = Client::layered(Arc::new(transport), sign);
    (serving, client)
}

#[derive(Clone, Copy)]
enum Peer {
    Full,
    LacksMethods,
    ClientLacksMethods,
}

const PEERS: [Peer; 3] = [Peer::Full, Peer::LacksMethods, Peer::ClientLacksMethods];

#[tokio::test]
async fn a_message_and_its_reply_cross_whole() {
    for peer in PEERS {
        let (_serving, client) = signed(peer).await;
        let reply = client
            .get_version(&destination(), GetVersion::default())
            .await
            .unwrap();
        assert_eq!(reply.extra.get("unknown"), Some(&Value::null()));
        let reply = client
            .send_transaction(&destination(), transaction())
            .await
            .unwrap();
        assert_eq!(reply.pdus.value().as_text(), "{}");
    }
}

#[tokio::test]
async fn a_streamed_reply_crosses_in_order() {
    for peer in PEERS {
        let (_serving, client) = signed(peer).await;
        let mut reply = client.send_join(&destination(), join()).await.unwrap();
        for number in 0..500 {
            let arrival = reply.next().await.unwrap().unwrap();
            assert_eq!(
                arrival,
                Arrival::Item {
                    array: "state",
                    item: pdu(number),
                }
            );
        }
        assert_eq!(reply.finish().await.unwrap(), members());
    }
}

#[tokio::test]
async fn a_blob_crosses_whole() {
    for peer in PEERS {
        let (_serving, client) = signed(peer).await;
        let request = DownloadMedia {
            media_id: "abc".to_owned(),
            timeout_ms: Some(5),
            extra_query: Default::default(),
        };
        let mut blob = client
            .download_media(&destination(), request)
            .await
            .unwrap();
        assert!(matches!(
            &blob.source,
            BlobSource::Here { content_type: Some(kind), .. } if kind == "image/png"
        ));
        let mut bytes = Vec::new();
        while let Some(chunk) = blob.bytes.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        let sent: Vec<u8> = (0..40).flat_map(|n| vec![n; 70_000]).collect();
        assert!(bytes == sent);
    }
}

#[tokio::test]
async fn a_blob_elsewhere_crosses_as_its_url() {
    let serving = Serving::start(handler(|_| async {
        Ok(Reply::Blob(Blob {
            metadata: object(r#"{"new":1}"#),
            source: BlobSource::Location("https://cdn.test/x".to_owned()),
            bytes: stream::empty().boxed(),
        }))
    }))
    .await;
    for client in [serving.client(), serving.invoking_client()] {
        let request = DownloadMedia {
            media_id: "abc".to_owned(),
            ..DownloadMedia::default()
        };
        let mut blob = client
            .download_media(&destination(), request)
            .await
            .unwrap();
        assert_eq!(
            blob.source,
            BlobSource::Location("https://cdn.test/x".to_owned())
        );
        assert_eq!(blob.metadata, object(r#"{"new":1}"#));
        assert!(blob.bytes.next().await.is_none());
    }
}

#[tokio::test]
async fn the_context_crosses() {
    let service = handler(|call: comity_core::call::Call| async move {
        let cx = call.context();
        assert_eq!(cx.via, ["one", "two"]);
        assert_eq!(cx.trace.parent.as_deref(), Some("00-trace"));
        assert_eq!(cx.trace.state.as_deref(), Some("state"));
        assert_eq!(
            cx.credentials.iter().collect::<Vec<_>>(),
            ["X-Matrix a", "Other b"]
        );
        let left = cx.deadline.unwrap() - tokio::time::Instant::now();
        assert!(
            left > Duration::from_secs(50) && left <= Duration::from_secs(60),
            "{left:?}"
        );
        assert_eq!(cx.client, Some("127.0.0.1".parse().unwrap()));
        let connection = cx.connection.clone().unwrap();
        assert!(
            connection
                .downcast_ref::<ConnectionInfo>()
                .unwrap()
                .tls()
                .is_some()
        );
        Ok(Reply::Message(Message::from_content(object("{}"))))
    });
    let server = GrpcServer::new(
        Operations::federation(),
        Codecs::federation(),
        service,
        GrpcServerOptions::default().with_trace(),
    );
    let serving = Serving::http(server.into_service()).await;
    let mut call = comity_core::call::Call::new(destination(), GetVersion::default());
    let cx = call.context_mut();
    cx.via = vec!["one".to_owned(), "two".to_owned()];
    cx.trace.parent = Some("00-trace".to_owned());
    cx.trace.state = Some("state".to_owned());
    cx.credentials.push("X-Matrix a".to_owned());
    cx.credentials.push("Other b".to_owned());
    cx.limit_deadline(tokio::time::Instant::now() + Duration::from_secs(60));
    serving.client().send(call).await.unwrap();
}

#[tokio::test]
async fn trace_context_of_anybody_is_dropped() {
    let serving = Serving::start(handler(|call| async move {
        assert_eq!(call.context().trace, TraceContext::default());
        Ok(Reply::Message(Message::from_content(object("{}"))))
    }))
    .await;
    for client in [serving.client(), serving.invoking_client()] {
        let mut call = comity_core::call::Call::new(destination(), GetVersion::default());
        call.context_mut().trace.parent = Some("00-trace".to_owned());
        call.context_mut().trace.state = Some("state".to_owned());
        client.send(call).await.unwrap();
    }
}

/// A gateway's HTTP side gives it so. Its reply has no body, and gRPC has nothing that says so.
#[tokio::test]
async fn a_head_is_not_passed_on() {
    let serving = Serving::start(handler(|_| async { panic!("nothing is sent") })).await;
    let request = GetVersion::default();
    let form = AnyRequest::write(&request).unwrap();
    let form = EndpointForm::received(
        "HEAD".into(),
        form.target().to_owned(),
        form.parts().clone(),
    );
    let call = Call::received(Box::new(request), form, CallContext::to(destination()));
    let error = serving.client().send(call).await.unwrap_err();
    let CallError::Federation(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.http_status(), 405);
    assert!(error.to_string().contains("GetVersion"), "{error}");
}
