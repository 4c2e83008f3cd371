//! Who proves an origin, and what a proof is.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    KeyFault, KeySource, PreparedKeys, SignedRequest, VerifyKey, XMatrix, XMatrixCredentials,
};
use crate::{
    ServerName,
    call::{Authentication, Call, CallContext, Op, Reply},
    endpoint::{Content, EndpointForm},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};

/// A server's name, proven. It is made by an [`Authenticator`] of this crate, or by a constructor that says what it is.
///
/// ```compile_fail
/// let name = "a.example".parse::<comity_core::ServerName>().unwrap();
/// let forged = comity_core::auth::Origin { name, scheme: "X-Matrix" };
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    name: ServerName,
    scheme: &'static str,
}

impl Origin {
    pub(super) fn proven(name: ServerName, scheme: &'static str) -> Self {
        Self { name, scheme }
    }

    /// An origin that the caller vouches for: for an [`Authenticator`] outside this crate, which has checked a proof, and for tests.
    /// Called without a proof it opens the server to impersonation.
    pub fn danger_assume_proven(name: ServerName, scheme: &'static str) -> Self {
        Self::proven(name, scheme)
    }

    /// The server.
    pub fn server_name(&self) -> &ServerName {
        &self.name
    }

    /// How it was proven: `X-Matrix`, `session`, or a third party's own.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.name, self.scheme)
    }
}

/// Proves a call's origin from what travels with it.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Proves the origin of a call.
    ///
    /// # Errors
    /// 401 `M_UNAUTHORIZED` without a valid proof, 400 `M_UNAUTHORIZED` for a malformed one, 403 `M_FORBIDDEN` for a
    /// server that is not let in (the statuses of X-Matrix; another scheme keeps to them).
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError>;

    /// Whether what stands beside a request can be a proof at all. A binding's server that was given the authenticator asks before it reads the
    /// content of a call that needs one, so that nobody who proves nothing has it read. What passes here is still to be authenticated.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate), for what can be said without the content and without a key.
    fn screen(&self, op: Op, context: &CallContext) -> Result<(), FederationError> {
        let _ = (op, context);
        Ok(())
    }
}

/// Proves origins by X-Matrix request signatures (SS "Request Authentication").
#[derive(Debug)]
pub struct XMatrixAuthenticator {
    pub(super) own_names: BTreeSet<ServerName>,
    pub(super) keys: Arc<dyn KeySource>,
    prepared: Arc<PreparedKeys>,
    allowed: Option<BTreeSet<ServerName>>,
}

impl XMatrixAuthenticator {
    /// Accepts requests for the server `own_name`, signed by keys that `keys` knows. Those that are used often are prepared where
    /// [the source says](KeySource::prepared_keys).
    pub fn new(own_name: ServerName, keys: Arc<dyn KeySource>) -> Self {
        let prepared = keys.prepared_keys();
        Self::with_prepared_keys(own_name, keys, prepared)
    }

    /// Likewise, and has them prepared there: shared with another, or with another limit.
    pub fn with_prepared_keys(
        own_name: ServerName,
        keys: Arc<dyn KeySource>,
        prepared: Arc<PreparedKeys>,
    ) -> Self {
        Self {
            own_names: BTreeSet::from([own_name]),
            keys,
            prepared,
            allowed: None,
        }
    }

    /// Answers to another name as well.
    #[must_use]
    pub fn with_own_name(mut self, name: ServerName) -> Self {
        self.own_names.insert(name);
        self
    }

    /// Lets in these servers only; the others are answered 403.
    #[must_use]
    pub fn with_allowed(mut self, servers: impl IntoIterator<Item = ServerName>) -> Self {
        self.allowed = Some(servers.into_iter().collect());
        self
    }

    /// What the credentials say, and the one of our names that they are for.
    pub(super) fn claims<'a>(
        &self,
        context: &'a CallContext,
    ) -> Result<(&'a XMatrixCredentials, ServerName), FederationError> {
        let credentials = context.credentials.x_matrix().map_err(|error| {
            if error.is_missing() {
                FederationError::unauthorized(error.to_string())
            } else {
                FederationError::malformed_credentials(error.to_string())
            }
        })?;
        let addressed = context.destination.as_ref();
        let destination = self.destination(credentials.as_slice(), addressed)?;
        if addressed.is_some_and(|addressed| *addressed != destination) {
            return Err(FederationError::unauthorized(
                "the request is signed for another destination than it was sent to",
            ));
        }
        Ok((credentials, destination))
    }

    /// Whether a server whose proof holds is let in.
    pub(super) fn check_allowed(&self, origin: &ServerName) -> Result<(), FederationError> {
        match &self.allowed {
            Some(allowed) if !allowed.contains(origin) => Err(FederationError::forbidden(format!(
                "{origin} is not let in"
            ))),
            _ => Ok(()),
        }
    }

    /// The one of our names that the request was signed for. Senders before v1.3 leave it out of the header and sign it all the same: then it is the name
    /// that the wire says it is sent to, if that is ours.
    fn destination(
        &self,
        credentials: &[XMatrix],
        addressed: Option<&ServerName>,
    ) -> Result<ServerName, FederationError> {
        let mut named = credentials
            .iter()
            .filter_map(|one| one.destination.as_deref());
        let own = |name: &str| self.own_names.iter().find(|own| own.as_str() == name);
        let Some(first) = named.next() else {
            let addressed = addressed.filter(|name| self.own_names.contains(*name));
            let name = addressed.or(self.own_names.first());
            return Ok(name.expect("made with one").clone());
        };
        match (own(first), named.all(|other| other == first)) {
            (Some(own), true) => Ok(own.clone()),
            _ => Err(FederationError::unauthorized(
                "the request is signed for another destination",
            )),
        }
    }

    fn verify(
        &self,
        credential: &XMatrix,
        key: &VerifyKey,
        origin: &ServerName,
        destination: &str,
        form: &EndpointForm,
    ) -> Result<bool, FederationError> {
        let content = match form.content() {
            Content::Absent => None,
            Content::Json(object) => Some(&object.text()[..]),
            Content::Opaque { .. } => {
                return Err(FederationError::unauthorized(
                    "X-Matrix can sign JSON content only",
                ));
            }
        };
        let signed = SignedRequest {
            method: form.method(),
            uri: form.target(),
            origin,
            destination,
            content,
        };
        // A sender in use sends no body for an empty object and signs the object all the same.
        Ok(if content.is_none() && form.method() != "GET" {
            signed.verify_empty_body_by(&self.prepared, key, &credential.signature)
        } else {
            signed.verify_by(&self.prepared, key, &credential.signature)
        })
    }
}

#[async_trait]
impl Authenticator for XMatrixAuthenticator {
    async fn authenticate(&self, call: &mut Call) -> Result<Origin, FederationError> {
        if call.form().is_none() {
            self.claims(call.context())?;
            match call.make_form() {
                Ok(_) => {}
                Err(CallError::Federation(error)) => return Err(error),
                Err(CallError::Transport(error)) => {
                    return Err(FederationError::internal(error.to_string()));
                }
            }
        }
        let (credentials, destination) = self.claims(call.context())?;
        let origin = credentials.origin().clone();
        let credentials = credentials.as_slice();
        let form = call.form().expect("it was made");
        let mut valid = 0;
        let mut fault = None;
        for credential in credentials {
            match self.keys.request_key(&origin, &credential.key).await {
                Ok(key) => {
                    let destination = destination.as_str();
                    if !self.verify(credential, &key, &origin, destination, form)? {
                        return Err(FederationError::unauthorized(format!(
                            "the signature of {origin} with key {} is wrong",
                            credential.key
                        )));
                    }
                    valid += 1;
                }
                Err(why) => fault = Some((credential, why)),
            }
        }
        if valid == 0 {
            let (credential, why) = fault.expect("no credential was valid, so one failed");
            return Err(FederationError::unauthorized(format!(
                "key {} of {origin}: {why}",
                credential.key
            )));
        }
        self.check_allowed(&origin)?;
        call.context_mut().destination = Some(destination);
        Ok(Origin::proven(origin, "X-Matrix"))
    }

    fn screen(&self, _: Op, context: &CallContext) -> Result<(), FederationError> {
        self.claims(context).map(drop)
    }
}

/// The layer that verifies: what comes behind it sees a proven origin where the row asks for one.
#[derive(Debug)]
pub struct Verify {
    authenticator: Arc<dyn Authenticator>,
}

impl Verify {
    /// Verifies by `authenticator`. A credential on an operation that needs none is ignored.
    pub fn layer(authenticator: Arc<dyn Authenticator>) -> AroundLayer<Self> {
        around(Self { authenticator })
    }
}

impl Around for Verify {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        if call.spec().authentication == Authentication::Server {
            let origin = self.authenticator.authenticate(&mut call).await?;
            call.context_mut().set_proof(origin);
        }
        inner.call(call).await
    }
}

/// What a key source says when it has no key for a request.
pub(super) fn describe(fault: &KeyFault) -> &'static str {
    match fault {
        KeyFault::Unknown => "the server does not publish it",
        KeyFault::Expired => "it has expired",
        KeyFault::Unreachable(_) => "the server's keys cannot be had",
    }
}
