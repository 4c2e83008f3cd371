//! The values of labels: closed lists, whatever a peer writes.

use comity_core::{
    error::{ErrorKind, TransportErrorKind},
    layers::Outcome,
    transport::FallbackReason,
};

/// Stands for a label value that is not on its list.
pub const OTHER: &str = "other";

/// The outcome of a call that succeeded.
pub(super) const OK: &str = "ok";

/// Reasons beside those of falling back. The list is closed.
const REASONS: &[&str] = &[
    "closed_path",
    "danger",
    "destination",
    "egress_secret",
    "key_expired",
    "key_unavailable",
    "key_unknown",
    "keys_busy",
    "loop",
    "malformed",
    "missing",
    "origin",
    "signature",
];

/// The outcome of a call as a label: `ok`, `not_found`, `transport_timeout`.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reply => OK,
        Outcome::Answer(kind) => kind_label(kind),
        Outcome::Failure(kind) => transport_label(kind),
        Outcome::Abandoned => "abandoned",
    }
}

fn kind_label(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Cancelled => "cancelled",
        ErrorKind::Unknown => "unknown",
        ErrorKind::InvalidArgument => "invalid_argument",
        ErrorKind::DeadlineExceeded => "deadline_exceeded",
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::ResourceExhausted => "resource_exhausted",
        ErrorKind::FailedPrecondition => "failed_precondition",
        ErrorKind::Aborted => "aborted",
        ErrorKind::OutOfRange => "out_of_range",
        ErrorKind::Unimplemented => "unimplemented",
        ErrorKind::Internal => "internal",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::DataLoss => "data_loss",
        ErrorKind::Unauthenticated => "unauthenticated",
    }
}

fn transport_label(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Resolve => "transport_resolve",
        TransportErrorKind::Connect => "transport_connect",
        TransportErrorKind::Tls => "transport_tls",
        TransportErrorKind::Closed => "transport_closed",
        TransportErrorKind::Protocol => "transport_protocol",
        TransportErrorKind::Timeout => "transport_timeout",
        TransportErrorKind::Cancelled => "transport_cancelled",
        TransportErrorKind::LimitExceeded => "transport_limit_exceeded",
        TransportErrorKind::Busy => "transport_busy",
        TransportErrorKind::Unsupported => "transport_unsupported",
        TransportErrorKind::Refused => "transport_refused",
        TransportErrorKind::Carrier => "transport_carrier",
        _ => OTHER,
    }
}

/// A reason that is on the lists, or [`OTHER`].
pub(super) fn known_reason(reason: &str) -> &'static str {
    let falling_back = FallbackReason::ALL.iter().map(|reason| reason.name());
    let mut known = falling_back.chain(REASONS.iter().copied());
    known.find(|known| *known == reason).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_error_has_an_outcome_of_its_own() {
        let mut outcomes: BTreeSet<&str> = ErrorKind::ALL.into_iter().map(kind_label).collect();
        for kind in [TransportErrorKind::Resolve, TransportErrorKind::Carrier] {
            outcomes.insert(transport_label(kind));
        }
        assert_eq!(outcomes.len(), ErrorKind::ALL.len() + 2);
    }

    #[test]
    fn every_reason_that_is_given_is_known() {
        for reason in FallbackReason::ALL {
            assert_eq!(known_reason(reason.name()), reason.name());
        }
        assert_eq!(known_reason("signature"), "signature");
        assert_eq!(known_reason("what a peer wrote"), OTHER);
    }
}
