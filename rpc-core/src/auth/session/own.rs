//! The session that this side proves itself by.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{KeyId, OwnProof, Signer, VerifyKey, now_ms},
    Channel, MAX_SESSION_LIFETIME, SESSION_EXPORTER_LABEL, SESSION_REFUSED, SessionCredential,
    credential::milliseconds,
};
use crate::{
    ServerName,
    call::CallContext,
    error::{Delivery, FederationError, TransportError, TransportErrorKind},
};

/// Whether calls prove their origin by a session of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionUse {
    /// No: each is signed.
    #[default]
    Off,
    /// Where the connection can, and its other end has not refused; else each is signed.
    On,
    /// Or they fail: no call that needs a proof goes by a binding that has no sessions, or by a connection that has none, whoever said so.
    Required,
}

/// How this side makes sessions.
#[derive(Clone)]
#[non_exhaustive]
pub struct SessionOptions {
    /// For calls of which neither the operator nor the caller says anything. With [`SessionUse::Off`], calls to a destination whose signed offer has sessions are
    /// [`SessionUse::On`]. [`SessionUse::Required`] holds for every binding of a [`Select`](crate::transport::Select) that has this one, as [`Policy::sessions`](crate::transport::Policy::sessions) does.
    pub usually: SessionUse,
    /// From a credential's creation to its expiry: at most [`MAX_SESSION_LIFETIME`]. It is made anew after three quarters of it, and when the server signs by another key.
    pub lifetime: Duration,
    /// For how long a connection on which a session was refused is used without one.
    pub pause: Duration,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            usually: SessionUse::Off,
            lifetime: MAX_SESSION_LIFETIME,
            pause: Duration::from_secs(600),
            now: Arc::new(now_ms),
        }
    }
}

impl SessionOptions {
    /// Whether this call goes by a session: as the operator says of its destination, else the caller, else as [usual](Self::usually). What the destination offers switches
    /// sessions on where all are silent; it replaces no [`SessionUse::Required`] and no `Off` that was said.
    pub fn use_for(&self, context: &CallContext) -> SessionUse {
        context.sessions.unwrap_or(match self.usually {
            SessionUse::Off if context.sessions_offered => SessionUse::On,
            usually => usually,
        })
    }

    /// Uses sessions with every destination of which nothing else is said, or fails without.
    #[must_use]
    pub fn with_usually(mut self, usually: SessionUse) -> Self {
        self.usually = usually;
        self
    }

    /// Makes sessions for a shorter time.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Tries again after this time on a connection on which a session was refused.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// With another clock.
    #[must_use]
    pub fn with_now(mut self, now: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        self.now = now;
        self
    }
}

impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions")
            .field("usually", &self.usually)
            .field("lifetime", &self.lifetime)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}

/// The session of one connection that this side opened: kept beside the connection by the binding, empty at first.
#[derive(Debug, Default)]
pub struct OwnSession(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    made: Option<Made>,
    /// No session until then.
    paused: Option<Instant>,
    /// A call that carried a session got its reply. An error says nothing: it may come before anyone looked at the credential.
    has_worked: bool,
}

struct Made {
    value: Bytes,
    origin: ServerName,
    destination: ServerName,
    key: (KeyId, VerifyKey),
    created: i64,
    expires: i64,
    renewed_at: i64,
}

impl OwnSession {
    /// The credential for a call from the signer to `destination` on this connection: made once, and again when it grows old or the signer has another key. `None` if the
    /// connection has no keying material, or a session was refused on it.
    ///
    /// # Errors
    /// Another server's session was made on the connection, which is that server's now: nothing was sent.
    pub fn credential(
        &self,
        channel: &dyn Channel,
        signer: &Signer,
        destination: &ServerName,
        options: &SessionOptions,
    ) -> Result<Option<Bytes>, TransportError> {
        let mut state = self.lock();
        let is_paused = state.paused.is_some_and(|until| Instant::now() < until);
        if let Some(made) = &state.made
            && made.origin != *signer.origin()
            && (state.has_worked || !is_paused)
        {
            return Err(TransportError::new(
                TransportErrorKind::Unsupported,
                Delivery::NotSent,
                format!(
                    "the connection proved to be {}'s, not {}'s: servers that use sessions share no connections, so each has a pool of its own",
                    made.origin,
                    signer.origin()
                ),
            ));
        }
        if is_paused {
            return Ok(None);
        }
        let now = (options.now)();
        let key = signer.signing_key();
        let public = (key.key_id(), key.verify_key());
        if let Some(made) = &state.made
            && made.destination == *destination
            && (&made.key.0, made.key.1.clone()) == public
            && (made.created..made.renewed_at).contains(&now)
        {
            return Ok(Some(made.value.clone()));
        }
        let Some(exporter) = channel.exporter(SESSION_EXPORTER_LABEL) else {
            return Ok(None);
        };
        let created = u64::try_from(now).unwrap_or(0);
        let lifetime = milliseconds(options.lifetime.min(MAX_SESSION_LIFETIME));
        let credential = SessionCredential::sign(
            signer.origin().clone(),
            destination.clone(),
            &key,
            &exporter,
            created,
            created.saturating_add(lifetime),
        );
        let value = Bytes::from(credential.to_header());
        let age = i64::try_from(lifetime / 4 * 3).unwrap_or(i64::MAX);
        state.made = Some(Made {
            value: value.clone(),
            origin: credential.origin,
            destination: credential.destination,
            key: (credential.key, key.verify_key()),
            created: now,
            expires: now.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX)),
            renewed_at: now.saturating_add(age),
        });
        Ok(Some(value))
    }

    /// What the last [credential](Self::credential) says, for whoever wants to know how a call was proven.
    pub fn proof(&self) -> Option<OwnProof> {
        let state = self.lock();
        state.made.as_ref().map(|made| OwnProof::Session {
            key: made.key.0.clone(),
            created: made.created,
            expires: made.expires,
        })
    }

    /// Whether an error refuses no more than the session of the call that it answers. Then the connection goes without one for a while, and nothing was done: the same
    /// call may be sent with X-Matrix.
    ///
    /// A server that knows nothing of sessions, or a gateway, answers as if no credential had come: 401 `M_UNAUTHORIZED`. That says so only as long as no session has
    /// worked ([`note_worked`](Self::note_worked)), and not to a call that may go by nothing else: nothing is won there by guessing, and a handler's own 401 would take the
    /// session from the calls behind it. `used` is what the call was put on the session for. Other errors say nothing of the session, as routing and admission answer
    /// before anyone judges it.
    pub fn is_refusal(
        &self,
        error: &FederationError,
        used: SessionUse,
        options: &SessionOptions,
    ) -> bool {
        let mut state = self.lock();
        let may_guess = !state.has_worked && used != SessionUse::Required;
        let refused = match error.errcode() {
            Some(SESSION_REFUSED) => true,
            Some("M_UNAUTHORIZED") => may_guess && error.http_status() == 401,
            _ => false,
        };
        if !refused {
            return false;
        }
        state.paused = Some(Instant::now() + options.pause);
        if let Some(made) = &mut state.made {
            // The next one is made anew.
            made.renewed_at = made.created;
        }
        true
    }

    /// A call that carried the credential got its reply, not an error: the other end accepts sessions.
    pub fn note_worked(&self) {
        self.lock().has_worked = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made")
            .field("origin", &self.origin)
            .field("destination", &self.destination)
            .field("key", &self.key.0)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
