//! A gateway that has seen much: what the pages show in these tests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use comity_core::Operations;
use comity_gateway::admin::{
    Admin, BackoffRow, BindingRow, Check, DestinationRow, Direction, EndedCall, Latency, Metrics,
    Status, StatusSource,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

/// A name that tries to be more than a name.
pub const HOSTILE: &str = "<script>document.title='broken in'</script><img src=/x onerror=\"document.title='broken in'\">\u{202e}moc.elpmaxe";

/// What a test sets, and what it sees of the pages' questions.
#[derive(Debug, Default)]
pub struct Fixture {
    pub destinations: Vec<DestinationRow>,
    pub draining: bool,
    pub fault: Option<String>,
    /// The checks do not answer.
    pub silent: bool,
    pub times_checked: AtomicU64,
    pub times_shown: AtomicU64,
}

#[async_trait]
impl StatusSource for Fixture {
    fn status(&self) -> Status {
        let shown = self.times_shown.fetch_add(1, Ordering::SeqCst);
        let mut destinations = self.destinations.clone();
        // The first is called all the time.
        if let Some(binding) = destinations
            .first_mut()
            .and_then(|row| row.bindings.first_mut())
        {
            binding.calls += shown;
        }
        Status {
            server_name: "hs1.example".to_owned(),
            uptime: Duration::from_secs(3 * 86_400 + 4 * 3_600),
            draining: self.draining,
            destinations,
        }
    }

    async fn checks(&self) -> Vec<Check> {
        self.times_checked.fetch_add(1, Ordering::SeqCst);
        if self.silent {
            std::future::pending::<()>().await;
        }
        vec![
            Check::passed("listeners"),
            match &self.fault {
                None => Check::passed("homeserver"),
                Some(fault) => Check::failed("homeserver", fault),
            },
        ]
    }
}

fn binding(name: &str, calls: u64, errors: u64, median_micros: u64) -> BindingRow {
    BindingRow {
        binding: name.to_owned(),
        calls,
        errors,
        latency: (calls > 0).then(|| Latency {
            median: Duration::from_micros(median_micros),
            p95: Duration::from_micros(median_micros * 9),
        }),
        ..BindingRow::default()
    }
}

/// A name that begins with `aaa` and a hostile one among ordinary ones.
pub fn destinations() -> Vec<DestinationRow> {
    let row = |server_name: &str, in_use: &str, why: &str, bindings| DestinationRow {
        server_name: server_name.to_owned(),
        in_use: in_use.to_owned(),
        why: why.to_owned(),
        bindings,
    };
    let mut broken = binding("grpc/1", 1_204, 17, 2_300);
    broken.fallbacks = vec![("connect".to_owned(), 9), ("tls".to_owned(), 3)];
    broken.backoff = Some(BackoffRow {
        remaining: Duration::from_secs(222),
        reason: "TLS failed: the certificate is for other.example".to_owned(),
    });
    vec![
        row(
            "aaa.example",
            "grpc/1",
            "its signed key document offers it",
            vec![
                binding("grpc/1", 48_120, 12, 1_420),
                binding("http/1", 3, 0, 48_000),
            ],
        ),
        row(
            "matrix.broken.example:8448",
            "http/1",
            "grpc/1 is backed off",
            vec![broken, binding("http/1", 812, 2, 61_000)],
        ),
        row(
            "plain.example",
            "http/1",
            "it offers no other binding",
            vec![binding("http/1", 9_481, 31, 73_000)],
        ),
        row(
            "[2001:db8::17]:8448",
            "grpc/1",
            "the operator requires it",
            vec![binding("grpc/1", 77, 0, 900)],
        ),
        row(
            HOSTILE,
            "http/1",
            "the one that answered",
            vec![binding("http/1", 1, 1, 1_000)],
        ),
        row(
            &format!("a-very-long-name-{}.example", "of-many-words-".repeat(9)),
            "",
            "",
            vec![],
        ),
    ]
}

/// Counters that have counted something of each kind.
pub fn metrics() -> Metrics {
    let metrics = Metrics::new(&Operations::federation(), ["http/1", "grpc/1"], vec![]);
    for (direction, outcome) in [
        (Direction::Outbound, "ok"),
        (Direction::Inbound, "ok"),
        (Direction::Inbound, "not_found"),
    ] {
        metrics.call(&EndedCall {
            direction,
            operation: "GetEvent",
            binding: "grpc/1",
            outcome,
            to_head: Duration::from_millis(4),
            request_bytes: 0,
            reply_bytes: 0,
        });
    }
    metrics.fallback("SendTransaction", "grpc/1", "connect");
    metrics.unverified("GetEvent", "http/1", "key_unavailable");
    metrics
}

/// The pages on a port of loopback, until this is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub fixture: Arc<Fixture>,
    stop: Arc<Notify>,
}

impl Running {
    pub async fn start(fixture: Fixture) -> Self {
        Self::start_with(fixture, metrics()).await
    }

    pub async fn start_with(fixture: Fixture, metrics: Metrics) -> Self {
        let (fixture, stop) = (Arc::new(fixture), Arc::new(Notify::new()));
        let source = Arc::clone(&fixture) as Arc<dyn StatusSource>;
        let admin = Admin::bind("127.0.0.1:0", source, metrics).await.unwrap();
        let address = admin.local_addr();
        let stopped = Arc::clone(&stop);
        tokio::spawn(admin.serve(async move { stopped.notified().await }));
        Self {
            address,
            fixture,
            stop,
        }
    }

    /// Sends these lines and gives the whole answer, head and body.
    pub async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A GET by the port's address.
    pub async fn get(&self, path: &str) -> String {
        let host = self.address;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.ask(&request).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
