//! How much gets through?

use super::{Asked, Drawn, Question, bar};
use crate::{
    model::Scenario,
    report::{
        answers::Better,
        figure::Figure,
        measure::Measure,
        panel::Form,
        words::{Unit, scenario, scenario_about},
    },
};

/// Where as much is done as gets through. The others have a pace of their own, or are over before there is a rate; `cells.csv` has it all the same.
const OF: [(Scenario, Measure, &str, Unit); 3] = [
    (
        Scenario::Transaction,
        Measure::EventRate,
        "events delivered",
        Unit::Rate("events"),
    ),
    (
        Scenario::SmallQuery,
        Measure::CallRate,
        "calls answered",
        Unit::Rate("calls"),
    ),
    (
        Scenario::Media,
        Measure::ContentRate,
        "content delivered",
        Unit::ByteRate,
    ),
];

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let figures = OF.into_iter().filter_map(|(of, measure, what, unit)| {
        let drawn = Drawn {
            of: what.to_owned(),
            unit,
            form: Form::Beside,
            values: &bar(measure),
        };
        let slug = format!("throughput-{}", of.name());
        let figure = Figure::new(
            slug,
            format!("Throughput: {}", scenario(of)),
            scenario_about(of).to_owned(),
        );
        asked.over_networks(figure, of, measure, Better::Higher, &drawn)
    });
    Question {
        slug: "throughput",
        title: "How much gets through?",
        about: "Bars from zero: the median of the repetitions, and a line from their least to their most. Only scenarios in which as much is done as gets through; the rates of the others are in cells.csv.",
        figures: figures.collect(),
    }
}
