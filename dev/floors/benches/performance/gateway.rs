//! What a pair of gateways adds: latency of a small call, and memory while a large room passes.
//!
//! ```text
//! direct:   this process ── HTTPS ──────────────────────────────────────────▶ homeserver
//! by way:   this process ── HTTP ──▶ gateway ── gRPC with TLS ──▶ gateway ── HTTP ──▶ homeserver
//! ```

use std::{
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::auth::SignedRequest;
use comity_floors::bodies::{ONE_PDU, STATE_EVENT, event, transaction};
use comity_gateway::{Config, Gateway};
use comity_net::{Pool, body};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{net::TcpStream, runtime::Runtime};

use crate::{
    process::{Role, memory_kib, reset_peak},
    report::{Need, Report},
    rounds::Spread,
    setting::{TARGET, certificate_of, credential, destination, origin, pool, route, signing_key},
};

/// What the homeserver shows its gateway.
const SECRET: &str = "a-secret-of-the-bench";

/// Alternating rounds, and calls in each, one after the other.
const ROUNDS: usize = 41;
const CALLS: usize = 20;

/// State events of the room that passes.
const STATE: u64 = 20_000;

pub(crate) fn measure(runtime: &Runtime, report: &mut Report) {
    let mut pair = Pair::start();
    runtime.block_on(async {
        let direct = Direct::start();
        let mut by_way = ByWay::connect(pair.egress).await;
        latency(&direct, &mut by_way, report).await;
        by_way.join(10).await;
        let idle = pair.each(|gateway| gateway.ask("idle"));
        let arrived = by_way.join(STATE).await;
        let peak = pair.each(|gateway| gateway.ask("peak"));
        for ((side, idle), peak) in ["sending", "receiving"].into_iter().zip(idle).zip(peak) {
            report.row(
                format!("gateways: the {side} one's peak memory over idle while `send_join` of {STATE} events passes"),
                " MiB",
                Spread::one(peak.saturating_sub(idle) as f64 / 1024.0),
                Need::AtMost(1.0),
                format!("{:.1} MiB passed; peak {peak} KiB, idle {idle} KiB", arrived as f64 / f64::from(1 << 20)),
            );
        }
    });
}

/// One call at a time, over either way in turn.
async fn latency(direct: &Direct, by_way: &mut ByWay, report: &mut Report) {
    let content = Bytes::from(transaction(1, ONE_PDU));
    let credential = HeaderValue::from_str(&credential(&content)).expect("it is a header");
    let (mut apart, mut added, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            let begun = Instant::now();
            direct.send(&content, &credential).await;
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

/// The homeserver over HTTPS, without a gateway.
struct Direct {
    _role: Role,
    pool: Pool,
    port: u16,
}

impl Direct {
    fn start() -> Self {
        let mut role = Role::start(&["ours", "tls", "0"]);
        let port = u16::try_from(role.number()).expect("it tells its port");
        Self {
            _role: role,
            pool: pool(true),
            port,
        }
    }

    async fn send(&self, content: &Bytes, credential: &HeaderValue) {
        let request = Request::put(TARGET)
            .header(header::AUTHORIZATION, credential)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body::full(content.clone()))
            .expect("its parts are valid");
        let response = self.pool.send(&route(self.port), request).await;
        let response = response.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.expect("it is whole");
    }
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
        let response = response.expect("the gateway answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("it is whole");
        (status, body.to_bytes())
    }

    /// Joins a room of so many state events; how many bytes its state is.
    async fn join(&mut self, state: u64) -> usize {
        let target = format!("/_matrix/federation/v2/send_join/%21{state}/%24event");
        let content = Bytes::from(event(0, STATE_EVENT));
        let (origin, destination) = (origin(), destination());
        let signed = SignedRequest {
            method: "PUT",
            uri: &target,
            origin: &origin,
            destination: destination.as_str(),
            content: Some(&content),
        };
        let credential = signed.sign(&signing_key()).to_header();
        let credential = HeaderValue::from_str(&credential).expect("it is a header");
        let (status, answer) = self.send(Method::PUT, &target, &content, &credential).await;
        assert_eq!(status, StatusCode::OK, "{:?}", answer.get(..200));
        answer.len()
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
    fn start() -> Self {
        let files = TempDir::new().expect("there is a place for files");
        let folder = files.path();
        fs::write(folder.join("secret"), SECRET).expect("it is writable");
        let names = [origin(), destination()];
        let mut homeservers = [(); 2].map(|()| Role::start(&["ours", "plain", "0"]));
        let behind = homeservers.each_mut().map(Role::number);
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
            let mut gateway = Role::start(&["gateway", "tls", "0", file]);
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

/// A gateway's role: it tells of its memory when it is asked, and ends with the parent.
pub(crate) async fn serve(file: &str) {
    let text = fs::read_to_string(Path::new(file)).expect("the parent wrote it");
    let config = Config::read(file, &text).expect("it is right");
    let gateway = Gateway::start(config, Vec::new(), None).await;
    let _gateway = gateway.expect("its ports are free");
    println!("ready");
    std::thread::spawn(|| {
        for line in std::io::stdin().lines() {
            let field = match line.as_deref() {
                Ok("idle") => {
                    reset_peak().expect("a process may look at itself");
                    "VmRSS:"
                }
                Ok(_) => "VmHWM:",
                Err(_) => break,
            };
            println!("{}", memory_kib(field).expect("the system tells"));
        }
        std::process::exit(0);
    });
    std::future::pending().await
}
