//! What is wrong with a message of gRPC.

use bytes::Bytes;
use comity_conformance::Place;
use comity_core::{call::Authentication, endpoint::Content};
use tonic::Code;

use super::{
    Expected, Good, Subject,
    connection::framed,
    contradiction::{self, Contradiction},
};

/// A request that is no call of gRPC.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) method: String,
    pub(super) metadata: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) expected: Refused,
}

/// How it is refused.
pub(super) enum Refused {
    /// As a call, with our detail.
    Answer(Expected),
    /// Before it is one: a status without our detail, which says so.
    Status(Code, &'static str),
}

fn bad_json(names: &str) -> Refused {
    Refused::Answer(Expected::new(400, "M_BAD_JSON", names))
}

/// What any message can get wrong.
pub(super) fn faults(subject: &Subject, good: &Good) -> Vec<Fault> {
    let fault = |what: &str, body: Bytes, expected| Fault {
        what: what.to_owned(),
        method: subject.rpc.to_owned(),
        metadata: good.metadata(),
        body,
        expected,
    };
    let message = good.message.clone();
    let whole = framed(std::slice::from_ref(&message));
    let mut compressed = whole.to_vec();
    compressed[0] = 1;
    let limit = subject.operation.spec().limits.request;
    let large = (2 * limit + (64 << 10)).min(16 << 20) + 1;
    let mut faults = vec![
        fault("no message", Bytes::new(), bad_json("no message")),
        fault(
            "two messages",
            framed(&[message.clone(), message]),
            bad_json("more than one message"),
        ),
        fault(
            "a message cut short",
            framed(&[vec![0; 9]]).slice(..9),
            bad_json("ended within its message"),
        ),
        fault(
            "a field of no type",
            framed(&[vec![7]]),
            bad_json("malformed"),
        ),
        fault(
            "a field without an end",
            framed(&[vec![0x0a, 0x7f, 0]]),
            bad_json("malformed"),
        ),
        fault(
            "a field that is not UTF-8",
            framed(&[contradiction::parameter_that_is_not_utf8(subject.rpc)]),
            bad_json("malformed"),
        ),
        fault(
            "a compressed message",
            compressed.into(),
            Refused::Status(Code::Unimplemented, "compressed"),
        ),
        fault(
            "a message over its limit",
            framed(&[vec![0; large]]),
            Refused::Answer(Expected {
                also: Some("limits.request"),
                ..Expected::new(413, "M_TOO_LARGE", limit.to_string())
            }),
        ),
    ];
    let (service, _) = subject.rpc.split_once('/').unwrap();
    faults.push(Fault {
        method: format!("{service}/Nothing"),
        ..fault(
            "a method that there is not",
            whole.clone(),
            Refused::Status(Code::Unimplemented, "Nothing"),
        )
    });
    let unauthorized = |names| Refused::Answer(Expected::new(401, "M_UNAUTHORIZED", names));
    faults.push(Fault {
        metadata: good.metadata_of("/_matrix/federation/v1/nothing"),
        ..fault(
            "another target",
            whole.clone(),
            unauthorized("does not match"),
        )
    });
    if subject.operation.spec().authentication == Authentication::Server {
        faults.push(Fault {
            metadata: Vec::new(),
            ..fault("no target", whole, unauthorized("x-matrix-uri-bin"))
        });
    }
    let parameters = subject.sample.parameters().iter();
    let query = parameters.filter(|parameter| parameter.place == Place::Query);
    let query: Vec<&str> = query.map(|parameter| parameter.name).collect();
    let contradictions = contradiction::of_request(subject.rpc, &query);
    assert!(
        contradictions.is_empty() == (good.form.parts().content == Content::Absent),
        "content and no contradiction, or the reverse: {:?}",
        subject.operation
    );
    let contradictions = contradictions.into_iter();
    faults.extend(contradictions.map(
        |Contradiction {
             what,
             message,
             names,
         }| { fault(&what, framed(&[message]), bad_json(&names)) },
    ));
    faults
}
