//! Extensible events (MSC1767): content that can be read from an event of any type.
//!
//! Every top-level member of an event's content is a *content block*, and a block means the same in every type that has it. So a program
//! that does not know an event's type can still read the blocks that it does know; above all `m.text`, which most events carry for that purpose.
//! Nothing is read before it is asked for, and nothing that an event holds is an error: what is malformed is skipped, as the MSC says.
//!
//! The room version says whether a room's events are meant like this (`I.1` does); reading them so anywhere does no harm.

use std::borrow::Cow;

use crate::json::{Kind, Object, Value};

/// Most representations of one text that are looked at. An honest one has two or three.
pub const MAX_REPRESENTATIONS: usize = 32;

/// The media type of a representation that names none.
pub const DEFAULT_MIMETYPE: &str = "text/plain";

/// The long form, and the names that it had in drafts of the MSC; live clients still write some of those.
const LONG: &[&str] = &[
    "m.text",
    "org.matrix.msc1767.text",
    "m.message",
    "org.matrix.msc1767.message",
];

/// The short forms of those drafts: one string, whose media type the name says. The richer one comes first, as a sender would order them.
const SHORT: &[(&str, &str)] = &[
    ("m.html", "text/html"),
    ("org.matrix.msc1767.html", "text/html"),
    ("m.text", DEFAULT_MIMETYPE),
    ("org.matrix.msc1767.text", DEFAULT_MIMETYPE),
];

/// The content blocks of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentBlocks(Object);

impl ContentBlocks {
    /// The blocks of a content.
    pub fn new(content: Object) -> Self {
        Self(content)
    }

    /// The block of this name, of whatever kind it is.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name)
    }

    /// The names of all blocks, in order.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.members().map(|(name, _)| name)
    }

    /// The event as a text, in as many representations as it has, most preferred first; at most [`MAX_REPRESENTATIONS`].
    ///
    /// The first of these that is there: `m.text` as an array; the same under its unstable name; `m.message`, which earlier drafts
    /// called the array; the short forms of those drafts, `m.html` and `m.text` as strings. None of them: no representations.
    pub fn text(&self) -> Vec<Representation> {
        LONG.iter()
            .find(|name| {
                self.get(name)
                    .is_some_and(|block| block.kind() == Kind::Array)
            })
            .map_or_else(|| self.short_forms(), |name| self.representations(name))
    }

    /// The text in this media type: the first such representation. Parameters of the type (`;charset=utf-8`) do not matter, nor does its case.
    pub fn text_as(&self, mimetype: &str) -> Option<String> {
        let mut texts = self.text().into_iter();
        let found = texts.find(|text| text.essence().eq_ignore_ascii_case(mimetype));
        found.map(|text| text.body)
    }

    /// The representations of a text in the block of this name: `m.text`, and whatever else has its form (`m.caption`'s inner one, a vendor's own).
    /// Elements that are none are skipped.
    pub fn representations(&self, name: &str) -> Vec<Representation> {
        let elements = self.0.array(name).into_iter().flatten();
        elements
            .take(MAX_REPRESENTATIONS)
            .filter_map(|element| Representation::read(&element))
            .collect()
    }

    fn short_forms(&self) -> Vec<Representation> {
        let mut texts: Vec<Representation> = Vec::new();
        for (name, mimetype) in SHORT {
            let body = self
                .get(name)
                .and_then(|block| Some(block.as_str()?.into_owned()));
            if let Some(body) = body
                && !texts.iter().any(|text| text.mimetype == *mimetype)
            {
                texts.push(Representation {
                    mimetype: (*mimetype).to_owned(),
                    body,
                });
            }
        }
        texts
    }
}

/// One way in which a text is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    /// Its media type as the sender wrote it, [`DEFAULT_MIMETYPE`] if none.
    pub mimetype: String,
    /// The text in that type. HTML is as the sender wrote it: whoever shows it cleans it first.
    pub body: String,
}

impl Representation {
    /// `None` if it has no `body` that is a string, or a media type that is none.
    fn read(value: &Value) -> Option<Self> {
        let object = Object::from_value(value)?;
        let mimetype = match object.get("mimetype") {
            None => DEFAULT_MIMETYPE.to_owned(),
            Some(mimetype) => mimetype.as_str()?.into_owned(),
        };
        let body = object.get("body")?.as_str()?.into_owned();
        Some(Self { mimetype, body })
    }

    /// The media type without its parameters.
    fn essence(&self) -> &str {
        self.mimetype.split(';').next().unwrap_or_default().trim()
    }
}
