//! What is known of a server's keys, whether that is enough, and which of two documents counts.

use std::collections::BTreeSet;

use super::{FetchedKeys, KeyFault, KeyRingOptions, key_of};
use crate::{
    auth::{KeyId, ServerKeys, VerifyKey},
    transport::BINDINGS_MEMBER,
};

/// Longest time for which what a document says of bindings counts, in milliseconds: a day.
pub(super) const MAX_OFFER_MS: i64 = 24 * 60 * 60 * 1000;

/// Longest reason that is kept: it may hold what a peer wrote.
const MAX_REASON: usize = 300;

/// What is known of a server's keys. A fetch that fails takes nothing away.
#[derive(Debug)]
pub(super) struct Known {
    /// The last good document.
    pub(super) document: Option<FetchedKeys>,
    /// Whether the server itself gave that document, and not a notary.
    pub(super) direct: bool,
    /// When it was last found to be still right: fetched, or confirmed by what the server itself says.
    right_at: i64,
    /// Whether the last fetch got a document, of notaries only.
    relayed: bool,
    /// Why the last fetch brought nothing, if it did not.
    failure: Option<String>,
    /// How many fetches in a row brought no document that counts.
    failures: u32,
    /// When the last fetch was.
    asked_at: i64,
}

/// A document that was fetched, and from whom.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) keys: ServerKeys,
    /// Whether the server itself gave it, over a connection to it.
    pub(super) direct: bool,
}

impl Known {
    /// A document that was kept by a store.
    pub(super) fn stored(document: FetchedKeys, direct: bool) -> Self {
        Self {
            asked_at: document.at,
            right_at: document.at,
            document: Some(document),
            direct,
            relayed: false,
            failure: None,
            failures: 0,
        }
    }

    /// Nothing, and why nobody was asked.
    pub(super) fn nothing(why: &str, now: i64) -> Self {
        Self::after(None, Err(why.to_owned()), now)
    }

    /// What is known after a fetch.
    pub(super) fn after(before: Option<&Self>, fetched: Result<Found, String>, now: i64) -> Self {
        let known = before.and_then(|before| before.document.clone());
        let was_direct = before.is_some_and(|before| before.direct);
        let relayed = matches!(&fetched, Ok(found) if !found.direct);
        let mut right_at = before.map_or(now, |before| before.right_at);
        let (document, direct, failure) = match (fetched, known) {
            (Ok(found), known) => {
                let new = FetchedKeys {
                    keys: found.keys.into(),
                    at: now,
                };
                match known {
                    Some(known) if found.direct && confirms(&new, &known, now) => {
                        right_at = now;
                        (Some(known), true, None)
                    }
                    Some(known) if !replaces((&new, found.direct), (&known, was_direct), now) => {
                        let why = "the document that was fetched does not take the known one's place: it is older, or no known key signed it";
                        (Some(known), was_direct, Some(why.into()))
                    }
                    _ => {
                        right_at = now;
                        (Some(new), found.direct, None)
                    }
                }
            }
            (Err(why), known) => (known, was_direct, Some(cut(why))),
        };
        let good = failure.is_none() && document.as_ref().is_some_and(|new| counts(new, now));
        let failures = before.map_or(0, |before| before.failures);
        Self {
            document,
            direct,
            right_at,
            relayed,
            failure,
            failures: if good { 0 } else { failures.saturating_add(1) },
            asked_at: now,
        }
    }

    /// The same, if its document was fetched or confirmed at a time that is still to come, as the clock was set back: as if that had been now. Otherwise it
    /// would count for seven days from that time on.
    pub(super) fn set_back(&self, now: i64) -> Option<Self> {
        let document = self.document.as_ref();
        let document = document.filter(|document| document.at > now || self.right_at > now)?;
        Some(Self {
            document: Some(FetchedKeys {
                keys: document.keys.clone(),
                at: document.at.min(now),
            }),
            direct: self.direct,
            right_at: self.right_at.min(now),
            relayed: self.relayed,
            failure: self.failure.clone(),
            failures: self.failures,
            asked_at: self.asked_at.min(now),
        })
    }

    /// Whether the last fetch gave the document, and did not only confirm it.
    pub(super) fn is_news(&self) -> bool {
        let document = self.document.as_ref();
        self.failure.is_none() && document.is_some_and(|document| document.at == self.asked_at)
    }

    /// Until when what the document says of bindings counts: for a day after it was found to be right.
    pub(super) fn offers_until(&self, now: i64) -> i64 {
        let document = self.document.as_ref();
        let until = document.map_or(i64::MIN, |document| valid_until(document, now));
        until.min(self.right_at.min(now).saturating_add(MAX_OFFER_MS))
    }

    pub(super) fn key(&self, key: &KeyId, now: i64) -> Result<VerifyKey, KeyFault> {
        let found = match &self.document {
            Some(document) if counts(document, now) => key_of(&document.keys, key, now),
            _ => Err(KeyFault::Expired),
        };
        found.map_err(|fault| self.fault(fault))
    }

    /// Why there is no key: if nobody could be asked, that.
    pub(super) fn fault(&self, fault: KeyFault) -> KeyFault {
        match &self.failure {
            Some(why) => KeyFault::Unreachable(why.clone()),
            None => fault,
        }
    }

    /// Whether the server may be asked again. A clock that was set back counts like one that went on.
    pub(super) fn may_ask(&self, options: &KeyRingOptions, now: i64) -> bool {
        let wait = match self.failures {
            0 => options.interval,
            failures => {
                let doublings = (failures - 1).min(20);
                let wait = options.retry_first.saturating_mul(1 << doublings);
                wait.min(options.retry_most)
            }
        };
        let since = u128::from(now.abs_diff(self.asked_at));
        since >= wait.as_millis()
    }

    /// Whether somebody may be asked for something else than the last fetch was for: notaries give what they are asked for, or have kept.
    pub(super) fn may_ask_otherwise(&self, options: &KeyRingOptions, now: i64) -> bool {
        self.relayed || self.may_ask(options, now)
    }

    /// Nobody is asked again at once, whatever for.
    pub(super) fn settle(&mut self) {
        self.relayed = false;
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn weight(&self) -> u32 {
        let document = self.document.as_ref().map_or(0, |document| {
            let keys = &document.keys;
            let count = keys.verify_keys.len() + keys.old_verify_keys.len();
            // An entry holds the key decompressed, its ID, its signature and its place in a tree.
            keys.document().len() + count * 512
        });
        u32::try_from(document + 512).unwrap_or(u32::MAX)
    }
}

/// What a document has to be like.
#[derive(Debug, Clone, Default)]
pub(in crate::auth) struct Need {
    /// The keys that it lists.
    pub(in crate::auth) keys: BTreeSet<KeyId>,
    /// Current keys only, not former ones.
    pub(in crate::auth) current: bool,
    /// Until when it says that it is valid, at least.
    pub(in crate::auth) valid_until: i64,
    /// How long ago it was fetched at most.
    pub(in crate::auth) age: Age,
}

/// How old a document may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::auth) enum Age {
    /// As old as its validity lets it.
    #[default]
    Valid,
    /// Less than half of the time for which it counts, from when it was found to be right (Server-Server API, "Querying keys through another server").
    Young,
    /// Found to be right a day ago at most.
    Day,
}

impl Need {
    /// Whether what meets this need meets the other one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.keys.is_superset(&other.keys)
            && (self.current || !other.current)
            && self.valid_until >= other.valid_until
            && (self.age == other.age || other.age == Age::Valid)
    }

    pub(super) fn met_by(&self, known: &Known, now: i64) -> bool {
        let Some(document) = &known.document else {
            return false;
        };
        let keys = &document.keys;
        let lists = |key: &KeyId| match self.current {
            true => keys.verify_keys.contains_key(key),
            false => keys.lists(key),
        };
        let right_at = known.right_at.min(now);
        let young = match self.age {
            Age::Valid => true,
            Age::Young => {
                let until = valid_until(document, now);
                now < right_at.saturating_add(until.saturating_sub(right_at) / 2)
            }
            Age::Day => now < right_at.saturating_add(MAX_OFFER_MS),
        };
        counts(document, now)
            && young
            && keys.valid_until_ts >= self.valid_until
            && self.keys.iter().all(lists)
    }
}

/// Until when a document counts. A clock may be set back while it is looked at.
pub(super) fn valid_until(document: &FetchedKeys, now: i64) -> i64 {
    document.keys.valid_until(document.at.min(now))
}

pub(super) fn counts(document: &FetchedKeys, now: i64) -> bool {
    valid_until(document, now) >= now
}

/// Whether a document takes the place of the one that is known; each with whether the server itself gave it. Anyone on the way can replay an old one, so
/// mostly the later validity decides; but
/// - a notary is believed about a known server only what a known key has signed: any other document, it could have made itself;
/// - a document that lists a key as former is newer than one that lists it as current, but a notary's does not gainsay the server itself;
/// - what the server itself says now counts, if it has other keys: it may have lost the old ones.
fn replaces(
    (new, direct): (&FetchedKeys, bool),
    (known, was_direct): (&FetchedKeys, bool),
    now: i64,
) -> bool {
    if !direct && !may_be_relayed(&new.keys, known, now) {
        return false;
    }
    let better = counts(new, now) && !counts(known, now);
    match (
        retires(&new.keys, &known.keys),
        retires(&known.keys, &new.keys),
    ) {
        (true, false) => true,
        (false, true) => direct && (better || !was_direct && counts(new, now)),
        // Neither, or each the other's: the server went back to a former key.
        _ => {
            let other_keys = new.keys.verify_keys != known.keys.verify_keys;
            new.keys.valid_until_ts >= known.keys.valid_until_ts
                || better
                || (direct && other_keys && counts(new, now))
        }
    }
}

/// Whether what the server itself says now, of an earlier end, is what is known: it has shortened its validity, or a cache on its side is slow. The known
/// document stays, as the server has said it, and is right again; so it need not be taken for a failure, and its bindings count for another day.
fn confirms(new: &FetchedKeys, known: &FetchedKeys, now: i64) -> bool {
    let bindings = |keys: &ServerKeys| {
        let list = keys.member(BINDINGS_MEMBER);
        list.map(|list| list.as_text().to_owned())
    };
    counts(new, now)
        && counts(known, now)
        && new.keys.valid_until_ts < known.keys.valid_until_ts
        && new.keys.verify_keys == known.keys.verify_keys
        && new.keys.old_verify_keys == known.keys.old_verify_keys
        && bindings(&new.keys) == bindings(&known.keys)
}

/// Whether a notary may give this document of a server of which another is known: while that one counts, one of its current keys has to have signed this one.
/// A signature by a key that the document itself brings shows nothing, and neither does it that it lists the known keys.
pub(super) fn may_be_relayed(new: &ServerKeys, known: &FetchedKeys, now: i64) -> bool {
    !counts(known, now) || new.is_signed_by(&known.keys.verify_keys)
}

/// Whether `one` lists as former a key that is current in `other`.
fn retires(one: &ServerKeys, other: &ServerKeys) -> bool {
    other.verify_keys.iter().any(|(id, key)| {
        let former = one.old_verify_keys.get(id);
        former.is_some_and(|former| former.key == *key) && !one.verify_keys.contains_key(id)
    })
}

fn cut(mut why: String) -> String {
    if why.len() > MAX_REASON {
        let end = (0..=MAX_REASON)
            .rev()
            .find(|&at| why.is_char_boundary(at))
            .unwrap_or(0);
        why.truncate(end);
    }
    why
}
