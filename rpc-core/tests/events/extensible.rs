//! Content blocks, read from an event of any type.

use comity_core::event::extensible::{MAX_REPRESENTATIONS, Representation};
use proptest::prelude::*;

use crate::setting::pdu;

fn texts(content: &str) -> Vec<(String, String)> {
    let event = pdu(&format!(
        r#"{{"content":{content},"type":"org.example.tank"}}"#
    ));
    let texts = event.content_blocks().text().into_iter();
    texts
        .map(|Representation { mimetype, body }| (mimetype, body))
        .collect()
}

fn pairs(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(mimetype, body): &(&str, &str)| ((*mimetype).to_owned(), (*body).to_owned());
    texts.iter().map(pair).collect()
}

#[test]
fn a_text_is_read_from_a_type_that_nobody_knows() {
    let event = pdu(
        r#"{"type":"org.example.tank","content":{"m.text":[{"body":"<i>90</i>","mimetype":"text/html; charset=utf-8"},{"body":"90"}],
        "org.example.danger":"alert"}}"#,
    );
    let blocks = event.content_blocks();
    assert_eq!(
        blocks.names().collect::<Vec<_>>(),
        ["m.text", "org.example.danger"]
    );
    assert_eq!(
        blocks.get("org.example.danger").unwrap().as_str().unwrap(),
        "alert"
    );
    assert_eq!(blocks.text_as("text/plain").as_deref(), Some("90"));
    assert_eq!(blocks.text_as("Text/HTML").as_deref(), Some("<i>90</i>"));
    assert_eq!(blocks.text_as("text/markdown"), None);
}

#[test]
fn the_order_is_the_senders_and_what_is_malformed_is_skipped() {
    assert_eq!(
        texts(
            r#"{"m.text":[{"body":"a","mimetype":"text/x"},7,{"mimetype":"text/y"},{"body":3},{"body":"b","mimetype":null},{"body":"c"}]}"#
        ),
        pairs(&[("text/x", "a"), ("text/plain", "c")])
    );
    assert_eq!(texts(r#"{"m.text":[]}"#), []);
}

#[test]
fn the_short_forms_and_the_unstable_names_are_read() {
    assert_eq!(
        texts(r#"{"m.text":"a *fish*","m.html":"a <b>fish</b>"}"#),
        pairs(&[("text/html", "a <b>fish</b>"), ("text/plain", "a *fish*")])
    );
    assert_eq!(
        texts(r#"{"org.matrix.msc1767.text":"Voice message","msgtype":"m.audio"}"#),
        pairs(&[("text/plain", "Voice message")])
    );
    assert_eq!(
        texts(
            r#"{"org.matrix.msc1767.message":[{"body":"a","mimetype":"text/plain"}],"m.text":"b"}"#
        ),
        pairs(&[("text/plain", "a")])
    );
    // The stable name wins over the others, whatever they say.
    assert_eq!(
        texts(
            r#"{"m.message":[{"body":"c"}],"m.text":[{"body":"a"}],"org.matrix.msc1767.text":[{"body":"b"}]}"#
        ),
        pairs(&[("text/plain", "a")])
    );
}

#[test]
fn an_event_without_blocks_has_no_text() {
    for content in [
        "{}",
        "7",
        "[]",
        r#"{"m.text":{"body":"a"}}"#,
        r#"{"m.text":null}"#,
    ] {
        assert_eq!(texts(content), [], "{content}");
    }
    assert_eq!(pdu("{}").content_blocks().names().count(), 0);
}

#[test]
fn a_hostile_number_of_representations_is_cut() {
    let many = vec![r#"{"body":"a"}"#; 4_000].join(",");
    assert_eq!(
        texts(&format!(r#"{{"m.text":[{many}]}}"#)).len(),
        MAX_REPRESENTATIONS
    );
    // Malformed ones count: nobody looks through thousands of them for a good one.
    let bad = "7,".repeat(30_000);
    assert_eq!(texts(&format!(r#"{{"m.text":[{bad}{{"body":"a"}}]}}"#)), []);
    let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
    assert_eq!(texts(&format!(r#"{{"m.text":{deep}}}"#)), []);
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(texts in prop::collection::vec((".{0,8}", ".{0,20}"), 0..6)) {
        let written: Vec<_> = texts
            .iter()
            .map(|(mimetype, body)| serde_json::json!({"mimetype": mimetype, "body": body}))
            .collect();
        let read = self::texts(&serde_json::json!({"m.text": written}).to_string());
        prop_assert_eq!(read, texts);
    }
}
