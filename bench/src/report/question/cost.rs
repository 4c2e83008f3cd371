//! What does it cost: bytes on the wire, and CPU?

use super::{Asked, Drawn, Question, Values, bar};
use crate::{
    model::Scenario,
    report::{
        escape::{short, slug},
        figure::Figure,
        measure::{Measure, Measured, per_event},
        panel::Form,
        words::{Unit, known_network},
    },
};

const DELIVERIES: [Scenario; 7] = [
    Scenario::Transaction,
    Scenario::Steady,
    Scenario::Burst,
    Scenario::Join1k,
    Scenario::Join20k,
    Scenario::Join200k,
    Scenario::Backfill,
];

pub(super) fn bytes(asked: &Asked<'_>) -> Question {
    let figures = networks(asked).into_iter().flat_map(|name| {
        let about = || format!("Everything that crossed the network {} in both directions while it was measured, acknowledgements and repeated packets included.", short(name, 40));
        let events = asked.over_scenarios(
            Figure::new(format!("bytes-per-event-{}", slug(name)), format!("Bytes for each delivered event, on {}", short(name, 40)), about()),
            name,
            &DELIVERIES,
            Measure::WireBytes,
            |_| Drawn {
                of: "on the wire for each event".to_owned(),
                unit: Unit::Bytes,
                form: Form::Beside,
                values: &WIRE_BYTES,
            },
        );
        let others: Vec<Scenario> = Scenario::ALL.into_iter().filter(|each| !per_event(*each) && *each != Scenario::Media).collect();
        let calls = asked.over_scenarios(
            Figure::new(format!("bytes-per-call-{}", slug(name)), format!("Bytes for each call, on {}", short(name, 40)), about()),
            name,
            &others,
            Measure::WireBytes,
            |_| Drawn {
                of: "on the wire for each call".to_owned(),
                unit: Unit::Bytes,
                form: Form::Beside,
                values: &WIRE_BYTES,
            },
        );
        let media = asked.over_scenarios(
            Figure::new(format!("bytes-per-byte-{}", slug(name)), format!("Bytes for each byte of media, on {}", short(name, 40)), about()),
            name,
            &[Scenario::Media],
            Measure::WireShare,
            |_| Drawn {
                of: "on the wire for each byte of content".to_owned(),
                unit: Unit::Plain("bytes"),
                form: Form::Beside,
                values: &WIRE_SHARE,
            },
        );
        [events, calls, media]
    });
    Question {
        slug: "bytes",
        title: "What crosses the wire?",
        about: "Bars from zero: the median of the repetitions, and a line from their least to their most. Below TCP where packets are emulated, with headers; one network without loss and one with it, the others are in cells.csv.",
        figures: figures.flatten().collect(),
    }
}

const WIRE_BYTES: fn(&Measured<'_>) -> Values = |measured| bar(Measure::WireBytes)(measured);

const WIRE_SHARE: fn(&Measured<'_>) -> Values = |measured| bar(Measure::WireShare)(measured);

/// The first network whose packets were counted and that loses none, or the first of all, and the first that loses some.
fn networks<'a>(asked: &Asked<'a>) -> Vec<&'a str> {
    let networks = asked.field.networks();
    let loses = |name: &&&str| known_network(name).is_some_and(|network| network.loss > 0.0);
    let has_packets = |name: &&&str| {
        let mut cells = asked
            .field
            .cells
            .iter()
            .filter(|measured| measured.cell.network == **name);
        cells.any(|measured| measured.spread(Measure::WirePackets).is_some())
    };
    let mut lossless = networks.iter().filter(|name| !loses(name));
    let first = lossless
        .clone()
        .find(has_packets)
        .or_else(|| lossless.next());
    let lossy = networks.iter().find(loses);
    first.into_iter().chain(lossy).copied().collect()
}

pub(super) fn cpu(asked: &Asked<'_>) -> Question {
    let figures = asked.field.networks().into_iter().take(1).filter_map(|name| {
        let figure = Figure::new(
            format!("cpu-{}", slug(name)),
            format!("CPU for each call, on {}", short(name, 40)),
            "User and system time of both processes while it was measured, divided by the calls that were answered.".to_owned(),
        );
        asked.over_scenarios(figure, name, &Scenario::ALL, Measure::Cpu, |_| Drawn {
            of: "CPU time for each call".to_owned(),
            unit: Unit::Seconds,
            form: Form::Stacked,
            values: &CPU,
        })
    });
    Question {
        slug: "cpu",
        title: "What does a call cost in CPU?",
        about: "Bars from zero: the client's share is the full one, the server's the pale one behind it, each the median of the repetitions; the line goes from the least to the most of their sum. What is written is the sum. On one network; cells.csv has the others.",
        figures: figures.collect(),
    }
}

/// Client and server, and the sum. The sum alone if they are one process.
const CPU: fn(&Measured<'_>) -> Values = |measured| {
    let sum = measured.spread(Measure::Cpu);
    let written = sum.map(|sum| sum.median);
    let parts = [Measure::ClientCpu, Measure::ServerCpu].map(|measure| measured.spread(measure));
    match parts {
        [Some(client), Some(server)] => {
            ([client, server].into_iter().chain(sum).collect(), written)
        }
        _ => (sum.into_iter().collect(), written),
    }
};
