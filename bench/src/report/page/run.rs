//! The run: where and when, on which networks, and who took part.

use super::{escaped, known, lead::name, table};
use crate::{
    model::{Conformance, NetworkCheck, Property, Results},
    report::{
        PEERS,
        answers::Field,
        notices::{ended, is_refused, passed, proven},
        words::{Unit, count, date, emulation, known_network, list, network, seconds, span, three},
    },
};

pub(super) fn sections(out: &mut String, results: &Results, field: &Field<'_>) {
    run(out, results, field);
    networks(out, results);
    transports(out, results, field);
}

fn run(out: &mut String, results: &Results, field: &Field<'_>) {
    out.push_str("<section aria-labelledby=\"run\">\n<h2 id=\"run\">The run</h2>\n<dl>\n");
    let machine = &results.machine;
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let samples = format!(
        "{} of {} cells",
        count(results.samples.len() as u64),
        count(field.cells.len() as u64)
    );
    for (name, value) in [
        ("Command", known(&results.command).to_owned()),
        ("Commit", known(&results.commit).to_owned()),
        ("Began", date(results.began)),
        ("Took", span(results.seconds)),
        ("Seeds", list(&seeds)),
        ("Ended", ended(results)),
        ("Samples", samples),
        ("Processor", known(&machine.processor).to_owned()),
        ("Cores", machine.cores.to_string()),
        ("Memory", Unit::Bytes.value(machine.memory as f64)),
        ("Kernel", known(&machine.kernel).to_owned()),
        ("Compiler", known(&machine.compiler).to_owned()),
        (
            "Load before, after",
            format!("{}, {}", three(machine.load.0), three(machine.load.1)),
        ),
    ] {
        out.push_str(&format!(
            "<div><dt>{name}</dt><dd>{}</dd></div>\n",
            escaped(&value)
        ));
    }
    out.push_str("</dl>\n<p>The figures for programs are in <a href=\"cells.csv\">cells.csv</a> and <a href=\"samples.csv\">samples.csv</a>, everything is in <a href=\"results.json\">results.json</a>; <code>comity bench --report-of results.json</code> makes this report of it again.</p>\n");
    out.push_str(&format!("<p>{}</p>\n</section>\n", in_code(PEERS)));
}

/// What stands between back quotes is code.
fn in_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, part)| match index % 2 {
        1 => format!("<code>{}</code>", escaped(part)),
        _ => escaped(part),
    });
    parts.collect()
}

fn networks(out: &mut String, results: &Results) {
    out.push_str("<section aria-labelledby=\"networks\">\n<h2 id=\"networks\">Networks, as their self-test found them</h2>\n<p>Delays are one way, and each direction has them.</p>\n");
    let rows = results.networks.iter().map(|check| {
        let measured: Vec<String> = check.measured.iter().map(property).collect();
        let about = known_network(&check.network).map_or_else(|| "–".to_owned(), network);
        vec![
            escaped(&check.network),
            escaped(&about),
            emulation(check).to_owned(),
            if measured.is_empty() {
                "–".to_owned()
            } else {
                measured.join("<br/>")
            },
            verdict(check),
            check.note.as_deref().map(escaped).unwrap_or_default(),
        ]
    });
    table(
        out,
        "Networks",
        &[
            "Network",
            "Asked for",
            "How",
            "Measured",
            "Self-test",
            "Note",
        ],
        rows,
    );
    out.push_str("</section>\n");
}

fn verdict(check: &NetworkCheck) -> String {
    match (passed(check), check.measured.is_empty()) {
        (_, true) => "nothing to test".to_owned(),
        (true, _) => "<span class=\"good\">passed</span>".to_owned(),
        (false, _) => "<span class=\"bad\">failed</span>".to_owned(),
    }
}

/// `delay: 45.2 ms for 45 ms, +0.4 %`.
fn property(property: &Property) -> String {
    let value = |value: f64| match &property.name[..] {
        "delay" => seconds(value),
        "loss" => format!("{} %", three(value * 100.0)),
        "rate" => format!("{} Mbit/s", three(value / 1e6)),
        _ => three(value),
    };
    let off = (property.measured / property.wanted - 1.0) * 100.0;
    let off = if off.is_finite() {
        format!(", {off:+.1}\u{a0}%")
    } else {
        String::new()
    };
    let (measured, wanted) = (value(property.measured), value(property.wanted));
    let mark = if property.passed {
        ""
    } else {
        " <span class=\"bad\">outside</span>"
    };
    format!(
        "{}: {measured} for {wanted}{off}{mark}",
        escaped(&property.name)
    )
}

fn transports(out: &mut String, results: &Results, field: &Field<'_>) {
    out.push_str("<section aria-labelledby=\"transports\">\n<h2 id=\"transports\">Transports, and what the conformance kit says of them</h2>\n<p>Who fails a case of the kit is not measured: it would be fast at something else. Peers are no bindings and are not asked.</p>\n");
    let rows = field.parties.iter().map(|party| {
        let said = results
            .conformance
            .iter()
            .find(|said| said.transport == party.name);
        let sides = match (party.together, party.peer) {
            (true, _) => "one process",
            (false, _) => "two processes",
        };
        let (verdict, cases) =
            said.map_or_else(|| ("not asked".to_owned(), "–".to_owned()), conformance);
        vec![
            name(party),
            escaped(&party.name),
            sides.to_owned(),
            verdict,
            cases,
        ]
    });
    table(
        out,
        "Transports",
        &["In plots", "Name", "Sides", "Conformance", "Cases"],
        rows,
    );
    out.push_str("</section>\n");
}

fn conformance(said: &Conformance) -> (String, String) {
    if let Some(exempt) = &said.exempt {
        return (format!("exempt: {}", escaped(exempt)), "–".to_owned());
    }
    let verdict = match is_refused(said) {
        true => "<span class=\"bad\">refused</span>",
        false => "<span class=\"good\">passed</span>",
    };
    let cases = format!(
        "{} passed, {} not supported, {} failed{}",
        count(said.passed),
        count(said.unsupported),
        count(said.failures),
        escaped(&proven(said))
    );
    (verdict.to_owned(), cases)
}
