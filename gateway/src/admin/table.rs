//! The table of destinations on the page: the bindings of each, the one in use and why.

use std::fmt::{self, Write};

use comity_core::shown::Escaped;

use super::{
    BackoffRow, BindingRow, DestinationRow, Latency,
    figures::{Count, Span, Took},
    view::View,
};

/// Most destinations on one page; the others are on the next.
pub const DESTINATIONS_PER_PAGE: usize = 200;

/// Most reasons that are told apart in a cell.
const REASONS: usize = 5;

/// Writes the section with the rows that the view asks for.
pub(super) fn section(mut rows: Vec<DestinationRow>, view: View, out: &mut String) -> fmt::Result {
    // What needs a look comes first; by name otherwise, so that rows stay where they are while the page reloads.
    rows.sort_by(|a, b| {
        let order = |row: &DestinationRow| !row.needs_attention();
        (order(a), &a.server_name).cmp(&(order(b), &b.server_name))
    });
    out.push_str("<section aria-labelledby=\"destinations\">\n");
    let pages = rows.len().div_ceil(DESTINATIONS_PER_PAGE).max(1);
    let page = view.page.min(pages);
    let first = (page - 1) * DESTINATIONS_PER_PAGE;
    let shown = &rows[first..rows.len().min(first + DESTINATIONS_PER_PAGE)];
    let total = Count(rows.len() as u64);
    write!(out, "<h2 id=\"destinations\">Destinations <small>{total}")?;
    if pages > 1 {
        let (from, to) = (Count(first as u64 + 1), Count((first + shown.len()) as u64));
        write!(out, ", of which {from} to {to}")?;
    }
    out.push_str("</small></h2>\n");
    if rows.is_empty() {
        out.push_str("<p>The homeserver has called no other server yet.</p>\n");
    } else {
        out.push_str("<div class=\"scroll\" role=\"region\" aria-labelledby=\"destinations\" tabindex=\"0\">\n<table>\n<thead><tr>");
        for (class, name) in [
            ("", "Destination"),
            ("", "Binding"),
            ("", "State"),
            ("number", "Calls"),
            ("number", "Errors"),
            ("number", "Fallbacks"),
            ("number", "Median"),
            ("number", "95 %"),
        ] {
            write!(out, "<th scope=\"col\" class=\"{class}\">{name}</th>")?;
        }
        out.push_str("</tr></thead>\n");
        for row in shown {
            destination(row, out)?;
        }
        out.push_str("</table>\n</div>\n");
    }
    if pages > 1 {
        pager(view, page, pages, out)?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn pager(view: View, page: usize, pages: usize, out: &mut String) -> fmt::Result {
    out.push_str("<nav class=\"pager\" aria-label=\"Pages of destinations\">");
    let to = |page| View { page, ..view }.address();
    if page > 1 {
        write!(
            out,
            "<a rel=\"prev\" href=\"{}\">Previous</a> ",
            to(page - 1)
        )?;
    }
    write!(out, "<span>Page {page} of {pages}</span>")?;
    if page < pages {
        write!(out, " <a rel=\"next\" href=\"{}\">Next</a>", to(page + 1))?;
    }
    out.push_str("</nav>\n");
    Ok(())
}

/// A destination is a group of rows, one for each binding.
fn destination(row: &DestinationRow, out: &mut String) -> fmt::Result {
    let nothing = [BindingRow::default()];
    let bindings = match &row.bindings[..] {
        [] => &nothing[..],
        bindings => bindings,
    };
    let class = match row.needs_attention() {
        true => " class=\"look\"",
        false => "",
    };
    let name = Escaped(&row.server_name);
    let span = bindings.len();
    write!(
        out,
        "<tbody{class}>\n<tr><th scope=\"rowgroup\" rowspan=\"{span}\"><bdi>{name}</bdi></th>"
    )?;
    for (index, binding) in bindings.iter().enumerate() {
        if index > 0 {
            out.push_str("<tr>");
        }
        let state = match &row.in_use[..] {
            "" if index == 0 && !row.why.is_empty() => State::NoneUsable(&row.why),
            in_use if !in_use.is_empty() && binding.binding == in_use => State::InUse(&row.why),
            _ => State::NotInUse,
        };
        cells(binding, state, out)?;
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n");
    Ok(())
}

/// What a binding is to its destination, and why.
enum State<'a> {
    InUse(&'a str),
    NoneUsable(&'a str),
    NotInUse,
}

fn cells(row: &BindingRow, state: State<'_>, out: &mut String) -> fmt::Result {
    let name = match &row.binding[..] {
        "" => "none yet",
        name => name,
    };
    write!(out, "<td>{}</td><td>", Escaped(name))?;
    match (&state, &row.backoff) {
        (State::InUse(why), _) => {
            write!(out, "<span class=\"use\">In use: {}</span>", Escaped(why))?;
        }
        (State::NoneUsable(why), _) => write!(
            out,
            "<span class=\"backoff\">Calls fail: {}</span>",
            Escaped(why)
        )?,
        (State::NotInUse, None) => out.push_str("<span class=\"idle\">Not in use</span>"),
        (State::NotInUse, Some(_)) => {}
    }
    if let Some(BackoffRow { remaining, reason }) = &row.backoff {
        write!(
            out,
            "<span class=\"backoff\">Backed off for {}: {}</span>",
            Span(*remaining),
            Escaped(reason)
        )?;
    }
    let (calls, errors) = (Count(row.calls), Count(row.errors));
    write!(
        out,
        "</td><td class=\"number\">{calls}</td><td class=\"number\">{errors}</td><td class=\"number\">"
    )?;
    let fallbacks = row.fallbacks.iter();
    let sum = fallbacks
        .clone()
        .fold(0_u64, |sum, (_, n)| sum.saturating_add(*n));
    write!(out, "{}", Count(sum))?;
    if sum > 0 {
        for (reason, count) in fallbacks.take(REASONS) {
            write!(out, " <small>{} {}</small>", Escaped(reason), Count(*count))?;
        }
        if row.fallbacks.len() > REASONS {
            out.push_str(" <small>…</small>");
        }
    }
    out.push_str("</td>");
    match row.latency {
        Some(Latency { median, p95 }) => write!(
            out,
            "<td class=\"number\">{}</td><td class=\"number\">{}</td>",
            Took(median),
            Took(p95)
        ),
        None => write!(
            out,
            "<td class=\"number\">–</td><td class=\"number\">–</td>"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FIRST: View = View {
        page: 1,
        refresh: true,
    };

    fn named(names: impl IntoIterator<Item = String>) -> Vec<DestinationRow> {
        let row = |server_name| DestinationRow {
            server_name,
            ..DestinationRow::default()
        };
        names.into_iter().map(row).collect()
    }

    fn written(rows: Vec<DestinationRow>, view: View) -> String {
        let mut text = String::new();
        section(rows, view, &mut text).unwrap();
        text
    }

    #[test]
    fn the_binding_in_use_is_shown_with_its_reason_and_the_other_with_its_backoff() {
        let mut rows = named(["hs2.example".to_owned()]);
        rows[0].in_use = "http/1".to_owned();
        rows[0].why = "grpc/1 is backed off".to_owned();
        rows[0].bindings = vec![
            BindingRow {
                binding: "grpc/1".to_owned(),
                calls: 1_204,
                errors: 3,
                fallbacks: vec![("tls".to_owned(), 2), ("connect".to_owned(), 1)],
                latency: Some(Latency {
                    median: Duration::from_micros(1_420),
                    p95: Duration::from_millis(1_250),
                }),
                backoff: Some(BackoffRow {
                    remaining: Duration::from_millis(61_500),
                    reason: "TLS failed".to_owned(),
                }),
            },
            BindingRow {
                binding: "http/1".to_owned(),
                ..BindingRow::default()
            },
        ];
        let text = written(rows, FIRST);
        for expected in [
            "rowspan=\"2\"",
            "In use: grpc/1 is backed off",
            "Backed off for 1 min 2 s: TLS failed",
            ">1,204<",
            "3 <small>tls 2</small> <small>connect 1</small>",
            ">1.4 ms<",
            ">1.2 s<",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert_eq!(text.matches("In use").count(), 1);
    }

    #[test]
    fn many_destinations_are_on_several_pages() {
        let all = || named((0..450).map(|n| format!("hs{n:03}.example")));
        let rows = |page| {
            let view = View { page, ..FIRST };
            let text = written(all(), view);
            (text.matches("<tbody").count(), text)
        };
        let (first, text) = rows(1);
        assert_eq!(first, DESTINATIONS_PER_PAGE);
        assert!(text.contains("450, of which 1 to 200"), "{text}");
        assert!(text.contains("href=\"/?page=2\">Next"));
        assert!(!text.contains("Previous"));
        let (last, text) = rows(3);
        assert_eq!(last, 50);
        assert!(text.contains("hs449.example") && !text.contains("Next"));
        // A page that is not there any more is the last one.
        assert_eq!(rows(usize::MAX).0, 50);
    }

    #[test]
    fn a_destination_in_trouble_comes_first() {
        let mut rows = named(["a.example".to_owned(), "z.example".to_owned()]);
        rows[1].bindings = vec![BindingRow {
            backoff: Some(BackoffRow {
                remaining: Duration::from_secs(1),
                reason: String::new(),
            }),
            ..BindingRow::default()
        }];
        let text = written(rows, FIRST);
        assert!(text.find("z.example") < text.find("a.example"), "{text}");
    }
}
