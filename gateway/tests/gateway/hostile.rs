//! What strangers may have the gateway read, hold and wait for.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::setting::{HS2, Pair, Settings, Stranger, json};

/// What is answered to these bytes, before any others are sent.
async fn answered(stranger: &Stranger, bytes: &[u8]) -> String {
    let mut connection = stranger.connection().await;
    connection.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        while connection.read_buf(&mut answer).await.unwrap_or(0) > 0 {
            if answer.ends_with(b"}") {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_secs(3), reading).await;
    String::from_utf8(answer).unwrap()
}

/// Status and body of such an answer.
fn told(answer: &str) -> (&str, &str) {
    let status = answer.split(' ').nth(1).unwrap_or("none");
    (status, answer.split_once("\r\n\r\n").map_or("", |it| it.1))
}

#[tokio::test]
async fn a_closed_path_is_unknown_whatever_comes_with_it() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    for rest in [
        // All but the last byte of a large body never comes.
        "Content-Length: 16000000\r\n\r\n{",
        "Content-Length: 99000000\r\n\r\n",
        "Content-Length: 8\r\n\r\nnot json",
        "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Authorization: X-Matrix nonsense\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let head = "POST /_synapse/admin/x HTTP/1.1\r\nHost: hs2.example\r\n";
        let answer = answered(&stranger, format!("{head}{rest}").as_bytes()).await;
        let (status, body) = told(&answer);
        assert_eq!(status, "404", "{rest}: {answer}");
        assert!(body.contains("\"M_UNRECOGNIZED\""), "{answer}");
        assert!(body.contains(&format!("\"via\":\"{HS2}\"")), "{answer}");
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
}

/// All but the last byte of the body is what a stranger would have the gateway hold.
#[tokio::test]
async fn who_can_prove_nothing_has_no_body_read() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let elsewhere = pair.one.homeserver.sign("hs3.example", "POST", EVENT, None);
    for (credential, status, reason) in [
        ("Bearer x", "401", "missing"),
        ("X-Matrix nonsense", "400", "malformed"),
        (&*elsewhere, "401", "destination"),
    ] {
        let request = format!(
            "PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nHost: hs2.example\r\nAuthorization: {credential}\r\nContent-Length: 16000000\r\n\r\n{{"
        );
        let answer = answered(&stranger, request.as_bytes()).await;
        let (got, body) = told(&answer);
        assert_eq!(got, status, "{credential}: {answer}");
        assert!(body.contains("\"M_UNAUTHORIZED\""), "{answer}");
        let metrics = pair.two.metrics().await;
        let line =
            format!("operation=\"SendTransaction\",binding=\"http/1\",reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

/// Somebody whose credential looks right: whether it is can be said when the body is there.
#[tokio::test]
async fn bodies_without_end_and_compressed_ones_are_refused_by_the_limit_s_name() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let forged = pair.one.homeserver.sign(HS2, "PUT", EVENT, None);
    let head = format!(
        "PUT /_matrix/federation/v1/send/1 HTTP/1.1\r\nHost: hs2.example\r\nAuthorization: {forged}\r\n"
    );
    // A piece more than the limit, and no last one.
    let mut endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..17 {
        endless.extend_from_slice(b"100000\r\n");
        endless.resize(endless.len() + (1 << 20), b' ');
        endless.extend_from_slice(b"\r\n");
    }
    for (request, status, errcode, why) in [
        (endless, "413", "M_TOO_LARGE", "limits.request"),
        (
            format!("{head}Content-Length: 99000000\r\n\r\n").into_bytes(),
            "413",
            "M_TOO_LARGE",
            "limits.request",
        ),
        (
            format!("{head}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbomb").into_bytes(),
            "400",
            "M_NOT_JSON",
            "Content-Encoding",
        ),
    ] {
        let answer = answered(&stranger, &request).await;
        let (got, body) = told(&answer);
        assert_eq!(got, status, "{answer}");
        assert!(body.contains(errcode) && body.contains(why), "{answer}");
        assert!(body.contains(&format!("\"via\":\"{HS2}\"")), "{answer}");
    }
    assert_eq!(pair.two.homeserver.take_seen().len(), 0);
    // The room that the first one took is free again.
    assert_eq!(pair.one.calls(HS2, "GET", EVENT, None).await.status, 200);
}

/// A bare 404 or 405 would have Synapse take a destination for down.
#[tokio::test]
async fn what_is_of_grpc_s_type_but_no_post_is_answered_as_http_is() {
    let pair = Pair::start("grpc").await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    for (method, path, status, errcode) in [
        (
            "GET",
            "/_matrix/federation/v1/event/%24x",
            "401",
            "M_UNAUTHORIZED",
        ),
        ("GET", "/_synapse/admin/x", "404", "M_UNRECOGNIZED"),
        ("PUT", "/nowhere", "404", "M_UNRECOGNIZED"),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: hs2.example\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = answered(&stranger, request.as_bytes()).await;
        let (got, body) = told(&answer);
        assert_eq!(got, status, "{answer}");
        assert!(
            body.contains(&format!("\"errcode\":\"{errcode}\"")),
            "{answer}"
        );
    }
}

const EVENT: &str = "/_matrix/federation/v1/event/%24x";

/// A pair of which the first says nothing when it is asked for its keys, for longer than anybody waits.
async fn silent(two: Settings) -> Pair {
    let pair = Pair::with("https", Settings::default(), two).await;
    pair.one.homeserver.publishes_nothing();
    pair.one.homeserver.answers(|_| std::future::pending());
    pair
}

/// Synapse gives a query 10 s in all: what is left has to be enough for the homeserver.
#[tokio::test]
async fn a_call_waits_for_its_origin_s_keys_for_a_moment_only() {
    let pair = silent(Settings::default()).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let asked = Instant::now();
    let got = stranger.http("GET", EVENT, &[&proof], None).await;
    let took = asked.elapsed();
    assert_eq!(got.status, 200, "{got:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(pair.two.homeserver.only().all("authorization"), [&*proof]);
    assert_eq!(pair.two.gateway.metrics().totals().unverified, 1);
}

#[tokio::test]
async fn calls_that_wait_for_keys_leave_the_others_their_turn() {
    const UNKNOWN: &str = "/_matrix/federation/unstable/org.example.msc1/x";
    // One of four may wait.
    let pair = silent(Settings::default().with("limits", "calls = 4")).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    let unknown = pair.one.homeserver.sign(HS2, "GET", UNKNOWN, None);
    let waits = tokio::spawn({
        let (stranger, unknown) = (stranger.clone(), unknown.clone());
        async move { stranger.http("GET", UNKNOWN, &[&unknown], None).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let proof = pair.one.homeserver.sign(HS2, "GET", EVENT, None);
    let asked = Instant::now();
    // The homeserver decides, as it does where no key can be had.
    let got = stranger.http("GET", EVENT, &[&proof], None).await;
    assert_eq!(got.status, 200, "{got:?}");
    // Nothing but the proof vouches for this one.
    let got = stranger.http("GET", UNKNOWN, &[&unknown], None).await;
    let told = (429, "M_LIMIT_EXCEEDED".to_owned(), HS2.to_owned());
    assert_eq!(got.via(), told);
    assert!(got.json()["error"].to_string().contains("`limits.calls`"));
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(!waits.is_finished(), "the first still waits");
    let metrics = pair.two.metrics().await;
    let line = "operation=\"GetEvent\",binding=\"http/1\",reason=\"keys_busy\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    waits.abort();
}

/// Whole replies are read from the homeserver, and then a peer takes its time.
#[tokio::test]
async fn replies_that_nobody_reads_are_bounded_together() {
    let two = Settings::default().with("limits", "request_mib = 16");
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    // Sockets take a part of each, and a connection the rest.
    pair.two.homeserver.answers(|_| async {
        let large = "x".repeat(14 << 20);
        json(200, format!("{{\"server_keys\":[],\"x\":\"{large}\"}}"))
    });
    const KEYS: &str = "/_matrix/key/v2/query";
    let ask = |number: usize| {
        let content = format!("{{\"server_keys\":{{\"hs{number}.example\":{{}}}}}}");
        format!(
            "POST {KEYS} HTTP/1.1\r\nHost: hs2.example\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        )
    };
    let mut idle = stranger.connection().await;
    idle.write_all(ask(1).as_bytes()).await.unwrap();
    // It has begun: the head is there.
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    for number in 2..5 {
        let answer = answered(&stranger, ask(number).as_bytes()).await;
        let (status, body) = told(&answer);
        let (start, _) = answer.split_at(answer.len().min(300));
        assert_eq!(status, "429", "{start}");
        assert!(body.contains("`limits.request_mib`"), "{body}");
        assert!(body.contains(&format!("\"via\":\"{HS2}\"")), "{body}");
    }
    drop(idle);
    let begun = Instant::now();
    loop {
        let answer = answered(&stranger, ask(5).as_bytes()).await;
        if told(&answer).0 == "200" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn too_many_calls_are_told_the_setting_s_name() {
    let two = Settings::default().with("limits", "calls = 1");
    let pair = Pair::with("grpc", Settings::default(), two).await;
    let stranger = Stranger::to(&pair.two, &pair.authority);
    pair.two.homeserver.answers(|_| std::future::pending());
    const VERSION: &str = "/_matrix/federation/v1/version";
    let first = tokio::spawn({
        let stranger = stranger.clone();
        async move { stranger.http("GET", VERSION, &[], None).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let got = stranger.http("GET", VERSION, &[], None).await;
    assert_eq!(got.via().0, 429);
    assert!(
        got.json()["error"]
            .to_string()
            .contains("(setting `limits.calls`)")
    );
    first.abort();
}
