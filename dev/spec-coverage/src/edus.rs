//! The EDUs that the specification shows, read by the types of their contents and written again.

use bytes::Bytes;
use comity_core::{event::Edu, json::Value};

/// Reads an EDU by the type that it says it is of, and writes its content again.
///
/// # Errors
/// No type here is the EDU's, or its content is not the same any more.
pub(crate) fn check(edu: &serde_json::Value) -> Result<(), String> {
    let text: Bytes = serde_json::to_vec(edu)
        .map_err(|error| error.to_string())?
        .into();
    let length = text.len();
    let value = Value::parse(text, length).map_err(|error| error.to_string())?;
    let edu = Edu::judge(value).map_err(|fault| format!("refused: {fault}"))?;
    let known = edu.known().map_err(|error| format!("refused: {error}"))?;
    let known = known.ok_or("no type of EDU is known by this name")?;
    match Some(known.write()) == edu.content() {
        true => Ok(()),
        false => Err(format!("differs when it is written again: {known:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edu_is_read_by_its_type() {
        let typing = json!({"edu_type": "m.typing", "content": {"room_id": "!r", "user_id": "@u:a.example", "typing": true}});
        assert_eq!(check(&typing), Ok(()));
        let mut wrong = typing.clone();
        wrong["content"]["typing"] = json!("yes");
        assert!(check(&wrong).unwrap_err().contains("typing"));
        let mut unknown = typing;
        unknown["edu_type"] = json!("org.example.x");
        assert!(check(&unknown).unwrap_err().contains("no type"));
    }
}
