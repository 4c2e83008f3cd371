//! Any call in the form of its endpoint: what no typed message carries.

use bytes::Bytes;
use comity_core::{
    call::{Op, Reply},
    endpoint::{Content, EndpointForm, ReplyHead, WireBody, WireReply, read_reply},
};
use comity_proto::{InvokeHead, InvokeReply, InvokeRequest, invoke_reply};
use futures_util::{StreamExt, stream};

use crate::{
    client::Incoming,
    error::Refused,
    frames::{self, Frame, FrameMessage},
    framing::{Messages, frame},
};

/// Full name of the rpc.
pub(crate) const METHOD: &str = "comity.federation.v1.Invocation/Invoke";

impl FrameMessage for InvokeReply {
    type Head = InvokeHead;

    fn open(self) -> Option<Frame<InvokeHead>> {
        Some(match self.frame? {
            invoke_reply::Frame::Head(head) => Frame::Head(head),
            invoke_reply::Frame::Data(data) => Frame::Data(data),
            invoke_reply::Frame::Complete(true) => Frame::Complete,
            invoke_reply::Frame::Complete(false) => return None,
        })
    }

    fn close(frame: Frame<InvokeHead>) -> Self {
        let frame = match frame {
            Frame::Head(head) => invoke_reply::Frame::Head(head),
            Frame::Data(data) => invoke_reply::Frame::Data(data),
            Frame::Complete => invoke_reply::Frame::Complete(true),
        };
        Self { frame: Some(frame) }
    }
}

/// A request as a framed message.
pub(crate) fn write_request(form: &EndpointForm) -> Bytes {
    let (content, content_type) = match form.content() {
        Content::Absent => (None, None),
        Content::Json(object) => (Some(object.text().clone()), None),
        Content::Opaque {
            content_type,
            bytes,
        } => (Some(bytes.clone()), Some(content_type.clone())),
    };
    frame(&InvokeRequest {
        method: form.method().to_owned(),
        target: Bytes::copy_from_slice(form.target().as_bytes()),
        content,
        content_type,
    })
}

/// A reply as framed messages: what HTTP would answer.
pub(crate) fn write_reply(reply: WireReply) -> Messages {
    let head = InvokeHead {
        status: reply.head.status.into(),
        content_type: reply.head.content_type,
        content_disposition: reply.head.content_disposition,
        retry_after: reply.head.retry_after,
    };
    let bytes = match reply.body {
        WireBody::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        WireBody::Stream(bytes) => bytes,
    };
    frames::write::<InvokeReply>(head, bytes)
}

/// Reads a reply's head, and of its body what the operation's shape asks for.
pub(crate) async fn read(mut incoming: Incoming, operation: Op) -> Result<Reply, Refused> {
    let head = frames::read_head::<InvokeReply>(&mut incoming).await?;
    let head = ReplyHead {
        status: u16::try_from(head.status).unwrap_or(502),
        content_type: head.content_type,
        content_disposition: head.content_disposition,
        retry_after: head.retry_after,
    };
    // JSON around the elements, and a blob's boundaries, count little; the operation's own limits are read_reply's.
    let limit = operation.spec().limits.stream.saturating_add(1 << 20);
    let data = frames::read_data::<InvokeReply>(incoming, limit);
    Ok(read_reply(operation, head, data).await?)
}
