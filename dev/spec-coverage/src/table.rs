//! Our side: the rows of the table, and what their samples say of parameters and members.

use std::collections::{BTreeMap, BTreeSet};

use comity_conformance::{AnySample, Kind, Place, samples};
use comity_core::call::{Edition, EditionSpan, ReplyShape};

use crate::{
    operation::{Body, Operation},
    rows::{Row, rows},
    schema::{Member, Type},
};

/// An operation of the table.
pub(crate) struct Ours {
    pub(crate) operation: Operation,
    /// The release that took it out, if one did.
    pub(crate) until: Option<&'static str>,
    /// What a reply without it is refused for.
    pub(crate) reply_members: BTreeMap<String, Member>,
    pub(crate) row: Row,
    /// The arrays that a reply streams.
    pub(crate) arrays: &'static [&'static str],
}

/// Every operation that stands, or stood, in the Matrix specification.
pub(crate) fn operations() -> Vec<Ours> {
    let rows = samples().into_iter().zip(rows());
    rows.filter_map(|(sample, row)| ours(&sample, row))
        .collect()
}

fn ours(sample: &AnySample, row: Row) -> Option<Ours> {
    let op = sample.operation();
    let spec = op.spec();
    let EditionSpan { since, until, .. } = spec.edition(Edition::Matrix)?;
    let placed = |place| {
        let parameters = sample.parameters().iter();
        let placed = parameters.filter(move |parameter| parameter.place == place);
        placed.map(|parameter| (parameter.name.to_owned(), member(parameter)))
    };
    let members: BTreeMap<_, _> = placed(Place::Member).collect();
    let body = if placed(Place::Content).next().is_some() {
        Body::Event
    } else if !members.is_empty() {
        Body::Members(members)
    } else {
        Body::None
    };
    Some(Ours {
        operation: Operation {
            name: spec.name.to_owned(),
            method: op.method().to_owned(),
            path: op.path().to_string(),
            authentication: spec.authentication,
            query: placed(Place::Query).collect(),
            body,
            blob: spec.reply == ReplyShape::Blob,
            tuple: op.reply_in_tuple(),
            errors: spec
                .errors
                .iter()
                .map(|error| (error.http_status, error.errcode.to_owned()))
                .collect(),
            since: since.to_owned(),
        },
        until,
        reply_members: sample
            .reply_members()
            .iter()
            .map(|known| (known.name.to_owned(), member(known)))
            .collect(),
        row,
        arrays: match spec.reply {
            ReplyShape::Events { arrays } => arrays,
            _ => &[],
        },
    })
}

fn member(parameter: &comity_conformance::Parameter) -> Member {
    Member {
        required: parameter.required,
        ty: match parameter.kind {
            Kind::String | Kind::AccessToken | Kind::OneOf(_) => Type::String,
            Kind::Integer => Type::Integer,
            Kind::Boolean => Type::Boolean,
            Kind::Object | Kind::Event | Kind::Template => Type::Object,
            Kind::Array | Kind::Strings => Type::Array,
        },
        choices: match parameter.kind {
            Kind::OneOf(choices) => choices.iter().map(|one| (*one).to_owned()).collect(),
            _ => BTreeSet::new(),
        },
    }
}
