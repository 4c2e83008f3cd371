//! Reading media from any server.

use std::mem;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{MultipartError, PartHead, boundary::boundary_parameter};

/// The most bytes of one part's headers: 16 KiB.
pub const HEADERS_LIMIT: usize = 16 * 1024;

/// The most bytes of the metadata: 64 KiB.
pub const METADATA_LIMIT: usize = 64 * 1024;

/// RFC 2046 allows 70. Some libraries write more.
const BOUNDARY_LIMIT: usize = 200;

/// The most blanks between a boundary and its line's end; with more it is no boundary.
const PADDING_LIMIT: usize = 256;

/// What comes out of a body, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartEvent {
    /// The first part, whole: JSON by the specification, not checked here. Once.
    Metadata(Bytes),
    /// The headers of the second part. Once.
    Part(PartHead),
    /// A piece of the file, never empty; none at all behind a [`PartHead::Location`].
    Data(Bytes),
    /// The second part is complete. Once; what follows in the body is passed over.
    End,
}

/// Reads a body that comes in chunks.
///
/// Tolerated: text before the first boundary and behind the last one, blanks behind a boundary, a
/// quoted boundary, headers in any order and case and ended by a bare LF, unknown headers, a part that
/// ends without its blank line, further parts, and a last boundary that is missing or lacks its `--`.
/// A line of the file that begins like the boundary is part of the file.
///
/// Takes time linear in the body. Between calls it holds the chunks pushed and not read yet, and
/// besides them less than the limits for metadata and headers, and for the file less than 500 bytes
/// that may become a boundary.
#[derive(Clone, Debug)]
pub struct MultipartReader {
    /// `\r\n--boundary`. The boundary has no CR, so it can begin only at a CR.
    delimiter: Vec<u8>,
    finder: Finder<'static>,
    buffer: Bytes,
    state: State,
    /// Whether the buffer's first byte begins a line, so that a boundary there has no CRLF of its own
    /// any more: at the start of the body, and behind a part's headers.
    at_line_start: bool,
    at_end_of_input: bool,
}

#[derive(Clone, Debug)]
enum State {
    Preamble,
    /// In a part's headers, of which so many bytes are read.
    Headers {
        part: Part,
        bytes: usize,
        fields: Fields,
    },
    Metadata(Vec<u8>),
    File,
    /// In the content of a part with a `Location`, which has none.
    Ignored,
    End,
    Failed(MultipartError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    First,
    Second,
}

/// The headers that matter. Of repeated ones the first counts.
#[derive(Clone, Debug, Default)]
struct Fields {
    content_type: Option<String>,
    content_disposition: Option<String>,
    location: Option<String>,
}

impl MultipartReader {
    /// A reader for a body of this `Content-Type`.
    ///
    /// # Errors
    ///
    /// [`MultipartError::NotMultipart`], [`MultipartError::Boundary`].
    pub fn from_content_type(content_type: &str) -> Result<Self, MultipartError> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
            return Err(MultipartError::NotMultipart);
        }
        let boundary = boundary_parameter(parameters).ok_or(MultipartError::Boundary)?;
        let visible = boundary.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if boundary.is_empty()
            || boundary.len() > BOUNDARY_LIMIT
            || boundary.ends_with(' ')
            || !visible
        {
            return Err(MultipartError::Boundary);
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Ok(Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            buffer: Bytes::new(),
            state: State::Preamble,
            at_line_start: true,
            at_end_of_input: false,
        })
    }

    /// Takes the body's next chunk. Read all events before the next one: a chunk is passed on without
    /// a copy if nothing is left of the one before.
    pub fn push(&mut self, chunk: Bytes) {
        if matches!(self.state, State::End | State::Failed(_)) || self.at_end_of_input {
            return;
        }
        if self.buffer.is_empty() {
            self.buffer = chunk;
            return;
        }
        let held = mem::take(&mut self.buffer);
        let mut joined = held
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        joined.extend_from_slice(&chunk);
        self.buffer = joined.freeze();
    }

    /// The next event; `None` until more is pushed, and for ever after [`MultipartEvent::End`].
    ///
    /// # Errors
    ///
    /// [`MultipartError`], from then on the same one.
    #[allow(
        clippy::should_implement_trait,
        reason = "no iterator: more may come after a None"
    )]
    pub fn next(&mut self) -> Result<Option<MultipartEvent>, MultipartError> {
        let result = self.advance();
        if let Err(error) = result {
            self.state = State::Failed(error);
            self.buffer = Bytes::new();
        }
        result
    }

    /// The events that are left, once the whole body is pushed; the last one is
    /// [`MultipartEvent::End`], unless it was read before.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Truncated`] if the body ended before the second part's content began, and
    /// what [`next`](Self::next) fails with. A file that is cut short is not noticed, as a missing
    /// last boundary is tolerated: that is for the connection's own framing to tell.
    pub fn finish(&mut self) -> Result<Vec<MultipartEvent>, MultipartError> {
        self.at_end_of_input = true;
        let mut events = Vec::new();
        while let Some(event) = self.next()? {
            events.push(event);
        }
        Ok(events)
    }

    fn advance(&mut self) -> Result<Option<MultipartEvent>, MultipartError> {
        loop {
            match mem::replace(&mut self.state, State::End) {
                State::End => {
                    self.buffer = Bytes::new();
                    return Ok(None);
                }
                State::Failed(error) => return Err(error),
                State::Preamble => match self.scan() {
                    Scan::Content(_) => self.state = State::Preamble,
                    Scan::Boundary { last: false } => self.state = State::headers(Part::First),
                    Scan::Boundary { last: true } => return Err(MultipartError::MissingPart),
                    Scan::NeedsMore => return self.wait(State::Preamble),
                },
                State::Headers {
                    part,
                    bytes,
                    fields,
                } => {
                    if let Some(event) = self.read_headers(part, bytes, fields)? {
                        return Ok(event);
                    }
                }
                State::Metadata(mut metadata) => match self.scan() {
                    Scan::Content(content) => {
                        if metadata.len() + content.len() > METADATA_LIMIT {
                            return Err(MultipartError::MetadataTooLarge);
                        }
                        metadata.extend_from_slice(&content);
                        self.state = State::Metadata(metadata);
                    }
                    Scan::Boundary { last: false } => {
                        self.state = State::headers(Part::Second);
                        return Ok(Some(MultipartEvent::Metadata(Bytes::from(metadata))));
                    }
                    Scan::Boundary { last: true } => return Err(MultipartError::MissingPart),
                    Scan::NeedsMore => return self.wait(State::Metadata(metadata)),
                },
                State::File => match self.scan() {
                    Scan::Content(content) => {
                        self.state = State::File;
                        return Ok(Some(MultipartEvent::Data(content)));
                    }
                    Scan::Boundary { .. } => return Ok(Some(MultipartEvent::End)),
                    Scan::NeedsMore if self.at_end_of_input => {
                        return Ok(Some(MultipartEvent::End));
                    }
                    Scan::NeedsMore => return self.wait(State::File),
                },
                State::Ignored => match self.scan() {
                    Scan::Content(_) => self.state = State::Ignored,
                    Scan::Boundary { .. } => return Ok(Some(MultipartEvent::End)),
                    Scan::NeedsMore if self.at_end_of_input => {
                        return Ok(Some(MultipartEvent::End));
                    }
                    Scan::NeedsMore => return self.wait(State::Ignored),
                },
            }
        }
    }

    /// Stays in a state until there is more; at the end of the input there never is.
    fn wait(&mut self, state: State) -> Result<Option<MultipartEvent>, MultipartError> {
        if self.at_end_of_input {
            return Err(MultipartError::Truncated);
        }
        self.state = state;
        Ok(None)
    }

    /// Reads one line of headers, or finds that they are over. `Some` is what `advance` returns.
    #[allow(clippy::type_complexity, reason = "an event or a wait, if any")]
    fn read_headers(
        &mut self,
        part: Part,
        bytes: usize,
        mut fields: Fields,
    ) -> Result<Option<Option<MultipartEvent>>, MultipartError> {
        // A part may end here, without the blank line before its content.
        let dash_boundary = &self.delimiter[2..];
        let boundary = match self.buffer.strip_prefix(dash_boundary) {
            Some(rest) => look_behind_boundary(rest, self.at_end_of_input),
            None => Look::NoBoundary,
        };
        if matches!(boundary, Look::Boundary { .. }) {
            return Ok(self.end_headers(part, fields));
        }
        let line_end = self.buffer.iter().position(|&byte| byte == b'\n');
        let so_far = bytes + line_end.map_or(self.buffer.len(), |end| end + 1);
        if so_far > HEADERS_LIMIT {
            return Err(MultipartError::HeadersTooLarge);
        }
        let Some(line_end) = line_end else {
            return self
                .wait(State::Headers {
                    part,
                    bytes,
                    fields,
                })
                .map(Some);
        };
        let line = self.buffer.split_to(line_end + 1);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(self.end_headers(part, fields));
        }
        fields.read(line);
        self.state = State::Headers {
            part,
            bytes: so_far,
            fields,
        };
        Ok(None)
    }

    fn end_headers(&mut self, part: Part, fields: Fields) -> Option<Option<MultipartEvent>> {
        self.at_line_start = true;
        if part == Part::First {
            self.state = State::Metadata(Vec::new());
            return None;
        }
        let head = fields.into_head();
        self.state = match head {
            PartHead::Content { .. } => State::File,
            PartHead::Location(_) => State::Ignored,
        };
        Some(Some(MultipartEvent::Part(head)))
    }

    /// Takes content or a boundary from the front of the buffer.
    fn scan(&mut self) -> Scan {
        if self.at_line_start {
            let dash_boundary = &self.delimiter[2..];
            if let Some(rest) = self.buffer.strip_prefix(dash_boundary) {
                match look_behind_boundary(rest, self.at_end_of_input) {
                    Look::Boundary { bytes, last } => {
                        self.buffer.advance(dash_boundary.len() + bytes);
                        return Scan::Boundary { last };
                    }
                    Look::NeedsMore => return Scan::NeedsMore,
                    Look::NoBoundary => {}
                }
            } else if dash_boundary.starts_with(&self.buffer) && !self.at_end_of_input {
                return Scan::NeedsMore;
            }
            self.at_line_start = false;
        }
        let mut from = 0;
        while let Some(found) = self.finder.find(&self.buffer[from..]) {
            let start = from + found;
            let behind = start + self.delimiter.len();
            match look_behind_boundary(&self.buffer[behind..], self.at_end_of_input) {
                // It begins nowhere within itself.
                Look::NoBoundary => from = behind,
                Look::Boundary { bytes, last } if start == 0 => {
                    self.buffer.advance(behind + bytes);
                    return Scan::Boundary { last };
                }
                Look::NeedsMore if start == 0 => return Scan::NeedsMore,
                Look::Boundary { .. } | Look::NeedsMore => {
                    return Scan::Content(self.buffer.split_to(start));
                }
            }
        }
        let content = self.buffer.len()
            - if self.at_end_of_input {
                0
            } else {
                self.begun_delimiter(from)
            };
        if content == 0 {
            Scan::NeedsMore
        } else {
            Scan::Content(self.buffer.split_to(content))
        }
    }

    /// How many bytes at the buffer's end are the beginning of a delimiter, looking no further back
    /// than `from`.
    fn begun_delimiter(&self, from: usize) -> usize {
        let from = from.max(self.buffer.len().saturating_sub(self.delimiter.len() - 1));
        let tail = &self.buffer[from..];
        // Only its first byte is a CR: what begins at an earlier CR of the tail is none.
        match tail.iter().rposition(|&byte| byte == b'\r') {
            Some(start) if self.delimiter.starts_with(&tail[start..]) => tail.len() - start,
            _ => 0,
        }
    }
}

enum Scan {
    /// Never empty.
    Content(Bytes),
    Boundary {
        last: bool,
    },
    /// At the end of the input: the buffer is empty.
    NeedsMore,
}

enum Look {
    /// A boundary, to which so many further bytes belong.
    Boundary {
        bytes: usize,
        last: bool,
    },
    NoBoundary,
    NeedsMore,
}

/// Whether what follows `--boundary` makes it one: `--`, or blanks and the line's end (RFC 2046
/// §5.1.1), or the end of the body. Otherwise it is a longer line that only begins like it.
fn look_behind_boundary(rest: &[u8], at_end_of_input: bool) -> Look {
    let incomplete = if at_end_of_input {
        Look::Boundary {
            bytes: rest.len(),
            last: true,
        }
    } else {
        Look::NeedsMore
    };
    match rest {
        [b'-', b'-', ..] => {
            return Look::Boundary {
                bytes: 2,
                last: true,
            };
        }
        [b'-'] if !at_end_of_input => return Look::NeedsMore,
        _ => {}
    }
    let blanks = rest
        .iter()
        .take(PADDING_LIMIT)
        .take_while(|&&byte| matches!(byte, b' ' | b'\t'))
        .count();
    match &rest[blanks..] {
        [b'\r', b'\n', ..] => Look::Boundary {
            bytes: blanks + 2,
            last: false,
        },
        [b'\n', ..] => Look::Boundary {
            bytes: blanks + 1,
            last: false,
        },
        [] | [b'\r'] => incomplete,
        _ => Look::NoBoundary,
    }
}

impl State {
    fn headers(part: Part) -> Self {
        Self::Headers {
            part,
            bytes: 0,
            fields: Fields::default(),
        }
    }
}

impl Fields {
    /// Takes a header line; one without a colon says nothing.
    fn read(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return;
        };
        let name = line[..colon].trim_ascii();
        let field = if name.eq_ignore_ascii_case(b"content-type") {
            &mut self.content_type
        } else if name.eq_ignore_ascii_case(b"content-disposition") {
            &mut self.content_disposition
        } else if name.eq_ignore_ascii_case(b"location") {
            &mut self.location
        } else {
            return;
        };
        let value = line[colon + 1..].trim_ascii();
        // Old file names come in Latin-1, whose bytes are its code points.
        let text = || match str::from_utf8(value) {
            Ok(text) => text.to_owned(),
            Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
        };
        field.get_or_insert_with(text);
    }

    fn into_head(self) -> PartHead {
        match self.location {
            Some(url) => PartHead::Location(url),
            None => PartHead::Content {
                content_type: self.content_type,
                content_disposition: self.content_disposition,
            },
        }
    }
}
