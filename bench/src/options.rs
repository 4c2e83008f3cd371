//! What `comity bench` is told.

use std::path::PathBuf;

use clap::Args;

use crate::{
    model::{Flow, NETWORKS, Network, Scenario},
    subject::Subject,
};

/// The options, for `comity bench` and for anyone's program that compares a transport of its own.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Options {
    /// About three minutes: the scenarios that are short, on loopback and 45 ms, one repetition of each
    #[arg(long)]
    pub quick: bool,
    /// Only these transports
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub transports: Vec<String>,
    /// Only these flows
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub flows: Vec<String>,
    /// Only these scenarios
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub scenarios: Vec<String>,
    /// Only these networks
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub networks: Vec<String>,
    /// Also the cells that are left out because they take long or say what another one says
    #[arg(long)]
    pub all: bool,
    /// Repetitions of each cell, with the seeds 1 to N. Default: 5, and 1 with --quick
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: Option<u64>,
    /// One repetition, with this seed
    #[arg(long, value_name = "SEED", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// How long a repetition measures, in seconds. Default: by the network's round trip
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    pub seconds: Option<f64>,
    /// No network namespaces: calls are delayed within the client, also where packets could be
    #[arg(long)]
    pub no_emulation: bool,
    /// Where the report is written; an earlier one there is removed when a run begins
    #[arg(long, value_name = "FOLDER", default_value = "report")]
    pub output: PathBuf,
    /// Measures nothing, and writes the report of an earlier run's results.json again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "all", "list"])]
    pub report_of: Option<PathBuf>,
    /// Shows what would be measured and how long it would take, and measures nothing
    #[arg(long)]
    pub list: bool,
}

const EXIT_CODES: &str = "Names with a comma are one argument: --transports gRPC \"gRPC, session\". Others may stand together: --networks loopback,45ms

Examples:
  comity bench --quick
  comity bench --list
  comity bench --transports HTTP/2 gRPC --scenarios transaction --networks loopback
  comity bench --report-of report/results.json

Exit codes:
  0  everything was measured
  1  a transport was refused by the conformance kit, a cell failed, or an emulated network was not what it should be
  2  the command line, or the file that it names, is no good; nothing was measured
  4  the report cannot be written";

/// Repetitions without `--seeds`, and the fewest that a spread is worth anything with.
pub(crate) const LEAST_SEEDS: u64 = 5;

fn duration(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("is no number from 0.05 to 600".to_owned()),
    }
}

/// What was chosen, by its names.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Places among the subjects.
    pub(crate) subjects: Vec<usize>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) networks: Vec<Network>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) quick: bool,
    pub(crate) all: bool,
    pub(crate) seconds: Option<f64>,
}

impl Options {
    /// Looks the names up.
    ///
    /// # Errors
    /// A name that is not known, with those that are; two transports of one name.
    pub(crate) fn choose(&self, subjects: &[Subject]) -> Result<Choice, String> {
        let transports: Vec<String> = subjects.iter().map(Subject::name).collect();
        for (place, name) in transports.iter().enumerate() {
            let mut before = transports[..place].iter();
            if before.any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(format!(
                    "two transports are called {name:?}: each needs a name of its own"
                ));
            }
        }
        let subjects = pick("transport", &self.transports, &transports)?;
        let flows = pick("flow", &self.flows, &Flow::ALL.map(Flow::name))?;
        let scenarios = pick(
            "scenario",
            &self.scenarios,
            &Scenario::ALL.map(Scenario::name),
        )?;
        let networks = pick(
            "network",
            &self.networks,
            &NETWORKS.map(|network| network.name),
        )?;
        let mut networks: Vec<Network> =
            networks.into_iter().map(|place| NETWORKS[place]).collect();
        if self.quick && !self.all && self.networks.is_empty() {
            networks.retain(|network| QUICK_NETWORKS.contains(&network.name));
        }
        let seeds = match (self.seed, self.seeds) {
            (Some(seed), _) => vec![seed],
            (None, Some(seeds)) => (1..=seeds).collect(),
            (None, None) if self.quick => vec![1],
            (None, None) => (1..=LEAST_SEEDS).collect(),
        };
        Ok(Choice {
            subjects,
            flows: flows.into_iter().map(|place| Flow::ALL[place]).collect(),
            scenarios: scenarios
                .into_iter()
                .map(|place| Scenario::ALL[place])
                .collect(),
            networks,
            seeds,
            quick: self.quick,
            all: self.all,
            seconds: self.seconds,
        })
    }

    /// The command that makes one repetition of a cell again, with this program's name before it.
    pub(crate) fn command_of(&self, cell: &crate::model::Cell, seed: u64) -> String {
        let mut command = format!(
            "comity bench --transports {} --flows {} --scenarios {} --networks {} --seed {seed}",
            quoted(&cell.transport),
            cell.flow.name(),
            cell.scenario.name(),
            quoted(&cell.network),
        );
        for (given, option) in [
            (self.quick, " --quick"),
            (self.all, " --all"),
            (self.no_emulation, " --no-emulation"),
        ] {
            if given {
                command.push_str(option);
            }
        }
        if let Some(seconds) = self.seconds {
            command.push_str(&format!(" --seconds {seconds}"));
        }
        command
    }
}

/// What `--quick` goes over.
const QUICK_NETWORKS: [&str; 2] = ["loopback", "45ms"];

/// A text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%=+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Places of the wanted names among the known, in the order of the known. None wanted: all. An argument that is no name may be several, with commas between them.
fn pick(what: &str, wanted: &[String], known: &[impl AsRef<str>]) -> Result<Vec<usize>, String> {
    if wanted.is_empty() {
        return Ok((0..known.len()).collect());
    }
    let find = |name: &str| {
        let same = |known: &_| AsRef::<str>::as_ref(known).eq_ignore_ascii_case(name.trim());
        known.iter().position(|known| same(known.as_ref()))
    };
    let mut places = Vec::new();
    for argument in wanted {
        if let Some(place) = find(argument) {
            places.push(place);
            continue;
        }
        for name in argument.split(',') {
            let Some(place) = find(name) else {
                let known: Vec<String> = known.iter().map(|name| quoted(name.as_ref())).collect();
                let (name, known) = (name.trim(), known.join(" "));
                return Err(format!("there is no {what} {name:?}; there are: {known}"));
            };
            places.push(place);
        }
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole_before_they_are_split() {
        let known = ["HTTP/2", "gRPC", "gRPC, session"];
        let pick = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            pick("transport", &wanted, &known)
        };
        assert_eq!(pick(&[]), Ok(vec![0, 1, 2]));
        assert_eq!(pick(&["gRPC, session"]), Ok(vec![2]));
        assert_eq!(pick(&["grpc,http/2", "gRPC"]), Ok(vec![0, 1]));
        let refused = pick(&["gRPC", "http"]).unwrap_err();
        assert!(refused.contains("\"http\""), "{refused}");
        assert!(refused.contains("HTTP/2 gRPC 'gRPC, session'"), "{refused}");
    }

    #[test]
    fn a_word_of_a_shell_is_quoted_if_it_has_to_be() {
        assert_eq!(quoted("HTTPS/1.1"), "HTTPS/1.1");
        assert_eq!(quoted("75ms-1%-5Mbit"), "75ms-1%-5Mbit");
        assert_eq!(quoted("gRPC, session"), "'gRPC, session'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
