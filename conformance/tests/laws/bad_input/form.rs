//! What is wrong with a request's parameters and members: the same over every binding.

use comity_conformance::{Kind, Parameter, Place, json::parse};
use comity_core::{
    endpoint::{Content, EndpointParts, Query},
    json::{Members, Object, Value},
};

use super::{Expected, Subject};

/// A request that cannot be read.
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) parts: EndpointParts,
    pub(super) expected: Expected,
}

/// Values of every JSON type, with the kinds that they are good for.
const VALUES: [(&str, &[Kind]); 12] = [
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
    ("{}", &[Kind::Object, Kind::Event]),
    ("{\"0\":\"\"}", &[Kind::Object, Kind::Event]),
];

/// Every parameter left out, if it is required, and given as something else.
pub(super) fn faults(subject: &Subject, good: &EndpointParts) -> Vec<Fault> {
    let mut faults = Vec::new();
    for parameter in subject.parameters {
        match parameter.place {
            Place::Query => faults.extend(of_query(parameter, good)),
            Place::Member => faults.extend(of_member(parameter, good)),
            Place::Content => {}
        }
        if parameter.kind == Kind::Event {
            faults.extend(of_event(parameter, good));
        }
    }
    let first = subject.parameters.iter().find(|parameter| {
        parameter.required && parameter.place == Place::Member && good.content != Content::Absent
    });
    // No body counts as `{}`, so the first member that is required is the one that is missing.
    faults.extend(first.map(|first| Fault {
        what: "no body".to_owned(),
        parts: EndpointParts {
            content: Content::Absent,
            ..good.clone()
        },
        expected: Expected::new(400, "M_MISSING_PARAM", first.name),
    }));
    faults
}

fn of_query(parameter: &Parameter, good: &EndpointParts) -> Vec<Fault> {
    let name = parameter.name;
    let with = |what: String, value: Option<&str>, errcode| {
        let mut rest = good.query.clone();
        rest.take_all(name);
        let mut query = Query::new();
        if let Some(value) = value {
            query.push(name, value);
        }
        query.extend(&rest);
        Fault {
            what,
            parts: EndpointParts {
                query,
                ..good.clone()
            },
            expected: Expected::new(400, errcode, name),
        }
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
        let what = format!("no query parameter `{name}`");
        faults.push(with(what, None, "M_MISSING_PARAM"));
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
            expected: Expected::new(400, "M_BAD_JSON", name),
        })
        .collect();
    if parameter.required {
        faults.push(Fault {
            what: format!("no member `{name}`"),
            parts: with_member(good, name, None),
            expected: Expected::new(400, "M_MISSING_PARAM", name),
        });
    }
    faults
}

/// An event that no server takes.
fn of_event(parameter: &Parameter, good: &EndpointParts) -> Vec<Fault> {
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let large = format!("\"{}\"", "x".repeat(65_536));
    [("1001", deep), ("65536", large)]
        .map(|(limit, content)| {
            let event = parse(&format!("{{\"content\":{content}}}"));
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
                    ..Expected::new(400, "M_INVALID_PARAM", parameter.name)
                },
            }
        })
        .into()
}

fn with_member(good: &EndpointParts, name: &str, value: Option<Value>) -> EndpointParts {
    let mut members = Members::from_object(&good.object().unwrap());
    members.remove(name);
    if let Some(value) = value {
        members.insert(name.to_owned(), value);
    }
    EndpointParts {
        content: Content::Json(members.to_object()),
        ..good.clone()
    }
}
