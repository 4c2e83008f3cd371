//! What a failure says about the request: read from the error chain, never from a status code.

use std::error::Error;

use comity_core::error::{Delivery, TransportError, TransportErrorKind};
use h2::Reason;

/// Whether the peer may have acted on a request that ended in this error.
///
/// A [`TransportError`] in the chain has the answer. Otherwise HTTP/2's REFUSED_STREAM and a GOAWAY of the peer that fails the stream promise that
/// nothing was done (RFC 9113 §8.7): [`Delivery::Rejected`]. All else, end of file and RST included, is [`Delivery::MaybeProcessed`].
/// Failures before anything is sent come from [`Pool::send`](crate::Pool::send) as [`Delivery::NotSent`].
pub fn delivery_of(error: &(dyn Error + 'static)) -> Delivery {
    for cause in chain(error) {
        if let Some(transport) = cause.downcast_ref::<TransportError>() {
            return transport.delivery();
        }
        // The request's own body failed; what is beneath it is the story of another connection.
        if cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_user)
        {
            return Delivery::MaybeProcessed;
        }
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            return match h2.is_remote() && (h2.is_go_away() || is_refusal(h2)) {
                true => Delivery::Rejected,
                false => Delivery::MaybeProcessed,
            };
        }
    }
    Delivery::MaybeProcessed
}

/// The transport error for an error of hyper's, with [`delivery_of`] and the kind read from its chain.
pub fn transport_error(error: hyper::Error) -> TransportError {
    let delivery = delivery_of(&error);
    TransportError::new(kind_of(&error), delivery, message_of(&error)).with_source(error)
}

fn is_refusal(error: &h2::Error) -> bool {
    error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)
}

fn kind_of(error: &hyper::Error) -> TransportErrorKind {
    if error.is_user() {
        return TransportErrorKind::Cancelled;
    }
    if error.is_parse_too_large() {
        return TransportErrorKind::LimitExceeded;
    }
    if error.is_parse() {
        return TransportErrorKind::Protocol;
    }
    if error.is_timeout() {
        return TransportErrorKind::Timeout;
    }
    match chain(error).find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        Some(h2) => match h2.reason() {
            Some(Reason::REFUSED_STREAM | Reason::ENHANCE_YOUR_CALM) if h2.is_remote() => {
                TransportErrorKind::Busy
            }
            Some(_) if h2.is_library() => TransportErrorKind::Protocol,
            _ => TransportErrorKind::Closed,
        },
        None => TransportErrorKind::Closed,
    }
}

fn message_of(error: &hyper::Error) -> &'static str {
    match kind_of(error) {
        TransportErrorKind::Cancelled => "this side gave up while it was sending the request",
        TransportErrorKind::LimitExceeded => "the peer's header list is larger than 64 KiB",
        TransportErrorKind::Protocol => "the peer breaks the rules of HTTP",
        TransportErrorKind::Timeout => "the connection no longer answers",
        TransportErrorKind::Busy => "the peer takes no more requests at the moment",
        _ => "the connection ended before the exchange was complete",
    }
}

/// The error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] TransportError);

    #[test]
    fn a_transport_error_beneath_others_decides() {
        let refused = TransportError::new(TransportErrorKind::Busy, Delivery::Rejected, "full");
        assert_eq!(delivery_of(&Outer(refused)), Delivery::Rejected);
    }

    #[test]
    fn our_own_reset_promises_nothing() {
        assert_eq!(
            delivery_of(&h2::Error::from(Reason::REFUSED_STREAM)),
            Delivery::MaybeProcessed
        );
    }

    #[test]
    fn an_error_that_is_not_known_may_have_been_processed() {
        assert_eq!(
            delivery_of(&std::io::Error::other("?")),
            Delivery::MaybeProcessed
        );
    }
}
