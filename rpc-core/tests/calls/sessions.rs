//! Judging sessions: what counts as one, for how long, and who else may come on its connection. The channel is made up; real ones are the bindings' tests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use crate::homeserver::{key, name};
use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    ServerName,
    api::GetMissingEvents,
    auth::{
        Authenticator, Channel, ChannelProofs, EXPORTER_BYTES, KeyFault, KeyId, KeySource,
        SESSION_EXPORTER_LABEL, SESSION_REFUSED, SessionAuthenticator, SessionCredential,
        SignedRequest, VerifyKey, XMatrixAuthenticator,
    },
    call::{Call, Credentials, operation},
    endpoint::{Content, EndpointForm, EndpointParts, PathTemplate},
    error::FederationError,
};

pub const START: i64 = 1_763_000_000_000;
pub const HOUR: i64 = 3_600_000;

/// A connection whose keying material is one byte over and over, or none.
#[derive(Debug, Default)]
pub struct Wire {
    material: Option<u8>,
    proofs: ChannelProofs,
    pub exported: AtomicUsize,
}

impl Wire {
    pub fn new(material: u8) -> Arc<Self> {
        Arc::new(Self {
            material: Some(material),
            ..Self::default()
        })
    }
}

impl Channel for Wire {
    fn exporter(&self, label: &[u8]) -> Option<[u8; EXPORTER_BYTES]> {
        assert_eq!(label, SESSION_EXPORTER_LABEL);
        self.exported.fetch_add(1, Ordering::SeqCst);
        Some([self.material?; EXPORTER_BYTES])
    }

    fn proofs(&self) -> &ChannelProofs {
        &self.proofs
    }
}

/// Keys of `a.example` (seed 1) and `c.example` (seed 3), until they are withdrawn or replaced.
#[derive(Debug)]
struct Keys(Mutex<Result<u8, KeyFault>>);

#[async_trait]
impl KeySource for Keys {
    async fn request_key(&self, server: &ServerName, id: &KeyId) -> Result<VerifyKey, KeyFault> {
        let seed = self.0.lock().unwrap().clone()?;
        match (server.as_str(), id.as_str()) {
            ("a.example", "ed25519:1") => Ok(key(seed).verify_key()),
            ("c.example", "ed25519:1") => Ok(key(3).verify_key()),
            _ => Err(KeyFault::Unknown),
        }
    }
}

struct Setting {
    authenticator: SessionAuthenticator,
    keys: Arc<Keys>,
    clock: Arc<AtomicI64>,
}

impl Setting {
    fn new() -> Self {
        Self::with(|it| it)
    }

    fn with(change: impl FnOnce(XMatrixAuthenticator) -> XMatrixAuthenticator) -> Self {
        let keys = Arc::new(Keys(Mutex::new(Ok(1))));
        let clock = Arc::new(AtomicI64::new(START));
        let x_matrix = XMatrixAuthenticator::new(name("b.example"), keys.clone());
        let now = clock.clone();
        Self {
            authenticator: SessionAuthenticator::new(change(x_matrix))
                .with_now(Arc::new(move || now.load(Ordering::SeqCst))),
            keys,
            clock,
        }
    }

    async fn judge(&self, wire: &Arc<Wire>, credentials: &[&str]) -> Verdict {
        self.judge_call(call(Some(wire.clone()), credentials)).await
    }

    /// What screening and authenticating come to: where the first refuses, so does the second, in the same words.
    async fn judge_call(&self, mut call: Call) -> Verdict {
        let screened = self
            .authenticator
            .screen(operation::<GetMissingEvents>(), call.context());
        let judged = self.authenticator.authenticate(&mut call).await;
        if let Err(error) = screened {
            let judged = judged.clone().map(|_| String::new());
            assert_eq!(verdict(Err(error)), verdict(judged));
        }
        if judged.is_ok() {
            assert_eq!(call.context().destination, Some(name("b.example")));
        }
        verdict(judged.map(|origin| format!("{origin:?}")))
    }
}

type Verdict = Result<String, (u16, String, String)>;

fn verdict(judged: Result<String, FederationError>) -> Verdict {
    judged.map_err(|error| {
        let errcode = error.errcode().unwrap_or_default().to_owned();
        (error.http_status(), errcode, error.message().to_owned())
    })
}

pub fn call(channel: Option<Arc<dyn Channel>>, credentials: &[&str]) -> Call {
    let request = GetMissingEvents {
        room_id: "!r".to_owned(),
        ..Default::default()
    };
    let mut call = Call::new(name("b.example"), request);
    call.make_form().unwrap();
    let context = call.context_mut();
    context.channel = channel;
    let values = credentials.iter().map(|it| (*it).to_owned()).collect();
    context.credentials = Credentials::new(values);
    call
}

pub fn session_of(origin: &str, seed: u8, material: u8, from: i64, to: i64) -> String {
    SessionCredential::sign(
        name(origin),
        name("b.example"),
        &key(seed),
        &[material; EXPORTER_BYTES],
        u64::try_from(START + from).unwrap(),
        u64::try_from(START + to).unwrap(),
    )
    .to_header()
}

/// A session of `a.example` with `b.example` on the wire of this material.
pub fn session(material: u8) -> String {
    session_of("a.example", 1, material, 0, HOUR)
}

pub fn x_matrix(origin: &str, seed: u8) -> String {
    SignedRequest {
        method: "POST",
        uri: "/_matrix/federation/v1/get_missing_events/%21r",
        origin: &name(origin),
        destination: "b.example",
        content: Some(br#"{"earliest_events":[],"latest_events":[]}"#),
    }
    .sign(&key(seed))
    .to_header()
}

fn is_by(verdict: &Verdict, origin: &str, scheme: &str) {
    assert_eq!(verdict.as_deref(), Ok(&*format!("{origin} (by {scheme})")));
}

#[track_caller]
fn is_refused(verdict: &Verdict, why: &str) {
    let (status, errcode, message) = verdict.as_ref().unwrap_err();
    assert_eq!((*status, &**errcode), (401, SESSION_REFUSED), "{message}");
    assert!(message.contains(why), "{message}");
}

#[tokio::test]
async fn a_session_is_verified_once_and_proves_every_call_of_its_connection() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    for _ in 0..3 {
        is_by(
            &setting.judge(&wire, &[&session(7)]).await,
            "a.example",
            "session",
        );
    }
    assert_eq!(wire.exported.load(Ordering::SeqCst), 1);
    // Its own requests may be signed one by one beside it.
    is_by(
        &setting.judge(&wire, &[&x_matrix("a.example", 1)]).await,
        "a.example",
        "X-Matrix",
    );
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );
}

#[tokio::test]
async fn a_session_counts_on_its_own_connection_alone() {
    let setting = Setting::new();
    is_by(
        &setting.judge(&Wire::new(7), &[&session(7)]).await,
        "a.example",
        "session",
    );
    is_refused(
        &setting.judge(&Wire::new(8), &[&session(7)]).await,
        "wrong for this connection",
    );
}

#[tokio::test]
async fn without_keying_material_or_a_channel_there_is_no_session() {
    let setting = Setting::new();
    let dumb = Arc::new(Wire::default());
    is_refused(
        &setting.judge(&dumb, &[&session(7)]).await,
        "no keying material",
    );
    is_refused(
        &setting.judge_call(call(None, &[&session(7)])).await,
        "binds no proof",
    );
}

#[tokio::test]
async fn a_session_with_another_destination_is_refused() {
    let setting = Setting::with(|it| it.with_own_name(name("d.example")));
    let with = |destination: &str| {
        let key = key(1);
        let (created, expires) = (START as u64, (START + HOUR) as u64);
        SessionCredential::sign(
            name("a.example"),
            name(destination),
            &key,
            &[7; EXPORTER_BYTES],
            created,
            expires,
        )
        .to_header()
    };
    is_refused(
        &setting.judge(&Wire::new(7), &[&with("c.example")]).await,
        "another destination",
    );
    // One of our names, and not the one that is addressed: also when the session is known.
    let wire = Wire::new(7);
    is_refused(
        &setting.judge(&wire, &[&with("d.example")]).await,
        "was sent to",
    );
    let mut other = call(Some(wire.clone()), &[&with("d.example")]);
    other.context_mut().destination = Some(name("d.example"));
    assert!(setting.authenticator.authenticate(&mut other).await.is_ok());
    is_refused(
        &setting.judge(&wire, &[&with("d.example")]).await,
        "was sent to",
    );
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );
    setting.clock.store(START + HOUR, Ordering::SeqCst);
    is_refused(&setting.judge(&wire, &[&session(7)]).await, "expired");
    // A new one takes its place.
    let next = session_of("a.example", 1, 7, HOUR, 2 * HOUR);
    is_by(
        &setting.judge(&wire, &[&next]).await,
        "a.example",
        "session",
    );
    for (from, to, why) in [
        (HOUR, 2 * HOUR + 1, "at most"),
        (HOUR + 60_001, 2 * HOUR, "future"),
        (HOUR + 1, HOUR, "longer than not at all"),
        (0, HOUR, "expired"),
    ] {
        let bad = session_of("a.example", 1, 9, from, to);
        is_refused(&setting.judge(&Wire::new(9), &[&bad]).await, why);
    }
}

#[tokio::test]
async fn a_session_ends_when_its_key_is_withdrawn_expires_or_is_replaced() {
    for (now, why) in [
        (Err(KeyFault::Unknown), "does not publish it"),
        (Err(KeyFault::Expired), "expired"),
        (Ok(5), "another now"),
    ] {
        let (setting, wire) = (Setting::new(), Wire::new(7));
        is_by(
            &setting.judge(&wire, &[&session(7)]).await,
            "a.example",
            "session",
        );
        *setting.keys.0.lock().unwrap() = now;
        is_refused(&setting.judge(&wire, &[&session(7)]).await, why);
        // Signed by the key of now, there is a new one.
        *setting.keys.0.lock().unwrap() = Ok(5);
        let next = session_of("a.example", 5, 7, 1, HOUR);
        is_by(
            &setting.judge(&wire, &[&next]).await,
            "a.example",
            "session",
        );
    }
}

/// X-Matrix's words, so that the other end goes on with its session.
#[tokio::test]
async fn while_a_key_cannot_be_had_a_session_is_neither_accepted_nor_refused() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    let session = session(7);
    let is_proven = async || {
        let verdict = setting.judge(&wire, &[&session]).await;
        is_by(&verdict, "a.example", "session");
    };
    is_proven().await;
    *setting.keys.0.lock().unwrap() = Err(KeyFault::Unreachable("no route".into()));
    let (status, errcode, message) = setting.judge(&wire, &[&session]).await.unwrap_err();
    assert_eq!((status, &*errcode), (401, "M_UNAUTHORIZED"), "{message}");
    assert!(message.contains("cannot be had (no route)"), "{message}");
    *setting.keys.0.lock().unwrap() = Ok(1);
    is_proven().await;
}

#[tokio::test]
async fn a_late_call_with_the_session_before_a_renewal_counts_and_replaces_nothing() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    let (old, new) = (session(7), session_of("a.example", 1, 7, 1, HOUR));
    for value in [&old, &new, &old, &new, &new] {
        is_by(
            &setting.judge(&wire, &[value]).await,
            "a.example",
            "session",
        );
    }
    // The old one was verified again, the new one was not.
    assert_eq!(wire.exported.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_has_one_identity() {
    let setting = Setting::new();
    let (a, c) = (x_matrix("a.example", 1), x_matrix("c.example", 3));
    let of_c = session_of("c.example", 3, 7, 0, HOUR);

    // After a session, nobody else.
    let wire = Wire::new(7);
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );
    is_refused(&setting.judge(&wire, &[&of_c]).await, "another server");
    let (status, errcode, _) = setting.judge(&wire, &[&c]).await.unwrap_err();
    assert_eq!((status, &*errcode), (401, "M_UNAUTHORIZED"));
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );

    // After a request of another, no session, and signed requests as before.
    let wire = Wire::new(7);
    is_by(&setting.judge(&wire, &[&c]).await, "c.example", "X-Matrix");
    is_refused(
        &setting.judge(&wire, &[&session(7)]).await,
        "another server",
    );
    is_by(&setting.judge(&wire, &[&a]).await, "a.example", "X-Matrix");
    // Of several now: none of them gets one.
    is_refused(
        &setting.judge(&wire, &[&session(7)]).await,
        "another server",
    );
    is_refused(&setting.judge(&wire, &[&of_c]).await, "another server");
    is_by(&setting.judge(&wire, &[&c]).await, "c.example", "X-Matrix");

    // Its own requests before it do no harm.
    let wire = Wire::new(7);
    is_by(&setting.judge(&wire, &[&a]).await, "a.example", "X-Matrix");
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );

    // What was not proven makes the connection nobody's.
    let wire = Wire::new(7);
    let forged = session_of("c.example", 1, 7, 0, HOUR);
    is_refused(&setting.judge(&wire, &[&forged]).await, "wrong");
    assert!(
        setting
            .judge(&wire, &[&x_matrix("c.example", 1)])
            .await
            .is_err()
    );
    is_by(
        &setting.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );
}

#[tokio::test]
async fn a_server_that_is_not_let_in_gets_no_session() {
    let setting = Setting::with(|it| it.with_allowed([name("c.example")]));
    let (status, errcode, _) = setting
        .judge(&Wire::new(7), &[&session(7)])
        .await
        .unwrap_err();
    assert_eq!((status, &*errcode), (403, "M_FORBIDDEN"));
    // Nor from an authenticator that another one let in before.
    let (lax, wire) = (Setting::new(), Wire::new(7));
    is_by(
        &lax.judge(&wire, &[&session(7)]).await,
        "a.example",
        "session",
    );
    let (status, ..) = setting.judge(&wire, &[&session(7)]).await.unwrap_err();
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_session_stands_alone_and_in_its_one_writing() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    let (good, signed) = (session(7), x_matrix("a.example", 1));
    for credentials in [
        vec![&*good, &*good],
        vec![&good, &signed],
        vec![&signed, &good],
        vec!["Bearer x", &good],
        vec!["Comity-Session"],
        vec!["comity-session x"],
        vec!["Comity-Session origin=\"a.example\""],
    ] {
        let (status, errcode, message) = setting.judge(&wire, &credentials).await.unwrap_err();
        let verdict = (status, &*errcode);
        assert_eq!(
            verdict,
            (400, "M_UNAUTHORIZED"),
            "{credentials:?}: {message}"
        );
    }
    let (status, errcode, _) = setting
        .judge(&wire, &["Comity-Sessions x"])
        .await
        .unwrap_err();
    assert_eq!(
        (status, &*errcode),
        (401, "M_UNAUTHORIZED"),
        "another scheme"
    );
    is_by(
        &setting.judge(&wire, &[&good]).await,
        "a.example",
        "session",
    );
}

/// X-Matrix cannot sign it, so no call that needs a proof has it.
#[tokio::test]
async fn a_session_proves_no_content_that_x_matrix_could_not_sign() {
    let (setting, wire) = (Setting::new(), Wire::new(7));
    let plain = call(Some(wire.clone()), &[&session(7)]);
    let parts = EndpointParts {
        content: Content::Opaque {
            content_type: "application/octet-stream".into(),
            bytes: Bytes::from_static(b"x"),
        },
        ..plain.form().unwrap().parts().clone()
    };
    let form = EndpointForm::from_parts("POST", &PathTemplate::new("/x/{id}"), parts).unwrap();
    let request = plain.request().clone_box();
    let opaque = Call::received(request, form, plain.context().clone());
    let (status, errcode, _) = setting.judge_call(opaque).await.unwrap_err();
    assert_eq!((status, &*errcode), (401, "M_UNAUTHORIZED"));
}
