//! What holds of a key ring whatever happens: rotations, outages, long and short validities, clocks that jump either way, a trusted notary that lies.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use comity_core::{
    api::{self, GetServerKeys, GetServerKeysReply},
    auth::{
        FetchedKeys, KeyDocument, KeyRing, KeySource, MAX_VALIDITY_MS, OldVerifyKey, ServerKeys,
        SigningKey, TrustedNotary,
    },
    call::CallContext,
    error::FederationError,
    json::Object,
    transport::Offers,
};
use proptest::prelude::*;

use crate::{homeserver::name, key_setting::relayed, network::*};

#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    /// The server takes the next key, and says so, or forgets the ones before.
    Rotate {
        forgets: bool,
    },
    /// How long its documents are valid from now on.
    Validity(i64),
    Down(bool),
    /// Somebody signs by the key that came so many before the last one.
    Ask(usize),
    Offers,
    /// The notary makes up a document, if there is one: with these of the server's keys as former ones, and some as current ones.
    Lie {
        former: bool,
        current: bool,
        validity: i64,
    },
    /// It replays what the server said so many documents ago.
    Replay(usize),
    /// Somebody signs by the key that the notary made up.
    AskMadeUp,
}

fn step() -> impl Strategy<Value = Step> {
    let second = 1_000;
    prop_oneof![
        3 => (second..HOUR).prop_map(Step::Pass),
        2 => (HOUR..3 * DAY).prop_map(Step::Pass),
        1 => (-10 * DAY..0).prop_map(Step::Pass),
        1 => prop::bool::weighted(0.2).prop_map(|forgets| Step::Rotate { forgets }),
        1 => (-HOUR..30 * DAY).prop_map(Step::Validity),
        2 => any::<bool>().prop_map(Step::Down),
        10 => (0..3_usize).prop_map(Step::Ask),
        1 => Just(Step::Offers),
        2 => (any::<bool>(), any::<bool>(), HOUR..30 * DAY).prop_map(|(former, current, validity)| {
            Step::Lie {
                former,
                current,
                validity,
            }
        }),
        1 => (0..3_usize).prop_map(Step::Replay),
        5 => Just(Step::AskMadeUp),
    ]
}

/// A server whose keys change, and what it has said.
struct Changing {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    keys: Vec<(Arc<SigningKey>, Option<i64>)>,
    validity: i64,
    /// Each document, and when it was given.
    said: Vec<(ServerKeys, i64)>,
}

fn key(n: usize) -> Arc<SigningKey> {
    signing_key(&n.to_string(), n as u8)
}

impl Changing {
    fn rotate(&self, forgets: bool) {
        let mut state = self.state.lock().unwrap();
        let now = self.clock.now();
        for (_, expired) in &mut state.keys {
            expired.get_or_insert(now);
        }
        let next = key(state.keys.len());
        state.keys.push((next, None));
        if forgets {
            // The IDs go on; what was before is not spoken of any more.
            for (_, expired) in &mut state.keys {
                *expired = expired.map(|_| i64::MIN);
            }
        }
    }
}

#[async_trait]
impl api::Keys for Changing {
    async fn get_server_keys(
        &self,
        _: &CallContext,
        _: GetServerKeys,
    ) -> Result<GetServerKeysReply, FederationError> {
        let mut state = self.state.lock().unwrap();
        let now = self.clock.now();
        let mut document = KeyDocument::new(name("a.example"), now + state.validity);
        for (key, expired) in &state.keys {
            if let Some(expired_ts) = expired.filter(|at| *at != i64::MIN) {
                let key = OldVerifyKey {
                    key: key.verify_key(),
                    expired_ts,
                };
                let id = format!(
                    "ed25519:{}",
                    state
                        .keys
                        .iter()
                        .position(|(own, _)| own.verify_key() == key.key)
                        .unwrap()
                );
                document = document.with_old_key(id.parse().unwrap(), key);
            }
        }
        let (current, _) = state.keys.last().unwrap();
        let text = document.sign(&[current]).unwrap();
        state
            .said
            .push((ServerKeys::parse(text.clone()).unwrap(), now));
        let document = Object::parse(text, 1 << 20).unwrap();
        Ok(GetServerKeysReply { document })
    }
}

/// What the lying notary gives of the server.
fn lie(server: &Changing, former: bool, current: bool, validity: i64) -> Bytes {
    let state = server.state.lock().unwrap();
    let (real, _) = state.keys.last().unwrap();
    let now = server.clock.now();
    let mut document = KeyDocument::new(name("a.example"), now + validity);
    if former && !current {
        let former = OldVerifyKey {
            key: real.verify_key(),
            expired_ts: now,
        };
        document = document.with_old_key(real.key_id().clone(), former);
    }
    let mut keys = vec![made_up()];
    if current {
        keys.push(real.clone());
    }
    let keys: Vec<&SigningKey> = keys.iter().map(Arc::as_ref).collect();
    let text = String::from_utf8(document.sign(&keys).unwrap().to_vec()).unwrap();
    // The notary has no key of the server: that signature is none.
    let real = format!("\"{}\":\"", real.key_id());
    let signatures = text.find("\"signatures\"").unwrap();
    let text = match text[signatures..].find(&real) {
        Some(at) => {
            let at = signatures + at + real.len();
            format!("{}{}{}", &text[..at], "A".repeat(20), &text[at + 20..])
        }
        None => text,
    };
    Bytes::from(text)
}

fn made_up() -> Arc<SigningKey> {
    signing_key("evil", 250)
}

/// Whether it is a document that the notary made up.
fn is_made_up(document: &FetchedKeys) -> bool {
    document.keys.verify_keys.contains_key(made_up().key_id())
}

async fn run(steps: Vec<Step>, with_liar: bool) -> Result<(), TestCaseError> {
    let (clock, network) = (Clock::new(), Network::default());
    let server = Arc::new(Changing {
        clock: clock.clone(),
        state: Mutex::new(State {
            keys: vec![(key(0), None)],
            validity: DAY,
            said: Vec::new(),
        }),
    });
    network.add("a.example", server.clone());
    let mut ring = KeyRing::new(network.client(), options(&clock));
    let notary_key = signing_key("n", 200);
    let notary = Scripted::saying(Bytes::new());
    if with_liar {
        network.add("n.example", notary.clone());
        let trusted = TrustedNotary::new(name("n.example"))
            .with_key(notary_key.key_id().clone(), notary_key.verify_key());
        ring = ring.with_notaries(vec![trusted]);
    }
    let relay = |document: &Bytes| notary.relay(vec![relayed(document, &notary_key)]);
    let a = name("a.example");
    let mut last_asked = None;
    let mut known: Option<FetchedKeys> = None;
    for step in steps {
        let before = network.calls("a.example");
        match step {
            Step::Pass(time) => clock.pass(time),
            Step::Rotate { forgets } => server.rotate(forgets),
            Step::Validity(validity) => server.state.lock().unwrap().validity = validity,
            Step::Down(true) => network.refuse("a.example"),
            Step::Down(false) => network.mend("a.example"),
            Step::Offers => {
                // Nothing of bindings is ever said; it is one more who asks.
                prop_assert_eq!(ring.offered(&a).await, None);
            }
            Step::Lie {
                former,
                current,
                validity,
            } => relay(&lie(&server, former, current, validity)),
            Step::Replay(back) => {
                let state = server.state.lock().unwrap();
                if let Some((said, _)) = state.said.iter().rev().nth(back) {
                    relay(said.document());
                }
            }
            Step::AskMadeUp => {
                let found = ring.request_key(&a, made_up().key_id()).await;
                prop_assert!(found.is_err() || with_liar);
            }
            Step::Ask(back) => {
                let last = server.state.lock().unwrap().keys.len() - 1;
                let number = last.saturating_sub(back);
                let id = key(number).key_id().clone();
                let is_former =
                    |(said, _): &(ServerKeys, i64)| said.old_verify_keys.contains_key(&id);
                let revoked = server.state.lock().unwrap().said.iter().any(is_former);
                let found = ring.request_key(&a, &id).await;
                // Whoever renews in the background has done so.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                let now = clock.now();
                let mut state = server.state.lock().unwrap();
                for (_, at) in &mut state.said {
                    *at = now.min(*at);
                }
                let vouched = state.said.iter().any(|(said, at)| {
                    said.verify_keys.contains_key(&id)
                        && said.valid_until_ts >= now
                        && at.saturating_add(MAX_VALIDITY_MS) >= now
                });
                // Of a server that is not known, a notary can say what it likes.
                if let Ok(found) = found
                    && !with_liar
                {
                    prop_assert_eq!(found, key(number).verify_key());
                    prop_assert!(vouched, "a key that no document vouches for now");
                    prop_assert!(!revoked, "a key that the server said was a former one");
                }
            }
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let asked = network.calls("a.example") - before;
        // Whoever joins a fetch for another key, of which only a notary told something, is asked for his own: once more.
        let most = if with_liar { 2 } else { 1 };
        prop_assert!(asked <= most, "one step, {asked} fetches");
        if asked == 1 && !with_liar {
            let now = clock.now();
            let since = last_asked.replace(now).map(|before| now.abs_diff(before));
            prop_assert!(since.is_none_or(|since| since >= 10_000), "{since:?}");
        }
        if with_liar {
            let last = ring.event_keys(&a, &BTreeSet::new()).await.ok();
            let now = clock.now();
            let counted = known.as_ref().is_some_and(|known| {
                let until = known.keys.valid_until(known.at.min(now));
                !is_made_up(known) && until >= now
            });
            let taken_over = last.as_ref().is_some_and(is_made_up);
            prop_assert!(!(counted && taken_over), "a known server was taken over");
            known = last;
        }
    }
    // It always recovers: the server is there, says something valid, and some time passes.
    network.mend("a.example");
    server.state.lock().unwrap().validity = DAY;
    let last = key(server.state.lock().unwrap().keys.len() - 1);
    if with_liar {
        // No document has to run out first: the server's own word ends what was made up.
        clock.pass(600_000);
    } else {
        clock.pass(8 * DAY);
    }
    let _ = ring.request_key(&a, last.key_id()).await;
    // Jumps may have led back to the very moment of the last fetch.
    clock.pass(600_000);
    let found = ring.request_key(&a, last.key_id()).await;
    prop_assert!(found.is_ok(), "{found:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    #[test]
    fn a_key_is_given_only_while_a_document_vouches_for_it_and_never_once_it_was_revoked(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps, false))?;
    }

    #[test]
    fn a_lying_notary_takes_over_no_known_server_and_locks_none_out(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(steps, true))?;
    }
}
