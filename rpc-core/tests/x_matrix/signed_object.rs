//! What the signature covers.

use super::*;

#[test]
fn the_target_is_signed_as_sent() {
    let vector = Vector::named("get_trailing_question_mark");
    let mut request = vector.request(None);
    assert!(request.verify(&vector.verify_key(), &vector.signature()));
    request.uri = request.uri.strip_suffix('?').unwrap();
    assert!(!request.verify(&vector.verify_key(), &vector.signature()));

    // The same endpoint and parameters, escaped in two ways, are two targets.
    let (synapse, ruma) = (
        Vector::named("get_synapse_escaping"),
        Vector::named("get_ruma_escaping"),
    );
    assert!(
        !synapse
            .request(None)
            .verify(&ruma.verify_key(), &ruma.signature())
    );
}

#[test]
fn head_is_signed_as_head() {
    let vector = Vector::named("get_no_query");
    let mut request = vector.request(None);
    request.method = "HEAD";
    assert!(!request.verify(&vector.verify_key(), &vector.signature()));
}

#[test]
fn an_empty_object_is_not_the_absence_of_content() {
    let (with, without) = (
        Vector::named("post_empty_object"),
        Vector::named("post_no_content"),
    );
    let key = with.verify_key();
    assert!(with.request(Some("{}")).verify(&key, &with.signature()));
    assert!(!with.request(None).verify(&key, &with.signature()));
    assert!(!with.request(Some("{}")).verify(&key, &without.signature()));
}

#[test]
fn an_empty_body_verifies_without_content_and_with_an_empty_object() {
    let (with, without) = (
        Vector::named("post_empty_object"),
        Vector::named("post_no_content"),
    );
    let key = with.verify_key();
    let request = with.request(None);
    assert!(request.verify_empty_body(&key, &without.signature()));
    assert!(request.verify_empty_body(&key, &with.signature()));
    let other = Vector::named("get_no_query");
    assert!(!request.verify_empty_body(&key, &other.signature()));
}

#[test]
fn content_is_not_stripped() {
    let vector = Vector::named("get_no_query");
    let content = r#"{"pdus":[{"signatures":{},"unsigned":{"age":1}}],"signatures":{}}"#;
    let signed = vector.request(Some(content)).to_vec();
    let signed = String::from_utf8(signed).unwrap();
    assert!(signed.starts_with(&format!(r#"{{"content":{content},"destination""#)));
}

#[test]
fn the_receivers_name_stands_in_for_an_absent_destination() {
    let vector = Vector::named("get_no_query");
    let (header, _) = vector
        .header_synapse_order
        .split_once(",destination")
        .unwrap();
    let credential = parse(header).unwrap();
    assert_eq!(credential.destination, None);
    let request = vector.request(None);
    assert!(request.verify(&vector.verify_key(), &credential.signature));
}

#[test]
fn number_literals_are_kept() {
    let vector = Vector::named("put_float_as_synapse_signs_it");
    let content = vector.content().unwrap();
    let request = vector.request(Some(&content));
    assert!(request.verify(&vector.verify_key(), &vector.signature()));
    let rewritten = content.replace("10000000000.0", "10000000000");
    let request = vector.request(Some(&rewritten));
    assert!(!request.verify(&vector.verify_key(), &vector.signature()));
}

#[test]
fn odd_characters_are_escaped_canonically() {
    let origin: ServerName = "a.example".parse().unwrap();
    let request = SignedRequest {
        method: "G\"ET",
        uri: "/a\"b\\c",
        origin: &origin,
        destination: "é\u{0}\u{8}\t\n\u{c}\r\u{1f}\u{7f}/\"\\",
        content: None,
    };
    assert_eq!(
        String::from_utf8(request.to_vec()).unwrap(),
        concat!(
            r#"{"destination":"é\u0000\b\t\n\f\r\u001f"#,
            "\u{7f}",
            r#"/\"\\","method":"G\"ET","origin":"a.example","uri":"/a\"b\\c"}"#
        )
    );
}
