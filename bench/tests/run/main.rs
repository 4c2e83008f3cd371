//! A whole run, with the processes that it starts: what is measured, who is refused, and what becomes of those that die or hang.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod ends;
mod runs;
mod subjects;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(ended) = comity_bench::child(subjects::all()) {
        return ended;
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("a_cell_is_measured_with_each_seed", runs::measured),
        trial("a_report_is_made_again_without_measuring", runs::made_again),
        trial("who_fails_the_kit_is_not_measured", runs::refused),
        trial(
            "a_process_that_dies_or_hangs_fails_its_cell_alone",
            runs::failing,
        ),
        trial(
            "without_emulation_calls_are_delayed_and_it_says_so",
            runs::delayed,
        ),
        trial("a_network_is_emulated_where_it_can_be", runs::emulated),
        trial("two_of_one_name_are_refused", runs::two_of_one_name),
        trial("names_that_are_not_known_are_refused", runs::unknown_names),
        trial("a_child_ends_with_its_parent", ends::with_its_parent),
        trial(
            "a_busy_child_ends_with_its_parent",
            ends::with_its_parent_while_busy,
        ),
        trial(
            "a_child_of_nobody_ends_with_an_error",
            ends::without_a_subject,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
