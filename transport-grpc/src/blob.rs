//! A blob as `BlobChunk`s, and back.

use bytes::Bytes;
use comity_core::call::{Blob, BlobSource, OperationSpec};
use comity_proto::{BlobChunk, BlobHead, blob_chunk};
use futures_util::{StreamExt, stream};

use crate::{
    client::Incoming,
    content::canonical_object,
    error::{Refused, bad_reply, protocol},
    frames::{self, Frame, FrameMessage},
    framing::Messages,
};

impl FrameMessage for BlobChunk {
    type Head = BlobHead;

    fn open(self) -> Option<Frame<BlobHead>> {
        Some(match self.frame? {
            blob_chunk::Frame::Head(head) => Frame::Head(head),
            blob_chunk::Frame::Data(data) => Frame::Data(data),
            blob_chunk::Frame::Complete(true) => Frame::Complete,
            blob_chunk::Frame::Complete(false) => return None,
        })
    }

    fn close(frame: Frame<BlobHead>) -> Self {
        let frame = match frame {
            Frame::Head(head) => blob_chunk::Frame::Head(head),
            Frame::Data(data) => blob_chunk::Frame::Data(data),
            Frame::Complete => blob_chunk::Frame::Complete(true),
        };
        Self { frame: Some(frame) }
    }
}

/// Writes a blob as framed messages.
pub(crate) fn write(blob: Blob) -> Messages {
    let metadata_json = Bytes::clone(blob.metadata.text());
    let (head, bytes) = match blob.source {
        BlobSource::Here {
            content_type,
            content_disposition,
        } => (
            BlobHead {
                metadata_json,
                content_type,
                content_disposition,
                location: None,
            },
            blob.bytes,
        ),
        BlobSource::Location(url) => (
            BlobHead {
                metadata_json,
                location: Some(url),
                ..BlobHead::default()
            },
            stream::empty().boxed(),
        ),
    };
    frames::write::<BlobChunk>(head, bytes)
}

/// Reads a blob's head; its bytes follow as a stream.
pub(crate) async fn read(mut incoming: Incoming, spec: &OperationSpec) -> Result<Blob, Refused> {
    let head = frames::read_head::<BlobChunk>(&mut incoming).await?;
    let metadata = canonical_object(&head.metadata_json, spec.limits.message, "metadata_json")
        .map_err(|error| bad_reply(error, "limits.message"))?;
    let source = match head.location {
        Some(_) if head.content_type.is_some() || head.content_disposition.is_some() => {
            return Err(protocol("a blob is both here and elsewhere").into());
        }
        Some(url) => BlobSource::Location(url),
        None => BlobSource::Here {
            content_type: head.content_type,
            content_disposition: head.content_disposition,
        },
    };
    let limit = match source {
        BlobSource::Location(_) => 0,
        BlobSource::Here { .. } => spec.limits.stream,
    };
    Ok(Blob {
        metadata,
        source,
        bytes: frames::read_data::<BlobChunk>(incoming, limit),
    })
}
