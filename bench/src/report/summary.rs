//! What the run says, in a few sentences.

use super::{
    answers::{Better, Field, share},
    escape::network_name,
    measure::Measure,
    words::{flow, three},
};
use crate::model::{Flow, Scenario};

/// Names that our own transports have in the comparison.
const HTTPS: &str = "HTTPS/1.1";
const SESSION: &str = "gRPC, session";
const GRPC: &str = "gRPC";
const RUMA: &str = "ruma";

/// Computed; a sentence whose cells are missing is left out.
pub(super) fn sentences(field: &Field<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    let networks = field.networks();
    for each in Flow::ALL {
        let places = networks
            .iter()
            .flat_map(|network| Scenario::ALL.map(|scenario| field.of(network, each, scenario)));
        let comparisons: Vec<_> = places.filter(|cells| cells.len() > 1).collect();
        if !comparisons.is_empty() {
            let tally = field.tally(
                &comparisons,
                Measure::P50,
                Better::Lower,
                "comparisons of a network and a scenario",
            );
            sentences.push(format!("Lowest median latency, {}: {tally}.", flow(each)));
        }
    }
    let Some(network) = networks.first() else {
        return sentences;
    };
    let place = network_name(network);
    let places = Flow::ALL
        .into_iter()
        .flat_map(|each| Scenario::ALL.map(|scenario| field.of(network, each, scenario)));
    let comparisons: Vec<_> = places.filter(|cells| cells.len() > 1).collect();
    if !comparisons.is_empty() {
        let tally = field.tally(
            &comparisons,
            Measure::Cpu,
            Better::Lower,
            "comparisons of a scenario and a flow",
        );
        sentences.push(format!("Least CPU for a call, on {place}: {tally}."));
    }
    let transactions = field.of(network, Flow::OneInFlight, Scenario::Transaction);
    let of = |pair| field.share(pair, &transactions, Measure::Cpu);
    for (one, what, other) in [
        (SESSION, "with the session", HTTPS),
        (GRPC, "with X-Matrix", HTTPS),
        (HTTPS, "with X-Matrix", RUMA),
    ] {
        if let Some(share) = of((one, other)) {
            let percent = three(share.of * 100.0);
            let one = if one == SESSION { GRPC } else { one };
            let far = match share.apart {
                true => "",
                false => " The repetitions overlap, or are too few: it may be as much.",
            };
            sentences.push(format!("A transaction of 50 events over {one} {what} takes {percent} % of the CPU that it takes over {other}, both sides together, on {place}, one in flight.{far}"));
        }
    }
    if let Some(sentence) = flows(field, &networks) {
        sentences.push(sentence);
    }
    sentences
}

/// What the order of calls is worth, beside what the transport is worth.
fn flows(field: &Field<'_>, networks: &[&str]) -> Option<String> {
    let mut most: Option<(f64, String)> = None;
    for network in networks {
        for party in field
            .parties
            .iter()
            .filter(|party| !party.peer && !party.together)
        {
            let of = |flow| {
                let cells = field.of(network, flow, Scenario::Transaction);
                let mut of = cells
                    .into_iter()
                    .filter(|measured| measured.cell.transport == party.name);
                of.next()
            };
            let (Some(one), Some(many)) = (of(Flow::OneInFlight), of(Flow::Concurrent)) else {
                continue;
            };
            let times = share(many, one, Measure::EventRate).filter(|times| times.apart);
            let Some(times) = times.map(|times| times.of) else {
                continue;
            };
            if most.as_ref().is_none_or(|(most, _)| times > *most) {
                let place = network_name(network);
                most = Some((times, format!("over {} on {place}", party.label)));
            }
        }
    }
    let (times, place) = most.filter(|(times, _)| *times > 1.0)?;
    Some(format!(
        "Concurrent transactions deliver up to {} times as many events a second as one in flight: {place}.",
        three(times)
    ))
}
