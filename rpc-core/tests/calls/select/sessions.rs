//! Who switches sessions on: the destination's signed offer, or the operator. And what the other binding is given.

use std::{sync::Arc, time::Duration};

use comity_core::{
    Client,
    auth::{SessionOptions, SessionUse, Sign},
    call::{Call, CallContext, Credentials},
    error::{CallError, Delivery, TransportErrorKind as Kind},
    transport::{
        Capabilities, Offer, Offers, Policies, Policy, Preference, Select, SelectOptions,
        Transport, TransportService,
    },
};

use super::{
    GRPC, HTTP,
    wires::{Act, Source, Wire, offer, send, settle, version},
};
use crate::homeserver::{key, name};

struct Setting {
    http: Arc<Wire>,
    grpc: Arc<Wire>,
    select: Select,
    client: Client,
}

impl Setting {
    /// What each source says of gRPC, by its name.
    async fn new(sources: &[(&'static str, bool)]) -> Self {
        let source = |(name, session): &(&'static str, bool)| -> Arc<dyn Offers> {
            let session = *session;
            Source::new(
                name,
                vec![Offer {
                    session,
                    ..offer(GRPC, None)
                }],
            )
        };
        let sources = sources.iter().map(source).collect();
        let setting = Self::over(Wire::binding(GRPC, Act::Reply), sources);
        // So that the offers are looked up.
        setting.select.send(version()).await.unwrap();
        settle().await;
        setting
    }

    /// HTTP and this wire, which has sessions, and nothing sent yet.
    fn over(grpc: Arc<Wire>, sources: Vec<Arc<dyn Offers>>) -> Self {
        let http = Wire::new(HTTP, Act::Reply);
        let others: Vec<Arc<dyn Transport>> = vec![grpc.clone()];
        let select = Select::new(http.clone(), others, sources, SelectOptions::default());
        let sign = Sign::layer(name("a.example"), key(1));
        let client = Client::layered(Arc::new(select.clone()), sign);
        Self {
            http,
            grpc,
            select,
            client,
        }
    }

    fn set(&self, sessions: Option<SessionUse>, binding: Preference) {
        self.select.set_policies(Policies {
            default: Policy {
                binding,
                sessions,
                ..Policy::default()
            },
            ..Policies::default()
        });
    }

    async fn send(&self, call: Call) -> Result<(), CallError> {
        self.client.send(call).await.map(drop)
    }

    /// What gRPC was told of sessions for one more call: what this side says, and whether they are offered.
    async fn told(&self) -> (Option<SessionUse>, bool) {
        self.told_of(None).await
    }

    /// Likewise, of a call whose maker says this.
    async fn told_of(&self, by_the_caller: Option<SessionUse>) -> (Option<SessionUse>, bool) {
        let before = self.grpc.count();
        let mut call = send();
        call.context_mut().sessions = by_the_caller;
        self.send(call).await.unwrap();
        let seen = self.grpc.seen();
        assert_eq!(seen.len(), before + 1);
        let last = seen.last().unwrap();
        assert!(
            last.has_signer && last.credentials.is_empty(),
            "it proves the origin itself"
        );
        (last.sessions, last.sessions_offered)
    }
}

#[tokio::test]
async fn a_signed_offer_switches_sessions_on_and_a_hint_does_not() {
    for (sources, is_offered) in [
        (&[("signed", true)][..], true),
        (&[("signed", false)], false),
        (&[("hint", true)], false),
        // What is signed is not added to by a hint.
        (&[("signed", false), ("hint", true)], false),
        (&[("hint", true), ("signed", true)], false),
    ] {
        let told = Setting::new(sources).await.told().await;
        assert_eq!(told, (None, is_offered), "{sources:?}");
    }
    // Who prefers the binding by name has what is signed of it as well.
    let named = Setting::new(&[("signed", true)]).await;
    named.set(None, Preference::Only(GRPC.to_owned()));
    assert_eq!(named.told().await, (None, true));
}

const USES: [SessionUse; 3] = [SessionUse::Off, SessionUse::On, SessionUse::Required];

#[tokio::test]
async fn the_operators_word_stands_above_the_callers_and_that_above_the_offer() {
    let setting = Setting::new(&[("signed", true)]).await;
    for said in USES {
        assert_eq!(setting.told_of(Some(said)).await, (Some(said), true));
    }
    for said in USES {
        setting.set(Some(said), Preference::Auto);
        for by_the_caller in USES.map(Some).into_iter().chain([None]) {
            assert_eq!(setting.told_of(by_the_caller).await, (Some(said), true));
        }
    }
    let silent = Setting::new(&[]).await;
    silent.set(Some(SessionUse::On), Preference::Only(GRPC.to_owned()));
    assert_eq!(silent.told().await, (Some(SessionUse::On), false));
}

#[test]
fn an_offer_counts_where_this_side_says_nothing() {
    let of = |said: Option<SessionUse>, usually, offered| {
        let mut context = CallContext::to(name("b.example"));
        context.sessions = said;
        context.sessions_offered = offered;
        let options = SessionOptions::default().with_usually(usually);
        options.use_for(&context)
    };
    for usually in USES {
        assert_eq!(of(None, usually, false), usually);
        for said in USES {
            for offered in [false, true] {
                assert_eq!(of(Some(said), usually, offered), said);
            }
        }
    }
    assert_eq!(of(None, SessionUse::Off, true), SessionUse::On);
    assert_eq!(of(None, SessionUse::On, true), SessionUse::On);
    assert_eq!(of(None, SessionUse::Required, true), SessionUse::Required);
}

#[tokio::test]
async fn a_call_that_falls_back_is_signed_for_the_baseline() {
    let setting = Setting::new(&[("signed", true)]).await;
    setting
        .grpc
        .next(Act::Fail(Kind::Connect, Delivery::NotSent));
    setting.send(send()).await.unwrap();
    let seen = setting.http.seen();
    let last = seen.last().unwrap();
    assert!(last.credentials[0].starts_with("X-Matrix "), "{last:?}");
    assert_eq!((last.credentials.len(), last.has_signer), (1, false));
    assert_eq!((last.sessions, last.sessions_offered), (None, false));
}

#[tokio::test]
async fn where_sessions_are_required_no_call_that_needs_a_proof_goes_by_the_baseline() {
    let setting = Setting::new(&[("signed", true)]).await;
    setting.set(Some(SessionUse::Required), Preference::Auto);
    setting
        .grpc
        .always(Act::Fail(Kind::Connect, Delivery::NotSent));
    let before = setting.http.count();
    let error = setting.send(send()).await.unwrap_err();
    let CallError::Transport(error) = error else {
        panic!("{error}");
    };
    assert_eq!(
        (error.kind(), error.delivery()),
        (Kind::Connect, Delivery::NotSent)
    );
    assert_eq!(setting.http.count(), before);
    setting.send(version()).await.unwrap();
    assert_eq!(setting.http.count(), before + 1, "it needs none");
}

/// Who requires sessions: the operator, the caller, or a binding where both are silent. The setting that an error names is in the last place.
const REQUIRING: [(Option<SessionUse>, Option<SessionUse>, bool, &str); 3] = [
    (Some(SessionUse::Required), None, false, "Policy::sessions"),
    (
        None,
        Some(SessionUse::Required),
        false,
        "CallContext::sessions",
    ),
    (None, None, true, "SessionOptions::usually"),
];

impl Setting {
    /// What a destination offers, before anybody has asked, and whether the second wire requires sessions.
    fn unasked(offers: Vec<Offer>, usually_required: bool) -> Self {
        let binds = Capabilities::NONE.streaming().channel_binding();
        let capabilities = match usually_required {
            true => binds.requires_session(),
            false => binds,
        };
        let grpc = Wire::with(GRPC, Act::Reply, capabilities);
        Self::over(grpc, vec![Source::new("signed", offers)])
    }

    async fn send_asking(&self, sessions: Option<SessionUse>) -> Result<(), CallError> {
        let mut call = send();
        call.context_mut().sessions = sessions;
        self.client.send(call).await.map(drop)
    }

    fn counts(&self) -> (usize, usize) {
        (self.http.count(), self.grpc.count())
    }
}

fn refusal(result: Result<(), CallError>) -> String {
    let Err(CallError::Transport(error)) = result else {
        panic!("{result:?}");
    };
    let what = (error.kind(), error.delivery());
    assert_eq!(what, (Kind::Refused, Delivery::NotSent), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_destination_that_offers_http_alone_is_sent_nothing_that_needs_a_proof() {
    for (policy, caller, usually, setting) in REQUIRING {
        for binding in [Preference::Auto, Preference::Only(HTTP.to_owned())] {
            let two = Setting::unasked(vec![], usually);
            two.set(policy, binding);
            let said = refusal(two.send_asking(caller).await);
            assert!(said.contains("http/1 has none"), "{said}");
            assert!(said.contains(&format!("(setting: {setting})")), "{said}");
            assert_eq!(two.counts(), (0, 0), "{setting}");
            let status = two.select.destination(&name("b.example")).await.unwrap();
            // The next call may say something else; what the others say holds for it too.
            assert_eq!(status.binding.is_none(), caller.is_none(), "{setting}");
            two.select.send(version()).await.unwrap();
            assert_eq!(two.counts(), (1, 0), "it needs no proof");
        }
    }
}

/// What the first passes on is no word of the caller's.
#[tokio::test]
async fn a_select_behind_another_names_the_setting_that_the_first_goes_by() {
    let two = Setting::unasked(vec![], false);
    let inner = Arc::new(two.select.clone());
    let outer = Select::new(inner, vec![], vec![], SelectOptions::default());
    outer.set_policies(Policies {
        default: Policy {
            sessions: Some(SessionUse::Required),
            ..Policy::default()
        },
        ..Policies::default()
    });
    let sign = Sign::layer(name("a.example"), key(1));
    let client = Client::layered(Arc::new(outer), sign);
    let said = refusal(client.send(send()).await.map(drop));
    assert!(said.contains("http/1 has none"), "{said}");
    assert!(said.contains("(setting: Policy::sessions)"), "{said}");
    assert_eq!(two.counts(), (0, 0));
}

#[tokio::test]
async fn where_sessions_are_required_the_first_call_waits_for_what_is_offered() {
    for (policy, caller, usually, setting) in REQUIRING {
        let two = Setting::unasked(vec![offer(GRPC, None)], usually);
        two.set(policy, Preference::Auto);
        two.send_asking(caller).await.unwrap();
        assert_eq!(two.counts(), (0, 1), "{setting}");
        let seen = two.grpc.seen();
        assert_eq!(seen[0].sessions, Some(SessionUse::Required), "{setting}");
    }
}

#[tokio::test]
async fn who_says_something_else_lifts_what_is_usual() {
    for said in [SessionUse::Off, SessionUse::On] {
        let two = Setting::unasked(vec![], true);
        two.send_asking(Some(said)).await.unwrap();
        two.set(Some(said), Preference::Auto);
        two.send_asking(Some(SessionUse::Required)).await.unwrap();
        assert_eq!(two.counts(), (2, 0), "{said:?}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_signs_here_is_not_sent_where_a_session_is_required() {
    let binds = Capabilities::NONE.channel_binding().requires_session();
    let wire = Wire::with(GRPC, Act::Reply, binds);
    let two = Setting::unasked(vec![offer(GRPC, None)], true);
    let alone = TransportService::new(wire.clone());
    let mut passed_on = send();
    passed_on.context_mut().credentials = Credentials::new(vec!["X-Matrix of another".to_owned()]);
    let mut of_nobody = send();
    of_nobody.context_mut().sessions = Some(SessionUse::Required);
    for call in [passed_on, of_nobody] {
        let said = refusal(two.select.send(call.duplicate()).await.map(drop));
        assert!(said.contains("nobody signs here"), "{said}");
        let said = refusal(
            tower::ServiceExt::oneshot(alone.clone(), call)
                .await
                .map(drop),
        );
        assert!(said.contains("nobody signs here"), "{said}");
    }
    assert_eq!((two.counts(), wire.count()), ((0, 0), 0));
}

#[tokio::test]
async fn who_looks_up_first_calls_by_what_is_offered_at_once() {
    let two = Setting::unasked(vec![offer(GRPC, None)], false);
    two.select.look_up(&name("b.example")).await;
    two.send_asking(None).await.unwrap();
    assert_eq!(two.counts(), (0, 1));
    // Where no offer counts nobody is asked.
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    let http = Wire::new(HTTP, Act::Reply);
    let sources: Vec<Arc<dyn Offers>> = vec![source.clone()];
    let select = Select::new(http, vec![], sources, SelectOptions::default());
    select.look_up(&name("b.example")).await;
    assert_eq!(source.asked(), 0);
}

/// No answer could help, so none is waited for.
#[tokio::test(start_paused = true)]
async fn where_no_binding_has_sessions_the_refusal_does_not_wait_for_what_is_offered() {
    let source = Source::new("signed", vec![offer(GRPC, None)]);
    *source.takes.lock().unwrap() = Duration::from_secs(5);
    let (http, grpc) = (Wire::new(HTTP, Act::Reply), Wire::new(GRPC, Act::Reply));
    let others: Vec<Arc<dyn Transport>> = vec![grpc.clone()];
    let select = Select::new(http, others, vec![source], SelectOptions::default());
    let sign = Sign::layer(name("a.example"), key(1));
    let client = Client::layered(Arc::new(select.clone()), sign);
    for binding in [Preference::Auto, Preference::Only(GRPC.to_owned())] {
        select.set_policies(Policies {
            default: Policy {
                binding,
                sessions: Some(SessionUse::Required),
                ..Policy::default()
            },
            ..Policies::default()
        });
        let begun = tokio::time::Instant::now();
        let said = refusal(client.send(send()).await.map(drop));
        assert!(said.contains("none"), "{said}");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
    assert_eq!(grpc.count(), 0);
    // Under the second policy both were left out.
    let said = refusal(client.send(send()).await.map(drop));
    assert!(said.contains("grpc/1, http/1 have none"), "{said}");
}
