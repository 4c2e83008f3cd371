//! A call as an HTTP request, and back. Pure.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    Operations,
    call::{Call, CallContext, Credentials, Op, TraceContext, Unregistered, hops},
    endpoint::{ContentKind, EndpointForm, EndpointParts, read_content},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};
use comity_net::{ClientAddress, ConnectionInfo};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use tokio::time::Instant;

use crate::{Addressed, BINDING};

/// What peers may tell each other beside the specification. Nothing by default.
#[derive(Debug, Clone, Default)]
pub struct PeerHeaders {
    /// Header that carries the time left, in milliseconds. Sent, and believed.
    pub deadline: Option<HeaderName>,
    /// Whether W3C trace context is sent and believed.
    pub trace: bool,
}

/// The HTTP request of a call: method and target verbatim, one `Authorization` per credential, the content as it was signed.
///
/// The request has no `Host`: that belongs to the route.
///
/// # Errors
/// A method, target or credential that HTTP cannot carry; nothing was sent.
pub fn to_request(call: &mut Call, peer: &PeerHeaders) -> Result<Request<Bytes>, CallError> {
    call.make_form()?;
    let form = call.form().expect("made above");
    let method = Method::from_bytes(form.method().as_bytes())
        .map_err(|error| unsendable("the method", error))?;
    let uri: Uri = form
        .target()
        .parse()
        .map_err(|error| unsendable("the target", error))?;
    let mut request = Request::new(form.content().bytes());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    if let Some(media_type) = form.content().media_type() {
        headers.insert(
            header::CONTENT_TYPE,
            header_value("the content type", media_type)?,
        );
    }
    write_context(headers, call.context(), peer)?;
    Ok(request)
}

fn write_context(
    headers: &mut HeaderMap,
    context: &CallContext,
    peer: &PeerHeaders,
) -> Result<(), CallError> {
    for credential in context.credentials.iter() {
        let mut value = header_value("a credential", credential)?;
        value.set_sensitive(true);
        headers.append(header::AUTHORIZATION, value);
    }
    if let Some(from) = &context.from {
        headers.insert(header::FROM, header_value("`From`", from)?);
    }
    for hop in &context.via {
        headers.append(header::VIA, header_value("`Via`", hop)?);
    }
    if let (Some(name), Some(deadline)) = (&peer.deadline, context.deadline) {
        let left = deadline.saturating_duration_since(Instant::now());
        headers.insert(name.clone(), HeaderValue::from(left.as_millis() as u64));
    }
    if peer.trace {
        let TraceContext { parent, state } = &context.trace;
        for (name, value) in [("traceparent", parent), ("tracestate", state)] {
            if let Some(value) = value {
                headers.insert(name, header_value("the trace context", value)?);
            }
        }
    }
    Ok(())
}

fn header_value(what: &str, value: &str) -> Result<HeaderValue, CallError> {
    HeaderValue::from_str(value).map_err(|error| unsendable(what, error))
}

fn unsendable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> CallError {
    TransportError::new(
        TransportErrorKind::Unsupported,
        Delivery::NotSent,
        format!("HTTP cannot carry {what} of this call"),
    )
    .with_source(error)
    .into()
}

/// A request whose operation is known and whose body is still to come: so its limit is known before it is read.
///
/// `Debug` leaves out the target, which can hold an access token.
pub struct Routed {
    op: Op,
    parts: EndpointParts,
    method: Cow<'static, str>,
    target: String,
    media_type: Option<String>,
    context: CallContext,
}

impl fmt::Debug for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routed")
            .field("op", &self.op)
            .field("media_type", &self.media_type)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Routed {
    /// The operation.
    pub fn operation(&self) -> Op {
        self.op
    }

    /// What came beside the body.
    pub fn context(&self) -> &CallContext {
        &self.context
    }

    /// With what the request's extensions say of where it came from and whom it is to.
    pub(crate) fn arrived_with(mut self, extensions: &Extensions) -> Self {
        if let Some(info) = extensions.get::<Arc<ConnectionInfo>>() {
            self.context.connection = Some(info.clone());
            self.context.channel = Some(info.clone());
        }
        self.context.client = ClientAddress::of(extensions);
        if let Some(Addressed(destination)) = extensions.get() {
            self.context.destination = Some(destination.clone());
        }
        self
    }

    /// Largest body that is taken, in bytes.
    pub fn limit(&self) -> usize {
        self.op.spec().limits.request
    }

    /// The call, once its body has come. `Content-Type` counts only where the operation's bodies may be other than JSON, as live
    /// senders vary.
    ///
    /// # Errors
    /// 413, or 400 `M_NOT_JSON`, `M_BAD_JSON`, `M_MISSING_PARAM` or `M_INVALID_PARAM`, naming what is wrong.
    pub fn with_body(mut self, body: Bytes) -> Result<Call, FederationError> {
        self.parts.content = read_content(self.op, self.media_type.as_deref(), body)?;
        let form = EndpointForm::received(self.method, self.target, self.parts);
        Call::read(self.op, form, self.context)
    }
}

/// Finds the operation that a request asks for, from its head alone. HEAD asks for what GET does, and stays HEAD in what was signed.
///
/// # Errors
/// 404 or 405 `M_UNRECOGNIZED`; 400 for a target or header that cannot be read; 413 if the announced body is too large.
pub fn route(
    operations: &Operations,
    head: &http::request::Parts,
    peer: &PeerHeaders,
) -> Result<Routed, FederationError> {
    if head.headers.get_all(header::HOST).iter().nth(1).is_some() {
        // Two proxies on the way may have taken different ones (RFC 9112 §3.2).
        return Err(FederationError::invalid_param(
            "the request has several Host headers",
        ));
    }
    let target = target_of(&head.uri).to_owned();
    let asked = match operations.route(head.method.as_str(), &target) {
        Err(error) if head.method == Method::HEAD && error.http_status() == 405 => {
            operations.route("GET", &target)
        }
        Ok((op, _)) if head.method == Method::HEAD && op == Unregistered::operation() => {
            // Of a target that a row knows by GET, or of no row's: then it is a HEAD that no row knows.
            operations.route("GET", &target)
        }
        routed => routed,
    };
    let (op, parts) = asked?;
    let routed = Routed {
        op,
        parts,
        method: method(&head.method),
        target,
        media_type: media_type(op, &head.headers)?,
        context: read_context(&head.headers, peer)?,
    };
    let announced = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > routed.limit() as u64) {
        return Err(FederationError::too_large(
            "request content",
            routed.limit() as u64,
            "receiver",
            "limits.request",
        ));
    }
    if is_encoded(&head.headers) {
        return Err(FederationError::not_json(
            "an encoded request body is not taken: send it without Content-Encoding",
        ));
    }
    Ok(routed)
}

/// Path and query as they arrived; nothing if the target is of another form (RFC 9112 §3.2).
pub(crate) fn target_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |target| target.as_str())
}

/// Whether the body is not what it stands for (RFC 9110 §8.4).
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What came with the body, where that decides anything: whatever stands there for an operation whose bodies are JSON, it is not looked at.
fn media_type(op: Op, headers: &HeaderMap) -> Result<Option<String>, FederationError> {
    let value = match headers.get(header::CONTENT_TYPE) {
        Some(value) if op.content() != ContentKind::Json => value,
        _ => return Ok(None),
    };
    let value = value
        .to_str()
        .map_err(|_| FederationError::invalid_param("the Content-Type header is not ASCII"))?;
    Ok(Some(value.to_owned()))
}

fn method(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::GET => Cow::Borrowed("GET"),
        Method::PUT => Cow::Borrowed("PUT"),
        Method::POST => Cow::Borrowed("POST"),
        _ => Cow::Owned(method.as_str().to_owned()),
    }
}

fn read_context(headers: &HeaderMap, peer: &PeerHeaders) -> Result<CallContext, FederationError> {
    let mut context = CallContext::received(BINDING);
    let mut credentials = Credentials::default();
    for value in headers.get_all(header::AUTHORIZATION) {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
            FederationError::malformed_credentials("an Authorization header is not UTF-8")
        })?;
        credentials.push(value.to_owned());
    }
    context.credentials = credentials;
    // Of several it is open which one is meant: as good as none.
    let mut from = headers.get_all(header::FROM).iter();
    if let (Some(from), None) = (from.next(), from.next()) {
        context.from = from.to_str().ok().map(str::to_owned);
    }
    context.via = headers
        .get_all(header::VIA)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(hops)
        .map(str::to_owned)
        .collect();
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    if peer.trace {
        context.trace = TraceContext {
            parent: text("traceparent"),
            state: text("tracestate"),
        };
    }
    if let Some(left) = peer
        .deadline
        .as_ref()
        .and_then(|name| text(name.as_str())?.parse().ok())
    {
        // Far deadlines would overflow the clock, and mean nothing.
        let left = Duration::from_millis(left).min(Duration::from_secs(24 * 3600));
        context.deadline = Some(Instant::now() + left);
    }
    Ok(context)
}

/// The call of a whole request, where the body is at hand already.
///
/// # Errors
/// As [`route`] and [`Routed::with_body`].
pub fn from_request(
    operations: &Operations,
    request: Request<Bytes>,
    peer: &PeerHeaders,
) -> Result<Call, FederationError> {
    let (head, body) = request.into_parts();
    route(operations, &head, peer)?.with_body(body)
}
