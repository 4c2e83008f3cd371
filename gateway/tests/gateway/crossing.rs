//! Every call crosses, and the homeserver on the other side gets what the one on this side sent.

use comity_conformance::{AnySample, ReplySample, samples, written};
use comity_core::{call::Authentication, endpoint::read_reply};
use comity_net::body;
use futures_util::StreamExt;
use http::Response;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::setting::{HS2, Outgoing, Pair};

/// Random calls of each operation.
const CALLS: usize = 4;

fn drawn<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

/// Whether a path with this parameter is not open: see `open_paths`.
fn misread(parameter: &str) -> bool {
    let dots = |text: &str| {
        text.split(['/', '\\'])
            .any(|piece| matches!(piece, "." | ".."))
    };
    dots(parameter) || parameter.contains(['%', '\0'])
}

async fn crosses(pair: &Pair, sample: AnySample, runner: &mut TestRunner) {
    let operation = sample.operation();
    let form = loop {
        let form = drawn(runner, &sample.requests()).write().unwrap();
        if !form.parts().path.iter().any(|parameter| misread(parameter)) {
            break form;
        }
    };
    let (reply, head, bytes) = loop {
        let reply = drawn(runner, &sample.replies());
        if let Ok((head, bytes)) = written(operation, reply.to_reply(None)).await {
            break (reply, head, bytes);
        }
    };
    let (sent_head, sent) = (head.clone(), bytes.clone());
    pair.two.homeserver.answers(move |_| {
        let response = comity_http::reply::to_response(sent_head.clone(), body::full(sent.clone()));
        async move { response }
    });

    let content = form.content().bytes();
    let signs = operation.spec().authentication == Authentication::Server;
    let own = &pair.one.homeserver;
    let has_body = form.content().media_type().is_some();
    let credential = own.sign(
        HS2,
        form.method(),
        form.target(),
        has_body.then_some(&content[..]),
    );
    let mut call = Outgoing::new(HS2, form.method(), form.target());
    call.content = has_body.then_some(content.clone());
    if signs {
        call = call.signed(&credential);
    }
    let got = pair.one.send(call).await;
    let context = format!("{operation:?} {} {}", form.method(), form.target());
    assert_eq!(got.status, head.status, "{context}: {got:?}");
    let seen = pair.two.homeserver.only();
    assert_eq!(seen.method, form.method(), "{context}");
    assert_eq!(seen.target, form.target(), "{context}");
    assert_eq!(seen.body, content, "{context}");
    let credentials = if signs { vec![credential] } else { Vec::new() };
    assert_eq!(seen.all("authorization"), credentials, "{context}");
    assert_eq!(seen.all("proxy-authorization"), [""; 0], "{context}");

    let got_head = comity_http::reply::from_response(&response_of(&got.headers, got.status));
    let stream = futures_util::stream::iter([Ok(got.body)]).boxed();
    let arrived = read_reply(operation, got_head, stream).await.unwrap();
    let (arrived, broken) = ReplySample::read(arrived).await;
    assert!(broken.is_none(), "{context}: {broken:?}");
    assert_eq!(arrived, reply, "{context}");
}

fn response_of(headers: &http::HeaderMap, status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.headers_mut() = headers.clone();
    *response.status_mut() = status.try_into().unwrap();
    response
}

async fn all_cross(binding: &str) {
    let pair = Pair::start(binding).await;
    pair.two.homeserver.publishes_nothing();
    let mut runner = TestRunner::deterministic();
    for sample in samples() {
        let legacy = sample.operation().spec().name.ends_with("Legacy");
        if legacy {
            continue;
        }
        for _ in 0..CALLS {
            crosses(&pair, sample, &mut runner).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_crosses_over_grpc() {
    all_cross("grpc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_crosses_over_https() {
    all_cross("https").await;
}
