//! The errors that every server answers with, by name (Matrix spec, Client-Server API, "Standard
//! error response"; Server-Server API, "Unsupported endpoints").

use std::time::Duration;

use super::FederationError;

impl FederationError {
    /// 401 `M_UNAUTHORIZED`: no valid signature of the origin.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "M_UNAUTHORIZED", message)
    }

    /// 400 `M_UNAUTHORIZED`: the credentials cannot be read.
    pub fn malformed_credentials(message: impl Into<String>) -> Self {
        Self::new(400, "M_UNAUTHORIZED", message)
    }

    /// 401 `M_MISSING_TOKEN`: the call needs an access token and has none.
    pub fn missing_token(message: impl Into<String>) -> Self {
        Self::new(401, "M_MISSING_TOKEN", message)
    }

    /// 403 `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "M_FORBIDDEN", message)
    }

    /// 404 `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "M_NOT_FOUND", message)
    }

    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    pub fn unrecognized() -> Self {
        Self::new(404, "M_UNRECOGNIZED", "Unrecognized request")
    }

    /// 405 `M_UNRECOGNIZED`: the endpoint exists, for another method.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "M_UNRECOGNIZED", "Unrecognized method")
    }

    /// 400 `M_NOT_JSON`: the content is no JSON, or no UTF-8.
    pub fn not_json(message: impl Into<String>) -> Self {
        Self::new(400, "M_NOT_JSON", message)
    }

    /// 400 `M_BAD_JSON`: JSON of the wrong shape.
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::new(400, "M_BAD_JSON", message)
    }

    /// 400 `M_MISSING_PARAM`.
    pub fn missing_param(message: impl Into<String>) -> Self {
        Self::new(400, "M_MISSING_PARAM", message)
    }

    /// 400 `M_INVALID_PARAM`.
    pub fn invalid_param(message: impl Into<String>) -> Self {
        Self::new(400, "M_INVALID_PARAM", message)
    }

    /// 400 `M_INCOMPATIBLE_ROOM_VERSION`: the room is of this version, and one of the two servers does not speak it. The
    /// version travels along ([`room_version`](Self::room_version)).
    pub fn incompatible_room_version(version: &str) -> Self {
        let message = format!("room version {version:?} is not spoken by both servers");
        Self::new(400, "M_INCOMPATIBLE_ROOM_VERSION", message).with_string("room_version", version)
    }

    /// 413 `M_TOO_LARGE`: says which limit, of how many bytes, on whose side, and the setting that
    /// raises it.
    pub fn too_large(what: &str, limit: u64, side: &str, setting: &str) -> Self {
        Self::new(
            413,
            "M_TOO_LARGE",
            format!("{what} is over the limit of {limit} bytes of the {side} (setting: {setting})"),
        )
    }

    /// 429 `M_LIMIT_EXCEEDED`, with the time to wait if it is known.
    pub fn limit_exceeded(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let error = Self::new(429, "M_LIMIT_EXCEEDED", message);
        match retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// 504 `M_UNKNOWN`: the caller's deadline passed before the work was done.
    pub fn deadline_exceeded(message: impl Into<String>) -> Self {
        Self::new(504, "M_UNKNOWN", message)
    }

    /// 500 `M_UNKNOWN`. The message goes to the peer: say nothing private in it.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "M_UNKNOWN", message)
    }
}
