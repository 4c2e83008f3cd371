//! Which targets a server takes calls for.

use std::fmt;

use crate::error::FederationError;

/// Says of a target alone whether a server takes calls for it. A binding's server that was given one asks before it reads a request's content, so that nobody has
/// content read for a target that is closed. A target that stands only in the content is not asked about.
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// `target` is path and query as they arrived, escapes and all.
    ///
    /// # Errors
    /// What the caller is answered where the target is closed.
    fn admit(&self, target: &str) -> Result<(), FederationError>;
}
