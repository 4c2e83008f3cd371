//! `comity resolve`.

use comity_core::transport::Offer;
use serde_json::json;

use crate::setting::{CALLER, Peer, Wanted, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_server_is_told_step_by_step() {
    let offer = Offer {
        binding: "grpc/1".to_owned(),
        connect_to: None,
        priority: 10,
        session: false,
    };
    let peer = Peer::with(Wanted {
        offers: vec![offer],
        ..Wanted::default()
    })
    .await;
    let name = peer.name();
    let ran = peer.run(&["resolve", &name]).await.expect(0);
    let host = format!("Host {name}, certificate for 127.0.0.1, no SNI");
    for said in [
        "step 1",
        &host,
        "ok, TLSv1.3, h2",
        "certificate for 127.0.0.1, hs2.test, two.test",
        "by The Test's Authority",
        "runs       Test\\u001b[31m 1.2\\u000awrong: all",
        "key      ed25519:peer",
        "grpc/1, priority 10 (signed): works",
        "nothing is wrong",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'));
    let forged = ran.stdout.lines().any(|line| line.starts_with("wrong"));
    assert!(!forged, "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_and_its_hint_are_followed() {
    let peer = Peer::with(Wanted {
        name: Some("hs2.test"),
        well_known: Some(
            r#"{"m.server":"127.0.0.1:PORT","dev.comity.bindings":[{"binding":"grpc/1"}]}"#,
        ),
        ..Wanted::default()
    })
    .await;
    let port = peer.address.port().to_string();
    let words = ["resolve", "hs2.test", "--well-known-port", &port];
    let ran = peer.run(&words).await.expect(0);
    for said in [
        "step 3   GET https://hs2.test/.well-known/matrix/server",
        &format!("m.server = 127.0.0.1:{port}"),
        &format!("Host 127.0.0.1:{port}, certificate for 127.0.0.1, no SNI"),
        "grpc/1, priority 0 (hint): works",
        "nothing is wrong",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let key = peer.key_file();
    let mut words = vec![
        "call", "--origin", CALLER, "--key", &key, "hs2.test", "GetEvent",
    ];
    words.extend([
        "eventId=$there/is",
        "-v",
        "--json",
        "--well-known-port",
        &port,
    ]);
    let ran = peer.run(&words).await.expect(0);
    assert!(
        ran.stderr.contains(r#""why":"it offers that (hint)""#),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_nowhere_is_told_with_what_to_do() {
    let peer = Peer::start().await;
    // Nobody has a document there, and nobody listens at 8448.
    let port = peer.address.port().to_string();
    let words = ["resolve", "hs2.test", "--well-known-port", &port, "--json"];
    let ran = peer.run(&words).await.expect(3);
    let json = ran.json();
    let steps = json["discovery"]["steps"].as_array().unwrap();
    assert!(steps[0]["fault"].is_string(), "{json}");
    let next = json["next"][0].as_str().unwrap();
    assert!(next.contains("the port has to be open"), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_accepted_is_shown_all_the_same() {
    let wrong = Peer::with(Wanted {
        certificate: vec!["other.example"],
        ..Wanted::default()
    })
    .await;
    let ran = wrong
        .run(&["resolve", &wrong.name(), "--json"])
        .await
        .expect(3);
    let json = ran.json();
    let address = &json["addresses"][0];
    assert_eq!(address["certificate"]["names"], json!(["other.example"]));
    assert!(address["fault"].is_string(), "{json}");
    assert_eq!(
        json["keys"],
        json!(null),
        "nothing is asked of who is not proven: {json}"
    );

    let expired = Peer::with(Wanted {
        expired: true,
        ..Wanted::default()
    })
    .await;
    let ran = expired.run(&["resolve", &expired.name()]).await.expect(3);
    assert!(
        ran.stdout.contains("2020-01-01 00:00:00 UTC to 2020-06-01"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("BAD"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_does_not_work_is_odd_and_not_wrong() {
    let offer = Offer {
        binding: "grpc/1".to_owned(),
        connect_to: None,
        priority: 10,
        session: false,
    };
    let peer = Peer::with(Wanted {
        offers: vec![offer],
        grpc: false,
        ..Wanted::default()
    })
    .await;
    let ran = peer
        .run(&["resolve", &peer.name(), "--json"])
        .await
        .expect(0);
    let json = ran.json();
    assert!(json["bindings"][0]["fault"].is_string(), "{json}");
    assert!(
        json["warnings"][0].as_str().unwrap().contains("grpc/1"),
        "{json}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_is_named_with_what_allows_it() {
    let peer = Peer::start().await;
    let (name, ca) = (peer.name(), peer.path("ca.crt"));
    let words = [
        "resolve",
        &name,
        "--ca",
        ca.to_str().unwrap(),
        "--dns",
        "127.0.0.1:9",
    ];
    let ran = run(&words).await.expect(3);
    assert!(ran.stdout.contains("not global"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--allow-address"), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_is_no_good_is_refused_before_anything_is_sent() {
    for (words, said) in [
        (&["resolve", "not a name"][..], "a server name is"),
        (
            &["resolve", "example.org", "--ca", "/no/such/file"],
            "cannot be read",
        ),
        (
            &["resolve", "example.org", "--allow-address", "ten"],
            "--allow-address ten",
        ),
        (&["resolve", "example.org", "--timeout", "0"], "--timeout"),
        (&["call", "example.org"], "OPERATION"),
        (
            &["call", "example.org", "GetEvent", "--key", "f"],
            "--origin",
        ),
    ] {
        let ran = run(words).await.expect(2);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_given_up_and_what_was_found_is_shown() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = silent.local_addr().unwrap().to_string();
    let peer = Peer::start().await;
    let ca = peer.path("ca.crt");
    let mut allowed = vec!["--allow-address", "127.0.0.1", "--timeout", "2"];
    // Neither the system's authorities nor its DNS servers play a role.
    allowed.extend(["--ca", ca.to_str().unwrap(), "--dns", "127.0.0.1:9"]);
    let ran = run(&[&["resolve", &name], &allowed[..]].concat())
        .await
        .expect(3);
    for said in ["leads to   Host", "not done with after 2s", "--timeout"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    for command in [&["call", &name, "GetVersion"][..], &["keys", &name]] {
        let ran = run(&[command, &allowed[..]].concat()).await.expect(3);
        assert!(ran.stderr.contains("--timeout SECONDS"), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_is_is_odd_as_long_as_another_answers() {
    let peer = Peer::with(Wanted {
        name: Some("two.test"),
        well_known: Some(r#"{"m.server":"two.test:PORT"}"#),
        ..Wanted::default()
    })
    .await;
    let port = peer.address.port().to_string();
    let words = ["resolve", "two.test", "--well-known-port", &port, "--json"];
    let json = peer.run(&words).await.expect(0).json();
    let probes = json["addresses"].as_array().unwrap();
    assert_eq!(probes.len(), 2, "{json}");
    let of = |address: &str| {
        let is_it = |probe: &&serde_json::Value| probe["address"] == format!("{address}:{port}");
        probes.iter().find(is_it).unwrap()
    };
    assert_eq!(of("127.0.0.1")["fault"], json!(null));
    assert!(of("127.0.0.2")["fault"].is_string(), "{json}");
    let warning = json["warnings"][0].as_str().unwrap();
    assert!(warning.contains("127.0.0.2"), "{warning}");
    assert_eq!(json["faults"], json!([]));
}
