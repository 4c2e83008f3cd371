//! One piece of a reply as a map.

use bytes::Bytes;
use comity_core::endpoint::ReplyHead;
use minicbor::Encoder;

use crate::{
    MAX_DATA, MAX_METADATA,
    map::{EnvelopeError, INTO_MEMORY, MapReader, Written},
};

/// One piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// What stands before the body.
    Head(ReplyHead),
    /// The next bytes of the body.
    Data(Bytes),
    /// The body is complete.
    Complete,
    /// The body was broken off, for this reason.
    Aborted(String),
}

impl Frame {
    /// The frame's bytes.
    ///
    /// # Errors
    /// Its data or texts are over their limit.
    pub fn encode(&self) -> Result<Bytes, EnvelopeError> {
        let (what, size, limit, setting) = match self {
            Self::Head(head) => {
                let size = texts(head).map(|(_, text)| text.len()).sum();
                ("the reply's head", size, MAX_METADATA, "MAX_METADATA")
            }
            Self::Data(data) => ("the data of a frame", data.len(), MAX_DATA, "MAX_DATA"),
            Self::Complete => ("the end", 0, 0, ""),
            Self::Aborted(why) => ("the reason", why.len(), MAX_METADATA, "MAX_METADATA"),
        };
        if size > limit {
            return Err(EnvelopeError::TooLarge {
                what,
                size,
                limit,
                setting,
            });
        }
        let mut out = Encoder::new(Vec::with_capacity(size + 64));
        self.write(&mut out).expect(INTO_MEMORY);
        Ok(out.into_writer().into())
    }

    /// Reads a frame. Its data is a slice of `bytes`.
    ///
    /// # Errors
    /// It is none, or something is over its limit.
    pub fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let mut frames = Vec::new();
        let mut reader = MapReader::new(bytes, "the reply frame");
        reader.members(|member, key| {
            frames.push(match key {
                1 => Self::Head(read_head(member)?),
                2 => Self::Data(member.bytes(bytes, "the data", MAX_DATA, "MAX_DATA")?),
                3 => {
                    member.truth("the end")?;
                    Self::Complete
                }
                4 => Self::Aborted(member.text("the reason for breaking off")?),
                _ => return Ok(false),
            });
            Ok(true)
        })?;
        reader.end()?;
        match (frames.pop(), frames.is_empty()) {
            (Some(frame), true) => Ok(frame),
            _ => Err(EnvelopeError::NotOneFrame),
        }
    }

    fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        out.map(1)?;
        match self {
            Self::Head(head) => {
                out.u8(1)?.map(1 + texts(head).count() as u64)?;
                out.u8(1)?.u16(head.status)?;
                for (key, text) in texts(head) {
                    out.u8(key)?.str(text)?;
                }
            }
            Self::Data(data) => _ = out.u8(2)?.bytes(data)?,
            Self::Complete => _ = out.u8(3)?.bool(true)?,
            Self::Aborted(why) => _ = out.u8(4)?.str(why)?,
        }
        Ok(())
    }
}

/// The texts of a head with their keys.
fn texts(head: &ReplyHead) -> impl Iterator<Item = (u8, &str)> {
    [
        (2, &head.content_type),
        (3, &head.retry_after),
        (4, &head.content_disposition),
    ]
    .into_iter()
    .filter_map(|(key, text)| Some((key, text.as_deref()?)))
}

fn read_head(reader: &mut MapReader<'_>) -> Result<ReplyHead, EnvelopeError> {
    const STATUS: &str = "the status";
    let mut status = None;
    let mut head = ReplyHead::default();
    reader.inner("the reply's head", |member, key| {
        match key {
            1 => status = Some(member.unsigned(STATUS)?),
            2 => head.content_type = Some(member.text("the media type")?),
            3 => head.retry_after = Some(member.text("the time to wait")?),
            4 => head.content_disposition = Some(member.text("the content disposition")?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let status = status.ok_or(EnvelopeError::Missing { what: STATUS })?;
    // What is no status at all is a bad gateway's, as on every binding.
    head.status = u16::try_from(status).unwrap_or(502);
    Ok(head)
}
