//! The page at `/`: what a person wants to know of the gateway, without scripts.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use comity_core::shown::Escaped;

use super::{
    BackoffRow, BindingRow, Check, DestinationRow, Latency, Status, Totals,
    figures::{Count, Span, TimeOfDay, Took},
};

/// Most destinations on one page; the others are on the next.
pub const DESTINATIONS_PER_PAGE: usize = 200;

/// Seconds after which the page loads itself again.
const REFRESH: u32 = 5;

/// Most reasons that are told apart in a cell.
const REASONS: usize = 5;

/// What the page's address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Which page of destinations, from 1.
    pub(super) page: usize,
    /// Whether it loads itself again.
    pub(super) refresh: bool,
}

impl View {
    /// Reads `page=2&refresh=off`. What is not understood is as if it were not there.
    pub(super) fn of(query: &str) -> Self {
        let mut view = Self {
            page: 1,
            refresh: true,
        };
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("page", page)) => view.page = page.parse().unwrap_or(1).max(1),
                Some(("refresh", refresh)) => view.refresh = refresh != "off",
                _ => {}
            }
        }
        view
    }

    fn address(self) -> String {
        let refresh = if self.refresh { "" } else { "&amp;refresh=off" };
        format!("/?page={}{refresh}", self.page)
    }
}

/// Writes the page.
pub(super) fn page(status: Status, totals: Totals, checks: &[Check], view: View) -> String {
    let mut text = String::with_capacity(16 << 10);
    let page = Page {
        status,
        totals,
        checks,
        view,
    };
    page.write(&mut text)
        .expect("writing to a string cannot fail");
    text
}

struct Page<'a> {
    status: Status,
    totals: Totals,
    checks: &'a [Check],
    view: View,
}

impl Page<'_> {
    fn write(mut self, out: &mut String) -> fmt::Result {
        // What needs a look comes first; by name otherwise, so that rows stay where they are while the page reloads.
        let mut rows = std::mem::take(&mut self.status.destinations);
        rows.sort_by(|a, b| {
            let order = |row: &DestinationRow| !row.needs_attention();
            (order(a), &a.server_name).cmp(&(order(b), &b.server_name))
        });
        self.head(out)?;
        self.header(out)?;
        out.push_str("<main>\n");
        self.faults(out)?;
        self.sums(out)?;
        self.destinations(&rows, out)?;
        out.push_str("</main>\n<footer><nav aria-label=\"For programs\"><ul>\n");
        out.push_str("<li><a href=\"/metrics\">Metrics</a></li><li><a href=\"/health\">Health</a></li><li><a href=\"/ready\">Readiness</a></li>\n");
        out.push_str("</ul></nav></footer>\n</body>\n</html>\n");
        Ok(())
    }

    fn state(&self) -> (&'static str, &'static str) {
        if self.status.draining {
            ("waits", "Draining")
        } else if self.checks.iter().any(|check| check.fault.is_some()) {
            ("bad", "Not ready")
        } else {
            ("good", "Ready")
        }
    }

    fn head(&self, out: &mut String) -> fmt::Result {
        out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
        if self.view.refresh {
            writeln!(out, "<meta http-equiv=\"refresh\" content=\"{REFRESH}\">")?;
        }
        let (_, state) = self.state();
        let name = Escaped(&self.status.server_name);
        writeln!(out, "<title>{name}: {state}</title>")?;
        out.push_str("<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n");
        Ok(())
    }

    fn header(&self, out: &mut String) -> fmt::Result {
        let (class, state) = self.state();
        let name = Escaped(&self.status.server_name);
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            out,
            "<header>\n<p class=\"product\">Comity gateway {version}</p>"
        )?;
        writeln!(
            out,
            "<h1><bdi>{name}</bdi> <strong class=\"state {class}\">{state}</strong></h1>"
        )?;
        let uptime = Span(self.status.uptime);
        let now = TimeOfDay(SystemTime::now());
        write!(out, "<p class=\"time\">Up for {uptime}. As of {now} UTC")?;
        let other = View {
            refresh: !self.view.refresh,
            ..self.view
        };
        let address = other.address();
        if self.view.refresh {
            write!(
                out,
                ", again every {REFRESH} s. <a href=\"{address}\">Pause</a>"
            )?;
        } else {
            write!(out, ", paused. <a href=\"{address}\">Resume</a>")?;
        }
        out.push_str("</p>\n</header>\n");
        Ok(())
    }

    fn faults(&self, out: &mut String) -> fmt::Result {
        let faults = || {
            let fault = |check: &Check| Some((check.name, check.fault.clone()?));
            self.checks.iter().filter_map(fault)
        };
        if faults().next().is_none() {
            return Ok(());
        }
        out.push_str("<section class=\"faults\" aria-labelledby=\"faults\">\n<h2 id=\"faults\">Why not ready</h2>\n<ul>\n");
        for (name, fault) in faults() {
            writeln!(out, "<li>{name}: {}</li>", Escaped(&fault))?;
        }
        out.push_str("</ul>\n</section>\n");
        Ok(())
    }

    fn sums(&self, out: &mut String) -> fmt::Result {
        let totals = &self.totals;
        out.push_str(
            "<section aria-labelledby=\"sums\">\n<h2 id=\"sums\">Since the start</h2>\n<dl>\n",
        );
        for (name, about, count, worrying) in [
            ("Calls out", "of this homeserver", totals.outbound, false),
            ("Calls in", "of other servers", totals.inbound, false),
            ("Errors", "either way", totals.errors, false),
            ("Fallbacks", "to another binding", totals.fallbacks, true),
            (
                "Refused",
                "wrong signature or destination",
                totals.authentication_failures,
                true,
            ),
            ("Unverified", "no key to be had", totals.unverified, true),
            ("Shared", "with an equal call", totals.coalesced, false),
            ("Invoke", "untyped over gRPC", totals.invoked, false),
        ] {
            let class = match worrying && count > 0 {
                true => " class=\"look\"",
                false => "",
            };
            let count = Count(count);
            writeln!(
                out,
                "<div{class}><dt>{name} <small>{about}</small></dt><dd>{count}</dd></div>"
            )?;
        }
        out.push_str("</dl>\n</section>\n");
        Ok(())
    }

    fn destinations(&self, rows: &[DestinationRow], out: &mut String) -> fmt::Result {
        out.push_str("<section aria-labelledby=\"destinations\">\n");
        let pages = rows.len().div_ceil(DESTINATIONS_PER_PAGE).max(1);
        let page = self.view.page.min(pages);
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
            self.pager(page, pages, out)?;
        }
        out.push_str("</section>\n");
        Ok(())
    }

    fn pager(&self, page: usize, pages: usize, out: &mut String) -> fmt::Result {
        out.push_str("<nav class=\"pager\" aria-label=\"Pages of destinations\">");
        let to = |page| View { page, ..self.view }.address();
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

    fn named(names: impl IntoIterator<Item = String>) -> Status {
        let row = |server_name| DestinationRow {
            server_name,
            ..DestinationRow::default()
        };
        Status {
            server_name: "hs1.example".to_owned(),
            destinations: names.into_iter().map(row).collect(),
            ..Status::default()
        }
    }

    fn written(status: Status, view: View) -> String {
        page(status, Totals::default(), &[], view)
    }

    #[test]
    fn the_binding_in_use_is_shown_with_its_reason_and_the_other_with_its_backoff() {
        let mut status = named(["hs2.example".to_owned()]);
        status.destinations[0].in_use = "http/1".to_owned();
        status.destinations[0].why = "grpc/1 is backed off".to_owned();
        status.destinations[0].bindings = vec![
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
        let text = written(status, FIRST);
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
    fn nothing_that_others_wrote_becomes_markup() {
        let hostile = "</title><script>alert(1)</script><img src=x onerror='x'>\"".to_owned();
        let mut status = named([hostile.clone()]);
        status.server_name = hostile.clone();
        status.destinations[0].why = hostile.clone();
        status.destinations[0].in_use = hostile.clone();
        status.destinations[0].bindings = vec![BindingRow {
            binding: hostile.clone(),
            fallbacks: vec![(hostile.clone(), 1)],
            backoff: Some(BackoffRow {
                remaining: Duration::ZERO,
                reason: hostile.clone(),
            }),
            ..BindingRow::default()
        }];
        let checks = [Check::failed("homeserver", hostile)];
        let text = page(status, Totals::default(), &checks, FIRST);
        for tag in ["<script", "<img"] {
            assert!(!text.contains(tag), "{text}");
        }
        assert_eq!(text.matches("&lt;script&gt;").count(), 8, "{text}");
        assert_eq!(text.matches("</title>").count(), 1);
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
        let mut status = named(["a.example".to_owned(), "z.example".to_owned()]);
        status.destinations[1].bindings = vec![BindingRow {
            backoff: Some(BackoffRow {
                remaining: Duration::from_secs(1),
                reason: String::new(),
            }),
            ..BindingRow::default()
        }];
        let text = written(status, FIRST);
        assert!(text.find("z.example") < text.find("a.example"), "{text}");
    }

    #[test]
    fn a_view_is_read_from_any_query() {
        assert_eq!(View::of(""), FIRST);
        assert_eq!(View::of("page=0&page=x&&=&refresh=on&q"), FIRST);
        let paused = View {
            page: 7,
            refresh: false,
        };
        assert_eq!(View::of("refresh=off&page=7"), paused);
        assert!(!written(named([]), paused).contains("http-equiv"));
        assert!(written(named([]), FIRST).contains("http-equiv=\"refresh\""));
    }
}
