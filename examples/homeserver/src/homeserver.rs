//! The server itself: who it is, what it holds, and through what it calls others.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use comity_core::{
    Client, ServerName,
    auth::{KeySource, PublishedKeys, PublishedKeysOptions, SigningKey},
    error::FederationError,
};
use ruma_common::{EventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use tokio::sync::{Semaphore, broadcast};

use crate::{
    Arrival, Event, Room, Storage, StorageError, Unsaved, Versions,
    devices::User,
    invites::Invitations,
    journal::{Change, Journal},
    log::{Log, MAX_UNSEEN},
    media::File,
    storage::remove_room,
};

/// Most events that wait for other servers without anyone waiting for them.
const DELIVERIES: usize = 64;

/// A homeserver's federation half, and a client through which it calls the others.
///
/// Cheap to clone. All clones are one server, also those made by [`over`](Self::over): they differ in the way by which it reaches
/// others. It implements the group traits of [`comity_core::api`]; register it with a [`Router`](comity_core::Router).
#[derive(Clone)]
pub struct Homeserver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Client,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) versions: Arc<Versions>,
}

/// What all clones of a server share. Each lock is held for one look or one change, never while anything is waited for.
pub(crate) struct Shared {
    pub(crate) name: ServerName,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) published: PublishedKeys,
    rooms: Mutex<HashMap<OwnedRoomId, Arc<Mutex<Room>>>>,
    /// Rooms that are being joined.
    pub(crate) joining: Mutex<HashSet<OwnedRoomId>>,
    pub(crate) invitations: Mutex<Invitations>,
    pub(crate) users: Mutex<BTreeMap<OwnedUserId, User>>,
    pub(crate) files: Mutex<BTreeMap<String, File>>,
    pub(crate) deliveries: Arc<Semaphore>,
    transactions: AtomicU64,
    watchers: broadcast::Sender<Arrival>,
    /// Unset of a server that keeps nothing on disk.
    journal: OnceLock<Arc<Journal>>,
}

impl Homeserver {
    /// A server without users and rooms. `client` signs as this server; `keys` has the keys of all servers, its own among them
    /// (a [`KeyRing`](comity_core::auth::KeyRing) [with them pinned](comity_core::auth::KeyRing::with_pinned)).
    pub fn new(
        name: ServerName,
        key: Arc<SigningKey>,
        client: Client,
        keys: Arc<dyn KeySource>,
    ) -> Self {
        let published =
            PublishedKeys::new(name.clone(), key.clone(), PublishedKeysOptions::default());
        let published = published.expect("one key and a validity of a day make a document");
        let shared = Arc::new(Shared {
            name,
            key,
            published,
            rooms: Mutex::default(),
            joining: Mutex::default(),
            invitations: Mutex::default(),
            users: Mutex::default(),
            files: Mutex::default(),
            deliveries: Arc::new(Semaphore::new(DELIVERIES)),
            transactions: AtomicU64::new(0),
            watchers: broadcast::Sender::new(MAX_UNSEEN),
            journal: OnceLock::new(),
        });
        Self {
            shared,
            client,
            keys,
            versions: Arc::new(Versions::matrix()),
        }
    }

    /// The same server with all that `storage` holds; from now on it keeps there what changes. It has to be new, and to speak the versions of
    /// its rooms already.
    ///
    /// # Errors
    /// The storage cannot be read, or holds what this server did not write.
    pub fn stored_in(self, storage: Storage) -> Result<Self, StorageError> {
        let (loaded, journal) = storage.load(&self.versions)?;
        lock(&self.shared.users).extend(loaded.users);
        for (order, user, invitation) in loaded.invitations {
            lock(&self.shared.invitations).restore(order, user, invitation);
        }
        // What was set by an earlier call would go on writing where it did.
        let journal = self.shared.journal.get_or_init(|| Arc::new(journal));
        for mut room in loaded.rooms {
            room.tell(self.log(room.id(), Some(journal.clone())), false);
            self.hold(room);
        }
        Ok(self)
    }

    /// The same server, speaking these room versions instead of those of the Matrix specification.
    #[must_use]
    pub fn speaking(self, versions: Versions) -> Self {
        Self {
            versions: Arc::new(versions),
            ..self
        }
    }

    /// The same server, calling the others through another client: over another transport.
    #[must_use]
    pub fn over(&self, client: Client, keys: Arc<dyn KeySource>) -> Self {
        Self {
            shared: self.shared.clone(),
            client,
            keys,
            versions: self.versions.clone(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.shared.name
    }

    /// Looks at a room; `None` if it is not here. Nobody else gets at the room meanwhile.
    pub fn with_room<T>(&self, id: &RoomId, look: impl FnOnce(&Room) -> T) -> Option<T> {
        Some(look(&lock(&*self.room(id)?)))
    }

    /// The rooms that are here, those too that all users have left.
    pub fn rooms(&self) -> Vec<OwnedRoomId> {
        let mut rooms: Vec<_> = lock(&self.shared.rooms).keys().cloned().collect();
        rooms.sort();
        rooms
    }

    /// Forgets a room, as if it had never been joined.
    pub fn forget_room(&self, id: &RoomId) -> bool {
        self.record(|| remove_room(id.to_owned()));
        lock(&self.shared.rooms).remove(id).is_some()
    }

    /// Tells of each event that comes to stand in a room from now on. Who reads too slowly misses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<Arrival> {
        self.shared.watchers.subscribe()
    }

    /// Waits until all that has changed is on the disk; not at all, if the server keeps nothing there. Whatever answers or calls another
    /// server waits for it; who calls [`add_user`](Self::add_user), [`create_room`](Self::create_room) or [`append`](Self::append) has to do
    /// so before saying that it is done. Dropping the future changes nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn saved(&self) -> Result<(), Unsaved> {
        match self.shared.journal.get() {
            Some(journal) => journal.saved().await,
            None => Ok(()),
        }
    }

    /// Waits until the disk fails: from then on the server changes nothing any more, and should be stopped.
    pub async fn disk_failed(&self) -> Unsaved {
        match self.shared.journal.get() {
            Some(journal) => journal.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Has a change written, if anything is. It is called under the lock of what changes, so that changes are written in their order.
    pub(crate) fn record(&self, change: impl FnOnce() -> Change) {
        if let Some(journal) = self.shared.journal.get() {
            journal.record(change());
        }
    }

    pub(crate) fn room(&self, id: &RoomId) -> Option<Arc<Mutex<Room>>> {
        lock(&self.shared.rooms).get(id).cloned()
    }

    /// An event of any room, and the room's ID.
    pub(crate) fn find_event(&self, id: &EventId) -> Option<(OwnedRoomId, Arc<Event>)> {
        let rooms: Vec<_> = lock(&self.shared.rooms).values().cloned().collect();
        rooms.iter().find_map(|room| {
            let room = lock(room);
            Some((room.id().to_owned(), room.known(id)?.clone()))
        })
    }

    /// Takes in a room that was just made or joined.
    pub(crate) fn insert_room(&self, mut room: Room) {
        let journal = self.shared.journal.get().cloned();
        room.tell(self.log(room.id(), journal), true);
        self.hold(room);
    }

    fn hold(&self, room: Room) {
        let id = room.id().to_owned();
        lock(&self.shared.rooms).insert(id, Arc::new(Mutex::new(room)));
    }

    fn log(&self, room: &RoomId, journal: Option<Arc<Journal>>) -> Log {
        Log::new(room.to_owned(), journal, self.shared.watchers.clone())
    }

    /// The room that a peer asks about.
    ///
    /// # Errors
    /// 404 `M_NOT_FOUND` if no user of this server is joined: what it once knew may be told to nobody any more.
    pub(crate) fn room_asked_for(&self, id: &str) -> Result<Arc<Mutex<Room>>, FederationError> {
        RoomId::parse(id)
            .ok()
            .and_then(|id| self.room(&id))
            .filter(|room| lock(room).state().has_server(self.name()))
            .ok_or_else(|| FederationError::not_found(format!("this server is not in room {id:?}")))
    }

    /// The same, for a peer that is in the room.
    ///
    /// # Errors
    /// Also 403 `M_FORBIDDEN` if no user of `origin` is joined.
    pub(crate) fn room_shared_with(
        &self,
        origin: &ServerName,
        id: &str,
    ) -> Result<Arc<Mutex<Room>>, FederationError> {
        let room = self.room_asked_for(id)?;
        if !lock(&room).state().has_server(origin) {
            return Err(FederationError::forbidden(format!(
                "{origin} is not in the room"
            )));
        }
        Ok(room)
    }

    /// Whether a user is of this server.
    pub(crate) fn is_ours(&self, user: &UserId) -> bool {
        is_of(user, self.name())
    }

    /// A transaction ID that was not used before, across restarts too.
    pub(crate) fn transaction_id(&self, now: i64) -> String {
        let count = self.shared.transactions.fetch_add(1, Ordering::Relaxed);
        format!("{now}-{count}")
    }
}

/// Whether a user is of a server.
pub(crate) fn is_of(user: &UserId, server: &ServerName) -> bool {
    user.server_name().as_str() == server.as_str()
}

/// A lock's content. A panic while it was held leaves nothing half done that matters: changes are made whole before they are put in.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Homeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Homeserver")
            .field("name", self.name())
            .field("rooms", &lock(&self.shared.rooms).len())
            .finish_non_exhaustive()
    }
}
