//! From group traits to one service: what can be decoded, and who answers.

use std::{any::Any, borrow::Cow, fmt, pin::Pin, sync::Arc, task::Poll};

use tower::{Layer, Service, util::BoxCloneSyncService};

use crate::{
    call::{AnyRequest, Call, CallContext, Endpoint, FromContext, Op, Reply, ReplyForm},
    endpoint::{Content, EndpointForm, EndpointParts, Query, check_target, split_target},
    error::{CallError, FederationError},
};

/// A boxed future.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Anything that answers calls, boxed: what a binding's server is given.
pub type CallService = BoxCloneSyncService<Call, Reply, CallError>;

/// What can be decoded: operations by name and by endpoint. Apart from who answers them ([`Router`]), because a gateway
/// decodes calls that it does not answer.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    list: Vec<Op>,
}

/// Two operations that cannot stand in one registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {name} is registered twice, or shares {method} {path} with another")]
pub struct DuplicateOperation {
    name: &'static str,
    method: &'static str,
    path: String,
}

impl Operations {
    /// Every operation of the table in [`api`](crate::api).
    pub fn federation() -> Self {
        Self {
            list: crate::api::operations(),
        }
    }

    /// No operation.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds operations.
    ///
    /// # Errors
    /// One of them has the name, or the method and path, of another.
    pub fn with(mut self, more: impl IntoIterator<Item = Op>) -> Result<Self, DuplicateOperation> {
        for op in more {
            let taken = self.list.iter().any(|other| {
                other.spec().name == op.spec().name
                    || (other.method() == op.method() && other.path().same_shape(op.path()))
            });
            if taken {
                return Err(DuplicateOperation {
                    name: op.spec().name,
                    method: op.method(),
                    path: op.path().to_string(),
                });
            }
            self.list.push(op);
        }
        Ok(self)
    }

    /// Each operation.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Op> {
        self.list.iter().copied()
    }

    /// The operation with this name.
    pub fn by_name(&self, name: &str) -> Option<Op> {
        self.iter().find(|op| op.spec().name == name)
    }

    /// Finds the operation that a method and target ask for, and decodes their parameters. The content is not looked at.
    ///
    /// # Errors
    /// 404 `M_UNRECOGNIZED` for an unknown path, 405 `M_UNRECOGNIZED` for another method of a known one, 400
    /// `M_INVALID_PARAM` for escapes that make no UTF-8, 400 or 414 for a target that no wire should carry.
    pub fn route(
        &self,
        method: &str,
        target: &str,
    ) -> Result<(Op, EndpointParts), FederationError> {
        check_target(target)?;
        let (path, query) = split_target(target);
        let mut known_path = false;
        for op in self.iter() {
            let Some(parameters) = op.path().matches(path, op.trailing_slash()) else {
                continue;
            };
            if op.method() != method {
                known_path = true;
                continue;
            }
            let parts = EndpointParts {
                path: parameters?,
                query: Query::parse(query.unwrap_or_default())?,
                content: Content::Absent,
            };
            return Ok((op, parts));
        }
        Err(if known_path {
            FederationError::method_not_allowed()
        } else {
            FederationError::unrecognized()
        })
    }

    /// Makes a call of a request in endpoint form: what every binding's server does with what arrived.
    ///
    /// `content` is asked for only once the operation is known, so that its size limit holds.
    ///
    /// # Errors
    /// As [`Operations::route`], `content` and [`Endpoint::read`].
    pub fn read(
        &self,
        method: Cow<'static, str>,
        target: String,
        context: CallContext,
        content: impl FnOnce(Op) -> Result<Content, FederationError>,
    ) -> Result<Call, FederationError> {
        let (op, mut parts) = self.route(&method, &target)?;
        parts.content = content(op)?;
        let form = EndpointForm::received(method, target, parts);
        Ok(Call::received(op.read(form.parts())?, form, context))
    }
}

/// One operation and who answers it.
#[derive(Clone)]
pub struct Route {
    op: Op,
    handler: Handler,
}

type Handler = Arc<
    dyn Fn(Box<dyn AnyRequest>, CallContext) -> Boxed<'static, Result<Reply, CallError>>
        + Send
        + Sync,
>;

impl Route {
    /// A route to a method of a service. The table's macros write these.
    pub fn new<S, O, C, F>(service: Arc<S>, method: F) -> Self
    where
        S: ?Sized + Send + Sync + 'static,
        O: Endpoint,
        C: FromContext,
        F: for<'a> Fn(&'a S, &'a C, O) -> Boxed<'a, Result<O::Reply, FederationError>>
            + Send
            + Sync
            + 'static,
    {
        let method = Arc::new(method);
        let handler: Handler = Arc::new(move |request, context| {
            let (service, method) = (service.clone(), method.clone());
            Box::pin(async move {
                let context = C::from_context(context)?;
                let request = (request as Box<dyn Any>)
                    .downcast::<O>()
                    .expect("the router looks routes up by the request's type");
                let reply = method(&service, &context, *request).await?;
                Ok(reply.into_reply())
            })
        });
        Self {
            op: crate::call::operation::<O>(),
            handler,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.op).finish()
    }
}

/// Answers calls by the routes it was given. A call without a route is answered 404 `M_UNRECOGNIZED`.
///
/// It answers 401 itself to a server-authenticated operation whose origin nobody proved, so a forgotten verify
/// layer locks a server up and never opens it.
#[derive(Clone, Debug, Default)]
pub struct Router {
    routes: Arc<std::collections::HashMap<std::any::TypeId, Route>>,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the routes of a group: `.with(membership(service))`. A route for the same operation is replaced.
    #[must_use]
    pub fn with(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        let map = Arc::make_mut(&mut self.routes);
        for route in routes {
            map.insert(route.op.id(), route);
        }
        self
    }

    /// The operations that have a route.
    pub fn operations(&self) -> Vec<Op> {
        self.routes.values().map(|route| route.op).collect()
    }

    /// The router behind a layer or a stack of layers, boxed for a binding's server.
    pub fn layered<L>(self, layer: L) -> CallService
    where
        L: Layer<Self>,
        L::Service:
            Service<Call, Response = Reply, Error = CallError> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
    {
        BoxCloneSyncService::new(layer.layer(self))
    }
}

impl Service<Call> for Router {
    type Response = Reply;
    type Error = CallError;
    type Future = Boxed<'static, Result<Reply, CallError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        match self.routes.get(&call.operation().id()) {
            Some(route) => {
                let (request, context) = call.into_parts();
                (route.handler)(request, context)
            }
            None => Box::pin(std::future::ready(Err(
                FederationError::unrecognized().into()
            ))),
        }
    }
}
