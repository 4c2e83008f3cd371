//! Questions about this server's users.

use async_trait::async_trait;
use comity_core::{
    api::{Queries, QueryProfile, QueryProfileReply},
    call::Authenticated,
    error::FederationError,
};
use ruma_common::UserId;

use crate::{Homeserver, homeserver::lock};

#[async_trait]
impl Queries for Homeserver {
    async fn query_profile(
        &self,
        _: &Authenticated,
        request: QueryProfile,
    ) -> Result<QueryProfileReply, FederationError> {
        let user = UserId::parse(&request.user_id)
            .map_err(|_| FederationError::invalid_param("`user_id` is no user ID"))?;
        let users = lock(&self.shared.users);
        let user = users
            .get(&user)
            .ok_or_else(|| FederationError::not_found(format!("{user} is no user here")))?;
        let asked_for = |name: &str| request.field.as_deref().is_none_or(|field| field == name);
        Ok(QueryProfileReply {
            displayname: user
                .display_name
                .clone()
                .filter(|_| asked_for("displayname")),
            avatar_url: user.avatar_url.clone().filter(|_| asked_for("avatar_url")),
            ..QueryProfileReply::default()
        })
    }
}
