//! `[200, {..}]`: how the first versions of some calls write their reply.
//!
//! The status in it says nothing that the response's own does not, so nothing but 200 is taken. A bare object is read as well.

use bytes::{BufMut, Bytes, BytesMut};

/// What is written before the object.
pub(super) const OPENING: &[u8] = b"[200,";

/// What is written behind it.
pub(super) const CLOSING: &[u8] = b"]";

/// Most bytes before the object, if more have to come to know what it is.
const MAX_OPENING: usize = 64;

/// Room for the tuple around an object that is as large as it may be, in bytes.
pub(super) const MAX_AROUND: usize = 2 * MAX_OPENING;

/// What a reply begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Too little of it has come.
    Unknown,
    /// No tuple: the object, or whatever it is.
    Bare,
    /// So many bytes, and behind them the object.
    Tuple(usize),
}

/// Reads what stands before the object.
///
/// # Errors
/// It begins as an array and goes on as none that holds 200 and something else, or white space comes and nothing else.
pub(super) fn opening(bytes: &[u8]) -> Result<Opening, &'static str> {
    const WRONG: &str = "the reply is neither an object nor an array of 200 and an object";
    let mut tokens = [&b"["[..], b"200", b","].into_iter();
    let mut rest = bytes;
    let mut expected = tokens.next();
    while let Some(token) = expected {
        rest = rest.trim_ascii_start();
        let known = rest.len().min(token.len());
        if rest[..known] != token[..known] {
            return if token == b"[" {
                Ok(Opening::Bare)
            } else {
                Err(WRONG)
            };
        }
        if known < token.len() {
            return if bytes.len() > MAX_OPENING {
                Err(WRONG)
            } else {
                Ok(Opening::Unknown)
            };
        }
        rest = &rest[known..];
        expected = tokens.next();
    }
    Ok(Opening::Tuple(bytes.len() - rest.len()))
}

/// The object's text of a whole reply.
///
/// # Errors
/// As [`opening`]; or the tuple is not closed.
pub(super) fn open(reply: Bytes) -> Result<Bytes, &'static str> {
    match opening(&reply)? {
        Opening::Unknown | Opening::Bare => Ok(reply),
        Opening::Tuple(before) => {
            let end = reply.trim_ascii_end().len();
            match reply[..end].strip_suffix(CLOSING) {
                Some(inner) if inner.len() >= before => Ok(reply.slice(before..inner.len())),
                _ => Err("the reply's tuple is not closed"),
            }
        }
    }
}

/// The whole reply of an object's text.
pub(super) fn close(object: &[u8]) -> Bytes {
    let mut reply = BytesMut::with_capacity(OPENING.len() + object.len() + CLOSING.len());
    reply.put(OPENING);
    reply.put(object);
    reply.put(CLOSING);
    reply.freeze()
}
