//! Questions about this server's users and aliases.

use async_trait::async_trait;
use comity_core::{
    api::{Queries, QueryDirectory, QueryDirectoryReply, QueryProfile, QueryProfileReply},
    call::Authenticated,
    error::FederationError,
};
use ruma_common::UserId;
use ruma_events::StateEventType;

use crate::{Homeserver, homeserver::lock};

#[async_trait]
impl Queries for Homeserver {
    /// An alias of this server stands for the room whose `m.room.canonical_alias` it is: there is no other list of them.
    async fn query_directory(
        &self,
        _: &Authenticated,
        request: QueryDirectory,
    ) -> Result<QueryDirectoryReply, FederationError> {
        let alias = &request.room_alias;
        let ours = alias
            .split_once(':')
            .is_some_and(|(_, server)| server == self.name().as_str());
        let rooms = self.rooms().into_iter().filter(|_| ours);
        let mut found = rooms.filter_map(|id| {
            self.with_room(&id, |room| {
                let event = room.state().get(&StateEventType::RoomCanonicalAlias, "")?;
                let said = room.said(StateEventType::RoomCanonicalAlias, "alias");
                // Anyone may say in a room of their own that it is called by a name of ours.
                let is_it = self.is_ours(event.sender()) && said.as_ref() == Some(alias);
                let is_here = room.state().has_server(self.name());
                (is_it && is_here).then(|| QueryDirectoryReply {
                    room_id: id.to_string(),
                    servers: room.state().servers().map(ToString::to_string).collect(),
                    ..QueryDirectoryReply::default()
                })
            })?
        });
        found
            .next()
            .ok_or_else(|| FederationError::not_found(format!("no room is called {alias:?} here")))
    }

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
