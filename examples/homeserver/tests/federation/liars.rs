//! A server that lies to one that joins through it.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use comity_core::{
    api::{
        self, Invite, InviteReply, MakeJoin, MakeJoinReply, Membership, SendJoin, SendJoinReply,
    },
    auth::SigningKey,
    call::{Arrival, Authenticated, EventReply},
    error::FederationError,
    event::{Pdu, add_signature},
    json::{Json, Object, Value},
};
use comity_homeserver::{ActionError, Homeserver, Joined, Versions};
use serde_json::json;

use crate::setting::{House, Street, object, topic};

type Lie<T> = Box<dyn Fn(T) -> T + Send + Sync>;

/// An honest server's answers, altered.
struct Liar {
    honest: Homeserver,
    template: Lie<Object>,
    version: Lie<Option<String>>,
    state: Lie<Vec<Pdu>>,
    /// Of the event that was given and the one that an honest server gives back.
    invite: Box<dyn Fn(Pdu, Pdu) -> Pdu + Send + Sync>,
    /// With this key it vouches for users who join, and gives their join back.
    key: Arc<OnceLock<Arc<SigningKey>>>,
    join: Box<dyn Fn(Pdu, Pdu) -> Pdu + Send + Sync>,
}

impl Liar {
    fn new(honest: &Homeserver) -> Self {
        Self {
            honest: honest.clone(),
            template: Box::new(|truth| truth),
            version: Box::new(|truth| truth),
            state: Box::new(|truth| truth),
            invite: Box::new(|_, truth| truth),
            key: Arc::default(),
            join: Box::new(|_, truth| truth),
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
        mut request: SendJoin,
    ) -> Result<SendJoinReply, FederationError> {
        let given = request.event.clone();
        if let Some(key) = self.key.get() {
            let version = Versions::matrix().get("12").unwrap().format.clone();
            request.event = add_signature(&*version, &given, self.honest.name(), key).unwrap();
        }
        let vouched = request.event.clone();
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
        let mut members = reply.finish().await.unwrap();
        if self.key.get().is_some() {
            members.event = Some(Json::from_value((self.join)(given, vouched).into_value()));
        }
        let arrays = vec![("auth_chain", chain), ("state", (self.state)(state))];
        Ok(EventReply::new(arrays, members))
    }

    async fn invite(
        &self,
        cx: &Authenticated,
        request: Invite,
    ) -> Result<InviteReply, FederationError> {
        let given = request.event.clone();
        let mut reply = Membership::invite(&self.honest, cx, request).await?;
        reply.event = (self.invite)(given, reply.event);
        Ok(reply)
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

/// The event with another member.
fn with(event: &Pdu, name: &str, value: serde_json::Value) -> Pdu {
    let value = Value::from_serialize(&value).unwrap();
    Pdu::judge(event.object().with_member(name, &value).to_value()).unwrap()
}

#[tokio::test]
async fn an_invite_that_the_invited_server_did_not_sign_is_not_sent() {
    let of_another = |given: Pdu, _| {
        let mut signatures = given
            .get("signatures")
            .unwrap()
            .to::<serde_json::Value>()
            .unwrap();
        signatures["one.example"] = signatures["two.example"].clone();
        with(&given, "signatures", signatures)
    };
    let lies: [Box<dyn Fn(Pdu, Pdu) -> Pdu + Send + Sync>; 2] =
        [Box::new(|given, _| given), Box::new(of_another)];
    for lie in lies {
        let (one, two) = lied_to(|liar| liar.invite = lie);
        let (alice, bob) = (one.user("alice"), two.user("bob"));
        let room = two.public_room(&bob, "12");
        let before = two.state(&room);
        let error = two.server.invite(&room, &bob, &alice).await.unwrap_err();
        assert!(bad_answer(&error).contains("one.example"), "{error}");
        assert_eq!(two.state(&room), before);
    }
}

#[tokio::test]
async fn what_the_invited_server_alters_besides_its_signature_is_not_taken() {
    let (one, two) = lied_to(|liar| {
        liar.invite = Box::new(|_, signed| {
            let altered = with(
                &signed,
                "content",
                json!({"membership": "invite", "reason": "?"}),
            );
            with(&altered, "unsigned", json!({"age": 1}))
        });
    });
    let (alice, bob) = (one.user("alice"), two.user("bob"));
    let room = two.public_room(&bob, "12");
    let sent = two.server.invite(&room, &bob, &alice).await.unwrap();
    let pdu = sent.event.pdu();
    assert_eq!(pdu.content().unwrap().text(), r#"{"membership":"invite"}"#);
    assert_eq!(pdu.get("unsigned"), None);
    // The honest part of the liar has the same event.
    let invitation = one.server.invitations(&alice).remove(0);
    assert_eq!(invitation.event, *pdu);
}

/// Joins a room through a server that vouches for the user, and does this to the join that it gives back.
async fn join_vouched(
    lie: impl Fn(Pdu, Pdu) -> Pdu + Send + Sync + 'static,
) -> Result<Joined, ActionError> {
    let key = Arc::new(OnceLock::new());
    let liars = key.clone();
    let (one, two) = lied_to(|liar| {
        liar.key = liars;
        liar.template = Box::new(|truth| {
            let content = json!({
                "join_authorised_via_users_server": "@alice:one.example",
                "membership": "join",
                "reason": "why not",
            });
            truth.with_member("content", &object(content).to_value())
        });
        liar.join = Box::new(lie);
    });
    key.set(one.key.clone()).unwrap();
    let room = one.public_room(&one.user("alice"), "12");
    two.server.join(&room, &two.user("bob"), one.name()).await
}

#[tokio::test]
async fn a_join_that_another_server_vouches_for_stays_ours_and_needs_its_signature() {
    let altered = |_, signed: Pdu| {
        let content = json!({
            "join_authorised_via_users_server": "@alice:one.example",
            "membership": "join",
        });
        with(&signed, "content", content)
    };
    let honest = join_vouched(|_, signed| signed).await.unwrap().event;
    let altered = join_vouched(altered).await.unwrap().event;
    for event in [honest, altered] {
        let pdu = event.pdu();
        assert!(
            pdu.get("signatures")
                .unwrap()
                .to_string()
                .contains("one.example")
        );
        assert!(pdu.content().unwrap().get("reason").is_some(), "{pdu:?}");
    }
    let error = join_vouched(|given, _| given).await.unwrap_err();
    assert!(
        bad_answer(&error).contains("one.example did not sign it"),
        "{error}"
    );
}
