//! Who is there.

use super::{
    EduContent, EduError,
    reading::{At, Budget, member},
};
use crate::json::{Members, Object, ObjectWriter};

/// Which users are there: the content of `m.presence` (SS "Presence").
///
/// The receiver drops what is said of users who are not of the origin. Synapse puts at most [`Presence::SYNAPSE_PUSH`] users into one; no limit is
/// enforced here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presence {
    /// What is said of each user.
    pub push: Vec<UserPresence>,
    /// Members that are not known.
    pub extra: Members,
}

impl Presence {
    /// Most users that Synapse puts into one EDU.
    pub const SYNAPSE_PUSH: usize = 50;
}

/// Whether a user is there.
#[derive(Clone, Debug, PartialEq)]
pub struct UserPresence {
    /// The user.
    pub user_id: String,
    /// Whether the user is there.
    pub presence: PresenceState,
    /// What the user says about it.
    pub status_msg: Option<String>,
    /// How long ago the user last did something, in milliseconds. The specification requires it; Synapse leaves it out for a user who never did.
    pub last_active_ago: Option<i64>,
    /// Whether the user is likely to be at a client right now; not, if absent.
    pub currently_active: Option<bool>,
    /// Members that are not known.
    pub extra: Members,
}

/// Whether a user is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceState {
    /// `online`
    Online,
    /// `unavailable`: not active for a while.
    Unavailable,
    /// `offline`
    Offline,
    /// Another word, such as that of an extension (MSC3026: `busy`).
    Other(String),
}

impl PresenceState {
    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Online => "online",
            Self::Unavailable => "unavailable",
            Self::Offline => "offline",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for PresenceState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "online" => Self::Online,
            "unavailable" => Self::Unavailable,
            "offline" => Self::Offline,
            _ => Self::Other(word),
        }
    }
}

impl EduContent for Presence {
    const TYPES: &'static [&'static str] = &["m.presence"];

    fn read(content: &Object) -> Result<Self, EduError> {
        let mut budget = Budget::new(content)?;
        budget.array(content, "push")?;
        let mut reader = content.reader();
        let at = member("push");
        let push = reader.array("push")?.into_iter().enumerate();
        let push = push.map(|(index, value)| {
            let at = At::Element(&at, index);
            UserPresence::read(&at, &budget.object(&at, &value)?)
        });
        Ok(Self {
            push: push.collect::<Result<_, EduError>>()?,
            extra: reader.rest(),
        })
    }

    fn write(&self) -> Object {
        let mut content = ObjectWriter::new();
        let push = self.push.iter().map(|user| user.write().to_value());
        content.array("push", push);
        content.members(&self.extra);
        content.into_object()
    }

    fn check(&self) -> Result<(), EduError> {
        let at = member("push");
        for (index, user) in self.push.iter().enumerate() {
            let at = At::Element(&at, index);
            At::Member(&at, "user_id").check_id(&user.user_id)?;
            let ago = user.last_active_ago.unwrap_or_default();
            At::Member(&at, "last_active_ago").check_integer(ago)?;
        }
        Ok(())
    }

    fn users(&self) -> impl Iterator<Item = &str> {
        self.push.iter().map(|user| user.user_id.as_str())
    }
}

impl UserPresence {
    fn read(at: &At<'_>, object: &Object) -> Result<Self, EduError> {
        let mut reader = object.reader();
        let mut read = || {
            Ok(Self {
                user_id: reader.string("user_id")?,
                presence: reader.string("presence")?.into(),
                status_msg: reader.string_opt("status_msg")?,
                last_active_ago: reader.integer_opt("last_active_ago")?,
                currently_active: reader.boolean_opt("currently_active")?,
                extra: Members::new(),
            })
        };
        let read = read().map_err(|error| at.error(&error))?;
        Ok(Self {
            extra: reader.rest(),
            ..read
        })
    }

    fn write(&self) -> Object {
        let mut user = ObjectWriter::new();
        user.string("user_id", &self.user_id);
        user.string("presence", self.presence.as_str());
        user.string_opt("status_msg", self.status_msg.as_deref());
        user.integer_opt("last_active_ago", self.last_active_ago);
        user.boolean_opt("currently_active", self.currently_active);
        user.members(&self.extra);
        user.into_object()
    }
}
