//! What an authenticator sees of a connection, and what it remembers of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{super::VerifyKey, SessionCredential};
use crate::ServerName;

/// Bytes of keying material that a session is bound to.
pub const EXPORTER_BYTES: usize = 32;

/// The connection that a call arrived on, as far as a proof can be bound to it. A binding's server puts it into [`CallContext::channel`](crate::call::CallContext::channel).
///
/// Contract:
/// - *one for a connection*: all calls of one connection carry the same channel, and calls of another carry another;
/// - *end to end*: the connection is the one that the peer itself opened. Behind a proxy that ends TLS it is the proxy's, and no session verifies there;
/// - *no early data*: a connection on which TLS took data before the handshake's end (0-RTT) exports nothing, as such data can be replayed.
pub trait Channel: fmt::Debug + Send + Sync + 'static {
    /// Keying material of the connection for this label, without a context (RFC 5705 §4, RFC 8446 §7.5): both ends get the same, no other connection does.
    /// `None` without TLS 1.3, with early data, or when the connection has ended.
    fn exporter(&self, label: &[u8]) -> Option<[u8; EXPORTER_BYTES]>;

    /// Who was proven on this connection: empty when it begins, and kept as long as it lasts.
    fn proofs(&self) -> &ChannelProofs;
}

/// Who was proven on a connection. Its content is an authenticator's business.
#[derive(Default)]
pub struct ChannelProofs(Mutex<Proofs>);

#[derive(Default)]
struct Proofs {
    origins: Origins,
    session: Option<Arc<ProvenSession>>,
}

/// The origins that were proven, by whichever scheme.
#[derive(Clone, Debug, Default)]
enum Origins {
    #[default]
    Nobody,
    One(ServerName),
    /// Requests of several servers came, each signed: this is a proxy's connection.
    Mixed,
}

/// A session whose signature was verified.
pub(super) struct ProvenSession {
    /// As it travels.
    pub(super) value: Box<str>,
    pub(super) credential: SessionCredential,
    /// The key that it was verified with.
    pub(super) key: VerifyKey,
}

/// The connection is another server's, or several servers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherOrigin;

impl ChannelProofs {
    /// The session that was proven, if this is its credential, byte for byte.
    pub(super) fn session(&self, value: &str) -> Option<Arc<ProvenSession>> {
        let proofs = self.lock();
        let session = proofs.session.as_ref();
        session.filter(|session| *session.value == *value).cloned()
    }

    /// Records a session. Its origin is the connection's only one from now on. One that was made before the one that is known replaces nothing.
    ///
    /// # Errors
    /// Another origin was proven here.
    pub(super) fn record_session(&self, session: ProvenSession) -> Result<(), OtherOrigin> {
        let mut proofs = self.lock();
        let origin = &session.credential.origin;
        match &proofs.origins {
            Origins::Nobody => proofs.origins = Origins::One(origin.clone()),
            Origins::One(known) if known == origin => {}
            Origins::One(_) | Origins::Mixed => return Err(OtherOrigin),
        }
        let known = proofs.session.as_ref();
        if known.is_none_or(|known| known.credential.created <= session.credential.created) {
            proofs.session = Some(Arc::new(session));
        }
        Ok(())
    }

    /// Whether a request of this origin may come by X-Matrix: not on a connection that a session made another's.
    ///
    /// # Errors
    /// It is another's.
    pub(super) fn check_request(&self, origin: &ServerName) -> Result<(), OtherOrigin> {
        self.lock().check_request(origin)
    }

    /// Records that a request of this origin was proven by X-Matrix.
    ///
    /// # Errors
    /// As [`check_request`](Self::check_request).
    pub(super) fn record_request(&self, origin: &ServerName) -> Result<(), OtherOrigin> {
        let mut proofs = self.lock();
        proofs.check_request(origin)?;
        match &proofs.origins {
            Origins::Nobody => proofs.origins = Origins::One(origin.clone()),
            Origins::One(known) if known != origin => proofs.origins = Origins::Mixed,
            Origins::One(_) | Origins::Mixed => {}
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Proofs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proofs {
    fn check_request(&self, origin: &ServerName) -> Result<(), OtherOrigin> {
        let session = self.session.as_ref();
        match session.is_some_and(|session| session.credential.origin != *origin) {
            true => Err(OtherOrigin),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for ChannelProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proofs = self.lock();
        f.debug_struct("ChannelProofs")
            .field("origins", &proofs.origins)
            .field("session", &proofs.session.is_some())
            .finish()
    }
}
