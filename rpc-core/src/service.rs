//! From group traits to one service: what can be decoded, and who answers.

use std::{any::Any, borrow::Cow, fmt, pin::Pin, sync::Arc, task::Poll};

use tower::{Layer, Service, util::BoxCloneSyncService};

use crate::{
    call::{
        AnyRequest, Authenticated, Body, Call, CallContext, Edition, Endpoint, FromContext, Op,
        Reply, ReplyForm, Unregistered,
    },
    endpoint::{
        Content, EndpointForm, EndpointParts, PathTemplate, Query, check_target, split_target,
    },
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
    /// Every method and path, those with more literal segments first: `/query/profile` before `/query/{queryType}`.
    spellings: Vec<Spelling>,
    unregistered: bool,
}

/// One method and path of an operation.
#[derive(Clone, Copy, Debug)]
struct Spelling {
    op: Op,
    method: &'static str,
    path: &'static PathTemplate,
    /// What its paths begin with: nearly all templates are told apart by that, which is cheaper than to take a path to pieces for each.
    start: &'static str,
}

impl Spelling {
    fn all(op: Op) -> impl Iterator<Item = Self> {
        let own = Self {
            op,
            method: op.method(),
            path: op.path(),
            start: op.path().literal_start(),
        };
        let others = op.alternatives().iter().map(move |other| Self {
            op,
            method: other.method,
            path: &other.path,
            start: other.path.literal_start(),
        });
        std::iter::once(own).chain(others)
    }

    fn clashes(&self, other: &Self) -> bool {
        self.method == other.method && self.path.same_shape(other.path)
    }
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
        Self::none().having(crate::api::operations())
    }

    /// No operation.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds operations.
    ///
    /// # Errors
    /// One of them has the name, or a method and path, of another.
    pub fn with(mut self, more: impl IntoIterator<Item = Op>) -> Result<Self, DuplicateOperation> {
        for op in more {
            let named = self.by_name(op.spec().name).is_some();
            let taken = Spelling::all(op)
                .find(|new| named || self.spellings.iter().any(|old| old.clashes(new)));
            if let Some(taken) = taken {
                return Err(DuplicateOperation {
                    name: op.spec().name,
                    method: taken.method,
                    path: taken.path.to_string(),
                });
            }
            self = self.having([op]);
        }
        Ok(self)
    }

    /// Adds operations of which it is known that none clashes.
    fn having(mut self, more: impl IntoIterator<Item = Op>) -> Self {
        for op in more {
            self.list.push(op);
            self.spellings.extend(Spelling::all(op));
        }
        self.spellings
            .sort_by_cached_key(|spelling| spelling.path.parameter_places());
        self
    }

    /// Only the operations that an edition has now: what a server of that edition takes in. It answers everything else as unrecognized, what
    /// the edition had and took out as well. A third party's own, which belong to no edition, are added behind this.
    #[must_use]
    pub fn in_edition(self, edition: Edition) -> Self {
        let stands = |op: &Op| {
            let span = op.spec().edition(edition);
            span.is_some_and(|span| span.until.is_none())
        };
        Self {
            unregistered: self.unregistered,
            ..Self::none().having(self.list.into_iter().filter(stands))
        }
    }

    /// Takes in calls that no row knows as well, as [`Unregistered`]: what would be answered 404 or 405 reaches whoever answers
    /// those ([`Router::with_unregistered`]), or a gateway's next hop. The [ACLs](crate::layers::Acl) of rooms do not judge them.
    #[must_use]
    pub fn with_unregistered(mut self) -> Self {
        self.unregistered = true;
        self
    }

    /// Whether calls of this operation are taken in.
    pub fn contains(&self, op: Op) -> bool {
        match op == Unregistered::operation() {
            true => self.unregistered,
            false => self.by_name(op.spec().name) == Some(op),
        }
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
    /// [`Unregistered`] has no parameters. It is found where the registry [takes it in](Self::with_unregistered) and no row has the
    /// path, or none that path with the method.
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
        for Spelling {
            op,
            method: own,
            path: template,
            start,
        } in self.spellings.iter().copied()
        {
            if !path.starts_with(start) {
                continue;
            }
            let Some(parameters) = template.matches_behind(start.len(), path, op.trailing_slash())
            else {
                continue;
            };
            if own != method {
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
        if self.unregistered {
            return Ok((Unregistered::operation(), EndpointParts::default()));
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
        Call::read(op, EndpointForm::received(method, target, parts), context)
    }
}

/// One operation and who answers it.
#[derive(Clone)]
pub struct Route {
    op: Op,
    handler: Handler,
}

type Handler = Arc<dyn Fn(Call) -> Boxed<'static, Result<Reply, CallError>> + Send + Sync>;

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
        let handler: Handler = Arc::new(move |call| {
            let (service, method) = (service.clone(), method.clone());
            Box::pin(async move {
                let (request, context) = call.into_parts();
                let context = C::from_context(context)?;
                let reply = method(&service, &context, own(request)).await?;
                Ok(reply.into_reply())
            })
        });
        Self {
            op: crate::call::operation::<O>(),
            handler,
        }
    }

    /// A route for every call that no row knows.
    fn unregistered<F, R>(answer: F) -> Self
    where
        F: Fn(Authenticated, Unregistered) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Body, FederationError>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        let handler: Handler = Arc::new(move |call| {
            let answer = answer.clone();
            Box::pin(async move {
                let (request, context) = call.into_parts();
                let context = Authenticated::from_context(context)?;
                Ok(answer(context, own(request)).await?.into_reply())
            })
        });
        Self {
            op: Unregistered::operation(),
            handler,
        }
    }
}

/// The request of a route's own operation.
fn own<O: AnyRequest>(request: Box<dyn AnyRequest>) -> O {
    *(request as Box<dyn Any>)
        .downcast::<O>()
        .expect("the router looks routes up by the request's type")
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

    /// Has `answer` answer every call that no row knows, where the registry
    /// [takes them in](Operations::with_unregistered). Their origin is proven.
    #[must_use]
    pub fn with_unregistered<F, R>(self, answer: F) -> Self
    where
        F: Fn(Authenticated, Unregistered) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Body, FederationError>> + Send + 'static,
    {
        self.with([Route::unregistered(answer)])
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
            Some(route) => (route.handler)(call),
            None => Box::pin(std::future::ready(Err(
                FederationError::unrecognized().into()
            ))),
        }
    }
}
