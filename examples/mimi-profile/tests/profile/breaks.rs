//! A break stays inside its room version: one edition makes a version with which nothing before is compatible, and no other room notices.

use std::{collections::BTreeSet, sync::Arc};

use comity_core::{
    ServerName,
    event::{
        Pdu,
        room_version::{Age, CanonicalForm, EventError, RoomVersion, RoomVersions, Rule},
    },
    json::Object,
};
use comity_homeserver::{
    Draft, Versions,
    ruma_common::{UserId, room_version_rules::RoomVersionRules},
};
use mimi_profile::versions;
use serde_json::json;

use crate::setting::{Api, BINDINGS, Town, answered, taken};

/// A version of the IETF's to come: events are signed as RFC 8785 writes them, and a message is extensible or it is none.
#[derive(Debug)]
struct Broken(Arc<dyn RoomVersion>);

impl RoomVersion for Broken {
    fn check_format(&self, event: &Pdu, age: Age) -> Result<(), EventError> {
        if event.event_type().as_deref() == Some("m.room.message") {
            let why = "`type`: `m.room.message` is of another time; this version has `m.message`";
            return Err(EventError::new(Rule::Format, why));
        }
        self.0.check_format(event, age)
    }

    fn redact(&self, event: &Object) -> Result<Object, EventError> {
        self.0.redact(event)
    }

    fn required_signers(&self, event: &Pdu) -> Result<BTreeSet<ServerName>, EventError> {
        self.0.required_signers(event)
    }

    fn canonical_form(&self) -> CanonicalForm {
        CanonicalForm::Jcs
    }
}

/// Both editions as they are, and the version that breaks with them.
fn with_break() -> Versions {
    let ietf = RoomVersions::ietf();
    let first = ietf.get("I.1").unwrap().rules().clone();
    versions().with("I.2", Arc::new(Broken(first)), RoomVersionRules::V10)
}

fn extensible(sender: &UserId) -> Draft {
    // Two names that RFC 8785 and Matrix order differently, and a text for whoever does not know the type.
    let content = json!({"m.text": [{"body": "hello"}], "\u{fb33}": 1, "\u{1f600}": 2});
    let content = Object::parse(content.to_string().into(), 1 << 16).unwrap();
    Draft {
        kind: "m.message".to_owned(),
        sender: sender.to_owned(),
        state_key: None,
        content,
    }
}

#[tokio::test]
async fn a_break_in_one_edition_stays_inside_its_room_version() {
    for binding in BINDINGS {
        let town = Town::new(binding);
        let one = town
            .move_in("one.example", Api::Profile, with_break())
            .await;
        let other = town.move_in("other.example", Api::Full, with_break()).await;
        let old = town.move_in("old.example", Api::Full, versions()).await;
        let (alice, bob) = (one.user("alice"), other.user("bob"));
        for version in ["I.2", "I.1", "10", "12"] {
            let room = one.room(&alice, version);
            let joined = other.server.join(&room, &bob, one.name()).await.unwrap();
            assert_eq!(
                (joined.room_version.as_str(), joined.refused.count),
                (version, 0)
            );
            let sent = one.server.send(&room, &extensible(&alice)).await.unwrap();
            taken(&sent);
            assert!(other.has(&room, &sent), "{version} over {binding:?}");
            let text = sent.event.pdu().content_blocks().text_as("text/plain");
            assert_eq!(text.as_deref(), Some("hello"));

            // What the break took away is gone there, and nowhere else.
            let sent = other.server.send_message(&room, &bob, "as before").await;
            match version {
                "I.2" => {
                    let refused = match sent {
                        Err(error) => error.to_string(),
                        Ok(sent) => sent.deliveries[0]
                            .refused()
                            .map(|(_, why)| why.to_owned())
                            .collect(),
                    };
                    assert!(refused.contains("of another time"), "{refused}");
                }
                _ => taken(&sent.unwrap()),
            }

            // A server that never heard of it joins the other rooms as ever.
            let carol = old.user("carol");
            let joined = old.server.join(&room, &carol, one.name()).await;
            match version {
                "I.2" => assert_eq!(answered(joined).room_version().as_deref(), Some("I.2")),
                _ => assert_eq!(joined.unwrap().room_version, version),
            }
        }
    }
}
