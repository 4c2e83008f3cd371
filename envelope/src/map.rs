//! Maps with integer keys: read member by member, each within its limit.

use std::convert::Infallible;

use bytes::Bytes;
use minicbor::{Decoder, data::Type, decode, encode};
use thiserror::Error;

use crate::{MAX_ITEMS, MAX_METADATA};

/// Why bytes are no envelope, or something fits into none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The bytes are not the CBOR that the form asks for.
    #[error("{what} is malformed")]
    Malformed {
        /// Which part: "the target", "the request envelope".
        what: &'static str,
        /// What the decoder said.
        source: decode::Error,
    },
    /// A map or string without its length in front.
    #[error("{what} is of indefinite length")]
    Indefinite {
        /// Which part.
        what: &'static str,
    },
    /// A key twice: which one was meant?
    #[error("{what} has the key {key} twice")]
    Twice {
        /// Which part.
        what: &'static str,
        /// The key.
        key: i64,
    },
    /// A member that has to be there is not.
    #[error("{what} is missing")]
    Missing {
        /// Which one.
        what: &'static str,
    },
    /// Bytes behind the end.
    #[error("bytes follow {what}")]
    Trailing {
        /// Which part.
        what: &'static str,
    },
    /// More bytes than there may be.
    #[error("{what}: {size} bytes, over the limit of {limit} (setting: {setting})")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// How many there are.
        size: usize,
        /// How many there may be.
        limit: usize,
        /// The constant that says so.
        setting: &'static str,
    },
    /// More elements than there may be.
    #[error("{what}: {items} elements, over the limit of {MAX_ITEMS} (setting: MAX_ITEMS)")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// How many there are.
        items: u64,
    },
    /// A frame with none of the keys of the table, or with several.
    #[error(
        "a reply frame has not exactly one of a head, data, the end and the reason for breaking off"
    )]
    NotOneFrame,
}

/// What writing to memory gives.
pub(crate) type Written = Result<(), encode::Error<Infallible>>;

/// Why that is no error.
pub(crate) const INTO_MEMORY: &str = "writing to memory does not fail";

/// Reads a map of definite length from the front of its bytes, and what its members hold.
pub(crate) struct MapReader<'b> {
    decoder: Decoder<'b>,
    /// What errors call the whole.
    what: &'static str,
    /// Bytes of text that may still come.
    metadata: usize,
}

impl<'b> MapReader<'b> {
    pub(crate) fn new(bytes: &'b [u8], what: &'static str) -> Self {
        Self {
            decoder: Decoder::new(bytes),
            what,
            metadata: MAX_METADATA,
        }
    }

    /// Calls `read` for each member with its key; it says whether it took the value. What it did not take is skipped. Keys are compared from 0 to 63:
    /// every table's are there, and what is kept of them has a bound.
    pub(crate) fn members(
        &mut self,
        mut read: impl FnMut(&mut Self, i64) -> Result<bool, EnvelopeError>,
    ) -> Result<(), EnvelopeError> {
        let what = self.what;
        let count = self.decoder.map().map_err(malformed(what))?;
        let count = count.ok_or(EnvelopeError::Indefinite { what })?;
        let mut seen = 0_u64;
        for _ in 0..count {
            let key = self.key()?;
            let compared = (0..64).contains(&key);
            if compared && seen >> key & 1 == 1 {
                return Err(EnvelopeError::Twice { what, key });
            }
            if compared {
                seen |= 1 << key;
            }
            if !read(self, key)? {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Any integer; one that does not fit is none that this version knows.
    fn key(&mut self) -> Result<i64, EnvelopeError> {
        let number = self.decoder.int().map_err(malformed(self.what))?;
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Steps over a value that nobody here knows. Only a small one: what is walked through has to have a bound.
    fn skip(&mut self) -> Result<(), EnvelopeError> {
        let start = self.decoder.position();
        let rest = &self.decoder.input()[start..];
        let mut value = Decoder::new(&rest[..rest.len().min(MAX_METADATA)]);
        value
            .skip()
            .map_err(|source| match rest.len() > MAX_METADATA {
                true => EnvelopeError::TooLarge {
                    what: "an unknown member",
                    size: rest.len(),
                    limit: MAX_METADATA,
                    setting: "MAX_METADATA",
                },
                false => malformed("an unknown member")(source),
            })?;
        self.decoder.set_position(start + value.position());
        Ok(())
    }

    pub(crate) fn end(&self) -> Result<(), EnvelopeError> {
        match self.decoder.position() == self.decoder.input().len() {
            true => Ok(()),
            false => Err(EnvelopeError::Trailing { what: self.what }),
        }
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, EnvelopeError> {
        self.definite(Type::StringIndef, what)?;
        let text = self.decoder.str().map_err(malformed(what))?;
        self.metadata = self
            .metadata
            .checked_sub(text.len())
            .ok_or(EnvelopeError::TooLarge {
                what,
                size: text.len(),
                limit: MAX_METADATA,
                setting: "MAX_METADATA, for all texts together",
            })?;
        Ok(text.to_owned())
    }

    pub(crate) fn texts(&mut self, what: &'static str) -> Result<Vec<String>, EnvelopeError> {
        let items = self.decoder.array().map_err(malformed(what))?;
        let items = items.ok_or(EnvelopeError::Indefinite { what })?;
        if items > MAX_ITEMS as u64 {
            return Err(EnvelopeError::TooMany { what, items });
        }
        (0..items).map(|_| self.text(what)).collect()
    }

    pub(crate) fn unsigned(&mut self, what: &'static str) -> Result<u64, EnvelopeError> {
        self.decoder.u64().map_err(malformed(what))
    }

    /// `true`, and nothing else.
    pub(crate) fn truth(&mut self, what: &'static str) -> Result<(), EnvelopeError> {
        match self.decoder.bool().map_err(malformed(what))? {
            true => Ok(()),
            false => Err(EnvelopeError::Missing { what }),
        }
    }

    /// A slice of `buffer`, which is what the reader reads.
    pub(crate) fn bytes(
        &mut self,
        buffer: &Bytes,
        what: &'static str,
        limit: usize,
        setting: &'static str,
    ) -> Result<Bytes, EnvelopeError> {
        self.definite(Type::BytesIndef, what)?;
        let bytes = self.decoder.bytes().map_err(malformed(what))?;
        if bytes.len() > limit {
            return Err(EnvelopeError::TooLarge {
                what,
                size: bytes.len(),
                limit,
                setting,
            });
        }
        Ok(buffer.slice_ref(bytes))
    }

    /// A map within the map.
    pub(crate) fn inner(
        &mut self,
        what: &'static str,
        read: impl FnMut(&mut Self, i64) -> Result<bool, EnvelopeError>,
    ) -> Result<(), EnvelopeError> {
        let outer = std::mem::replace(&mut self.what, what);
        let done = self.members(read);
        self.what = outer;
        done
    }

    fn definite(&mut self, indefinite: Type, what: &'static str) -> Result<(), EnvelopeError> {
        match self.decoder.datatype().map_err(malformed(what))? == indefinite {
            true => Err(EnvelopeError::Indefinite { what }),
            false => Ok(()),
        }
    }
}

fn malformed(what: &'static str) -> impl Fn(decode::Error) -> EnvelopeError {
    move |source| EnvelopeError::Malformed { what, source }
}
