//! Memory of a client that reads a `send_join` reply as a stream.

use std::process::Command;

use crate::{
    process::Role,
    report::{Need, Report},
    rounds::Spread,
};

pub(crate) fn measure(report: &mut Report) {
    let mut server = Role::start(&["ours", "tls"]);
    let port = server.line();
    for state in [20_000_u64, 200_000] {
        // A process for each size, so that neither profits from what the other left behind.
        let mut program = Command::new(env!("CARGO_BIN_EXE_join"));
        program.args([&port, &state.to_string()]);
        let mut client = Role::run(program);
        let mut memory = || (client.number(), client.number());
        let (idle, peak) = (memory(), memory());
        assert_eq!(client.number(), state + state / 10, "every event arrives");
        let over = |from: u64, to: u64| to.saturating_sub(from) as f64;
        // HTTP/1.1 has no window: what the reader does not take stays with the operating systems.
        let heap = over(idle.1, peak.1) / f64::from(1 << 20);
        report.row(
            format!("`send_join` of {state} events read as a stream: peak of live heap over idle"),
            " MiB",
            Spread::one(heap),
            Need::AtMost(1.0),
            format!(
                "resident {:.2} MiB over idle ({} KiB)",
                over(idle.0, peak.0) / 1024.0,
                idle.0
            ),
        );
    }
    report.note(
        "The heap of a client that joins is looked at ten times a millisecond, by a thread beside the reader: a peak shorter than that is not seen. What is resident has no need of its own, as \
         the kernel gives memory in pages of up to 2 MiB, and one of them is more than the need.",
    );
}
