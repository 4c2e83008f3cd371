//! What a request or reply has to hold, so that a law can leave it out or spoil it.

/// A parameter or member of a request, or a member of a reply, that is read by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, as an error says it.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// Whether a request or reply without it is refused.
    pub required: bool,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// A member of the content.
    Member,
    /// The content itself.
    Content,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    String,
    /// An access token: any text. A request without it lacks its proof, and is answered so.
    AccessToken,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Object,
    /// An event: an object within the limits of size and depth.
    Event,
    /// An event that is still to be filled in, or is only passed on: any object.
    Template,
    /// An array of anything.
    Array,
    /// An array of strings.
    Strings,
    /// One of these texts, in a query.
    OneOf(&'static [&'static str]),
}

impl Parameter {
    /// A query parameter that may be absent.
    pub const fn query(name: &'static str, kind: Kind) -> Self {
        Self::of(name, Place::Query, kind)
    }

    /// A member that may be absent.
    pub const fn member(name: &'static str, kind: Kind) -> Self {
        Self::of(name, Place::Member, kind)
    }

    /// The content itself. No content counts as `{}`.
    pub const fn content(name: &'static str, kind: Kind) -> Self {
        Self::of(name, Place::Content, kind)
    }

    /// The same if it has to be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn of(name: &'static str, place: Place, kind: Kind) -> Self {
        Self {
            name,
            place,
            kind,
            required: false,
        }
    }
}
