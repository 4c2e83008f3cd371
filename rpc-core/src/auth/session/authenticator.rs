//! Judging a session, and X-Matrix beside it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    super::{Authenticator, KeyFault, Origin, XMatrixAuthenticator, now_ms},
    Channel, SESSION_EXPORTER_LABEL, SESSION_REFUSED, SessionCredential, SessionError,
    channel::{OtherOrigin, ProvenSession},
};
use crate::{
    call::{Call, CallContext, Op},
    endpoint::Content,
    error::{CallError, FederationError},
};

/// How an origin was proven, as [`Origin::scheme`] says it.
const SCHEME: &str = "session";

/// Proves origins by sessions, and by X-Matrix where a call brings no session. Whom it lets in, which names are its own and where keys come from, is
/// [`XMatrixAuthenticator`]'s.
///
/// - *Bound*: a credential counts on the connection that it was signed for, as its [`Channel`] exports it. Its signature is verified once; later calls bring the same
///   bytes.
/// - *As long as the key*: each call asks the source of keys whether the key is still that server's, so a key that has expired or was withdrawn ends its sessions.
/// - *One identity*: once a session proved a server, the connection is that server's; and a connection on which requests of another came is nobody's. A proxy that
///   mixes servers on one connection gets no session, and cannot slip a request into one.
/// - *Nothing else changes*: the content of a call is judged as it would be with a signature of its own.
///
/// A session that does not count is answered 401 [`SESSION_REFUSED`]; one that cannot be read, 400 `M_UNAUTHORIZED`; one beside other credentials, likewise.
pub struct SessionAuthenticator {
    x_matrix: XMatrixAuthenticator,
    now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl SessionAuthenticator {
    /// Accepts sessions beside what `x_matrix` accepts. Only for a server that holds its key: what a session proves cannot be passed on.
    pub fn new(x_matrix: XMatrixAuthenticator) -> Self {
        Self {
            x_matrix,
            now: Arc::new(now_ms),
        }
    }

    /// With another clock: milliseconds since the Unix epoch, now.
    #[must_use]
    pub fn with_now(mut self, now: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        self.now = now;
        self
    }

    /// What can be said of a session without a key: that of this value, if it is known on the connection, or as the value says.
    fn claim(
        &self,
        value: &str,
        context: &CallContext,
    ) -> Result<(Arc<dyn Channel>, Claim), FederationError> {
        let channel = context.channel.clone();
        let channel =
            channel.ok_or_else(|| refused("this binding binds no proof to a connection"))?;
        let now = (self.now)();
        let claim = match channel.proofs().session(value) {
            // Nearly every call.
            Some(proven) => {
                let expiry = u64::try_from(now).unwrap_or(0);
                proven.credential.check_expiry(expiry).map_err(at_fault)?;
                Claim::Proven(proven)
            }
            None => {
                let credential = SessionCredential::parse(value).map_err(at_fault)?;
                credential.check_times(now).map_err(at_fault)?;
                Claim::New(credential)
            }
        };
        let destination = &claim.credential().destination;
        if !self.x_matrix.own_names.contains(destination) {
            return Err(refused("the session is with another destination"));
        }
        if context
            .destination
            .as_ref()
            .is_some_and(|addressed| addressed != destination)
        {
            return Err(refused(
                "the session is with another destination than the request was sent to",
            ));
        }
        Ok((channel, claim))
    }

    async fn session(&self, value: &str, call: &mut Call) -> Result<Origin, FederationError> {
        let (channel, claim) = self.claim(value, call.context())?;
        let credential = claim.credential();
        let (origin, destination) = (credential.origin.clone(), credential.destination.clone());
        let key = self.x_matrix.keys.request_key(&origin, &credential.key);
        let key = key.await.map_err(|fault| {
            let why = format!("key {} of {origin}: {fault}", credential.key);
            match fault {
                KeyFault::Unknown | KeyFault::Expired => refused(&why),
                // A hiccup on this side, which an X-Matrix signature would meet as well: the session stays what it is.
                KeyFault::Unreachable(_) => FederationError::unauthorized(why),
            }
        })?;
        match claim {
            Claim::Proven(proven) if proven.key == key => {}
            Claim::Proven(_) => {
                return Err(refused("the key that proved the session is another now"));
            }
            Claim::New(credential) => {
                let exporter = channel.exporter(SESSION_EXPORTER_LABEL);
                let exporter = exporter.ok_or_else(|| {
                    refused("the connection has no keying material: TLS 1.3 without early data has")
                })?;
                if !credential.verify(&key, &exporter) {
                    return Err(refused(&format!(
                        "the session's signature of {origin} with key {} is wrong for this connection",
                        credential.key
                    )));
                }
                self.x_matrix.check_allowed(&origin)?;
                let value = value.into();
                let proven = ProvenSession {
                    value,
                    credential,
                    key,
                };
                let recorded = channel.proofs().record_session(proven);
                recorded.map_err(|OtherOrigin| {
                    refused("another server was proven on this connection")
                })?;
            }
        }
        // Another authenticator may have proven it, on the same connection.
        self.x_matrix.check_allowed(&origin)?;
        check_content(call)?;
        call.context_mut().destination = Some(destination);
        Ok(Origin::proven(origin, SCHEME))
    }
}

/// A session as it was proven, or as a call says.
enum Claim {
    Proven(Arc<ProvenSession>),
    New(SessionCredential),
}

impl Claim {
    fn credential(&self) -> &SessionCredential {
        match self {
            Self::Proven(proven) => &proven.credential,
            Self::New(credential) => credential,
        }
    }
}

#[async_trait]
impl Authenticator for SessionAuthenticator {
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError> {
        if let Some(value) = session_of(call.context())? {
            let value = value.to_owned();
            return self.session(&value, call).await;
        }
        let origin = self.x_matrix.authenticate(call).await?;
        if let Some(channel) = &call.context().channel {
            let recorded = channel.proofs().record_request(origin.server_name());
            recorded.map_err(|OtherOrigin| mixed())?;
        }
        Ok(origin)
    }

    fn screen(&self, _: Op, context: &CallContext) -> Result<(), FederationError> {
        if let Some(value) = session_of(context)? {
            return self.claim(value, context).map(drop);
        }
        let (credentials, _) = self.x_matrix.claims(context)?;
        match &context.channel {
            None => Ok(()),
            Some(channel) => {
                let checked = channel.proofs().check_request(credentials.origin());
                checked.map_err(|OtherOrigin| mixed())
            }
        }
    }
}

impl fmt::Debug for SessionAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionAuthenticator")
            .field("x_matrix", &self.x_matrix)
            .finish_non_exhaustive()
    }
}

/// The call's one credential, if it is a session's.
fn session_of(context: &CallContext) -> Result<Option<&str>, FederationError> {
    let mut values = context.credentials.iter();
    let sessions = || {
        context
            .credentials
            .iter()
            .filter(|it| SessionCredential::is_one(it))
    };
    match (values.next(), values.next()) {
        (Some(only), None) => Ok(SessionCredential::is_one(only).then_some(only)),
        _ if sessions().next().is_none() => Ok(None),
        // Which of two would say who called?
        _ => Err(FederationError::malformed_credentials(
            "a session stands beside other credentials",
        )),
    }
}

/// X-Matrix signs JSON alone, and so what is called with a proof has no other content. A session proves no more calls than X-Matrix does.
fn check_content(call: &mut Call) -> Result<(), FederationError> {
    match call.make_form() {
        Ok(form) => match form.content() {
            Content::Absent | Content::Json(_) => Ok(()),
            Content::Opaque { .. } => Err(FederationError::unauthorized(
                "a session proves calls with JSON content only",
            )),
        },
        Err(CallError::Federation(error)) => Err(error),
        Err(CallError::Transport(error)) => Err(FederationError::internal(error.to_string())),
    }
}

fn at_fault(error: SessionError) -> FederationError {
    match error.is_malformed() {
        true => FederationError::malformed_credentials(error.to_string()),
        false => refused(&error.to_string()),
    }
}

fn refused(why: &str) -> FederationError {
    FederationError::new(401, SESSION_REFUSED, why)
}

/// Not the session's fault, so not its errcode: another proof would not help.
fn mixed() -> FederationError {
    FederationError::unauthorized("the connection is another server's, which a session proved")
}
