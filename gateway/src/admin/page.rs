//! The page at `/`: what a person wants to know of the gateway, without scripts. `table` writes its table of destinations.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use comity_core::shown::Escaped;

use super::{
    Check, Status, Totals,
    figures::{Count, Span, TimeOfDay},
    table,
    view::View,
};

/// Seconds after which the page loads itself again.
const REFRESH: u32 = 5;

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
        let destinations = std::mem::take(&mut self.status.destinations);
        self.head(out)?;
        self.header(out)?;
        out.push_str("<main>\n");
        self.faults(out)?;
        self.sums(out)?;
        table::section(destinations, self.view, out)?;
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::{BackoffRow, BindingRow, DestinationRow};

    const FIRST: View = View {
        page: 1,
        refresh: true,
    };

    #[test]
    fn nothing_that_others_wrote_becomes_markup() {
        let hostile = "</title><script>alert(1)</script><img src=x onerror='x'>\"".to_owned();
        let mut status = Status {
            server_name: hostile.clone(),
            destinations: vec![DestinationRow {
                server_name: hostile.clone(),
                ..DestinationRow::default()
            }],
            ..Status::default()
        };
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
    fn a_page_loads_itself_again_unless_it_is_paused() {
        let written = |refresh| {
            let view = View { refresh, ..FIRST };
            page(Status::default(), Totals::default(), &[], view)
        };
        assert!(!written(false).contains("http-equiv"));
        assert!(written(true).contains("http-equiv=\"refresh\""));
    }
}
