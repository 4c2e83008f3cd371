//! How long does it take?

use super::{Asked, Drawn, Question, bar, distribution};
use crate::{
    model::Scenario,
    report::{
        answers::Better,
        figure::Figure,
        measure::{Measure, Measured, is_join},
        panel::Form,
        words::{Unit, scenario, scenario_about},
    },
};

pub(super) fn question(asked: &Asked<'_>) -> Question {
    let figures = Scenario::ALL.into_iter().flat_map(|each| {
        let values = |measured: &Measured<'_>| {
            let spreads =
                [Measure::P50, Measure::P90, Measure::P99].map(|measure| measured.spread(measure));
            (spreads.into_iter().flatten().collect(), None)
        };
        let of = latency_of(asked, each);
        let drawn = Drawn {
            of: of.clone(),
            unit: Unit::Seconds,
            form: Form::Dots,
            values: &values,
        };
        let slug = format!("latency-{}", each.name());
        let figure = Figure::new(
            slug,
            format!("Latency: {}", scenario(each)),
            format!("{} What is drawn is the {of}.", scenario_about(each)),
        );
        let latency = asked.over_networks(figure, each, Measure::P50, Better::Lower, &drawn);
        [
            latency,
            whole(asked, each),
            distribution::figure(asked, each, &of),
        ]
    });
    Question {
        slug: "latency",
        title: "How long does it take?",
        about: "Each row is a transport: the first mark is the median latency, filled unless it is a peer's; the tick is the ninetieth percentile of all repetitions together, the hollow mark the ninety-ninth, each only if so many latencies were counted that one lies beyond it (10, 100). The band goes from the least to the most of the repetitions’ medians. What is written is the median. How long a join takes to its last event is drawn apart, as bars. Curves have every percentile, for a network without delay and for one far away. A panel whose values span a decade has a logarithmic axis and says so.",
        figures: figures.flatten().collect(),
    }
}

/// `latency of the first event`.
fn latency_of(asked: &Asked<'_>, each: Scenario) -> String {
    match asked.field.latency_of(each) {
        of if of.is_empty() => "latency".to_owned(),
        of => format!("latency of {of}"),
    }
}

/// How long a join takes to its last event.
fn whole(asked: &Asked<'_>, each: Scenario) -> Option<Figure> {
    if !is_join(each) {
        return None;
    }
    let figure = Figure::new(
        format!("whole-{}", each.name()),
        format!("Whole duration: {}", scenario(each)),
        format!(
            "{} From the request to the last event, one join in flight: the time that was measured, by the joins that ended in it.",
            scenario_about(each)
        ),
    );
    let drawn = Drawn {
        of: "until the last event".to_owned(),
        unit: Unit::Seconds,
        form: Form::Beside,
        values: &bar(Measure::JoinTime),
    };
    asked.over_networks(figure, each, Measure::JoinTime, Better::Lower, &drawn)
}
