//! Servers without Comity: hyper, and either nothing but one signature check (the floor) or what ruma offers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use comity_bench::peers::Bare;
use comity_floors::bodies::usual;
use comity_net::{BoxError, Protocol};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use ruma_common::{
    api::{IncomingRequestExt, OutgoingResponseExt},
    serde::Base64,
};
use ruma_federation_api::{
    authentication::XMatrix, transactions::send_transaction_message::v1 as ruma_send,
};
use ruma_signatures::PublicKeyMap;
use tokio::net::TcpListener;

use crate::{
    process::report_cpu,
    setting::{SEED, certificate, destination, origin},
};

/// What answers.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Verifies one signature over the body as it came.
    Floor(Arc<(VerifyingKey, Signature)>),
    /// Verifies X-Matrix and reads the request by ruma's crates.
    Ruma(Arc<PublicKeyMap>),
}

impl Answer {
    pub(crate) fn floor(pdus: usize) -> Self {
        let key = SigningKey::from_bytes(&SEED);
        let signature = key.sign(&usual(pdus));
        Self::Floor(Arc::new((key.verifying_key(), signature)))
    }

    pub(crate) fn ruma() -> Self {
        let key = SigningKey::from_bytes(&SEED).verifying_key();
        let keys = BTreeMap::from([(
            "ed25519:a_key".to_owned(),
            Base64::new(key.as_bytes().to_vec()),
        )]);
        Self::Ruma(Arc::new(PublicKeyMap::from([(origin().to_string(), keys)])))
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return refused();
        };
        let body = body.to_bytes();
        match self {
            Self::Floor(expected) => match expected.0.verify(&body, &expected.1).is_ok() {
                true => Response::new(Full::from(r#"{"pdus":{}}"#)),
                false => refused(),
            },
            Self::Ruma(keys) => {
                ruma(&Request::from_parts(head, &body[..]), &keys).unwrap_or_else(refused)
            }
        }
    }
}

/// The peer of `comity-bench` does more: it makes a digest of the events, and says it.
fn ruma(request: &Request<&[u8]>, keys: &PublicKeyMap) -> Option<Response<Full<Bytes>>> {
    let destination = ruma_common::ServerName::parse(destination().as_str()).ok()?;
    XMatrix::extract_from_http_headers(request.headers())
        .ok()?
        .verify_http_request(request, &destination, keys)
        .ok()?;
    let transaction_id = request.uri().path().rsplit('/').next()?.to_owned();
    let request =
        ruma_send::Request::try_from_http_request(request.clone(), &[&transaction_id]).ok()?;
    std::hint::black_box(request);
    let reply = ruma_send::Response::new(BTreeMap::new());
    let reply = reply.try_into_http_response::<Vec<u8>>().ok()?;
    Some(reply.map(Full::from))
}

fn refused() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// Serves until the parent is gone.
pub(crate) async fn serve(answer: Answer, tls: bool) {
    let answer = move |request| answer.clone().answer(request);
    listen(Protocol::Http1, tls, answer).await;
}

/// The same by another protocol and with other answers.
pub(crate) async fn listen<A, R, B>(protocol: Protocol, tls: bool, answer: A)
where
    A: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let server = match tls {
        false => Bare::new(protocol),
        true => {
            let (chain, key) = certificate();
            Bare::with_tls(protocol, &chain, &key).expect("made as PEM")
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.expect("a port is free");
    report_cpu(listener.local_addr().expect("it is bound").port());
    server.accept(listener, answer).await;
}
