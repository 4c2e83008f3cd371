//! The bindings that a signed document lists.

use async_trait::async_trait;

use super::{
    KeyRing,
    known::{Age, MAX_OFFER_MS, Need, valid_until},
};
use crate::{
    ServerName,
    auth::FetchedKeys,
    transport::{BINDINGS_MEMBER, Offer, Offered, Offers},
};

#[async_trait]
impl Offers for KeyRing {
    fn source(&self) -> &'static str {
        "signed"
    }

    /// The bindings that the server's signed document lists; `None` if it says nothing of them, or none was to be had.
    async fn offered(&self, destination: &ServerName) -> Option<Offered> {
        let need = Need {
            age: Age::Day,
            ..Need::default()
        };
        let document = match self.given(destination) {
            Some(keys) => FetchedKeys {
                keys,
                at: (self.options.now)(),
            },
            None => self.look_up(destination, &need).await.document.clone()?,
        };
        let now = (self.options.now)();
        let day = document.at.min(now).saturating_add(MAX_OFFER_MS);
        let until = valid_until(&document, now).min(day);
        if until <= now {
            return None;
        }
        let list = document.keys.member(BINDINGS_MEMBER)?;
        Some(Offered {
            offers: Offer::read_list(&list),
            until,
        })
    }
}
