//! How a call proves its origin: by the credentials that came with it, by a session of the connection that it goes by, or by a signature of its own.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use comity_core::{
    ServerName,
    auth::{OwnProof, OwnSession, SessionOptions, SessionUse, Signer},
    call::CallContext,
    endpoint::EndpointForm,
    error::{FederationError, TransportError},
};
use comity_net::ConnectionInfo;
use http::{HeaderValue, header::AUTHORIZATION, request::Parts};

use crate::{BINDING, metadata};

/// The proof of one call, over all attempts to send it.
pub(crate) struct Proof<'a> {
    /// None: it came with its credentials, or needs none.
    own: Option<Own<'a>>,
}

struct Own<'a> {
    context: &'a CallContext,
    signer: &'a Signer,
    destination: &'a ServerName,
    form: &'a EndpointForm,
    sessions: Option<(&'a SessionOptions, SessionUse)>,
    signature: OnceLock<HeaderValue>,
    attempt: Mutex<Attempt>,
}

#[derive(Default)]
struct Attempt {
    /// The session that the call was put on.
    session: Option<Arc<OwnSession>>,
    /// A session was refused: this call goes without.
    goes_without: bool,
}

impl<'a> Proof<'a> {
    pub(crate) fn new(
        context: &'a CallContext,
        destination: &'a ServerName,
        form: &'a EndpointForm,
        options: Option<&'a SessionOptions>,
    ) -> Self {
        let own = context.signer().map(|signer| Own {
            context,
            signer,
            destination,
            form,
            sessions: options.map(|options| (options, options.use_for(context))),
            signature: OnceLock::new(),
            attempt: Mutex::default(),
        });
        Self { own }
    }

    /// Writes the proof for this connection.
    ///
    /// # Errors
    /// There is none that may be sent: nothing was.
    pub(crate) fn write(
        &self,
        connection: &Arc<ConnectionInfo>,
        head: &mut Parts,
    ) -> Result<(), TransportError> {
        match &self.own {
            Some(own) => own.write(connection, head),
            None => Ok(()),
        }
    }

    /// Whether an answer refuses no more than the session that the call was put on: then it can be sent again, and goes without.
    pub(crate) fn is_refused(&self, error: &FederationError) -> bool {
        let Some(own) = &self.own else { return false };
        let mut attempt = own.attempt();
        let (Some(session), Some((options, sessions))) = (attempt.session.take(), own.sessions)
        else {
            return false;
        };
        attempt.goes_without = session.is_refusal(error, sessions, options);
        attempt.goes_without && sessions != SessionUse::Required
    }

    /// A reply came.
    pub(crate) fn worked(&self) {
        let own = self.own.as_ref();
        if let Some(session) = own.and_then(|own| own.attempt().session.take()) {
            session.note_worked();
        }
    }
}

impl Own<'_> {
    fn write(
        &self,
        connection: &Arc<ConnectionInfo>,
        head: &mut Parts,
    ) -> Result<(), TransportError> {
        let mut attempt = self.attempt();
        // The head may have been prepared for another connection before.
        head.headers.remove(metadata::SESSION);
        head.headers.remove(AUTHORIZATION);
        attempt.session = None;
        if let Some((options, SessionUse::On | SessionUse::Required)) = self.sessions
            && !attempt.goes_without
        {
            let session = connection.state_or_insert_with(OwnSession::default);
            let credential =
                session.credential(&**connection, self.signer, self.destination, options)?;
            if let Some(credential) = credential {
                // It is worth nothing on another connection, so HPACK may remember it, and a call costs a byte or two for it.
                let value = HeaderValue::from_maybe_shared(credential);
                let value = value.expect("a credential is visible ASCII");
                head.headers.insert(metadata::SESSION, value);
                self.context.note_proof(|| session.proof());
                attempt.session = Some(session);
                return Ok(());
            }
        }
        if let Some((options, _)) = self.sessions {
            let why = format_args!(
                "and this connection has none: it has no TLS 1.3, or {} refused one on it",
                self.destination
            );
            if let Some(error) = options.refusal(self.context, BINDING, why) {
                return Err(error);
            }
        }
        let signature = match self.signature.get() {
            Some(signature) => signature.clone(),
            None => {
                let header = self.signer.x_matrix(self.destination, self.form)?;
                let signature = metadata::secret("the signature", &header)?;
                self.signature.get_or_init(|| signature).clone()
            }
        };
        head.headers.insert(AUTHORIZATION, signature);
        let wanted = matches!(self.sessions, Some((_, SessionUse::On)));
        self.context.note_proof(|| {
            Some(OwnProof::XMatrix {
                key: self.signer.key_id(),
                instead_of_session: wanted,
            })
        });
        Ok(())
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
