//! Server names against the specification's grammar and against what other implementations take.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::{collections::BTreeSet, net::IpAddr};

use comity_core::{ServerName, ServerNameError};
use proptest::prelude::*;

fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

fn refused(text: &str) -> ServerNameError {
    text.parse::<ServerName>().unwrap_err()
}

#[test]
fn hosts_and_ports_are_split() {
    for (text, host, port) in [
        ("matrix.org", "matrix.org", None),
        ("matrix.org:8888", "matrix.org", Some(8888)),
        ("1.2.3.4", "1.2.3.4", None),
        ("1.2.3.4:1234", "1.2.3.4", Some(1234)),
        ("[1234:5678::abcd]", "[1234:5678::abcd]", None),
        ("[1234:5678::abcd]:5678", "[1234:5678::abcd]", Some(5678)),
        ("localhost", "localhost", None),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
    ] {
        let name = name(text);
        assert_eq!((name.host(), name.port()), (host, port), "{text}");
        assert_eq!(name.connect_port(), Ok(port), "{text}");
        assert_eq!(name.as_str(), text);
    }
}

#[test]
fn what_the_grammar_refuses_is_refused() {
    assert_eq!(refused("a.b:"), ServerNameError::Port);
    assert_eq!(refused("::1"), ServerNameError::Port);
    assert_eq!(refused("[::1"), ServerNameError::Ipv6);
    assert_eq!(refused("ä.b"), ServerNameError::Host);
    assert_eq!(refused("a_b"), ServerNameError::Host);
    assert_eq!(refused("a.b:x"), ServerNameError::Port);
    assert_eq!(refused("a.b:100000"), ServerNameError::Port);
    assert_eq!(refused(""), ServerNameError::EmptyHost);
    assert_eq!(refused(":8448"), ServerNameError::EmptyHost);
    for text in [
        "[::1]x",
        "[::1]]",
        "[]",
        "[:]",
        "[::g]",
        "[::1%eth0]",
        "[[::1]]",
    ] {
        assert_eq!(refused(text), ServerNameError::Ipv6, "{text}");
    }
    for text in ["a b", "a.b ", "a/b", "a.b\n", "@a.b", "a.b\0", "*.b"] {
        assert_eq!(refused(text), ServerNameError::Host, "{text}");
    }
    for text in ["a.b:80:80", "a.b:-1", "a.b:+1", "a.b: 1", "a.b:1 ", "a.b:١"] {
        assert_eq!(refused(text), ServerNameError::Port, "{text}");
    }
}

#[test]
fn a_port_that_is_no_tcp_port_is_a_name_but_not_connectable() {
    for text in ["a.b:99999", "a.b:0", "a.b:00000", "a.b:65536"] {
        assert!(name(text).connect_port().is_err(), "{text}");
    }
    assert_eq!(name("a.b:99999").port(), None);
    assert_eq!(name("a.b:0").port(), Some(0));
    assert_eq!(name("a.b:65535").connect_port(), Ok(Some(65535)));
}

#[test]
fn leading_zeros_of_a_port_stay_in_the_identity() {
    let padded = name("a.b:08448");
    assert_eq!(padded.connect_port(), Ok(Some(8448)));
    assert_ne!(padded, name("a.b:8448"));
}

#[test]
fn names_that_dns_would_refuse_are_names() {
    for text in ["1.2.3.4.5", "300.1.1.1", "-a.b", "a..b", "a.b.", "."] {
        let name = name(text);
        assert_eq!(name.host(), text);
        assert!(!name.is_ip_literal(), "{text}");
    }
}

#[test]
fn a_host_has_at_most_255_characters() {
    let longest = "a".repeat(255);
    assert!(format!("{longest}:12345").parse::<ServerName>().is_ok());
    assert_eq!(refused(&format!("{longest}a")), ServerNameError::TooLong);
    assert!(
        format!("[{}]", "1".repeat(45))
            .parse::<ServerName>()
            .is_ok()
    );
    assert!(
        format!("[{}]", "1".repeat(46))
            .parse::<ServerName>()
            .is_err()
    );
}

#[test]
fn identity_is_case_sensitive() {
    assert_ne!(name("MATRIX.ORG"), name("matrix.org"));
    let set = BTreeSet::from([name("MATRIX.ORG"), name("matrix.org")]);
    assert_eq!(set.len(), 2);
    assert!(set.contains("matrix.org"));
}

#[test]
fn ip_literals_are_told_from_names() {
    let ip = |text: &str| name(text).ip();
    assert_eq!(ip("127.0.0.1:80"), Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(ip("127.0.0.01"), Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(ip("[::1]:80"), Some("::1".parse().unwrap()));
    assert_eq!(
        ip("[::ffff:1.2.3.4]"),
        Some("::ffff:1.2.3.4".parse().unwrap())
    );
    assert_eq!(ip("matrix.org"), None);
    assert_eq!(ip("[:::]"), None);
    assert!(name("[:::]").is_ip_literal());
    assert!(name("127.0.0.01").is_ip_literal());
    assert!(!name("1.2.3").is_ip_literal());
    assert!(!name("0001.2.3.4").is_ip_literal());
}

#[test]
fn json_carries_the_text_and_checks_it() {
    let name = name("[::1]:8448");
    let json = serde_json::to_string(&name).unwrap();
    assert_eq!(json, r#""[::1]:8448""#);
    assert_eq!(serde_json::from_str::<ServerName>(&json).unwrap(), name);
    assert!(serde_json::from_str::<ServerName>(r#""a_b""#).is_err());
}

proptest! {
    #[test]
    fn parsing_never_panics_and_keeps_the_text(text in "\\PC*|[\\[\\]:.a0-9]{0,50}") {
        if let Ok(name) = text.parse::<ServerName>() {
            prop_assert_eq!(name.as_str(), &text);
            let _ = (name.host(), name.port(), name.connect_port(), name.ip(), name.is_ip_literal());
        }
    }

    #[test]
    fn grammatical_names_parse(text in "([a-zA-Z0-9.-]{1,255}|\\[[0-9a-fA-F:.]{2,45}\\])(:[0-9]{1,5})?") {
        prop_assert!(text.parse::<ServerName>().is_ok());
    }
}
