//! `docs/federation-api.md`, the API without a wire: from the table, the documentation of its types, and the prose of `page.md`.
//!
//! The tables of operations in the documents of the bindings come from the same rows: see `bindings`. `table` has the rows, `source` the types as the source documents them, `words` says a type without Rust, `operation` writes one operation, and
//! `wire` finds the words that may not be in the page.

mod bindings;
mod operation;
mod source;
mod table;
mod wire;
mod words;

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use comity_core::{
    call::{Alternative, DocumentedError, Idempotency, ReplyShape},
    error::ErrorKind,
    event::edu::{
        DeviceListUpdate, DirectToDevice, EduContent, Presence, Receipts, SigningKeyUpdate, Typing,
    },
};

use crate::proto::Mode;
use source::Source;
use table::Group;

const PAGE: &str = "docs/federation-api.md";

/// The prose, with `{{name}}` where something is written.
const PROSE: &str = include_str!("page.md");

/// Errors that any call may be answered with: the operations name those that mean something particular there.
const COMMON: &[DocumentedError] = &[
    DocumentedError {
        http_status: 404,
        errcode: "M_UNRECOGNIZED",
        when: "the receiver does not have this operation",
    },
    DocumentedError {
        http_status: 405,
        errcode: "M_UNRECOGNIZED",
        when: "the receiver has another operation in its place",
    },
    DocumentedError {
        http_status: 401,
        errcode: "M_UNAUTHORIZED",
        when: "the origin is not proven, or the proof is for another call or another server",
    },
    DocumentedError {
        http_status: 403,
        errcode: "M_FORBIDDEN",
        when: "the origin is proven and may not: the receiver or the room does not let it",
    },
    DocumentedError {
        http_status: 404,
        errcode: "M_NOT_FOUND",
        when: "the room, event, user or file is not there, or not for this origin",
    },
    DocumentedError {
        http_status: 400,
        errcode: "M_NOT_JSON",
        when: "the request's content is no JSON, or no UTF-8",
    },
    DocumentedError {
        http_status: 400,
        errcode: "M_BAD_JSON",
        when: "a member has another type than the operation needs",
    },
    DocumentedError {
        http_status: 400,
        errcode: "M_MISSING_PARAM",
        when: "a parameter or member is missing",
    },
    DocumentedError {
        http_status: 400,
        errcode: "M_INVALID_PARAM",
        when: "a parameter cannot be read, or its value makes no sense",
    },
    DocumentedError {
        http_status: 413,
        errcode: "M_TOO_LARGE",
        when: "the request is over a limit",
    },
    DocumentedError {
        http_status: 429,
        errcode: "M_LIMIT_EXCEEDED",
        when: "too many calls, or another transaction of the origin is in flight",
    },
    DocumentedError {
        http_status: 504,
        errcode: "M_UNKNOWN",
        when: "the deadline passed before the work was done",
    },
    DocumentedError {
        http_status: 500,
        errcode: "M_UNKNOWN",
        when: "the receiver failed",
    },
];

/// Writes the page and the tables of the bindings' documents, or says whether they are what would be written.
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
    bindings::run(&root, &table::groups(), mode)
}

fn page(root: &Path) -> Result<String, Box<dyn Error>> {
    let core = root.join("rpc-core/src");
    let source = Source::read(&[
        &core.join("api"),
        &core.join("event/edu"),
        &core.join("call/bytes.rs"),
        &core.join("error/kind.rs"),
    ])?;
    let groups = table::groups();
    let mut page = PROSE.to_owned();
    for (place, text) in [
        ("common errors", common_errors()),
        ("elements", elements(&groups)?),
        ("kinds", kinds(&source)?),
        ("signed", signed(&groups)),
        ("overview", overview(&groups)),
        ("operations", operations(&groups, &source)?),
        ("ephemeral events", ephemeral_events(&source)?),
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
    operation::error_table(COMMON)
}

/// How many elements a list may have: the same for all operations, or the page would have to say it of each.
fn elements(groups: &[Group]) -> Result<String, String> {
    let limits: BTreeSet<usize> = groups
        .iter()
        .flat_map(|group| &group.rows)
        .map(|row| row.operation.spec().limits.elements)
        .collect();
    match limits.into_iter().collect::<Vec<_>>()[..] {
        [limit] if limit % 1_000 == 0 => Ok(format!("{},000", limit / 1_000)),
        ref others => Err(format!(
            "the page says one limit of elements, and there are {others:?}"
        )),
    }
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
        for Alternative { method, path } in operation.alternatives() {
            text += &format!("| `{name}`, else | `{method}` | `{path}` |\n");
        }
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
                ReplyShape::Body => "bytes",
            };
            let group = group.name;
            text +=
                &format!("| [{name}](#{anchor}) | {group} | {caller} | {repeating} | {reply} |\n");
        }
    }
    text
}

fn ephemeral_events(source: &Source) -> Result<String, String> {
    let mut text = String::new();
    for (types, name) in [
        (Typing::TYPES, "Typing"),
        (Receipts::TYPES, "Receipts"),
        (Presence::TYPES, "Presence"),
        (DeviceListUpdate::TYPES, "DeviceListUpdate"),
        (SigningKeyUpdate::TYPES, "SigningKeyUpdate"),
        (DirectToDevice::TYPES, "DirectToDevice"),
    ] {
        let content = source.structs.get(name);
        let content = content.ok_or_else(|| format!("{name} is nowhere in the source"))?;
        let meaning = source.prose(name, &content.docs)?.join("\n\n");
        let members = operation::members("member", name, &content.fields, source)?;
        text += &format!("### {}\n\n{meaning}\n\n{members}\n", types[0]);
    }
    Ok(text)
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
