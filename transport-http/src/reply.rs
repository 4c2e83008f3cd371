//! A reply's head as an HTTP response, and back. Pure.

use comity_core::{
    endpoint::{ReplyHead, WireBody, write_error},
    error::FederationError,
};
use comity_net::{Body, body};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// An HTTP response with this head.
pub fn to_response<B>(head: ReplyHead, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, head.content_type),
        (header::CONTENT_DISPOSITION, head.content_disposition),
        (header::RETRY_AFTER, head.retry_after),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| header_value(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn header_value(value: &str) -> Option<HeaderValue> {
    // Nearly every reply's.
    const JSON: &str = "application/json";
    match value {
        JSON => Some(HeaderValue::from_static(JSON)),
        other => HeaderValue::from_str(other).ok(),
    }
}

/// The response that an error is, as an [`HttpServer`](crate::HttpServer) would write it: for what stands before one and refuses a request itself.
pub fn error_response(error: &FederationError) -> Response<Body> {
    let answer = write_error(error);
    let body = match answer.body {
        WireBody::Whole(bytes) => body::full(bytes),
        WireBody::Stream(stream) => body::from_stream(stream),
    };
    to_response(answer.head, body)
}

/// The head of an HTTP response.
pub fn from_response<B>(response: &Response<B>) -> ReplyHead {
    ReplyHead {
        status: response.status().as_u16(),
        content_type: text(response.headers(), header::CONTENT_TYPE),
        content_disposition: text(response.headers(), header::CONTENT_DISPOSITION),
        retry_after: text(response.headers(), header::RETRY_AFTER),
    }
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
