//! From the words of the command line to a call.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use comity_core::{
    Operations, ServerName,
    call::{Call, CallContext, Op, ReplyShape, Unregistered},
    endpoint::{
        Content, EndpointForm, EndpointParts,
        target::{Query, Segment},
    },
    json::Object,
};

use crate::failure::Failure;

/// Most bytes of a request's content that are read.
const MAX_BODY: u64 = 64 << 20;

/// Parameters that are secrets: the process list shows a command line to everybody on the machine.
const SECRETS: [&str; 1] = ["access_token"];

/// What is asked for.
pub(super) struct Asked<'a> {
    /// An operation's name, or a method.
    pub(super) operation: &'a str,
    /// `name=value`, or the path of a method.
    pub(super) words: &'a [String],
    /// `name=FILE`.
    pub(super) from_files: &'a [String],
    pub(super) body: Option<&'a str>,
    pub(super) body_file: Option<&'a Path>,
}

impl Asked<'_> {
    /// The call to `destination`. What is sent is what was written: members and parameters that the operation does not know as well.
    pub(super) fn make(&self, destination: ServerName) -> Result<Call, Failure> {
        match self.words {
            [path, more @ ..] if path.starts_with('/') => {
                self.unregistered(destination, path, more)
            }
            _ => self.registered(destination),
        }
    }

    fn unregistered(
        &self,
        destination: ServerName,
        path: &str,
        more: &[String],
    ) -> Result<Call, Failure> {
        if let [extra, ..] = more {
            return Err(Failure::usage(format!("`{extra}` follows a path"))
                .next("write the query into the path, as it is to be signed: '/path?name=value'"));
        }
        if self.operation.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(Failure::usage(format!(
                "`{}` is no method of HTTP, and a path follows",
                self.operation
            ))
            .next("comity call NAME GET /_matrix/…"));
        }
        refuse_secrets(path)?;
        let content = self.content()?;
        let request = Unregistered::new(self.operation, path, content)
            .map_err(|error| Failure::usage(crate::failure::chain(&error)))?;
        Ok(Call::new(destination, request))
    }

    fn registered(&self, destination: ServerName) -> Result<Call, Failure> {
        let op = find(self.operation)?;
        let name = op.spec().name;
        let parts = EndpointParts {
            content: self.content()?,
            ..self.parameters(op)?
        };
        let request = op.read(&parts).map_err(|error| {
            Failure::usage(format!("{name} cannot be made so: {}", error.message()))
                .next(format!("`comity call --list {name}` shows its parameters"))
        })?;
        let form = EndpointForm::from_parts(op.method(), op.path(), parts)
            .map_err(|error| Failure::usage(crate::failure::chain(&error)))?;
        Ok(Call::received(request, form, CallContext::to(destination)))
    }

    fn parameters(&self, op: Op) -> Result<EndpointParts, Failure> {
        let names: Vec<&str> = path_parameters(op).collect();
        let mut path: Vec<Option<String>> = vec![None; names.len()];
        let mut query = Query::new();
        for (name, value) in self.pairs()? {
            let place = names
                .iter()
                .position(|known| *known == name)
                .or_else(|| names.iter().position(|known| plain(known) == plain(&name)));
            match place {
                Some(place) => path[place] = Some(value),
                None => query.push(name, value),
            }
        }
        let given: Option<Vec<String>> = path.iter().cloned().collect();
        let path = given.ok_or_else(|| {
            let missing = names.iter().zip(&path).filter(|(_, value)| value.is_none());
            let missing: Vec<String> = missing.map(|(name, _)| format!("{name}=…")).collect();
            Failure::usage(format!(
                "{} needs {}",
                op.spec().name,
                missing.join(" and ")
            ))
        })?;
        Ok(EndpointParts {
            path,
            query,
            content: Content::Absent,
        })
    }

    fn pairs(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut pairs = Vec::new();
        for word in self.words {
            let (name, value) = split(word)?;
            if SECRETS.contains(&name) {
                return Err(secret(name));
            }
            pairs.push((name.to_owned(), value.to_owned()));
        }
        for word in self.from_files {
            let (name, path) = split(word)?;
            let value = fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!(
                    "the value of {name}, {path}, cannot be read: {error}"
                ))
            })?;
            pairs.push((
                name.to_owned(),
                value.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        Ok(pairs)
    }

    fn content(&self) -> Result<Content, Failure> {
        let (text, from) = match (self.body, self.body_file) {
            (Some(text), _) => (text.as_bytes().to_vec(), "--body".to_owned()),
            (None, Some(path)) => (read_body(path)?, format!("--body-file {}", path.display())),
            (None, None) => return Ok(Content::Absent),
        };
        // The row's own limit is looked at when the request is read.
        let limit = text.len();
        Object::parse(Bytes::from(text), limit)
            .map(Content::Json)
            .map_err(|error| {
                Failure::usage(format!(
                    "{from} is no JSON object that can be signed: {error}"
                ))
                .next("canonical JSON has integers alone, within ±(2^53-1), and no name twice")
            })
    }
}

fn read_body(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let cannot =
        |error: io::Error| Failure::usage(format!("--body-file {shown} cannot be read: {error}"));
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX_BODY).read_to_end(&mut bytes)
    } else {
        fs::File::open(path)
            .map_err(cannot)?
            .take(MAX_BODY)
            .read_to_end(&mut bytes)
    }
    .map_err(cannot)?;
    Ok(bytes)
}

/// The operation of this name, however its letters are cased.
pub(super) fn find(name: &str) -> Result<Op, Failure> {
    let operations = Operations::federation();
    let of_name = |op: &Op| op.spec().name.eq_ignore_ascii_case(name);
    if let Some(op) = operations.iter().find(of_name) {
        return Ok(op);
    }
    let failure = Failure::usage(format!("there is no operation `{name}`"));
    let wanted = name.to_ascii_lowercase();
    let near: Vec<&str> = operations
        .iter()
        .map(|op| op.spec().name)
        .filter(|known| {
            let known = known.to_ascii_lowercase();
            !wanted.is_empty() && (known.contains(&wanted) || wanted.contains(&known))
        })
        .collect();
    Err(failure.next(match &near[..] {
        [] => "`comity call --list` shows them; any other call goes as METHOD /path".to_owned(),
        near => format!(
            "there is {}; `comity call --list` shows all",
            near.join(", ")
        ),
    }))
}

/// The names of the path's parameters, in order.
pub(super) fn path_parameters(op: Op) -> impl Iterator<Item = &'static str> {
    op.path().segments().filter_map(|segment| match segment {
        Segment::Parameter(name) => Some(name),
        Segment::Literal(_) => None,
    })
}

/// Whether the reply is bytes that belong into a file.
pub(super) fn is_file(op: Op) -> bool {
    op.spec().reply == ReplyShape::Blob
}

/// `eventId` and `event_id` are the same to whoever types.
fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

fn split(word: &str) -> Result<(&str, &str), Failure> {
    word.split_once('=').ok_or_else(|| {
        Failure::usage(format!("`{word}` is no parameter"))
            .next("parameters are name=value; content goes into --body or --body-file")
    })
}

fn secret(name: &str) -> Failure {
    Failure::usage(format!(
        "{name} is a secret, and everybody on this machine can read a command line"
    ))
    .next(format!("put it into a file: --param-file {name}=FILE"))
}

fn refuse_secrets(target: &str) -> Result<(), Failure> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let names = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default());
    match names.into_iter().find(|name| SECRETS.contains(name)) {
        Some(name) => Err(secret(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(operation: &str, words: &[&str], body: Option<&str>) -> Result<Call, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let asked = Asked {
            operation,
            words: &words,
            from_files: &[],
            body,
            body_file: None,
        };
        asked.make("hs2.example".parse().unwrap())
    }

    fn form(operation: &str, words: &[&str], body: Option<&str>) -> (String, String, String) {
        let mut call = make(operation, words, body).unwrap();
        let form = call.make_form().unwrap();
        let content = String::from_utf8(form.content().bytes().to_vec()).unwrap();
        (form.method().to_owned(), form.target().to_owned(), content)
    }

    fn refusal(operation: &str, words: &[&str], body: Option<&str>) -> String {
        format!("{:?}", make(operation, words, body).unwrap_err())
    }

    #[test]
    fn parameters_go_where_the_operation_has_them() {
        let (method, target, _) = form("getevent", &["event_id=$a/b"], None);
        assert_eq!(
            (&method[..], &target[..]),
            ("GET", "/_matrix/federation/v1/event/%24a%2Fb")
        );
        let words = ["roomId=!r:hs2.example", "event_id=$e", "odd=1", "odd=2"];
        let (_, target, _) = form("GetState", &words, None);
        assert_eq!(
            target,
            "/_matrix/federation/v1/state/%21r%3Ahs2.example?event_id=%24e&odd=1&odd=2"
        );
    }

    #[test]
    fn content_is_sent_canonical_with_whatever_it_holds() {
        let body = r#"{ "z": 1, "one_time_keys": {"@u:hs2.example": {"D": "signed_curve25519"}}, "a": {} }"#;
        let (method, _, content) = form("ClaimKeys", &[], Some(body));
        assert_eq!(method, "POST");
        assert_eq!(
            content,
            r#"{"a":{},"one_time_keys":{"@u:hs2.example":{"D":"signed_curve25519"}},"z":1}"#
        );
    }

    #[test]
    fn any_other_call_goes_by_method_and_path_as_written() {
        let path = "/_matrix/federation/unstable/org.x/%2f?b=1&a=2";
        let (method, target, content) = form("PUT", &[path], Some("{}"));
        assert_eq!(
            (&method[..], &target[..], &content[..]),
            ("PUT", path, "{}")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        for (operation, words, body, said) in [
            ("GetEvnt", &[][..], None, "comity call --list"),
            ("Event", &[], None, "GetEvent"),
            ("GetEvent", &[], None, "GetEvent needs eventId=…"),
            ("GetEvent", &["$e"], None, "is no parameter"),
            (
                "GetEvent",
                &["eventId=$e"],
                Some("{"),
                "--body is no JSON object",
            ),
            (
                "GetEvent",
                &["eventId=$e"],
                Some("[1]"),
                "--body is no JSON object",
            ),
            (
                "GetOpenIdUserInfo",
                &["access_token=s3cret"],
                None,
                "--param-file",
            ),
            ("GET", &["/x?access_token=s3cret"], None, "--param-file"),
            ("GET", &["/x", "a=b"], None, "as it is to be signed"),
            ("get", &["/x"], None, "is no method"),
            ("GET", &["/a b"], None, "cannot be sent"),
        ] {
            let refusal = refusal(operation, words, body);
            assert!(refusal.contains(said), "{operation} {words:?}: {refusal}");
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }
}
