//! A transaction from stored events to a signed HTTP request.

use std::sync::Arc;

use async_trait::async_trait;
use comity_core::{
    Client,
    api::{Calls, SendTransaction, SendTransactionReply},
    auth::{Sign, SignedRequest},
    call::{Call, Reply, ReplyForm},
    error::CallError,
    event::Pdu,
    json::Object,
    transport::{Capabilities, Transport},
};
use comity_floors::bodies::usual;
use comity_http::request::{PeerHeaders, to_request};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::FutureExt;

use crate::{
    report::{Need, Report},
    rounds::alternate_finely,
    setting::{SEED, TARGET, destination, origin, signing_key},
};

/// Makes the request, and drops it where it would be sent.
#[derive(Debug)]
struct Unsent(PeerHeaders);

#[async_trait]
impl Transport for Unsent {
    fn name(&self) -> &'static str {
        "unsent"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        std::hint::black_box(to_request(&mut call, &self.0)?);
        Ok(SendTransactionReply::new(&Default::default()).into_reply())
    }
}

pub(crate) fn measure(report: &mut Report) {
    let content = usual(50);
    let stored: Vec<Pdu> = Object::parse(content.clone(), usize::MAX)
        .expect("it is canonical")
        .array("pdus")
        .expect("a transaction has them")
        .map(|value| Pdu::judge(value).expect("it is an event"))
        .collect();
    let client = Client::layered(
        Arc::new(Unsent(PeerHeaders::default())),
        Sign::layer(origin(), signing_key()),
    );
    let (origin, destination) = (origin(), destination());
    let ours = || {
        let request = SendTransaction::new(
            "m1763000000000.42",
            &origin,
            1_763_000_000_000,
            stored.iter().cloned(),
        );
        client
            .send_transaction(&destination, request)
            .now_or_never()
            .expect("nothing is waited for")
            .expect("it can be sent")
    };
    let signed = SignedRequest {
        method: "PUT",
        uri: TARGET,
        origin: &origin,
        destination: destination.as_str(),
        content: Some(&content),
    }
    .to_vec();
    let key = SigningKey::from_bytes(&SEED);
    let sign_alone = || key.sign(&signed);
    let pair = alternate_finely(61, 50, ours, sign_alone);
    report.pair(
        "outgoing 50 PDUs, built and signed: ours / sign alone",
        pair,
        Need::AtMost(1.05),
    );
}
