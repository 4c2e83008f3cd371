//! The tables for programs: every sample, and every cell (RFC 4180).

use std::fmt::Write;

use super::{
    escape::field,
    losses::Losses,
    measure::{Measure, Measured, delivery, peak_of_life, work},
};
use crate::model::{Cell, Results};

/// One row for each sample.
pub(super) fn samples(results: &Results) -> String {
    let mut text = String::from(
        "transport,flow,scenario,network,seed,seconds,calls,failures,events,content_bytes",
    );
    for column in [
        "latency_of",
        "client_cpu_s",
        "client_idle_bytes",
        "client_peak_bytes",
        "server_cpu_s",
        "server_idle_bytes",
        "server_peak_bytes",
        "sent_bytes",
        "received_bytes",
        "sent_packets",
        "received_packets",
        "emulation",
        "lost_packets",
        "refused_packets",
        "overrun_packets",
        "resent_segments",
        "resent_requests",
        "retried",
        "note",
        "peak_of_life",
    ] {
        text.push(',');
        text.push_str(column);
    }
    for measure in Measure::ALL {
        text.push(',');
        text.push_str(measure.column());
    }
    text.push_str(",first_failure,command\r\n");
    for sample in &results.samples {
        let outcome = &sample.outcome;
        cell(&mut text, &sample.cell);
        let mut row = vec![
            sample.seed.to_string(),
            number(Some(outcome.seconds)),
            outcome.calls.to_string(),
            outcome.failures.to_string(),
            outcome.events.to_string(),
            outcome.content.to_string(),
            field(&outcome.latency_of),
            number(Some(sample.client.cpu)),
            sample.client.idle.to_string(),
            sample.client.peak.to_string(),
            number(sample.server.map(|server| server.cpu)),
            whole(sample.server.map(|server| server.idle)),
            whole(sample.server.map(|server| server.peak)),
            whole(sample.wire.map(|wire| wire.sent)),
            whole(sample.wire.map(|wire| wire.received)),
            whole(sample.wire.and_then(|wire| wire.packets_sent)),
            whole(sample.wire.and_then(|wire| wire.packets_received)),
            sample.emulation.name().to_owned(),
            whole(sample.drops.map(|drops| drops.lost)),
            whole(sample.drops.map(|drops| drops.refused)),
            whole(sample.drops.map(|drops| drops.overrun)),
            whole(sample.resent.and_then(|resent| resent.segments)),
            whole(sample.resent.map(|resent| resent.requests)),
            field(sample.retried.as_deref().unwrap_or_default()),
            field(outcome.note.as_deref().unwrap_or_default()),
            peak_of_life(sample).to_string(),
        ];
        row.extend(Measure::ALL.map(|measure| number(measure.of(sample))));
        row.push(field(outcome.first_failure.as_deref().unwrap_or_default()));
        row.push(field(&sample.command));
        text.push_str(&row.join(","));
        text.push_str("\r\n");
    }
    text
}

/// One row for each cell: the median over its samples and their extremes.
pub(super) fn cells(cells: &[Measured<'_>]) -> String {
    let mut text = String::from(
        "transport,flow,scenario,network,samples,failures,one_process,latencies,cpu_for_each,bytes_for_each,emulation,lost_packets,refused_packets,overrun_packets,resent_segments,resent_requests,retried_samples,samples_not_kept_up_with",
    );
    for measure in Measure::ALL {
        let column = measure.column();
        if measure.is_pooled() {
            write!(text, ",{column}_pooled").expect("writing to a string cannot fail");
            continue;
        }
        for of in ["median", "min", "max"] {
            write!(text, ",{column}_{of}").expect("writing to a string cannot fail");
        }
    }
    text.push_str("\r\n");
    for measured in cells {
        cell(&mut text, measured.cell);
        let losses = Losses::of(measured);
        let mut row = vec![
            measured.samples.len().to_string(),
            measured.failures().to_string(),
            measured.is_together().to_string(),
            measured.counted().to_string(),
            work(measured.cell.scenario).to_owned(),
            delivery(measured.cell.scenario).to_owned(),
            measured.emulation().to_owned(),
            whole(losses.lost),
            whole(losses.refused),
            whole(losses.overrun),
            whole(losses.segments),
            whole(losses.requests),
            measured.retried().to_string(),
            measured.behind().to_string(),
        ];
        for measure in Measure::ALL {
            let spread = measured.spread(measure);
            row.push(number(spread.map(|spread| spread.median)));
            if measure.is_pooled() {
                continue;
            }
            row.push(number(spread.map(|spread| spread.min)));
            row.push(number(spread.map(|spread| spread.max)));
        }
        text.push_str(&row.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cell(text: &mut String, cell: &Cell) {
    for value in [
        &cell.transport[..],
        cell.flow.name(),
        cell.scenario.name(),
        &cell.network,
    ] {
        text.push_str(&field(value));
        text.push(',');
    }
}

/// What is no number is nothing.
fn number(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => value.to_string(),
        _ => String::new(),
    }
}

fn whole(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
