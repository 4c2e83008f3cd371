//! Whose error it is when a gateway stands between.

use comity_core::error::{
    Delivery, ErrorOrigin, FederationError, TransportError, TransportErrorKind,
};

use crate::{assert_round_trip, http};

#[test]
fn a_gateway_answers_in_its_own_name() {
    let timeout = TransportError::new(
        TransportErrorKind::Timeout,
        Delivery::MaybeProcessed,
        "60 s",
    );
    let error = FederationError::from_transport(&timeout, "gw.example");
    assert_eq!(
        (error.http_status(), error.errcode()),
        (504, Some("M_UNKNOWN"))
    );
    assert_eq!(error.origin(), &ErrorOrigin::Gateway("gw.example".into()));
    assert!(error.body().ends_with(br#","via":"gw.example"}"#));
    let closed = TransportError::new(TransportErrorKind::Closed, Delivery::MaybeProcessed, "");
    assert_eq!(
        FederationError::from_transport(&closed, "gw.example").http_status(),
        502
    );
    let own = FederationError::unrecognized().spoken_by("gw.example");
    assert_eq!(own.origin(), &ErrorOrigin::Gateway("gw.example".into()));
    assert!(own.body().ends_with(br#","via":"gw.example"}"#));
    assert_round_trip(&own);
    // What another said is not the gateway's, and who is not told twice.
    for said in [
        http(403, r#"{"errcode":"M_FORBIDDEN"}"#),
        http(502, ""),
        own,
    ] {
        let passed_on = said.clone().spoken_by("other.example");
        assert_eq!(passed_on.origin(), said.origin());
        assert_eq!(passed_on.body(), said.body());
    }
}

#[test]
fn a_gateways_name_is_read_where_there_is_an_errcode() {
    let gateway = ErrorOrigin::Gateway("gw.example".into());
    for (body, origin) in [
        (r#"{"errcode":"M_UNKNOWN","via":"gw.example"}"#, &gateway),
        (r#"{"errcode":"M_UNKNOWN","via":""}"#, &ErrorOrigin::Remote),
        (
            r#"{"errcode":"M_UNKNOWN","via":["gw.example"]}"#,
            &ErrorOrigin::Remote,
        ),
        (r#"{"via":"gw.example"}"#, &ErrorOrigin::Intermediary),
    ] {
        assert_eq!(http(502, body).origin(), origin, "{body}");
    }
}
