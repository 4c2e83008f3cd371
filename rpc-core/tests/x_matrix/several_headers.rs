//! All Authorization headers of a request together.

use super::*;

#[test]
fn no_x_matrix_at_all_is_told_apart_from_malformed() {
    assert_eq!(from_headers(&[]), Err(XMatrixError::Missing));
    for other in [
        "Bearer x",
        "",
        "Basic eDp5",
        "X-Matrix2 origin=a",
        "X-Matri",
    ] {
        assert!(from_headers(&[other]).unwrap_err().is_missing(), "{other}");
    }
    assert!(!from_headers(&["X-Matrix"]).unwrap_err().is_missing());
    assert!(
        !from_headers(&["X-Matrix nonsense"])
            .unwrap_err()
            .is_missing()
    );
}

#[test]
fn other_schemes_are_ignored_wherever_they_stand() {
    let header = header_of("a.example:8448", "ed25519:k1");
    let long = format!("Bearer {}", "x".repeat(2 * MAX_HEADER_BYTES));
    let credentials = from_headers(&["Bearer x", &header, &long]).unwrap();
    assert_eq!(credentials.as_slice(), [usual()]);
}

#[test]
fn several_of_one_origin_are_collected_in_order() {
    let credentials = from_headers(&[
        &header_of("a.example", "ed25519:k1"),
        "Bearer x",
        &header_of("a.example", "ed25519:k2"),
    ])
    .unwrap();
    assert_eq!(credentials.origin(), &"a.example");
    let keys: Vec<_> = credentials
        .as_slice()
        .iter()
        .map(|credential| credential.key.as_str())
        .collect();
    assert_eq!(keys, ["ed25519:k1", "ed25519:k2"]);
}

#[test]
fn different_origins_are_refused() {
    for other in ["b.example", "A.example", "a.example:8448"] {
        assert_eq!(
            from_headers(&[
                &header_of("a.example", "ed25519:k1"),
                &header_of(other, "ed25519:k1"),
            ]),
            Err(XMatrixError::DifferentOrigins)
        );
    }
}

#[test]
fn one_malformed_header_refuses_the_request() {
    let good = header_of("a.example", "ed25519:k1");
    let error = from_headers(&[&good, "X-Matrix origin=a.example"]).unwrap_err();
    assert_eq!(error, XMatrixError::MissingParameter("key"));
}

#[test]
fn the_number_of_credentials_is_bounded() {
    let header = header_of("a.example", "ed25519:k1");
    let many = vec![header.as_str(); MAX_CREDENTIALS + 1];
    assert!(from_headers(&many[..MAX_CREDENTIALS]).is_ok());
    assert_eq!(from_headers(&many), Err(XMatrixError::TooMany));
}

#[test]
fn bytes_that_are_no_text_matter_only_in_our_scheme() {
    let mut header = header_of("a.example", "ed25519:k1").into_bytes();
    header.extend(b",x=\"\xff\"");
    assert!(matches!(
        XMatrixCredentials::from_headers([header.as_slice()]),
        Err(XMatrixError::Syntax { .. })
    ));
    assert_eq!(
        XMatrixCredentials::from_headers([b"Bearer \xff".as_slice()]),
        Err(XMatrixError::Missing)
    );
}
