//! A call that no row knows.

use std::{
    any::{Any, TypeId},
    fmt,
};

use super::{
    AclDuty, AnyOperation, AnyRequest, Authentication, Body, Clocks, Flow, Idempotency, Op,
    Operation, OperationSpec, ReplyShape, SizeLimits,
};
use crate::{
    endpoint::{
        Content, ContentKind, EndpointForm, EndpointParts, PathTemplate, TrailingSlash,
        check_target, is_json, split_target, target::TargetError, unsendable,
    },
    error::{CallError, FederationError},
};

/// Any call that no row knows: method and target as they are signed, and the content.
///
/// Registries take it in where they are told to ([`Operations::with_unregistered`](crate::Operations::with_unregistered)); a
/// client sends it as any call. It needs a proven origin like the calls of the table. Nobody knows what a repetition would do, so
/// none is silent. The target is never unescaped, normalised or split: what its parameters mean is for whoever answers.
///
/// The receiver goes by the method and target, so a call that its registry does know reaches the handler typed.
///
/// `Debug` leaves out the query, which can hold an access token.
#[derive(Clone, PartialEq)]
pub struct Unregistered {
    method: String,
    target: String,
    content: Content,
}

impl fmt::Debug for Unregistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, _) = split_target(&self.target);
        f.debug_struct("Unregistered")
            .field("method", &self.method)
            .field("path", &path)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

/// Longest method, in bytes. HTTP's own are at most 7.
const MAX_METHOD: usize = 32;

/// Why a call cannot be made or taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUnregistered {
    /// The method is no token (RFC 9110 §5.6.2), or `CONNECT`, which has no target, or over 32 bytes.
    #[error("the method is no HTTP method of at most {MAX_METHOD} bytes that has a path")]
    Method,
    /// The target cannot be sent.
    #[error("the target cannot be sent")]
    Target(#[from] TargetError),
    /// Opaque content that its receiver would take for JSON.
    #[error("opaque content needs a media type, and another than JSON's")]
    MediaType,
}

impl Unregistered {
    /// A call of `method` on `target`, path and query as they are to be signed.
    ///
    /// # Errors
    /// [`BadUnregistered`], saying which part no wire should carry.
    pub fn new(
        method: impl Into<String>,
        target: impl Into<String>,
        content: Content,
    ) -> Result<Self, BadUnregistered> {
        let (method, target) = (method.into(), target.into());
        if !is_method(&method) {
            return Err(BadUnregistered::Method);
        }
        check_target(&target)?;
        if let Content::Opaque { content_type, .. } = &content
            && is_json(content_type)
        {
            return Err(BadUnregistered::MediaType);
        }
        Ok(Self {
            method,
            target,
            content,
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

    /// The body. X-Matrix signs JSON only, so opaque content needs another proof of who sent it.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// What all of them have in common, as an operation.
    pub fn operation() -> Op {
        &AnyCall
    }
}

fn is_method(method: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=MAX_METHOD).contains(&method.len())
        && method.bytes().all(is_token)
        && !method.eq_ignore_ascii_case("CONNECT")
}

impl Operation for Unregistered {
    type Reply = Body;
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "Unregistered",
        group: "",
        authentication: Authentication::Server,
        idempotency: Idempotency::None,
        flow: Flow::Concurrent,
        reply: ReplyShape::Body,
        limits: SizeLimits::DEFAULT,
        clocks: Clocks::DEFAULT,
        errors: &[],
        server_acl: AclDuty::Unchecked,
        editions: &[],
    };
}

impl AnyRequest for Unregistered {
    fn operation(&self) -> Op {
        Self::operation()
    }

    fn clone_box(&self) -> Box<dyn AnyRequest> {
        Box::new(self.clone())
    }

    fn same(&self, other: &dyn AnyRequest) -> bool {
        (other as &dyn Any).downcast_ref::<Self>() == Some(self)
    }

    fn write(&self) -> Result<EndpointForm, CallError> {
        Ok(EndpointForm::received(
            self.method.clone().into(),
            self.target.clone(),
            EndpointParts {
                content: self.content.clone(),
                ..EndpointParts::default()
            },
        ))
    }
}

/// The operation that has no row.
struct AnyCall;

impl AnyOperation for AnyCall {
    fn spec(&self) -> &'static OperationSpec {
        Unregistered::SPEC
    }

    fn id(&self) -> TypeId {
        TypeId::of::<Unregistered>()
    }

    fn method(&self) -> &'static str {
        "*"
    }

    fn path(&self) -> &'static PathTemplate {
        const { &PathTemplate::new("/*") }
    }

    fn content(&self) -> ContentKind {
        ContentKind::ByMediaType
    }

    fn trailing_slash(&self) -> TrailingSlash {
        TrailingSlash::Refuse
    }

    fn read(&self, _: &EndpointParts) -> Result<Box<dyn AnyRequest>, FederationError> {
        Err(FederationError::internal(
            "a call that no row knows is read from its method and target",
        ))
    }

    fn read_form(&self, form: &EndpointForm) -> Result<Box<dyn AnyRequest>, FederationError> {
        if let Content::Json(object) = form.content() {
            object.check_counts(Unregistered::SPEC.limits.elements)?;
        }
        let request = Unregistered::new(form.method(), form.target(), form.content().clone())?;
        Ok(Box::new(request))
    }
}

impl From<BadUnregistered> for FederationError {
    fn from(error: BadUnregistered) -> Self {
        match error {
            BadUnregistered::Target(error) => error.into(),
            other => Self::invalid_param(other.to_string()),
        }
    }
}

impl From<BadUnregistered> for CallError {
    fn from(error: BadUnregistered) -> Self {
        unsendable("the call cannot be sent".to_owned())
            .with_source(error)
            .into()
    }
}
