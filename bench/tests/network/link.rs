//! What passes between two namespaces.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use comity_bench::network::{Emulated, Loopback, self_test};

use super::{PATIENCE, network, open};

/// Connected sockets, the client's and the server's.
fn sockets(opened: &Emulated) -> (UdpSocket, UdpSocket) {
    let bind = |address| UdpSocket::bind((address, 0)).unwrap();
    let (near, far) = (opened.client_address(), opened.server_address());
    let client = opened.client().within(|| bind(near)).unwrap();
    let server = opened.server().within(|| bind(far)).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    for socket in [&client, &server] {
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
    }
    (client, server)
}

/// What arrives, until the link has nothing more of what was sent.
fn all_that_arrives(opened: &Emulated, sent: u64, socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut arrived = Vec::new();
    let began = Instant::now();
    let mut content = [0; 2_048];
    loop {
        match socket.recv(&mut content) {
            Ok(bytes) => arrived.push(content[..bytes].to_vec()),
            Err(_) => assert!(began.elapsed() < PATIENCE, "{:?}", opened.drops()),
        }
        let drops = opened.drops();
        assert_eq!(drops.overrun, 0);
        if arrived.len() as u64 + drops.lost_sent + drops.refused_sent == sent {
            return arrived;
        }
    }
}

#[test]
fn datagrams_arrive_whole_in_order_and_counted() {
    let Some(opened) = open(&network(0.005, 0.0, None), 1) else {
        return;
    };
    let (client, server) = sockets(&opened);
    let mut sent = Vec::new();
    let mut arrived = Vec::new();
    // A socket holds a hundred of them, whoever has the processor.
    for lot in 0..10 {
        for number in lot * 50..(lot + 1) * 50_usize {
            let mut content = vec![number as u8; 1 + number * 37 % 1_472];
            content[0] = (number >> 8) as u8;
            client.send(&content).unwrap();
            sent.push(content);
        }
        arrived.extend(all_that_arrives(&opened, 50, &server));
    }
    assert_eq!(arrived, sent);
    let counted = opened.counters();
    let bytes: usize = sent.iter().map(|content| content.len() + 28).sum();
    assert_eq!(
        (counted.sent, counted.packets_sent),
        (bytes as u64, Some(500))
    );
    assert_eq!((counted.received, counted.packets_received), (0, Some(0)));
}

#[test]
fn the_same_seed_loses_the_same_datagrams() {
    let lossy = network(0.001, 0.2, None);
    let lost = |seed| {
        let opened = open(&lossy, seed)?;
        let (client, server) = sockets(&opened);
        for number in 0..100_u8 {
            client.send(&[number]).unwrap();
        }
        let arrived = all_that_arrives(&opened, 100, &server);
        assert_eq!(opened.drops().lost_sent, 100 - arrived.len() as u64);
        assert_eq!(opened.counters().packets_sent, Some(100));
        Some(arrived)
    };
    let Some(first) = lost(7) else { return };
    assert!((50..100).contains(&first.len()), "{}", first.len());
    assert_eq!(lost(7).unwrap(), first);
    assert_ne!(lost(8).unwrap(), first);
}

#[test]
fn a_full_queue_refuses_the_newest() {
    // 57 ms for a packet, and room for 33: no machine is so slow that the queue empties meanwhile.
    let Some(opened) = open(&network(0.01, 0.0, Some(200e3)), 1) else {
        return;
    };
    let (client, server) = sockets(&opened);
    let began = Instant::now();
    for number in 0..100 {
        client.send(&[number; 1_400]).unwrap();
    }
    let arrived = all_that_arrives(&opened, 100, &server);
    let refused = opened.drops().refused_sent;
    assert!(refused > 0);
    assert_eq!(arrived.len() as u64 + refused, 100);
    let numbers: Vec<u8> = arrived.iter().map(|content| content[0]).collect();
    assert_eq!(numbers[..33], (0..33).collect::<Vec<u8>>());
    assert!(numbers.is_sorted());
    // The rate is kept: as many packets take as long as that, and the delay.
    let least = arrived.len() as f64 * 1_428.0 * 8.0 / 200e3 + 0.01;
    assert!(began.elapsed().as_secs_f64() >= least);
}

#[test]
fn nothing_arrives_before_the_delay() {
    let Some(opened) = open(&network(0.02, 0.0, None), 1) else {
        return;
    };
    let (client, server) = sockets(&opened);
    for _ in 0..5 {
        let began = Instant::now();
        client.send(b"ping").unwrap();
        assert_eq!(all_that_arrives(&opened, 1, &server), [b"ping"]);
        assert!(began.elapsed() >= Duration::from_millis(20));
    }
}

#[test]
fn tcp_delivers_every_byte_over_a_lossy_link() {
    let Some(opened) = open(&network(0.002, 0.05, None), 3) else {
        return;
    };
    let address = (opened.server_address(), 0);
    let listener = opened
        .server()
        .within(|| TcpListener::bind(address).unwrap())
        .unwrap();
    let address = listener.local_addr().unwrap();
    let content: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number / 7) as u8)
        .collect();
    let back = thread::spawn(move || {
        let (mut far, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        far.write_all(&all).unwrap();
    });
    let mut near = opened
        .client()
        .within(|| TcpStream::connect(address).unwrap())
        .unwrap();
    near.write_all(&content).unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    near.read_to_end(&mut all).unwrap();
    back.join().unwrap();
    assert!(all == content);
    let (drops, counted) = (opened.drops(), opened.counters());
    assert!(drops.lost_sent > 0 && drops.lost_received > 0, "{drops:?}");
    assert!(counted.sent > 1_000_000 && counted.received > 1_000_000);
}

#[test]
fn connections_use_cubic_and_a_buffer_that_does_not_limit_them() {
    let Some(opened) = open(&network(0.001, 0.0, None), 1) else {
        return;
    };
    let address = (opened.server_address(), 0);
    let listener = opened
        .server()
        .within(|| TcpListener::bind(address).unwrap())
        .unwrap();
    let address = listener.local_addr().unwrap();
    let near = opened
        .client()
        .within(|| TcpStream::connect(address).unwrap())
        .unwrap();
    let (far, _) = listener.accept().unwrap();
    for socket in [&near, &far] {
        use rustix::net::sockopt;
        assert_eq!(sockopt::tcp_congestion(socket).unwrap(), "cubic");
        assert!(sockopt::socket_recv_buffer_size(socket).unwrap() >= 6 * 1024 * 1024);
    }
}

#[test]
fn a_process_sees_only_its_side() {
    let Some(opened) = open(&network(0.0, 0.0, None), 1) else {
        return;
    };
    for side in [opened.client(), opened.server()] {
        let output = side.command("cat").arg("/proc/net/dev").output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        let devices: Vec<&str> = table
            .lines()
            .filter_map(|line| Some(line.split_once(':')?.0.trim()))
            .filter(|device| !["sit0", "tunl0", "ip6tnl0"].contains(device))
            .collect();
        assert_eq!(devices, ["lo", "comity0"], "{table}");
    }
}

#[test]
fn a_loopback_counts_what_passes_and_nothing_else() {
    let opened = match Loopback::open() {
        Ok(opened) => opened,
        Err(error) => return println!("skipped: {error}"),
    };
    let bind = || UdpSocket::bind((opened.server_address(), 0)).unwrap();
    let client = opened.client().within(bind).unwrap();
    let server = opened.server().within(bind).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    assert_eq!(opened.counters().unwrap().sent, 0);
    for _ in 0..10 {
        client.send(&[1; 100]).unwrap();
        server.recv(&mut [0; 200]).unwrap();
    }
    let counted = opened.counters().unwrap();
    assert_eq!((counted.sent, counted.packets_sent), (1_280, Some(10)));
}

/// Times are not judged here, as others use the machine; [`measured`](super::measured) does that by hand.
#[test]
fn a_self_test_measures_and_its_losses_come_from_the_seed() {
    let limited = network(0.01, 0.1, Some(4e6));
    let check = || {
        let check = self_test(&limited, 1);
        println!("{check:?}");
        check.measured
    };
    let first = check();
    if first.len() < 3 {
        return println!("skipped");
    }
    let [delay, loss, rate] = &first[..] else {
        panic!("{first:?}")
    };
    assert_eq!(
        [&*delay.name, &*loss.name, &*rate.name],
        ["delay", "loss", "rate"]
    );
    assert!(delay.measured >= 0.01);
    assert!(loss.passed);
    assert!(rate.measured > 0.0);
    assert_eq!(check()[1].measured, loss.measured);
}
