//! A server that lies to one that joins through it.

use async_trait::async_trait;
use comity_core::{
    api::{self, MakeJoin, MakeJoinReply, Membership, SendJoin, SendJoinReply},
    call::{Arrival, Authenticated, EventReply},
    error::FederationError,
    event::Pdu,
    json::{Json, Object, Value},
};
use comity_homeserver::{ActionError, Homeserver};
use serde_json::json;

use crate::setting::{House, Street, object, topic};

type Lie<T> = Box<dyn Fn(T) -> T + Send + Sync>;

/// An honest server's answers, altered.
struct Liar {
    honest: Homeserver,
    template: Lie<Object>,
    version: Lie<Option<String>>,
    state: Lie<Vec<Pdu>>,
}

impl Liar {
    fn new(honest: &Homeserver) -> Self {
        Self {
            honest: honest.clone(),
            template: Box::new(|truth| truth),
            version: Box::new(|truth| truth),
            state: Box::new(|truth| truth),
        }
    }
}

#[async_trait]
impl Membership for Liar {
    async fn make_join(
        &self,
        cx: &Authenticated,
        request: MakeJoin,
    ) -> Result<MakeJoinReply, FederationError> {
        let mut reply = self.honest.make_join(cx, request).await?;
        let template = Object::from_value(reply.event.unwrap().value()).unwrap();
        reply.event = Some(Json::from_value((self.template)(template).to_value()));
        reply.room_version = (self.version)(reply.room_version);
        Ok(reply)
    }

    async fn send_join(
        &self,
        cx: &Authenticated,
        request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let mut reply = self.honest.send_join(cx, request).await?;
        let (mut state, mut chain) = (Vec::new(), Vec::new());
        while let Some(arrival) = reply.next().await {
            let Ok(Arrival::Item { array, item }) = arrival else {
                panic!("an honest server gives events");
            };
            match array {
                "state" => state.push(item),
                _ => chain.push(item),
            }
        }
        let members = reply.finish().await.unwrap();
        let arrays = vec![("auth_chain", chain), ("state", (self.state)(state))];
        Ok(EventReply::new(arrays, members))
    }
}

/// A server that lies and one that would join.
fn lied_to(lie: impl FnOnce(&mut Liar)) -> (House, House) {
    let street = Street::default();
    let one = street.move_in_with("one.example", |server| {
        let mut liar = Liar::new(server);
        lie(&mut liar);
        api::membership(std::sync::Arc::new(liar))
    });
    (one, street.move_in("two.example"))
}

fn bad_answer(error: &ActionError) -> &str {
    match error {
        ActionError::BadAnswer { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_template_of_another_event_is_not_signed() {
    let string = Value::string;
    let ban = object(json!({"membership": "ban"})).to_value();
    for (name, member, value) in [
        ("room_id", "room_id", string("!elsewhere")),
        ("sender", "sender", string("@carol:two.example")),
        ("state_key", "state_key", string("@carol:two.example")),
        ("type", "type", string("m.room.power_levels")),
        ("membership", "content", ban),
    ] {
        let (one, two) = lied_to(|liar| {
            liar.template = Box::new(move |truth| truth.with_member(member, &value));
        });
        let room = one.public_room(&one.user("alice"), "12");
        let before = one.state(&room);
        let joined = two.server.join(&room, &two.user("bob"), one.name()).await;
        let error = joined.unwrap_err();
        assert!(bad_answer(&error).contains(name), "{error}");
        assert_eq!(one.state(&room), before);
    }
}

#[tokio::test]
async fn a_room_of_another_version_than_was_said_is_not_joined() {
    let (one, two) = lied_to(|liar| liar.version = Box::new(|_| Some("11".to_owned())));
    let room = one.public_room(&one.user("alice"), "12");
    let joined = two.server.join(&room, &two.user("bob"), one.name()).await;
    let error = joined.unwrap_err();
    assert!(matches!(error, ActionError::BadAnswer { .. }), "{error:?}");
    assert!(two.server.with_room(&room, |_| ()).is_none());
}

#[tokio::test]
async fn a_state_without_the_create_event_makes_no_room() {
    let (one, two) = lied_to(|liar| {
        let is_create = |event: &Pdu| event.event_type().as_deref() == Some("m.room.create");
        liar.state = Box::new(move |mut state| {
            state.retain(|event| !is_create(event));
            state
        });
    });
    let room = one.public_room(&one.user("alice"), "12");
    let joined = two.server.join(&room, &two.user("bob"), one.name()).await;
    let error = joined.unwrap_err();
    assert!(bad_answer(&error).contains("m.room.create"), "{error}");
}

#[tokio::test]
async fn state_events_that_are_forged_or_not_allowed_are_left_out() {
    let street = Street::default();
    let forged = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let added = forged.clone();
    let one = street.move_in_with("one.example", |server| {
        let mut liar = Liar::new(server);
        liar.state = Box::new(move |mut state| {
            state.extend(added.lock().unwrap().iter().cloned());
            state
        });
        api::membership(std::sync::Arc::new(liar))
    });
    let two = street.move_in("two.example");
    let (alice, eve) = (one.user("alice"), one.user("eve"));
    let room = one.public_room(&alice, "12");
    let levels = ("m.room.power_levels", "");
    // Of a user who never joined, well signed; of one who did, signed by nobody's key.
    let (_, of_stranger) = one.forge(&room, &topic(&eve, "mine"), None, &[levels]);
    let unsigned = one.unsigned(&room, &topic(&two.user("bob"), "his"), None, &[levels]);
    let (_, of_nobody) = one.sign(&room, &unsigned);
    *forged.lock().unwrap() = vec![of_stranger, of_nobody];
    let joined = two.server.join(&room, &two.user("bob"), one.name()).await;
    let refused = joined.unwrap().refused;
    assert_eq!(refused.count, 2, "{refused:?}");
    let named = refused.named.join("\n");
    assert!(named.contains("auth events do not allow it"), "{named}");
    assert!(named.contains("two.example did not sign it"), "{named}");
    assert_eq!(one.state(&room), two.state(&room));
}
