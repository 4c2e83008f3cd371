//! What is wrong with a request's parameters and members: the same over every binding.

use comity_conformance::{Kind, Parameter, Place, json::parse};
use comity_core::{
    endpoint::{Content, EndpointParts},
    json::{Object, Value},
};

use super::{
    Expected, Subject,
    declared::{self, VALUES, too_deep, with_parameter},
};

/// A request that cannot be read.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) parts: EndpointParts,
    pub(super) expected: Expected,
}

/// Every parameter left out, if it is required, and given as something else.
pub(super) fn faults(subject: &Subject, good: &EndpointParts) -> Vec<Fault> {
    let mut faults = Vec::new();
    for parameter in subject.sample.parameters() {
        match parameter.place {
            Place::Query => faults.extend(of_query(parameter, good)),
            Place::Member => faults.extend(of_member(parameter, good)),
            Place::Content => {}
        }
        if parameter.kind == Kind::Event {
            faults.extend(of_event(parameter, good));
        }
    }
    let first = subject.sample.parameters().iter().find(|parameter| {
        parameter.required && parameter.place == Place::Member && good.content != Content::Absent
    });
    // No body counts as `{}`, so the first member that is required is the one that is missing.
    faults.extend(first.map(|first| Fault {
        what: "no body".to_owned(),
        parts: EndpointParts {
            content: Content::Absent,
            ..good.clone()
        },
        expected: Expected::new(400, "M_MISSING_PARAM", called(first)),
    }));
    faults
}

fn of_query(parameter: &Parameter, good: &EndpointParts) -> Vec<Fault> {
    let name = parameter.name;
    let with = |what: String, value: Option<&str>, errcode| Fault {
        what,
        parts: with_parameter(good, name, value.as_slice()),
        expected: Expected::new(400, errcode, called(parameter)),
    };
    let bad: &[&str] = match parameter.kind {
        Kind::Integer => &[
            "abc",
            "",
            "1.5",
            "99999999999999999999",
            "0x10",
            " 1",
            "1,2",
        ],
        Kind::Boolean => &["yes", "", "1", "TRUE", "true "],
        Kind::OneOf(_) => &["", "neither of them", "\u{0}"],
        _ => &[],
    };
    let mut faults: Vec<Fault> = bad
        .iter()
        .map(|value| {
            let what = format!("query parameter `{name}` is {value:?}");
            with(what, Some(value), "M_INVALID_PARAM")
        })
        .collect();
    if parameter.required {
        let mut fault = with(
            format!("no query parameter `{name}`"),
            None,
            "M_MISSING_PARAM",
        );
        if parameter.kind == Kind::AccessToken {
            // It is the caller's proof, and lacks as such.
            fault.expected = Expected::new(401, "M_MISSING_TOKEN", called(parameter));
        }
        faults.push(fault);
    }
    faults
}

fn of_member(parameter: &Parameter, good: &EndpointParts) -> Vec<Fault> {
    let name = parameter.name;
    let mut faults: Vec<Fault> = VALUES
        .iter()
        .filter(|(_, kinds)| !kinds.contains(&parameter.kind))
        .map(|(value, _)| Fault {
            what: format!("member `{name}` is {value}"),
            parts: with_member(good, name, Some(parse(value))),
            expected: Expected::new(400, "M_BAD_JSON", called(parameter)),
        })
        .collect();
    if parameter.required {
        faults.push(Fault {
            what: format!("no member `{name}`"),
            parts: with_member(good, name, None),
            expected: Expected::new(400, "M_MISSING_PARAM", called(parameter)),
        });
    }
    faults
}

/// An event that no server takes.
fn of_event(parameter: &Parameter, good: &EndpointParts) -> Vec<Fault> {
    let large = parse(&format!("{{\"content\":\"{}\"}}", "x".repeat(65_536)));
    [("1001", too_deep()), ("65536", large)]
        .map(|(limit, event)| {
            let parts = match parameter.place {
                Place::Member => with_member(good, parameter.name, Some(event)),
                _ => EndpointParts {
                    content: Content::Json(Object::from_value(&event).unwrap()),
                    ..good.clone()
                },
            };
            Fault {
                what: format!("`{}` is over a limit", parameter.name),
                parts,
                expected: Expected {
                    also: Some(limit),
                    ..Expected::new(400, "M_INVALID_PARAM", called(parameter))
                },
            }
        })
        .into()
}

/// As an error calls it: a name in backticks, so that none is found within a word.
fn called(parameter: &Parameter) -> String {
    match parameter.place {
        Place::Content => format!("the {}", parameter.name),
        Place::Query | Place::Member => format!("`{}`", parameter.name),
    }
}

fn with_member(good: &EndpointParts, name: &str, value: Option<Value>) -> EndpointParts {
    let content = declared::with_member(&good.object().unwrap(), name, value);
    EndpointParts {
        content: Content::Json(content),
        ..good.clone()
    }
}
