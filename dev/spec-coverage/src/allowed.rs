//! Known errors of the specification and decided deviations: a list with a reason each, in which every entry has to be of use.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::compare::Difference;

/// A difference that is as it should be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    /// Method and path as the specification writes them.
    endpoint: String,
    /// The difference, word for word; one `*` stands for any text.
    what: String,
    /// Why.
    reason: String,
}

/// The list that is kept beside the sources.
///
/// # Errors
/// It is not of its form, or an entry gives no reason.
pub(crate) fn list() -> Result<Vec<Allowed>, String> {
    parse(include_str!("../allowed.json"))
}

fn parse(text: &str) -> Result<Vec<Allowed>, String> {
    let list: Vec<Allowed> =
        serde_json::from_str(text).map_err(|error| format!("allowed.json: {error}"))?;
    match list.iter().find(|entry| entry.reason.len() < 20) {
        Some(entry) => Err(format!("allowed.json: {} has no reason", entry.endpoint)),
        None => Ok(list),
    }
}

impl Allowed {
    fn is_of(&self, difference: &Difference) -> bool {
        if self.endpoint != difference.endpoint {
            return false;
        }
        match self.what.split_once('*') {
            None => self.what == difference.what,
            Some((before, behind)) => {
                difference.what.len() >= before.len() + behind.len()
                    && difference.what.starts_with(before)
                    && difference.what.ends_with(behind)
            }
        }
    }
}

/// What is left of differences that no entry allows, what the entries allow, and the entries that allow nothing.
pub(crate) struct Judged {
    pub(crate) disallowed: Vec<Difference>,
    pub(crate) allowed: Vec<String>,
    pub(crate) useless: Vec<String>,
}

/// Judges every difference by the list.
pub(crate) fn judge(differences: Vec<Difference>, list: &[Allowed]) -> Judged {
    let mut used = BTreeSet::new();
    let mut judged = Judged {
        disallowed: Vec::new(),
        allowed: Vec::new(),
        useless: Vec::new(),
    };
    for difference in differences {
        match list.iter().position(|entry| entry.is_of(&difference)) {
            Some(place) => {
                used.insert(place);
                judged
                    .allowed
                    .push(format!("{difference}: {}", list[place].reason));
            }
            None => judged.disallowed.push(difference),
        }
    }
    for (place, entry) in list.iter().enumerate() {
        if !used.contains(&place) {
            judged
                .useless
                .push(format!("{}: {}", entry.endpoint, entry.what));
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_allows_what_it_names_and_one_that_names_nothing_is_useless() {
        let list = parse(
            r#"[
                {"endpoint": "GET /a", "what": "is *", "reason": "long enough to be one"},
                {"endpoint": "GET /b", "what": "is so", "reason": "long enough to be one"}
            ]"#,
        )
        .unwrap();
        let difference = |endpoint: &str, what: &str| Difference {
            endpoint: endpoint.to_owned(),
            what: what.to_owned(),
        };
        let judged = judge(
            vec![
                difference("GET /a", "is so"),
                difference("GET /b", "is not so"),
            ],
            &list,
        );
        assert_eq!(judged.allowed.len(), 1);
        assert_eq!(judged.disallowed, [difference("GET /b", "is not so")]);
        assert_eq!(judged.useless, ["GET /b: is so"]);
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        assert!(parse(r#"[{"endpoint": "a", "what": "b", "reason": ""}]"#).is_err());
        assert!(list().is_ok());
    }
}
