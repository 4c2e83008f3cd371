//! What the server can be told to do.

use std::error::Error;

use comity_core::{
    ServerName,
    api::{Calls, QueryDirectory},
    json::{Object, ObjectWriter},
    transport::DestinationStatus,
};
use comity_homeserver::{
    ActionError, Delivered, NewRoom, User,
    ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId},
};
use serde_json::{Value, json};

use super::{control::shown, stack::Stack};
use crate::failure::chain;

const HELP: &[(&str, &str)] = &[
    ("user NAME [DISPLAY NAME]", "adds a user of this server"),
    (
        "create USER [public|knock|invite] [version=12] [alias=WORD] [name=TEXT]",
        "makes a room; a public one is listed for other servers",
    ),
    (
        "join USER ROOM|ALIAS [SERVER ...]",
        "joins a room, through one of these servers, the alias's, or that of the invitation",
    ),
    ("invite USER ROOM OTHER", "invites another user"),
    ("leave USER ROOM", "leaves a room, or rejects an invitation"),
    ("send USER ROOM TEXT", "sends a message"),
    (
        "set USER ROOM TYPE KEY JSON",
        "sends a state event; - stands for the empty key",
    ),
    (
        "read ROOM [COUNT]",
        "shows the latest events, 20 if no count is given",
    ),
    ("state ROOM", "shows a room's state"),
    ("members ROOM", "shows who is in a room or invited"),
    ("rooms", "lists the rooms that are here"),
    ("invitations USER", "lists a user's invitations"),
    (
        "servers",
        "lists the servers that were called, the binding in use for each and why, and how calls fared",
    ),
];

/// Events that `read` shows if it is not told how many.
const SHOWN: usize = 20;

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    User(OwnedUserId, Option<String>),
    Create {
        user: OwnedUserId,
        room: NewRoomWords,
    },
    Join {
        user: OwnedUserId,
        room: Place,
        via: Vec<ServerName>,
    },
    Invite(OwnedUserId, OwnedRoomId, OwnedUserId),
    Leave(OwnedUserId, OwnedRoomId),
    Send(OwnedUserId, OwnedRoomId, String),
    Set {
        user: OwnedUserId,
        room: OwnedRoomId,
        kind: String,
        key: String,
        content: Object,
    },
    Read(OwnedRoomId, usize),
    State(OwnedRoomId),
    Members(OwnedRoomId),
    Rooms,
    Invitations(OwnedUserId),
    Servers,
    Help,
}

/// What a room is to be made with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NewRoomWords {
    join_rule: Option<String>,
    version: Option<String>,
    alias: Option<String>,
    name: Option<String>,
}

/// A room to join.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Id(OwnedRoomId),
    Alias(String),
}

/// The words of a line.
struct Words<'a> {
    rest: &'a str,
    server: &'a ServerName,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.next().ok_or_else(|| format!("{what} is missing"))
    }

    /// The rest of the line as one text.
    fn text(&mut self) -> Option<&'a str> {
        let text = std::mem::take(&mut self.rest).trim();
        (!text.is_empty()).then_some(text)
    }

    /// A user: `alice` stands for the one of this server.
    fn user(&mut self) -> Result<OwnedUserId, String> {
        let word = self.word("a user")?;
        let id = match word.starts_with('@') {
            true => word.to_owned(),
            false => format!("@{word}:{}", self.server),
        };
        UserId::parse(&id).map_err(|error| format!("{id}: {error}"))
    }

    fn room(&mut self) -> Result<OwnedRoomId, String> {
        let word = self.word("a room ID")?;
        RoomId::parse(word).map_err(|error| format!("{word}: {error}"))
    }
}

impl Command {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(line: &str, server: &ServerName) -> Result<Self, String> {
        let mut words = Words { rest: line, server };
        let command = match words.word("a command")? {
            "user" => Self::User(words.user()?, words.text().map(str::to_owned)),
            "create" => Self::Create {
                user: words.user()?,
                room: new_room(&mut words)?,
            },
            "join" => Self::Join {
                user: words.user()?,
                room: place(&mut words)?,
                via: servers(&mut words)?,
            },
            "invite" => Self::Invite(words.user()?, words.room()?, words.user()?),
            "leave" => Self::Leave(words.user()?, words.room()?),
            "send" => {
                let (user, room) = (words.user()?, words.room()?);
                let text = words.text().ok_or("a text is missing")?;
                Self::Send(user, room, text.to_owned())
            }
            "set" => Self::Set {
                user: words.user()?,
                room: words.room()?,
                kind: words.word("a type")?.to_owned(),
                key: match words.word("a state key")? {
                    "-" => String::new(),
                    key => key.to_owned(),
                },
                content: content(words.text().ok_or("the content is missing")?)?,
            },
            "read" => Self::Read(
                words.room()?,
                match words.next() {
                    Some(count) => count.parse().map_err(|_| format!("{count} is no count"))?,
                    None => SHOWN,
                },
            ),
            "state" => Self::State(words.room()?),
            "members" => Self::Members(words.room()?),
            "rooms" => Self::Rooms,
            "invitations" => Self::Invitations(words.user()?),
            "servers" => Self::Servers,
            "help" => Self::Help,
            other => return Err(format!("{other:?} is no command; `help` lists them")),
        };
        match words.text() {
            None => Ok(command),
            Some(more) => Err(format!("nothing is known of {more:?}")),
        }
    }
}

fn new_room(words: &mut Words<'_>) -> Result<NewRoomWords, String> {
    let mut room = NewRoomWords::default();
    while let Some(word) = words.next() {
        match word.split_once('=') {
            None if matches!(word, "public" | "knock" | "invite") => {
                room.join_rule = Some(word.to_owned());
            }
            Some(("version", version)) => room.version = Some(version.to_owned()),
            Some(("alias", alias)) => room.alias = Some(alias.to_owned()),
            // A name may have spaces, so it is the last.
            Some(("name", begin)) => {
                let rest = words.text().unwrap_or("");
                room.name = Some(format!("{begin} {rest}").trim().to_owned());
            }
            _ => return Err(format!("nothing is known of {word:?}")),
        }
    }
    Ok(room)
}

fn place(words: &mut Words<'_>) -> Result<Place, String> {
    let word = words.word("a room")?;
    match word.starts_with('#') {
        true => Ok(Place::Alias(word.to_owned())),
        false => RoomId::parse(word)
            .map(Place::Id)
            .map_err(|error| format!("{word}: {error}")),
    }
}

fn servers(words: &mut Words<'_>) -> Result<Vec<ServerName>, String> {
    let mut servers = Vec::new();
    while let Some(word) = words.next() {
        servers.push(word.parse().map_err(|error| format!("{word}: {error}"))?);
    }
    Ok(servers)
}

fn content(text: &str) -> Result<Object, String> {
    let size = text.len();
    Object::parse(text.to_owned().into(), size).map_err(|error| format!("the content: {error}"))
}

type Outcome = Result<Value, Box<dyn Error + Send + Sync>>;

impl Command {
    /// Does it, and gives what there is to say of it.
    ///
    /// # Errors
    /// Why it was not done.
    pub(crate) async fn carry_out(self, stack: &Stack) -> Outcome {
        let server = &stack.homeserver;
        match self {
            Self::User(id, display_name) => {
                if id.server_name().as_str() != server.name().as_str() {
                    return Err(format!("{id} is of another server").into());
                }
                let user = User {
                    display_name,
                    ..server.user(&id).unwrap_or_default()
                };
                server.add_user(id.clone(), user);
                server.saved().await?;
                Ok(json!({ "user_id": id }))
            }
            Self::Create { user, room } => create(stack, &user, room).await,
            Self::Join { user, room, via } => join(stack, &user, room, via).await,
            Self::Invite(sender, room, user) => {
                let sent = server.invite(&room, &sender, &user).await?;
                Ok(sent_as(sent.event.id().as_str(), &sent.deliveries))
            }
            Self::Leave(user, room) => {
                server.leave(&room, &user).await?;
                Ok(json!({ "room_id": room }))
            }
            Self::Send(user, room, text) => {
                let sent = server.send_message(&room, &user, &text).await?;
                Ok(sent_as(sent.event.id().as_str(), &sent.deliveries))
            }
            Self::Set {
                user,
                room,
                kind,
                key,
                content,
            } => {
                let sent = server
                    .send_state(&room, &user, &kind, &key, content)
                    .await?;
                Ok(sent_as(sent.event.id().as_str(), &sent.deliveries))
            }
            Self::Read(room, count) => {
                let events = server.with_room(&room, |room| room.latest(count));
                let events = events.ok_or_else(|| ActionError::UnknownRoom(room))?;
                Ok(events.iter().map(shown).collect())
            }
            Self::State(room) => {
                let events =
                    server.with_room(&room, |room| room.state().events().map(shown).collect());
                Ok(events.ok_or_else(|| ActionError::UnknownRoom(room))?)
            }
            Self::Members(room) => {
                let members = server.with_room(&room, |room| {
                    let members = room.state().events().filter_map(|event| event.membership());
                    let named = members.map(|(user, is)| (user.to_string(), json!(is.as_str())));
                    Value::Object(named.collect())
                });
                Ok(members.ok_or_else(|| ActionError::UnknownRoom(room))?)
            }
            Self::Rooms => Ok(json!(server.rooms())),
            Self::Invitations(user) => {
                let invitations = server.invitations(&user).into_iter().map(|invitation| {
                    json!({
                        "room_id": invitation.room_id,
                        "room_version": invitation.room_version,
                        "sender": invitation.event.sender(),
                        "via": invitation.via,
                    })
                });
                Ok(invitations.collect())
            }
            Self::Servers => Ok(stack.select.destinations().iter().map(status).collect()),
            Self::Help => Ok(HELP
                .iter()
                .map(|(usage, does)| json!({ *usage: does }))
                .collect()),
        }
    }
}

async fn create(stack: &Stack, user: &UserId, words: NewRoomWords) -> Outcome {
    let server = &stack.homeserver;
    let defaults = NewRoom::default();
    let room = NewRoom {
        version: words.version.unwrap_or(defaults.version),
        join_rule: words.join_rule.unwrap_or(defaults.join_rule),
        ..defaults
    };
    let id = server.create_room(user, &room)?;
    let alias = words
        .alias
        .map(|alias| format!("#{alias}:{}", server.name()));
    for (kind, member, value) in [
        ("m.room.canonical_alias", "alias", &alias),
        ("m.room.name", "name", &words.name),
    ] {
        if let Some(value) = value {
            let mut content = ObjectWriter::new();
            content.string(member, value);
            server
                .send_state(&id, user, kind, "", content.into_object())
                .await?;
        }
    }
    server.saved().await?;
    Ok(json!({ "room_id": id, "alias": alias }))
}

async fn join(stack: &Stack, user: &UserId, room: Place, mut via: Vec<ServerName>) -> Outcome {
    let server = &stack.homeserver;
    let room = match room {
        Place::Id(id) => id,
        Place::Alias(alias) => {
            let (id, servers) = find(stack, &alias).await?;
            via.extend(servers);
            id
        }
    };
    let mut invitations = server.invitations(user);
    invitations.retain(|invitation| invitation.room_id == room);
    via.extend(invitations.into_iter().map(|invitation| invitation.via));
    // Up to version 11 a room's ID says which server made it.
    via.extend(
        room.server_name()
            .and_then(|name| name.as_str().parse().ok()),
    );
    via.retain(|name| name != server.name());
    if server.rooms().contains(&room) {
        // If its own users are in it, nobody is asked.
        via.push(server.name().clone());
    }
    let mut last = "no server is known to be in it: name one".into();
    for via in via {
        match server.join(&room, user, &via).await {
            Ok(joined) => {
                return Ok(json!({
                    "room_id": room,
                    "room_version": joined.room_version,
                    "event_id": joined.event.id(),
                    "via": via,
                    "state": joined.state,
                    "refused": joined.refused.named,
                }));
            }
            Err(error) => last = Box::<dyn Error + Send + Sync>::from(error),
        }
    }
    Err(last)
}

/// The room that an alias stands for, and servers that are in it.
async fn find(
    stack: &Stack,
    alias: &str,
) -> Result<(OwnedRoomId, Vec<ServerName>), Box<dyn Error + Send + Sync>> {
    let (_, server) = alias.split_once(':').ok_or("an alias names its server")?;
    let server: ServerName = server.parse()?;
    let request = QueryDirectory {
        room_alias: alias.to_owned(),
        ..QueryDirectory::default()
    };
    let found = stack.client.query_directory(&server, request).await?;
    let servers = found.servers.iter().filter_map(|name| name.parse().ok());
    Ok((
        RoomId::parse(&found.room_id)?,
        [server].into_iter().chain(servers).collect(),
    ))
}

fn status(server: &DestinationStatus) -> Value {
    let bindings = server.bindings.iter().map(|binding| {
        let fared = json!({
            "calls": binding.calls,
            "errors": binding.errors,
            "fallbacks": binding.fallbacks.values().sum::<u64>(),
        });
        (binding.binding.to_owned(), fared)
    });
    json!({
        "server": server.destination,
        "binding": server.binding,
        "why": server.why.to_string(),
        "bindings": Value::Object(bindings.collect()),
    })
}

/// An event that was sent, and what each server said of it.
fn sent_as(event_id: &str, deliveries: &[Delivered]) -> Value {
    let said = deliveries.iter().map(|delivered| {
        let said = match &delivered.outcome {
            Ok(_) => match delivered.refused().next() {
                Some((_, why)) => format!("refused: {why}"),
                None => "taken".to_owned(),
            },
            Err(error) => chain(error),
        };
        (delivered.server.to_string(), json!(said))
    });
    json!({ "event_id": event_id, "servers": Value::Object(said.collect()) })
}
