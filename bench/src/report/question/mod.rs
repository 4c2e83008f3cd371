//! The questions that the page answers, each with its figures.

mod cost;
mod distribution;
mod handshake;
mod latency;
mod memory;
mod throughput;

use std::collections::BTreeSet;

use super::{
    answers::{Better, Field, times},
    canvas::Drawing,
    escape::network_name,
    figure::Figure,
    measure::{Measure, Measured, Spread},
    notices::passed,
    panel::{Form, Group, Panel, Row},
    words::{Unit, flow, known_network, network, scenario},
};
use crate::model::{Flow, Results, Scenario};

/// A section of the page.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) figures: Vec<Figure>,
}

/// Those with something to show.
pub(super) fn all(results: &Results, field: &Field<'_>) -> Vec<Question> {
    let asked = Asked { results, field };
    let mut questions = vec![
        latency::question(&asked),
        throughput::question(&asked),
        cost::bytes(&asked),
        cost::cpu(&asked),
        memory::question(&asked),
        handshake::question(&asked),
    ];
    questions.retain(|question| !question.figures.is_empty());
    // Networks whose names differ may have slugs that do not.
    let mut taken = BTreeSet::new();
    for figure in questions
        .iter_mut()
        .flat_map(|question| &mut question.figures)
    {
        while !taken.insert(figure.slug.clone()) {
            figure.slug.push_str("-2");
        }
    }
    questions
}

/// What questions are asked of.
struct Asked<'a> {
    results: &'a Results,
    field: &'a Field<'a>,
}

/// What is drawn of a cell, and what is written beside it if that is not the first one's median.
type Values = (Vec<Spread>, Option<f64>);

/// What a panel draws of each cell.
struct Drawn<'a> {
    of: String,
    unit: Unit,
    form: Form,
    values: &'a dyn Fn(&Measured<'_>) -> Values,
}

impl<'a> Asked<'a> {
    /// The title of a network's panel, and why to be careful.
    fn network(&self, name: &str) -> (String, Option<&'static str>) {
        let about = known_network(name).map(network);
        let title = match about {
            Some(about) => format!("{name}: {about}"),
            None => network_name(name),
        };
        (title, self.warning(name))
    }

    fn warning(&self, name: &str) -> Option<&'static str> {
        let cells = self.field.cells.iter();
        let mut here = cells.filter(|measured| measured.cell.network == name);
        if here.any(|measured| measured.is_delayed_in_process() && !measured.is_together()) {
            return Some("delay in process");
        }
        let checks = &self.results.networks;
        let check = checks.iter().find(|check| check.network == name)?;
        (!passed(check)).then_some("self-test failed")
    }

    /// A panel with a group for each flow; none if it would be empty.
    fn panel(
        &self,
        figure: &mut Figure,
        (title, warning): (String, Option<&'static str>),
        place: (&str, Scenario),
        drawn: &Drawn<'_>,
    ) -> Option<Drawing> {
        let groups = Flow::ALL.map(|each| {
            let cells = self.field.of(place.0, each, place.1);
            let rows = cells.into_iter().filter_map(|measured| {
                let party = self.field.party(measured)?;
                let (values, written) = (drawn.values)(measured);
                let signs = super::figure::Signs::of(measured).text();
                let row = Row::new(party, &signs, values, written)?;
                figure.add(measured);
                Some(row)
            });
            Group {
                heading: flow(each).to_owned(),
                rows: rows.collect(),
            }
        });
        figure.marks = drawn.form.marks();
        let panel = Panel {
            title,
            warning,
            of: drawn.of.clone(),
            unit: drawn.unit,
            form: drawn.form,
            groups: groups.into(),
        };
        (!panel.is_empty()).then(|| panel.draw())
    }

    /// One scenario, a panel for each network.
    fn over_networks(
        &self,
        mut figure: Figure,
        of: Scenario,
        measure: Measure,
        better: Better,
        drawn: &Drawn<'_>,
    ) -> Option<Figure> {
        let networks = self.field.networks();
        for name in &networks {
            let panel = self.panel(&mut figure, self.network(name), (name, of), drawn);
            figure.panels.extend(panel);
        }
        let word = match (better, measure) {
            (Better::Lower, Measure::P50) => "Lowest median latency",
            (Better::Lower, Measure::JoinTime) => "Shortest",
            (Better::Lower, _) => "Least",
            (Better::Higher, _) => "Most",
        };
        let mut reading = String::new();
        let mut all = Vec::new();
        let mut places = Vec::new();
        for each in Flow::ALL {
            let comparisons: Vec<_> = networks
                .iter()
                .map(|name| self.field.of(name, each, of))
                .collect();
            let with_it = |measured: &&Measured<'_>| measured.spread(measure).is_some();
            if !comparisons.iter().flatten().any(with_it) {
                continue;
            }
            let tally = self.field.tally(&comparisons, measure, better, "networks");
            reading.push_str(&format!("{word}, {}: {tally}. ", flow(each)));
            places.extend(
                networks
                    .iter()
                    .map(|name| format!("on {}, {}", network_name(name), flow(each))),
            );
            all.extend(comparisons);
        }
        figure.reading = reading + &self.farthest(&all, measure, better, &places);
        (!figure.panels.is_empty()).then_some(figure)
    }

    /// One network, a panel for each scenario of `of`.
    fn over_scenarios(
        &self,
        mut figure: Figure,
        name: &str,
        of: &[Scenario],
        measure: Measure,
        drawn: impl Fn(Scenario) -> Drawn<'a>,
    ) -> Option<Figure> {
        let warning = self.warning(name);
        let mut comparisons = Vec::new();
        let mut places = Vec::new();
        for each in Scenario::ALL.into_iter().filter(|each| of.contains(each)) {
            let title = (scenario(each).to_owned(), warning);
            let panel = self.panel(&mut figure, title, (name, each), &drawn(each));
            figure.panels.extend(panel);
            for of_flow in Flow::ALL {
                comparisons.push(self.field.of(name, of_flow, each));
                places.push(format!("in “{}”, {}", scenario(each), flow(of_flow)));
            }
        }
        let tally = self.field.tally(
            &comparisons,
            measure,
            Better::Lower,
            "comparisons of a scenario and a flow",
        );
        figure.reading = format!(
            "Least: {tally}. {}",
            self.farthest(&comparisons, measure, Better::Lower, &places)
        );
        (!figure.panels.is_empty()).then_some(figure)
    }

    /// The sentence about where it matters most.
    fn farthest(
        &self,
        comparisons: &[Vec<&Measured<'_>>],
        measure: Measure,
        better: Better,
        places: &[String],
    ) -> String {
        let Some((index, best, worst, by)) = self.field.farthest(comparisons, measure, better)
        else {
            return String::new();
        };
        let (more, less) = match better {
            Better::Lower => (worst, best),
            Better::Higher => (best, worst),
        };
        let (verb, much) = match (measure, better) {
            (Measure::P50 | Measure::JoinTime | Measure::HandshakeTime, _) => ("takes", "long"),
            (_, Better::Lower) => ("needs", "much"),
            (_, Better::Higher) => ("delivers", "much"),
        };
        let (more, less, times) = (&more.label, &less.label, times(by, much));
        format!(
            "Farthest apart, of two whose repetitions do not overlap, {}: {more} {verb} {times} as {less}.",
            places[index]
        )
    }
}

/// A bar of one measure.
fn bar(measure: Measure) -> impl Fn(&Measured<'_>) -> Values {
    move |measured| (measured.spread(measure).into_iter().collect(), None)
}
