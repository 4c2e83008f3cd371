//! Method, target and content of one request.

use std::{borrow::Cow, fmt, str::FromStr};

use bytes::Bytes;

use super::{
    PathTemplate, Query, check_target, split_target,
    target::{BadEscape, TargetError},
};
use crate::{
    call::Op,
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
    json::{IngestErrorKind, Object, ReadError, ReadErrorKind, TooMany},
};

/// A request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// There was no body.
    #[default]
    Absent,
    /// A JSON object, canonical.
    Json(Object),
    /// Bytes of another family of calls. Never under X-Matrix, which can sign JSON only.
    Opaque {
        /// Media type; empty if there is none.
        content_type: String,
        /// The bytes.
        bytes: Bytes,
    },
}

impl Content {
    /// The JSON object. No body counts as an empty one, as live servers send `{}` so.
    pub fn object(&self) -> Option<Cow<'_, Object>> {
        match self {
            Self::Absent => Some(Cow::Owned(Object::empty())),
            Self::Json(object) => Some(Cow::Borrowed(object)),
            Self::Opaque { .. } => None,
        }
    }

    /// The bytes to send. No body is no bytes.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Absent => Bytes::new(),
            Self::Json(object) => object.text().clone(),
            Self::Opaque { bytes, .. } => bytes.clone(),
        }
    }

    /// The media type to send with them, if any.
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Absent => None,
            Self::Json(_) => Some(JSON),
            Self::Opaque { content_type, .. } => {
                Some(content_type.as_str()).filter(|kind| !kind.is_empty())
            }
        }
    }
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

/// What the body of an operation's requests is. It says how a body is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// A JSON object, whatever media type is sent with it, as live senders vary.
    Json,
    /// Bytes, taken as they are: a family of calls whose bodies are not JSON.
    Opaque,
    /// A JSON object if the media type says so or there is none, otherwise bytes: where nothing is known of the call.
    ByMediaType,
}

impl ContentKind {
    /// Whether a body with this media type is read as JSON.
    fn is_json(self, media_type: Option<&str>) -> bool {
        match self {
            Self::Json => true,
            Self::Opaque => false,
            Self::ByMediaType => media_type.is_none_or(is_json),
        }
    }
}

/// Whether a media type is JSON's, whatever parameters follow.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.is_empty() || essence.eq_ignore_ascii_case(JSON)
}

/// The parameters and content of a request, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointParts {
    /// Path parameters, unescaped, in the order of the path.
    pub path: Vec<String>,
    /// Query parameters, unescaped, in order.
    pub query: Query,
    /// The body.
    pub content: Content,
}

impl EndpointParts {
    /// The path parameter at `index`, empty if there is none.
    pub fn path_parameter(&self, index: usize) -> &str {
        self.path.get(index).map_or("", String::as_str)
    }

    /// The JSON content.
    ///
    /// # Errors
    /// 400 `M_BAD_JSON`: the content is not JSON.
    pub fn object(&self) -> Result<Cow<'_, Object>, FederationError> {
        self.content
            .object()
            .ok_or_else(|| FederationError::bad_json("the content is not a JSON object"))
    }
}

/// One request as the specification writes it. `Debug` leaves out the query, which can hold an access token.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointForm {
    method: Cow<'static, str>,
    target: String,
    parts: EndpointParts,
}

impl EndpointForm {
    /// The form of a request of our own making: the target is encoded here, once.
    ///
    /// # Errors
    /// A path parameter is empty, or the target grows over its limit: nothing was sent.
    pub fn from_parts(
        method: &'static str,
        path: &PathTemplate,
        parts: EndpointParts,
    ) -> Result<Self, CallError> {
        if parts.path.iter().any(String::is_empty) {
            return Err(unsendable(format!("a parameter of {path} is empty")).into());
        }
        let parameters: Vec<&str> = parts.path.iter().map(String::as_str).collect();
        let mut target = path.write(&parameters);
        if !parts.query.is_empty() {
            target.push('?');
            target.push_str(&parts.query.write());
        }
        check_target(&target).map_err(|error| {
            CallError::from(
                unsendable(format!("the target of {path} cannot be sent")).with_source(error),
            )
        })?;
        Ok(Self {
            method: Cow::Borrowed(method),
            target,
            parts,
        })
    }

    /// The form of a request with a target that is written already, or as it arrived: the target stays as it is, byte for byte.
    pub fn received(method: Cow<'static, str>, target: String, parts: EndpointParts) -> Self {
        Self {
            method,
            target,
            parts,
        }
    }

    /// The same with a slash behind the path.
    ///
    /// # Errors
    /// The target grows over its limit.
    pub(crate) fn with_slash(&self) -> Result<Self, CallError> {
        let (path, query) = split_target(&self.target);
        let mut target = format!("{path}/");
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        check_target(&target).map_err(|error| {
            unsendable("the target with a slash behind its path cannot be sent".to_owned())
                .with_source(error)
        })?;
        Ok(Self {
            target,
            ..self.clone()
        })
    }

    /// The method, as signed.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query, as signed.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The body.
    pub fn content(&self) -> &Content {
        &self.parts.content
    }

    /// The parameters and content, decoded.
    pub fn parts(&self) -> &EndpointParts {
        &self.parts
    }
}

/// A request that cannot be written as an endpoint.
pub(crate) fn unsendable(message: String) -> TransportError {
    TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message)
}

impl fmt::Debug for EndpointForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("EndpointForm")
            .field("method", &self.method)
            .field("path", &path)
            .field("content", &self.parts.content)
            .finish_non_exhaustive()
    }
}

/// Takes in the body of a request of `operation`: the one place where a peer's request content becomes canonical text.
///
/// `media_type` is what came with it. An empty body is none, whatever came with it.
///
/// # Errors
/// 413 `M_TOO_LARGE` over the row's limit; of JSON, 400 `M_NOT_JSON` for broken syntax or UTF-8, and 400 `M_BAD_JSON` for another
/// value than an object. The message names the byte.
pub fn read_content(
    operation: Op,
    media_type: Option<&str>,
    body: Bytes,
) -> Result<Content, FederationError> {
    if body.is_empty() {
        return Ok(Content::Absent);
    }
    let limit = operation.spec().limits.request;
    let too_large = || {
        FederationError::too_large(
            "request content",
            limit as u64,
            "receiver",
            "limits.request",
        )
    };
    if !operation.content().is_json(media_type) {
        if body.len() > limit {
            return Err(too_large());
        }
        return Ok(Content::Opaque {
            content_type: media_type.unwrap_or_default().to_owned(),
            bytes: body,
        });
    }
    match Object::parse(body, limit) {
        Ok(object) => Ok(Content::Json(object)),
        Err(error) => Err(match error.kind() {
            IngestErrorKind::TooLarge { .. } => too_large(),
            IngestErrorKind::NotAnObject => FederationError::bad_json(error.to_string()),
            _ => FederationError::not_json(error.to_string()),
        }),
    }
}

/// Known parameters are taken out, so that what is left is what the operation does not know.
impl Query {
    /// Takes out a parameter that is `true` or `false`.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`: it is neither.
    pub fn take_boolean(&mut self, name: &str) -> Result<Option<bool>, FederationError> {
        self.take_parsed(name, "`true` or `false`")
    }

    /// Takes out a parameter that is a decimal integer.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM`: it is none.
    pub fn take_integer(&mut self, name: &str) -> Result<Option<i64>, FederationError> {
        self.take_parsed(name, "an integer")
    }

    /// Takes out a parameter that has to be there.
    ///
    /// # Errors
    /// 400 `M_MISSING_PARAM`: it is not.
    pub fn require(&mut self, name: &str) -> Result<String, FederationError> {
        self.take(name).ok_or_else(|| missing(name))
    }

    /// Takes out a parameter that has to be there, once or repeatedly: all values in order.
    ///
    /// # Errors
    /// 400 `M_MISSING_PARAM`: it is not.
    pub fn require_all(&mut self, name: &str) -> Result<Vec<String>, FederationError> {
        let values = self.take_all(name);
        if values.is_empty() {
            return Err(missing(name));
        }
        Ok(values)
    }

    /// Takes out a decimal integer that has to be there.
    ///
    /// # Errors
    /// 400 `M_MISSING_PARAM`: it is not; 400 `M_INVALID_PARAM`: it is no integer.
    pub fn require_integer(&mut self, name: &str) -> Result<i64, FederationError> {
        self.take_integer(name)?.ok_or_else(|| missing(name))
    }

    fn take_parsed<T: FromStr>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, FederationError> {
        self.take(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    FederationError::invalid_param(format!(
                        "query parameter `{name}` is not {expected}"
                    ))
                })
            })
            .transpose()
    }
}

fn missing(name: &str) -> FederationError {
    FederationError::missing_param(format!("query parameter `{name}` is missing"))
}

impl From<TargetError> for FederationError {
    fn from(error: TargetError) -> Self {
        Self::new(error.http_status(), "M_INVALID_PARAM", error.to_string())
    }
}

impl From<BadEscape> for FederationError {
    fn from(error: BadEscape) -> Self {
        Self::invalid_param(format!("the target holds {error}"))
    }
}

impl From<TooMany> for FederationError {
    fn from(error: TooMany) -> Self {
        Self::bad_json(format!(
            "request content: {error} of the receiver (setting: limits.elements)"
        ))
    }
}

impl From<ReadError> for FederationError {
    fn from(error: ReadError) -> Self {
        match error.kind() {
            ReadErrorKind::Missing { .. } => Self::missing_param(error.to_string()),
            _ => Self::bad_json(error.to_string()),
        }
    }
}
