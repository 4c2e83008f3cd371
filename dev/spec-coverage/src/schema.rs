//! What a schema of the specification says of an object's members, and the example that it makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// What a parameter or member is, as far as both the specification and the samples say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Type {
    String,
    Integer,
    Boolean,
    Object,
    Array,
}

/// A parameter or member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) required: bool,
    pub(crate) ty: Type,
    /// The only values that it may have; empty for any.
    pub(crate) choices: BTreeSet<String>,
}

impl Member {
    /// A parameter or member of this schema.
    ///
    /// # Errors
    /// As [`type_of`].
    pub(crate) fn of(schema: &Value, required: bool) -> Result<Self, String> {
        let choices = schema.get("enum").and_then(Value::as_array);
        let choices = choices.into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            required,
            ty: type_of(schema)?,
            choices: choices.map(str::to_owned).collect(),
        })
    }
}

/// The type that a schema names.
///
/// # Errors
/// It names none that a parameter or member of the Federation API has.
fn type_of(schema: &Value) -> Result<Type, String> {
    let named = parts(schema)
        .into_iter()
        .find_map(|part| part.get("type")?.as_str());
    Ok(match named {
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("boolean") => Type::Boolean,
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        other => return Err(format!("no type that is known here: {other:?}")),
    })
}

/// The members that a schema of an object names.
///
/// # Errors
/// As [`type_of`], with the member's name.
pub(crate) fn members(schema: &Value) -> Result<BTreeMap<String, Member>, String> {
    let required = required(schema);
    let mut members = BTreeMap::new();
    for (name, schema) in properties(schema) {
        let member = Member::of(schema, required.contains(name.as_str()));
        let member = member.map_err(|error| format!("member `{name}`: {error}"))?;
        members.insert(name.clone(), member);
    }
    Ok(members)
}

fn required(schema: &Value) -> BTreeSet<&str> {
    let lists = parts(schema).into_iter();
    let lists = lists.filter_map(|part| part.get("required")?.as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}

fn properties(schema: &Value) -> BTreeMap<&String, &Value> {
    let objects = parts(schema).into_iter();
    let objects = objects.filter_map(|part| part.get("properties")?.as_object());
    objects.flatten().collect()
}

/// The schema and those that it is all of.
fn parts(schema: &Value) -> Vec<&Value> {
    let mut found = vec![schema];
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        found.extend(all.iter().flat_map(parts));
    }
    found
}

/// The example that a schema gives, or that those of its members make; `None` if a required one has none.
pub(crate) fn example(schema: &Value) -> Option<Value> {
    if let Some(given) = schema.get("example") {
        return Some(merged(given));
    }
    let part_examples: Vec<Value> = parts(schema)
        .into_iter()
        .skip(1)
        .filter_map(|part| part.get("example").map(merged))
        .collect();
    let properties = properties(schema);
    if properties.is_empty() {
        return match (
            part_examples.into_iter().next(),
            schema.get("items").and_then(example),
        ) {
            (Some(given), _) => Some(given),
            (None, Some(item)) => Some(Value::Array(vec![item])),
            (None, None) => None,
        };
    }
    let mut object = Map::new();
    for (name, schema) in properties {
        if let Some(value) = example(schema) {
            object.insert(name.clone(), value);
        }
    }
    for given in part_examples {
        object.extend(given.as_object().cloned().unwrap_or_default());
    }
    let whole = required(schema)
        .iter()
        .all(|name| object.contains_key(*name));
    (whole && !object.is_empty()).then_some(Value::Object(object))
}

/// An example with its objects of the form `{"allOf": [..]}` made one, as the specification's scripts do it.
pub(crate) fn merged(example: &Value) -> Value {
    match example {
        Value::Array(elements) => elements.iter().map(merged).collect(),
        Value::Object(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("allOf", Value::Array(all)) => {
                        for part in all {
                            object.extend(merged(part).as_object().cloned().unwrap_or_default());
                        }
                    }
                    _ => _ = object.insert(name.clone(), merged(value)),
                }
            }
            Value::Object(object)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_of_all_parts_count_and_are_required_if_one_part_says_so() {
        let schema = json!({
            "allOf": [
                {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"c": {"allOf": [{"type": "object"}]}}},
            ],
            "required": ["c"],
        });
        let member = |required, ty| Member {
            required,
            ty,
            choices: BTreeSet::new(),
        };
        assert_eq!(
            members(&schema).unwrap(),
            BTreeMap::from([
                ("a".to_owned(), member(true, Type::String)),
                ("b".to_owned(), member(false, Type::Integer)),
                ("c".to_owned(), member(true, Type::Object)),
            ])
        );
        let error = members(&json!({"properties": {"x": {}}})).unwrap_err();
        assert!(error.contains("`x`"), "{error}");
    }

    #[test]
    fn an_example_is_made_of_the_members_examples_and_only_if_it_is_whole() {
        let mut schema = json!({
            "properties": {
                "list": {"type": "array", "items": {"type": "string", "example": "x"}},
                "merged": {"example": {"allOf": [{"a": 1}, {"b": 2}]}},
                "none": {"type": "string"},
            },
            "required": ["list"],
        });
        assert_eq!(
            example(&schema).unwrap(),
            json!({"list": ["x"], "merged": {"a": 1, "b": 2}})
        );
        schema["required"] = json!(["none"]);
        assert_eq!(example(&schema), None);
    }
}
