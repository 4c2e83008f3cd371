//! Servers without Comity: hyper, and either nothing but one signature check (the floor) or what ruma offers.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use comity_floors::bodies::{FIFTY_PDUS, ONE_PDU, transaction};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use ruma_common::{
    api::{IncomingRequestExt, OutgoingResponseExt},
    serde::Base64,
};
use ruma_federation_api::{
    authentication::XMatrix, transactions::send_transaction_message::v1 as ruma_send,
};
use ruma_signatures::PublicKeyMap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    process::report_cpu,
    setting::{certificate, destination, origin},
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
        let bytes = if pdus == 1 { ONE_PDU } else { FIFTY_PDUS };
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature = key.sign(transaction(pdus, bytes).as_bytes());
        Self::Floor(Arc::new((key.verifying_key(), signature)))
    }

    pub(crate) fn ruma() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
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
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port is free");
    report_cpu(listener.local_addr().expect("it is bound").port());
    let acceptor = tls.then(acceptor);
    loop {
        let (tcp, _) = listener.accept().await.expect("connections come");
        tcp.set_nodelay(true).expect("it is TCP");
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(tcp, answer).await,
                Some(acceptor) => {
                    let stream = acceptor.accept(tcp).await.expect("the client speaks TLS");
                    connection(stream, answer).await;
                }
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer.answer(request).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn acceptor() -> TlsAcceptor {
    let (chain, key) = certificate();
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .expect("made as PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("made as PEM");
    let config = rustls::ServerConfig::builder_with_provider(comity_net::provider())
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .expect("a key and its certificate");
    TlsAcceptor::from(Arc::new(config))
}
