//! Calls and replies of every operation of the table, of none, and of a family with opaque bodies.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use comity_conformance::{Failure, ReplySample, samples};
use comity_core::{
    CallService, Operations, ServerName,
    api::{GetState, GetVersion},
    call::{Body, Call, CallContext, Credentials, Reply, TraceContext, Unregistered, operation},
    endpoint::{Content, EndpointForm, ReplyHead},
    error::{CallError, Delivery, FederationError, TransportErrorKind},
};
use comity_envelope::{
    Frame, MAX_DATA, answer, read_reply, read_request, read_request_of_peer, write_request,
};
use futures_util::{StreamExt, stream};
use proptest::{
    prelude::{ProptestConfig, prop_assert, prop_assert_eq},
    test_runner::TestRunner,
};
use tokio::{runtime::Runtime, time::Instant};

const BINDING: &str = "test/1";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn name(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// The form of what arrived, and its context.
type Seen = Arc<Mutex<Option<(EndpointForm, CallContext)>>>;

/// Sends a call in an envelope to a service that gives `reply`, and reads the frames.
async fn exchange(
    mut call: Call,
    reply: impl FnOnce() -> Result<Reply, CallError> + Send + 'static,
) -> (Seen, Result<Reply, CallError>) {
    let seen = Seen::default();
    let (see, reply) = (seen.clone(), Mutex::new(Some(reply)));
    let reply = Arc::new(reply);
    let service = CallService::new(tower::service_fn(move |call: Call| {
        let context = call.context().clone();
        *see.lock().unwrap() = Some((call.form().unwrap().clone(), context));
        let reply = reply.lock().unwrap().take().unwrap();
        std::future::ready(reply())
    }));
    let operations = Operations::federation().with_unregistered();
    let operation = call.operation();
    let request = match write_request(&mut call) {
        Ok(request) => request,
        Err(error) => return (seen, Err(error)),
    };
    let frames = answer(request, &operations, service, BINDING, None).await;
    (seen, read_reply(operation, frames.map(Ok)).await)
}

#[test]
fn every_operation_crosses_with_any_content_and_reply() {
    let runtime = runtime();
    for sample in samples() {
        let operation = sample.operation();
        let config = ProptestConfig::with_cases(20);
        let strategy = (sample.requests(), sample.contents(), sample.replies());
        let mut runner = TestRunner::new(config);
        let run = runner.run(&strategy, |(request, content, reply)| {
            let written = request.write().unwrap();
            let mut parts = written.parts().clone();
            parts.content = content;
            let read = operation.read(&parts);
            let form = EndpointForm::received(
                operation.method().into(),
                written.target().to_owned(),
                parts,
            );
            let mut context = CallContext::to(name("callee.example"));
            context.credentials = Credentials::new(vec!["X-Matrix a".into(), "X-Matrix b".into()]);
            let call = Call::received(request, form.clone(), context);
            let made = reply.clone();
            runtime.block_on(async {
                let (seen, outcome) = exchange(call, move || Ok(made.to_reply(None))).await;
                match read {
                    Ok(_) => {
                        let (arrived, context) = seen.lock().unwrap().take().unwrap();
                        prop_assert_eq!(&arrived, &form);
                        prop_assert_eq!(
                            context.credentials.iter().collect::<Vec<_>>(),
                            ["X-Matrix a", "X-Matrix b"]
                        );
                        prop_assert_eq!(context.destination, Some(name("callee.example")));
                        let (read, broken) = ReplySample::read(outcome.unwrap()).await;
                        prop_assert!(broken.is_none(), "{:?}", broken);
                        prop_assert_eq!(read, reply);
                    }
                    Err(refusal) => {
                        prop_assert!(seen.lock().unwrap().is_none());
                        let found = outcome.err().as_ref().map(Failure::from);
                        prop_assert_eq!(found, Some(Failure::from(&refusal.into())));
                    }
                }
                Ok(())
            })
        });
        run.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
    }
}

#[tokio::test]
async fn a_call_that_no_row_knows_crosses_with_its_body() {
    let opaque = Content::Opaque {
        content_type: "application/mls".to_owned(),
        bytes: Bytes::from_static(b"\x00\xff\r\n"),
    };
    let target = "/_example/%7Ea//b?x=1&x=+";
    let request = Unregistered::new("PATCH", target, opaque.clone()).unwrap();
    let call = Call::new(name("callee.example"), request);
    let given = || {
        Ok(Reply::Body(Body {
            status: 201,
            content_type: None,
            content_disposition: None,
            bytes: stream::iter([Ok(Bytes::from_static(b"\x01\x02"))]).boxed(),
        }))
    };
    let (seen, reply) = exchange(call, given).await;
    let (form, _) = seen.lock().unwrap().take().unwrap();
    assert_eq!((form.method(), form.target()), ("PATCH", target));
    assert_eq!(*form.content(), opaque);
    let Reply::Body(mut body) = reply.unwrap() else {
        panic!("no body")
    };
    assert_eq!((body.status, &body.content_type), (201, &None));
    assert_eq!(body.bytes.next().await.unwrap().unwrap(), &b"\x01\x02"[..]);
    assert!(body.bytes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_travels_beside_a_call_arrives() {
    let mut call = Call::new(name("callee.example:8448"), GetVersion::default());
    let context = call.context_mut();
    context.deadline = Some(Instant::now() + Duration::from_millis(1_500));
    context.via = vec!["one".to_owned(), "two".to_owned()];
    context.from = Some("mimi@caller.example".to_owned());
    context.trace.parent = Some("00-a-b-01".to_owned());
    let bytes = write_request(&mut call).unwrap();
    tokio::time::advance(Duration::from_millis(500)).await;
    let connection: Arc<dyn std::any::Any + Send + Sync> = Arc::new(7_u32);
    let operations = Operations::federation();
    let read = read_request(&bytes, &operations, BINDING, None).unwrap();
    assert_eq!(read.context().trace, TraceContext::default(), "of anybody");
    let read = read_request_of_peer(&bytes, &operations, BINDING, Some(connection)).unwrap();
    let context = read.context();
    assert_eq!(context.binding, BINDING);
    assert_eq!(context.destination, Some(name("callee.example:8448")));
    // How long the way took is not known: the receiver's clock begins when the envelope is read.
    assert_eq!(
        context.deadline,
        Some(Instant::now() + Duration::from_millis(1_500))
    );
    assert_eq!(context.via, ["one", "two"]);
    assert_eq!(context.from.as_deref(), Some("mimi@caller.example"));
    assert_eq!(context.trace, call.context().trace);
    assert!(context.connection.as_ref().unwrap().is::<u32>());
}

#[tokio::test]
async fn an_answer_that_is_an_error_comes_back_whole() {
    let error = FederationError::new(403, "ORG.EXAMPLE_WHIM", "not today")
        .with_retry_after(Duration::from_secs(3));
    let given = error.clone();
    let call = Call::new(name("callee.example"), GetVersion::default());
    let (_, outcome) = exchange(call, move || Err(given.into())).await;
    assert_eq!(
        Failure::from(&outcome.unwrap_err()),
        Failure::from(&error.into())
    );
}

#[tokio::test]
async fn bytes_that_are_no_envelope_are_answered() {
    let never = CallService::new(tower::service_fn(|_: Call| async { panic!("called") }));
    for (bytes, status, errcode) in [
        (&b"\xa0"[..], 400, "M_BAD_JSON"),
        (&b"\xa2\x01\x63GET\x02\x61x"[..], 400, "M_INVALID_PARAM"),
        (&b"\xa2\x01\x63GET\x02\x62/x"[..], 404, "M_UNRECOGNIZED"),
        (
            &b"\xa3\x01\x63GET\x02\x62/x\x05\x61 "[..],
            400,
            "M_INVALID_PARAM",
        ),
    ] {
        let operations = Operations::federation();
        let request = Bytes::from_static(bytes);
        let frames = answer(request, &operations, never.clone(), BINDING, None).await;
        let error = read_reply(operation::<GetVersion>(), frames.map(Ok))
            .await
            .unwrap_err();
        let CallError::Federation(error) = error else {
            panic!("{error}")
        };
        assert_eq!(
            (error.http_status(), error.errcode()),
            (status, Some(errcode)),
            "{bytes:?}"
        );
    }
}

/// What the client makes of these frames for a streamed reply, read to its end.
async fn read(frames: Vec<Result<Frame, CallError>>) -> CallError {
    let frames = frames
        .into_iter()
        .map(|frame| frame.map(|frame| frame.encode().unwrap()));
    match read_reply(
        operation::<GetState>(),
        stream::iter(frames.collect::<Vec<_>>()),
    )
    .await
    {
        Ok(reply) => ReplySample::read(reply).await.1.expect("it breaks off"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_or_breaks_the_form_is_an_error() {
    let head = || {
        Ok(Frame::Head(ReplyHead {
            status: 200,
            content_type: Some("application/json".to_owned()),
            ..ReplyHead::default()
        }))
    };
    let data = || Ok(Frame::Data(Bytes::from_static(br#"{"auth_chain":[{}"#)));
    for (frames, kind, words) in [
        (vec![], TransportErrorKind::Closed, "truncated"),
        (
            vec![head(), data()],
            TransportErrorKind::Closed,
            "truncated",
        ),
        (
            vec![head(), data(), Ok(Frame::Aborted("disk full".into()))],
            TransportErrorKind::Closed,
            "broke the reply off: disk full",
        ),
        (
            vec![Ok(Frame::Aborted("no".into()))],
            TransportErrorKind::Closed,
            "broke the reply off: no",
        ),
        (
            vec![head(), data(), head()],
            TransportErrorKind::Protocol,
            "second head",
        ),
        (vec![data()], TransportErrorKind::Protocol, "not its head"),
        (
            vec![Ok(Frame::Complete)],
            TransportErrorKind::Protocol,
            "not its head",
        ),
    ] {
        let CallError::Transport(error) = read(frames).await else {
            panic!("no answer came")
        };
        assert_eq!(
            (error.kind(), error.delivery()),
            (kind, Delivery::MaybeProcessed),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_reply_that_fails_while_it_streams_ends_with_why() {
    let parts = stream::iter([
        Ok(Bytes::from(vec![b'x'; 2 * MAX_DATA + 1])),
        Err(FederationError::internal("the disk is full").into()),
        Ok(Bytes::from_static(b"never sent")),
    ]);
    let reply = Reply::Body(Body {
        status: 200,
        content_type: Some("text/plain".to_owned()),
        content_disposition: None,
        bytes: parts.boxed(),
    });
    let wire = comity_core::endpoint::write_reply(Unregistered::operation(), Ok(reply));
    let frames: Vec<Frame> = comity_envelope::write_reply(wire)
        .map(|bytes| Frame::decode(&bytes).unwrap())
        .collect()
        .await;
    let sizes: Vec<usize> = frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Data(data) => Some(data.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [MAX_DATA, MAX_DATA, 1]);
    assert!(matches!(&frames[0], Frame::Head(head) if head.status == 200));
    let Some(Frame::Aborted(why)) = frames.last() else {
        panic!("{:?}", frames.last())
    };
    assert!(why.contains("the disk is full"), "{why}");
    assert_eq!(frames.len(), 5);
}

#[tokio::test]
async fn nothing_follows_a_head_that_is_over_its_limit() {
    let reply = Reply::Body(Body {
        status: 200,
        content_type: Some("x".repeat(70_000)),
        content_disposition: None,
        bytes: stream::iter([Ok(Bytes::from_static(b"data"))]).boxed(),
    });
    let wire = comity_core::endpoint::write_reply(Unregistered::operation(), Ok(reply));
    let frames: Vec<Frame> = comity_envelope::write_reply(wire)
        .map(|bytes| Frame::decode(&bytes).unwrap())
        .collect()
        .await;
    assert!(
        matches!(&frames[..], [Frame::Aborted(why)] if why.contains("MAX_METADATA")),
        "{frames:?}"
    );
}
