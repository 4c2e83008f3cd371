//! What one operation gives to the laws, typed and with its type erased.

use std::fmt;

use comity_core::{
    call::{AnyRequest, Endpoint, Op, operation},
    endpoint::Content,
};
use proptest::strategy::{BoxedStrategy, Strategy};

use crate::ReplySample;

/// What is sent in an operation's calls: random, and hostile where a peer may be.
#[diagnostic::on_unimplemented(
    message = "operation `{Self}` has no conformance sample",
    note = "implement `Sample` in conformance/src/<group>.rs"
)]
pub trait Sample: Endpoint {
    /// Requests that a well-behaved caller makes: every parameter and member within its type, with identifiers that need escaping,
    /// and parameters and members that the operation does not know.
    fn requests() -> BoxedStrategy<Self>;

    /// What may stand in a request's body: any canonical object, known names with null, other types and empty values among them, unknown
    /// names, and no body.
    fn contents() -> BoxedStrategy<Content>;

    /// What may come back, as hostile as the contents.
    fn replies() -> BoxedStrategy<ReplySample>;
}

/// A sample of any operation.
#[derive(Clone, Copy)]
pub struct AnySample {
    operation: Op,
    requests: fn() -> BoxedStrategy<Box<dyn AnyRequest>>,
    contents: fn() -> BoxedStrategy<Content>,
    replies: fn() -> BoxedStrategy<ReplySample>,
}

impl AnySample {
    /// The sample of `O`.
    pub fn of<O: Sample>() -> Self {
        Self {
            operation: operation::<O>(),
            requests: || {
                O::requests()
                    .prop_map(|request| Box::new(request) as Box<dyn AnyRequest>)
                    .boxed()
            },
            contents: O::contents,
            replies: O::replies,
        }
    }

    /// The operation.
    pub fn operation(&self) -> Op {
        self.operation
    }

    /// As [`Sample::requests`].
    pub fn requests(&self) -> BoxedStrategy<Box<dyn AnyRequest>> {
        (self.requests)()
    }

    /// As [`Sample::contents`].
    pub fn contents(&self) -> BoxedStrategy<Content> {
        (self.contents)()
    }

    /// As [`Sample::replies`].
    pub fn replies(&self) -> BoxedStrategy<ReplySample> {
        (self.replies)()
    }
}

impl fmt::Debug for AnySample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnySample").field(&self.operation).finish()
    }
}
