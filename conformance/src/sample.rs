//! What one operation gives to the laws, typed and with its type erased.

use std::fmt;

use comity_core::{
    Boxed,
    call::{AnyRequest, Endpoint, Op, Reply, ReplyShape, operation},
    endpoint::{Content, EndpointParts},
    error::{CallError, FederationError},
    event::Listed,
    json::Value,
};
use proptest::strategy::{BoxedStrategy, Strategy};

use crate::{Elements, List, Lists, Parameter, ReplyLists, ReplySample};

/// What is sent in an operation's calls: random, and hostile where a peer may be.
#[diagnostic::on_unimplemented(
    message = "operation `{Self}` has no conformance sample",
    note = "implement `Sample` in conformance/src/<group>.rs"
)]
pub trait Sample: Endpoint {
    /// Where request and reply list events; [`Lists::NONE`] if they do not.
    const LISTS: Lists<Self>;

    /// The query parameters and members of the request that are read by their type, in the order in which they are read.
    const PARAMETERS: &'static [Parameter];

    /// The members of the reply that are read by their type: of a message, or beside the arrays of a stream.
    const REPLY_MEMBERS: &'static [Parameter] = &[];

    /// Requests that a well-behaved caller makes: every parameter and member within its type, with identifiers that need escaping,
    /// and parameters and members that the operation does not know.
    fn requests() -> BoxedStrategy<Self>;

    /// What may stand in a request's body: any canonical object, known names with null, other types and empty values among them, unknown
    /// names, and no body.
    fn contents() -> BoxedStrategy<Content>;

    /// What may come back, as hostile as the contents.
    fn replies() -> BoxedStrategy<ReplySample>;
}

/// A list of any operation's request or reply.
#[derive(Clone, Copy, Debug)]
pub struct AnyList {
    /// The member or streamed array.
    pub member: &'static str,
    /// What it holds.
    pub elements: Elements,
}

/// What became of the elements of each list, in the order of [`AnySample::request_lists`] or [`AnySample::reply_lists`].
type Judged = Vec<Vec<Listed<Value>>>;

/// A sample of any operation.
#[derive(Clone, Copy)]
pub struct AnySample {
    operation: Op,
    requests: fn() -> BoxedStrategy<Box<dyn AnyRequest>>,
    contents: fn() -> BoxedStrategy<Content>,
    replies: fn() -> BoxedStrategy<ReplySample>,
    parameters: &'static [Parameter],
    reply_members: &'static [Parameter],
    request_lists: fn() -> Vec<AnyList>,
    judge_request: fn(&EndpointParts) -> Result<Judged, FederationError>,
    reply_lists: fn() -> Vec<AnyList>,
    judge_reply: fn(Reply) -> Boxed<'static, Result<Judged, CallError>>,
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
            parameters: O::PARAMETERS,
            reply_members: O::REPLY_MEMBERS,
            request_lists: || any_lists(O::LISTS.request),
            judge_request: |parts| Ok(judge(O::LISTS.request, &O::read(parts)?)),
            reply_lists: || match O::LISTS.reply {
                ReplyLists::Message(lists) => any_lists(lists),
                ReplyLists::Stream { elements, .. } => {
                    let lists = arrays::<O>().iter();
                    lists.map(|member| AnyList { member, elements }).collect()
                }
            },
            judge_reply: |reply| Box::pin(judge_reply::<O>(reply)),
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

    /// As [`Sample::PARAMETERS`].
    pub fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    /// As [`Sample::REPLY_MEMBERS`].
    pub fn reply_members(&self) -> &'static [Parameter] {
        self.reply_members
    }

    /// The request's lists of events.
    pub fn request_lists(&self) -> Vec<AnyList> {
        (self.request_lists)()
    }

    /// What became of the elements of each list of a request.
    ///
    /// # Errors
    /// The request cannot be read.
    pub fn judge_request(&self, parts: &EndpointParts) -> Result<Judged, FederationError> {
        (self.judge_request)(parts)
    }

    /// The reply's lists of events.
    pub fn reply_lists(&self) -> Vec<AnyList> {
        (self.reply_lists)()
    }

    /// What became of the elements of each list of a reply, read to its end.
    ///
    /// # Errors
    /// The reply cannot be read, or breaks off.
    pub async fn judge_reply(&self, reply: Reply) -> Result<Judged, CallError> {
        (self.judge_reply)(reply).await
    }
}

fn any_lists<T>(lists: &[List<T>]) -> Vec<AnyList> {
    let lists = lists.iter().map(|list| AnyList {
        member: list.member,
        elements: list.elements,
    });
    lists.collect()
}

fn judge<T>(lists: &[List<T>], value: &T) -> Judged {
    lists.iter().map(|list| (list.judged)(value)).collect()
}

async fn judge_reply<O: Sample>(reply: Reply) -> Result<Judged, CallError> {
    let reply = reply.typed::<O>()?;
    match O::LISTS.reply {
        ReplyLists::Message(lists) => Ok(judge(lists, &reply)),
        ReplyLists::Stream { read, .. } => {
            let mut judged: Judged = arrays::<O>().iter().map(|_| Vec::new()).collect();
            for (array, element) in read(reply).await? {
                if let Some(place) = arrays::<O>().iter().position(|known| *known == array) {
                    judged[place].push(element);
                }
            }
            Ok(judged)
        }
    }
}

fn arrays<O: Sample>() -> &'static [&'static str] {
    match O::SPEC.reply {
        ReplyShape::Events { arrays } => arrays,
        _ => &[],
    }
}

impl fmt::Debug for AnySample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnySample").field(&self.operation).finish()
    }
}

#[cfg(test)]
mod tests {
    use comity_core::call::ReplyShape;

    use crate::samples;

    /// Every list of every operation is covered: a stream cannot forget to say that it is one.
    #[test]
    fn every_stream_says_what_it_lists() {
        for sample in samples() {
            let ReplyShape::Events { arrays } = sample.operation().spec().reply else {
                continue;
            };
            let lists = sample.reply_lists();
            let lists = lists.iter().map(|list| &list.member);
            assert!(lists.eq(arrays), "{sample:?}");
        }
    }
}
