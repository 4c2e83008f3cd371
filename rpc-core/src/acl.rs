//! Server ACLs: which servers a room talks to (CS "Server Access Control Lists (ACLs) for rooms", SS of the same name).
//!
//! [`ServerAcl`] evaluates the content of `m.room.server_acl`, [`ServerAcls`] is where a homeserver gives the one of a room, and the layer
//! [`Acl`](crate::layers::Acl) does what each operation's row asks for.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    ServerName,
    error::FederationError,
    event::room_version::RoomVersion,
    json::{Object, Value},
};

/// The ACL of a room, read once from the content of its `m.room.server_acl` event.
///
/// Names are matched without their port and, since v1.19, whatever their case. `*` stands for any characters, `?` for one; an IPv6 literal
/// has its brackets. Matching takes time in proportion to name and pattern: a hostile pattern costs no more than another of its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAcl {
    allow: Vec<Glob>,
    deny: Vec<Glob>,
    allow_ip_literals: bool,
}

impl ServerAcl {
    /// Reads the content.
    ///
    /// What is missing or of another type counts as the specification's default: no name is allowed, none is denied, IP literals are
    /// allowed. An entry of a list that is no string matches nothing. So an ACL without `allow` denies every server.
    pub fn from_content(content: &Object) -> Self {
        let globs = |name| {
            let entries = content.array(name).into_iter().flatten();
            let entries = entries.filter_map(|entry| Some(Glob::new(&entry.as_str()?)));
            entries.collect()
        };
        let literals = content.get("allow_ip_literals");
        Self {
            allow: globs("allow"),
            deny: globs("deny"),
            allow_ip_literals: literals.as_ref().and_then(Value::as_bool) != Some(false),
        }
    }

    /// Whether the room talks to this server: IP literals first, then what is denied, then what is allowed.
    pub fn allows(&self, server: &ServerName) -> bool {
        if server.is_ip_literal() && !self.allow_ip_literals {
            return false;
        }
        let host = server.host().to_ascii_lowercase();
        let listed = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(host.as_bytes()));
        !listed(&self.deny) && listed(&self.allow)
    }
}

/// A pattern in lower case. Names are ASCII, so bytes are characters, and a pattern that is not ASCII matches none.
#[derive(Clone, PartialEq, Eq)]
struct Glob(Box<[u8]>);

impl Glob {
    fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase().into_bytes().into())
    }

    /// Goes back to the last `*` only: if what follows it matched once, an earlier `*` need not take more.
    fn matches(&self, text: &[u8]) -> bool {
        let pattern = &*self.0;
        let (mut at, mut next) = (0, 0);
        // Where the last `*` is, and where what it stands for ends.
        let mut star: Option<(usize, usize)> = None;
        while next < text.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(&byte) if byte == b'?' || byte == text[next] => {
                    at += 1;
                    next += 1;
                }
                _ => {
                    let Some((place, end)) = star else {
                        return false;
                    };
                    star = Some((place, end + 1));
                    at = place + 1;
                    next = end + 1;
                }
            }
        }
        pattern[at..].iter().all(|&byte| byte == b'*')
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

/// Where the ACLs of rooms come from: a homeserver's own state.
#[async_trait]
pub trait ServerAcls: fmt::Debug + Send + Sync + 'static {
    /// The ACL in the room's current state. `None` if it has none, or the room is not known: any server may talk then.
    ///
    /// # Errors
    /// It cannot be had now. The call is answered so, and nobody is let in.
    async fn server_acl(&self, room_id: &str) -> Result<Option<Arc<ServerAcl>>, FederationError>;

    /// The rules of the room's version, which say the IDs of its events. Asked for only to name those that were denied in the reply to a
    /// transaction; without it they are left out of it, as the specification allows.
    async fn room_version(&self, room_id: &str) -> Option<Arc<dyn RoomVersion>> {
        let _ = room_id;
        None
    }
}
