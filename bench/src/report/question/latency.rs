//! How long does it take?

use super::{Asked, Drawn, Question};
use crate::{
    model::Scenario,
    report::{
        answers::Better,
        escape::short,
        figure::Figure,
        measure::{Measure, Measured},
        panel::Form,
        words::{Unit, scenario, scenario_about},
    },
};

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let figures = Scenario::ALL.into_iter().filter_map(|each| {
        let values = |measured: &Measured<'_>| {
            let spreads =
                [Measure::P50, Measure::P90, Measure::P99].map(|measure| measured.spread(measure));
            (spreads.into_iter().flatten().collect(), None)
        };
        let samples = asked.results.samples.iter();
        let of = samples
            .filter(|sample| sample.cell.scenario == each && !sample.outcome.latency_of.is_empty());
        let of = of
            .map(|sample| short(&sample.outcome.latency_of, 44))
            .next();
        let drawn = Drawn {
            of: of.map_or_else(|| "latency".to_owned(), |of| format!("latency of {of}")),
            unit: Unit::Seconds,
            form: Form::Dots,
            values: &values,
        };
        let slug = format!("latency-{}", each.name());
        let figure = Figure::new(
            slug,
            format!("Latency: {}", scenario(each)),
            scenario_about(each).to_owned(),
        );
        asked.over_networks(figure, each, Measure::P50, Better::Lower, &drawn)
    });
    Question {
        slug: "latency",
        title: "How long does it take?",
        about: "Each row is a transport: the first mark is the median latency, filled unless it is a peer's; the tick is the ninetieth percentile, the hollow mark the ninety-ninth. The bands behind them go from the least to the most of the repetitions. What is written is the median. A panel whose values span a decade has a logarithmic axis and says so.",
        figures: figures.collect(),
    }
}
