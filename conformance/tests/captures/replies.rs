//! Replies.

use bytes::Bytes;
use comity_conformance::{ReplySample, written};
use comity_core::{
    Operations,
    call::{Op, Reply},
    endpoint::{ReplyHead, read_reply},
    error::{CallError, FederationError},
    json::Value,
};
use futures_util::{StreamExt, stream};

use crate::{
    loopback::{Answer, Loopback},
    recording::{Exchange, exchanges},
    requests::call,
    retype,
};

/// Reads a reply by the operation's type, in pieces that fall anywhere.
async fn read(op: Op, head: ReplyHead, body: &Bytes) -> Result<Reply, CallError> {
    let pieces: Vec<_> = body
        .chunks(700)
        .map(Bytes::copy_from_slice)
        .map(Ok)
        .collect();
    let reply = read_reply(op, head, stream::iter(pieces).boxed()).await;
    reply.and_then(retype(op))
}

fn canonical(body: &Bytes) -> Value {
    Value::parse(body.clone(), body.len()).unwrap()
}

async fn whole(reply: Reply) -> ReplySample {
    let (reply, broken) = ReplySample::read(reply).await;
    assert!(broken.is_none(), "{broken:?}");
    reply
}

#[tokio::test]
async fn every_reply_is_the_same_when_it_is_written_again_and_when_it_crossed_grpc() {
    let mut blobs = 0;
    for exchange in exchanges() {
        let name = &exchange.name;
        let call = call(&exchange).unwrap();
        let op = call.operation();
        let loopback = Loopback::start(&exchange.host, Operations::federation()).await;
        let first = match read(op, exchange.reply.clone(), &exchange.reply_body).await {
            Ok(reply) => whole(reply).await,
            Err(error) => {
                let (_, outcome) = loopback.send(call, Answer::Error(answered(error))).await;
                same_error(&exchange, outcome.unwrap_err());
                continue;
            }
        };
        let (_, crossed) = loopback.send(call, Answer::Reply(first.clone())).await;
        let crossed = retype(op)(crossed.unwrap()).unwrap();
        let crossed = whole(crossed).await;
        assert_eq!(crossed, first, "{name}");
        for reply in [&first, &crossed] {
            let (head, body) = written(op, reply.to_reply(None)).await.unwrap();
            assert_eq!(head.status, exchange.reply.status);
            if let ReplySample::Blob(_) = reply {
                // The boundary is another one each time: what is between is compared.
                let again = whole(read(op, head, &body).await.unwrap()).await;
                assert_eq!(again, first, "{name}");
                blobs += 1;
            } else {
                assert_eq!(canonical(&body), canonical(&exchange.reply_body), "{name}");
            }
        }
    }
    assert_eq!(blobs, 2);
}

fn answered(error: CallError) -> FederationError {
    match error {
        CallError::Federation(error) => error,
        CallError::Transport(error) => panic!("{error}"),
    }
}

/// An error's body is no object of ours: it crosses byte for byte.
fn same_error(exchange: &Exchange, error: CallError) {
    let error = answered(error);
    assert_eq!(
        error.http_status(),
        exchange.reply.status,
        "{}",
        exchange.name
    );
    assert_eq!(error.body(), &exchange.reply_body, "{}", exchange.name);
}
