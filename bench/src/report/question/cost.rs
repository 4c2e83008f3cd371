//! What does it cost: bytes on the wire, and CPU?

use super::{Asked, Drawn, Question, Values, bar};
use crate::{
    model::Scenario,
    report::{
        escape::{network_name, slug},
        figure::Figure,
        measure::{Measure, Measured, delivery, work},
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
        let of_bytes = asked.field.of_bytes(name).map(|of_bytes| format!(" {of_bytes}"));
        let of_bytes = of_bytes.unwrap_or_default();
        let included = match asked.field.is_above_tcp(name) {
            true => "",
            false => ", acknowledgements and repeated packets included",
        };
        let calls: Vec<Scenario> = Scenario::ALL.into_iter().filter(|each| delivery(*each) == "call").collect();
        let figure = |of: &str, title: &str, among: &str, scenarios: &[Scenario], values: &'static dyn Fn(&Measured<'_>) -> Values| {
            let about = format!("Everything that crossed the network {} in both directions while it was measured{included}.{of_bytes}{among}", network_name(name));
            let figure = Figure::new(format!("bytes-per-{of}-{}", slug(name)), format!("{title}, on {}", network_name(name)), about);
            let (measure, of, unit) = match of {
                "byte" => (Measure::WireShare, "byte of content", Unit::Plain("bytes")),
                of => (Measure::WireBytes, of, Unit::Bytes),
            };
            asked.over_scenarios(figure, name, scenarios, measure, |_| Drawn {
                of: format!("on the wire for each {of}"),
                unit,
                form: Form::Beside,
                values,
            })
        };
        let queries = " Those of the queries beside it are among them.";
        let media = &[Scenario::Media];
        [
            figure("event", "Bytes for each delivered event", "", &DELIVERIES, &WIRE_BYTES),
            figure("call", "Bytes for each call", "", &calls, &WIRE_BYTES),
            figure("file", "Bytes for each file of 10 MB", queries, media, &WIRE_BYTES),
            figure("byte", "Bytes for each byte of media", queries, media, &WIRE_SHARE),
        ]
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

/// The first network that loses nothing and the first that loses some, with emulated packets if there are such.
fn networks<'a>(asked: &Asked<'a>) -> Vec<&'a str> {
    let loses = |name: &str| known_network(name).is_some_and(|network| network.loss > 0.0);
    let lossless = asked.field.packets(|name| !loses(name));
    let lossy = asked.field.packets(loses);
    lossless.into_iter().chain(lossy).collect()
}

pub(super) fn cpu(asked: &Asked<'_>) -> Question {
    let figures = asked.field.networks().into_iter().take(1).filter_map(|name| {
        let figure = Figure::new(
            format!("cpu-{}", slug(name)),
            format!("CPU for each call, on {}", network_name(name)),
            "User and system time of both processes while it was measured, divided by the calls that were answered; that of media by the files.".to_owned(),
        );
        asked.over_scenarios(figure, name, &Scenario::ALL, Measure::Cpu, |each| Drawn {
            of: format!("CPU time for each {}", work(each)),
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
