//! Operations that took the place of others.

use super::{Endpoint, Operation};
use crate::{ServerName, error::CallError};

/// An operation that took the place of another, which servers in use may have instead.
///
/// A client that is told to ([`Fallback`](crate::layers::Fallback)) sends the older call where the newer one is answered as unknown, and the
/// caller does not notice.
pub trait Older: Endpoint {
    /// The operation whose place it took.
    type Older: Endpoint;

    /// The older request that asks for the same of `destination`; `None` if none does.
    fn older(&self, destination: &ServerName) -> Option<Self::Older>;

    /// The reply to that request as a reply to this one.
    ///
    /// # Errors
    /// It cannot stand for one.
    fn newer(reply: <Self::Older as Operation>::Reply) -> Result<Self::Reply, CallError>;
}
