//! `comity call`. What it says of sessions is tested in `sessions.rs`.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    sync::atomic::Ordering,
};

use comity_core::transport::Offer;
use serde_json::{Value, json};

use crate::setting::{CALLER, PICTURE, Peer, Wanted, run};

fn grpc_offer() -> Offer {
    Offer {
        binding: "grpc/1".to_owned(),
        connect_to: None,
        priority: 10,
        session: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_call_is_answered_over_either_binding_with_the_same_json() {
    let peer = Peer::start().await;
    let mut replies = Vec::new();
    for binding in ["https", "grpc"] {
        let words = ["GetEvent", "event_id=$there/is", "--binding", binding];
        let ran = peer.call(&words).await.expect(0);
        assert_eq!(ran.stderr, "");
        replies.push(ran.json());
    }
    assert_eq!(
        replies[0],
        json!({ "origin": "hs2", "origin_server_ts": 1, "pdus": [] })
    );
    assert_eq!(replies[0], replies[1]);
    assert_eq!(peer.over_grpc.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_goes_by_what_the_signed_key_document_offers() {
    let offering = Peer::with(Wanted {
        offers: vec![grpc_offer()],
        ..Wanted::default()
    })
    .await;
    let words = ["GetEvent", "eventId=$there/is", "--json", "-v"];
    let ran = offering.call(&words).await.expect(0);
    let told: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(told["binding"], "grpc/1");
    assert_eq!(told["why"], "it offers that (signed)");
    let proof = json!({ "scheme": "X-Matrix", "origin": CALLER, "key": "ed25519:caller", "instead_of_session": false });
    assert_eq!(told["proof"], proof);
    assert!(told["wire_sent_bytes"].as_u64() > Some(100), "{told}");
    assert!(told["total_ms"].as_f64() > Some(0.0), "{told}");
    assert!(offering.over_grpc.load(Ordering::SeqCst) > 0);

    let plain = Peer::start().await;
    let ran = plain
        .call(&["GetEvent", "eventId=$there/is", "-v"])
        .await
        .expect(0);
    assert!(
        ran.stderr.contains("over http/1: it offers no other"),
        "{}",
        ran.stderr
    );
    assert_eq!(plain.over_grpc.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_leads_nowhere_costs_a_fallback_and_no_more() {
    let nowhere = Offer {
        // A port that was free a moment ago.
        connect_to: Some(free_port().parse().unwrap()),
        ..grpc_offer()
    };
    let peer = Peer::with(Wanted {
        offers: vec![nowhere],
        ..Wanted::default()
    })
    .await;
    let ran = peer
        .call(&["GetEvent", "eventId=$there/is", "-v"])
        .await
        .expect(0);
    for said in [
        "> grpc/1 was tried: it offers that (signed)\n",
        "> over http/1: grpc/1 failed (connect)\n",
        "> proven as caller.example by an X-Matrix signature, key ed25519:caller\n",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_told_with_its_exit_code_and_nothing_a_terminal_would_obey() {
    let peer = Peer::start().await;
    let ran = peer.call(&["GetEvent", "eventId=$none"]).await.expect(1);
    assert!(
        ran.stderr
            .contains("answered 404 M_NOT_FOUND: no such event"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    assert_eq!(ran.stdout, "");

    let ran = peer
        .call(&["GetEvent", "eventId=$none", "--json"])
        .await
        .expect(1);
    let error = &ran.json()["error"];
    assert_eq!(error["http_status"], 404);
    assert_eq!(error["errcode"], "M_NOT_FOUND");
    assert_eq!(error["kind"], "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_reply_is_one_json_document_unless_it_broke_off() {
    let peer = Peer::start().await;
    let words = ["GetState", "roomId=!r:x", "event_id=$e"];
    let shown = peer.call(&words).await.expect(0);
    assert!(!shown.stdout.contains('\u{202e}'), "{}", shown.stdout);
    let document = shown.json();
    assert_eq!(document["auth_chain"], json!([]));
    assert_eq!(document["pdus"][1]["depth"], 1);
    assert_eq!(document["pdus"][1]["type"], "m.\u{202e}");
    let exact = peer
        .call(&[&words[..], &["--json"]].concat())
        .await
        .expect(0);
    assert_eq!(exact.json(), document);
    assert_eq!(exact.stdout.lines().count(), 1);

    for binding in ["https", "grpc"] {
        let words = [
            "GetState",
            "roomId=!r:x",
            "event_id=$breaks",
            "--binding",
            binding,
        ];
        let broken = peer.call(&words).await.expect(3);
        assert!(
            serde_json::from_str::<Value>(&broken.stdout).is_err(),
            "{}",
            broken.stdout
        );
        // Over HTTP/2 the reset can overtake the reply's head.
        let said = ["broke off", "no answer of"];
        assert!(
            said.iter().any(|said| broken.stderr.contains(said)),
            "{}",
            broken.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_is_shown_while_the_rest_is_on_its_way() {
    let peer = Peer::start().await;
    for binding in ["https", "grpc"] {
        let (name, key) = (peer.name(), peer.key_file());
        let mut words = vec!["call", "--origin", CALLER, "--key", &key, &name, "GetState"];
        words.extend(["roomId=!r:x", "event_id=$slow", "--binding", binding]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_comity"))
            .args(peer.words(&words).await)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = child.stdout.take().unwrap();
        let (first, shown) = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let mut buffer = [0; 1024];
            // The last element has not been sent; this one was.
            while !text.contains(r#""depth":1"#) {
                let read = shown.read(&mut buffer).unwrap();
                assert!(read > 0, "{text}");
                text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
            (text, shown)
        })
        .await
        .unwrap();
        peer.go_on.notify_one();
        let rest = tokio::task::spawn_blocking(move || std::io::read_to_string(shown).unwrap());
        let document: Value = serde_json::from_str(&(first + &rest.await.unwrap())).unwrap();
        assert_eq!(document["pdus"].as_array().unwrap().len(), 3);
        assert!(child.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_where_it_is_told_and_has_its_name_only_when_it_is_whole() {
    let peer = Peer::start().await;
    let path = peer.path("picture.png");
    let words = ["DownloadMedia", "mediaId=abc", "-o", path.to_str().unwrap()];
    let ran = peer.call(&words).await.expect(0);
    assert_eq!(fs::read(&path).unwrap(), PICTURE);
    assert!(!peer.path("picture.png.part").exists());
    let about = ran.json();
    assert_eq!(about["content_type"], "image/png");
    assert_eq!(about["bytes"], PICTURE.len());

    let ran = peer.call(&["DownloadMedia", "mediaId=abc"]).await.expect(2);
    assert!(ran.stderr.contains("--output FILE"), "{}", ran.stderr);
    let nowhere = peer.path("no/such/folder");
    let words = [
        "DownloadMedia",
        "mediaId=abc",
        "-o",
        nowhere.to_str().unwrap(),
    ];
    peer.call(&words).await.expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_call_goes_by_method_and_path_with_its_content_over_both_bindings() {
    let peer = Peer::start().await;
    let body = peer.file("body.json", r#"{ "b": 1, "a": "x" }"#);
    let path = "/_matrix/federation/unstable/org.x/%2f/?b=1&a";
    for binding in ["https", "grpc"] {
        let words = ["PUT", path, "--body-file", &body, "--binding", binding];
        let ran = peer.call(&words).await.expect(0);
        let asked = json!({ "method": "PUT", "target": path, "content": r#"{"a":"x","b":1}"# });
        assert_eq!(ran.json(), asked);
    }
    let file = peer.path("bytes");
    let words = [
        "GET",
        "/_matrix/federation/x/bytes",
        "-o",
        file.to_str().unwrap(),
    ];
    peer.call(&words).await.expect(0);
    assert_eq!(fs::read(file).unwrap(), PICTURE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_has_to_be_signed_is_not_sent_by_mistake_without() {
    let peer = Peer::start().await;
    let name = peer.name();
    let ran = peer
        .run(&["call", &name, "GetEvent", "eventId=$e"])
        .await
        .expect(2);
    assert!(
        ran.stderr.contains("--origin NAME and --key FILE"),
        "{}",
        ran.stderr
    );
    let words = [
        "call",
        &name,
        "GetEvent",
        "eventId=$e",
        "--unsigned",
        "--json",
    ];
    let ran = peer.run(&words).await.expect(1);
    assert_eq!(ran.json()["error"]["http_status"], 401);
    // Nobody has to prove anything for this one.
    let ran = peer.run(&["call", &name, "GetVersion"]).await.expect(0);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert_eq!(ran.json()["server"]["name"], "Test\u{1b}[31m");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_by_the_server_and_never_shown() {
    let peer = Peer::start().await;
    let seed = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";
    let wrong = peer.file("wrong.key", format!("ed25519 caller {seed}\n"));
    let name = peer.name();
    let base = [
        "call", "--origin", CALLER, "--key", &wrong, &name, "GetEvent",
    ];
    let words = [&base[..], &["eventId=$there/is", "-v"]].concat();
    let ran = peer.run(&words).await.expect(1);
    assert!(ran.stderr.contains("401 M_UNAUTHORIZED"), "{}", ran.stderr);
    assert!(ran.stderr.contains("comity keys"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&seed[..12]), "{}", ran.stderr);

    let broken = peer.file("broken.key", format!("ed25519 caller {seed}=!\n"));
    let base = [
        "call", "--origin", CALLER, "--key", &broken, &name, "GetEvent",
    ];
    let ran = peer
        .run(&[&base[..], &["eventId=$e"]].concat())
        .await
        .expect(2);
    assert!(ran.stderr.contains("signing.key"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&seed[..12]), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_trusted_or_not_allowed_is_not_called() {
    let peer = Peer::start().await;
    let name = peer.name();
    let ca = peer.path("ca.crt");
    let words = [
        "call",
        &name,
        "GetVersion",
        "--ca",
        ca.to_str().unwrap(),
        "--dns",
        "127.0.0.1:9",
    ];
    let ran = run(&words).await.expect(3);
    assert!(ran.stderr.contains("--allow-address"), "{}", ran.stderr);

    let other = Peer::start().await;
    let ca = other.path("ca.crt");
    let words = [
        "call",
        &name,
        "GetVersion",
        "--ca",
        ca.to_str().unwrap(),
        "--allow-address",
        "127.0.0.1",
        "--dns",
        "127.0.0.1:9",
    ];
    let ran = run(&words).await.expect(3);
    assert!(ran.stderr.contains("comity resolve"), "{}", ran.stderr);
    let danger = ["--danger-accept-any-certificate-for", &name];
    run(&[&words[..], &danger].concat()).await.expect(0);
    let danger = ["--danger-accept-any-certificate-for", "other.example"];
    run(&[&words[..], &danger].concat()).await.expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_elsewhere_changes_whom_is_dialled_and_not_whom_is_trusted() {
    let peer = Peer::start().await;
    let to = peer.name();
    // The name leads nowhere; the certificate has to be for it all the same.
    let words = ["call", "hs2.test:1", "GetVersion", "--connect-to", &to];
    peer.run(&words).await.expect(0);
    let words = ["call", "127.0.0.2:1", "GetVersion", "--connect-to", &to];
    peer.run(&words).await.expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_taken_from_a_file_only() {
    let peer = Peer::start().await;
    let name = peer.name();
    let words = ["call", &name, "GetOpenIdUserInfo", "access_token=s3cret"];
    let ran = peer.run(&words).await.expect(2);
    assert!(ran.stderr.contains("--param-file"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    let file = peer.file("token", "s3cret\n");
    let pair = format!("access_token={file}");
    let words = [
        "call",
        &name,
        "GetOpenIdUserInfo",
        "--param-file",
        &pair,
        "-v",
    ];
    let ran = peer.run(&words).await.expect(1);
    assert!(ran.stderr.contains("M_UNRECOGNIZED"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

/// A look-up that hangs leaves the call half of the time.
#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_be_learnt_what_is_offered_the_call_goes_by_https_and_says_so() {
    let peer = Peer::with(Wanted {
        silent_keys: true,
        ..Wanted::default()
    })
    .await;
    let words = ["GetEvent", "eventId=$there/is", "-v", "--json"];
    let ran = peer
        .call(&[&words[..], &["--timeout", "14"]].concat())
        .await
        .expect(0);
    let told: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(told["binding"], "http/1");
    assert_eq!(told["why"], "what it offers could not be learnt");
}
