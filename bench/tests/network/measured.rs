//! Figures, by hand: `cargo test --release -p comity-bench --test network -- --ignored --nocapture --test-threads 1`.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use comity_bench::{
    model::NETWORKS,
    network::{Emulated, self_test},
};

#[test]
#[ignore = "takes half a minute and wants an idle machine"]
fn self_tests() {
    for network in &NETWORKS {
        let began = Instant::now();
        let check = self_test(network, 1);
        println!("{} {:?}, {:?}", check.network, check.emulation, check.note);
        for found in check.measured {
            println!("  {found:?}");
        }
        println!("  took {:?}", began.elapsed());
    }
}

/// What a connection reaches for ten seconds, and what that costs the pumps.
#[test]
#[ignore = "takes a minute and wants an idle machine"]
fn connections() {
    for network in &NETWORKS {
        let opened = Emulated::open(network, 1).unwrap();
        let address = opened.server_address();
        let listener = opened
            .server()
            .within(|| TcpListener::bind((address, 0)).unwrap())
            .unwrap();
        let address = listener.local_addr().unwrap();
        let mut near = opened
            .client()
            .within(|| TcpStream::connect(address).unwrap())
            .unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let (cpu, wire, began) = (opened.pump_cpu(), opened.counters(), Instant::now());
        let sender = thread::spawn(move || {
            let content = vec![7; 65_536];
            while began.elapsed() < Duration::from_secs(10) && near.write_all(&content).is_ok() {}
        });
        let mut bytes = 0;
        let mut marks = Vec::new();
        let mut content = vec![0; 65_536];
        loop {
            let read = far.read(&mut content).unwrap();
            if read == 0 {
                break;
            }
            bytes += read;
            if began.elapsed() > Duration::from_secs(marks.len() as u64 + 1) {
                marks.push(bytes / 1_000_000);
            }
        }
        sender.join().unwrap();
        let took = began.elapsed().as_secs_f64();
        let cpu = (opened.pump_cpu() - cpu).as_secs_f64();
        let now = opened.counters();
        let packets = now.packets_sent.unwrap() + now.packets_received.unwrap()
            - wire.packets_sent.unwrap()
            - wire.packets_received.unwrap();
        println!(
            "{}: {:.1} Mbit/s in {took:.1} s, MB after each second {marks:?}; {packets} packets, pumps {:.0} % of a core, {:.1} µs a packet; {:?}",
            network.name,
            bytes as f64 * 8e-6 / took,
            100.0 * cpu / took,
            cpu * 1e6 / packets as f64,
            opened.drops(),
        );
    }
}

/// Small requests and answers, one after another: what the pumps cost where little is carried.
#[test]
#[ignore = "takes ten seconds and wants an idle machine"]
fn requests() {
    for network in &NETWORKS[..2] {
        let opened = Emulated::open(network, 1).unwrap();
        let address = opened.server_address();
        let listener = opened
            .server()
            .within(|| TcpListener::bind((address, 0)).unwrap())
            .unwrap();
        let address = listener.local_addr().unwrap();
        let mut near = opened
            .client()
            .within(|| TcpStream::connect(address).unwrap())
            .unwrap();
        near.set_nodelay(true).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.set_nodelay(true).unwrap();
        thread::spawn(move || {
            let mut content = [0; 500];
            while far.read_exact(&mut content).is_ok() && far.write_all(&content).is_ok() {}
        });
        let (cpu, wire, began) = (opened.pump_cpu(), opened.counters(), Instant::now());
        let mut trips = Vec::new();
        let mut content = [1; 500];
        while began.elapsed() < Duration::from_secs(5) {
            let sent = Instant::now();
            near.write_all(&content).unwrap();
            near.read_exact(&mut content).unwrap();
            trips.push(sent.elapsed());
        }
        trips.sort_unstable();
        let cpu = (opened.pump_cpu() - cpu).as_secs_f64();
        let packets = opened.counters().packets_sent.unwrap() - wire.packets_sent.unwrap();
        println!(
            "{}: {} exchanges in 5 s, median {:?}, 1 % {:?}, 99 % {:?}; {packets} packets there; pumps {:.1} % of a core, {:.1} µs an exchange",
            network.name,
            trips.len(),
            trips[trips.len() / 2],
            trips[trips.len() / 100],
            trips[trips.len() * 99 / 100],
            20.0 * cpu,
            cpu * 1e6 / trips.len() as f64,
        );
    }
}

#[test]
#[ignore = "debug"]
fn look() {
    let network = NETWORKS
        .iter()
        .find(|n| Some(n.name.to_owned()) == std::env::var("NET").ok())
        .unwrap();
    let opened = Emulated::open(network, 1).unwrap();
    let address = opened.server_address();
    let listener = opened
        .server()
        .within(|| TcpListener::bind((address, 0)).unwrap())
        .unwrap();
    let address = listener.local_addr().unwrap();
    let mut near = opened
        .client()
        .within(|| TcpStream::connect(address).unwrap())
        .unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let began = Instant::now();
    let sender = thread::spawn(move || {
        let content = vec![7; 65_536];
        while began.elapsed() < Duration::from_secs(8) && near.write_all(&content).is_ok() {}
    });
    let mut last = Instant::now();
    let mut content = vec![0; 65_536];
    loop {
        if far.read(&mut content).unwrap() == 0 {
            break;
        }
        if last.elapsed() > Duration::from_millis(700) {
            last = Instant::now();
            opened
                .client()
                .command("ss")
                .args(["-timnH"])
                .status()
                .unwrap();
            opened
                .server()
                .command("ss")
                .args(["-timnH"])
                .status()
                .unwrap();
        }
    }
    sender.join().unwrap();
}
#[test]
#[ignore = "debug"]
fn lan() {
    let n = self_test(&NETWORKS[1], 1);
    println!("{:?}", n.measured[0]);
}
