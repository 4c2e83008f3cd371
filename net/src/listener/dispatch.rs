//! Which binding a request is for.

use std::convert::Infallible;
use std::fmt;

use http::request::Parts;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use crate::Body;

/// A binding's server side: every request gets a response.
pub type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Tells by a request's head whether a binding takes it.
pub type Claims = Box<dyn Fn(&Parts) -> bool + Send + Sync>;

/// The bindings that share a listener: the first that claims a request gets it, the fallback gets the rest.
pub struct Dispatch {
    services: Vec<(Claims, HttpService)>,
    fallback: HttpService,
}

impl Dispatch {
    /// Everything goes to the fallback.
    pub fn new(fallback: HttpService) -> Self {
        Self {
            services: Vec::new(),
            fallback,
        }
    }

    /// Adds a service after those there are.
    pub fn with(
        mut self,
        claims: impl Fn(&Parts) -> bool + Send + Sync + 'static,
        service: HttpService,
    ) -> Self {
        self.services.push((Box::new(claims), service));
        self
    }

    pub(super) fn find(&self, head: &Parts) -> HttpService {
        let claimed = self.services.iter().find(|(claims, _)| claims(head));
        claimed
            .map_or(&self.fallback, |(_, service)| service)
            .clone()
    }
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("services", &self.services.len())
            .finish_non_exhaustive()
    }
}
