//! A field's type in the words of the API, not of Rust.

use std::collections::BTreeMap;

use syn::{GenericArgument, PathArguments, Type};

use super::source::Source;

/// What a type is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// One of them: `list of strings`.
    pub(super) one: String,
    /// Several: `lists of strings`.
    many: String,
    /// Whether it may be left out.
    pub(super) optional: bool,
    /// The type whose members are worth a row each, and what stands between its name and theirs.
    pub(super) inside: Option<Inside>,
    /// What each element of a list of them suffers alone.
    judged: bool,
}

/// A type with members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// Its name.
    pub(super) name: String,
    /// `.*` for each map on the way to it, `[]` for each list.
    pub(super) path: String,
}

/// A field that is none of the operation's own, but keeps what it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Members,
    Parameters,
}

impl Unknown {
    /// Whether a field of this type is one.
    pub(super) fn of(ty: &Type) -> Option<Self> {
        match name_and_arguments(ty)?.0.as_str() {
            "Members" => Some(Self::Members),
            "Query" => Some(Self::Parameters),
            _ => None,
        }
    }
}

impl Words {
    fn new(one: impl Into<String>, many: impl Into<String>) -> Self {
        Self {
            one: one.into(),
            many: many.into(),
            optional: false,
            inside: None,
            judged: false,
        }
    }

    /// The words for a type.
    ///
    /// # Errors
    /// It is one that has none yet.
    pub(super) fn of(ty: &Type, source: &Source) -> Result<Self, String> {
        Reader {
            source,
            replaced: &BTreeMap::new(),
        }
        .read(ty)
    }
}

/// Reads a type; in an alias, with what its parameters stand for.
struct Reader<'a> {
    source: &'a Source,
    replaced: &'a BTreeMap<String, Words>,
}

impl Reader<'_> {
    fn read(&self, ty: &Type) -> Result<Words, String> {
        let (name, arguments) =
            name_and_arguments(ty).ok_or("a type that is no path has no words in the API")?;
        if let Some(words) = self.replaced.get(&name) {
            return Ok(words.clone());
        }
        let argument = |at: usize| {
            let ty = arguments.get(at).ok_or(format!("`{name}` lacks a type"))?;
            self.read(ty)
        };
        Ok(match name.as_str() {
            "String" => Words::new("string", "strings"),
            "i64" => Words::new("integer", "integers"),
            "bool" => Words::new("boolean", "booleans"),
            "f64" => Words::new("number", "numbers"),
            "Pdu" => Words::new("event (PDU)", "events (PDUs)"),
            "Edu" => Words::new("ephemeral event (EDU)", "ephemeral events (EDUs)"),
            "Object" => Words::new("JSON object", "JSON objects"),
            "Value" => Words::new("JSON value", "JSON values"),
            "ByteStream" => Words::new("stream of bytes", "streams of bytes"),
            // What is read on demand is an object: nothing else nests in the specification.
            "Json" => match argument(0)? {
                words if words.one == "JSON value" => Words::new("JSON object", "JSON objects"),
                words => words,
            },
            "Option" => Words {
                optional: true,
                ..argument(0)?
            },
            "Listed" => Words {
                judged: true,
                ..argument(0)?
            },
            "Vec" => {
                let element = argument(0)?;
                let alone = if element.judged {
                    ", each judged alone"
                } else {
                    ""
                };
                let inside = element.inside.map(|inside| Inside {
                    path: format!("[]{}", inside.path),
                    ..inside
                });
                Words {
                    inside,
                    ..Words::new(
                        format!("list of {}{alone}", element.many),
                        format!("lists of {}{alone}", element.many),
                    )
                }
            }
            "BTreeMap" => {
                let value = argument(1)?;
                let inside = value.inside.map(|inside| Inside {
                    path: format!(".*{}", inside.path),
                    ..inside
                });
                Words {
                    inside,
                    ..Words::new(
                        format!("map of {}", value.many),
                        format!("maps of {}", value.many),
                    )
                }
            }
            _ => self.named(&name, &arguments)?,
        })
    }

    /// A type of the source's own.
    fn named(&self, name: &str, arguments: &[&Type]) -> Result<Words, String> {
        if let Some(alias) = self.source.aliases.get(name) {
            let replaced = alias
                .parameters
                .iter()
                .cloned()
                .zip(arguments)
                .map(|(parameter, ty)| Ok((parameter, self.read(ty)?)))
                .collect::<Result<_, String>>()?;
            let reader = Reader {
                source: self.source,
                replaced: &replaced,
            };
            return reader.read(&alias.ty);
        }
        let inside = Some(Inside {
            name: name.to_owned(),
            path: String::new(),
        });
        if self.source.structs.contains_key(name) {
            return Ok(Words {
                inside,
                ..Words::new("object", "objects")
            });
        }
        if self.source.enums.contains_key(name) {
            return Ok(Words {
                inside,
                ..Words::new("one of these", "choices")
            });
        }
        Err(format!(
            "the type `{name}` has no words in the API yet: add them to dev/xtask/src/api_docs/words.rs"
        ))
    }
}

/// The last name of a type's path, and the types in its brackets.
pub(super) fn name_and_arguments(ty: &Type) -> Option<(String, Vec<&Type>)> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    let arguments = match &last.arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((last.ident.to_string(), arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_said_in_the_words_of_the_api() {
        let mut source = Source::default();
        source
            .add("pub struct PduResult { pub error: Option<String> } pub type ByDevice<T> = BTreeMap<String, BTreeMap<String, T>>;")
            .unwrap();
        for (rust, expected) in [
            ("Option<i64>", "integer"),
            ("Vec<String>", "list of strings"),
            (
                "Option<Vec<Listed<Pdu>>>",
                "list of events (PDUs), each judged alone",
            ),
            ("Json<serde_json::Value>", "JSON object"),
            (
                "Json<BTreeMap<String, Vec<String>>>",
                "map of lists of strings",
            ),
            ("Json<ByDevice<Value>>", "map of maps of JSON values"),
            ("Json<BTreeMap<String, PduResult>>", "map of objects"),
        ] {
            let words = Words::of(&syn::parse_str(rust).unwrap(), &source).unwrap();
            assert_eq!(words.one, expected, "{rust}");
            assert_eq!(words.optional, rust.starts_with("Option"), "{rust}");
        }
        let map = syn::parse_str("Json<BTreeMap<String, PduResult>>").unwrap();
        let inside = Words::of(&map, &source).unwrap().inside.unwrap();
        assert_eq!((&*inside.name, &*inside.path), ("PduResult", ".*"));
        let list = syn::parse_str("Vec<Json<PduResult>>").unwrap();
        let inside = Words::of(&list, &source).unwrap().inside.unwrap();
        assert_eq!((&*inside.name, &*inside.path), ("PduResult", "[]"));
        let error = Words::of(&syn::parse_str("Vec<Instant>").unwrap(), &source).unwrap_err();
        assert!(error.contains("`Instant`"), "{error}");
    }
}
