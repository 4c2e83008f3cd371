//! What the documents of the bindings list of the operations: written between marks, so that no table of operations is typed by hand.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use comity_core::{
    call::{DocumentedError, Op, ReplyShape},
    endpoint::{ContentKind, TrailingSlash},
    error::{ErrorKind, FederationError},
};

use super::{
    operation::{again, bytes, caller, clocks},
    table::Group,
};
use crate::proto::{self, Mode, Rpc};

/// The documents, and the tables that each one has.
const DOCUMENTS: [(&str, &[&str]); 2] = [
    (
        "docs/http-binding.md",
        &["operations", "spellings", "errors", "errcodes", "limits"],
    ),
    (
        "docs/grpc-binding.md",
        &["rpcs", "codes", "errcodes", "arrays", "limits"],
    ),
];

/// Writes the tables of each document, or says whether they are what would be written.
pub(super) fn run(root: &Path, groups: &[Group], mode: Mode) -> Result<(), Box<dyn Error>> {
    let rpcs = proto::rpcs(&root.join("proto"))?;
    let operations: Vec<Op> = groups
        .iter()
        .flat_map(|group| group.rows.iter().map(|row| row.operation))
        .collect();
    for (name, tables) in DOCUMENTS {
        let path = root.join(name);
        let there = fs::read_to_string(&path).map_err(|why| format!("{name}: {why}"))?;
        let mut text = there.clone();
        for table in tables {
            let rendered = render(table, &operations, &rpcs);
            text = between(&text, table, &rendered).map_err(|why| format!("{name}: {why}"))?;
        }
        match mode {
            Mode::Write => fs::write(&path, text)?,
            Mode::Check if text == there => {}
            Mode::Check => {
                let why = format!("{name} is not what the table gives, run `cargo xtask api-docs`");
                return Err(why.into());
            }
        }
    }
    Ok(())
}

/// The text with `table` between its marks.
fn between(text: &str, name: &str, table: &str) -> Result<String, String> {
    let begin = format!("<!-- table: {name} -->\n");
    let end = "<!-- end of table -->";
    let (before, rest) = text
        .split_once(&begin)
        .ok_or_else(|| format!("there is no {begin:?}"))?;
    let (_, after) = rest
        .split_once(end)
        .ok_or_else(|| format!("{begin:?} has no {end:?}"))?;
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}

fn render(table: &str, operations: &[Op], rpcs: &[Rpc]) -> String {
    match table {
        "operations" => endpoints(operations),
        "spellings" => spellings(operations),
        "limits" => limits(operations),
        "errors" => errors(operations),
        "errcodes" => errcodes(),
        "rpcs" => methods(operations, rpcs),
        "arrays" => arrays(operations),
        "codes" => codes(),
        other => unreachable!("no document has a table {other}"),
    }
}

fn rows(head: &str, rows: impl IntoIterator<Item = String>) -> String {
    let columns = head.matches('|').count() - 1;
    let rows: String = rows.into_iter().collect();
    format!("{head}\n|{}\n{rows}", " --- |".repeat(columns))
}

fn endpoints(operations: &[Op]) -> String {
    let each = operations.iter().map(|op| {
        let slash = match op.trailing_slash() {
            TrailingSlash::Accept => "taken",
            TrailingSlash::Refuse => "–",
        };
        format!(
            "| {} | `{}` | `{}` | {} | {} | {} | {slash} |\n",
            op.spec().name,
            op.method(),
            op.path(),
            caller(op.spec().authentication),
            content(*op),
            reply(*op),
        )
    });
    rows(
        "| operation | method | path | caller | request body | reply body | slash behind |",
        each,
    )
}

fn content(op: Op) -> &'static str {
    match op.content() {
        ContentKind::Json if matches!(op.method(), "GET" | "DELETE") => "none",
        ContentKind::Json => "object",
        ContentKind::Opaque => "bytes",
        ContentKind::ByMediaType => "object or bytes",
    }
}

fn reply(op: Op) -> &'static str {
    match (op.spec().reply, op.reply_in_tuple()) {
        (ReplyShape::Message, false) => "object",
        (ReplyShape::Message, true) => "`[200, object]`",
        (ReplyShape::Events { .. }, false) => "object, streamed",
        (ReplyShape::Events { .. }, true) => "`[200, object]`, streamed",
        (ReplyShape::Blob, _) => "`multipart/mixed`",
        (ReplyShape::Body, _) => "bytes",
    }
}

fn spellings(operations: &[Op]) -> String {
    let each = operations.iter().flat_map(|op| {
        op.alternatives().iter().map(|other| {
            let name = op.spec().name;
            format!("| {name} | `{}` | `{}` |\n", other.method, other.path)
        })
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() {
        return "No operation has another spelling.\n".to_owned();
    }
    rows("| operation | also as | path |", each)
}

fn limits(operations: &[Op]) -> String {
    let each = operations.iter().map(|op| {
        let spec = op.spec();
        let limits = &spec.limits;
        let (reply, element) = match spec.reply {
            ReplyShape::Message => (limits.message as u64, "–".to_owned()),
            ReplyShape::Events { .. } => (limits.stream, bytes(limits.item as u64)),
            ReplyShape::Blob | ReplyShape::Body => (limits.stream, "–".to_owned()),
        };
        format!(
            "| {} | {} | {} | {element} | {} |\n",
            spec.name,
            bytes(limits.request as u64),
            bytes(reply),
            clocks(spec),
        )
    });
    rows(
        "| operation | request content | reply | one element | clocks of the caller |",
        each,
    )
}

/// Every error that an operation documents or any call may be answered with, once for each code and status.
fn errors(operations: &[Op]) -> String {
    let documented = operations.iter().flat_map(|op| op.spec().errors);
    let mut found = BTreeMap::new();
    for error in documented.chain(super::COMMON) {
        let key = (error.errcode, error.http_status);
        let answer = FederationError::new(error.http_status, error.errcode, "");
        found.insert(key, (answer.kind(), again(error)));
    }
    let each = found.into_iter().map(|((errcode, status), (kind, again))| {
        format!("| `{errcode}` | {status} | {} | {again} |\n", kind.name())
    });
    rows("| errcode | HTTP status | kind | send it again? |", each)
}

/// The errcodes that decide what an answer means, with whatever status they come.
fn errcodes() -> String {
    let each = ErrorKind::known_errcodes().map(|errcode| {
        let kind = FederationError::new(400, errcode, "").kind();
        let again = again(&DocumentedError {
            http_status: 413,
            errcode,
            when: "",
        });
        format!("| `{errcode}` | {} | {again} |\n", kind.name())
    });
    rows("| errcode | kind | send it again? |", each)
}

fn methods(operations: &[Op], rpcs: &[Rpc]) -> String {
    let each = operations.iter().map(|op| {
        let name = op.spec().name;
        match rpcs.iter().find(|rpc| rpc.name == name) {
            Some(rpc) => format!(
                "| {name} | `{}` | `{}` | {}`{}` |\n",
                rpc.path,
                rpc.request,
                if rpc.streams { "stream of " } else { "" },
                rpc.reply,
            ),
            None => format!("| {name} | by `Invoke` | – | – |\n"),
        }
    });
    rows("| operation | rpc | request | reply |", each)
}

fn arrays(operations: &[Op]) -> String {
    let each = operations.iter().filter_map(|op| {
        let ReplyShape::Events { arrays } = op.spec().reply else {
            return None;
        };
        let numbered = arrays.iter().enumerate();
        let numbered: Vec<String> = numbered
            .map(|(at, name)| format!("{at} `{name}`"))
            .collect();
        Some(format!(
            "| {} | {} |\n",
            op.spec().name,
            numbered.join(", ")
        ))
    });
    rows("| operation | arrays |", each)
}

fn codes() -> String {
    let each = ErrorKind::ALL
        .iter()
        .map(|kind| format!("| {} | {} |\n", kind.name(), kind.code()));
    rows("| kind, and status of gRPC | number |", each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_in_each_document() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (name, table) in [("http", "operations"), ("grpc", "rpcs")] {
            let text = fs::read_to_string(root.join(format!("docs/{name}-binding.md"))).unwrap();
            let written = text
                .split(&format!("<!-- table: {table} -->"))
                .nth(1)
                .unwrap();
            let written = written.split("<!-- end of table -->").next().unwrap();
            for operation in comity_core::api::operations() {
                let row = format!("\n| {} | ", operation.spec().name);
                assert!(written.contains(&row), "{name}: {operation:?}");
            }
        }
    }

    #[test]
    fn what_stands_between_marks_is_written_anew_and_nothing_else() {
        let text = "a\n<!-- table: x -->\nold\n<!-- end of table -->\nb\n<!-- end of table -->";
        let written = between(text, "x", "new\n").unwrap();
        assert_eq!(
            written,
            "a\n<!-- table: x -->\n\nnew\n\n<!-- end of table -->\nb\n<!-- end of table -->"
        );
        assert_eq!(between(&written, "x", "new\n").unwrap(), written);
        assert!(between(text, "y", "").is_err());
        assert!(between("<!-- table: x -->\n", "x", "").is_err());
    }
}
