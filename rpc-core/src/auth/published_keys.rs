//! A server's own keys as they change: signed anew in time, rotated while the server runs (Server-Server API, "Publishing Keys").

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    KeyDocument, KeyDocumentError, KeyId, MAX_VALIDITY_MS, OldVerifyKey, ServerKeys, SigningKey,
    now_ms,
};
use crate::{
    ServerName,
    api::{GetServerKeys, GetServerKeysById, GetServerKeysReply, Keys},
    call::CallContext,
    error::FederationError,
    json::{Object, Value},
    transport::{BINDINGS_MEMBER, Offer},
};

/// Longest key document that is published, in bytes: the largest that live homeservers were seen to take and to relay.
pub const MAX_PUBLISHED_BYTES: usize = 60 << 10;

/// What is left of the validity of a document when it is given away, in milliseconds at least: "Servers SHOULD NOT serve a response that expires in less
/// than an hour".
const LEAST_LEFT_MS: i64 = 60 * 60 * 1000;

/// How a server publishes its keys.
#[derive(Clone)]
pub struct PublishedKeysOptions {
    /// How long a document is valid once it is signed: two hours to seven days. It cannot be withdrawn before, so a stolen key stays good for that time.
    pub validity: Duration,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for PublishedKeysOptions {
    /// A day.
    fn default() -> Self {
        Self {
            validity: Duration::from_secs(24 * 60 * 60),
            now: Arc::new(now_ms),
        }
    }
}

impl fmt::Debug for PublishedKeysOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedKeysOptions")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// A server's own keys and its key document. Clones share them.
///
/// The document is signed when it is asked for and the last one has grown too old: what is given away is always valid for an hour at least, and for
/// [`PublishedKeysOptions::validity`] at most. A change that would make no good document is refused and changes nothing.
///
/// It keeps nothing on disk: whoever rotates keys writes the new key and the [`old_keys`](Self::old_keys) down. It answers `GetServerKeys` as an
/// [`api::Keys`](crate::api::Keys); a [`Notary`](super::Notary) answers for other servers too.
#[derive(Clone)]
pub struct PublishedKeys {
    shared: Arc<Shared>,
}

struct Shared {
    server_name: ServerName,
    options: PublishedKeysOptions,
    validity_ms: i64,
    published: Mutex<Published>,
}

#[derive(Clone)]
struct Published {
    /// The current keys. The first one signs requests.
    keys: Vec<Arc<SigningKey>>,
    old: BTreeMap<KeyId, OldVerifyKey>,
    members: BTreeMap<String, Value>,
    signed: Signed,
}

#[derive(Clone)]
struct Signed {
    at: i64,
    document: Object,
    keys: Arc<ServerKeys>,
}

impl PublishedKeys {
    /// Publishes one key.
    ///
    /// # Errors
    /// [`KeyDocumentError::Validity`].
    pub fn new(
        server_name: ServerName,
        key: Arc<SigningKey>,
        options: PublishedKeysOptions,
    ) -> Result<Self, KeyDocumentError> {
        let validity_ms = i64::try_from(options.validity.as_millis()).unwrap_or(i64::MAX);
        if !(2 * LEAST_LEFT_MS..=MAX_VALIDITY_MS).contains(&validity_ms) {
            return Err(KeyDocumentError::Validity(options.validity));
        }
        let at = (options.now)();
        let (old, members) = (BTreeMap::new(), BTreeMap::new());
        let until = at.saturating_add(validity_ms);
        let keys = vec![key];
        let signed = sign(&server_name, &keys, &old, &members, at, until)?;
        let published = Mutex::new(Published {
            keys,
            old,
            members,
            signed,
        });
        Ok(Self {
            shared: Arc::new(Shared {
                server_name,
                options,
                validity_ms,
                published,
            }),
        })
    }

    /// Whose keys they are.
    pub fn server_name(&self) -> &ServerName {
        &self.shared.server_name
    }

    /// The key that signs requests now.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.lock().keys[0].clone()
    }

    /// All current keys, the one that signs requests first.
    pub fn signing_keys(&self) -> Vec<Arc<SigningKey>> {
        self.lock().keys.clone()
    }

    /// The former keys.
    pub fn old_keys(&self) -> BTreeMap<KeyId, OldVerifyKey> {
        self.lock().old.clone()
    }

    /// The document, signed anew if it is time.
    pub fn document(&self) -> Object {
        self.signed().document
    }

    /// The document as others read it.
    pub fn server_keys(&self) -> Arc<ServerKeys> {
        self.signed().keys
    }

    /// Lists a key as current that does not sign requests yet, so that others know it when a [rotation](Self::rotate) makes it do so. A server that has
    /// fetched the document a moment before a rotation refuses the new key until it asks again.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if its ID is another key's, or there are too many.
    pub fn announce(&self, key: Arc<SigningKey>) -> Result<(), KeyDocumentError> {
        self.change(|published, _| {
            let known = |own: &Arc<SigningKey>| is_same(own, &key);
            if !published.keys.iter().any(known) {
                published.keys.push(key.clone());
            }
        })
    }

    /// Signs by this key alone from now on. The keys before are listed as former: good for events signed until now, and for no request.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if its ID is another key's, or there are too many.
    pub fn rotate(&self, key: Arc<SigningKey>) -> Result<(), KeyDocumentError> {
        self.change(|published, now| {
            let before = std::mem::replace(&mut published.keys, vec![key.clone()]);
            for old in before.iter().filter(|old| !is_same(old, &key)) {
                let former = OldVerifyKey {
                    key: old.verify_key(),
                    expired_ts: now,
                };
                published.old.insert(old.key_id().clone(), former);
            }
            // A server may go back to a former key.
            let former = published.old.get(key.key_id());
            if former.is_some_and(|former| former.key == key.verify_key()) {
                published.old.remove(key.key_id());
            }
        })
    }

    /// Lists a former key, from before the start; or, listed already, with another end: the day on which it was stolen.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if its ID is a current key's, or there are too many.
    pub fn add_old_key(&self, id: KeyId, key: OldVerifyKey) -> Result<(), KeyDocumentError> {
        self.change(|published, _| {
            published.old.insert(id, key);
        })
    }

    /// Adds a member that the specification does not know, in place of the one of that name; `None` takes it out. See
    /// [`KeyDocument::with_member`] for what is safe to write.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if the document itself writes that member, or it becomes too large.
    pub fn set_member(&self, name: &str, value: Option<Value>) -> Result<(), KeyDocumentError> {
        self.change(|published, _| {
            match value {
                Some(value) => published.members.insert(name.to_owned(), value),
                None => published.members.remove(name),
            };
        })
    }

    /// Lists the server's bindings beside HTTPS, under [`BINDINGS_MEMBER`]. They cannot be withdrawn before the document expires.
    ///
    /// # Errors
    /// [`KeyDocumentError`] if the document becomes too large.
    pub fn offer(&self, offers: &[Offer]) -> Result<(), KeyDocumentError> {
        self.set_member(BINDINGS_MEMBER, Some(Offer::write_list(offers)))
    }

    fn change(&self, change: impl FnOnce(&mut Published, i64)) -> Result<(), KeyDocumentError> {
        let mut published = self.lock();
        let mut changed = published.clone();
        let now = (self.shared.options.now)();
        change(&mut changed, now);
        changed.signed = self.sign(&changed, now)?;
        *published = changed;
        Ok(())
    }

    fn signed(&self) -> Signed {
        let mut published = self.lock();
        let now = (self.shared.options.now)();
        let at = published.signed.at;
        let renewed_after = (self.shared.validity_ms - LEAST_LEFT_MS) / 2;
        // A clock that was set back leaves a document that is valid for too long.
        if now < at || now - at >= renewed_after {
            let signed = self.sign(&published, now);
            published.signed = signed.expect("the same was signed when it was set");
        }
        published.signed.clone()
    }

    fn sign(&self, published: &Published, now: i64) -> Result<Signed, KeyDocumentError> {
        sign(
            &self.shared.server_name,
            &published.keys,
            &published.old,
            &published.members,
            now,
            now.saturating_add(self.shared.validity_ms),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        // It is replaced as a whole, so a panic leaves nothing half done.
        let published = self.shared.published.lock();
        published.unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(one: &SigningKey, other: &SigningKey) -> bool {
    one.key_id() == other.key_id() && one.verify_key() == other.verify_key()
}

fn sign(
    server_name: &ServerName,
    keys: &[Arc<SigningKey>],
    old: &BTreeMap<KeyId, OldVerifyKey>,
    members: &BTreeMap<String, Value>,
    at: i64,
    until: i64,
) -> Result<Signed, KeyDocumentError> {
    let mut document = KeyDocument::new(server_name.clone(), until);
    for (id, key) in old {
        document = document.with_old_key(id.clone(), key.clone());
    }
    for (name, value) in members {
        document = document.with_member(name, value.clone());
    }
    let keys: Vec<&SigningKey> = keys.iter().map(Arc::as_ref).collect();
    let text = document.sign(&keys)?;
    let size = text.len();
    let too_large = || KeyDocumentError::TooLarge(size);
    let document = Object::parse(text.clone(), MAX_PUBLISHED_BYTES).map_err(|_| too_large())?;
    let keys = ServerKeys::parse(text).map_err(|_| too_large())?;
    Ok(Signed {
        at,
        document,
        keys: Arc::new(keys),
    })
}

#[async_trait]
impl Keys for PublishedKeys {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = self.document();
        Ok(GetServerKeysReply { document })
    }

    async fn get_server_keys_by_id(
        &self,
        _: &CallContext,
        _: GetServerKeysById,
    ) -> Result<GetServerKeysReply, FederationError> {
        let document = self.document();
        Ok(GetServerKeysReply { document })
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let published = self.lock();
        f.debug_struct("PublishedKeys")
            .field("server_name", &self.shared.server_name)
            .field("keys", &published.keys)
            .field("old", &published.old)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
