//! What a pair of gateways adds: latency of a small call, and memory while a large room passes.
//!
//! ```text
//! direct:   this process ── HTTPS ──────────────────────────────────────────▶ homeserver
//! by way:   this process ── HTTP ──▶ gateway ── gRPC with TLS ──▶ gateway ── HTTP ──▶ homeserver
//! ```

use std::{
    fs,
    net::TcpListener,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_floors::{
    bodies::{state_event, usual},
    gateways::start,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{net::TcpStream, runtime::Runtime};

use crate::{
    load::Sender,
    process::Role,
    report::{Need, Report},
    rounds::Spread,
    setting::{TARGET, certificate_of, credential, destination, origin, route},
    transactions::Signed,
};

/// What the homeserver shows its gateway.
const SECRET: &str = "a-secret-of-the-bench";

/// Alternating rounds, and calls in each, one after the other.
const ROUNDS: usize = 41;
const CALLS: usize = 20;

/// The window of one HTTP/2 stream (`comity-net`): what of a reply may have come to a client that has not read it.
const STREAM_WINDOW: u64 = 1 << 20;

/// For so long nobody reads the reply: all that may be held is held then.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    let mut pair = Pair::start(false);
    runtime.block_on(async {
        // The homeserver over HTTPS, without a gateway.
        let mut homeserver = Role::start(&["ours", "tls"]);
        let direct = Signed::to(route(homeserver.port()), true, &usual(1));
        let mut by_way = ByWay::connect(pair.egress).await;
        latency(&direct, &mut by_way, report).await;
    });
    drop(pair);
    for state in [20_000, 200_000] {
        // Processes for each size, so that neither profits from what the other left behind.
        pair = Pair::start(true);
        runtime.block_on(memory(&mut pair, state, report));
    }
}

/// What both gateways hold while a room passes whose reader first pauses.
async fn memory(pair: &mut Pair, state: u64, report: &mut Report) {
    let mut by_way = ByWay::connect(pair.egress).await;
    // Idle is: keys known, connections open, a small reply passed.
    by_way.join(10, Duration::ZERO).await;
    let idle = pair.each(|gateway| (gateway.ask("idle"), gateway.number()));
    let arrived = by_way.join(state, PAUSE).await;
    let peak = pair.each(|gateway| (gateway.ask("peak"), gateway.number()));
    let passed = arrived as f64 / f64::from(1 << 20);
    // Only the sending one is a client of HTTP/2, which has a window to keep open.
    for ((side, window), (idle, peak)) in [("sending", STREAM_WINDOW), ("receiving", 0)]
        .into_iter()
        .zip(idle.into_iter().zip(peak))
    {
        let over = |from: u64, to: u64| to.saturating_sub(from) as f64;
        let heap = over(idle.1, peak.1) / f64::from(1 << 20);
        let window = window as f64 / f64::from(1 << 20);
        report.row(
            format!("gateways: the {side} one's peak of live heap over idle while `send_join` of {state} events passes, less the HTTP/2 stream window of {window} MiB"),
            " MiB",
            Spread::one(heap - window),
            Need::AtMost(1.0),
            format!(
                "{passed:.1} MiB passed; heap {heap:.2} MiB over idle, resident {:.2} MiB over idle ({} KiB)",
                over(idle.0, peak.0) / 1024.0,
                idle.0,
            ),
        );
    }
}

/// One call at a time, over either way in turn.
async fn latency(direct: &Signed, by_way: &mut ByWay, report: &mut Report) {
    let content = usual(1);
    let credential = credential(TARGET, &content);
    let (mut apart, mut added, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            let begun = Instant::now();
            direct.send().await;
            ones.push(milliseconds(begun.elapsed()));
        }
        for _ in 0..CALLS {
            let begun = Instant::now();
            let (status, answer) = by_way
                .send(Method::PUT, TARGET, &content, &credential)
                .await;
            others.push(milliseconds(begun.elapsed()));
            assert_eq!(status, StatusCode::OK, "{answer:?}");
        }
        // The first round fetches keys and opens connections.
        if round > 0 {
            let (one, other) = (Spread::of(ones).median, Spread::of(others).median);
            apart.push((one, other));
            added.push(other - one);
            ratios.push(other / one);
        }
    }
    let median = |of: fn(&(f64, f64)) -> f64| Spread::of(apart.iter().map(of).collect()).median;
    let detail = format!(
        "p50 {:.2} ms by two gateways, {:.2} ms direct",
        median(|pair| pair.1),
        median(|pair| pair.0)
    );
    report.row(
        "gateways: added to the p50 of a transaction of 1 PDU",
        " ms",
        Spread::of(added),
        Need::AtMost(0.3),
        detail,
    );
    report.row(
        "gateways: p50 of that call by two gateways / direct over HTTPS",
        "",
        Spread::of(ratios),
        Need::None,
        "latency, not CPU",
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A connection to the sending gateway, as its homeserver has one.
struct ByWay(SendRequest<Full<Bytes>>);

impl ByWay {
    async fn connect(egress: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", egress)).await;
        let stream = stream.expect("the gateway listens");
        stream.set_nodelay(true).expect("it is a TCP stream");
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("nothing is sent yet");
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(
        &mut self,
        method: Method,
        target: &str,
        content: &Bytes,
        credential: &HeaderValue,
    ) -> (StatusCode, Bytes) {
        let response = self.begin(method, target, content, credential).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("it is whole");
        (status, body.to_bytes())
    }

    async fn begin(
        &mut self,
        method: Method,
        target: &str,
        content: &Bytes,
        credential: &HeaderValue,
    ) -> Response<Incoming> {
        let uri = format!("matrix-federation://{}{target}", destination());
        let uri: Uri = uri.parse().expect("it is absolute");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, format!("{}:80", destination()))
            .header(header::AUTHORIZATION, credential)
            .header(header::PROXY_AUTHORIZATION, format!("Bearer {SECRET}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(content.clone()))
            .expect("its parts are valid");
        self.0.ready().await.expect("the connection is kept");
        let response = self.0.send_request(request).await;
        response.expect("the gateway answers")
    }

    /// Joins a room of so many state events, and reads the reply behind a pause; how many bytes it is.
    async fn join(&mut self, state: u64, pause: Duration) -> usize {
        let target = format!("/_matrix/federation/v2/send_join/%21{state}/%24event");
        let content = state_event(0).text().clone();
        let credential = credential(&target, &content);
        let response = self
            .begin(Method::PUT, &target, &content, &credential)
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        tokio::time::sleep(pause).await;
        let (mut body, mut bytes) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            bytes += frame.expect("it is whole").data_ref().map_or(0, Bytes::len);
        }
        bytes
    }
}

/// Two homeservers, each behind its gateway, each of the four a process of its own.
struct Pair {
    egress: u16,
    gateways: [Role; 2],
    _homeservers: [Role; 2],
    _files: TempDir,
}

impl Pair {
    /// With gateways that count their heap, or without.
    fn start(counted: bool) -> Self {
        let files = TempDir::new().expect("there is a place for files");
        let folder = files.path();
        fs::write(folder.join("secret"), SECRET).expect("it is writable");
        let names = [origin(), destination()];
        let mut homeservers = [(); 2].map(|()| Role::start(&["ours", "plain"]));
        let behind = homeservers.each_mut().map(Role::port);
        let inbound = [free_port(), free_port()];
        let egress = [free_port(), free_port()];
        let mut authorities = String::new();
        for name in &names {
            let (certificate, key) = certificate_of(name);
            authorities.push_str(&certificate);
            fs::write(folder.join(format!("{name}.crt")), certificate).expect("it is writable");
            fs::write(folder.join(format!("{name}.key")), key).expect("it is writable");
        }
        fs::write(folder.join("ca.crt"), authorities).expect("it is writable");
        let gateways = [0, 1].map(|own| {
            let (name, peer, other) = (&names[own], &names[1 - own], inbound[1 - own]);
            let (behind, inbound, egress) = (behind[own], inbound[own], egress[own]);
            let text = format!(
                r#"server_name = "{name}"
[homeserver]
url = "http://127.0.0.1:{behind}"
[egress]
listen = "127.0.0.1:{egress}"
secret_file = "secret"
[listen]
address = "127.0.0.1:{inbound}"
certificate = "{name}.crt"
key = "{name}.key"
[trust]
ca = ["ca.crt"]
allow_addresses = ["127.0.0.0/8"]
[peers."{peer}"]
binding = "grpc"
target = "127.0.0.1:{other}"
required = true
"#
            );
            let file = folder.join(format!("{name}.toml"));
            fs::write(&file, text).expect("it is writable");
            let file = file.to_str().expect("the place has a plain name");
            let mut gateway = match counted {
                true => {
                    let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"));
                    program.arg(file);
                    Role::run(program)
                }
                false => Role::start(&["gateway", file]),
            };
            assert_eq!(gateway.line(), "ready");
            gateway
        });
        Self {
            egress: egress[0],
            gateways,
            _homeservers: homeservers,
            _files: files,
        }
    }

    fn each<T>(&mut self, ask: impl FnMut(&mut Role) -> T) -> [T; 2] {
        self.gateways.each_mut().map(ask)
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    address.port()
}

/// A gateway's role: it ends with the parent.
pub(crate) async fn serve(file: &str) {
    let _gateway = start(file).await;
    std::thread::spawn(|| {
        std::io::stdin().lines().for_each(drop);
        std::process::exit(0);
    });
    std::future::pending().await
}
