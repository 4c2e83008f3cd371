//! Streamed replies.

use comity_core::{
    call::Part,
    json::{Object, Value},
};
use proptest::{
    collection::vec,
    option,
    prelude::any,
    strategy::{BoxedStrategy, Strategy},
};

use crate::ReplySample;

/// Replies with these members and arrays in any order: each array there or not, members before, between and behind them.
pub(crate) fn streams(
    arrays: &'static [&'static str],
    element: BoxedStrategy<Value>,
    members: BoxedStrategy<Object>,
) -> BoxedStrategy<ReplySample> {
    let items = vec(option::of(vec(element, 0..8)), arrays.len());
    (members, items, any::<u64>())
        .prop_map(move |(members, items, order)| {
            stream(&members, arrays.iter().copied().zip(items).collect(), order)
        })
        .boxed()
}

fn stream(
    members: &Object,
    arrays: Vec<(&'static str, Option<Vec<Value>>)>,
    order: u64,
) -> ReplySample {
    let mut pieces: Vec<Vec<Part>> = members
        .members()
        .filter(|(name, _)| arrays.iter().all(|(array, _)| array != name))
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
