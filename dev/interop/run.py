"""Runs the scenarios and prints a report. Started by `cargo xtask interop`, with the Python of a venv that has matrix-synapse.

    run.py --comity target/debug/comity --folder target/interop/run [WORD ...]

With words, only the parts and scenarios whose sentence has one of them run.
"""

import argparse
import pathlib
import shutil
import signal
import sys
import textwrap
import time
import traceback

import actions
import behind_nginx
import broken_grpc
import evidence
import example_homeserver
import nginx
import operators
import outages
import recipe
import restarts
import strangers
import topologies
from process import Program

# A part: its title, the topology, and the scenarios to play in it.
PARTS = [
    ("two Synapses, directly", topologies.directly, actions.ALL + outages.ALL),
    (
        "two Synapses behind gateways, gRPC between",
        topologies.behind_gateways,
        actions.ALL
        + outages.ALL
        + [
            evidence.every_call_that_a_homeserver_answered_came_over_grpc,
            evidence.no_call_went_as_invoke_and_none_fell_back,
            evidence.every_signature_was_checked_and_none_was_wrong,
        ]
        + recipe.ALL
        + [strangers.no_log_of_a_gateway_holds_a_credential]
        + operators.ALL,
    ),
    (
        "gateways that find one another by name, and gRPC breaks",
        topologies.found_by_name,
        broken_grpc.ALL + restarts.ALL + [strangers.no_log_of_a_gateway_holds_a_credential],
    ),
    (
        "one Synapse behind a gateway, the other without",
        topologies.one_behind_a_gateway,
        actions.ALL
        + [evidence.every_call_went_over_plain_https, evidence.every_signature_was_checked_and_none_was_wrong]
        + outages.ALL
        + strangers.ALL,
    ),
    (
        "a gateway behind nginx",
        topologies.behind_nginx,
        behind_nginx.ALL + [strangers.no_log_of_a_gateway_holds_a_credential],
    ),
    ("our example homeserver and a Synapse", example_homeserver.topology, example_homeserver.ALL),
]


# Longest run, in seconds. Each wait has a limit of its own; together they would be hours.
LIMIT = 900.0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--comity", type=pathlib.Path, required=True, help="the program to test")
    arguments.add_argument("--folder", type=pathlib.Path, required=True, help="emptied first, kept afterwards")
    arguments.add_argument("words", nargs="*", help="what to run; everything without any")
    options = arguments.parse_args()
    # As on Ctrl-C: everything that was started ends with the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interop: ended by SIGTERM"))
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    folder = options.folder.resolve()
    lab = topologies.Lab(folder, options.comity.resolve())

    report = Report(folder)
    for title, topology, scenarios in PARTS:
        chosen = [scenario for scenario in scenarios if wanted(options.words, title, scenario)]
        if chosen:
            report.part(title)
            run_part(report, lab, topology, chosen)
    return report.end()


def wanted(words, title, scenario):
    return not words or any(word in title or word in scenario.sentence for word in words)


def run_part(report, lab, topology, scenarios):
    start = time.monotonic()
    Program.started.clear()
    try:
        with topology(lab) as pair:
            report.passed("the servers start", time.monotonic() - start)
            for scenario in scenarios:
                pair.notes = None
                try:
                    if time.monotonic() - report.start > LIMIT:
                        raise TimeoutError(f"not run: {LIMIT:g} s have passed")
                    report.passed(scenario.sentence, pair.play(scenario), pair.notes)
                except Exception as error:
                    report.failed(scenario.sentence, error)
                    if not all(program.alive() for program in Program.running):
                        raise
    except Exception as error:
        report.failed("the part runs to its end", error)


class Report:
    """What a person reads: a line for each scenario, and for a failure the error and the ends of the logs."""

    def __init__(self, folder):
        self.folder = folder
        self.start = time.monotonic()
        self.count = 0
        self.failures = []
        self.title = ""
        self.shown = None

    def part(self, title):
        self.title = title
        print(f"\n{title}", flush=True)

    def passed(self, sentence, seconds, notes=None):
        self.count += 1
        print(f"  ok      {seconds:5.2f} s  {sentence}", flush=True)
        if notes:
            print(textwrap.indent(textwrap.fill(notes, 120), " " * 19), flush=True)

    def failed(self, sentence, error):
        self.count += 1
        self.failures.append(f"{self.title}: {sentence}")
        print(f"  FAILED           {sentence}", flush=True)
        print(indented("".join(traceback.format_exception(error))), flush=True)
        if self.shown == self.title:
            return
        # Once for a part: what comes after a first failure is often the same.
        self.shown = self.title
        for program in latest(Program.started):
            state = "" if program.alive() else f" (it has ended with {program.child.returncode})"
            print(f"    the end of the log of {program.name}{state}, {program.log}:", flush=True)
            print(indented(program.tail()), flush=True)

    def end(self):
        took = time.monotonic() - self.start
        if not self.failures:
            print(f"\ninterop: all {self.count} passed in {took:.0f} s")
            return 0
        failures = "\n  ".join(self.failures)
        print(f"\ninterop: {len(self.failures)} of {self.count} FAILED in {took:.0f} s; the logs are in {self.folder}\n  {failures}")
        return 1


def latest(programs):
    """Of programs with one log, the one that wrote last."""
    return {program.log: program for program in programs}.values()


def indented(text):
    return "\n".join(f"      {line[:400]}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
