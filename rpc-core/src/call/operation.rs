//! What an operation is to the type system, and the same with its type erased.

use std::{
    any::{Any, TypeId},
    fmt::Debug,
    marker::PhantomData,
};

use super::{OperationSpec, ReplyForm};
use crate::{
    endpoint::{
        Content, ContentKind, EndpointForm, EndpointParts, PathTemplate, TrailingSlash, unsendable,
    },
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};

/// A request type is an operation. Requests are values: they can be repeated and compared. Only replies stream.
pub trait Operation: Clone + PartialEq + Debug + Send + Sync + Sized + 'static {
    /// What a successful call gives.
    type Reply: ReplyForm + Debug;
    /// The facts about the operation, from its row in the table.
    const SPEC: &'static OperationSpec;
}

/// How the Matrix specification writes an operation: method, target and content.
///
/// This is what X-Matrix signs, so it belongs to the API; the HTTP binding also uses it as its wire form.
#[diagnostic::on_unimplemented(message = "operation `{Self}` has no endpoint form")]
pub trait Endpoint: Operation {
    /// The method, upper-case, as it is signed.
    const METHOD: &'static str;
    /// The path with its parameters.
    const PATH: PathTemplate;
    /// Whether one slash behind the path is borne when received (old senders add one). Never sent.
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Refuse;
    /// Other spellings of the same operation: all are accepted when received. A client sends them, in this order, only where
    /// the first one is answered as unknown.
    const ALTERNATIVES: &'static [Alternative] = &[];
    /// What a request's body is.
    const CONTENT: ContentKind = ContentKind::Json;
    /// Whether the reply's object is written as `[200, {..}]`, as some first versions of calls have it. A bare object is read as well.
    const REPLY_IN_TUPLE: bool = false;
    /// Query parameters that have to be there and mean nothing when empty. Path parameters are so always.
    const REQUIRED_QUERY: &'static [&'static str] = &[];

    /// The parameters and content of this request.
    fn write(&self) -> EndpointParts;

    /// Whether the lists of this request are within the limits that every receiver sets, so that none too long is sent.
    ///
    /// # Errors
    /// One is not.
    fn check_lists(&self) -> Result<(), ListTooLong> {
        Ok(())
    }

    /// Reads the request.
    ///
    /// # Errors
    /// 400 with `M_MISSING_PARAM`, `M_INVALID_PARAM` or `M_BAD_JSON`, naming the parameter or member.
    fn read(parts: &EndpointParts) -> Result<Self, FederationError>;
}

/// A list of a request is longer than any receiver takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{list}` has {length} elements, over the limit of {limit} of the specification")]
pub struct ListTooLong {
    /// The member.
    pub list: &'static str,
    /// How many elements it has.
    pub length: usize,
    /// The most that it may have.
    pub limit: usize,
}

impl ListTooLong {
    /// Checks one list.
    ///
    /// # Errors
    /// `length` is over `limit`.
    pub fn check(list: &'static str, length: usize, limit: usize) -> Result<(), Self> {
        match length <= limit {
            true => Ok(()),
            false => Err(Self {
                list,
                length,
                limit,
            }),
        }
    }
}

/// Another spelling of an operation: the same parameters in the same order, the same content and reply. Other parameters do not compile, once the operation is
/// used ([`operation`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative {
    /// The method, upper-case, as it is signed.
    pub method: &'static str,
    /// The path with the operation's parameters in their order.
    pub path: PathTemplate,
}

/// A request of any operation.
pub trait AnyRequest: Any + Debug + Send + Sync {
    /// Which operation it is a request of.
    fn operation(&self) -> Op;
    /// The same request again.
    fn clone_box(&self) -> Box<dyn AnyRequest>;
    /// Whether `other` is of the same operation and equal.
    fn same(&self, other: &dyn AnyRequest) -> bool;
    /// Its endpoint form, with the target as we encode it.
    ///
    /// # Errors
    /// A path parameter is empty (no path can carry it), a required query parameter is absent or empty, or a list is over its limit.
    fn write(&self) -> Result<EndpointForm, CallError>;
}

impl<O: Endpoint> AnyRequest for O {
    fn operation(&self) -> Op {
        operation::<O>()
    }

    fn clone_box(&self) -> Box<dyn AnyRequest> {
        Box::new(self.clone())
    }

    fn same(&self, other: &dyn AnyRequest) -> bool {
        (other as &dyn Any).downcast_ref::<O>() == Some(self)
    }

    fn write(&self) -> Result<EndpointForm, CallError> {
        self.check_lists().map_err(|error| {
            TransportError::new(
                TransportErrorKind::LimitExceeded,
                Delivery::NotSent,
                format!("{} is not sent: {error}", O::SPEC.name),
            )
        })?;
        let parts = Endpoint::write(self);
        for name in O::REQUIRED_QUERY {
            let mut values = parts.query.all(name).peekable();
            if values.peek().is_none() || values.any(str::is_empty) {
                let path = &O::PATH;
                let message = format!("query parameter `{name}` of {path} is absent or empty");
                return Err(unsendable(message).into());
            }
        }
        EndpointForm::from_parts(O::METHOD, &O::PATH, parts)
    }
}

/// An operation as a value: what a registry holds.
pub trait AnyOperation: Send + Sync + 'static {
    /// The facts.
    fn spec(&self) -> &'static OperationSpec;
    /// Identity of the request's type.
    fn id(&self) -> TypeId;
    /// Method of the endpoint form. `*` for [`Unregistered`](super::Unregistered), whose calls have one each.
    fn method(&self) -> &'static str;
    /// Path of the endpoint form. `/*` for [`Unregistered`](super::Unregistered).
    fn path(&self) -> &'static PathTemplate;
    /// Other methods and paths that mean the same.
    fn alternatives(&self) -> &'static [Alternative] {
        &[]
    }
    /// What a request's body is.
    fn content(&self) -> ContentKind {
        ContentKind::Json
    }
    /// Whether the reply's object is written in a tuple.
    fn reply_in_tuple(&self) -> bool {
        false
    }
    /// Whether a slash behind the path is borne.
    fn trailing_slash(&self) -> TrailingSlash;
    /// Reads a request from its parameters and content.
    ///
    /// # Errors
    /// As [`Endpoint::read`]; 400 `M_BAD_JSON` if the content has more members, or a list in it more elements, than the row's
    /// limit.
    fn read(&self, parts: &EndpointParts) -> Result<Box<dyn AnyRequest>, FederationError>;
    /// Reads a request from its endpoint form. Only where each call has a method and target of its own is that more than
    /// [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_form(&self, form: &EndpointForm) -> Result<Box<dyn AnyRequest>, FederationError> {
        self.read(form.parts())
    }
}

impl Debug for dyn AnyOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl PartialEq for dyn AnyOperation {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

/// An operation as a value.
pub type Op = &'static dyn AnyOperation;

/// The operation whose request is `O`, as a value.
pub fn operation<O: Endpoint>() -> Op {
    struct Of<O>(PhantomData<fn() -> O>);
    impl<O: Endpoint> AnyOperation for Of<O> {
        fn spec(&self) -> &'static OperationSpec {
            O::SPEC
        }
        fn id(&self) -> TypeId {
            TypeId::of::<O>()
        }
        fn method(&self) -> &'static str {
            O::METHOD
        }
        fn path(&self) -> &'static PathTemplate {
            const { &O::PATH }
        }
        fn alternatives(&self) -> &'static [Alternative] {
            const {
                let mut others = O::ALTERNATIVES;
                while let [other, rest @ ..] = others {
                    assert!(
                        O::PATH.same_parameters(&other.path),
                        "an alternative has the parameters of the operation's path, in their order"
                    );
                    others = rest;
                }
            }
            O::ALTERNATIVES
        }
        fn content(&self) -> ContentKind {
            O::CONTENT
        }
        fn reply_in_tuple(&self) -> bool {
            O::REPLY_IN_TUPLE
        }
        fn trailing_slash(&self) -> TrailingSlash {
            O::TRAILING_SLASH
        }
        fn read(&self, parts: &EndpointParts) -> Result<Box<dyn AnyRequest>, FederationError> {
            if let Content::Json(object) = &parts.content {
                object.check_counts(O::SPEC.limits.elements)?;
            }
            Ok(Box::new(O::read(parts)?))
        }
    }
    &Of::<O>(PhantomData)
}
