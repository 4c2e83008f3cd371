//! One header: what is accepted, what is malformed.

use super::*;

#[test]
fn the_scheme_is_case_insensitive() {
    accepted(&header_of("a.example:8448", "ed25519:k1").replace("X-Matrix", "x-matrix"));
    accepted(&header_of("a.example:8448", "ed25519:k1").replace("X-Matrix", "X-MATRIX"));
}

#[test]
fn several_spaces_after_the_scheme_are_accepted() {
    accepted(&header_of("a.example:8448", "ed25519:k1").replace("X-Matrix ", "X-Matrix   "));
}

#[test]
fn spaces_and_tabs_around_equals_and_commas_are_accepted() {
    accepted(&format!(
        "X-Matrix origin = \"a.example:8448\" ,\tkey\t=\t\"ed25519:k1\", sig= \"{SIG}\" , destination =b.example \t"
    ));
}

#[test]
fn parameter_names_are_case_insensitive() {
    accepted(&format!(
        r#"X-Matrix ORIGIN="a.example:8448",Key="ed25519:k1",SIG="{SIG}",Destination="b.example""#
    ));
}

#[test]
fn a_comma_inside_quotes_belongs_to_the_value() {
    accepted(&(header_of("a.example:8448", "ed25519:k1") + r#",x="1,origin=evil,2""#));
}

#[test]
fn backslash_escapes_in_quotes_are_undone() {
    accepted(&header_of("a\\.exam\\ple:8448", "\\ed25519:k\\1"));
    let header = header_of("a.example", "ed25519:k1").replace("b.example", r#"b\"\\,é"#);
    assert_eq!(
        parse(&header).unwrap().destination.as_deref(),
        Some(r#"b"\,é"#)
    );
}

#[test]
fn unquoted_values_may_hold_more_than_a_token() {
    accepted(&format!(
        "X-Matrix origin=a.example:8448,key=ed25519:k1,sig={SIG},destination=b.example"
    ));
    accepted(&format!(
        "X-Matrix origin=a.example:8448,key=ed25519:k1,sig={SIG}==,destination=b.example"
    ));
    let header = format!("X-Matrix origin=[::1]:8448,key=ed25519:k1,sig={SIG}");
    assert_eq!(parse(&header).unwrap().origin, "[::1]:8448");
}

#[test]
fn empty_list_elements_are_accepted() {
    let header = header_of("a.example:8448", "ed25519:k1");
    accepted(&format!("{header},"));
    accepted(&header.replace(",key", ",, ,key"));
    accepted(&header.replace("X-Matrix ", "X-Matrix ,"));
}

#[test]
fn a_parameter_without_a_value_is_ignored() {
    let header = header_of("a.example:8448", "ed25519:k1");
    accepted(&format!("{header},foo"));
    accepted(&header.replace(",key", ",foo ,key"));
}

#[test]
fn unknown_parameters_are_ignored() {
    let header = header_of("a.example:8448", "ed25519:k1");
    accepted(&format!(r#"{header},signature="x",foo=bar,foo="#));
}

#[test]
fn a_tab_after_the_scheme_is_malformed() {
    let header = header_of("a.example", "ed25519:k1").replace("X-Matrix ", "X-Matrix\t");
    assert!(matches!(
        parse(&header),
        Err(XMatrixError::Syntax { offset: 8, .. })
    ));
}

#[test]
fn an_empty_destination_is_kept_and_matches_nobody() {
    for empty in ["destination=\"\"", "destination="] {
        let header =
            header_of("a.example", "ed25519:k1").replace(r#"destination="b.example""#, empty);
        assert_eq!(parse(&header).unwrap().destination.as_deref(), Some(""));
    }
}

#[test]
fn a_destination_that_is_no_server_name_is_not_malformed() {
    let header = header_of("a.example", "ed25519:k1").replace("b.example", "b_example:x");
    assert!(parse(&header).is_ok());
}

#[test]
fn a_parameter_that_stands_twice_is_malformed() {
    let header = header_of("a.example", "ed25519:k1");
    for (twice, name) in [
        (r#",origin="a.example""#, "origin"),
        (",DESTINATION=b.example", "destination"),
        (",key=", "key"),
        (",sig=x", "sig"),
    ] {
        assert_eq!(
            parse(&format!("{header}{twice}")),
            Err(XMatrixError::DuplicateParameter(name))
        );
    }
}

#[test]
fn a_missing_parameter_is_malformed() {
    for (header, name) in [
        ("X-Matrix ".to_owned(), "origin"),
        (format!("X-Matrix key=ed25519:k1,sig={SIG}"), "origin"),
        (format!("X-Matrix origin=a.example,sig={SIG}"), "key"),
        ("X-Matrix origin=a.example,key=ed25519:k1".to_owned(), "sig"),
    ] {
        assert_eq!(parse(&header), Err(XMatrixError::MissingParameter(name)));
    }
}

#[test]
fn an_origin_that_is_no_server_name_is_malformed() {
    for origin in ["localhost:http", "", "a_b", "a.b:"] {
        assert!(matches!(
            parse(&header_of(origin, "ed25519:k1")),
            Err(XMatrixError::Origin(_))
        ));
    }
}

#[test]
fn a_key_id_or_signature_that_is_none_is_malformed() {
    for key in [
        "ed25519",
        "ed25519:",
        ":k1",
        "ed25519:k-1",
        "ed25519:a:b",
        "",
    ] {
        assert!(matches!(
            parse(&header_of("a.example", key)),
            Err(XMatrixError::Key(_))
        ));
    }
    let header = header_of("a.example", "ed25519:k1").replace(SIG, "x");
    assert!(matches!(parse(&header), Err(XMatrixError::Signature(_))));
}

#[test]
fn broken_syntax_is_malformed() {
    for list in [
        "",
        " ",
        r#" origin="a"#,
        r#" origin="a\"#,
        r#" origin="a"b"#,
        r#" origin="a" key="b""#,
        r#" ="a""#,
        " \"origin\"=a",
        " origin=a b",
        " origin=a\"b",
        " origin=\"a\nb\"",
        " origin=\"a\\\nb\"",
        " origin=é",
        ",origin=a",
    ] {
        let error = parse(&format!("X-Matrix{list}")).unwrap_err();
        assert!(!error.is_missing(), "{list}");
    }
}

#[test]
fn two_values_joined_by_a_proxy_are_malformed() {
    let (one, two) = (
        header_of("a.example", "ed25519:k1"),
        header_of("evil.example", "ed25519:k2"),
    );
    assert!(matches!(
        parse(&format!("{one}, {two}")),
        Err(XMatrixError::Syntax { .. })
    ));
}

#[test]
fn a_long_header_is_refused() {
    let header = header_of("a.example:8448", "ed25519:k1");
    let fill = |length: usize| format!("{header},{}", "x".repeat(length - header.len() - 1));
    accepted(&fill(MAX_HEADER_BYTES));
    assert_eq!(
        parse(&fill(MAX_HEADER_BYTES + 1)),
        Err(XMatrixError::TooLong)
    );
}

#[test]
fn the_printed_form_is_the_one_every_receiver_reads() {
    assert_eq!(
        usual().to_header(),
        format!(
            r#"X-Matrix origin="a.example:8448",key="ed25519:k1",sig="{SIG}",destination="b.example""#
        )
    );
}

#[test]
fn printing_cannot_break_out_of_the_header() {
    let credential = XMatrix {
        destination: Some("b\r\nEvil: \"1\"\0".to_owned()),
        ..usual()
    };
    let header = credential.to_header();
    assert!(!header.contains(|c: char| c.is_control()));
    assert_eq!(
        parse(&header).unwrap().destination.as_deref(),
        Some("b??Evil: \"1\"?")
    );
}
