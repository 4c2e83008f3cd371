//! Joining a room.

use comity_core::{
    api::SendJoin,
    call::Part,
    endpoint::Content,
    event::Pdu,
    json::{Object, Value},
};
use proptest::{
    collection::vec,
    option,
    prelude::{any, prop_oneof},
    strategy::{BoxedStrategy, Just, Strategy},
};

use crate::{ReplySample, Sample, extra_query, identifier, json};

impl Sample for SendJoin {
    fn requests() -> BoxedStrategy<Self> {
        let event = prop_oneof![
            json::event().prop_filter_map("not an event", |value| Pdu::judge(value).ok()),
            json::object().prop_filter_map("not an event", |value| Pdu::judge(value).ok()),
        ];
        (
            identifier(),
            identifier(),
            event,
            option::of(any::<bool>()),
            extra_query(),
        )
            .prop_map(
                |(room_id, event_id, event, omit_members, extra_query)| Self {
                    room_id,
                    event_id,
                    event,
                    omit_members,
                    extra_query,
                },
            )
            .boxed()
    }

    fn contents() -> BoxedStrategy<Content> {
        let event = json::event()
            .prop_map(|value| Object::from_value(&value).map_or(Content::Absent, Content::Json));
        let content = json::hostile(vec![("content", json::object()), ("type", json::value())]);
        prop_oneof![4 => event, 4 => content.prop_map(Content::Json), 1 => Just(Content::Absent)]
            .boxed()
    }

    fn replies() -> BoxedStrategy<ReplySample> {
        let servers = json::strings();
        let members = json::hostile(vec![
            ("event", json::event()),
            (
                "members_omitted",
                any::<bool>().prop_map(Value::boolean).boxed(),
            ),
            ("servers_in_room", servers),
        ]);
        (
            members,
            option::of(vec(json::event(), 0..8)),
            option::of(vec(json::event(), 0..8)),
            any::<u64>(),
        )
            .prop_map(|(members, auth_chain, state, order)| {
                stream(
                    &members,
                    vec![("auth_chain", auth_chain), ("state", state)],
                    order,
                )
            })
            .boxed()
    }
}

/// Arrays and members in any order: members may stand before, between and behind the arrays.
fn stream(
    members: &Object,
    arrays: Vec<(&'static str, Option<Vec<Value>>)>,
    order: u64,
) -> ReplySample {
    let mut pieces: Vec<Vec<Part>> = members
        .members()
        .filter(|(name, _)| !SendJoin::ARRAYS.contains(&name.as_ref()))
        .map(|(name, value)| {
            vec![Part::Member {
                name: name.into_owned(),
                value,
            }]
        })
        .collect();
    for (array, items) in arrays {
        // A streamed array's name may stand for something else; it is a member like others then.
        let odd = Part::Member {
            name: array.to_owned(),
            value: Value::null(),
        };
        match items {
            Some(items) => pieces.push(
                std::iter::once(Part::Array(array))
                    .chain((0..).zip(items).map(|(index, value)| Part::Item {
                        array,
                        index,
                        value,
                    }))
                    .collect(),
            ),
            None if order.is_multiple_of(3) => pieces.push(vec![odd]),
            None => {}
        }
    }
    let mut parts = Vec::new();
    let mut order = order;
    while !pieces.is_empty() {
        let left = pieces.len() as u64;
        parts.extend(pieces.remove((order % left) as usize));
        order = order.rotate_right(7) ^ left;
    }
    ReplySample::Events(parts)
}
