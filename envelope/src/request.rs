//! One request as a map.

use std::{fmt, time::Duration};

use bytes::Bytes;
use comity_core::call::TraceContext;
use minicbor::Encoder;

use crate::{
    MAX_CONTENT, MAX_ITEMS, MAX_METADATA,
    map::{EnvelopeError, INTO_MEMORY, MapReader, Written},
};

/// Everything that a request carries, as it crosses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestEnvelope {
    /// Method, as signed.
    pub method: String,
    /// Path and query, as signed.
    pub target: String,
    /// The body; `None` if there was none.
    pub content: Option<Bytes>,
    /// The body's media type, if it is not JSON.
    pub content_type: Option<String>,
    /// The server that the call is for.
    pub destination: Option<String>,
    /// Credentials, literally, in order.
    pub credentials: Vec<String>,
    /// Who the caller says it is (`From`).
    pub from: Option<String>,
    /// How long the caller still waits for the whole call. In milliseconds on the wire, rounded down: a deadline only shrinks.
    pub deadline: Option<Duration>,
    /// Intermediaries, oldest first.
    pub via: Vec<String>,
    /// Trace context.
    pub trace: TraceContext,
}

impl RequestEnvelope {
    /// The envelope's bytes.
    ///
    /// # Errors
    /// Something is over its limit.
    pub fn encode(&self) -> Result<Bytes, EnvelopeError> {
        self.check()?;
        let content = self.content.as_ref().map_or(0, Bytes::len);
        let mut out = Encoder::new(Vec::with_capacity(content + 1_024));
        self.write(&mut out).expect(INTO_MEMORY);
        Ok(out.into_writer().into())
    }

    /// Reads an envelope. The content is a slice of `bytes`.
    ///
    /// # Errors
    /// It is none, or something is over its limit.
    pub fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let mut request = Self::default();
        let (mut method, mut target) = (None, None);
        let mut reader = MapReader::new(bytes, "the request envelope");
        reader.members(|member, key| {
            match key {
                1 => method = Some(member.text("the method")?),
                2 => target = Some(member.text("the target")?),
                3 => {
                    let content = member.bytes(bytes, "the content", MAX_CONTENT, "MAX_CONTENT")?;
                    request.content = Some(content);
                }
                4 => request.content_type = Some(member.text("the content type")?),
                5 => request.destination = Some(member.text("the destination")?),
                6 => request.credentials = member.texts("the credentials")?,
                7 => {
                    let left = member.unsigned("the deadline")?;
                    request.deadline = Some(Duration::from_millis(left));
                }
                8 => request.via = member.texts("the hops (via)")?,
                9 => request.trace.parent = Some(member.text("the trace's parent")?),
                10 => request.trace.state = Some(member.text("the trace's state")?),
                11 => request.from = Some(member.text("the caller's name (from)")?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        reader.end()?;
        request.method = method.ok_or(EnvelopeError::Missing { what: "the method" })?;
        request.target = target.ok_or(EnvelopeError::Missing { what: "the target" })?;
        Ok(request)
    }

    /// The texts beside the method and target, with their keys and what errors call them.
    fn texts(&self) -> impl Iterator<Item = (u8, &str)> {
        [
            (4, &self.content_type),
            (5, &self.destination),
            (9, &self.trace.parent),
            (10, &self.trace.state),
            (11, &self.from),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.as_deref()?)))
    }

    fn check(&self) -> Result<(), EnvelopeError> {
        if let Some(content) = &self.content
            && content.len() > MAX_CONTENT
        {
            return Err(EnvelopeError::TooLarge {
                what: "the content",
                size: content.len(),
                limit: MAX_CONTENT,
                setting: "MAX_CONTENT",
            });
        }
        for (what, list) in [
            ("the credentials", &self.credentials),
            ("the hops (via)", &self.via),
        ] {
            if list.len() > MAX_ITEMS {
                let items = list.len() as u64;
                return Err(EnvelopeError::TooMany { what, items });
            }
        }
        let lists = self.credentials.iter().chain(&self.via).map(String::len);
        let texts = self.texts().map(|(_, text)| text.len());
        let size = lists.chain(texts).sum::<usize>() + self.method.len() + self.target.len();
        match size > MAX_METADATA {
            true => Err(EnvelopeError::TooLarge {
                what: "everything beside the content",
                size,
                limit: MAX_METADATA,
                setting: "MAX_METADATA",
            }),
            false => Ok(()),
        }
    }

    fn write(&self, out: &mut Encoder<Vec<u8>>) -> Written {
        let lists = [(6, &self.credentials), (8, &self.via)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let members = 2
            + self.texts().count()
            + lists.clone().count()
            + usize::from(self.deadline.is_some())
            + usize::from(self.content.is_some());
        out.map(members as u64)?;
        out.u8(1)?.str(&self.method)?.u8(2)?.str(&self.target)?;
        for (key, text) in self.texts() {
            out.u8(key)?.str(text)?;
        }
        for (key, list) in lists {
            out.u8(key)?.array(list.len() as u64)?;
            for text in list {
                out.str(text)?;
            }
        }
        if let Some(deadline) = self.deadline {
            let left = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            out.u8(7)?.u64(left)?;
        }
        if let Some(content) = &self.content {
            out.u8(3)?.bytes(content)?;
        }
        Ok(())
    }
}

/// Credentials are secret, and a target can hold an access token.
impl fmt::Debug for RequestEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestEnvelope")
            .field("method", &self.method)
            .field("path", &self.target.split('?').next())
            .field("content", &self.content.as_ref().map(Bytes::len))
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
