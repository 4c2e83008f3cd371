//! One operation's part of the page.

use std::{fmt::Write as _, time::Duration};

use comity_core::{
    call::{
        AclDuty, Authentication, DocumentedError, Flow, Idempotency, OperationSpec, ReplyShape,
    },
    endpoint::target::Segment,
    error::{FederationError, Retry},
};

use super::{
    source::{Field, Source},
    table::Row,
    words::{Unknown, Words, name_and_arguments},
};

/// The operation's part, from its heading on.
///
/// # Errors
/// Something has no documentation, or no words.
pub(super) fn write(row: &Row, source: &Source) -> Result<String, String> {
    let spec = row.operation.spec();
    let mut meaning = source.prose(&format!("the row of {}", spec.name), &row.docs.join("\n"))?;
    let request = structure(source, row.request)?;
    // The first paragraph of a request says what its row says.
    meaning.extend(
        source
            .prose(row.request, &request.docs)?
            .into_iter()
            .skip(1),
    );
    let mut text = format!("#### {}\n\n{}\n\n", spec.name, meaning.join("\n\n"));
    text += &facts(row, &request.fields)?;
    text += "\n**Request:**\n\n";
    text += &members("parameter", row.request, &request.fields, source)?;
    text += "\n**Reply:** ";
    text += &reply(row, source)?;
    text += "\n**Errors:** ";
    text += &errors(spec.errors);
    Ok(text)
}

/// What the row says, a line each.
fn facts(row: &Row, fields: &[Field]) -> Result<String, String> {
    let spec = row.operation.spec();
    let mut text = String::new();
    for (fact, value) in [
        ("Caller", caller(spec.authentication).to_owned()),
        ("Repeating it", repeating(row, fields)?),
        ("At once", at_once(spec.flow).to_owned()),
        ("Sizes", sizes(spec)),
        ("Clocks", clocks(spec)),
        ("Server ACL", acl(spec.server_acl).to_owned()),
        ("Editions", editions(spec)),
    ] {
        writeln!(text, "- {fact}: {value}").expect("a string takes everything");
    }
    Ok(text)
}

pub(super) fn caller(authentication: Authentication) -> &'static str {
    match authentication {
        Authentication::None => "anyone",
        Authentication::Server => "a server that proves its name",
        Authentication::AccessToken => "whoever has the access token in the request",
    }
}

fn repeating(row: &Row, fields: &[Field]) -> Result<String, String> {
    Ok(match row.operation.spec().idempotency {
        Idempotency::Safe => "changes nothing at the receiver".to_owned(),
        Idempotency::Keyed { by } => {
            let names = row.operation.path().segments();
            let place = names
                .filter(|segment| matches!(segment, Segment::Parameter(_)))
                .position(|segment| segment == Segment::Parameter(by));
            // Requests begin with the parameters that the target names, in its order.
            let field = place.and_then(|place| fields.get(place)).ok_or_else(|| {
                format!("{} is keyed by `{by}`, and no field is that", row.request)
            })?;
            format!(
                "the same origin and `{}` are the same call, which has its effect once",
                field.name
            )
        }
        Idempotency::None => "has another effect each time: never repeat it unasked".to_owned(),
    })
}

fn at_once(flow: Flow) -> &'static str {
    match flow {
        Flow::Concurrent => "any number to one destination",
        Flow::OnePerDestination => "one to each destination",
    }
}

fn sizes(spec: &OperationSpec) -> String {
    let limits = &spec.limits;
    let request = format!("request {}", bytes(limits.request as u64));
    let message = bytes(limits.message as u64);
    match spec.reply {
        ReplyShape::Message => format!("{request}, reply {message}"),
        ReplyShape::Events { .. } => format!(
            "{request}; reply {} in all, {} an element, {message} beside the lists",
            bytes(limits.stream),
            bytes(limits.item as u64)
        ),
        ReplyShape::Blob | ReplyShape::Body => {
            format!("{request}, reply {}", bytes(limits.stream))
        }
    }
}

pub(super) fn bytes(number: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if number >= 1 << shift && number.trailing_zeros() >= shift {
            return format!("{} {unit}", number >> shift);
        }
    }
    format!("{number} bytes")
}

pub(super) fn clocks(spec: &OperationSpec) -> String {
    let clocks = &spec.clocks;
    let mut text = match clocks.total {
        Some(total) if total <= clocks.head => return format!("the whole within {}", time(total)),
        _ => format!("the reply begins within {}", time(clocks.head)),
    };
    text += &format!(", then pauses at most {}", time(clocks.idle));
    if let Some(total) = clocks.total {
        text += &format!("; the whole within {}", time(total));
    }
    text
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn acl(duty: AclDuty) -> &'static str {
    match duty {
        AclDuty::Room => "an origin that the room's denies is refused",
        AclDuty::Items => "each item is judged by its own room's, and dropped alone",
        AclDuty::Unchecked => "not asked",
    }
}

fn editions(spec: &OperationSpec) -> String {
    let editions: Vec<String> = spec.editions.iter().map(ToString::to_string).collect();
    if editions.is_empty() {
        "none".to_owned()
    } else {
        editions.join(", ")
    }
}

/// A table of fields, those inside of them included, and what is kept beside them.
pub(super) fn members(
    column: &str,
    owner: &str,
    fields: &[Field],
    source: &Source,
) -> Result<String, String> {
    let mut rows = Vec::new();
    let mut unknown = Vec::new();
    for field in fields {
        match Unknown::of(&field.ty) {
            Some(Unknown::Members) => unknown.push("members"),
            Some(Unknown::Parameters) => unknown.push("parameters"),
            None => describe(&mut rows, owner, &field.name, field, source)?,
        }
    }
    // Parameters come before members wherever both are said.
    unknown.sort_unstable_by(|one, other| other.cmp(one));
    let mut text = String::new();
    if !rows.is_empty() {
        text += &format!("| {column} | type | meaning |\n| --- | --- | --- |\n");
        text += &rows.concat();
        if !unknown.is_empty() {
            text += "\n";
        }
    }
    if !unknown.is_empty() {
        let unknown = unknown.join(" and ");
        if rows.is_empty() {
            text += &format!("Nothing but unknown {unknown}, which are kept.\n");
        } else {
            text += &format!("And unknown {unknown}, which are kept.\n");
        }
    }
    Ok(text)
}

fn describe(
    rows: &mut Vec<String>,
    owner: &str,
    name: &str,
    field: &Field,
    source: &Source,
) -> Result<(), String> {
    let of = format!("`{name}` of {owner}");
    let words = Words::of(&field.ty, source).map_err(|error| format!("{of}: {error}"))?;
    let meaning = source.prose(&of, &field.docs)?.join(" ");
    let optional = if words.optional { ", optional" } else { "" };
    rows.push(format!(
        "| `{name}` | {}{optional} | {meaning} |\n",
        words.one
    ));
    let Some(inside) = words.inside else {
        return Ok(());
    };
    let prefix = format!("{name}{}", inside.path);
    if let Some(within) = source.structs.get(&inside.name) {
        let known = within.fields.iter();
        for field in known.filter(|field| Unknown::of(&field.ty).is_none()) {
            describe(
                rows,
                &inside.name,
                &format!("{prefix}.{}", field.name),
                field,
                source,
            )?;
        }
    } else if let Some(choices) = source.enums.get(&inside.name) {
        for variant in &choices.variants {
            let choice = variant.name.to_lowercase();
            let of = format!("{}::{}", inside.name, variant.name);
            let meaning = source.prose(&of, &variant.docs)?.join(" ");
            let (unnamed, named): (Vec<&Field>, Vec<&Field>) = variant
                .fields
                .iter()
                .partition(|field| field.name.is_empty());
            let ty = unnamed.first().map(|field| Words::of(&field.ty, source));
            let ty = ty.transpose()?.map_or("–".to_owned(), |words| words.one);
            rows.push(format!("| `{prefix}`: {choice} | {ty} | {meaning} |\n"));
            for field in named {
                describe(
                    rows,
                    &of,
                    &format!("{prefix}.{}", field.name),
                    field,
                    source,
                )?;
            }
        }
    }
    Ok(())
}

fn reply(row: &Row, source: &Source) -> Result<String, String> {
    let (docs, fields, begin) = match row.operation.spec().reply {
        ReplyShape::Message if source.aliases.contains_key(row.reply) => {
            let alias = &source.aliases[row.reply];
            let (name, _) = name_and_arguments(&alias.ty)
                .ok_or_else(|| format!("{} is no alias of a message", row.reply))?;
            let reply = structure(source, &name)?;
            (&alias.docs, &reply.fields, "one message. ".to_owned())
        }
        ReplyShape::Message => {
            let reply = structure(source, row.reply)?;
            if let [whole] = &reply.fields[..]
                && Words::of(&whole.ty, source).is_ok_and(|words| words.one == "JSON object")
            {
                let docs = source.prose(row.reply, &reply.docs)?.join(" ");
                return Ok(format!("one JSON object, kept whole. {docs}\n"));
            }
            (&reply.docs, &reply.fields, "one message. ".to_owned())
        }
        ReplyShape::Blob => {
            let reply = structure(source, row.reply)?;
            (&reply.docs, &reply.fields, "a blob. ".to_owned())
        }
        // Its fields are those of a wire that carries bodies.
        ReplyShape::Body => {
            return Ok(
                "bytes, with a media type and, of a file, the name to save it under.\n".to_owned(),
            );
        }
        ReplyShape::Events { arrays } => {
            let alias = source
                .aliases
                .get(row.reply)
                .ok_or_else(|| format!("{} is no alias of a streamed reply", row.reply))?;
            let (members, elements) = streamed(&alias.ty, source)
                .ok_or_else(|| format!("{} is no streamed reply", row.reply))?;
            let arrays: Vec<String> = arrays.iter().map(|array| format!("`{array}`")).collect();
            let lists = if arrays.len() == 1 {
                "the list"
            } else {
                "the lists"
            };
            let begin = format!(
                "a stream of {elements}, each judged alone, in {lists} {}. ",
                arrays.join(" and ")
            );
            (&alias.docs, &structure(source, &members)?.fields, begin)
        }
    };
    let mut text = begin;
    text += &source.prose(row.reply, docs)?.join(" ");
    text += "\n\n";
    text += &members("member", row.reply, fields, source)?;
    Ok(text)
}

fn structure<'s>(source: &'s Source, name: &str) -> Result<&'s super::source::Struct, String> {
    let found = source.structs.get(name);
    found.ok_or_else(|| format!("{name} is nowhere in the source"))
}

/// The type beside the lists of a streamed reply, and what the lists hold.
fn streamed(ty: &syn::Type, source: &Source) -> Option<(String, &'static str)> {
    let (name, arguments) = name_and_arguments(ty)?;
    if name != "EventReply" {
        return None;
    }
    let (members, _) = name_and_arguments(arguments.first()?)?;
    let element = arguments.get(1).map(|ty| Words::of(ty, source).ok());
    match element {
        None => Some((members, "events (PDUs)")),
        Some(Some(words)) if words.one == "string" => Some((members, "event IDs")),
        Some(_) => None,
    }
}

/// What the specification documents for the operation. It documents little: most operations may be answered with most common errors.
fn errors(errors: &[DocumentedError]) -> String {
    if errors.is_empty() {
        return "those that [any call](#errors) may be answered with; the specification names none in particular.\n"
            .to_owned();
    }
    format!(
        "those that [any call](#errors) may be answered with, and in particular:\n\n{}",
        error_table(errors)
    )
}

/// Errors, a line each.
pub(super) fn error_table(errors: &[DocumentedError]) -> String {
    let rows = errors.iter().map(|documented| {
        let error = FederationError::new(documented.http_status, documented.errcode, "");
        let again = again(documented);
        format!(
            "| `{}` | {} | {again} | {} |\n",
            documented.errcode,
            kind(&error.kind()),
            documented.when
        )
    });
    format!(
        "| code | kind | again? | when |\n| --- | --- | --- | --- |\n{}",
        rows.collect::<String>()
    )
}

/// Whether the request that was answered so may be sent again.
pub(super) fn again(documented: &DocumentedError) -> &'static str {
    let error = FederationError::new(documented.http_status, documented.errcode, "");
    match error.retry() {
        Retry::No => "no",
        Retry::After(_) => "after the time that it names",
        Retry::OtherServer => "of another server in the room",
        // With another number it is not the request that is too large, but what it asks for.
        Retry::Split if documented.http_status != 413 => "no",
        Retry::Split => "in smaller parts, if it has any",
        Retry::IfIdempotent => "if repeating is harmless",
    }
}

/// `PERMISSION_DENIED` as a word.
pub(super) fn kind(kind: &impl ToString) -> String {
    kind.to_string().to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_of(fields: &str) -> Result<String, String> {
        let mut source = Source::default();
        source
            .add(&format!(
                "pub struct Asked {{ {fields} }} impl Asked {{ pub const MOST: usize = 50; }}"
            ))
            .unwrap();
        members(
            "parameter",
            "Asked",
            &source.structs["Asked"].fields,
            &source,
        )
    }

    #[test]
    fn a_field_says_its_type_its_meaning_and_the_numbers_in_it() {
        let table = table_of(
            "/// At most [`Asked::MOST`].\n///\n/// # In Rust\n/// A [`Vec`].\nids: Option<Vec<String>>, /// What is left.\nextra: Members",
        );
        assert_eq!(
            table.unwrap(),
            "| parameter | type | meaning |\n| --- | --- | --- |\n| `ids` | list of strings, optional | At most 50. |\n\n\
             And unknown members, which are kept.\n"
        );
    }

    #[test]
    fn a_field_without_documentation_or_words_is_an_error() {
        for (fields, expected) in [
            ("room_id: String", "`room_id` of Asked has no documentation"),
            (
                "/// When.\nat: Instant",
                "`at` of Asked: the type `Instant` has no words",
            ),
            ("/// See [`Pdu::judge`].\nevent: Pdu", "names `Pdu::judge`"),
        ] {
            let error = table_of(fields).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_row_without_documentation_is_an_error() {
        let mut group = super::super::table::groups().remove(0);
        let row = &mut group.rows[0];
        row.docs = &[];
        let error = write(row, &Source::default()).unwrap_err();
        assert_eq!(error, "the row of GetVersion has no documentation");
    }

    #[test]
    fn sizes_and_times_are_round_numbers() {
        assert_eq!(
            [bytes(64 << 10), bytes(1 << 30), bytes(1500)],
            ["64 KiB", "1 GiB", "1500 bytes"]
        );
        assert_eq!(
            [10, 60, 90, 600].map(|s| time(Duration::from_secs(s))),
            ["10 s", "60 s", "90 s", "10 min"]
        );
    }
}
