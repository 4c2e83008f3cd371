//! What a sample says is read by its type is what is read so, and nothing else is: found out by trying each name that its requests and
//! replies hold. So no law that goes by [`Parameter`]s can miss one.

use std::collections::{BTreeMap, BTreeSet};

use comity_conformance::{Kind, Parameter, Place, ReplySample, json::parse};
use comity_core::{
    call::{Part, ReplyShape},
    endpoint::{Content, EndpointParts, Query},
    json::{Members, Object, Value},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::{Subject, subjects};
use crate::run::runtime;

/// Values of every JSON type, with the kinds that they are good for.
pub(crate) const VALUES: [(&str, &[Kind]); 12] = [
    ("null", &[]),
    ("true", &[Kind::Boolean]),
    ("0", &[Kind::Integer]),
    ("1.5", &[]),
    ("9007199254740992", &[]),
    ("\"1\"", &[Kind::String]),
    ("\"\"", &[Kind::String]),
    ("[]", &[Kind::Array, Kind::Strings]),
    ("[1]", &[Kind::Array]),
    ("[\"\",null]", &[Kind::Array]),
    ("{}", &[Kind::Object, Kind::Event, Kind::Template]),
    ("{\"0\":\"\"}", &[Kind::Object, Kind::Event, Kind::Template]),
];

/// The same for a query's.
const TEXTS: [(&str, &[Kind]); 3] = [
    ("abc", &[Kind::String, Kind::AccessToken]),
    ("1", &[Kind::String, Kind::AccessToken, Kind::Integer]),
    ("true", &[Kind::String, Kind::AccessToken, Kind::Boolean]),
];

/// An object that is nested deeper than an event may be.
pub(crate) fn too_deep() -> Value {
    let (open, close) = ("[".repeat(1_000), "]".repeat(1_000));
    parse(&format!("{{\"content\":{open}{close}}}"))
}

/// For each name whether it has to be there, and which of some values are good for it.
type Read = BTreeMap<String, (bool, Vec<bool>)>;

/// Values of a strategy, always the same ones.
pub(crate) fn sampled<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    let mut next = || strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(|_| next()).collect()
}

pub(crate) fn with_member(object: &Object, name: &str, value: Option<Value>) -> Object {
    let mut members = Members::from_object(object);
    members.remove(name);
    if let Some(value) = value {
        members.insert(name.to_owned(), value);
    }
    members.to_object()
}

/// A reply of these members; of a stream those beside its arrays.
pub(crate) fn reply_of(shape: ReplyShape, members: &Object) -> ReplySample {
    if shape == ReplyShape::Message {
        return ReplySample::Message(members.clone());
    }
    let parts = members.members().map(|(name, value)| Part::Member {
        name: name.into_owned(),
        value,
    });
    ReplySample::Events(parts.collect())
}

/// Tries each name in a `good` object: what is always accepted is not read by its type.
fn members_read(
    good: &Object,
    names: &BTreeSet<String>,
    accepts: &dyn Fn(&Object) -> bool,
) -> Read {
    assert!(accepts(good));
    let with = |name: &str, value: Option<Value>| accepts(&with_member(good, name, value));
    // If even an unknown member may not be deep, the whole is one event.
    let deep = with("org.example.unknown", Some(too_deep())).then(too_deep);
    let read = names.iter().map(|name| {
        let required = !with(name, None);
        let values = VALUES
            .iter()
            .map(|(text, _)| parse(text))
            .chain(deep.clone());
        let taken: Vec<bool> = values.map(|value| with(name, Some(value))).collect();
        (name.clone(), (required, taken))
    });
    let typed =
        |(_, (required, taken)): &(String, (bool, Vec<bool>))| *required || taken.contains(&false);
    read.filter(typed).collect()
}

/// What a sample says of members.
fn members_declared(parameters: &[Parameter]) -> Read {
    let members = parameters.iter().filter(|one| one.place == Place::Member);
    let read = members.map(|parameter| {
        let kind = &parameter.kind;
        let mut taken: Vec<bool> = VALUES.map(|(_, kinds)| kinds.contains(kind)).into();
        taken.push(matches!(kind, Kind::Object | Kind::Template));
        (parameter.name.to_owned(), (parameter.required, taken))
    });
    read.collect()
}

fn request_members_read(subject: &Subject) -> Read {
    let forms = requests(subject);
    let object = |parts: &EndpointParts| parts.object().unwrap().into_owned();
    let names = forms.iter().flat_map(|parts| {
        let object = object(parts);
        let names: Vec<_> = object
            .members()
            .map(|(name, _)| name.into_owned())
            .collect();
        names
    });
    let accepts = |content: &Object| {
        let parts = EndpointParts {
            content: Content::Json(content.clone()),
            ..forms[0].clone()
        };
        subject.operation.read(&parts).is_ok()
    };
    members_read(&object(&forms[0]), &names.collect(), &accepts)
}

fn reply_members_read(subject: &Subject) -> Read {
    let spec = subject.operation.spec();
    if matches!(spec.reply, ReplyShape::Blob | ReplyShape::Body) {
        return Read::new();
    }
    let replies = reply_members(subject);
    let names = replies.iter().flat_map(|members| {
        let names: Vec<_> = members
            .members()
            .map(|(name, _)| name.into_owned())
            .collect();
        names
    });
    let mut names: BTreeSet<String> = names.collect();
    if let ReplyShape::Events { arrays } = spec.reply {
        names.retain(|name| !arrays.contains(&name.as_str()));
    }
    let accepts = |members: &Object| is_good(subject, members);
    members_read(&good_reply(subject), &names, &accepts)
}

/// Members of some reply that can be read.
pub(crate) fn good_reply(subject: &Subject) -> Object {
    let mut replies = reply_members(subject).into_iter();
    let good = replies.find(|members| is_good(subject, members));
    good.expect("a sample of a reply that can be read")
}

fn is_good(subject: &Subject, members: &Object) -> bool {
    let reply = reply_of(subject.operation.spec().reply, members).to_reply(None);
    runtime()
        .block_on(subject.sample.judge_reply(reply))
        .is_ok()
}

/// The members of some replies, of streams those beside the arrays.
fn reply_members(subject: &Subject) -> Vec<Object> {
    let replies = sampled(&subject.sample.replies(), 128).into_iter();
    let members = replies.map(|reply| match reply {
        ReplySample::Message(members) => members,
        ReplySample::Events(parts) => {
            let members = parts.into_iter().filter_map(|part| match part {
                Part::Member { name, value } => Some((name, value)),
                _ => None,
            });
            Members::from_iter(members).to_object()
        }
        ReplySample::Blob(blob) => blob.metadata,
        ReplySample::Body(_) => Object::empty(),
    });
    members.collect()
}

/// The query parameters that an endpoint takes for its own: those it writes before one that it does not know, however they came.
fn query_read(subject: &Subject) -> Read {
    const UNKNOWN: &str = "org.example.unknown";
    let mut names = BTreeMap::new();
    for parts in requests(subject) {
        let mut query = Query::new();
        query.push(UNKNOWN, "");
        query.extend(&parts.query);
        let shuffled = EndpointParts {
            query,
            ..parts.clone()
        };
        let again = subject.operation.read(&shuffled).unwrap().write().unwrap();
        let known = again.parts().query.iter().map(|(name, _)| name.to_owned());
        let known = known.take_while(|name| name != UNKNOWN);
        names.extend(known.map(|name| (name, parts.clone())));
    }
    let read = names.into_iter().map(|(name, parts)| {
        let accepts = |value: Option<&str>| {
            subject
                .operation
                .read(&with_parameter(&parts, &name, value.as_slice()))
                .is_ok()
        };
        let taken = TEXTS.map(|(text, _)| accepts(Some(text))).into();
        let required = !accepts(None);
        (name, (required, taken))
    });
    read.collect()
}

fn query_declared(parameters: &[Parameter]) -> Read {
    let query = parameters.iter().filter(|one| one.place == Place::Query);
    let read = query.map(|parameter| {
        let taken = TEXTS.map(|(_, kinds)| kinds.contains(&parameter.kind));
        (
            parameter.name.to_owned(),
            (parameter.required, taken.into()),
        )
    });
    read.collect()
}

/// The parts with these values of a query parameter, before the others.
pub(super) fn with_parameter(parts: &EndpointParts, name: &str, values: &[&str]) -> EndpointParts {
    let mut rest = parts.query.clone();
    rest.take_all(name);
    let mut query = Query::new();
    for value in values {
        query.push(name, *value);
    }
    query.extend(&rest);
    EndpointParts {
        query,
        ..parts.clone()
    }
}

fn requests(subject: &Subject) -> Vec<EndpointParts> {
    let requests = sampled(&subject.sample.requests(), 32);
    let parts = requests
        .iter()
        .map(|request| request.write().unwrap().parts().clone());
    parts.collect()
}

#[test]
fn what_an_endpoint_reads_by_its_type_is_declared() {
    for subject in subjects() {
        let declared = subject.sample.parameters();
        assert_eq!(
            request_members_read(&subject),
            members_declared(declared),
            "members of {:?}",
            subject.operation
        );
        assert_eq!(
            query_read(&subject),
            query_declared(declared),
            "query of {:?}",
            subject.operation
        );
    }
}

/// A content that is one event is read whole, so what it is spoilt by is a member of its own.
#[test]
fn content_that_is_one_event_is_declared() {
    for subject in subjects() {
        let parts = &requests(&subject)[0];
        let deep = Object::from_value(&too_deep()).unwrap();
        let content = deep.get("content").unwrap();
        let name = "org.example.unknown";
        let object = with_member(&parts.object().unwrap(), name, Some(content));
        let parts = EndpointParts {
            content: Content::Json(object),
            ..parts.clone()
        };
        let parameters = subject.sample.parameters();
        let mut whole = parameters.iter().filter(|one| one.place == Place::Content);
        assert_eq!(
            subject.operation.read(&parts).is_err(),
            whole.any(|one| one.kind == Kind::Event),
            "{:?}",
            subject.operation
        );
    }
}

#[test]
fn what_a_reply_is_read_for_is_declared() {
    for subject in subjects() {
        assert_eq!(
            reply_members_read(&subject),
            members_declared(subject.sample.reply_members()),
            "the reply of {:?}",
            subject.operation
        );
    }
}
