//! What a client sends where its call is answered as unknown.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    CallService, Client, ServerName,
    api::{GetEvent, GetVersion, GetVersionReply},
    auth::Sign,
    call::{
        Alternative, Authentication, Body, Call, CallContext, Endpoint, Flow, Message, Older,
        Operation, OperationSpec, Reply, ReplyShape,
    },
    endpoint::{EndpointParts, PathTemplate, TrailingSlash},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    layers::{Clocks, Fallback, Fallbacks, Side},
    transport::{Capabilities, Transport},
};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::homeserver::{key, name};

/// One step of a long history. Each replies with the version of the call that was answered.
macro_rules! history {
    ($($Name:ident $method:literal $path:literal $shape:ident $Reply:ty { $($facts:tt)* })*) => {$(
        #[derive(Clone, Debug, PartialEq)]
        struct $Name(String);

        impl Operation for $Name {
            type Reply = $Reply;
            const SPEC: &'static OperationSpec = &OperationSpec {
                name: stringify!($Name),
                authentication: Authentication::Server,
                flow: Flow::OnePerDestination,
                reply: ReplyShape::$shape,
                ..*GetVersion::SPEC
            };
        }

        impl Endpoint for $Name {
            const METHOD: &'static str = $method;
            const PATH: PathTemplate = PathTemplate::new($path);
            $($facts)*

            fn write(&self) -> EndpointParts {
                EndpointParts { path: vec![self.0.clone()], ..EndpointParts::default() }
            }

            fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
                Ok(Self(parts.path_parameter(0).to_owned()))
            }
        }
    )*};
}

history! {
    Third "PUT" "/v3/{id}" Message GetVersionReply {
        const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;
        const ALTERNATIVES: &'static [Alternative] = &[
            Alternative { method: "POST", path: PathTemplate::new("/v3/{id}") },
            Alternative { method: "PUT", path: PathTemplate::new("/unstable/{id}") },
        ];
    }
    Second "PUT" "/v2/{id}" Body Body {}
    First "PUT" "/v1/{id}" Message GetVersionReply {
        const ALTERNATIVES: &'static [Alternative] =
            &[Alternative { method: "PUT", path: PathTemplate::new("/v0/{id}") }];
    }
}

impl Older for Third {
    type Older = Second;

    fn older(&self, destination: &ServerName) -> Option<Second> {
        assert_eq!(destination.as_str(), "b.example");
        (self.0 != "new only").then(|| Second(self.0.clone()))
    }

    fn newer(reply: Body) -> Result<GetVersionReply, CallError> {
        assert_eq!(reply.status, 222);
        Ok(GetVersionReply::default())
    }
}

impl Older for Second {
    type Older = First;

    fn older(&self, _: &ServerName) -> Option<First> {
        Some(First(self.0.clone()))
    }

    fn newer(_: GetVersionReply) -> Result<Body, CallError> {
        Ok(Body {
            status: 222,
            ..Body::new(None, Bytes::new())
        })
    }
}

/// What arrived: method, target, credentials, deadline.
pub(crate) type Seen = Arc<Mutex<Vec<(String, Vec<String>, Option<tokio::time::Instant>)>>>;

/// A peer that answers by the path's beginning, and 404 `M_UNRECOGNIZED` if it has no answer.
pub(crate) fn peer(
    seen: &Seen,
    answers: Vec<(&'static str, Result<(), CallError>)>,
) -> CallService {
    let seen = seen.clone();
    BoxCloneSyncService::new(service_fn(move |mut call: Call| {
        let form = call.make_form().unwrap();
        let line = format!("{} {}", form.method(), form.target());
        let answer = answers.iter().find(|(begin, _)| line.starts_with(begin));
        let answer = match answer {
            Some((_, Ok(()))) if call.spec().reply == ReplyShape::Body => Ok(Reply::Body(Body {
                status: 222,
                content_disposition: Some("inline".to_owned()),
                ..Body::new(Some("image/png".to_owned()), Bytes::from_static(b"meow"))
            })),
            Some((_, Ok(()))) => Ok(Reply::Message(Message::from_value(
                GetVersionReply::default(),
            ))),
            Some((_, Err(CallError::Federation(error)))) => Err(error.clone().into()),
            Some((_, Err(CallError::Transport(error)))) => {
                Err(TransportError::new(error.kind(), error.delivery(), "broke").into())
            }
            None => Err(FederationError::unrecognized().into()),
        };
        let context = call.context();
        let credentials = context.credentials.iter().map(str::to_owned).collect();
        seen.lock()
            .unwrap()
            .push((line, credentials, context.deadline));
        std::future::ready(answer)
    }))
}

fn steps() -> Fallbacks {
    Fallbacks::federation().with::<Third>().with::<Second>()
}

pub(crate) fn client(service: CallService, steps: Fallbacks) -> Client {
    let layers = (
        Clocks::layer(Side::Client),
        Fallback::layer(steps),
        comity_core::layers::Flow::layer(Duration::ZERO),
        Sign::layer(name("a.example"), key(1)),
    );
    Client::layered(Arc::new(Peer(service)), layers)
}

/// The way to a peer.
#[derive(Debug)]
struct Peer(CallService);

#[async_trait::async_trait]
impl Transport for Peer {
    fn name(&self) -> &'static str {
        "test"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        self.0.clone().oneshot(call).await
    }
}

pub(crate) async fn send<O: Endpoint>(client: &Client, request: O) -> Result<O::Reply, CallError> {
    client.call(&name("b.example"), request).await
}

fn answer(status: u16, body: &'static str) -> Result<(), CallError> {
    Err(FederationError::from_http(status, None, Bytes::from(body)).into())
}

/// What a call of `Third` comes to, and what was sent for it.
async fn call(
    answers: Vec<(&'static str, Result<(), CallError>)>,
) -> (Result<(), CallError>, Vec<String>) {
    let seen = Seen::default();
    let client = client(peer(&seen, answers), steps());
    let result = send(&client, Third("x y".to_owned()));
    let result = result.await.map(|_| ());
    let seen = seen.lock().unwrap();
    let mut signatures: Vec<_> = seen.iter().flat_map(|(_, header, _)| header).collect();
    assert_eq!(
        signatures.len(),
        seen.len(),
        "each is signed, and once: {seen:?}"
    );
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), seen.len(), "each anew: {seen:?}");
    let deadline = seen[0].2;
    assert!(deadline.is_some() && seen.iter().all(|(_, _, other)| *other == deadline));
    let lines = seen.iter().map(|(line, _, _)| line.clone()).collect();
    (result, lines)
}

const SPELLINGS: [&str; 3] = ["PUT /v3/x%20y", "POST /v3/x%20y", "PUT /unstable/x%20y"];

#[tokio::test]
async fn the_spellings_then_the_older_calls_are_tried_in_order() {
    let olders = ["PUT /v2/x%20y", "PUT /v1/x%20y", "PUT /v0/x%20y"];
    let all: Vec<&str> = SPELLINGS.into_iter().chain(olders).collect();
    for (place, known) in all.iter().enumerate() {
        let known: &'static str = known.split("x%20y").next().unwrap();
        let (result, lines) = call(vec![(known, Ok(()))]).await;
        result.unwrap();
        assert_eq!(lines, all[..=place], "{known}");
    }
    let (result, lines) = call(vec![]).await;
    assert!(matches!(result, Err(CallError::Federation(error)) if error.http_status() == 404));
    assert_eq!(lines, all);
}

#[tokio::test]
async fn every_answer_that_means_unknown_leads_on_and_no_other() {
    for (status, body, leads_on) in [
        (404, "", true),
        (404, "\"\"", true),
        (404, "<html>", true),
        (404, "404 page not found", true),
        (404, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (405, "", true),
        (405, "x", true),
        (405, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (400, r#"{"errcode":"M_UNRECOGNIZED"}"#, true),
        (404, "{}", false),
        (404, r#"{"errcode":"M_NOT_FOUND"}"#, false),
        (405, r#"{"errcode":"M_UNKNOWN"}"#, false),
        (400, "", false),
        (400, "{}", false),
        (400, r#"{"errcode":"M_INVALID_PARAM"}"#, false),
        (403, r#"{"errcode":"M_UNRECOGNIZED"}"#, false),
        (500, r#"{"errcode":"M_UNRECOGNIZED"}"#, false),
        (501, "", false),
        (502, "", false),
    ] {
        let (result, lines) = call(vec![("PUT /v3", answer(status, body)), ("POST", Ok(()))]).await;
        assert_eq!(result.is_ok(), leads_on, "{status} {body}");
        assert_eq!(lines.len(), 1 + usize::from(leads_on), "{status} {body}");
    }
}

#[tokio::test]
async fn an_error_on_the_way_never_leads_on() {
    for delivery in [
        Delivery::NotSent,
        Delivery::Rejected,
        Delivery::MaybeProcessed,
    ] {
        let broken = TransportError::new(TransportErrorKind::Closed, delivery, "broke");
        let (result, lines) = call(vec![("PUT /v3", Err(broken.into())), ("POST", Ok(()))]).await;
        assert!(matches!(result, Err(CallError::Transport(error)) if error.delivery() == delivery));
        assert_eq!(lines, SPELLINGS[..1]);
    }
}

#[tokio::test]
async fn a_slash_is_added_last_and_only_where_it_was_wanted_and_is_borne() {
    let old = || answer(400, r#"{"errcode":"M_UNRECOGNIZED"}"#);
    let (result, lines) = call(vec![
        ("PUT /v3/x%20y/", Ok(())),
        ("PUT /v3", old()),
        ("POST", old()),
        ("PUT /unstable", old()),
    ])
    .await;
    result.unwrap();
    let mut with_slash = SPELLINGS.to_vec();
    with_slash.push("PUT /v3/x%20y/");
    assert_eq!(lines, with_slash);
    // 404 says nothing of slashes: the next is the older call.
    let (_, lines) = call(vec![("PUT /v2", Ok(()))]).await;
    assert_eq!(lines.last().unwrap(), "PUT /v2/x%20y");
    // An operation that bears none is sent without.
    let seen = Seen::default();
    let second = client(peer(&seen, vec![("PUT", old())]), Fallbacks::none());
    let result = send(&second, Second("x".to_owned()));
    result.await.unwrap_err();
    assert_eq!(seen.lock().unwrap().len(), 1);
    // One of the table, with a query behind the path.
    let seen = Seen::default();
    let answers = vec![
        ("GET /_matrix/federation/v1/event/%24e/?a=b", Ok(())),
        ("GET", old()),
    ];
    let mut request = GetEvent {
        event_id: "$e".to_owned(),
        ..GetEvent::default()
    };
    request.extra_query.push("a", "b");
    let call = Call::new(name("b.example"), request);
    client(peer(&seen, answers), Fallbacks::none())
        .send(call)
        .await
        .unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_request_that_has_no_older_form_is_answered_as_it_was() {
    let seen = Seen::default();
    let client = client(peer(&seen, vec![]), steps());
    let result = send(&client, Third("new only".to_owned()));
    assert!(matches!(result.await, Err(CallError::Federation(_))));
    assert_eq!(seen.lock().unwrap().len(), SPELLINGS.len());
}

#[tokio::test]
async fn nothing_is_remembered() {
    let seen = Seen::default();
    let client = client(peer(&seen, vec![("PUT /v1", Ok(()))]), steps());
    for calls in 1..3 {
        let request = Third("x".to_owned());
        client.call(&name("b.example"), request).await.unwrap();
        assert_eq!(seen.lock().unwrap().len(), calls * 5);
    }
}

#[tokio::test]
async fn a_call_that_is_passed_on_is_left_alone() {
    let seen = Seen::default();
    let client = client(peer(&seen, vec![]), steps());
    let mut signed = Call::new(name("b.example"), Third("x".to_owned()));
    let header = "X-Matrix of somebody else".to_owned();
    signed.context_mut().credentials.push(header);
    let unsigned = Call::new(name("b.example"), Third("x".to_owned()));
    let mut context = CallContext::received("http/1");
    context.destination = Some(name("b.example"));
    let (request, _) = unsigned.into_parts();
    let form = request.write().unwrap();
    for call in [signed, Call::received(request, form, context)] {
        client.send(call).await.unwrap_err();
        assert_eq!(seen.lock().unwrap().drain(..).count(), 1);
    }
}

/// A registry that leads in a circle.
#[derive(Clone, Debug, PartialEq)]
struct Circle;

impl Operation for Circle {
    type Reply = GetVersionReply;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "Circle",
        ..*GetVersion::SPEC
    };
}

impl Endpoint for Circle {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/circle");

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

impl Older for Circle {
    type Older = Self;

    fn older(&self, _: &ServerName) -> Option<Self> {
        Some(Self)
    }

    fn newer(reply: GetVersionReply) -> Result<GetVersionReply, CallError> {
        Ok(reply)
    }
}

#[tokio::test]
async fn a_circle_ends() {
    let seen = Seen::default();
    let client = client(peer(&seen, vec![]), Fallbacks::none().with::<Circle>());
    client.call(&name("b.example"), Circle).await.unwrap_err();
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_is_for_all_attempts() {
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    let slow: CallService = BoxCloneSyncService::new(service_fn(move |_: Call| {
        *counted.lock().unwrap() += 1;
        async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Err(CallError::from(FederationError::unrecognized()))
        }
    }));
    let begun = tokio::time::Instant::now();
    // The row's clock is ten seconds in all.
    let result = client(slow, steps())
        .call(&name("b.example"), Third("x".to_owned()))
        .await;
    let Err(CallError::Transport(error)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(error.kind(), TransportErrorKind::Timeout);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(*count.lock().unwrap(), 3);
}
