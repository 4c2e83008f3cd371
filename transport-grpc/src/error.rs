//! Errors as `google.rpc.Status`: a peer's answer carries our own detail, a status without it is the carrier's.

use std::{error::Error, time::Duration};

use comity_core::error::{
    CallError, Delivery, ErrorKind, ErrorOrigin, ErrorParts, FederationError, TransportError,
    TransportErrorKind,
};
use comity_net::{BoxError, delivery_of};
use comity_proto as pb;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb as google;

use crate::{BINDING, content::CodecError, framing::FrameError};

/// Most bytes of a status's details. They grow by a third in base64, and header lists are often limited near 8 KiB.
const MAX_DETAILS: usize = 4 << 10;
/// Most bytes of the text for people in the status itself.
const MAX_STATUS_MESSAGE: usize = 512;
/// Most bytes of the text for people in our detail, where it may have to stand for the body.
const MAX_DETAIL_MESSAGE: usize = 2 << 10;

const DETAIL_TYPE: &str = "type.googleapis.com/comity.federation.v1.FederationErrorDetail";
const RETRY_TYPE: &str = "type.googleapis.com/google.rpc.RetryInfo";
const INFO_TYPE: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// An answer as a status with details.
pub(crate) fn to_status(error: &FederationError) -> Status {
    let body = error.body();
    let mut detail = pb::FederationErrorDetail {
        errcode: error.errcode().map(str::to_owned),
        http_status: error.http_status().into(),
        body: (!body.is_empty()).then(|| body.clone()),
        retry_after_ms: error.retry_after().map(milliseconds),
        message: shortened(error.message(), MAX_DETAIL_MESSAGE).to_owned(),
        ..Default::default()
    };
    match error.origin() {
        ErrorOrigin::Gateway(name) => {
            detail.set_origin(pb::ErrorOrigin::Gateway);
            detail.gateway = Some(name.clone());
        }
        ErrorOrigin::Intermediary => detail.set_origin(pb::ErrorOrigin::Intermediary),
        // What is local here is the remote's word there.
        _ => detail.set_origin(pb::ErrorOrigin::Remote),
    }
    let code = Code::from_i32(error.kind().code().into());
    let message = shortened(error.message(), MAX_STATUS_MESSAGE);
    let mut details = encode_details(code, message, &detail, error);
    if details.len() > MAX_DETAILS {
        detail.body = None;
        details = encode_details(code, message, &detail, error);
    }
    Status::with_details(code, message, details.into())
}

fn encode_details(
    code: Code,
    message: &str,
    detail: &pb::FederationErrorDetail,
    error: &FederationError,
) -> Vec<u8> {
    let mut details = vec![any(DETAIL_TYPE, detail)];
    // `M_RESOURCE_LIMIT_EXCEEDED` passes by no waiting.
    if let Some(wait) = error.retry_after()
        && error.errcode() != Some("M_RESOURCE_LIMIT_EXCEEDED")
    {
        details.push(any(
            RETRY_TYPE,
            &google::RetryInfo {
                retry_delay: prost_types::Duration::try_from(wait).ok(),
            },
        ));
    }
    if let Some(reason) = error.errcode().filter(|errcode| is_reason(errcode)) {
        details.push(any(
            INFO_TYPE,
            &google::ErrorInfo {
                reason: reason.to_owned(),
                domain: "matrix.org".to_owned(),
                ..Default::default()
            },
        ));
    }
    google::Status {
        code: code.into(),
        message: message.to_owned(),
        details,
    }
    .encode_to_vec()
}

fn any(type_url: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

/// The pattern that `google.rpc.ErrorInfo` documents: `[A-Z][A-Z0-9_]+[A-Z0-9]`, at most 63 characters.
fn is_reason(errcode: &str) -> bool {
    let bytes = errcode.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes[bytes.len() - 1] != b'_'
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

fn milliseconds(wait: Duration) -> u64 {
    let rounded_up = wait.as_nanos().div_ceil(1_000_000);
    u64::try_from(rounded_up).unwrap_or(u64::MAX)
}

fn shortened(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a status that is not OK says.
pub(crate) enum Refused {
    /// The peer's answer.
    Answer(FederationError),
    /// The peer has no such method, and did nothing.
    Lacks(TransportError),
    /// There is no answer.
    Carrier(TransportError),
}

impl From<Refused> for CallError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Answer(error) => error.into(),
            Refused::Lacks(error) | Refused::Carrier(error) => error.into(),
        }
    }
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Federation(error) => Self::Answer(error),
            CallError::Transport(error) => Self::Carrier(error),
        }
    }
}

impl From<TransportError> for Refused {
    fn from(error: TransportError) -> Self {
        Self::Carrier(error)
    }
}

/// Reads a status that is not OK.
pub(crate) fn from_status(status: &Status) -> Refused {
    if let Some(detail) = our_detail(status.details()) {
        return Refused::Answer(answer(detail));
    }
    let carrier = |kind, delivery| {
        let message = format!(
            "the carrier answered {:?}: {}",
            status.code(),
            status.message()
        );
        TransportError::new(kind, delivery, message)
    };
    match status.code() {
        Code::Unimplemented => {
            Refused::Lacks(carrier(TransportErrorKind::Carrier, Delivery::Rejected))
        }
        Code::DeadlineExceeded => Refused::Carrier(carrier(
            TransportErrorKind::Timeout,
            Delivery::MaybeProcessed,
        )),
        _ => Refused::Carrier(carrier(
            TransportErrorKind::Carrier,
            Delivery::MaybeProcessed,
        )),
    }
}

fn our_detail(details: &[u8]) -> Option<pb::FederationErrorDetail> {
    let status = google::Status::decode(details).ok()?;
    let ours = |any: &&prost_types::Any| {
        any.type_url.rsplit('/').next() == Some("comity.federation.v1.FederationErrorDetail")
    };
    let any = status.details.iter().find(ours)?;
    pb::FederationErrorDetail::decode(&any.value[..]).ok()
}

fn answer(detail: pb::FederationErrorDetail) -> FederationError {
    let origin = match detail.origin() {
        pb::ErrorOrigin::Remote => ErrorOrigin::Remote,
        pb::ErrorOrigin::Gateway => {
            ErrorOrigin::Gateway(detail.gateway.clone().unwrap_or_default())
        }
        pb::ErrorOrigin::Intermediary => ErrorOrigin::Intermediary,
    };
    FederationError::from_parts(ErrorParts {
        http_status: u16::try_from(detail.http_status).unwrap_or(502),
        errcode: detail.errcode,
        message: detail.message,
        retry_after: detail.retry_after_ms.map(Duration::from_millis),
        body: detail.body.unwrap_or_default(),
        origin,
    })
}

/// What this side made of a body that broke off or broke the rules.
pub(crate) fn reply_fault(fault: FrameError, setting: &str) -> TransportError {
    match fault {
        FrameError::Carrier(error) => carrier_fault(error),
        FrameError::TooLarge { limit } => TransportError::new(
            TransportErrorKind::LimitExceeded,
            Delivery::MaybeProcessed,
            format!(
                "a message of the reply is over the limit of {limit} bytes of the caller (setting: {setting})"
            ),
        ),
        FrameError::Compressed => protocol("the reply is compressed, which was not asked for"),
        FrameError::Truncated => protocol("the reply ended within a message"),
    }
}

/// The carrier's failure, with the delivery that its chain tells.
fn carrier_fault(error: BoxError) -> TransportError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(found) = cause {
        if let Some(transport) = found.downcast_ref::<TransportError>() {
            return transport.clone();
        }
        cause = found.source();
    }
    let delivery = delivery_of(&*error);
    TransportError::new(
        TransportErrorKind::Closed,
        delivery,
        "the connection failed before the reply's end",
    )
    .with_source(error)
}

/// The peer's reply breaks the binding's rules.
pub(crate) fn protocol(message: impl Into<String>) -> TransportError {
    TransportError::new(
        TransportErrorKind::Protocol,
        Delivery::MaybeProcessed,
        message,
    )
}

/// A message of a reply that stands for no content.
pub(crate) fn bad_reply(error: CodecError, setting: &str) -> TransportError {
    match error {
        CodecError::TooLarge { limit } => over_limit("the reply", limit as u64, setting),
        CodecError::TooMany { limit } => TransportError::new(
            TransportErrorKind::LimitExceeded,
            Delivery::MaybeProcessed,
            format!("a message of the reply has more than {limit} elements"),
        ),
        error => {
            protocol(format!("the reply's message is malformed ({BINDING})")).with_source(error)
        }
    }
}

pub(crate) fn over_limit(what: &str, limit: u64, setting: &str) -> TransportError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!("{what} is over the limit of {limit} bytes of the caller (setting: {setting})"),
    )
}

/// The answer to a request message that stands for no content: INVALID_ARGUMENT, or OUT_OF_RANGE over a limit.
pub(crate) fn bad_request(error: &CodecError) -> FederationError {
    match error {
        CodecError::TooLarge { limit } => request_too_large(*limit),
        CodecError::TooMany { .. } => FederationError::new(413, "M_TOO_LARGE", error.to_string()),
        error => {
            let cause = error
                .source()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            FederationError::bad_json(format!("{error}{cause}"))
        }
    }
}

pub(crate) fn request_too_large(limit: usize) -> FederationError {
    FederationError::too_large(
        "request content",
        limit as u64,
        "receiver",
        "limits.request",
    )
}

/// Where both sides' lists of codes could part: gRPC's numbers are the kinds' own.
const _: () = assert!(ErrorKind::Unauthenticated.code() == Code::Unauthenticated as u8);
