//! What the operator, the homeserver and the logs see of a call.

use std::sync::{Arc, Mutex};

use crate::setting::{HS1, HS2, Outgoing, Pair, SECRET, Settings, Stranger, json};

const EVENT: &str = "/_matrix/federation/v1/event/%24x";
const VERSION: &str = "/_matrix/federation/v1/version";

#[tokio::test]
async fn metrics_say_which_way_a_call_went_and_how() {
    let pair = Pair::start("grpc").await;
    assert_eq!(pair.one.calls(HS2, "GET", EVENT, None).await.status, 200);
    let unknown = "/_matrix/federation/unstable/org.example/x";
    assert_eq!(pair.one.calls(HS2, "GET", unknown, None).await.status, 200);
    for (side, direction) in [(&pair.one, "outbound"), (&pair.two, "inbound")] {
        let metrics = side.metrics().await;
        for line in [
            format!(
                "comity_calls_total{{direction=\"{direction}\",operation=\"GetEvent\",binding=\"grpc/1\",outcome=\"ok\"}} 1"
            ),
            format!(
                "comity_calls_total{{direction=\"{direction}\",operation=\"other\",binding=\"grpc/1\",outcome=\"ok\"}} 1"
            ),
            // Only the one that no row knows.
            format!("comity_invoke_calls_total{{direction=\"{direction}\",operation=\"other\"}} 1"),
        ] {
            assert!(metrics.contains(&line), "{line}\n{metrics}");
        }
        assert!(
            !metrics.contains(
                "comity_invoke_calls_total{direction=\"outbound\",operation=\"GetEvent\""
            )
        );
        // No server's name is a label.
        assert!(!metrics.contains("hs2.example") && !metrics.contains("hs1.example"));
    }
}

#[tokio::test]
async fn the_pages_tell_of_this_gateway() {
    let pair = Pair::start("grpc").await;
    pair.one.calls(HS2, "GET", EVENT, None).await;
    assert_eq!(pair.one.asks("/health").await.status, 200);
    assert_eq!(pair.one.asks("/ready").await.status, 200);
    let page = pair.one.asks("/").await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(
        page.contains(HS1) && page.contains(HS2) && page.contains("grpc/1"),
        "{page}"
    );
    // The homeserver dies.
    let Pair { one, .. } = pair;
    one.homeserver.stop().await;
    // It is asked once a second at most.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let ready = one.asks("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8_lossy(&ready.body).contains("homeserver"));
}

#[tokio::test]
async fn the_homeserver_learns_who_called_and_nothing_that_the_caller_made_up() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let call = Outgoing {
        method: "GET".to_owned(),
        uri: EVENT.to_owned(),
        headers: Vec::new(),
        content: None,
    };
    let call = call
        .with("host", HS2)
        .signed(&proof)
        .with("x-forwarded-for", "198.51.100.9")
        .with("x-forwarded-proto", "http")
        .with("x-forwarded-host", "evil.example")
        .with("forwarded", "for=198.51.100.9")
        .with("x-real-ip", "198.51.100.9")
        .with("cookie", "a=b");
    assert_eq!(stranger.exchange(call).await.status, 200);
    let seen = pair.two.homeserver.only();
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    for name in ["x-forwarded-host", "forwarded", "x-real-ip", "cookie"] {
        assert_eq!(seen.all(name), [""; 0], "{name}");
    }
    // Over gRPC too.
    stranger.invoke("GET", EVENT, &[&proof]).await.unwrap();
    assert_eq!(
        pair.two.homeserver.only().all("x-forwarded-for"),
        ["127.0.0.1"]
    );
}

#[tokio::test]
async fn behind_a_proxy_its_word_counts() {
    let two = Settings::default().without("listen").with(
        "listen",
        "address = \"127.0.0.1:0\"\ntls = false\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let call = Outgoing {
        method: "GET".to_owned(),
        uri: EVENT.to_owned(),
        headers: Vec::new(),
        content: None,
    };
    let call = call
        .with("host", HS2)
        .signed(&proof)
        .with("x-forwarded-for", "198.51.100.9, 192.0.2.7");
    let address = pair.two.gateway.inbound_addr().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let got = crate::setting::exchange(stream, call.request()).await;
    assert_eq!(got.status, 200, "{got:?}");
    // What the proxy wrote, not what its client did.
    assert_eq!(
        pair.two.homeserver.only().all("x-forwarded-for"),
        ["192.0.2.7"]
    );
}

#[tokio::test]
async fn a_call_that_goes_in_a_circle_is_refused() {
    // The peer is ourselves, and the homeserver is the gateway's own egress: whatever is configured wrongly, it ends.
    let pair = Pair::start("https").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let passed = |via: &str| {
        let call = Outgoing {
            method: "GET".to_owned(),
            uri: VERSION.to_owned(),
            headers: Vec::new(),
            content: None,
        };
        call.with("host", HS2).with("via", via)
    };
    for via in [
        "http/1 hs2.example",
        "1.1 hs2.example",
        "1.1 a, http/1 hs2.example (Comity), 1.1 b",
    ] {
        let got = stranger.exchange(passed(via)).await;
        assert_eq!(
            got.via(),
            (508, "M_UNKNOWN".to_owned(), HS2.to_owned()),
            "{via}"
        );
    }
    assert_eq!(
        stranger.exchange(passed("http/1 hs1.example")).await.status,
        200
    );
    let seen = pair.two.homeserver.only();
    assert_eq!(
        seen.all("via"),
        ["http/1 hs1.example", "http/1 hs2.example"]
    );
    // Through the egress as well.
    let call = Outgoing::new(HS2, "GET", VERSION).with("via", "http/1 hs1.example");
    assert_eq!(pair.one.send(call).await.via().0, 508);
    // Each is counted by whoever refused it.
    let counted = |direction: &str, count: u32| {
        format!("comity_refused_calls_total{{direction=\"{direction}\",reason=\"loop\"}} {count}\n")
    };
    let metrics = pair.two.metrics().await;
    assert!(metrics.contains(&counted("inbound", 3)), "{metrics}");
    let metrics = pair.one.metrics().await;
    assert!(metrics.contains(&counted("outbound", 1)), "{metrics}");
}

#[tokio::test]
async fn trace_context_passes_between_configured_peers_alone() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        let traced = |side: &crate::setting::Side, to: &str| {
            let proof = side.homeserver.sign(to, "GET", EVENT, None);
            Outgoing::new(to, "GET", EVENT)
                .signed(&proof)
                .with("traceparent", PARENT)
                .with("tracestate", "a=b")
        };
        assert_eq!(pair.one.send(traced(&pair.one, HS2)).await.status, 200);
        let seen = pair.two.homeserver.only();
        assert_eq!(seen.all("traceparent"), [PARENT], "{binding}");
        assert_eq!(seen.all("tracestate"), ["a=b"], "{binding}");
        // Two forgets one: a stranger's word.
        pair.two
            .knows(&[("hs3.example", "binding = \"https\"".to_owned())]);
        assert_eq!(pair.one.send(traced(&pair.one, HS2)).await.status, 200);
        let seen = pair.two.homeserver.only();
        assert_eq!(seen.all("traceparent"), [""; 0], "{binding}");
    }
}

/// Everything that is logged by this thread's tests.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One thread: what is logged there is all.
#[tokio::test]
async fn no_log_holds_a_credential() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    const TOKEN: &str = "syt_access_token_that_nobody_may_read";
    const INFO: &str =
        "/_matrix/federation/v1/openid/userinfo?access_token=syt_access_token_that_nobody_may_read";
    for binding in ["grpc", "https"] {
        let pair = Pair::start(binding).await;
        pair.one.calls(HS2, "GET", EVENT, None).await;
        pair.one
            .calls(
                HS2,
                "DELETE",
                "/_matrix/federation/unstable/x?access_token=syt_access_token_that_nobody_may_read",
                None,
            )
            .await;
        pair.one.send(Outgoing::new(HS2, "GET", INFO)).await;
        pair.one
            .send(Outgoing::new(HS2, "GET", INFO).without("proxy-authorization"))
            .await;
        let wrong = Outgoing::new(HS2, "GET", INFO).without("proxy-authorization");
        pair.one
            .send(wrong.with("proxy-authorization", "Bearer another-secret-of-somebody"))
            .await;
        let stranger = Stranger::to(&pair.two, &pair.authority);
        stranger.http("GET", EVENT, &["X-Matrix origin=hs1.example,key=\"ed25519:1\",sig=\"c2lnbmF0dXJlX29mX3NvbWVib2R5\""], None).await;
        stranger
            .http("GET", EVENT, &["Bearer another-secret-of-somebody"], None)
            .await;
        pair.two
            .homeserver
            .answers(|_| async { json(500, r#"{"errcode":"M_UNKNOWN","error":"no"}"#) });
        pair.one.send(Outgoing::new(HS2, "GET", INFO)).await;
        pair.one.knows(&[(
            HS2,
            "binding = \"grpc\"\ntarget = \"127.0.0.1:9\"".to_owned(),
        )]);
        pair.one.send(Outgoing::new(HS2, "GET", INFO)).await;
        pair.one.calls(HS2, "GET", EVENT, None).await;
    }
    drop(guard);
    let logged = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    // There is something to find anything in.
    assert!(
        logged.contains("hs2.example") && logged.contains("refused at the egress"),
        "{logged}"
    );
    for secret in [
        TOKEN,
        SECRET,
        "another-secret-of-somebody",
        "sig=",
        "c2lnbmF0dXJlX29mX3NvbWVib2R5",
        "X-Matrix origin",
    ] {
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
