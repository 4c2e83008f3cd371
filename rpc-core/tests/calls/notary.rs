//! A notary: gives what the server said, with its own signature, as long as it has it, and does a bounded amount for anybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use comity_core::{
    api::{
        BatchQueryServerKeys, Calls, GetServerKeys, KeyCriteria, QueryServerKeys,
        QueryServerKeysById, QueryServerKeysReply,
    },
    auth::{
        KeyDocument, KeyRing, KeySource, Notary, NotaryOptions, ServerKeys, SigningKey,
        TrustedNotary,
    },
    error::CallError,
    json::{Json, Value},
};

use crate::{homeserver::name, network::*};

const NOTARY: &str = "n.example";

struct Setting {
    clock: Clock,
    network: Network,
    key: Arc<SigningKey>,
    origin: Arc<Scripted>,
}

impl Setting {
    fn new(options: NotaryOptions) -> Self {
        let (clock, network) = (Clock::new(), Network::default());
        let key = signing_key("1", 1);
        let origin = Scripted::saying(document("a.example", &key, clock.now() + DAY));
        network.add("a.example", origin.clone());
        notary(&network, NOTARY, &clock, options);
        Self {
            clock,
            network,
            key,
            origin,
        }
    }

    fn say(&self, lasting: i64) -> Bytes {
        let said = document("a.example", &self.key, self.clock.now() + lasting);
        self.origin.say(said.clone());
        said
    }

    async fn query(&self, server: &str, minimum: Option<i64>) -> Vec<ServerKeys> {
        let request = QueryServerKeys {
            server_name: server.to_owned(),
            minimum_valid_until_ts: minimum,
            ..Default::default()
        };
        let client = self.network.client();
        let reply = client.query_server_keys(&name(NOTARY), request).await;
        checked(&reply.unwrap())
    }

    async fn batch(
        &self,
        wanted: BTreeMap<String, BTreeMap<String, KeyCriteria>>,
    ) -> Result<QueryServerKeysReply, CallError> {
        let request = BatchQueryServerKeys {
            server_keys: Json::write(&wanted).unwrap(),
            extra: Default::default(),
            extra_query: Default::default(),
        };
        let client = self.network.client();
        client.batch_query_server_keys(&name(NOTARY), request).await
    }
}

fn notary_key() -> Arc<SigningKey> {
    signing_key("n", 200)
}

/// The documents, each signed by its server and by the notary.
fn checked(reply: &QueryServerKeysReply) -> Vec<ServerKeys> {
    let trusted = BTreeMap::from([(id("ed25519:n"), notary_key().verify_key())]);
    let documents = reply.documents().map(|document| {
        let keys = ServerKeys::parse(document.text().clone()).unwrap();
        keys.check_self_signed(&keys.server_name.clone()).unwrap();
        keys.check_notarised(&name(NOTARY), &trusted).unwrap();
        keys
    });
    documents.collect()
}

fn all_of(servers: &[&str]) -> BTreeMap<String, BTreeMap<String, KeyCriteria>> {
    let all = |server: &&str| ((*server).to_owned(), BTreeMap::new());
    servers.iter().map(all).collect()
}

#[tokio::test]
async fn a_document_gets_the_notarys_signature_and_nothing_else() {
    let s = Setting::new(NotaryOptions::default());
    let odd = KeyDocument::new(name("a.example"), s.clock.now() + DAY)
        .with_member("org.example.\u{1f600}\"", Value::string("\u{7f}\u{e9}"))
        .sign(&[&s.key])
        .unwrap();
    s.origin.say(odd.clone());
    let given = s.query("a.example", None).await;
    assert_eq!(given.len(), 1);
    let mut given: serde_json::Value = serde_json::from_slice(given[0].document()).unwrap();
    let by = given["signatures"].as_object_mut().unwrap();
    assert_eq!(by.len(), 2);
    by.remove(NOTARY).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&odd).unwrap();
    assert_eq!(given, said);
}

#[tokio::test]
async fn signatures_that_are_none_of_the_notarys_are_replaced() {
    for junk in ["7", "[]", r#"{"ed25519:n":"AAAA"}"#, r#"{"ed25519:x":1}"#] {
        let s = Setting::new(NotaryOptions::default());
        let said = String::from_utf8(s.say(DAY).to_vec()).unwrap();
        // Signatures are not covered by signatures, so anybody on the way can write this.
        let theirs = format!(r#""}},"n.example":{junk}}},"valid_until_ts""#);
        let said = said.replace(r#""}},"valid_until_ts""#, &theirs);
        assert!(said.contains(junk));
        s.origin.say(said.into());
        assert_eq!(s.query("a.example", None).await.len(), 1, "{junk}");
    }
}

#[tokio::test]
async fn the_last_document_is_given_while_the_server_is_down_even_expired() {
    let s = Setting::new(NotaryOptions::default());
    let said = s.say(DAY);
    s.query("a.example", None).await;
    s.network.refuse("a.example");
    for passes in [DAY / 2, DAY, 30 * DAY] {
        s.clock.pass(passes);
        let given = s.query("a.example", None).await;
        let valid_until = ServerKeys::parse(said.clone()).unwrap().valid_until_ts;
        assert_eq!(given[0].valid_until_ts, valid_until);
    }
    // It is back.
    s.network.mend("a.example");
    s.say(DAY);
    s.clock.pass(600_000);
    let given = s.query("a.example", None).await;
    assert!(given[0].valid_until_ts > s.clock.now());
}

#[tokio::test]
async fn a_good_document_is_never_replaced_by_one_without_valid_signatures() {
    let s = Setting::new(NotaryOptions::default());
    s.query("a.example", None).await;
    let unsigned = document("a.example", &s.key, s.clock.now() + 3 * DAY);
    let text = String::from_utf8(unsigned.to_vec()).unwrap();
    let later = text.replace("\"old_verify_keys\":{}", "\"old_verify_keys\":{},\"p\":1");
    let no_signature = format!(
        r#"{}}}"#,
        text.split(",\"signatures\"").next().unwrap().to_owned()
            + &format!(",\"valid_until_ts\":{}", s.clock.now() + 3 * DAY)
            + ",\"verify_keys\":{}"
    );
    for bad in [later, no_signature, "{}".to_owned()] {
        s.origin.say(bad.into());
        s.clock.pass(13 * HOUR);
        let before = s.network.calls("a.example");
        assert_eq!(s.query("a.example", None).await.len(), 1);
        assert!(s.network.calls("a.example") > before, "it was asked");
    }
}

#[tokio::test]
async fn a_server_that_was_never_reached_is_left_out() {
    let s = Setting::new(NotaryOptions::default());
    assert!(s.query("down.example", None).await.is_empty());
    let reply = s.batch(all_of(&["a.example", "down.example", "not a name"]));
    let reply = reply.await.unwrap();
    let given = checked(&reply);
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].server_name, name("a.example"));
    let none = s.batch(all_of(&["down.example"])).await.unwrap();
    assert_eq!(none.server_keys.unwrap().len(), 0, "the list is there");
}

#[tokio::test]
async fn what_is_no_server_name_is_refused() {
    let s = Setting::new(NotaryOptions::default());
    let request = QueryServerKeys {
        server_name: "a_b".to_owned(),
        ..Default::default()
    };
    let client = s.network.client();
    let refused = client.query_server_keys(&name(NOTARY), request).await;
    assert!(matches!(refused, Err(CallError::Federation(error)) if error.http_status() == 400));
}

#[tokio::test]
async fn a_document_is_kept_for_half_of_its_time() {
    let s = Setting::new(NotaryOptions::default());
    let first = s.query("a.example", None).await;
    s.clock.pass(DAY / 2 - 1);
    let again = s.query("a.example", None).await;
    assert_eq!(again[0].valid_until_ts, first[0].valid_until_ts);
    assert_eq!(s.network.calls("a.example"), 1);
    s.say(DAY);
    s.clock.pass(1);
    let renewed = s.query("a.example", None).await;
    assert!(renewed[0].valid_until_ts > first[0].valid_until_ts);
    assert_eq!(s.network.calls("a.example"), 2);
}

#[tokio::test]
async fn a_document_that_is_not_valid_for_long_enough_is_fetched_anew() {
    let s = Setting::new(NotaryOptions::default());
    s.query("a.example", None).await;
    s.clock.pass(60_000);
    s.say(2 * DAY);
    // Long enough as it is.
    let enough = Some(s.clock.now() + DAY - 120_000);
    s.query("a.example", enough).await;
    assert_eq!(s.network.calls("a.example"), 1);
    let longer = Some(s.clock.now() + DAY + HOUR);
    let given = s.query("a.example", longer).await;
    assert_eq!(given[0].valid_until_ts, s.clock.now() + 2 * DAY);
    assert_eq!(s.network.calls("a.example"), 2);
    // Nothing is ever valid for so long: asked again, but not each time.
    for _ in 0..50 {
        assert_eq!(s.query("a.example", Some(i64::MAX)).await.len(), 1);
    }
    assert_eq!(s.network.calls("a.example"), 2);
    // A time that is long past asks for no more than now.
    assert_eq!(s.query("a.example", Some(i64::MIN)).await.len(), 1);
}

#[tokio::test]
async fn a_key_that_the_document_lacks_is_asked_for_once_in_a_while() {
    let s = Setting::new(NotaryOptions::default());
    s.query("a.example", None).await;
    s.clock.pass(60_000);
    let client = s.network.client();
    for _ in 0..20 {
        let request = QueryServerKeysById {
            server_name: "a.example".to_owned(),
            key_id: "ed25519:new".to_owned(),
            ..Default::default()
        };
        let reply = client
            .query_server_keys_by_id(&name(NOTARY), request)
            .await
            .unwrap();
        assert_eq!(checked(&reply).len(), 1);
    }
    assert_eq!(s.network.calls("a.example"), 2);
    // One that is no ed25519 key is not looked for.
    s.clock.pass(60_000);
    let wanted = BTreeMap::from([
        ("ed448:1".to_owned(), KeyCriteria::default()),
        ("junk".to_owned(), KeyCriteria::default()),
    ]);
    let wanted = BTreeMap::from([("a.example".to_owned(), wanted)]);
    assert_eq!(checked(&s.batch(wanted).await.unwrap()).len(), 1);
    assert_eq!(s.network.calls("a.example"), 2);
}

#[tokio::test]
async fn of_itself_it_gives_its_own_document() {
    let s = Setting::new(NotaryOptions::default());
    let client = s.network.client();
    let own = client
        .get_server_keys(&name(NOTARY), GetServerKeys::default())
        .await
        .unwrap()
        .document;
    let given = s.query(NOTARY, None).await;
    assert_eq!(given[0].document(), own.text());
    s.clock.pass(30 * DAY);
    let given = s.query(NOTARY, None).await;
    assert!(given[0].valid_until_ts >= s.clock.now() + HOUR);
}

#[tokio::test]
async fn one_request_asks_a_bounded_number_of_servers() {
    let s = Setting::new(NotaryOptions {
        servers: 200,
        fetches: 10,
        ..Default::default()
    });
    s.query("a.example", None).await;
    let names: Vec<String> = (0..199).map(|n| format!("x{n}.example")).collect();
    for server in &names {
        let said = document(server, &s.key, s.clock.now() + DAY);
        s.network.add(server, Scripted::saying(said));
    }
    let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    wanted.push("a.example");
    let before = s.network.all_calls();
    let given = checked(&s.batch(all_of(&wanted)).await.unwrap());
    // The notary itself was called, too.
    assert_eq!(s.network.all_calls() - before, 11);
    assert_eq!(given.len(), 11);
    let names: BTreeSet<String> = given
        .iter()
        .map(|one| one.server_name.to_string())
        .collect();
    assert!(names.contains("a.example"), "what it has is always given");
    // The next request gets further.
    let given = checked(&s.batch(all_of(&wanted)).await.unwrap());
    assert_eq!(given.len(), 21);
    // Over the limit.
    wanted.push("one.more.example");
    let refused = s.batch(all_of(&wanted)).await;
    let Err(CallError::Federation(refused)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.http_status(), 400);
    let message = refused.message();
    assert!(message.contains("201") && message.contains("200") && message.contains("servers"));
}

#[tokio::test]
async fn a_reply_is_bounded() {
    let s = Setting::new(NotaryOptions {
        reply: 10_000,
        ..Default::default()
    });
    let names: Vec<String> = (0..50).map(|n| format!("x{n}.example")).collect();
    for server in &names {
        let said = document(server, &s.key, s.clock.now() + DAY);
        s.network.add(server, Scripted::saying(said));
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let reply = s.batch(all_of(&wanted)).await.unwrap();
    let size: usize = reply.documents().map(|one| one.text().len()).sum();
    assert!(size <= 10_000 && size > 8_000, "{size}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_keep_the_others_waiting_for_long() {
    let s = Setting::new(NotaryOptions::default());
    s.network.silence("silent.example");
    let begun = tokio::time::Instant::now();
    let reply = s.batch(all_of(&["a.example", "silent.example"])).await;
    assert_eq!(checked(&reply.unwrap()).len(), 1);
    // Within the ten seconds that callers wait.
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn of_a_server_that_went_silent_the_last_document_is_given_in_time() {
    let s = Setting::new(NotaryOptions::default());
    s.query("a.example", None).await;
    s.clock.pass(2 * DAY);
    s.network.silence("a.example");
    let begun = tokio::time::Instant::now();
    assert_eq!(s.query("a.example", None).await.len(), 1);
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
    // It is known by then that nobody answers.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(s.query("a.example", None).await.len(), 1);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn authentication_gets_keys_whatever_the_notary_is_asked() {
    let clock = Clock::new();
    let network = Network::default();
    let keys = published(NOTARY, &notary_key(), &clock);
    let mut ring_options = options(&clock);
    ring_options.fetches = 20;
    let ring = KeyRing::new(network.client(), ring_options);
    let notary = Arc::new(Notary::new(keys, ring.clone(), NotaryOptions::default()));
    network.add(NOTARY, notary);
    let key = signing_key("1", 1);
    let said = document("a.example", &key, clock.now() + DAY);
    network.add("a.example", Scripted::saying(said));
    for n in 0..1_000 {
        network.silence(&format!("x{n}.example"));
    }
    let asking: Vec<_> = (0..20)
        .map(|batch| {
            let client = network.client();
            let names: Vec<String> = (0..50)
                .map(|n| format!("x{}.example", batch * 50 + n))
                .collect();
            tokio::spawn(async move {
                let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
                let request = BatchQueryServerKeys {
                    server_keys: Json::write(&all_of(&wanted)).unwrap(),
                    extra: Default::default(),
                    extra_query: Default::default(),
                };
                client.batch_query_server_keys(&name(NOTARY), request).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    let found = ring.request_key(&name("a.example"), &id("ed25519:1")).await;
    assert!(found.is_ok(), "{found:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for one in asking {
        assert!(one.await.unwrap().unwrap().server_keys.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_ring_that_trusts_a_notary_gets_keys_of_servers_that_are_down() {
    let s = Setting::new(NotaryOptions::default());
    s.query("a.example", None).await;
    s.network.refuse("a.example");
    let ring = KeyRing::new(s.network.client(), options(&s.clock))
        .with_notaries(vec![TrustedNotary::new(name(NOTARY))]);
    let a = name("a.example");
    let found = ring.request_key(&a, &id("ed25519:1")).await.unwrap();
    assert_eq!(found, s.key.verify_key());
    // The notary gives what has expired. For requests it counts no more, for old events it does.
    s.clock.pass(2 * DAY);
    assert!(ring.request_key(&a, &id("ed25519:1")).await.is_err());
    let old = ring.event_keys(&a, &[id("ed25519:1")].into()).await;
    assert!(old.is_ok());
}
