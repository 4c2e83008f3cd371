//! The bindings that a signed document lists.

use async_trait::async_trait;

use super::{
    KeyRing,
    known::{Age, MAX_OFFER_MS, Need},
};
use crate::{
    ServerName,
    transport::{BINDINGS_MEMBER, Offer, Offered, Offers},
};

#[async_trait]
impl Offers for KeyRing {
    fn source(&self) -> &'static str {
        "signed"
    }

    fn is_signed(&self) -> bool {
        true
    }

    /// The bindings that the server's signed document lists; `None` if it says nothing of them, or none was to be had.
    async fn offered(&self, destination: &ServerName) -> Option<Offered> {
        let need = Need {
            age: Age::Day,
            ..Need::default()
        };
        let (keys, until) = match self.given(destination) {
            Some(keys) => {
                let now = (self.options.now)();
                let until = keys.valid_until(now);
                (keys, until.min(now.saturating_add(MAX_OFFER_MS)))
            }
            None => {
                let known = self.look_up(destination, &need).await;
                let until = known.offers_until((self.options.now)());
                (known.document.as_ref()?.keys.clone(), until)
            }
        };
        if until <= (self.options.now)() {
            return None;
        }
        let list = keys.member(BINDINGS_MEMBER)?;
        Some(Offered {
            offers: Offer::read_list(&list),
            until,
        })
    }
}
