//! `comity call --list`: what can be called.

use std::fmt::Write as _;

use comity_core::{
    Operations,
    call::{Authentication, Idempotency, Op, ReplyShape},
};
use serde_json::{Value, json};

use super::request::{find, path_parameters};
use crate::failure::Failure;

/// Every operation, or one.
pub(super) fn list(name: Option<&str>, as_json: bool) -> Result<String, Failure> {
    let operations: Vec<Op> = match name {
        Some(name) => vec![find(name)?],
        None => Operations::federation().iter().collect(),
    };
    if as_json {
        let all: Vec<Value> = operations.into_iter().map(described).collect();
        return Ok(format!("{}\n", Value::from(all)));
    }
    let mut text = String::new();
    for op in operations {
        let spec = op.spec();
        let _ = writeln!(text, "{:<32}{:<5}{}", spec.name, op.method(), op.path());
        if name.is_some() {
            let _ = writeln!(
                text,
                "  {}\n  {}\n  reply: {}",
                signed(op),
                repeated(op),
                reply(op)
            );
            let _ = writeln!(
                text,
                "  Parameters beside those of the path go into the query; docs/federation-api.md has them all."
            );
        }
    }
    Ok(text)
}

fn described(op: Op) -> Value {
    json!({
        "name": op.spec().name,
        "group": op.spec().group,
        "method": op.method(),
        "path": op.path().as_str(),
        "path_parameters": path_parameters(op).collect::<Vec<_>>(),
        "signed": op.spec().authentication == Authentication::Server,
        "reply": reply(op),
    })
}

fn signed(op: Op) -> &'static str {
    match op.spec().authentication {
        Authentication::Server => "signed: needs --origin and --key",
        Authentication::AccessToken => {
            "an access token is the proof: --param-file access_token=FILE"
        }
        Authentication::None => "anyone may call",
    }
}

fn repeated(op: Op) -> &'static str {
    match op.spec().idempotency {
        Idempotency::Safe => "changes nothing",
        Idempotency::Keyed { .. } => "a repetition with the same key is the same call",
        Idempotency::None => "each call has an effect of its own",
    }
}

fn reply(op: Op) -> &'static str {
    match op.spec().reply {
        ReplyShape::Message => "one object",
        ReplyShape::Events { .. } => "one object, shown as it arrives",
        ReplyShape::Blob => "a file",
        ReplyShape::Body => "bytes",
    }
}
