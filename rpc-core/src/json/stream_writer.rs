//! Writes one JSON object bit by bit, in the order given.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use super::error::StreamWriteError;
use super::text::write_string;
use super::value::Value;

/// Writes a JSON object whose arrays may be huge, in the order given: nothing is sorted, so the whole need not be canonical, while
/// every item and member in it is. Sans-IO: [`take`](Self::take) what is ready and send it.
#[derive(Debug, Default)]
pub struct StreamWriter {
    ready: BytesMut,
    names: BTreeSet<String>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is written, not even the brace.
    #[default]
    Empty,
    /// Behind a member.
    Member,
    /// Behind the `[` of an array.
    FirstItem,
    /// Behind an item.
    Item,
    Finished,
}

impl StreamWriter {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an array as the next member; closes the one that is open.
    ///
    /// # Errors
    /// If the name was written before, or the object is finished.
    pub fn array_start(&mut self, name: &str) -> Result<(), StreamWriteError> {
        self.name(name)?;
        self.ready.extend_from_slice(b"[");
        self.state = State::FirstItem;
        Ok(())
    }

    /// Adds an element to the open array.
    ///
    /// # Errors
    /// If no array is open, or the object is finished.
    pub fn item(&mut self, item: &Value) -> Result<(), StreamWriteError> {
        match self.state {
            State::FirstItem => {}
            State::Item => self.ready.extend_from_slice(b","),
            State::Finished => return Err(StreamWriteError::Finished),
            State::Empty | State::Member => return Err(StreamWriteError::NoArray),
        }
        self.ready.extend_from_slice(item.as_bytes());
        self.state = State::Item;
        Ok(())
    }

    /// Writes a whole member; closes the array that is open.
    ///
    /// # Errors
    /// If the name was written before, or the object is finished.
    pub fn member(&mut self, name: &str, value: &Value) -> Result<(), StreamWriteError> {
        self.name(name)?;
        self.ready.extend_from_slice(value.as_bytes());
        self.state = State::Member;
        Ok(())
    }

    /// Closes the open array and the object. Doing it again changes nothing.
    pub fn finish(&mut self) {
        match self.state {
            State::Finished => return,
            State::Empty => self.ready.extend_from_slice(b"{"),
            State::Member => {}
            State::FirstItem | State::Item => self.ready.extend_from_slice(b"]"),
        }
        self.ready.extend_from_slice(b"}");
        self.state = State::Finished;
    }

    /// The text that was written since the last call.
    pub fn take(&mut self) -> Bytes {
        self.ready.split().freeze()
    }

    /// How many bytes [`take`](Self::take) would return.
    pub fn buffered(&self) -> usize {
        self.ready.len()
    }

    fn name(&mut self, name: &str) -> Result<(), StreamWriteError> {
        if self.state == State::Finished {
            return Err(StreamWriteError::Finished);
        }
        if !self.names.insert(name.to_owned()) {
            return Err(StreamWriteError::Duplicate {
                name: name.to_owned(),
            });
        }
        let before: &[u8] = match self.state {
            State::Empty => b"{",
            State::FirstItem | State::Item => b"],",
            State::Member | State::Finished => b",",
        };
        let mut text = before.to_vec();
        write_string(&mut text, name);
        text.push(b':');
        self.ready.extend_from_slice(&text);
        Ok(())
    }
}
