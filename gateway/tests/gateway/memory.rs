//! What a gateway holds while a large room passes and its reader is slow. Each gateway is a process of its own, so that nobody else's memory is counted: this test
//! program again, in which only [`a_gateway_alone`] runs.

use std::{
    alloc::System,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cap::Cap;
use comity_gateway::{Config, Gateway};
use comity_net::body;
use futures_util::stream;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    homeserver::Homeserver,
    setting::{Authority, HS1, HS2, Outgoing, Settings, Side, configuration_text},
};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1 << 20;

/// What a gateway may hold of a reply of its own accord.
const OWN: usize = MIB;

/// The window of one HTTP/2 stream (`comity-net`): what of a reply may have come that nobody has read.
const STREAM_WINDOW: usize = MIB;

const EVENT: usize = 1_000;

/// Names the file of a gateway's configuration to the process that it is to run in.
const CHILD: &str = "COMITY_TEST_GATEWAY";

/// What stands before each answer of that process, among what its test harness prints.
const ANSWER: &str = "gateway says ";

/// The process of one gateway. It takes orders by lines: `bound N` lets the heap grow by so many bytes and no more, `held` asks by how many it has grown since,
/// `reload` reads the configuration again.
#[test]
#[ignore = "what the other test starts as a process"]
fn a_gateway_alone() {
    let Ok(file) = std::env::var(CHILD) else {
        return;
    };
    let config = || {
        let text = std::fs::read_to_string(&file).unwrap();
        Config::read(&file, &text).unwrap()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let gateway = runtime
        .block_on(Gateway::start(config(), Vec::new(), None))
        .unwrap();
    let ports = (gateway.egress_addr().unwrap(), gateway.inbound_addr());
    println!("{ANSWER}{} {}", ports.0, ports.1.unwrap());
    let mut idle = 0;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some((_, more)) => {
                let more: usize = more.parse().unwrap();
                idle = HEAP.allocated();
                // An allocation beyond it fails, which ends the process.
                HEAP.set_limit(idle + more).unwrap();
                println!("{ANSWER}0");
            }
            None if line == "held" => {
                println!("{ANSWER}{}", HEAP.allocated().saturating_sub(idle));
            }
            None => {
                gateway.reload(config()).unwrap();
                println!("{ANSWER}0");
            }
        }
    }
}

/// A gateway in a process of its own, beside a homeserver in this one. Dropping it ends the process.
struct Alone {
    homeserver: Homeserver,
    files: TempDir,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    egress: String,
    inbound: String,
}

impl Alone {
    async fn start(name: &str, seed: u8, authority: &Authority) -> Self {
        let (homeserver, files) = Side::prepared(name, seed, authority).await;
        let file = files.path().join("gateway.toml");
        let text = configuration_text(&homeserver, &Settings::default(), &[]);
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::a_gateway_alone", "--ignored"])
            .arg("--nocapture")
            .env(CHILD, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut alone = Self {
            homeserver,
            files,
            child,
            input,
            output,
            egress: String::new(),
            inbound: String::new(),
        };
        let ports = alone.answer();
        let (egress, inbound) = ports.split_once(' ').unwrap();
        (alone.egress, alone.inbound) = (egress.to_owned(), inbound.to_owned());
        alone
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "the gateway's process has ended");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
        }
    }

    fn order(&mut self, order: &str) -> usize {
        writeln!(self.input, "{order}").unwrap();
        self.answer().parse().unwrap()
    }

    fn knows(&mut self, name: &str, inbound: &str) {
        let peer = format!("binding = \"grpc\"\ntarget = \"{inbound}\"\nrequired = true");
        let settings = Settings::default();
        let text = configuration_text(&self.homeserver, &settings, &[(name, peer)]);
        std::fs::write(self.files.path().join("gateway.toml"), text).unwrap();
        self.order("reload");
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event() -> String {
    format!(
        r#"{{"content":{{"body":"{}"}},"type":"x"}}"#,
        "y".repeat(EVENT)
    )
}

/// A join's reply, made as it is asked for: as many events as the room's ID says, and how many bytes were asked for so far.
fn room(target: &str, taken: &Arc<AtomicU64>) -> body::Body {
    let number = target.split("%21").nth(1).unwrap();
    let events: usize = number.split('/').next().unwrap().parse().unwrap();
    let event = event();
    let taken = taken.clone();
    let pieces = (0..events.div_ceil(10)).map(move |piece| {
        let count = (events - piece * 10).min(10);
        let comma = if piece == 0 { "" } else { "," };
        let text = format!("{comma}{}", vec![&*event; count].join(","));
        taken.fetch_add(text.len() as u64, Ordering::Relaxed);
        text.into()
    });
    let begin = [Bytes::from_static(br#"{"auth_chain":[],"state":["#)];
    let end = [Bytes::from_static(b"]}")];
    let all = begin.into_iter().chain(pieces).chain(end);
    body::from_stream(stream::iter(all.map(Ok::<_, std::io::Error>)))
}

/// Two servers with a gateway each.
struct Rooms {
    one: Alone,
    two: Alone,
    taken: Arc<AtomicU64>,
}

impl Rooms {
    async fn start() -> Self {
        let authority = Authority::new();
        let mut one = Alone::start(HS1, 1, &authority).await;
        let mut two = Alone::start(HS2, 2, &authority).await;
        one.knows(HS2, &two.inbound);
        two.knows(HS1, &one.inbound);
        let taken: Arc<AtomicU64> = Arc::default();
        let taken_too = taken.clone();
        two.homeserver.answers(move |seen| {
            let mut response = Response::new(room(&seen.target, &taken_too));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", kind);
            async move { response }
        });
        Self { one, two, taken }
    }

    /// Asks to join a room of so many events; the reply is to be read.
    async fn join(&self, events: usize) -> hyper::Result<Response<Incoming>> {
        let target = format!("/_matrix/federation/v2/send_join/%21{events}/%24e");
        let content = r#"{"type":"m.room.member"}"#;
        let signed = self
            .one
            .homeserver
            .sign(HS2, "PUT", &target, Some(content.as_bytes()));
        let mut call = Outgoing::new(HS2, "PUT", &target).signed(&signed);
        call.content = Some(content.into());
        let stream = TcpStream::connect(&self.one.egress).await.unwrap();
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        let response = sender.send_request(call.request()).await?;
        assert_eq!(response.status(), 200);
        Ok(response)
    }

    /// Waits until nothing more is taken from the homeserver, as nobody reads: all that may be held anywhere is held.
    async fn stalls(&self) {
        let now = || self.taken.load(Ordering::Relaxed);
        let mut before = 0;
        loop {
            sleep(Duration::from_millis(500)).await;
            match now() {
                same if same == before && same > 0 => return,
                more => before = more,
            }
        }
    }
}

async fn length_of(response: Response<Incoming>) -> hyper::Result<usize> {
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_is_read_slowly_passes_in_bounded_memory() {
    const EVENTS: usize = 20_000;
    let mut rooms = Rooms::start().await;
    // Idle is: keys known, connections open, a small reply passed.
    length_of(rooms.join(10).await.unwrap()).await.unwrap();
    rooms.taken.store(0, Ordering::Relaxed);
    rooms.one.order(&format!("bound {}", OWN + STREAM_WINDOW));
    rooms.two.order(&format!("bound {OWN}"));

    let response = rooms.join(EVENTS).await.unwrap();
    rooms.stalls().await;
    assert!(rooms.one.is_alive(), "the sending gateway holds too much");
    assert!(rooms.two.is_alive(), "the receiving gateway holds too much");
    let held = [&mut rooms.one, &mut rooms.two].map(|gateway| gateway.order("held"));
    println!("held by the sending and by the receiving gateway: {held:?} bytes");
    // Nobody has read, so the window is full: what is bounded is there.
    assert!(held[0] > STREAM_WINDOW / 2, "{held:?}");

    let passed = length_of(response).await;
    assert!(rooms.one.is_alive(), "the sending gateway holds too much");
    assert!(rooms.two.is_alive(), "the receiving gateway holds too much");
    let around = r#"{"auth_chain":[],"state":[]}"#.len();
    let whole = EVENTS * (event().len() + 1) - 1 + around;
    assert_eq!(passed.unwrap(), whole, "nothing is lost");
}
