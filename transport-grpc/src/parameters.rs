//! From a query to a message's fields and back.

use comity_core::endpoint::Query;
use comity_proto::QueryParameter;

/// Takes known parameters off the front of a query, so that fields and the rest give the same list back.
///
/// A parameter that stands elsewhere, or is not written as we write it, stays among the rest.
#[derive(Debug)]
pub struct QueryReader<'q> {
    left: Vec<(&'q str, &'q str)>,
}

impl<'q> QueryReader<'q> {
    /// The parameters of a query.
    pub fn new(query: &'q Query) -> Self {
        let mut left: Vec<_> = query.iter().collect();
        left.reverse();
        Self { left }
    }

    /// `true` or `false`, if it is the next parameter.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.next(name, |value| match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// An integer, if it is the next parameter.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        self.next(name, |value| {
            value
                .parse()
                .ok()
                .filter(|number: &i64| number.to_string() == value)
        })
    }

    /// Any text, if it is the next parameter.
    pub fn string(&mut self, name: &str) -> Option<String> {
        self.next(name, |value| Some(value.to_owned()))
    }

    /// The values of all the next parameters of this name.
    pub fn strings(&mut self, name: &str) -> Vec<String> {
        std::iter::from_fn(|| self.string(name)).collect()
    }

    /// The parameters that were not taken.
    pub fn rest(self) -> Vec<QueryParameter> {
        let rest = self.left.into_iter().rev();
        rest.map(|(name, value)| QueryParameter {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect()
    }

    fn next<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let (_, value) = self.left.last().filter(|(known, _)| *known == name)?;
        let read = read(value)?;
        self.left.pop();
        Some(read)
    }
}

/// A known parameter whose field is set, as [`query_of`] takes it.
pub(crate) fn known<T: ToString>(name: &str, field: Option<T>) -> Option<(&str, String)> {
    field.map(|value| (name, value.to_string()))
}

/// The query that a message's fields give back: the known parameters that are set, in the order of their fields, then the rest.
/// What a [`QueryReader`] took apart comes back as it was.
pub fn query_of<'n>(
    known: impl IntoIterator<Item = (&'n str, String)>,
    rest: &[QueryParameter],
) -> Query {
    let mut query = Query::default();
    for (name, value) in known {
        query.push(name, value);
    }
    for parameter in rest {
        query.push(parameter.name.as_str(), parameter.value.as_str());
    }
    query
}
