//! The page that a person reads from top to bottom. It needs no script, and no other file.

mod lead;
mod run;
mod tables;

use comity_core::shown::Escaped;

use super::{
    answers::Field,
    canvas::DEFINITIONS,
    figure::Figure,
    notices::notices,
    question::Question,
    words::{count, list},
};
use crate::model::Results;

/// Most commands that a figure lists.
const COMMANDS: usize = 200;

/// Which run a figure is of: command, commit, machine.
pub(super) fn from(results: &Results) -> String {
    let machine = &results.machine;
    let (processor, cores) = (known(&machine.processor), machine.cores);
    let (command, commit) = (known(&results.command), known(&results.commit));
    format!("From {command}, commit {commit}, on {processor}, {cores} cores.")
}

/// What is not known is said to be so.
fn known(text: &str) -> &str {
    if text.is_empty() { "(unknown)" } else { text }
}

/// The whole document.
pub(super) fn page(results: &Results, field: &Field<'_>, questions: &[Question]) -> String {
    let mut out = String::with_capacity(4 << 20);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>Transports of the Matrix Federation API compared</title>\n<style>\n");
    out.push_str(include_str!("style.css"));
    out.push_str("</style>\n</head>\n<body>\n");
    out.push_str(&format!("<svg width=\"0\" height=\"0\" class=\"definitions\" aria-hidden=\"true\">{DEFINITIONS}</svg>\n"));
    head(&mut out, results, field);
    contents(&mut out, questions);
    out.push_str("<main>\n");
    lead::section(&mut out, field);
    run::sections(&mut out, results, field);
    for question in questions {
        out.push_str(&format!(
            "<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n<p>{2}</p>\n",
            question.slug,
            question.title,
            Escaped(question.about)
        ));
        for each in &question.figures {
            figure(&mut out, results, each);
        }
        out.push_str("</section>\n");
    }
    tables::not_measured(&mut out, results, field);
    tables::every_cell(&mut out, field);
    limits(&mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn head(out: &mut String, results: &Results, field: &Field<'_>) {
    out.push_str("<header>\n<p class=\"product\">comity bench</p>\n<h1>Transports of the Matrix Federation API, compared</h1>\n");
    out.push_str("<p>The same calls between two servers, over each transport, each network and each way of letting calls follow one another. Client and server are two processes with the network between them. Figures are medians of repetitions with seeds of their own, with the least and the most of them; the ninetieth and ninety-ninth percentiles are of all repetitions together. Nothing here was typed by hand. Peers, which are other programs or a floor of what is possible, are grey and hatched: they do not take part in “least” and “most”.</p>\n");
    let notices = notices(results, field.cells);
    if !notices.is_empty() {
        out.push_str("<div class=\"notice\" role=\"note\">\n<ul>\n");
        for notice in notices {
            out.push_str(&format!("<li>{}</li>\n", Escaped(&notice)));
        }
        out.push_str("</ul>\n</div>\n");
    }
    out.push_str("</header>\n");
}

fn contents(out: &mut String, questions: &[Question]) {
    out.push_str("<nav aria-label=\"Contents\">\n<ul>\n");
    let link = |out: &mut String, slug: &str, title: &str| {
        out.push_str(&format!("<li><a href=\"#{slug}\">{title}</a></li>\n"))
    };
    for (slug, title) in [
        ("answers", "The answers first"),
        ("run", "The run"),
        ("networks", "Networks"),
        ("transports", "Transports"),
    ] {
        link(out, slug, title);
    }
    for question in questions {
        link(out, question.slug, question.title);
    }
    for (slug, title) in [
        ("not-measured", "What was not measured"),
        ("cells", "Every cell"),
        ("limits", "What the figures do not say"),
    ] {
        link(out, slug, title);
    }
    out.push_str("</ul>\n</nav>\n");
}

fn figure(out: &mut String, results: &Results, figure: &Figure) {
    let Figure { slug, .. } = figure;
    out.push_str(&format!(
        "<figure id=\"{slug}\">\n<h3><a href=\"#{slug}\">{}</a></h3>\n",
        Escaped(&figure.title)
    ));
    out.push_str(&format!(
        "<p class=\"reading\">{}</p>\n<p>{}</p>\n<div class=\"panels\">\n",
        Escaped(&figure.reading),
        Escaped(&figure.about)
    ));
    for (index, panel) in (1..).zip(&figure.panels) {
        let label = format!("{}, panel {index}. {}", figure.title, figure.reading);
        out.push_str(&panel.in_page(&Escaped(&label).to_string()));
        out.push('\n');
    }
    out.push_str("</div>\n<figcaption>\n");
    if !figure.marks.is_empty() {
        out.push_str(&format!("<p>{}</p>\n", Escaped(figure.marks)));
    }
    let meaning = figure.signs.meaning();
    if !meaning.is_empty() {
        out.push_str(&format!("<p>{meaning}</p>\n"));
    }
    let seeds: Vec<String> = figure.seeds.iter().map(u64::to_string).collect();
    let word = if seeds.len() == 1 { "Seed" } else { "Seeds" };
    out.push_str(&format!(
        "<p>{} {word} {}. <a href=\"{slug}.svg\">As a file</a>.</p>\n",
        Escaped(&from(results)),
        list(&seeds)
    ));
    let all = figure.commands.len();
    out.push_str(&format!(
        "<details><summary>The commands of its cells ({})</summary>\n<pre>",
        count(all as u64)
    ));
    for command in figure.commands.iter().take(COMMANDS) {
        out.push_str(&format!("{}\n", Escaped(command)));
    }
    if all > COMMANDS {
        out.push_str(&format!(
            "and {} more, in samples.csv\n",
            count((all - COMMANDS) as u64)
        ));
    }
    out.push_str("</pre></details>\n</figcaption>\n</figure>\n");
}

/// A table that scrolls in itself where the page is narrow.
fn table(
    out: &mut String,
    label: &str,
    head: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    out.push_str(&format!("<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">\n<table>\n<thead><tr>", Escaped(label)));
    for title in head {
        out.push_str(&format!("<th scope=\"col\">{}</th>", Escaped(title)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            match index {
                0 => out.push_str(&format!("<th scope=\"row\">{cell}</th>")),
                _ => out.push_str(&format!("<td>{cell}</td>")),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn escaped(text: &str) -> String {
    Escaped(text).to_string()
}

fn limits(out: &mut String) {
    out.push_str("<section aria-labelledby=\"limits\">\n<h2 id=\"limits\">What the figures do not say</h2>\n<ul>\n");
    for limit in super::LIMITS {
        out.push_str(&format!("<li>{}</li>\n", Escaped(limit)));
    }
    out.push_str("</ul>\n</section>\n");
}
