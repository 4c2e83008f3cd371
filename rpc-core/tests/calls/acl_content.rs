//! What the content of a server ACL means.

use bytes::Bytes;
use comity_core::{acl::ServerAcl, json::Object};
use proptest::prelude::*;

use crate::homeserver::name;

pub(crate) fn object(text: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(text.as_bytes()), 1 << 20).unwrap()
}

pub(crate) fn acl(text: &str) -> ServerAcl {
    ServerAcl::from_content(&object(text))
}

#[test]
fn each_content_allows_what_the_specification_says() {
    let all = r#"{"allow":["*"]}"#;
    let good = r#"{"allow":["*"],"deny":["*.evil.example","evil.example","1.1.1.?"],"allow_ip_literals":false}"#;
    let rows: &[(&str, &str, bool)] = &[
        (all, "a.example", true),
        (all, "1.2.3.4", true),
        (all, "[::1]:8448", true),
        (good, "a.example", true),
        (good, "a.example:8448", true),
        (good, "evil.example", false),
        (good, "evil.example:8448", false),
        (good, "EVIL.example", false),
        (good, "x.Evil.Example:1", false),
        (good, "notevil.example", true),
        // IP literals come first, whatever the lists say.
        (good, "1.2.3.4", false),
        (good, "1.2.3.4:1", false),
        (good, "[::1]", false),
        // No literals: they are names.
        (good, "1.2.3", true),
        (good, "1.2.3.400", true),
        (r#"{"allow":["*"],"deny":["1.1.1.?"]}"#, "1.1.1.1", false),
        (r#"{"allow":["*"],"deny":["1.1.1.?"]}"#, "1.1.1.11", true),
        (r#"{"allow":["[*]"]}"#, "[2001:db8::1]:8448", true),
        (r#"{"allow":["[2001:DB8::1]"]}"#, "[2001:db8::1]", true),
        (r#"{"allow":["A.EXAMPLE"]}"#, "a.example", true),
        // A port in an entry is nothing that a name without port matches.
        (r#"{"allow":["a.example:8448"]}"#, "a.example:8448", false),
        (r#"{"allow":["*"],"deny":["*"]}"#, "a.example", false),
        (r#"{"allow":["?.example"]}"#, "a.example", true),
        (r#"{"allow":["?.example"]}"#, "ab.example", false),
        (r#"{"allow":["?.example"]}"#, ".example", false),
        // Every character but two means itself.
        (r#"{"allow":["a+.example"]}"#, "aa.example", false),
        (r#"{"allow":["[ab].example"]}"#, "a.example", false),
        (r#"{"allow":["a.example"]}"#, "a-example", false),
        (r#"{"allow":["a\\.example"]}"#, "a.example", false),
        (r#"{"allow":[""]}"#, "a.example", false),
        (r#"{"allow":["é*"]}"#, "a.example", false),
        (r#"{"allow":["*","é"],"deny":["*é*"]}"#, "a.example", true),
        // What is missing or of another type is the default: nobody is let in.
        ("{}", "a.example", false),
        (r#"{"deny":[]}"#, "a.example", false),
        (r#"{"allow":null}"#, "a.example", false),
        (r#"{"allow":"*"}"#, "a.example", false),
        (r#"{"allow":{"0":"*"}}"#, "a.example", false),
        (r#"{"allow":[["*"],7,null]}"#, "a.example", false),
        (r#"{"allow":[7,"*"],"deny":"*"}"#, "a.example", true),
        (
            r#"{"allow":["*"],"deny":[null,"a.example"]}"#,
            "a.example",
            false,
        ),
        (
            r#"{"allow":["*"],"allow_ip_literals":"false"}"#,
            "1.2.3.4",
            true,
        ),
        (r#"{"allow":["*"],"allow_ip_literals":0}"#, "1.2.3.4", true),
        (
            r#"{"allow":["*"],"allow_ip_literals":null}"#,
            "1.2.3.4",
            true,
        ),
    ];
    for (content, server, allowed) in rows {
        assert_eq!(
            acl(content).allows(&name(server)),
            *allowed,
            "{content} {server}"
        );
    }
}

#[test]
fn a_hostile_pattern_costs_no_more_than_its_length() {
    let host = format!("{}b", "a".repeat(254));
    let begun = std::time::Instant::now();
    for pattern in ["*a", "a*", "*?", "**", "?*a", "*aa*a"] {
        let patterns = format!("{}c", pattern.repeat(60_000 / pattern.len()));
        let content = format!(r#"{{"allow":["*"],"deny":["{patterns}"]}}"#);
        assert!(acl(&content).allows(&name(&host)), "{pattern}");
    }
    let many = vec![format!("\"*{}c\"", "*a".repeat(100)); 300].join(",");
    let content = format!(r#"{{"allow":["*"],"deny":[{many}]}}"#);
    assert!(acl(&content).allows(&name(&host)));
    // Backtracking into every star would take longer than the universe has been there.
    assert!(begun.elapsed().as_secs() < 20);
}

/// What a pattern means, by definition and at any cost.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            means(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, left)| means(pattern, left))
        }
        (Some((b'?', rest)), Some((_, left))) => means(rest, left),
        (Some((a, rest)), Some((b, left))) => a == b && means(rest, left),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_pattern_means_what_it_is_defined_to_mean(pattern in "[ab*?]{0,10}", host in "[ab]{1,10}") {
        let content = format!(r#"{{"allow":["{pattern}"]}}"#);
        prop_assert_eq!(acl(&content).allows(&name(&host)), means(pattern.as_bytes(), host.as_bytes()));
    }
}
