//! Which cells are measured, for how long, and which are not, with the reason.

use std::time::Duration;

use crate::{
    draw::next,
    model::{Cell, Flow, Network, Scenario, Skipped},
    options::Choice,
    progress::minutes,
    scenario,
    subject::Subject,
};

/// What a run does, before it is known what it can.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order of networks, scenarios, flows, transports.
    pub(crate) cells: Vec<Planned>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) seeds: Vec<u64>,
}

/// A cell that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) cell: Cell,
    /// Place among the subjects.
    pub(crate) subject: usize,
    /// Whether it is a peer's.
    pub(crate) is_peer: bool,
    /// What the client does.
    pub(crate) work: scenario::Plan,
    /// Of one repetition, with everything around it, on a slow machine.
    pub(crate) estimate: Duration,
}

impl Plan {
    /// The cells of a choice.
    pub(crate) fn new(choice: &Choice, subjects: &[Subject]) -> Self {
        let mut plan = Self {
            cells: Vec::new(),
            skipped: Vec::new(),
            seeds: choice.seeds.clone(),
        };
        for network in &choice.networks {
            for scenario in &choice.scenarios {
                for flow in &choice.flows {
                    for place in &choice.subjects {
                        plan.put(
                            choice,
                            &subjects[*place],
                            *place,
                            (*network, *scenario, *flow),
                        );
                    }
                }
            }
        }
        plan
    }

    fn put(
        &mut self,
        choice: &Choice,
        subject: &Subject,
        place: usize,
        (network, scenario, flow): (Network, Scenario, Flow),
    ) {
        let cell = Cell {
            transport: subject.name(),
            flow,
            scenario,
            network: network.name.to_owned(),
        };
        let mut work = scenario::Plan::new(scenario, flow, network);
        (work.warm_up, work.measure) = durations(choice, &work);
        work.deadline = work.measure + work.estimate() * 4 + PATIENCE;
        let estimate = AROUND + lasting(&work);
        let why = if !subject.takes(scenario) {
            Some("this transport was not built for it".to_owned())
        } else if choice.all {
            None
        } else {
            unreasonable(choice, subject, (&network, scenario, flow), estimate)
        };
        match why {
            Some(why) => self.skipped.push(Skipped { cell, why }),
            None => self.cells.push(Planned {
                cell,
                subject: place,
                is_peer: subject.exempt().is_some(),
                work,
                estimate,
            }),
        }
    }

    /// How long all repetitions take, peers' among them.
    pub(crate) fn estimate(&self) -> Duration {
        self.estimate_of(|_| true)
    }

    /// `about 34 min (6 min of it for peers)`.
    pub(crate) fn estimate_in_words(&self) -> String {
        let all = minutes(self.estimate());
        match self.estimate_of(|planned| planned.is_peer) {
            Duration::ZERO => format!("about {all}"),
            peers => format!("about {all} ({} of it for peers)", minutes(peers)),
        }
    }

    fn estimate_of(&self, counts: impl Fn(&Planned) -> bool) -> Duration {
        let cells = self.cells.iter().filter(|planned| counts(planned));
        let once: Duration = cells.map(|planned| planned.estimate).sum();
        once * u32::try_from(self.seeds.len()).unwrap_or(u32::MAX)
    }
}

/// Starting both processes, certificates, marks, and the end.
const AROUND: Duration = Duration::from_millis(300);

/// How long calls may be under way beyond what is expected.
const PATIENCE: Duration = Duration::from_secs(20);

/// A repetition that would take longer is left out, unless `--all`.
const LONGEST: Duration = Duration::from_secs(12);

/// As [`LONGEST`], of several transactions under way where packets are lost: that is what several streams on one connection are asked about.
const LONGEST_UNDER_LOSS: Duration = Duration::from_secs(25);

/// Calls that a repetition on a far network has time for, one in flight, so that it has a 90th percentile.
const CALLS: f64 = 30.0;

/// The same where a round trip takes so long that there is no time for as many.
const FEW_CALLS: f64 = 12.0;

/// How long queries may take for it, and how long transactions, which are fewer then, in seconds.
const QUERIES_LAST: f64 = 7.0;
const TRANSACTIONS_LAST: f64 = 5.0;

/// A network is far if a round trip hides what a transport costs.
fn is_far(network: &Network) -> bool {
    network.delay >= 0.005
}

/// A network is very far if few round trips fit into a repetition.
fn is_very_far(network: &Network) -> bool {
    network.delay >= 0.2
}

/// Warm-up and measuring, if calls are short: what is begun when time is over is waited for. A connection that was warmed up has been opened and used.
fn durations(choice: &Choice, work: &scenario::Plan) -> (Duration, Duration) {
    let round_trip = 2.0 * work.network.delay;
    let (warm_up, measure) = match choice.quick {
        true => (0.1, (0.25 + 8.0 * round_trip).min(2.4)),
        false => (0.15, lasting_calls(work)),
    };
    let seconds = Duration::from_secs_f64;
    (
        seconds(warm_up + 2.0 * round_trip),
        seconds(choice.seconds.unwrap_or(measure)),
    )
}

/// How long calls are begun, in seconds: so long that there are enough of them for a percentile to mean something.
fn lasting_calls(work: &scenario::Plan) -> f64 {
    let network = &work.network;
    let round_trip = 2.0 * network.delay;
    let few = (0.45 + 5.0 * round_trip).min(1.9);
    if !is_far(network) {
        return few;
    }
    let calls = match is_very_far(network) {
        true => FEW_CALLS,
        false => CALLS,
    };
    let each = 1.05 * round_trip + work.transfer().as_secs_f64();
    match (work.scenario, work.flow) {
        (Scenario::SmallQuery, Flow::OneInFlight) => (calls * each).clamp(few, QUERIES_LAST),
        (Scenario::Transaction, Flow::OneInFlight) => (calls * each).clamp(few, TRANSACTIONS_LAST),
        // A hundred latencies a second; those of one transaction have their round trip in common.
        (Scenario::Steady, Flow::OneInFlight) => (0.5 + 12.0 * round_trip).min(4.0),
        (Scenario::Steady, Flow::Concurrent) => (0.5 + 6.0 * round_trip).min(2.0),
        _ => few,
    }
}

/// How long the calls of one repetition take, about.
fn lasting(work: &scenario::Plan) -> Duration {
    use Scenario::{ColdStart, Join1k, Join20k, Join200k};
    let once = work.estimate();
    let opening = Duration::from_secs_f64(6.0 * work.network.delay);
    let warm_up = match work.scenario {
        // Of a small room, and of one server.
        Join1k | Join20k | Join200k | ColdStart => opening,
        Scenario::Transaction if work.network.loss > 0.0 => opening,
        _ => once.max(opening),
    };
    warm_up.max(work.warm_up) + once.max(work.measure) + opening / 3
}

/// Why a cell is left out of a run that is meant to end, if it is.
fn unreasonable(
    choice: &Choice,
    subject: &Subject,
    (network, scenario, flow): (&Network, Scenario, Flow),
    estimate: Duration,
) -> Option<String> {
    use Scenario::{
        Backfill, Burst, ColdStart, Join1k, Join20k, Join200k, Media, SmallQuery, Steady,
        Transaction,
    };
    let far = is_far(network);
    let why = match (scenario, flow) {
        (ColdStart, Flow::Concurrent) if !far => {
            "as one after the other: there is little to wait for"
        }
        (Burst | Join1k | Join20k | Join200k | Backfill | Media, Flow::Concurrent) => {
            "small-query, transaction and steady show what it is to have several under way"
        }
        _ if matches!(subject, Subject::Together(_)) && network.delay > 0.0 => {
            "there is no wire: the network would be a sleep"
        }
        _ if subject.exempt().is_some() && network.delay > 0.0 => {
            "a peer is compared where no network hides what it costs"
        }
        (SmallQuery, Flow::Concurrent) if network.delay > 0.0 => {
            "one round trip each, as small-query with one in flight shows"
        }
        (Join20k | Join200k, _) if choice.quick => "not in --quick",
        (Join20k | Join200k, _) if network.delay > 0.0 => {
            "as join1k there, and many times as long; its memory is that on loopback"
        }
        (Burst | Steady | ColdStart | Media | Join1k, _) if network.delay > 0.0 && !far => {
            "as on loopback: round trips of 0.4 ms are little beside it"
        }
        (Backfill, _) if network.delay > 0.0 => "as on loopback, and a round trip longer",
        (Burst, _) if far && network.loss == 0.0 => "as on loopback, and a round trip longer",
        (SmallQuery | Steady, Flow::Concurrent) if choice.quick => "not in --quick",
        (_, flow)
            if choice.quick
                && far
                && !(matches!(scenario, SmallQuery | Transaction) && flow == Flow::OneInFlight) =>
        {
            "not in --quick"
        }
        (Media | Join1k | ColdStart, _) | (Steady, Flow::Concurrent) if is_very_far(network) => {
            "as on 45ms, with every round trip longer"
        }
        (ColdStart, Flow::OneInFlight) if far => {
            "a hundred servers one after the other take long: 20 at a time show it"
        }
        // 50 events a round trip are fewer than the 100 a second that arrive.
        (Steady, Flow::OneInFlight) if network.delay > 0.25 => {
            "more events arrive than one transaction a round trip can take: the queue would be measured"
        }
        (Join1k | Burst | ColdStart | Steady, _)
            if network.loss > 0.0 && network.rate.is_some() =>
        {
            "as on 25ms-2%, which loses more and is sooner measured"
        }
        (Transaction, Flow::Concurrent) if network.loss > 0.0 && network.rate.is_none() => {
            "as on 75ms-1%-5Mbit, where several under way also share a rate"
        }
        (Transaction, Flow::Concurrent) if network.loss > 0.0 && estimate <= LONGEST_UNDER_LOSS => {
            return None;
        }
        _ if estimate > LONGEST => {
            let seconds = estimate.as_secs_f64();
            return Some(format!("one repetition would take about {seconds:.0} s"));
        }
        _ => return None,
    };
    Some(why.to_owned())
}

/// Everything in an order that `seed` draws, each as likely (Fisher and Yates).
pub(crate) fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed;
    for place in (1..items.len()).rev() {
        let other = next(&mut state) % (place as u64 + 1);
        items.swap(place, usize::try_from(other).expect("it is a place"));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{options::Options, subject};
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn plan(arguments: &[&str]) -> (Choice, Plan) {
        plan_of(arguments, subject::ours())
    }

    fn plan_of(arguments: &[&str], subjects: Vec<Subject>) -> (Choice, Plan) {
        let arguments = ["bench"].iter().chain(arguments);
        let choice = Program::parse_from(arguments).options.choose(&subjects);
        let choice = choice.unwrap();
        let plan = Plan::new(&choice, &subjects);
        (choice, plan)
    }

    #[test]
    fn every_cell_is_measured_or_skipped_with_a_reason() {
        let transports = subject::ours().len();
        let product = transports * Flow::ALL.len() * Scenario::ALL.len();
        let (_, whole) = plan(&[]);
        assert_eq!(whole.cells.len() + whole.skipped.len(), product * 6);
        assert!(whole.skipped.iter().all(|skipped| !skipped.why.is_empty()));
        let (_, all) = plan(&["--all"]);
        assert_eq!((all.cells.len(), all.skipped.len()), (product * 6, 0));
        for transport in subject::ours().iter().map(Subject::name) {
            let has = |network: &str| {
                let mut cells = whole.cells.iter().map(|planned| &planned.cell);
                cells.any(|cell| cell.transport == transport && cell.network == network)
            };
            assert!(has("loopback"));
            assert_eq!(has("satellite"), transport != "memory");
        }
    }

    #[test]
    fn a_run_ends_in_the_time_that_is_promised() {
        let minutes = |arguments: &[&str]| plan(arguments).1.estimate().as_secs_f64() / 60.0;
        let (whole, quick) = (minutes(&[]), minutes(&["--quick"]));
        assert!((20.0..=34.0).contains(&whole), "{whole} min");
        assert!((0.3..=0.85).contains(&quick), "{quick} min");
    }

    #[cfg(feature = "peers")]
    #[test]
    fn peers_are_in_the_estimate_and_within_forty_minutes() {
        let ours = plan(&[]).1.estimate();
        let mut subjects = subject::ours();
        subjects.extend(crate::peers::subjects());
        let (_, whole) = plan_of(&[], subjects);
        let minutes = whole.estimate().as_secs_f64() / 60.0;
        assert!(whole.estimate() > ours && minutes <= 40.0, "{minutes} min");
        let peers = whole.estimate_of(|planned| planned.is_peer);
        assert_eq!(whole.estimate() - peers, ours);
        assert!(whole.estimate_in_words().ends_with("of it for peers)"));
        assert!(!plan(&[]).1.estimate_in_words().contains("peers"));
        // Where a network hides nothing, a peer does what it was built for.
        for scenario in Scenario::ALL {
            let mut cells = whole.cells.iter().filter(|planned| planned.is_peer);
            assert!(cells.any(|planned| planned.cell.scenario == scenario));
        }
    }

    #[test]
    fn five_seeds_and_one_in_a_hurry() {
        assert_eq!(plan(&[]).1.seeds, [1, 2, 3, 4, 5]);
        assert_eq!(plan(&["--quick"]).1.seeds, [1]);
        assert_eq!(plan(&["--seeds", "2"]).1.seeds, [1, 2]);
        assert_eq!(plan(&["--seed", "7"]).1.seeds, [7]);
    }

    #[test]
    fn the_command_of_a_cell_measures_that_cell() {
        let subjects = subject::ours();
        let options = Program::parse_from(["bench", "--quick", "--seconds", "0.5"]).options;
        let choice = options.choose(&subjects).unwrap();
        let plan_of = Plan::new(&choice, &subjects);
        for planned in &plan_of.cells {
            let command = options.command_of(&planned.cell, 3);
            // No name of ours has a blank or a quotation mark in it but that of a session.
            let words = command.replace("'gRPC, session'", "gRPC,_session");
            let words = words.split(' ').skip(2);
            let words: Vec<String> = words.map(|word| word.replace('_', " ")).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (_, again) = plan(&words);
            let cells: Vec<&Cell> = again.cells.iter().map(|planned| &planned.cell).collect();
            assert_eq!(cells, [&planned.cell], "{command}");
            assert_eq!(again.seeds, [3]);
            assert_eq!(again.cells[0].work.measure, planned.work.measure);
        }
    }

    #[test]
    fn an_order_is_drawn_from_its_seed() {
        let items: Vec<u32> = (0..50).collect();
        let drawn = shuffled(items.clone(), 1);
        assert_eq!(drawn, shuffled(items.clone(), 1));
        assert_ne!(drawn, shuffled(items.clone(), 2));
        let mut sorted = drawn;
        sorted.sort_unstable();
        assert_eq!(sorted, items);
    }
}
