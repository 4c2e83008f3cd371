//! A small homeserver's federation half, to be read: how one implements the traits of [`comity_core::api`].
//!
//! [`Homeserver`] implements every group trait once, and is served over any transport; `comity demo` serves it over HTTPS, gRPC and
//! memory at the same time, and `comity serve` under a real name. Rooms are real: events with hashes and signatures, a graph, state at each
//! event, authorization, state resolution. Synapse joins its rooms and lets it join its own: `dev/interop/example_homeserver.py` shows it.
//!
//! | file | subject |
//! | --- | --- |
//! | `server`, `keys`, `transactions`, `events`, `membership`, `rooms`, `queries`, `devices`, `media` | the traits, named as in the API |
//! | `acl` | which servers a room does not talk to, for the layer of that name |
//! | `homeserver` | the server: who it is, what it holds, through what it calls others |
//! | `actions`, `invites`, `join`, `leave` | the calling side: making rooms, sending, inviting, joining, leaving |
//! | `countersignature` | the signature of another server under an event of ours |
//! | `receive` | a foreign event from its arrival to its place in the room |
//! | `room` | a room: its graph, and the state at each event |
//! | `draft` | an event of our own, until it is in its room |
//! | `event`, `state`, `version` | what a room is made of |
//! | `authorization`, `resolution` | who may send what, and whose state counts where branches meet: by ruma-state-res |
//! | `history` | walks along the graph |
//! | `storage`, `journal`, `log` | what is kept on disk, how it gets there, and who is told of a new event |
//!
//! # On disk
//!
//! A server is in memory, and what changes is written to a [`Storage`] behind it, if it was given one: its key, its users, the events of its
//! rooms, the invitations of its users. Whoever is answered, and whoever is called, is so only once that is on the disk which it is told of: a
//! crash loses nothing that was answered. An event that a server *pulled* may be younger than the disk by an instant. A start takes all
//! events in again, which costs what taking them in cost, but for the signatures.
//!
//! # An event's way
//!
//! The numbers are those of SS "Checks performed on receipt of a PDU". An event that fails 1 or 2 is dropped, one that fails 3 goes on
//! redacted: these are [`comity_core::event::check_event`]. One that fails 4 (its auth events) or 5 (the state before it) is refused
//! with the reason. One that fails 6 (the current state) is kept but not built on. What it stands on and is not here is asked for once,
//! from the server that sent it, if that is in the room: in several questions, as servers answer with twenty events or so.
//!
//! An event that fails 4 or 5 is kept as rejected (SS "Rejection"): an honest server may have built on an event that is allowed and stands on
//! it. It is in no state and allows nothing. Not kept is what cannot be judged: an event that stands on or cites what is not here.
//!
//! # Limits
//!
//! | what | limit |
//! | --- | --- |
//! | events in a transaction | 50 ([`SendTransaction::MAX_PDUS`](comity_core::api::SendTransaction::MAX_PDUS)) |
//! | missing events asked for, once for each room and transaction | [`MAX_MISSING`], in [`MAX_QUESTIONS`] questions |
//! | servers whose keys are fetched for a transaction | [`MAX_SIGNERS`] |
//! | heads of a room; an event beyond that waits until another joins it with them | [`MAX_HEADS`] |
//! | rejected events kept of a room, the latest | [`MAX_REJECTED`] |
//! | events in an answer to `Backfill` and `GetMissingEvents` | [`MAX_WALK`] |
//! | invitations kept, the latest | [`MAX_INVITATIONS`], [`MAX_INVITATIONS_OF_ONE`] of one server, of [`MAX_INVITE_STATE`] events each at most |
//! | rooms in one answer of the directory | [`MAX_PUBLISHED`] |
//! | events that wait for a slow [watcher](Homeserver::watch) | 1,000, the latest |
//! | refused events that a join names | [`MAX_REFUSALS`] |
//! | state and auth chain of a join | the size limit of the reply, in core's table |
//!
//! # What is left out
//!
//! - The client-server API, and what only clients see: redactions are events like others and remove nothing.
//! - Storage of media files, which are in memory and end with the process; of state, which is worked out anew at the start; and of less than
//!   everything: a room is kept whole, in memory too.
//! - A limit on the events of a room: whoever may send into one may fill memory and disk.
//! - Retries: a server that could not be reached is not tried again. It asks for what it missed when it gets the next event.
//! - Restricted joins on the resident's side, knocking on the caller's, third-party invites, spaces, thumbnails, logins by OpenID.
//! - EDUs: presence, typing, receipts and device messages are taken and lost, and none are sent. So nobody learns that a list of devices has
//!   changed, and there is no encryption between users.
//! - An invitation that is taken back: this server is not in the room, and drops the event that says so.
//! - Missing state and auth events (`GetState`, `GetEventAuth`): an event is refused if its auth events are not here, or if the walk back
//!   from it does not reach the room as it is known here within those questions. Only what stands on the same ground as a join is placed
//!   without that. So a member who gives an event to others, but never to this server, still keeps from it what is built on that; and a server
//!   that was away for more than [`MAX_MISSING`] events of a room has to leave it and join again.
//! - What a room was before it was left: a room that is joined again is made anew of what that join brings.
//! - Times before 1970: such an event is taken, and counts as of 1970 where states are resolved.
//! - Who may see what: a server in a room is given all of it, whatever `m.room.history_visibility` says.
//! - Room versions 1 to 5, whose events may hold numbers that are not canonical, and policy servers.

mod acl;
mod actions;
mod authorization;
mod countersignature;
mod devices;
mod draft;
mod event;
mod events;
mod history;
mod homeserver;
mod invites;
mod join;
mod journal;
mod keys;
mod leave;
mod log;
mod media;
mod membership;
mod queries;
mod receive;
mod resolution;
mod room;
mod rooms;
mod server;
mod state;
mod storage;
mod transactions;
mod version;

pub use actions::{ActionError, Delivered, NewRoom, Sent};
pub use authorization::Unauthorized;
pub use devices::{Device, User};
pub use draft::{AppendError, Draft};
pub use event::{Event, StateKey, UnreadableEvent};
pub use events::MAX_WALK;
pub use homeserver::Homeserver;
pub use invites::{Invitation, MAX_INVITATIONS, MAX_INVITATIONS_OF_ONE};
pub use join::{Joined, MAX_REFUSALS, Refusals};
pub use journal::Unsaved;
pub use log::Arrival;
pub use media::File;
pub use membership::MAX_INVITE_STATE;
pub use receive::{MAX_MISSING, MAX_QUESTIONS, MAX_SIGNERS};
pub use resolution::Unresolved;
pub use room::{MAX_HEADS, MAX_REJECTED, Refused, Room};
pub use rooms::MAX_PUBLISHED;
pub use state::State;
pub use storage::{Storage, StorageError};
pub use version::{Version, Versions};

pub use ruma_common;
pub use ruma_events;
