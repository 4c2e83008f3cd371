//! What is measured in a reader's words, and numbers with their units.

use crate::model::{Emulation, Flow, NETWORKS, Network, NetworkCheck, Scenario};

pub(super) fn flow(flow: Flow) -> &'static str {
    match flow {
        Flow::OneInFlight => "one in flight",
        Flow::Concurrent => "concurrent",
    }
}

pub(super) fn scenario(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::SmallQuery => "Small query",
        Scenario::Transaction => "Transactions of 50 events",
        Scenario::Steady => "100 events a second",
        Scenario::Burst => "Burst to 20 servers",
        Scenario::Join1k => "Join, 1,000 events",
        Scenario::Join20k => "Join, 20,000 events",
        Scenario::Join200k => "Join, 200,000 events",
        Scenario::Backfill => "Backfill of 100 events",
        Scenario::Media => "Media beside queries",
        Scenario::ColdStart => "Cold start, 100 servers",
    }
}

/// What happens in it.
pub(super) fn scenario_about(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::SmallQuery => "A profile is asked for, again and again.",
        Scenario::Transaction => "Transactions of 50 events, as fast as the flow allows.",
        Scenario::Steady => {
            "100 events a second arrive at the sender, which sends what has come since its last transaction, at most 50 at once."
        }
        Scenario::Burst => "One event goes to 20 servers at once.",
        Scenario::Join1k => "A room of 1,000 state events is joined.",
        Scenario::Join20k => "A room of 20,000 state events is joined.",
        Scenario::Join200k => "A room of 200,000 state events is joined.",
        Scenario::Backfill => "100 events of a room's history are fetched.",
        Scenario::Media => {
            "A file of 10 MB is fetched, with small queries beside it; the latency is that of the queries."
        }
        Scenario::ColdStart => {
            "The first call to each of 100 servers: TCP, TLS and the proof of origin. Discovery is left out."
        }
    }
}

/// `45 ms`, `75 ms, 1 % loss, 5 Mbit/s`: one way.
pub(super) fn network(network: &Network) -> String {
    if network.delay == 0.0 {
        return "no delay".to_owned();
    }
    let mut text = format!("{} each way", seconds(network.delay));
    if network.loss > 0.0 {
        text.push_str(&format!(", {} % loss", three(network.loss * 100.0)));
    }
    if let Some(rate) = network.rate {
        text.push_str(&format!(", {} Mbit/s", three(rate / 1e6)));
    }
    text
}

/// The network of this name, if it is one of those that are compared.
pub(super) fn known_network(name: &str) -> Option<&'static Network> {
    NETWORKS.iter().find(|network| network.name == name)
}

pub(super) fn emulation(check: &NetworkCheck) -> &'static str {
    match check.emulation {
        Emulation::None => "loopback, nothing emulated",
        Emulation::Tun => "packets between two namespaces, over TUN",
        Emulation::InProcess => {
            "a delay of each call within the client: no packets, no loss, no rate"
        }
    }
}

/// Three significant digits, without an exponent as long as a person can read it.
pub(super) fn three(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.1e}");
    }
    let decimals = match size {
        0.0 => 0,
        ..0.000_999_5 => 6,
        ..0.009_995 => 5,
        ..0.099_95 => 4,
        ..0.999_5 => 3,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => grouped(&text),
    }
}

/// `1,234,567`.
fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A quantity's unit, by which a value and an axis are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Bytes,
    /// Bytes by the second.
    ByteRate,
    /// Calls or events by the second.
    Rate(&'static str),
    /// No unit, or one that is the same at every size.
    Plain(&'static str),
}

impl Unit {
    /// What `largest` is best divided by, and the unit that is left.
    pub(super) fn scale(self, largest: f64) -> (f64, String) {
        let steps: &[(f64, &str)] = match self {
            Self::Seconds => &[(1e-6, "µs"), (1e-3, "ms"), (1.0, "s")],
            Self::Bytes => &[(1.0, "bytes"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB")],
            Self::ByteRate => &[
                (1.0, "bytes/s"),
                (1e3, "kB/s"),
                (1e6, "MB/s"),
                (1e9, "GB/s"),
            ],
            Self::Rate(of) => {
                let (by, thousands) = match largest {
                    ..1e4 => (1.0, ""),
                    ..1e7 => (1e3, "thousand "),
                    _ => (1e6, "million "),
                };
                return (by, format!("{thousands}{of}/s"));
            }
            Self::Plain(unit) => return (1.0, unit.to_owned()),
        };
        let fitting = steps.iter().rev().find(|(by, _)| largest >= *by);
        let (by, unit) = fitting.unwrap_or(&steps[0]);
        (*by, (*unit).to_owned())
    }

    /// The same where there is little room, and what is counted is said elsewhere: `12,345/s`.
    pub(super) fn brief(self, value: f64) -> String {
        match self {
            Self::Rate(_) => format!("{}/s", three(value)),
            _ => self.value(value),
        }
    }

    /// The value with its unit: `1.25 ms`.
    pub(super) fn value(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let (by, unit) = match self {
            Self::Rate(of) => (1.0, format!("{of}/s")),
            _ => self.scale(value),
        };
        match unit.is_empty() {
            true => three(value / by),
            false => format!("{} {unit}", three(value / by)),
        }
    }
}

pub(super) fn seconds(value: f64) -> String {
    Unit::Seconds.value(value)
}

/// `1 h 3 min`, `2 min 5 s`, `7 s`.
pub(super) fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", count(whole / 3600), whole / 60 % 60),
    }
}

/// `2026-11-22 16:05 UTC` (Howard Hinnant's `civil_from_days`).
pub(super) fn date(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60
    )
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.012_34, "0.0123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (1e300, "1.0e300"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(three(value), text);
        }
        assert_eq!(Unit::Seconds.value(0.000_123), "123 µs");
        assert_eq!(Unit::Seconds.value(0.045), "45 ms");
        assert_eq!(Unit::Seconds.value(61.0), "61 s");
        assert_eq!(Unit::Bytes.value(2_500_000.0), "2.5 MB");
        assert_eq!(Unit::Rate("events").value(12_345.0), "12,345 events/s");
    }

    #[test]
    fn a_moment_is_written_as_its_date() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(1_795_363_500), "2026-11-22 16:05 UTC");
        assert_eq!(date(1_709_164_800), "2024-02-29 00:00 UTC");
        assert!(date(u64::MAX).ends_with("UTC"));
    }
}
