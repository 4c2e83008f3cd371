//! A request that is wrong is answered with what is wrong, never reaches the handler, and harms nothing: the same connection serves the
//! next call. Derived from the table, its samples, and their [`Parameter`](comity_conformance::Parameter)s.

mod connection;
pub(crate) mod contradiction;
pub(crate) mod declared;
mod form;
mod message;
mod request;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use comity_conformance::{AnySample, Kind, Place, Sample};
use comity_core::{
    call::Op,
    endpoint::{Content, EndpointForm, EndpointParts},
    json::Object,
};
use comity_grpc::GrpcCodec;
use prost::Message;

pub(crate) use self::connection::framed;
use self::{
    connection::{Connection, Way, serve},
    declared::{sampled, with_parameter},
    message::Refused,
};
use crate::{
    recorder::{Answer, Recorder},
    run::runtime,
};

/// An operation, and how its message is written.
pub(crate) struct Subject {
    pub(crate) operation: Op,
    pub(crate) sample: AnySample,
    pub(crate) rpc: &'static str,
    encode: fn(&EndpointParts) -> Option<Vec<u8>>,
    /// The reply's message in its frame, if it is one.
    pub(crate) encode_reply: fn(&Object) -> Option<Bytes>,
}

impl Subject {
    fn of<O: Sample + GrpcCodec>() -> Self {
        let sample = AnySample::of::<O>();
        Self {
            operation: sample.operation(),
            sample,
            rpc: O::RPC,
            encode: |parts| Some(O::request_to_message(parts)?.encode_to_vec()),
            encode_reply: |content| O::REPLY.encode(content),
        }
    }

    /// A call that is as it should be.
    fn good(&self) -> Good {
        let request = sampled(&self.sample.requests(), 1).remove(0);
        let form = request.write().unwrap();
        Good {
            message: (self.encode)(form.parts()).unwrap(),
            rpc: self.rpc,
            form,
        }
    }
}

macro_rules! every_subject {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        pub(crate) fn subjects() -> Vec<Subject> {
            vec![$($( Subject::of::<$Request>() ),*),*]
        }
    };
}

comity_core::operations!(every_subject);

/// A call that every binding serves.
struct Good {
    form: EndpointForm,
    rpc: &'static str,
    message: Vec<u8>,
}

impl Good {
    fn metadata(&self) -> Vec<(&'static str, String)> {
        self.metadata_of(self.form.target())
    }

    fn metadata_of(&self, target: &str) -> Vec<(&'static str, String)> {
        metadata(self.form.method(), target)
    }

    fn body(&self) -> Option<Bytes> {
        body(self.form.parts())
    }

    async fn send(&self, connection: &mut Connection) -> connection::Answer {
        let Self { form, rpc, message } = self;
        if connection.way != Way::Typed {
            let (method, target) = (form.method(), form.target());
            return connection.call(method, target, self.body()).await;
        }
        let message = framed(std::slice::from_ref(message));
        typed(connection, rpc, &self.metadata(), message).await
    }
}

fn metadata(method: &str, target: &str) -> Vec<(&'static str, String)> {
    vec![
        ("x-matrix-method", method.to_owned()),
        ("x-matrix-uri-bin", STANDARD_NO_PAD.encode(target)),
    ]
}

fn body(parts: &EndpointParts) -> Option<Bytes> {
    match &parts.content {
        Content::Json(object) => Some(object.text().clone()),
        _ => None,
    }
}

async fn typed(
    connection: &mut Connection,
    rpc: &str,
    metadata: &[(&str, String)],
    body: Bytes,
) -> connection::Answer {
    match connection.rpc(rpc, metadata, body).await {
        Ok(_) => connection::Answer::good(),
        Err(status) => {
            connection::Answer::of_status(&status).unwrap_or_else(|| panic!("{rpc}: {status:?}"))
        }
    }
}

/// What a fault is answered with. The message has to hold both texts.
struct Expected {
    status: u16,
    errcode: &'static str,
    names: String,
    also: Option<&'static str>,
}

impl Expected {
    fn new(status: u16, errcode: &'static str, names: impl Into<String>) -> Self {
        Self {
            status,
            errcode,
            names: names.into(),
            also: None,
        }
    }

    fn assert(&self, over: &str, answer: &connection::Answer) {
        assert_eq!(
            (answer.status, answer.errcode.as_str()),
            (self.status, self.errcode),
            "{over}: {}",
            answer.message
        );
        for text in [Some(self.names.as_str()), self.also].into_iter().flatten() {
            assert!(answer.message.contains(text), "{over}: {}", answer.message);
        }
    }
}

/// A server, and a connection to it each way.
struct Bench {
    recorder: Recorder,
    connections: Vec<Connection>,
}

impl Bench {
    async fn new() -> Self {
        let recorder = Recorder::default();
        let address = serve(&recorder).await;
        let mut connections = Vec::new();
        for way in Way::ALL {
            connections.push(Connection::open(way, address).await);
        }
        Self {
            recorder,
            connections,
        }
    }

    /// From now on there is a good reply to the subject's calls.
    fn prepare(&self, subject: &Subject) {
        let reply = sampled(&subject.sample.replies(), 1).remove(0);
        self.recorder.prepare(Answer::Reply(reply));
    }
}

/// Nothing arrived, and then a good call does.
async fn assert_unharmed(
    recorder: &Recorder,
    connection: &mut Connection,
    good: &Good,
    over: &str,
) {
    assert!(recorder.seen().is_empty(), "{over} reached the handler");
    let answer = good.send(connection).await;
    assert_eq!(answer.status, 200, "the call after {over}: {answer:?}");
    let seen = recorder.seen();
    assert_eq!(seen.len(), 1, "the call after {over}");
    assert_eq!(&seen[0].parts, good.form.parts(), "the call after {over}");
}

#[test]
fn parameters_and_members_that_are_wrong_are_named_alike() {
    runtime().block_on(async {
        let mut bench = Bench::new().await;
        for subject in subjects() {
            bench.prepare(&subject);
            let good = subject.good();
            for fault in form::faults(&subject, good.form.parts()) {
                let path: Vec<&str> = fault.parts.path.iter().map(String::as_str).collect();
                let query = fault.parts.query.write();
                let target = format!("{}?{query}", subject.operation.path().write(&path));
                let message = (subject.encode)(&fault.parts).unwrap();
                let mut first = None;
                for connection in &mut bench.connections {
                    let over = format!(
                        "{} of {:?} over {:?}",
                        fault.what, subject.operation, connection.way
                    );
                    let method = subject.operation.method();
                    let answer = if connection.way == Way::Typed {
                        let message = framed(std::slice::from_ref(&message));
                        typed(connection, subject.rpc, &metadata(method, &target), message).await
                    } else {
                        connection.call(method, &target, body(&fault.parts)).await
                    };
                    fault.expected.assert(&over, &answer);
                    assert_eq!(
                        first.get_or_insert_with(|| answer.clone()),
                        &answer,
                        "{over}"
                    );
                    assert_unharmed(&bench.recorder, connection, &good, &over).await;
                }
            }
        }
    });
}

#[test]
fn a_request_that_is_no_call_is_refused_alike() {
    runtime().block_on(async {
        let mut bench = Bench::new().await;
        for subject in subjects() {
            bench.prepare(&subject);
            let good = subject.good();
            for fault in request::faults(&subject, &good.form, &good.body()) {
                let mut first = None;
                let endpoint = |connection: &&mut Connection| connection.way != Way::Typed;
                for connection in bench.connections.iter_mut().filter(endpoint) {
                    let over = format!(
                        "{} of {:?} over {:?}",
                        fault.what, subject.operation, connection.way
                    );
                    let body = fault.body.clone();
                    let answer = connection.call(&fault.method, &fault.target, body).await;
                    fault.expected.assert(&over, &answer);
                    assert_eq!(
                        first.get_or_insert_with(|| answer.clone()),
                        &answer,
                        "{over}"
                    );
                    assert_unharmed(&bench.recorder, connection, &good, &over).await;
                }
            }
        }
    });
}

#[test]
fn a_message_that_is_no_call_is_refused() {
    runtime().block_on(async {
        let mut bench = Bench::new().await;
        for subject in subjects() {
            bench.prepare(&subject);
            let good = subject.good();
            let connection = bench.connections.last_mut().unwrap();
            assert_eq!(connection.way, Way::Typed);
            for fault in message::faults(&subject, &good) {
                let over = format!("{} of {:?}", fault.what, subject.operation);
                let body = fault.body.clone();
                let refused = connection.rpc(&fault.method, &fault.metadata, body).await;
                let status = refused.expect_err(&over);
                let answer = connection::Answer::of_status(&status);
                match (&fault.expected, answer) {
                    (Refused::Answer(expected), Some(answer)) => expected.assert(&over, &answer),
                    (Refused::Status(code, names), None) => {
                        assert_eq!(status.code(), *code, "{over}");
                        assert!(status.message().contains(names), "{over}: {status:?}");
                    }
                    (_, answer) => panic!("{over}: {status:?} {answer:?}"),
                }
                assert_unharmed(&bench.recorder, connection, &good, &over).await;
            }
        }
    });
}

/// The first of several counts, as servers in use read it, and the others reach the handler and leave it again.
#[test]
fn a_query_parameter_that_comes_twice_is_kept() {
    runtime().block_on(async {
        let mut bench = Bench::new().await;
        for subject in subjects() {
            bench.prepare(&subject);
            let parameters = subject.sample.parameters().iter();
            for parameter in parameters.filter(|parameter| parameter.place == Place::Query) {
                let name = parameter.name;
                let values = match parameter.kind {
                    Kind::Integer => ["7", "8", "7"],
                    Kind::Boolean => ["true", "false", "true"],
                    Kind::OneOf(texts) => [texts[0], texts[texts.len() - 1], texts[0]],
                    _ => ["$a", "$b", "$a"],
                };
                let parts = with_parameter(subject.good().form.parts(), name, &values);
                let form = EndpointForm::from_parts(
                    subject.operation.method(),
                    subject.operation.path(),
                    parts.clone(),
                );
                let good = Good {
                    message: (subject.encode)(&parts).unwrap(),
                    rpc: subject.rpc,
                    form: form.unwrap(),
                };
                for connection in &mut bench.connections {
                    let over = format!(
                        "`{name}` of {:?} over {:?}",
                        subject.operation, connection.way
                    );
                    assert_eq!(good.send(connection).await.status, 200, "{over}");
                    let seen = bench.recorder.seen().remove(0);
                    assert_eq!(seen.parts, parts, "{over}");
                    let again = seen.request.write().unwrap();
                    let again = &again.parts().query;
                    assert!(again.all(name).eq(values), "{over}: {again:?}");
                    assert_eq!(again.iter().count(), parts.query.iter().count(), "{over}");
                }
            }
        }
    });
}

/// What is unusual and yet no fault of form: the handler gets it.
#[test]
fn a_limit_of_nothing_and_a_slash_behind_the_path_are_no_faults() {
    runtime().block_on(async {
        let mut bench = Bench::new().await;
        let backfill = Subject::of::<comity_core::api::Backfill>();
        bench.prepare(&backfill);
        for connection in &mut bench.connections {
            for limit in [0, -1, i64::MIN, i64::MAX] {
                let parts = comity_core::call::Endpoint::write(&comity_core::api::Backfill {
                    room_id: "!r".to_owned(),
                    from: vec!["$b".to_owned(), "$a".to_owned(), "$b".to_owned()],
                    limit,
                    ..Default::default()
                });
                for slash in ["", "/"] {
                    let query = parts.query.write();
                    let target = format!("/_matrix/federation/v1/backfill/!r{slash}?{query}");
                    let form = EndpointForm::received("GET".into(), target, parts.clone());
                    let good = Good {
                        message: (backfill.encode)(&parts).unwrap(),
                        rpc: backfill.rpc,
                        form,
                    };
                    let over = format!("a limit of {limit} over {:?}", connection.way);
                    assert_unharmed(&bench.recorder, connection, &good, &over).await;
                }
            }
        }
    });
}
