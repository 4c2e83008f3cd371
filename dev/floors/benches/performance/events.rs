//! The checks on receipt of one event, each against ruma's way to the same answer, and all of them against the signature alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use comity_core::{
    ServerName,
    auth::{KeyDocument, PreparedKeys, ServerKeys, Signature, now_ms},
    event::{
        EventKeySet, Pdu, check_past_event,
        room_version::{RoomVersion, RoomVersions},
        sign_event,
    },
    json::{Object, Value},
};
use comity_floors::bodies::{STATE_EVENT, event};
use ruma_common::{CanonicalJsonObject, RoomVersionId, serde::Base64};
use ruma_signatures::{PublicKeyMap, content_hash, reference_hash, verify_event};

use crate::{
    report::{Need, Report},
    rounds::{alternate, cost},
    setting::signing_key,
};

const ROUNDS: usize = 41;

/// The types that are measured: one whose content a redaction removes, and one whose content it keeps in part.
const TYPES: [(&str, &str); 2] = [
    ("message", "m.room.message"),
    ("power levels event", "m.room.power_levels"),
];

/// A signed event, and all that it is checked with.
struct Sample {
    version: Arc<dyn RoomVersion>,
    text: Bytes,
    keys: EventKeySet,
    public: PublicKeyMap,
}

impl Sample {
    fn new(event_type: &str) -> Self {
        let server: ServerName = "matrix.example.org".parse().expect("it is a server name");
        let key = signing_key();
        let versions = RoomVersions::matrix();
        let version = versions
            .get("11")
            .expect("it is registered")
            .rules()
            .clone();
        let unsigned = Object::parse(Bytes::from(event(1, STATE_EVENT)), usize::MAX)
            .expect("it is canonical")
            .filtered(|name| name != "signatures")
            .with_member("type", &Value::string(event_type));
        let (_, signed) = sign_event(&*version, &unsigned, &server, &key).expect("it is an event");
        let document = KeyDocument::new(server.clone(), now_ms() + 86_400_000)
            .sign(&[&key])
            .expect("one key signs");
        let keys = ServerKeys::parse(document).expect("it is a key document");
        let public = Base64::new(key.verify_key().as_bytes().to_vec());
        let public = BTreeMap::from([(key.key_id().to_string(), public)]);
        Self {
            version,
            text: signed.value().text().clone(),
            keys: EventKeySet::new().with(Arc::new(keys)),
            public: PublicKeyMap::from([(server.to_string(), public)]),
        }
    }

    /// As it comes out of a body: canonical, its members not found yet.
    fn pdu(&self) -> Pdu {
        let value = Value::parse(self.text.clone(), usize::MAX).expect("it is canonical");
        Pdu::judge(value).expect("it is an event")
    }

    fn tree(&self) -> CanonicalJsonObject {
        serde_json::from_slice(&self.text).expect("it is canonical")
    }

    /// The same keys, none of which is ever prepared.
    fn plain_keys(&self) -> EventKeySet {
        let none = Arc::new(PreparedKeys::new(0));
        self.keys.clone().with_prepared_keys(none)
    }

    /// What everybody has to do: one verification of the text that was signed, by a key that is not prepared.
    fn signature_alone(&self) -> impl FnMut() -> Duration {
        let text = self
            .version
            .signed_text(self.pdu().object())
            .expect("it is an event");
        let key = signing_key();
        let (signature, key): (Signature, _) = (key.sign(&text), key.verify_key());
        cost(move || assert!(key.verify(&text, &signature)))
    }
}

pub(crate) fn measure(report: &mut Report) {
    let rules = RoomVersionId::V11.rules().expect("ruma knows it");
    for (name, event_type) in TYPES {
        let sample = Sample::new(event_type);
        let version = &*sample.version;
        let id = cost(|| version.event_id(sample.pdu().object()).expect("it has one"));
        let ruma = cost(|| reference_hash(&sample.tree(), &rules).expect("it has one"));
        row(
            report,
            &format!("event ID of a {name}: ours / ruma"),
            id,
            ruma,
            Need::AtMost(1.0),
        );

        let hash = cost(|| {
            version
                .content_hash(sample.pdu().object())
                .expect("it has one")
        });
        let ruma = cost(|| content_hash(&sample.tree()).expect("it has one"));
        row(
            report,
            &format!("content hash of a {name}: ours / ruma"),
            hash,
            ruma,
            Need::AtMost(1.0),
        );

        let signed = cost(|| {
            version
                .signed_text(sample.pdu().object())
                .expect("it has one")
        });
        let alone = sample.signature_alone();
        row(
            report,
            &format!("signed text of a {name}, found and redacted / its signature alone"),
            signed,
            alone,
            Need::AtMost(0.25),
        );

        let ruma = || {
            cost(|| {
                let tree = sample.tree();
                verify_event(&sample.public, &tree, &rules).expect("it is good");
                reference_hash(&tree, &rules).expect("it has one")
            })
        };
        // ruma's check is a plain one, so the first of them compares like with like.
        for (ours, keys, most) in [
            ("ours without prepared keys", sample.plain_keys(), 1.5),
            ("ours", sample.keys.clone(), 1.0),
        ] {
            let checks =
                || cost(|| check_past_event(version, &sample.pdu(), &keys).expect("it is good"));
            row(
                report,
                &format!("checks 1 to 3 of a {name}, ID included: ruma / {ours}"),
                ruma(),
                checks(),
                Need::AtLeast(1.0),
            );
            row(
                report,
                &format!("checks 1 to 3 of a {name}, ID included: {ours} / its signature alone"),
                checks(),
                sample.signature_alone(),
                Need::AtMost(most),
            );
        }
    }
    report.note(
        "All events are of one sender, whose key has a table as well. Its signature alone is a plain check, as is ruma's; in the rows without prepared keys so is ours.",
    );
}

fn row(
    report: &mut Report,
    measure: &str,
    a: impl FnMut() -> Duration,
    b: impl FnMut() -> Duration,
    need: Need,
) {
    let pair = alternate(ROUNDS, a, b);
    report.row(
        measure,
        "",
        pair.ratio,
        need,
        format!("{:.1?} / {:.1?}", pair.a, pair.b),
    );
}
