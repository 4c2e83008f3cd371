//! Where the table and the specification disagree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    operation::{Body, Specified, endpoint},
    schema::{Member, Type},
    table::Ours,
};

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    /// Method and path.
    pub(crate) endpoint: String,
    /// What differs.
    pub(crate) what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.what)
    }
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) operations: usize,
    pub(crate) parameters: usize,
    pub(crate) errors: usize,
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) counts: Counts,
    pub(crate) differences: Vec<Difference>,
    /// Operations that the specification has no more, and the release that took each out.
    pub(crate) removed: Vec<String>,
}

/// Compares both lists.
pub(crate) fn compare(specified: &[Specified], table: &[Ours]) -> Comparison {
    let mut comparison = Comparison::default();
    let key = |method: &str, path: &str| endpoint(method, path);
    let here: BTreeMap<String, &Ours> = table
        .iter()
        .map(|ours| (key(&ours.operation.method, &ours.operation.path), ours))
        .collect();
    let there: BTreeMap<String, &Specified> = specified
        .iter()
        .map(|one| (key(&one.operation.method, &one.operation.path), one))
        .collect();
    for (key, one) in &there {
        let mut found = Vec::new();
        match here.get(key) {
            Some(ours) => {
                comparison.counts.operations += 1;
                of_operation(one, ours, &mut comparison.counts, &mut found);
            }
            None => found.push(format!(
                "`{}` of the specification is not in the table",
                one.operation.name
            )),
        }
        comparison.push(&one.operation.method, &one.operation.path, found);
    }
    for (key, ours) in here {
        if there.contains_key(&key) {
            continue;
        }
        let name = &ours.operation.name;
        match ours.until {
            Some(until) => comparison.removed.push(format!("{name} (until {until})")),
            None => comparison.push(
                &ours.operation.method,
                &ours.operation.path,
                vec![format!("`{name}` of the table is not in the specification")],
            ),
        }
    }
    comparison
}

impl Comparison {
    fn push(&mut self, method: &str, path: &str, found: Vec<String>) {
        let endpoint = format!("{method} {path}");
        self.differences
            .extend(found.into_iter().map(|what| Difference {
                endpoint: endpoint.clone(),
                what,
            }));
    }
}

fn of_operation(one: &Specified, ours: &Ours, counts: &mut Counts, found: &mut Vec<String>) {
    let (theirs, here) = (&one.operation, &ours.operation);
    let mut differs = |what: &str, there: &dyn fmt::Debug, here: &dyn fmt::Debug| {
        found.push(format!(
            "{what}: {there:?} in the specification, {here:?} in the table"
        ));
    };
    if theirs.path != here.path {
        differs("path", &theirs.path, &here.path);
    }
    if theirs.authentication != here.authentication {
        differs("security", &theirs.authentication, &here.authentication);
    }
    if theirs.blob != here.blob {
        differs("bytes as reply", &theirs.blob, &here.blob);
    }
    if theirs.tuple != here.tuple {
        differs("a tuple as reply", &theirs.tuple, &here.tuple);
    }
    if theirs.since != here.since {
        differs("since", &theirs.since, &here.since);
    }
    if let Some(until) = ours.until {
        found.push(format!(
            "the row says that {until} took it out, and the specification has it"
        ));
    }
    let none = |_: &str, _: &Member| false;
    parameters(
        "query parameter",
        &theirs.query,
        &here.query,
        none,
        counts,
        found,
    );
    let knows = |name: &str, member: &Member| ours.row.knows(name, member.ty);
    body(&theirs.body, &here.body, knows, counts, found);
    counts.errors += theirs.errors.union(&here.errors).count();
    only("error", errors(theirs), errors(here), found);
    reply(one, ours, counts, found);
}

fn errors(operation: &crate::operation::Operation) -> BTreeSet<String> {
    let errors = operation.errors.iter();
    errors
        .map(|(status, code)| format!("{status} {code}"))
        .collect()
}

/// Names that one side alone has.
fn only(what: &str, there: BTreeSet<String>, here: BTreeSet<String>, found: &mut Vec<String>) {
    for name in there.difference(&here) {
        found.push(format!("{what} `{name}` is in the specification only"));
    }
    for name in here.difference(&there) {
        found.push(format!("{what} `{name}` is in the table only"));
    }
}

fn parameters(
    what: &str,
    there: &BTreeMap<String, Member>,
    here: &BTreeMap<String, Member>,
    knows: impl Fn(&str, &Member) -> bool,
    counts: &mut Counts,
    found: &mut Vec<String>,
) {
    let side = |required| if required { "required" } else { "optional" };
    for name in here.keys().filter(|name| !there.contains_key(*name)) {
        found.push(format!("{what} `{name}` is in the table only"));
    }
    for (name, theirs) in there {
        counts.parameters += 1;
        let Some(ours) = here.get(name) else {
            found.push(match knows(name, theirs) {
                true => format!(
                    "{what} `{name}`: {} in the specification, never refused by the table",
                    side(theirs.required)
                ),
                false => format!("{what} `{name}` is in the specification only"),
            });
            continue;
        };
        if theirs.required != ours.required {
            found.push(format!(
                "{what} `{name}`: {} in the specification, {} in the table",
                side(theirs.required),
                side(ours.required)
            ));
        }
        // A query has strings only; an array of them is a name that may come repeatedly.
        let repeated = what == "query parameter" && theirs.ty == Type::Array;
        if theirs.ty != ours.ty && !(repeated && ours.ty == Type::String) {
            found.push(format!(
                "{what} `{name}`: {:?} in the specification, {:?} in the table",
                theirs.ty, ours.ty
            ));
        }
        // Where we take any, the specification's choices are left to the handler.
        if !ours.choices.is_empty() && theirs.choices != ours.choices {
            found.push(format!(
                "{what} `{name}`: one of {:?} in the specification, of {:?} in the table",
                theirs.choices, ours.choices
            ));
        }
    }
}

fn body(
    there: &Body,
    here: &Body,
    knows: impl Fn(&str, &Member) -> bool,
    counts: &mut Counts,
    found: &mut Vec<String>,
) {
    let none = BTreeMap::new();
    let members = |body| match body {
        &Body::None => None,
        Body::Members(members) => Some(members),
        Body::Event => Some(&none),
    };
    match (members(there), members(here)) {
        (None, None) => {}
        (Some(theirs), _) if *here == Body::Event => {
            // The specification shows some members of an event that is read whole.
            counts.parameters += 1;
            let shows_event = ["type", "content"]
                .iter()
                .all(|name| theirs.contains_key(*name));
            if !theirs.is_empty() && !shows_event {
                found.push("the body is an event in the table only".to_owned());
            }
        }
        (Some(theirs), Some(ours)) => parameters("member", theirs, ours, knows, counts, found),
        (Some(_), None) => found.push("a body is in the specification only".to_owned()),
        (None, Some(_)) => found.push("a body is in the table only".to_owned()),
    }
}

/// A reply that the specification allows is read: what has to be there, there has to be; and what streams is documented. Where we
/// bear that a member is missing, the list of allowed differences says why.
fn reply(one: &Specified, ours: &Ours, counts: &mut Counts, found: &mut Vec<String>) {
    for (name, member) in &ours.reply_members {
        counts.parameters += 1;
        match one.reply_members.get(name) {
            None => found.push(format!("member of the reply `{name}` is in the table only")),
            Some(theirs) => {
                if member.required && !theirs.required {
                    found.push(format!(
                        "member of the reply `{name}`: required in the table only"
                    ));
                }
                if theirs.required && !member.required {
                    found.push(format!(
                        "member of the reply `{name}`: required in the specification only"
                    ));
                }
                if member.ty != theirs.ty {
                    found.push(format!(
                        "member of the reply `{name}`: {:?} in the specification, {:?} in the table",
                        theirs.ty, member.ty
                    ));
                }
            }
        }
    }
    for (name, theirs) in &one.reply_members {
        counts.parameters += 1;
        if !ours.row.knows_of_reply(name, theirs.ty) {
            found.push(format!(
                "member of the reply `{name}` is in the specification only"
            ));
        } else if theirs.required
            && !ours.reply_members.contains_key(name)
            && !ours.arrays.contains(&name.as_str())
        {
            found.push(format!(
                "member of the reply `{name}`: required in the specification only"
            ));
        }
    }
    for array in ours.arrays {
        counts.parameters += 1;
        if one.reply_members.get(*array).map(|member| member.ty) != Some(Type::Array) {
            found.push(format!("the reply's array `{array}` is in the table only"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::{operation, table};

    /// A description of `GetStateIds` that the table agrees with.
    fn state_ids() -> Value {
        let error = |code: &str| json!({"description": code});
        json!({
            "operationId": "x",
            "security": [{"signedRequest": []}],
            "parameters": [
                {"in": "path", "name": "roomId", "example": "!a"},
                {"in": "query", "name": "event_id", "required": true, "schema": {"type": "string"}},
            ],
            "responses": {
                "200": {"content": {"application/json": {"schema": {"properties": {
                    "auth_chain_ids": {"type": "array"}, "pdu_ids": {"type": "array"},
                }}}}},
                "403": error("M_FORBIDDEN"),
                "404": error("M_NOT_FOUND"),
            },
        })
    }

    fn differences(described: Value) -> Vec<String> {
        compared("get", described)
    }

    fn compared(method: &str, described: Value) -> Vec<String> {
        let document = json!({
            "servers": [{"variables": {"basePath": {"default": "/_matrix/federation/v1"}}}],
            "paths": {"/state_ids/{roomId}": {method: described}},
        });
        let specified = operation::read(Path::new("x.yaml"), &document).unwrap();
        let mut table = table::operations();
        table.retain(|ours| ours.operation.name == "GetStateIds");
        let comparison = compare(&specified, &table);
        comparison
            .differences
            .into_iter()
            .map(|one| one.what)
            .collect()
    }

    #[test]
    fn what_agrees_is_no_difference() {
        assert_eq!(differences(state_ids()), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_disagreement_is_found_alone() {
        type Change = (&'static str, Value, &'static str);
        let changes: [Change; 9] = [
            ("/security", json!([]), "security"),
            ("/security/0", json!({"accessToken": []}), "security"),
            (
                "/parameters/1/required",
                json!(false),
                "optional in the spec",
            ),
            (
                "/parameters/1/schema/type",
                json!("integer"),
                "Integer in the spec",
            ),
            ("/parameters/1/in", json!("header"), ""),
            (
                "/responses/403/description",
                json!("M_OTHER"),
                "403 M_OTHER",
            ),
            (
                "/requestBody",
                json!({"content": {"application/json": {"schema": {}}}}),
                "a body",
            ),
            ("/x-addedInMatrixVersion", json!("1.3"), "since"),
            (
                "/responses/200/content/application~1json/schema/properties/pdu_ids/type",
                json!("string"),
                "`pdu_ids`",
            ),
        ];
        for (place, value, expected) in changes {
            let mut described = state_ids();
            match described.pointer_mut(place) {
                Some(found) => *found = value,
                None => described[&place[1..]] = value,
            }
            if expected.is_empty() {
                // What is not understood is no silence.
                let document = json!({
                    "servers": [{"variables": {"basePath": {"default": "/x"}}}],
                    "paths": {"/y": {"get": described}},
                });
                assert!(operation::read(Path::new("x.yaml"), &document).is_err());
                continue;
            }
            let found = differences(described);
            assert!(
                found.iter().any(|one| one.contains(expected)),
                "{place}: {found:?}"
            );
            // A changed error is missed on one side and too much on the other.
            assert!(found.len() <= 2, "{place}: {found:?}");
        }
    }

    #[test]
    fn an_operation_that_one_side_lacks_is_found() {
        let found = compared("put", state_ids());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("not in the table"), "{found:?}");
        assert!(found[1].contains("not in the specification"), "{found:?}");
    }
}
