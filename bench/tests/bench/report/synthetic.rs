//! Results that nobody measured: drawn from a seed, of a plausible size, to test the report with. They are never published.

use comity_bench::model::{
    Cell, Conformance, Drops, Emulation, Flow, Handshake, Machine, NETWORKS, Network, NetworkCheck,
    Outcome, Process, Property, Resent, Results, Sample, Scenario, Skipped, Wire,
};

pub const SCENARIOS: [Scenario; 10] = [
    Scenario::SmallQuery,
    Scenario::Transaction,
    Scenario::Steady,
    Scenario::Burst,
    Scenario::Join1k,
    Scenario::Join20k,
    Scenario::Join200k,
    Scenario::Backfill,
    Scenario::Media,
    Scenario::ColdStart,
];

/// Name, CPU of a call in µs, share of bytes, whether it is a peer.
const TRANSPORTS: [(&str, f64, f64, bool); 9] = [
    ("HTTPS/1.1", 160.0, 1.05, false),
    ("HTTP/2", 172.0, 1.03, false),
    ("gRPC", 190.0, 1.04, false),
    ("gRPC, session", 45.0, 1.02, false),
    ("memory", 18.0, 0.0, false),
    ("ruma", 380.0, 1.06, true),
    ("tonic", 40.0, 1.03, true),
    ("hyper", 21.0, 1.02, true),
    ("h2", 19.0, 1.01, true),
];

/// Numbers from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn about(&mut self, value: f64, share: f64) -> f64 {
        value * (1.0 + share * (self.next() * 2.0 - 1.0))
    }
}

/// Everything that there is to be compared, with `seeds` repetitions.
pub fn results(seeds: u64) -> Results {
    let mut draw = Draw(7);
    let mut samples = Vec::new();
    let mut skipped = Vec::new();
    for network in NETWORKS {
        for flow in [Flow::OneInFlight, Flow::Concurrent] {
            for scenario in SCENARIOS {
                for (name, cpu, share, peer) in TRANSPORTS {
                    let cell = Cell {
                        transport: name.to_owned(),
                        flow,
                        scenario,
                        network: network.name.to_owned(),
                    };
                    let refuses = matches!(scenario, Scenario::Media | Scenario::ColdStart);
                    if peer && refuses {
                        let why = "this peer does no media and no cold start".to_owned();
                        skipped.push(Skipped { cell, why });
                        continue;
                    }
                    for seed in 1..=seeds {
                        let sample = sample(&cell, &network, (cpu, share), seed, &mut draw);
                        samples.push(sample);
                    }
                }
            }
        }
    }
    let conformance = TRANSPORTS.map(|(name, _, _, peer)| Conformance {
        transport: name.to_owned(),
        exempt: peer.then(|| "a peer, no binding".to_owned()),
        passed: if peer { 0 } else { 412 },
        unsupported: u64::from(name == "memory") * 9,
        failed: Vec::new(),
        failures: 0,
        proven: Default::default(),
    });
    Results {
        command: "comity bench --seeds 5".to_owned(),
        began: 1_795_363_500,
        seconds: 5_421.0,
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        machine: Machine {
            processor: "A processor that nobody has".to_owned(),
            cores: 2,
            memory: 8 << 30,
            kernel: "Linux 6.1.0".to_owned(),
            compiler: "rustc 1.95.0".to_owned(),
            load: (0.12, 1.31),
        },
        quick: false,
        unfinished: None,
        seeds: (1..=seeds).collect(),
        conformance: conformance.into(),
        networks: NETWORKS
            .iter()
            .map(|network| check(network, &mut draw))
            .collect(),
        samples,
        skipped,
        failed: Vec::new(),
    }
}

fn check(network: &Network, draw: &mut Draw) -> NetworkCheck {
    let mut property = |name: &str, wanted: f64| Property {
        name: name.to_owned(),
        wanted,
        measured: draw.about(wanted, 0.03),
        tolerance: 0.05,
        passed: true,
    };
    let mut measured = Vec::new();
    if network.delay > 0.0 {
        measured.push(property("delay", network.delay));
    }
    if network.loss > 0.0 {
        measured.push(property("loss", network.loss));
    }
    if let Some(rate) = network.rate {
        measured.push(property("rate", rate));
    }
    NetworkCheck {
        network: network.name.to_owned(),
        emulation: match network.delay {
            0.0 => Emulation::None,
            _ => Emulation::Tun,
        },
        measured,
        note: None,
    }
}

fn sample(cell: &Cell, network: &Network, of: (f64, f64), seed: u64, draw: &mut Draw) -> Sample {
    let (cpu, share) = of;
    let (events, content) = match cell.scenario {
        Scenario::SmallQuery | Scenario::ColdStart => (0.0, 94.0),
        Scenario::Transaction => (50.0, 74_000.0),
        Scenario::Steady => (10.0, 14_800.0),
        Scenario::Burst => (1.0, 1_480.0),
        Scenario::Join1k => (1_000.0, 1_175_000.0),
        Scenario::Join20k => (20_000.0, 23_500_000.0),
        Scenario::Join200k => (200_000.0, 235_000_000.0),
        Scenario::Backfill => (100.0, 106_000.0),
        Scenario::Media => (0.0, 10_000_000.0),
    };
    let together = cell.transport == "memory";
    let concurrent = cell.flow == Flow::Concurrent;
    let work = cpu * (0.3 + content / 74_000.0) * 1e-6;
    let transfer = network.rate.map_or(0.0, |rate| content * 8.0 / rate);
    let lost = network.loss * 40.0 * network.delay;
    let queue = if concurrent { 3.0 } else { 1.0 };
    let middle = 2.0 * network.delay + work * queue + transfer + lost * draw.next();
    let middle = draw.about(middle, 0.05) * 1e6;
    let in_flight = if concurrent { 16.0 } else { 1.0 };
    let seconds = 10.0;
    let calls = (seconds * in_flight / (middle / 1e6)).clamp(1.0, 200_000.0) as u64;
    let mut latencies = Vec::new();
    for (times, of) in [
        (0.8, 0.2),
        (0.95, 0.25),
        (1.1, 0.3),
        (1.4, 0.14),
        (1.9, 0.08),
        (3.5 + 60.0 * network.loss, 0.03),
    ] {
        let count = (calls as f64 * of).ceil() as u64;
        latencies.push(((draw.about(middle * times, 0.02)) as u64, count));
    }
    let idle = draw.about(18e6, 0.05) as u64;
    let held = draw.about(
        if cell.transport == "ruma" {
            content * 2.0
        } else {
            900_000.0
        },
        0.2,
    );
    let process = |share: f64, draw: &mut Draw| Process {
        cpu: draw.about(work * calls as f64 * share, 0.06),
        idle,
        peak: idle + held as u64,
        ..Process::default()
    };
    let bytes = calls as f64 * (content * share + 420.0);
    let handshakes = 2.0 * network.delay;
    Sample {
        cell: cell.clone(),
        seed,
        command: format!(
            "comity bench --transport '{}' --network {} --seed {seed}",
            cell.transport, cell.network
        ),
        outcome: Outcome {
            seconds,
            calls,
            failures: 0,
            first_failure: None,
            events: (calls as f64 * events) as u64,
            content: (calls as f64 * content) as u64,
            latencies,
            latency_of: match cell.scenario {
                Scenario::Steady => "an event, from its arrival",
                Scenario::Join1k | Scenario::Join20k | Scenario::Join200k => "the first event",
                _ => "a call",
            }
            .to_owned(),
            memory: match cell.scenario {
                Scenario::Join1k | Scenario::Join20k | Scenario::Join200k => (1..=100)
                    .map(|step| {
                        let events = events * f64::from(step) / 100.0;
                        let kept = match &cell.transport[..] {
                            "ruma" => events * 2_400.0,
                            "HTTPS/1.1" => 700_000.0,
                            _ => 500_000.0,
                        };
                        (events as u64, draw.about(kept, 0.1) as u64)
                    })
                    .collect(),
                _ => Vec::new(),
            },
            note: None,
        },
        emulation: match (together, network.delay) {
            (_, 0.0) => Emulation::None,
            (true, _) => Emulation::InProcess,
            (false, _) => Emulation::Tun,
        },
        retried: None,
        drops: (!together && network.delay > 0.0).then(|| Drops {
            lost: (bytes / 1_400.0 * network.loss) as u64,
            refused: u64::from(network.rate.is_some()) * 3,
            overrun: 0,
        }),
        resent: (!together).then(|| Resent {
            segments: Some((bytes / 1_400.0 * network.loss) as u64),
            requests: 0,
        }),
        client: process(if together { 1.0 } else { 0.45 }, draw),
        server: (!together).then(|| process(0.55, draw)),
        wire: (!together).then(|| Wire {
            sent: (bytes * 0.9) as u64,
            received: (bytes * 0.1) as u64,
            packets_sent: (network.delay > 0.0).then_some((bytes / 1_400.0) as u64),
            packets_received: (network.delay > 0.0).then_some((bytes / 2_800.0) as u64),
        }),
        handshake: (!together).then(|| Handshake {
            seconds: draw.about(handshakes * 2.0 + 0.001_2, 0.05),
            client_cpu: draw.about(0.000_6, 0.1),
            server_cpu: Some(draw.about(0.000_4, 0.1)),
            bytes: Some(draw.about(4_300.0, 0.02) as u64),
        }),
    }
}

/// A cell on loopback with a median latency for each repetition, in microseconds.
pub fn cell(results: &mut Results, transport: &str, scenario: Scenario, medians: &[u64]) {
    for (seed, median) in (1..).zip(medians) {
        let process = Process {
            cpu: *median as f64 / 1e4,
            idle: 1_000_000,
            peak: 1_000_000 + median * 1_000,
            ..Process::default()
        };
        results.samples.push(Sample {
            cell: Cell {
                transport: transport.to_owned(),
                flow: Flow::OneInFlight,
                scenario,
                network: "loopback".to_owned(),
            },
            seed,
            command: format!("comity bench --only {transport}"),
            outcome: Outcome {
                seconds: 1.0,
                calls: 100,
                events: 5_000,
                latencies: vec![(*median, 60), (*median * 3, 40)],
                latency_of: "a call".to_owned(),
                ..Outcome::default()
            },
            client: process,
            server: Some(process),
            emulation: Emulation::None,
            retried: None,
            wire: None,
            drops: None,
            resent: None,
            handshake: None,
        });
    }
}
