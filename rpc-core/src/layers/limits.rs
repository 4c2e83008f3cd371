//! Size: of requests and of replies, streams included.

use std::sync::Arc;

use super::{Around, AroundLayer, Inner, Side, around, stream};
use crate::{
    call::{Call, Reply},
    endpoint::{Content, check_counts},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind},
};

/// Bounds the size of a request's content and of a reply by the limits of the row. A binding bounds what it reads already; this layer does
/// the same for transports that read nothing (memory), and for replies that a handler makes.
#[derive(Debug, Clone)]
pub struct Limits {
    side: Side,
}

impl Limits {
    /// The limits of the rows, for one side.
    pub fn layer(side: Side) -> AroundLayer<Self> {
        around(Self { side })
    }
}

impl Around for Limits {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let spec = call.spec();
        let size = match call.make_form()?.content() {
            Content::Absent => 0,
            Content::Json(object) => object.text().len(),
            Content::Opaque { bytes, .. } => bytes.len(),
        };
        let limit = spec.limits.request;
        if size > limit {
            return Err(match self.side {
                Side::Client => TransportError::new(
                    TransportErrorKind::LimitExceeded,
                    Delivery::NotSent,
                    format!(
                        "the request content of {} has {size} bytes, over the limit of {limit} on the caller's side (setting `limits.request`)",
                        spec.name
                    ),
                )
                .into(),
                Side::Server => {
                    FederationError::too_large("request content", limit as u64, "receiver", "limits.request").into()
                }
            });
        }
        let mut reply = inner.call(call).await?;
        if let Reply::Message(message) = &mut reply {
            check_counts(message.content(), spec)?;
            let size = message.content().text().len();
            if size > spec.limits.message {
                return Err(over(
                    size as u64,
                    spec.limits.message as u64,
                    "limits.message",
                    spec.name,
                ));
            }
        }
        stream::watch(
            reply,
            Count {
                bytes: 0,
                limit: spec.limits.stream,
                name: spec.name,
            },
        )
    }
}

fn over(size: u64, limit: u64, setting: &str, name: &str) -> CallError {
    TransportError::new(
        TransportErrorKind::LimitExceeded,
        Delivery::MaybeProcessed,
        format!("the reply to {name} has at least {size} bytes, over the limit of {limit} (setting `{setting}`)"),
    )
    .into()
}

struct Count {
    bytes: u64,
    limit: u64,
    name: &'static str,
}

impl stream::Watch for Count {
    fn arrived(&mut self, bytes: usize) -> Result<(), CallError> {
        self.bytes += bytes as u64;
        if self.bytes > self.limit {
            return Err(over(self.bytes, self.limit, "limits.stream", self.name));
        }
        Ok(())
    }
}
