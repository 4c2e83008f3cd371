//! An operation as both sides describe it, and the specification's side of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use comity_core::call::Authentication;
use serde_json::{Map, Value};

use crate::schema::{self, Member};

/// Where the API files lie in a checkout of the specification.
pub(crate) const FOLDER: &str = "data/api/server-server";

/// What both sides say of an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operation {
    /// Its name, of no meaning to the other side.
    pub(crate) name: String,
    pub(crate) method: String,
    /// With the names of its parameters.
    pub(crate) path: String,
    pub(crate) authentication: Authentication,
    pub(crate) query: BTreeMap<String, Member>,
    pub(crate) body: Body,
    /// What comes back: whether it is JSON or bytes behind a JSON part.
    pub(crate) blob: bool,
    /// Whether a reply is the tuple `[200, {..}]`.
    pub(crate) tuple: bool,
    /// Status and error code.
    pub(crate) errors: BTreeSet<(u16, String)>,
    /// The release that brought it.
    pub(crate) since: String,
}

/// A request's body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    None,
    /// An object with these members.
    Members(BTreeMap<String, Member>),
    /// One event as a whole, which the specification never says: its members are the room version's affair.
    Event,
}

/// An operation of the specification, with its examples.
#[derive(Clone, Debug)]
pub(crate) struct Specified {
    pub(crate) operation: Operation,
    /// Path parameters by name, as their examples show them.
    pub(crate) path_examples: BTreeMap<String, String>,
    /// Query parameters that have an example, in order; those that may come repeatedly do.
    pub(crate) query_examples: Vec<(String, String)>,
    /// Bodies of requests.
    pub(crate) requests: Vec<Example>,
    /// Bodies of replies with status 200.
    pub(crate) replies: Vec<Example>,
    /// The members of a reply that is an object.
    pub(crate) reply_members: BTreeMap<String, Member>,
}

/// A body that the specification shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    /// Where it stands.
    pub(crate) place: String,
    pub(crate) value: Value,
}

/// The method and the path without its parameters' names: what makes two operations the same.
pub(crate) fn endpoint(method: &str, path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            "{}"
        } else {
            segment
        }
    });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

/// The operations of one file.
///
/// # Errors
/// What in it is not understood.
pub(crate) fn read(file: &Path, document: &Value) -> Result<Vec<Specified>, String> {
    let base = document
        .pointer("/servers/0/variables/basePath/default")
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{}: no base path", file.display()))?;
    let mut found = Vec::new();
    for (path, methods) in object(document, "paths") {
        for (method, described) in methods.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            let path = format!("{base}{path}");
            found.push(
                operation(&method, &path, described)
                    .map_err(|error| format!("{}: {method} {path}: {error}", file.display()))?,
            );
        }
    }
    Ok(found)
}

fn operation(method: &str, path: &str, described: &Value) -> Result<Specified, String> {
    let mut query = BTreeMap::new();
    let mut query_examples = Vec::new();
    let mut path_examples = BTreeMap::new();
    let parameters = described.get("parameters").and_then(Value::as_array);
    for parameter in parameters.into_iter().flatten() {
        let name = text(parameter, "name")?.to_owned();
        let at = |error: String| format!("parameter `{name}`: {error}");
        let example = parameter.get("example");
        match text(parameter, "in")? {
            "path" => {
                let example = example.ok_or_else(|| at("no example".to_owned()))?;
                path_examples.insert(name, plain(example)?);
            }
            "query" => {
                let schema = parameter.get("schema").unwrap_or(&Value::Null);
                let required = parameter.get("required") == Some(&Value::Bool(true));
                for value in match example {
                    Some(Value::Array(values)) => values.iter().collect(),
                    Some(value) => vec![value],
                    None => Vec::new(),
                } {
                    query_examples.push((name.clone(), plain(value)?));
                }
                let member = Member::of(schema, required).map_err(at)?;
                query.insert(name, member);
            }
            other => return Err(format!("parameter `{name}` is in `{other}`")),
        }
    }
    let ok = described.pointer("/responses/200").unwrap_or(&Value::Null);
    let request = described.pointer("/requestBody/content/application~1json");
    let reply = ok.pointer("/content/application~1json");
    let reply_schema = reply.and_then(|reply| reply.get("schema"));
    Ok(Specified {
        operation: Operation {
            name: text(described, "operationId")?.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            authentication: authentication(described)?,
            query,
            body: match request.and_then(|request| request.get("schema")) {
                None => Body::None,
                Some(schema) => Body::Members(schema::members(schema)?),
            },
            blob: ok.pointer("/content/multipart~1mixed").is_some(),
            tuple: reply_schema.is_some_and(is_array),
            errors: errors(described)?,
            since: match described.get("x-addedInMatrixVersion") {
                None => "r0".to_owned(),
                Some(version) => format!("v{}", plain(version)?),
            },
        },
        path_examples,
        query_examples,
        requests: request
            .map(|body| examples("request", body))
            .unwrap_or_default(),
        replies: reply
            .map(|body| examples("reply", body))
            .unwrap_or_default(),
        reply_members: match reply_schema {
            Some(schema) if is_array(schema) => {
                let object = schema.pointer("/items/anyOf/1").unwrap_or(&Value::Null);
                schema::members(object)?
            }
            Some(schema) => schema::members(schema)?,
            None => BTreeMap::new(),
        },
    })
}

fn is_array(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("array")
}

fn authentication(described: &Value) -> Result<Authentication, String> {
    let schemes = described.get("security").and_then(Value::as_array);
    let schemes = schemes.into_iter().flatten().filter_map(Value::as_object);
    let names: Vec<&str> = schemes.flatten().map(|(name, _)| name.as_str()).collect();
    match names[..] {
        [] => Ok(Authentication::None),
        ["signedRequest"] => Ok(Authentication::Server),
        ["accessToken"] => Ok(Authentication::AccessToken),
        _ => Err(format!("security {names:?}")),
    }
}

/// Every status other than 200, with the error codes that its description, the member `errcode` and the examples name.
fn errors(described: &Value) -> Result<BTreeSet<(u16, String)>, String> {
    let mut errors = BTreeSet::new();
    for (status, response) in object(described, "responses") {
        if status == "200" {
            continue;
        }
        let number = status.parse().map_err(|_| format!("status `{status}`"))?;
        let mut codes = BTreeSet::new();
        let description = response.get("description").and_then(Value::as_str);
        codes.extend(codes_in(description.unwrap_or_default()));
        if let Some(body) = response.pointer("/content/application~1json") {
            error_codes(body, &mut codes);
        }
        if codes.is_empty() {
            return Err(format!("no error code is named for status {status}"));
        }
        errors.extend(codes.into_iter().map(|code| (number, code)));
    }
    Ok(errors)
}

/// What is said of `errcode` anywhere in an error's body. The example in the schema of all errors says nothing of this one.
fn error_codes(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|one| error_codes(one, codes)),
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("errcode", Value::String(code)) => codes.extend(codes_in(code)),
                    ("errcode", Value::Object(schema)) => {
                        let description = schema.get("description").and_then(Value::as_str);
                        codes.extend(codes_in(description.unwrap_or_default()));
                    }
                    _ => error_codes(value, codes),
                }
            }
        }
        _ => {}
    }
}

fn codes_in(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_uppercase() && c != '_')
        .filter(|word| word.starts_with("M_") && word.len() > 2)
        .map(str::to_owned)
}

/// The bodies that a media type shows, and the one that its members' examples make.
fn examples(kind: &str, body: &Value) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut add = |place: String, value: Value| {
        if found.iter().all(|known| known.value != value) {
            found.push(Example { place, value });
        }
    };
    if let Some(one) = body.get("example") {
        add(format!("{kind}, example"), schema::merged(one));
    }
    for (name, one) in object(body, "examples") {
        if let Some(value) = one.get("value") {
            add(format!("{kind}, example `{name}`"), schema::merged(value));
        }
    }
    if let Some(value) = body.get("schema").and_then(schema::example) {
        add(format!("{kind}, example of the schema"), value);
    }
    found
}

fn object<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let object: Option<&Map<String, Value>> = value.get(name).and_then(Value::as_object);
    object.into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    let text = value.get(name).and_then(Value::as_str);
    text.ok_or_else(|| format!("no `{name}`"))
}

/// A parameter's value as a target holds it, not escaped.
fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("no plain value: {value}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_read_with_everything_that_is_compared() {
        let document = json!({
            "servers": [{"variables": {"basePath": {"default": "/base"}}}],
            "paths": {"/thing/{id}": {"put": {
                "operationId": "putThing",
                "x-addedInMatrixVersion": "1.7",
                "security": [{"signedRequest": []}],
                "parameters": [
                    {"in": "path", "name": "id", "example": "!a"},
                    {"in": "query", "name": "v", "required": true, "example": ["1", "2"], "schema": {"type": "array"}},
                ],
                "requestBody": {"content": {"application/json": {
                    "schema": {"properties": {"n": {"type": "integer", "example": 7}}},
                }}},
                "responses": {
                    "200": {"content": {"multipart/mixed": {}}},
                    "403": {
                        "description": "With `M_ONE`.",
                        "content": {"application/json": {
                            "schema": {"properties": {"errcode": {"description": "`M_THREE`.", "example": "M_NO"}}},
                            "examples": {"x": {"value": {"errcode": "M_TWO"}}},
                        }},
                    },
                },
            }}},
        });
        let [read] = &read(Path::new("x.yaml"), &document).unwrap()[..] else {
            panic!("one operation");
        };
        let member = |required, ty| Member {
            required,
            ty,
            choices: BTreeSet::new(),
        };
        let expected = Operation {
            name: "putThing".to_owned(),
            method: "PUT".to_owned(),
            path: "/base/thing/{id}".to_owned(),
            authentication: Authentication::Server,
            query: [("v".to_owned(), member(true, schema::Type::Array))].into(),
            body: Body::Members([("n".to_owned(), member(false, schema::Type::Integer))].into()),
            blob: true,
            tuple: false,
            errors: ["M_ONE", "M_THREE", "M_TWO"]
                .map(|code| (403, code.to_owned()))
                .into(),
            since: "v1.7".to_owned(),
        };
        assert_eq!(read.operation, expected);
        assert_eq!(read.path_examples["id"], "!a");
        let repeated = ["1", "2"].map(|value| ("v".to_owned(), value.to_owned()));
        assert_eq!(read.query_examples, repeated);
        assert_eq!(read.requests[0].value, json!({"n": 7}));
    }

    #[test]
    fn a_status_without_an_error_code_is_not_passed_over() {
        let error = errors(&json!({"responses": {"418": {"description": "Short."}}})).unwrap_err();
        assert!(error.contains("418"), "{error}");
    }
}
