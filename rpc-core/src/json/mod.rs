//! JSON as federation needs it: checked once and strictly, kept as canonical text, read on demand.
//!
//! Everything that a peer sends goes through [`Value::parse`], [`Object::parse`] or [`StreamReader`]. Each of them either refuses
//! the bytes with a position and a reason ([`IngestError`]), or yields *canonical JSON* (Matrix specification, appendices,
//! "Canonical JSON"): what is hashed, signed, stored and forwarded is that text, and every later reading is a reading of it
//! (MSC4458). Bytes that are canonical already are kept as they are, without a copy and without a tree.
//!
//! | refused as a whole | judged later, per event |
//! | --- | --- |
//! | bad UTF-8, a lone surrogate, broken syntax, trailing bytes, a byte order mark, size | depth, size, numbers, shape ([`Facts`]) |
//!
//! - Of members with the same name, however it is spelled, the last one wins.
//! - Members are ordered by the code points of the decoded name.
//! - `-0` becomes `0`. A number that is no integer within ±(2^53-1) is *odd*: its text is kept as it is, and [`Facts`] says so.
//! - Nesting costs one bit on the heap; no depth overflows a stack. The only bound is the size of the body.
//!
//! | file | subject |
//! | --- | --- |
//! | `scan` | the lexical rules that all passes share: strings, escapes, numbers |
//! | `blocks` | where strings end, for 64 bytes at a time |
//! | `check` | the fast pass: is this canonical, and where are its members and elements |
//! | `index`, `units` | what that pass found, and how it is noted on the way |
//! | `normalise`, `reorder` | the slow pass, from where the fast one gave up: any JSON to canonical JSON, or the error |
//! | `value`, `object` | canonical text in the hands of a user |
//! | `members`, `reader`, `writer` | typed access that keeps what it does not know |
//! | `joiner` | an object of texts that are checked all at once |
//! | `stream_reader`, `pieces`, `delimit`, `validate`, `stream_writer` | one object that is larger than memory should be |

mod blocks;
mod check;
mod delimit;
mod error;
mod index;
mod joiner;
mod members;
mod nesting;
mod normalise;
mod object;
mod pieces;
mod reader;
mod reorder;
mod scan;
mod stream_reader;
mod stream_writer;
mod text;
mod units;
mod validate;
mod value;
mod writer;

pub use error::{
    DuplicateMember, IngestError, IngestErrorKind, ReadError, ReadErrorKind, SerializeError,
    StreamWriteError, TooMany,
};
pub use joiner::ObjectJoiner;
pub use members::Members;
pub use object::{Elements, Object};
pub use reader::ObjectReader;
pub use stream_reader::{StreamLimits, StreamPart, StreamReader};
pub use stream_writer::StreamWriter;
pub use text::write_string;
pub use value::{Facts, Json, Kind, Value};
pub use writer::ObjectWriter;
