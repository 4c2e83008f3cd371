//! Who calls a gateway from the network.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::{
    ServerName,
    call::{Call, Credentials, Reply, Unregistered},
    endpoint::Content,
    error::{CallError, TransportError},
    transport::{FixedRoutes, Route, Transport},
};
use comity_grpc::GrpcTransport;
use comity_net::{AddressGuard, ClientTls, Connector, Pool, PoolOptions, Protocol};
use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::setting::{Authority, Got, Outgoing, Side, exchange};

/// Somebody who calls a side directly, over TLS.
#[derive(Clone, Debug)]
pub struct Stranger {
    connector: Connector,
    route: Route,
}

impl Stranger {
    pub fn to(side: &Side, authority: &Authority) -> Self {
        let tls = ClientTls::from_pem(authority.root.as_bytes()).unwrap();
        let name = side.homeserver.name.to_string();
        Self {
            connector: Connector::new(tls).with_guard(AddressGuard::default().allow_loopback()),
            route: Route {
                addresses: vec![side.gateway.inbound_addr().unwrap()],
                host: name.clone(),
                certificate_name: name,
            },
        }
    }

    /// One request over HTTP/1.1.
    pub async fn http(
        &self,
        method: &str,
        target: &str,
        credentials: &[&str],
        content: Option<&str>,
    ) -> Got {
        let mut call = Outgoing {
            method: method.to_owned(),
            uri: target.to_owned(),
            headers: Vec::new(),
            content: content.map(|content| Bytes::copy_from_slice(content.as_bytes())),
        };
        for credential in credentials {
            call = call.signed(credential);
        }
        self.exchange(call.with("host", &self.route.host)).await
    }

    /// A GET, if a connection comes about.
    pub async fn try_http(&self, target: &str) -> Result<Got, TransportError> {
        let connected = self.connector.connect(&self.route, Protocol::Http1).await?;
        let call = Outgoing {
            method: "GET".to_owned(),
            uri: target.to_owned(),
            headers: vec![("host".to_owned(), self.route.host.clone())],
            content: None,
        };
        Ok(exchange(connected.stream, call.request()).await)
    }

    pub async fn exchange(&self, call: Outgoing) -> Got {
        let connected = self
            .connector
            .connect(&self.route, Protocol::Http1)
            .await
            .unwrap();
        exchange(connected.stream, call.request()).await
    }

    /// A connection for HTTP/1.1, on which nothing was said.
    pub async fn connection(&self) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
        let connected = self.connector.connect(&self.route, Protocol::Http1).await;
        connected.unwrap().stream
    }

    /// A client of gRPC.
    pub fn grpc(&self) -> GrpcTransport {
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        let pool = Pool::new(self.connector.clone(), options);
        let name: ServerName = self.route.host.parse().unwrap();
        let routes = FixedRoutes::new().with(name, self.route.clone());
        GrpcTransport::new(Arc::new(routes), pool)
    }

    /// The status of gRPC that an rpc without a message's content is answered with, and what says so.
    pub async fn rpc(&self, rpc: &str, metadata: &[(&str, &str)]) -> (String, String) {
        let mut request = Request::post(format!("/comity.federation.v1.{rpc}"))
            .header("content-type", "application/grpc");
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        let empty = comity_net::body::full(Bytes::from_static(&[0; 5]));
        let request = request.body(empty).unwrap();
        let options = PoolOptions::default().with_protocol(Protocol::Http2);
        let pool = Pool::new(self.connector.clone(), options);
        let (head, body) = pool.send(&self.route, request).await.unwrap().into_parts();
        let whole = body.collect().await.unwrap();
        let said = whole.trailers().unwrap_or(&head.headers);
        let of = |name| said[name].to_str().unwrap().to_owned();
        let message = said.get("grpc-message").map(|_| of("grpc-message"));
        (of("grpc-status"), message.unwrap_or_default())
    }

    /// One call over gRPC: status, errcode and `via` of the error that it is answered with, or the reply.
    pub async fn invoke(
        &self,
        method: &str,
        target: &str,
        credentials: &[&str],
    ) -> Result<Reply, CallError> {
        let request = Unregistered::new(method, target, Content::Absent).unwrap();
        let mut call = Call::new(self.route.host.parse().unwrap(), request);
        let credentials = credentials.iter().map(|one| (*one).to_owned()).collect();
        call.context_mut().credentials = Credentials::new(credentials);
        self.grpc().send(call).await
    }
}
