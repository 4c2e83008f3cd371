//! One call in flight: the operation and its facts, the request, the context it travels in, the reply.

mod bytes;
mod context;
mod older;
mod operation;
mod reply;
mod spec;
mod unregistered;
mod via;

pub use bytes::{Blob, BlobSource, Body, ByteStream};
pub use context::{Authenticated, CallContext, Credentials, FromContext, TraceContext};
pub use older::Older;
pub use operation::{
    Alternative, AnyOperation, AnyRequest, Endpoint, ListTooLong, Op, Operation, operation,
};
pub use reply::{
    AnyMessage, Arrival, EventReply, EventStream, Message, MessageForm, Part, PartStream, Reply,
    ReplyForm,
};
pub use spec::{
    AclDuty, Authentication, Clocks, DocumentedError, Edition, EditionSpan, Flow, Idempotency,
    OperationSpec, ReplyShape, SizeLimits,
};
pub use unregistered::{BadUnregistered, Unregistered};
pub use via::{hops, received_by};

use std::fmt;

use crate::{
    ServerName,
    endpoint::EndpointForm,
    error::{CallError, FederationError},
};

/// One call of any operation, ours or a third party's, on its way through layers and bindings.
///
/// It holds the request as a value, as an endpoint form, or both. The endpoint form is made once: by the HTTP server
/// from what arrived, or by the first layer that asks for it. HTTP sends it verbatim, verification reads it, gRPC
/// compares its message with it. Changing the request drops it, because a signature over it would no longer hold.
///
/// It is passed from layer to layer by value, so it is one pointer.
pub struct Call(Box<Parts>);

struct Parts {
    request: Box<dyn AnyRequest>,
    form: Option<EndpointForm>,
    /// The form as it arrived, if the request has become narrower since.
    arrived: Option<EndpointForm>,
    context: CallContext,
}

impl Call {
    /// A call to `destination`, as a client makes it.
    pub fn new(destination: ServerName, request: impl AnyRequest) -> Self {
        Self(Box::new(Parts {
            request: Box::new(request),
            form: None,
            arrived: None,
            context: CallContext::to(destination),
        }))
    }

    /// A call as a binding's server received it.
    pub fn received(
        request: Box<dyn AnyRequest>,
        form: EndpointForm,
        context: CallContext,
    ) -> Self {
        Self(Box::new(Parts {
            request,
            form: Some(form),
            arrived: None,
            context,
        }))
    }

    /// A call of `operation` as a binding's server received it, its request read from the endpoint form.
    ///
    /// # Errors
    /// As [`Endpoint::read`].
    pub fn read(
        operation: Op,
        form: EndpointForm,
        context: CallContext,
    ) -> Result<Self, FederationError> {
        Ok(Self::received(operation.read_form(&form)?, form, context))
    }

    /// What is called.
    pub fn operation(&self) -> Op {
        self.0.request.operation()
    }

    /// The facts about what is called.
    pub fn spec(&self) -> &'static OperationSpec {
        self.operation().spec()
    }

    /// The request as a value.
    pub fn request(&self) -> &dyn AnyRequest {
        &*self.0.request
    }

    /// Replaces the request. The endpoint form and the credentials that sign it are dropped.
    pub fn set_request(&mut self, request: Box<dyn AnyRequest>) {
        self.0.request = request;
        self.0.form = None;
        self.0.context.unsign();
    }

    /// Replaces the request by what is left of it after something was taken out. As [`set_request`](Self::set_request); but the context
    /// keeps the endpoint form as it arrived, for a handler that wants what was signed.
    pub fn narrow_request(&mut self, request: Box<dyn AnyRequest>) {
        let form = self.0.form.take();
        self.0.arrived = self.0.arrived.take().or(form);
        self.set_request(request);
    }

    /// The endpoint form, if it was made already.
    pub fn form(&self) -> Option<&EndpointForm> {
        self.0.form.as_ref()
    }

    /// The endpoint form, made now if it was not made before.
    ///
    /// # Errors
    /// The request cannot be written as an endpoint (an empty path parameter, for example).
    pub fn make_form(&mut self) -> Result<&EndpointForm, CallError> {
        if self.0.form.is_none() {
            self.0.form = Some(self.0.request.write()?);
        }
        Ok(self.0.form.as_ref().expect("made above"))
    }

    /// Writes the same parameters and content by another method and path. The credentials that sign the former are dropped.
    ///
    /// # Errors
    /// As [`make_form`](Self::make_form).
    pub(crate) fn respell(&mut self, other: &Alternative) -> Result<(), CallError> {
        let parts = self.make_form()?.parts().clone();
        self.0.form = Some(EndpointForm::from_parts(other.method, &other.path, parts)?);
        self.0.context.unsign();
        Ok(())
    }

    /// Puts a slash behind the path. The credentials that sign the former are dropped.
    ///
    /// # Errors
    /// As [`make_form`](Self::make_form).
    pub(crate) fn add_slash(&mut self) -> Result<(), CallError> {
        let form = self.make_form()?;
        self.0.form = Some(form.with_slash()?);
        self.0.context.unsign();
        Ok(())
    }

    /// Refuses to pass on a HEAD, which a server answers as the operation's GET: a reply that is read from its body would have none.
    ///
    /// # Errors
    /// 405 `M_UNRECOGNIZED`; nothing was sent. Replies that are bytes ([`ReplyShape::Body`]) pass.
    pub fn check_method(&self) -> Result<(), FederationError> {
        let spec = self.spec();
        let is_head = self.form().is_some_and(|form| form.method() == "HEAD");
        if is_head && spec.reply != ReplyShape::Body {
            let message = format!(
                "HEAD of {} is not passed on: its reply has no body to be read from",
                spec.name
            );
            return Err(FederationError::new(405, "M_UNRECOGNIZED", message));
        }
        Ok(())
    }

    /// What travels beside the request.
    pub fn context(&self) -> &CallContext {
        &self.0.context
    }

    /// What travels beside the request, to change.
    pub fn context_mut(&mut self) -> &mut CallContext {
        &mut self.0.context
    }

    /// Takes the call apart. The context then carries the endpoint form, so that a handler can read what was signed.
    pub fn into_parts(self) -> (Box<dyn AnyRequest>, CallContext) {
        let Parts {
            request,
            form,
            arrived,
            mut context,
        } = *self.0;
        context.form = arrived.or(form);
        (request, context)
    }

    /// The same call again, for a retry: same request, same form, same credentials.
    pub fn duplicate(&self) -> Self {
        Self(Box::new(Parts {
            request: self.0.request.clone_box(),
            form: self.0.form.clone(),
            arrived: self.0.arrived.clone(),
            context: self.0.context.clone(),
        }))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request", &self.0.request)
            .field("form", &self.0.form)
            .field("arrived", &self.0.arrived)
            .field("context", &self.0.context)
            .finish()
    }
}
