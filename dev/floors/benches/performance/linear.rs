//! Cost grows with what there is to do: for each kind of work three sizes, and how well a straight line goes through them.

use std::{fmt::Write, io::Write as _, time::Duration};

use bytes::Bytes;
use comity_floors::{
    bodies::{PDU, transaction},
    joining::{arrivals, client},
};
use tokio::runtime::Runtime;

use crate::{
    process::{Role, process_cpu},
    report::{Need, Report},
    rounds::Spread,
    transactions::start,
};

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    let transactions = transactions(runtime);
    let [reading, writing] = joins();
    let mut section = String::from(
        "## Linear cost\n\nCPU time, medians of alternating rounds. The line is the least-squares line through the three; R² says how much of the difference \
         between them it explains.\n\n| work | size | CPU | for each | line: fixed + for each | R² |\n| --- | --: | --: | --: | --: | --: |\n",
    );
    for work in [transactions, reading, writing] {
        let line = Line::through(&work.points);
        report.row(
            format!("linear: {}: R²", work.what),
            "",
            Spread::one(line.r_squared),
            Need::AtLeast(0.99),
            format!(
                "R² = {:.5}: {:.1?} + {:.2?} for each {}; the fixed part: {}",
                line.r_squared,
                line.fixed(),
                line.each(),
                work.unit,
                work.fixed_part,
            ),
        );
        for &(size, cost) in &work.points {
            let each = Duration::from_secs_f64(cost / size);
            let cost = Duration::from_secs_f64(cost);
            let _ = writeln!(
                section,
                "| {} | {size} | {cost:.1?} | {each:.2?} | {:.1?} + {:.2?} | {:.5} |",
                work.what,
                line.fixed(),
                line.each(),
                line.r_squared,
            );
        }
    }
    report.section(section);
}

/// One kind of work in several sizes.
struct Work {
    what: &'static str,
    unit: &'static str,
    /// What it takes whatever the size is.
    fixed_part: &'static str,
    /// Size, and CPU time in seconds.
    points: Vec<(f64, f64)>,
}

fn transactions(runtime: &Runtime) -> Work {
    const ROUNDS: usize = 15;
    let mut servers: Vec<_> = [1, 10, 50]
        .into_iter()
        .map(|pdus| {
            let body = Bytes::from(transaction(pdus, 87 + pdus * PDU));
            let server = start(runtime, "ours", pdus, true, &body);
            (pdus, server, Vec::new())
        })
        .collect();
    // The first round warms up.
    for round in 0..=ROUNDS {
        for (pdus, server, costs) in &mut servers {
            let cost = server.cost(4_800 / (*pdus + 8)).as_secs_f64();
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let median = |costs: Vec<f64>| Spread::of(costs).median;
    Work {
        what: "a verified transaction over HTTP/1.1 with TLS, the server",
        unit: "PDU",
        fixed_part: "bytes in and out, the curve, head and layers",
        points: servers
            .into_iter()
            .map(|(pdus, _, costs)| (pdus as f64, median(costs)))
            .collect(),
    }
}

/// What the reading and the writing side take. One connection for all sizes; the server makes each event when its turn comes.
fn joins() -> [Work; 2] {
    const ROUNDS: usize = 3;
    let mut server = Role::start(&["ours", "tls"]);
    let port = server.line();
    let mut reader = Role::start(&["join-linear", &port]);
    let sizes = [1_000_u64, 20_000, 200_000];
    let mut reading: Vec<Vec<f64>> = vec![Vec::new(); sizes.len()];
    let mut writing = reading.clone();
    for round in 0..=ROUNDS {
        for (at, state) in sizes.into_iter().enumerate() {
            // The largest needs no warming up, and takes seconds.
            if round == 0 && state == sizes[2] {
                continue;
            }
            // A small one is repeated: its CPU time is near what the clock of the process resolves.
            let times = if state == sizes[0] { 10 } else { 1 };
            let begun = server.cpu();
            let mut read = 0.0;
            for _ in 0..times {
                read += Duration::from_nanos(reader.ask(&state.to_string())).as_secs_f64();
                assert_eq!(reader.number(), state + state / 10, "every event arrives");
            }
            let written = (server.cpu() - begun).as_secs_f64();
            if round > 0 {
                reading[at].push(read / f64::from(times));
                writing[at].push(written / f64::from(times));
            }
        }
    }
    let points = |costs: Vec<Vec<f64>>| {
        let events = sizes.map(|state| (state + state / 10) as f64);
        let medians = costs.into_iter().map(|costs| Spread::of(costs).median);
        events.into_iter().zip(medians).collect()
    };
    [
        Work {
            what: "`send_join` read as a stream, the client",
            unit: "event",
            fixed_part: "signing and sending the request, the reply's head and end",
            points: points(reading),
        },
        Work {
            what: "`send_join` written as a stream, the server, which also makes each event",
            unit: "event",
            fixed_part: "reading and verifying the request, the reply's head and end",
            points: points(writing),
        },
    ]
}

/// The client's role: reads a join of as many state events as each line of its input says, and prints its CPU time in nanoseconds and how many events arrived.
pub(crate) async fn read(port: u16) {
    let client = client(port);
    for line in std::io::stdin().lines() {
        let Ok(Ok(state)) = line.map(|line| line.parse()) else {
            return;
        };
        let begun = process_cpu();
        let arrived = arrivals(&client, state).await;
        println!("{}\n{arrived}", (process_cpu() - begun).as_nanos());
        let _ = std::io::stdout().flush();
    }
}

/// `y = fixed + each · x`, in seconds.
#[derive(Debug, Clone, Copy)]
struct Line {
    fixed: f64,
    each: f64,
    r_squared: f64,
}

impl Line {
    /// The line of least squares.
    fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let sum =
            |of: &dyn Fn(f64, f64) -> f64| -> f64 { points.iter().map(|&(x, y)| of(x, y)).sum() };
        let each = sum(&|x, y| (x - mean_x) * (y - mean_y)) / sum(&|x, _| (x - mean_x).powi(2));
        let fixed = mean_y - each * mean_x;
        let left = sum(&|x, y| (y - fixed - each * x).powi(2));
        let all = sum(&|_, y| (y - mean_y).powi(2));
        Self {
            fixed,
            each,
            r_squared: 1.0 - left / all,
        }
    }

    /// A line through noise can begin below zero; no time is less than none.
    fn fixed(&self) -> Duration {
        Duration::from_secs_f64(self.fixed.max(0.0))
    }

    fn each(&self) -> Duration {
        Duration::from_secs_f64(self.each.max(0.0))
    }
}
