//! `docs/federation-api.md`, the API without a wire: from the table, the documentation of its types, and the prose of `page.md`.
//!
//! `table` has the rows, `source` the types as the source documents them, `words` says a type without Rust, `operation` writes one operation, and
//! `wire` finds the words that may not be in the page.

mod operation;
mod source;
mod table;
mod wire;
mod words;

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use comity_core::{
    call::{Idempotency, ReplyShape},
    error::ErrorKind,
};

use crate::proto::Mode;
use source::Source;
use table::Group;

const PAGE: &str = "docs/federation-api.md";

/// The prose, with `{{name}}` where something is written.
const PROSE: &str = include_str!("page.md");

/// Errors that any call may be answered with: the number that tells kinds apart, the code, and when.
const COMMON: &[(u16, &str, &str)] = &[
    (
        404,
        "M_UNRECOGNIZED",
        "the receiver does not have this operation",
    ),
    (
        401,
        "M_UNAUTHORIZED",
        "the origin is not proven, or the proof is for another call or another server",
    ),
    (
        403,
        "M_FORBIDDEN",
        "the origin is proven and may not: the receiver or the room does not let it",
    ),
    (
        404,
        "M_NOT_FOUND",
        "the room, event, user or file is not there, or not for this origin",
    ),
    (
        400,
        "M_NOT_JSON",
        "the request's content is no JSON, or no UTF-8",
    ),
    (
        400,
        "M_BAD_JSON",
        "a member has another type than the operation needs",
    ),
    (400, "M_MISSING_PARAM", "a parameter or member is missing"),
    (
        400,
        "M_INVALID_PARAM",
        "a parameter cannot be read, or its value makes no sense",
    ),
    (413, "M_TOO_LARGE", "the request is over a limit"),
    (
        429,
        "M_LIMIT_EXCEEDED",
        "too many calls, or another transaction of the origin is in flight",
    ),
    (
        504,
        "M_UNKNOWN",
        "the deadline passed before the work was done",
    ),
    (500, "M_UNKNOWN", "the receiver failed"),
];

/// Writes the page, or says whether it is what would be written.
pub(crate) fn run(mode: Mode) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = page(&root)?;
    let path = root.join(PAGE);
    match mode {
        Mode::Write => fs::write(path, page)?,
        Mode::Check if fs::read_to_string(path).is_ok_and(|there| there == page) => {}
        Mode::Check => {
            return Err(
                format!("{PAGE} is not what the table gives, run `cargo xtask api-docs`").into(),
            );
        }
    }
    Ok(())
}

fn page(root: &Path) -> Result<String, Box<dyn Error>> {
    let core = root.join("rpc-core/src");
    let source = Source::read(&[
        &core.join("api"),
        &core.join("call/reply.rs"),
        &core.join("error/kind.rs"),
    ])?;
    let groups = table::groups();
    let mut page = PROSE.to_owned();
    for (place, text) in [
        ("common errors", common_errors()),
        ("kinds", kinds(&source)?),
        ("signed", signed(&groups)),
        ("overview", overview(&groups)),
        ("operations", operations(&groups, &source)?),
    ] {
        let place = format!("{{{{{place}}}}}");
        if !page.contains(&place) {
            return Err(format!("page.md has no {place}").into());
        }
        page = page.replace(&place, text.trim_end());
    }
    let found = wire::words(&page);
    if !found.is_empty() {
        return Err(format!("{PAGE} would speak of a wire:\n  {}", found.join("\n  ")).into());
    }
    Ok(page)
}

fn common_errors() -> String {
    let rows = COMMON
        .iter()
        .map(|(number, code, when)| operation::error_row(*number, code, &format!(" {when} |")));
    format!(
        "| code | kind | again? | when |\n| --- | --- | --- | --- |\n{}",
        rows.collect::<String>()
    )
}

fn kinds(source: &Source) -> Result<String, String> {
    let variants = &source
        .enums
        .get("ErrorKind")
        .ok_or("there are no kinds")?
        .variants;
    let mut text = "| kind | meaning |\n| --- | --- |\n".to_owned();
    for kind in ErrorKind::ALL {
        let name = format!("{kind:?}");
        let variant = variants.iter().find(|variant| variant.name == name);
        let variant = variant.ok_or_else(|| format!("{name} is nowhere in the source"))?;
        let meaning = source.prose(&name, &variant.docs)?.join(" ");
        text += &format!("| {} | {meaning} |\n", operation::kind(&kind));
    }
    Ok(text)
}

fn signed(groups: &[Group]) -> String {
    let mut text = "| operation | method | target |\n| --- | --- | --- |\n".to_owned();
    for row in groups.iter().flat_map(|group| &group.rows) {
        let operation = row.operation;
        let (name, method) = (operation.spec().name, operation.method());
        text += &format!("| `{name}` | `{method}` | `{}` |\n", operation.path());
    }
    text
}

fn overview(groups: &[Group]) -> String {
    let mut text =
        "| operation | group | caller | repeating it | reply |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for group in groups {
        for row in &group.rows {
            let spec = row.operation.spec();
            let (name, caller) = (spec.name, operation::caller(spec.authentication));
            let anchor = name.to_lowercase();
            let repeating = match spec.idempotency {
                Idempotency::Safe => "harmless",
                Idempotency::Keyed { .. } => "keyed",
                Idempotency::None => "never unasked",
            };
            let reply = match spec.reply {
                ReplyShape::Message => "message",
                ReplyShape::Events { .. } => "stream",
                ReplyShape::Blob => "blob",
            };
            let group = group.name;
            text +=
                &format!("| [{name}](#{anchor}) | {group} | {caller} | {repeating} | {reply} |\n");
        }
    }
    text
}

fn operations(groups: &[Group], source: &Source) -> Result<String, String> {
    let mut parts = Vec::new();
    let mut findings = BTreeSet::new();
    for group in groups {
        let of = format!("the group {}", group.name);
        match source.prose(&of, &group.docs.join("\n")) {
            Ok(docs) => parts.push(format!("### {}\n\n{}\n", group.name, docs.join("\n\n"))),
            Err(finding) => _ = findings.insert(finding),
        }
        for row in &group.rows {
            match operation::write(row, source) {
                Ok(part) => parts.push(part),
                Err(finding) => _ = findings.insert(finding),
            }
        }
    }
    if findings.is_empty() {
        return Ok(parts.join("\n"));
    }
    Err(findings.into_iter().collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_and_no_word_of_a_wire() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = page(&root).unwrap();
        for operation in comity_core::api::operations() {
            let heading = format!("\n#### {}\n", operation.spec().name);
            assert!(page.contains(&heading), "{operation:?}");
        }
        assert_eq!(wire::words(&page), Vec::<String>::new());
        assert!(!page.contains("{{"), "something was not written");
    }
}
