//! Reads one JSON object in pieces, element by element.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::delimit::Delimiter;
use super::error::{IngestError, IngestErrorKind, LARGEST_TEXT};
use super::pieces::{Pieces, TooLarge};
use super::validate::Validator;
use super::value::Value;

/// How much of a streamed object is held at once, in bytes of its text as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// The largest array element that is read. Larger ones are skipped and reported. Default: 1 MiB, sixteen times the largest event.
    pub item: usize,
    /// The largest member that is read as a whole, and (but no less than 64 KiB) what all names together may cost. Beyond it the
    /// document is refused. Default: 16 MiB.
    pub member: usize,
    /// The largest document. Default: no bound.
    pub total: u64,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            item: 1 << 20,
            member: 16 << 20,
            total: u64::MAX,
        }
    }
}

/// What a [`StreamReader`] read, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamPart {
    /// One of the arrays begins.
    ArrayStart {
        /// Which one: its place in the list given to [`StreamReader::new`].
        array: usize,
    },
    /// An element of it.
    Item {
        /// Which array.
        array: usize,
        /// The element's place in the array as it came, from 0; oversized ones count.
        index: u64,
        /// The element.
        value: Value,
    },
    /// An element that is larger than [`StreamLimits::item`]. It was checked, and dropped.
    OversizedItem {
        /// Which array.
        array: usize,
        /// The element's place in the array.
        index: u64,
        /// Its size.
        bytes: u64,
    },
    /// A member that is none of the arrays, or whose value is no array.
    Member {
        /// The decoded name.
        name: String,
        /// The value.
        value: Value,
    },
}

/// Reads one JSON object whose top-level arrays may be huge, as strictly as [`Value::parse`] and without holding more than one
/// element. Sans-IO: [`push`](Self::push) what arrives, then call [`next`](Self::next) until it returns `None`.
///
/// Every element is canonical text of its own: what one event does wrong does not trouble the others. A top-level member that is
/// repeated, however spelled, refuses the document, for what was passed on cannot be taken back. So does an oversized element that is
/// nested more than `8 * StreamLimits::item` levels deep: the memory that checks its brackets is bounded like the rest.
///
/// An element that lies within one pushed piece is a slice of it.
#[derive(Debug)]
pub struct StreamReader {
    arrays: &'static [&'static str],
    limits: StreamLimits,
    pieces: Pieces,
    pushed: u64,
    state: State,
    names: BTreeSet<String>,
    names_cost: usize,
    /// Whether a closing bracket has to follow the object.
    bracket: bool,
    failed: Option<IngestError>,
}

#[derive(Debug)]
enum State {
    Start,
    NameOrEnd,
    Name,
    InName(Delimiter),
    Colon {
        name: String,
    },
    Value {
        name: String,
    },
    InMember {
        name: String,
        delimiter: Delimiter,
    },
    AfterMember,
    ItemOrEnd {
        array: usize,
    },
    Item {
        array: usize,
        index: u64,
    },
    InItem {
        array: usize,
        index: u64,
        delimiter: Delimiter,
    },
    Skipping {
        array: usize,
        index: u64,
        bytes: u64,
        validator: Box<Validator>,
    },
    AfterItem {
        array: usize,
        index: u64,
    },
    Done,
}

/// What a step led to.
enum Step {
    /// Another state.
    To(State),
    /// Another state, and something to report.
    Report(State, StreamPart),
    /// The same or another state, and more bytes are needed.
    Wait(State),
}

/// What one name costs beside its text.
const NAME_OVERHEAD: usize = 64;

/// What all names together may always cost.
const LEAST_NAMES: usize = 64 << 10;

impl StreamReader {
    /// Expects an object, some of whose members are large arrays: those named in `arrays`.
    pub fn new(arrays: &'static [&'static str], limits: StreamLimits) -> Self {
        Self {
            arrays,
            limits,
            pieces: Pieces::default(),
            pushed: 0,
            state: State::Start,
            names: BTreeSet::new(),
            names_cost: 0,
            bracket: false,
            failed: None,
        }
    }

    /// Expects a `]` behind the object: it is the last element of an array, whose beginning the caller has read.
    pub fn end_at_bracket(&mut self) {
        self.bracket = true;
    }

    /// Adds the bytes that come next.
    pub fn push(&mut self, piece: Bytes) {
        self.pushed = self.pushed.saturating_add(piece.len() as u64);
        if self.failed.is_none() {
            self.pieces.push(piece);
        }
    }

    /// The next part; `None` if more bytes are needed (or the object is complete, see [`finish`](Self::finish)).
    ///
    /// # Errors
    /// What refuses the document. Every later call returns the same error.
    #[allow(
        clippy::should_implement_trait,
        reason = "`None` does not mean the end"
    )]
    pub fn next(&mut self) -> Result<Option<StreamPart>, IngestError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let part = self.advance();
        if let Err(error) = &part {
            self.failed = Some(error.clone());
            self.pieces.clear();
        }
        part
    }

    /// To be called after the last piece was pushed and [`next`](Self::next) has returned `None`: is the object complete?
    ///
    /// # Errors
    /// If it is not, or if `next` failed before.
    pub fn finish(&mut self) -> Result<(), IngestError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.state {
            State::Done if self.pieces.is_empty() && !self.bracket => Ok(()),
            _ => Err(self.error(IngestErrorKind::Truncated)),
        }
    }

    fn advance(&mut self) -> Result<Option<StreamPart>, IngestError> {
        if self.pushed > self.limits.total {
            let limit = self.limits.total;
            let kind = IngestErrorKind::TooLarge { limit };
            return Err(IngestError::new(
                kind,
                usize::try_from(limit).unwrap_or(usize::MAX),
            ));
        }
        loop {
            let state = std::mem::replace(&mut self.state, State::Done);
            let (state, end) = match self.step(state)? {
                Step::To(state) => (state, None),
                Step::Report(state, part) => (state, Some(Some(part))),
                Step::Wait(state) => (state, Some(None)),
            };
            self.state = state;
            if let Some(part) = end {
                return Ok(part);
            }
        }
    }

    fn step(&mut self, state: State) -> Result<Step, IngestError> {
        match state {
            // States within a token: white space matters.
            State::InName(delimiter) => self.in_name(delimiter),
            State::InMember { name, delimiter } => self.in_member(name, delimiter),
            State::InItem {
                array,
                index,
                delimiter,
            } => self.in_item(array, index, delimiter),
            State::Skipping {
                array,
                index,
                bytes,
                validator,
            } => self.skip(array, index, bytes, validator),
            // States between tokens.
            between => match self.pieces.peek_token() {
                Some(byte) => self.between(between, byte),
                None => Ok(Step::Wait(between)),
            },
        }
    }

    /// One step between two tokens, of which the next begins with `byte`.
    fn between(&mut self, state: State, byte: u8) -> Result<Step, IngestError> {
        Ok(Step::To(match (state, byte) {
            (State::Start, b'{') => {
                self.pieces.consume(1);
                State::NameOrEnd
            }
            (State::Start, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return Err(self.error(IngestErrorKind::NotAnObject));
            }
            (State::NameOrEnd | State::AfterMember, b'}') => {
                self.pieces.consume(1);
                State::Done
            }
            (State::NameOrEnd | State::Name, b'"') => State::InName(Delimiter::default()),
            (State::Colon { name }, b':') => {
                self.pieces.consume(1);
                State::Value { name }
            }
            (State::Value { name }, byte) => {
                let array = self.arrays.iter().position(|array| *array == name);
                match array.filter(|_| byte == b'[') {
                    Some(array) => {
                        self.pieces.consume(1);
                        return Ok(Step::Report(
                            State::ItemOrEnd { array },
                            StreamPart::ArrayStart { array },
                        ));
                    }
                    None => {
                        self.begin_value(byte)?;
                        State::InMember {
                            name,
                            delimiter: Delimiter::default(),
                        }
                    }
                }
            }
            (State::AfterMember, b',') => {
                self.pieces.consume(1);
                State::Name
            }
            (State::ItemOrEnd { .. } | State::AfterItem { .. }, b']') => {
                self.pieces.consume(1);
                State::AfterMember
            }
            (State::ItemOrEnd { array }, _) => State::Item { array, index: 0 },
            (State::AfterItem { array, index }, b',') => {
                self.pieces.consume(1);
                State::Item {
                    array,
                    index: index + 1,
                }
            }
            (State::Item { array, index }, byte) => {
                self.begin_value(byte)?;
                State::InItem {
                    array,
                    index,
                    delimiter: Delimiter::default(),
                }
            }
            (State::Done, b']') if self.bracket => {
                self.pieces.consume(1);
                self.bracket = false;
                State::Done
            }
            (State::Done, _) => return Err(self.error(IngestErrorKind::TrailingBytes)),
            (state, _) => {
                return Err(self.error(IngestErrorKind::Syntax(match state {
                    State::Start => "'{'",
                    State::NameOrEnd => "a member name or '}'",
                    State::Name => "a member name",
                    State::Colon { .. } => "':'",
                    State::AfterMember => "',' or '}'",
                    _ => "',' or ']'",
                })));
            }
        }))
    }

    /// A closing bracket or comma begins no value; the [`Delimiter`] is never given one.
    fn begin_value(&self, byte: u8) -> Result<(), IngestError> {
        match byte {
            b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Ok(()),
            _ => Err(self.error(IngestErrorKind::Syntax("a value"))),
        }
    }

    fn in_name(&mut self, mut delimiter: Delimiter) -> Result<Step, IngestError> {
        let limit = self.limits.member;
        let too_large = |name: &str| IngestErrorKind::MemberTooLarge {
            name: name.to_owned(),
            limit: limit as u64,
        };
        let start = self.pieces.value_start();
        let Some(text) = self
            .pieces
            .collect(&mut delimiter, limit)
            .map_err(|_| self.error_at(too_large(""), start))?
        else {
            return Ok(Step::Wait(State::InName(delimiter)));
        };
        let value = self.ingest(text, start)?;
        let name = value.as_str().unwrap_or_default().into_owned();
        self.names_cost = self.names_cost.saturating_add(name.len() + NAME_OVERHEAD);
        if self.names_cost > limit.max(LEAST_NAMES) {
            return Err(self.error_at(too_large(&name), start));
        }
        if !self.names.insert(name.clone()) {
            return Err(self.error_at(IngestErrorKind::DuplicateMember { name }, start));
        }
        Ok(Step::To(State::Colon { name }))
    }

    fn in_member(&mut self, name: String, mut delimiter: Delimiter) -> Result<Step, IngestError> {
        let limit = self.limits.member;
        let start = self.pieces.value_start();
        match self.pieces.collect(&mut delimiter, limit) {
            Ok(Some(text)) => {
                let value = self.ingest(text, start)?;
                Ok(Step::Report(
                    State::AfterMember,
                    StreamPart::Member { name, value },
                ))
            }
            Ok(None) => Ok(Step::Wait(State::InMember { name, delimiter })),
            Err(TooLarge) => {
                let kind = IngestErrorKind::MemberTooLarge {
                    name,
                    limit: limit as u64,
                };
                Err(self.error_at(kind, start))
            }
        }
    }

    fn in_item(
        &mut self,
        array: usize,
        index: u64,
        mut delimiter: Delimiter,
    ) -> Result<Step, IngestError> {
        let start = self.pieces.value_start();
        match self.pieces.collect(&mut delimiter, self.limits.item) {
            Ok(Some(text)) => {
                let value = self.ingest(text, start)?;
                let part = StreamPart::Item {
                    array,
                    index,
                    value,
                };
                Ok(Step::Report(State::AfterItem { array, index }, part))
            }
            Ok(None) => Ok(Step::Wait(State::InItem {
                array,
                index,
                delimiter,
            })),
            Err(TooLarge) => {
                let depth = u32::try_from(self.limits.item.saturating_mul(8)).unwrap_or(u32::MAX);
                let mut validator = Box::new(Validator::new(depth));
                let held = self.pieces.take_partial();
                // The delimiter has found no end in what is held; if the validator has, a word goes on behind it ("nullx").
                match validator.read(&held) {
                    Ok(None) => {}
                    Ok(Some(at)) => {
                        let kind = IngestErrorKind::Syntax("',' or ']'");
                        return Err(self.error_at(kind, start + at as u64));
                    }
                    Err((kind, at)) => return Err(self.error_at(kind, start + at as u64)),
                }
                let bytes = held.len() as u64;
                Ok(Step::To(State::Skipping {
                    array,
                    index,
                    bytes,
                    validator,
                }))
            }
        }
    }

    fn skip(
        &mut self,
        array: usize,
        index: u64,
        mut bytes: u64,
        mut validator: Box<Validator>,
    ) -> Result<Step, IngestError> {
        while let Some(piece) = self.pieces.front() {
            let end = validator
                .read(piece)
                .map_err(|(kind, at)| self.error_at(kind, self.pieces.offset() + at as u64))?;
            let read = end.unwrap_or(piece.len());
            bytes += read as u64;
            self.pieces.consume(read);
            if end.is_some() {
                if bytes <= self.limits.item as u64 {
                    // Only a word that goes on behind its end ("nullx") made it look oversized.
                    return Err(self.error(IngestErrorKind::Syntax("',' or ']'")));
                }
                let part = StreamPart::OversizedItem {
                    array,
                    index,
                    bytes,
                };
                return Ok(Step::Report(State::AfterItem { array, index }, part));
            }
        }
        Ok(Step::Wait(State::Skipping {
            array,
            index,
            bytes,
            validator,
        }))
    }

    /// Checks a text that begins at `start` in the document.
    fn ingest(&self, text: Bytes, start: u64) -> Result<Value, IngestError> {
        let base = usize::try_from(start).unwrap_or(usize::MAX);
        Value::parse(text, LARGEST_TEXT).map_err(|error| {
            let at = error.offset().saturating_add(base);
            match error.kind() {
                // The document goes on behind this text: what is missing was expected before that.
                IngestErrorKind::Truncated => IngestError::syntax("a complete value", at),
                // A word that goes on behind its end, as "nullx".
                IngestErrorKind::TrailingBytes => IngestError::syntax("the end of the value", at),
                kind => IngestError::new(kind.clone(), at),
            }
        })
    }

    fn error(&self, kind: IngestErrorKind) -> IngestError {
        self.error_at(kind, self.pieces.offset())
    }

    fn error_at(&self, kind: IngestErrorKind, offset: u64) -> IngestError {
        IngestError::new(kind, usize::try_from(offset).unwrap_or(usize::MAX))
    }
}
