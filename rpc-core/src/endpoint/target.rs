//! Request targets: path templates, queries, and their percent-encoding (RFC 3986 §2).
//!
//! A signature covers the target as it was sent, and servers escape differently: so a target is
//! never normalised. Writing escapes all but RFC 3986's unreserved characters. Reading splits the raw
//! text first and unescapes each piece once, so that an identifier may hold `/` and `%`.

use std::{borrow::Cow, fmt};

pub use super::escape::{BadEscape, unescape_segment};
use super::escape::{Plus, escape, unescape};

/// The most bytes of a target: 8 KiB, as of most HTTP servers' request lines.
pub const TARGET_LIMIT: usize = 8 * 1024;

/// The path of an endpoint as the specification writes it: `/_matrix/federation/v1/send/{txnId}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate(&'static str);

impl PathTemplate {
    /// A template: `/` before each segment; a segment in braces is a parameter.
    ///
    /// # Panics
    ///
    /// If it does not begin with `/`; in a constant, when it is compiled.
    pub const fn new(template: &'static str) -> Self {
        assert!(
            !template.is_empty() && template.as_bytes()[0] == b'/',
            "a path template begins with a slash"
        );
        Self(template)
    }

    /// The template's text.
    pub const fn as_str(&self) -> &'static str {
        self.0
    }

    /// What every path of this template begins with: all of it up to its first parameter.
    pub(crate) fn literal_start(&self) -> &'static str {
        let mut end = 0;
        for segment in self.segments() {
            match segment {
                Segment::Literal(text) => end += 1 + text.len(),
                Segment::Parameter(_) => return &self.0[..=end],
            }
        }
        self.0
    }

    /// The segments in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + use<> {
        segments(&self.0[1..])
    }

    /// The path with these parameters, in the template's order. An empty parameter gives a path that
    /// does not [match](Self::matches).
    ///
    /// # Panics
    ///
    /// If the number of parameters is not the template's.
    pub fn write(&self, params: &[&str]) -> String {
        let mut params = params.iter();
        let mut path = String::with_capacity(self.0.len() + 64);
        for segment in self.segments() {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(_) => {
                    escape(
                        &mut path,
                        params
                            .next()
                            .expect("one parameter for each of the template"),
                    );
                }
            }
        }
        assert!(
            params.next().is_none(),
            "one parameter for each of the template"
        );
        path
    }

    /// The unescaped parameters of a raw path, in the template's order; `None` if the path is not of
    /// this template.
    ///
    /// Literal segments are compared as they are: case counts, an escape in them does not match, nor
    /// do `//`, `/./` and `/../`. A parameter is one segment that is not empty.
    ///
    /// # Errors
    ///
    /// [`BadEscape`], if the path is of this template but for a parameter that cannot be unescaped.
    pub fn matches(
        &self,
        raw_path: &str,
        slash: TrailingSlash,
    ) -> Option<Result<Vec<String>, BadEscape>> {
        self.matches_behind(0, raw_path, slash)
    }

    /// The same of a path of which it is known that it begins as the template does: with as many bytes of its [`literal_start`](Self::literal_start).
    pub(crate) fn matches_behind(
        &self,
        known: usize,
        raw_path: &str,
        slash: TrailingSlash,
    ) -> Option<Result<Vec<String>, BadEscape>> {
        self.raw_parameters(known, raw_path)
            .or_else(|| match slash {
                TrailingSlash::Refuse => None,
                TrailingSlash::Accept => self.raw_parameters(known, raw_path.strip_suffix('/')?),
            })
            .map(|raw| {
                raw.into_iter()
                    .map(|raw| unescape_segment(raw).map(Cow::into_owned))
                    .collect()
            })
    }

    /// Whether both match the same paths: they differ in the names of parameters at most.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.segments().count() == other.segments().count()
            && self
                .segments()
                .zip(other.segments())
                .all(|pair| match pair {
                    (Segment::Literal(a), Segment::Literal(b)) => a == b,
                    (Segment::Parameter(_), Segment::Parameter(_)) => true,
                    _ => false,
                })
    }

    /// Whether both have parameters of the same names in the same order.
    pub(crate) const fn same_parameters(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let (mut our, mut their) = (0, 0);
        loop {
            our = next_parameter(ours, our);
            their = next_parameter(theirs, their);
            if our == ours.len() || their == theirs.len() {
                return our == ours.len() && their == theirs.len();
            }
            while ours[our] == theirs[their] && ours[our] != b'/' {
                our += 1;
                their += 1;
                if our == ours.len() || their == theirs.len() {
                    break;
                }
            }
            let ended = our == ours.len() || ours[our] == b'/';
            if !ended || !(their == theirs.len() || theirs[their] == b'/') {
                return false;
            }
        }
    }

    /// Which segments are parameters, first to last. Of the paths that match, the one for which this is least says most.
    pub(crate) fn parameter_places(&self) -> Vec<bool> {
        self.segments()
            .map(|segment| matches!(segment, Segment::Parameter(_)))
            .collect()
    }

    fn raw_parameters<'p>(&self, known: usize, raw_path: &'p str) -> Option<Vec<&'p str>> {
        let (template, path) = (&self.0[known..], raw_path.get(known..)?);
        if template.is_empty() {
            return path.is_empty().then(Vec::new);
        }
        let (template, path) = match known {
            0 => (&template[1..], path.strip_prefix('/')?),
            _ => (template, path),
        };
        let mut pieces = path.split('/');
        let mut parameters = Vec::new();
        for segment in segments(template) {
            let piece = pieces.next()?;
            match segment {
                Segment::Literal(text) if text == piece => {}
                Segment::Parameter(_) if !piece.is_empty() => parameters.push(piece),
                _ => return None,
            }
        }
        pieces.next().is_none().then_some(parameters)
    }
}

fn segments(template: &'static str) -> impl Iterator<Item = Segment> {
    template.split('/').map(|text| {
        let name = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        name.map_or(Segment::Literal(text), Segment::Parameter)
    })
}

/// Where the next parameter's brace is, or the template's end.
const fn next_parameter(template: &[u8], mut at: usize) -> usize {
    while at < template.len() {
        if template[at] == b'{' && template[at - 1] == b'/' {
            let mut end = at + 1;
            while end < template.len() && template[end] != b'/' {
                end += 1;
            }
            if end > at + 1 && template[end - 1] == b'}' {
                return at;
            }
        }
        at += 1;
    }
    at
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One segment of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This very text.
    Literal(&'static str),
    /// A parameter of this name.
    Parameter(&'static str),
}

/// Whether one `/` after the path is passed over. Old servers required it on some endpoints, Synapse
/// accepts it there and falls back to it, so those endpoints accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Such a path does not match.
    Refuse,
    /// Such a path matches as well.
    Accept,
}

/// The parameters of a query, unescaped, in the order of the text. A name may occur repeatedly.
///
/// `Debug` leaves out the value of an `access_token`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| match name {
            "access_token" => (name, "(secret)"),
            _ => (name, value),
        });
        f.debug_list().entries(shown).finish()
    }
}

impl Query {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what stands behind the `?`: `name=value` pieces between `&`; `+` is a space, as Python's
    /// and Go's form encoding write it. A piece without `=` has an empty value, an empty piece is
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`BadEscape`].
    pub fn parse(raw: &str) -> Result<Self, BadEscape> {
        raw.split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                Ok((unescape(name, Plus::Space)?, unescape(value, Plus::Space)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The text behind the `?`. A space is `%20`, which every reader takes for one.
    pub fn write(&self) -> String {
        let mut raw = String::new();
        for (name, value) in &self.0 {
            if !raw.is_empty() {
                raw.push('&');
            }
            escape(&mut raw, name);
            raw.push('=');
            escape(&mut raw, value);
        }
        raw
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of this name, in order.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a pair at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds all pairs of another query.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Takes out the first value of this name. The others stay: a parameter that is sent twice loses nothing on its way through.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes out every value of this name, in order.
    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        let taken = self.0.extract_if(.., |(known, _)| known == name);
        taken.map(|(_, value)| value).collect()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The raw path and the raw query of a target; an empty query is one.
pub fn split_target(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Whether a target may be signed, sent and routed: `/` first, then bytes 0x21 to 0x7E other than `#`,
/// at most [`TARGET_LIMIT`] of them.
///
/// # Errors
///
/// [`TargetError`], which knows its status.
pub fn check_target(target: &str) -> Result<(), TargetError> {
    if target.len() > TARGET_LIMIT {
        return Err(TargetError::TooLong {
            bytes: target.len(),
        });
    }
    if !target.starts_with('/') {
        return Err(TargetError::NotAbsolute);
    }
    match target
        .bytes()
        .position(|byte| !matches!(byte, 0x21..=0x7e) || byte == b'#')
    {
        Some(offset) => Err(TargetError::Byte { offset }),
        None => Ok(()),
    }
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It does not begin with `/`.
    #[error("the target does not begin with a slash")]
    NotAbsolute,
    /// It is over [`TARGET_LIMIT`].
    #[error("the target has {bytes} bytes, over the limit of {TARGET_LIMIT}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A byte outside 0x21 to 0x7E, or `#`.
    #[error("the target has a byte at {offset} that must be escaped")]
    Byte {
        /// Where.
        offset: usize,
    },
}

impl TargetError {
    /// The HTTP status that answers it: 414 or 400.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::TooLong { .. } => 414,
            Self::NotAbsolute | Self::Byte { .. } => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_what_its_paths_begin_with() {
        for (template, start) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/{room}", "/"),
            ("/a/{room}/b", "/a/"),
            ("/a/x{room}/{event}", "/a/x{room}/"),
        ] {
            assert_eq!(PathTemplate::new(template).literal_start(), start);
        }
    }

    #[test]
    fn parameters_are_the_same_by_name_and_order() {
        const ONE: PathTemplate = PathTemplate::new("/a/{room}/b/{event}");
        for same in [
            "/{room}/{event}",
            "/x{/{room}/y}/{event}/{",
            "/a/{room}/{event}/",
        ] {
            assert!(ONE.same_parameters(&PathTemplate::new(same)), "{same}");
        }
        for other in [
            "/a",
            "/{room}",
            "/{event}/{room}",
            "/{room}/{event}/{x}",
            "/{room}/{events}",
            "/{roo}/{event}",
        ] {
            assert!(!ONE.same_parameters(&PathTemplate::new(other)), "{other}");
        }
    }
}
