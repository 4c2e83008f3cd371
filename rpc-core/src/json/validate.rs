//! Checks JSON strictly, in pieces of any size, and keeps nothing of it.
//!
//! For array elements that are too large to be held: they are skipped, but what refuses a document refuses it within them, too.
//! This is an implementation of the grammar apart from `check` and `normalise`, and the tests hold the three against each other.

use super::error::IngestErrorKind;
use super::nesting::Nesting;
use super::scan::is_space;

/// Reads one value, byte by byte. Its memory is one bit for each open level, up to the limit it is given.
#[derive(Debug)]
pub(super) struct Validator {
    nesting: Nesting,
    max_depth: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// Directly behind `[`.
    ValueOrEnd,
    Name,
    /// Directly behind `{`.
    NameOrEnd,
    Colon,
    /// A value within a container has ended.
    After,
    Text {
        name: bool,
        utf8: Utf8,
    },
    Escape {
        name: bool,
    },
    Unicode {
        name: bool,
        left: u8,
        unit: u16,
        low: bool,
    },
    /// Behind a high surrogate: `\`, then `u`.
    LowBackslash {
        name: bool,
    },
    LowU {
        name: bool,
    },
    Number(NumberPart),
    Literal {
        rest: &'static [u8],
        expected: &'static str,
    },
    Done,
}

/// How far a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberPart {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// The rest of a UTF-8 sequence (RFC 3629 §4): how many bytes are missing, and the bounds of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Utf8 {
    missing: u8,
    low: u8,
    high: u8,
}

const WHOLE: Utf8 = Utf8 {
    missing: 0,
    low: 0x80,
    high: 0xbf,
};

impl Utf8 {
    fn next(self, byte: u8) -> Option<Self> {
        if self.missing > 0 {
            return (self.low..=self.high).contains(&byte).then_some(Self {
                missing: self.missing - 1,
                ..WHOLE
            });
        }
        let (missing, low, high) = match byte {
            0x00..=0x7f => return Some(WHOLE),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xe1..=0xec | 0xee | 0xef => (2, 0x80, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return None,
        };
        Some(Self { missing, low, high })
    }
}

impl Validator {
    /// Expects one value nested at most `max_depth` levels.
    pub(super) fn new(max_depth: u32) -> Self {
        Self {
            nesting: Nesting::default(),
            max_depth,
            state: State::Value,
        }
    }

    /// Reads the next piece. `Some` is the place behind the value, `None` says that it goes on.
    ///
    /// # Errors
    /// The reason, and its place in the piece.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<Option<usize>, (IngestErrorKind, usize)> {
        for (at, &byte) in piece.iter().enumerate() {
            // A number ends with the first byte that is no part of it.
            if let State::Number(digits) = self.state {
                match digits.next(byte) {
                    Ok(Some(next)) => {
                        self.state = State::Number(next);
                        continue;
                    }
                    Ok(None) => self.state = self.after_value(),
                    Err(expected) => return Err((IngestErrorKind::Syntax(expected), at)),
                }
            }
            if self.state == State::Done {
                return Ok(Some(at));
            }
            self.state = self.step(byte).map_err(|kind| (kind, at))?;
        }
        Ok((self.state == State::Done).then_some(piece.len()))
    }

    fn after_value(&self) -> State {
        if self.nesting.depth() == 0 {
            State::Done
        } else {
            State::After
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, IngestErrorKind> {
        let syntax = |expected| Err(IngestErrorKind::Syntax(expected));
        Ok(match self.state {
            State::Text { name, utf8 } => {
                let utf8 = utf8.next(byte).ok_or(IngestErrorKind::Utf8)?;
                match byte {
                    b'"' if name => State::Colon,
                    b'"' => self.after_value(),
                    b'\\' => State::Escape { name },
                    0x00..=0x1f => return syntax("no control character within a string"),
                    _ => State::Text { name, utf8 },
                }
            }
            State::Escape { name } => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                    State::Text { name, utf8: WHOLE }
                }
                b'u' => State::Unicode {
                    name,
                    left: 4,
                    unit: 0,
                    low: false,
                },
                _ => return syntax("an escape"),
            },
            State::Unicode {
                name,
                left,
                unit,
                low,
            } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return syntax("a hexadecimal digit");
                };
                let unit = unit << 4 | digit as u16;
                match (left, unit, low) {
                    (2.., _, _) => State::Unicode {
                        name,
                        left: left - 1,
                        unit,
                        low,
                    },
                    (_, 0xd800..=0xdbff, false) => State::LowBackslash { name },
                    (_, 0xdc00..=0xdfff, true) => State::Text { name, utf8: WHOLE },
                    (_, 0xdc00..=0xdfff, false) | (_, _, true) => {
                        return Err(IngestErrorKind::LoneSurrogate);
                    }
                    _ => State::Text { name, utf8: WHOLE },
                }
            }
            State::LowBackslash { name } if byte == b'\\' => State::LowU { name },
            State::LowU { name } if byte == b'u' => State::Unicode {
                name,
                left: 4,
                unit: 0,
                low: true,
            },
            State::LowBackslash { .. } | State::LowU { .. } => {
                return Err(IngestErrorKind::LoneSurrogate);
            }
            State::Literal { rest, expected } => match rest.split_first() {
                Some((&first, rest)) if first == byte => match rest {
                    [] => self.after_value(),
                    rest => State::Literal { rest, expected },
                },
                _ => return syntax(expected),
            },
            state if is_space(byte) => state,
            State::Value => self.begin(byte)?,
            State::ValueOrEnd if byte == b']' => self.end(),
            State::ValueOrEnd => self.begin(byte)?,
            State::NameOrEnd if byte == b'}' => self.end(),
            State::Name | State::NameOrEnd => match byte {
                b'"' => State::Text {
                    name: true,
                    utf8: WHOLE,
                },
                _ => return syntax("a member name"),
            },
            State::Colon if byte == b':' => State::Value,
            State::Colon => return syntax("':'"),
            State::After => match (byte, self.nesting.in_object()) {
                (b',', true) => State::Name,
                (b',', false) => State::Value,
                (b'}', true) | (b']', false) => self.end(),
                (_, true) => return syntax("',' or '}'"),
                (_, false) => return syntax("',' or ']'"),
            },
            // `read` handles both before it comes here.
            State::Number(_) | State::Done => return Err(IngestErrorKind::Internal),
        })
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) -> Result<State, IngestErrorKind> {
        Ok(match byte {
            b'"' => State::Text {
                name: false,
                utf8: WHOLE,
            },
            b'{' => {
                self.open(true)?;
                State::NameOrEnd
            }
            b'[' => {
                self.open(false)?;
                State::ValueOrEnd
            }
            b'-' => State::Number(NumberPart::Minus),
            b'0' => State::Number(NumberPart::Zero),
            b'1'..=b'9' => State::Number(NumberPart::Integer),
            b't' => State::Literal {
                rest: b"rue",
                expected: "'true'",
            },
            b'f' => State::Literal {
                rest: b"alse",
                expected: "'false'",
            },
            b'n' => State::Literal {
                rest: b"ull",
                expected: "'null'",
            },
            _ => return Err(IngestErrorKind::Syntax("a value")),
        })
    }

    fn open(&mut self, object: bool) -> Result<(), IngestErrorKind> {
        if self.nesting.depth() == self.max_depth {
            let limit = u64::from(self.max_depth / 8);
            return Err(IngestErrorKind::TooLarge { limit });
        }
        self.nesting.open(object);
        Ok(())
    }

    fn end(&mut self) -> State {
        self.nesting.close();
        self.after_value()
    }
}

impl NumberPart {
    /// `Ok(None)`: the number is complete and `byte` is not part of it.
    fn next(self, byte: u8) -> Result<Option<Self>, &'static str> {
        const MISSING: &str = "a digit";
        Ok(match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') => Some(Self::Integer),
            (Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Some(Self::ExponentDigits)
            }
            (Self::Minus | Self::Point | Self::Exponent | Self::ExponentSign, _) => {
                return Err(MISSING);
            }
            _ => None,
        })
    }
}
