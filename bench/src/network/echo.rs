//! Datagrams between the two sides: how long they take.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::net::sockopt;

use super::{Namespace, NetworkError, emulated::SHORT};

/// What a socket holds until it is read: a test that does not get the processor for a while is not to lose packets that the network let through.
const RECEIVE_BUFFER: usize = 16 * 1024 * 1024;

/// How long an echo is waited for beyond the way there and back.
const PATIENCE: Duration = Duration::from_millis(200);

/// Between two echoes that overlap.
const SPACE: Duration = Duration::from_millis(3);

/// How often a thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Connected sockets, one on each side.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) client: UdpSocket,
    pub(super) server: UdpSocket,
}

impl Ends {
    pub(super) fn open(
        client: &Namespace,
        server: &Namespace,
        server_address: impl Into<IpAddr>,
    ) -> Result<Self, NetworkError> {
        let bind = |address: IpAddr| {
            let socket = UdpSocket::bind((address, 0))?;
            sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER)?;
            Ok(socket)
        };
        let connect = move || -> io::Result<Self> {
            let open = |side: &Namespace, address| {
                side.within(|| bind(address))
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            };
            let server = open(server, server_address.into())?;
            let client = open(client, Ipv4Addr::UNSPECIFIED.into())?;
            client.connect(server.local_addr()?)?;
            server.connect(client.local_addr()?)?;
            Ok(Self { client, server })
        };
        connect().map_err(NetworkError::socket)
    }
}

/// A client's socket, and a server that sends back what it gets.
#[derive(Debug)]
pub(super) struct Echo {
    client: UdpSocket,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Echo {
    pub(super) fn open(
        client: &Namespace,
        server: &Namespace,
        server_address: impl Into<IpAddr>,
    ) -> Result<Self, NetworkError> {
        let Ends { client, server } = Ends::open(client, server, server_address)?;
        let stop = Arc::new(AtomicBool::new(false));
        server
            .set_read_timeout(Some(LOOK))
            .map_err(NetworkError::socket)?;
        let stopped = stop.clone();
        let server = thread::Builder::new()
            .name("comity-net-echo".to_owned())
            .spawn(move || {
                let mut content = [0; 8];
                while !stopped.load(Relaxed) {
                    if let Ok(bytes) = server.recv(&mut content) {
                        // Lost at worst, which the client bears.
                        let _ = server.send(&content[..bytes]);
                    }
                }
            })
            .map_err(NetworkError::socket)?;
        Ok(Self {
            client,
            stop,
            server: Some(server),
        })
    }

    /// How long a datagram's way takes, where about `expected` is: half of the median round trip of `count`. They follow one another, and overlap
    /// where the way is long, so that it takes a second or so. Lost ones do not count.
    ///
    /// # Errors
    /// A socket fails, or less than half of them came back.
    pub(super) fn way(&self, count: u32, expected: Duration) -> Result<Duration, NetworkError> {
        let round_trip = expected * 2;
        let trips = if expected < SHORT {
            self.one_by_one(count, round_trip)
        } else {
            self.overlapping(count, round_trip)
        };
        let mut trips = trips.map_err(NetworkError::socket)?;
        if trips.len() * 2 < count as usize {
            return Err(NetworkError::socket(io::Error::new(
                ErrorKind::TimedOut,
                format!("{} of {count} echoes came back", trips.len()),
            )));
        }
        trips.sort_unstable();
        Ok(trips[trips.len() / 2] / 2)
    }

    fn one_by_one(&self, count: u32, round_trip: Duration) -> io::Result<Vec<Duration>> {
        let clock = Instant::now();
        self.client.set_read_timeout(Some(round_trip + PATIENCE))?;
        let mut trips = Vec::new();
        for _ in 0..count {
            let sent = self.send(clock)?;
            // One that was given up earlier may come late.
            while let Some((came, trip)) = self.receive(clock)? {
                if came == sent {
                    trips.push(trip);
                    break;
                }
            }
        }
        Ok(trips)
    }

    fn overlapping(&self, count: u32, round_trip: Duration) -> io::Result<Vec<Duration>> {
        let clock = Instant::now();
        self.client.set_read_timeout(Some(LOOK))?;
        let mut trips = Vec::new();
        thread::scope(|scope| {
            let sender = scope.spawn(|| -> io::Result<()> {
                for _ in 0..count {
                    self.send(clock)?;
                    thread::sleep(SPACE);
                }
                Ok(())
            });
            let mut all_sent = None;
            while trips.len() < count as usize
                && all_sent.is_none_or(|at: Instant| at.elapsed() < round_trip + PATIENCE)
            {
                trips.extend(self.receive(clock)?.map(|(_, trip)| trip));
                if all_sent.is_none() && sender.is_finished() {
                    all_sent = Some(Instant::now());
                }
            }
            sender.join().expect("the sender does not panic")
        })?;
        Ok(trips)
    }

    /// Sends the time on `clock`, in nanoseconds, which it gives.
    fn send(&self, clock: Instant) -> io::Result<u64> {
        let now = nanos(clock);
        self.client.send(&now.to_ne_bytes())?;
        Ok(now)
    }

    /// What the next echo holds, and its round trip; none if none came in time.
    fn receive(&self, clock: Instant) -> io::Result<Option<(u64, Duration)>> {
        let mut content = [0; 8];
        match self.client.recv(&mut content) {
            Ok(_) => {
                let sent = u64::from_ne_bytes(content);
                let trip = Duration::from_nanos(nanos(clock).saturating_sub(sent));
                Ok(Some((sent, trip)))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

fn nanos(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).expect("it runs for less than 500 years")
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}
