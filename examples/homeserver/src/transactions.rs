//! Events that other servers push.

use async_trait::async_trait;
use comity_core::{
    api::{SendTransaction, SendTransactionReply, Transactions},
    call::Authenticated,
    error::FederationError,
};

use crate::Homeserver;

#[async_trait]
impl Transactions for Homeserver {
    /// A transaction that comes again finds its events here and does nothing, so nothing has to be remembered of it. EDUs are taken, and lost:
    /// nobody here is to be shown who types.
    async fn send_transaction(
        &self,
        cx: &Authenticated,
        request: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        if request.pdus.len() > SendTransaction::MAX_PDUS {
            return Err(FederationError::bad_json(format!(
                "`pdus` has {} elements, over the limit of {} of a transaction",
                request.pdus.len(),
                SendTransaction::MAX_PDUS
            )));
        }
        // What is no event has no ID to report it under.
        let (pdus, bad): (Vec<_>, Vec<_>) = request.pdus.into_iter().partition(Result::is_ok);
        for bad in bad.into_iter().filter_map(Result::err) {
            tracing::debug!(origin = %cx.origin(), index = bad.index, fault = %bad.fault, "no event");
        }
        let pdus = pdus.into_iter().filter_map(Result::ok).collect();
        let results = self.receive(cx.origin(), pdus).await;
        self.saved().await?;
        Ok(SendTransactionReply::new(&results))
    }
}
