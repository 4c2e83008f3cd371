//! An error over parts and back, as a binding carries it.

use std::time::Duration;

use bytes::Bytes;
use comity_core::error::{ErrorOrigin, ErrorParts, FederationError};
use proptest::prelude::*;

use crate::{assert_round_trip, http};

#[test]
fn the_body_wins_over_what_a_binding_says_beside_it() {
    let mut parts = http(403, r#"{"errcode":"M_FORBIDDEN","error":"no"}"#).parts();
    parts.errcode = Some("M_NOT_FOUND".into());
    parts.message = "other".into();
    let error = FederationError::from_parts(parts);
    assert_eq!(
        (error.errcode(), error.message()),
        (Some("M_FORBIDDEN"), "no")
    );
    assert_round_trip(&error);
}

proptest! {
    #[test]
    fn any_answer_survives_the_round_trip(
        status in any::<u16>(),
        errcode in proptest::option::of("\\PC{0,40}|M_[A-Z_]{1,20}|[A-Z.]{1,30}"),
        message in proptest::option::of(any::<String>()),
        ms in proptest::option::of(any::<i64>()),
        header in proptest::option::of("[0-9]{0,12}|\\PC{0,8}"),
    ) {
        let mut body = serde_json::Map::new();
        body.extend(errcode.map(|errcode| ("errcode".to_owned(), errcode.into())));
        body.extend(message.map(|message| ("error".to_owned(), message.into())));
        body.extend(ms.map(|ms| ("retry_after_ms".to_owned(), ms.into())));
        let body = Bytes::from(serde_json::to_vec_pretty(&body).unwrap());
        assert_round_trip(&FederationError::from_http(status, header.as_deref(), body));
    }

    #[test]
    fn any_bytes_survive_the_round_trip(status in any::<u16>(), body: Vec<u8>) {
        assert_round_trip(&FederationError::from_http(status, None, Bytes::from(body)));
    }

    #[test]
    fn any_parts_give_an_error_that_survives(
        http_status in any::<u16>(),
        errcode: Option<String>,
        message: String,
        retry_after: Option<Duration>,
        body in prop_oneof![Just(Vec::new()), any::<Vec<u8>>(), "\\{\"errcode\":\"[A-Z_]{1,9}\",\"retry_after_ms\":[1-9][0-9]{0,6}\\}".prop_map(String::into_bytes)],
    ) {
        let parts = ErrorParts {
            http_status, errcode, message, retry_after, body: Bytes::from(body), origin: ErrorOrigin::Remote,
        };
        assert_round_trip(&FederationError::from_parts(parts));
    }

    #[test]
    fn any_error_of_ours_survives(errcode: String, message: String, wait: Option<Duration>, name: String, value: String) {
        let mut error = FederationError::new(400, errcode, message).with_string(&name, &value);
        if let Some(wait) = wait {
            error = error.with_retry_after(wait);
        }
        assert_round_trip(&error);
    }
}
