//! What the choice of bindings knows of each destination, as the page shows it.

use comity_core::transport::{BindingStatus, DestinationStatus, Why};

use super::{BackoffRow, BindingRow, DestinationRow, Latency};

/// The rows of [`Select::destinations`](comity_core::transport::Select::destinations), in its order.
pub fn destination_rows(
    destinations: impl IntoIterator<Item = DestinationStatus>,
) -> Vec<DestinationRow> {
    destinations.into_iter().map(row).collect()
}

fn row(status: DestinationStatus) -> DestinationRow {
    DestinationRow {
        server_name: status.destination.as_str().to_owned(),
        in_use: status.binding.unwrap_or_default().to_owned(),
        why: why(status.why).to_owned(),
        bindings: status.bindings.into_iter().map(binding).collect(),
    }
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Policy => "the operator's setting",
        Why::Offered("signed") => "its signed key document offers it",
        Why::Offered("hint") => "its .well-known document offers it",
        Why::Offered(_) => "it is offered",
        Why::Baseline => "it offers nothing else",
        Why::BackingOff => "a better one is backed off",
        Why::Unavailable => "the one that the setting asks for is not to be had",
    }
}

fn binding(status: BindingStatus) -> BindingRow {
    let latency = status.latency;
    BindingRow {
        binding: status.binding.to_owned(),
        calls: status.calls,
        errors: status.errors.saturating_add(status.error_answers),
        fallbacks: status
            .fallbacks
            .iter()
            .map(|(reason, count)| (reason.name().to_owned(), *count))
            .collect(),
        latency: (latency.count > 0).then_some(Latency {
            median: latency.p50,
            p95: latency.p95,
        }),
        backoff: status.backing_off.map(|remaining| BackoffRow {
            remaining,
            reason: match status.failures {
                1 => "it failed".to_owned(),
                failures => format!("{failures} failures in a row"),
            },
        }),
    }
}
