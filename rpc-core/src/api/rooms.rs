//! Finding rooms (SS "Published Room Directory", "Spaces").
//!
//! What is said of one room stays canonical text ([`Json`]), read as a [`RoomSummary`] on demand: a summary that is malformed, or says more than
//! this version knows, troubles no other.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

use crate::{
    call::{Alternative, Endpoint, MessageForm, SizeLimits},
    endpoint::{Content, EndpointParts, PathTemplate, Query},
    error::FederationError,
    json::{Json, Members, Object, ObjectWriter, ReadError, Value},
};

/// Asks for the rooms that the server publishes in its directory.
///
/// Duties: the receiver lists rooms of its own directory only, never those of other servers. The caller trusts no summary more than the server
/// that gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetPublicRooms {
    /// Most rooms to give. As many as there are if it is absent or 0.
    pub limit: Option<i64>,
    /// Where to go on: `next_batch` or `prev_batch` of an earlier reply.
    pub since: Option<String>,
    /// Whether rooms of all networks that the server's application services bridge are listed too. False if absent.
    pub include_all_networks: Option<bool>,
    /// The one network whose rooms are listed, if not all of them are.
    pub third_party_instance_id: Option<String>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetPublicRooms {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/publicRooms");

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        if let Some(limit) = self.limit {
            query.push("limit", limit.to_string());
        }
        if let Some(since) = &self.since {
            query.push("since", since);
        }
        if let Some(all) = self.include_all_networks {
            query.push("include_all_networks", all.to_string());
        }
        if let Some(network) = &self.third_party_instance_id {
            query.push("third_party_instance_id", network);
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: Vec::new(),
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            limit: extra_query.take_integer("limit")?,
            since: extra_query.take("since"),
            include_all_networks: extra_query.take_boolean("include_all_networks")?,
            third_party_instance_id: extra_query.take("third_party_instance_id"),
            extra_query,
        })
    }
}

/// Asks for those of the rooms in the server's directory that pass a filter.
///
/// Duties: as of `GetPublicRooms`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryPublicRooms {
    /// Most rooms to give. As many as the server likes if absent.
    pub limit: Option<i64>,
    /// Where to go on: `next_batch` or `prev_batch` of an earlier reply.
    pub since: Option<String>,
    /// Which rooms to give. All if absent.
    pub filter: Option<Json<PublicRoomsFilter>>,
    /// Whether rooms of all networks that the server's application services bridge are listed too. False if absent.
    pub include_all_networks: Option<bool>,
    /// The one network whose rooms are listed, if not all of them are.
    pub third_party_instance_id: Option<String>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

/// Which rooms of a directory to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicRoomsFilter {
    /// Text to look for in a room's name, topic and alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generic_search_term: Option<String>,
    /// The types of room to give: null among them stands for rooms without a type. All if absent.
    #[serde(
        default,
        deserialize_with = "bounded",
        skip_serializing_if = "Option::is_none"
    )]
    pub room_types: Option<Vec<Option<String>>>,
}

impl Endpoint for QueryPublicRooms {
    const METHOD: &'static str = "POST";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/publicRooms");

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.integer_opt("limit", self.limit);
        object.string_opt("since", self.since.as_deref());
        object.value_opt("filter", self.filter.as_ref().map(Json::value));
        object.boolean_opt("include_all_networks", self.include_all_networks);
        object.string_opt(
            "third_party_instance_id",
            self.third_party_instance_id.as_deref(),
        );
        object.members(&self.extra);
        EndpointParts {
            path: Vec::new(),
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        Ok(Self {
            // Servers in use write these two as strings ("true", "20"); such a value stays among the unknown members.
            limit: reader.try_integer("limit"),
            include_all_networks: reader.try_boolean("include_all_networks"),
            since: reader.string_opt("since")?,
            filter: reader.object_opt("filter")?.map(Json::from_value),
            third_party_instance_id: reader.string_opt("third_party_instance_id")?,
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// Rooms of a directory, and where to go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublicRoomsReply {
    /// The rooms, in the server's order.
    pub chunk: Vec<Json<RoomSummary>>,
    /// Where to go on. Absent at the end.
    pub next_batch: Option<String>,
    /// Where to go back to. Absent at the beginning.
    pub prev_batch: Option<String>,
    /// About how many rooms the directory has.
    pub total_room_count_estimate: Option<i64>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for PublicRoomsReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.array("chunk", values(&self.chunk));
        object.string_opt("next_batch", self.next_batch.as_deref());
        object.string_opt("prev_batch", self.prev_batch.as_deref());
        object.integer_opt("total_room_count_estimate", self.total_room_count_estimate);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            chunk: summaries(reader.array("chunk")?),
            // Absence is how a list ends, and servers write that as `null` too; it stays among the others.
            next_batch: reader.try_string("next_batch"),
            prev_batch: reader.try_string("prev_batch"),
            total_room_count_estimate: reader.try_integer("total_room_count_estimate"),
            extra: reader.rest(),
        })
    }
}

/// What a server says of a room to those who may join it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room.
    pub room_id: String,
    /// How many have joined it.
    pub num_joined_members: i64,
    /// Whether its messages may be read without joining.
    pub world_readable: bool,
    /// Whether guests may join it.
    pub guest_can_join: bool,
    /// Its main alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// URL of its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// Who may join it: `public`, `knock`, `restricted` and so on. `public` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_rule: Option<String>,
    /// What kind of room it is: `m.space`. Absent of one for conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// The rooms whose members may join it, if its join rule names some.
    #[serde(
        default,
        deserialize_with = "bounded",
        skip_serializing_if = "Option::is_none"
    )]
    pub allowed_room_ids: Option<Vec<String>>,
    /// The algorithm that its messages are encrypted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_version: Option<String>,
    /// In a hierarchy, the space's `m.space.child` events, stripped: type, state key, sender, time and content of each.
    #[serde(
        default,
        deserialize_with = "bounded",
        skip_serializing_if = "Option::is_none"
    )]
    pub children_state: Option<Vec<Value>>,
}

/// Asks for a space and the rooms in it.
///
/// Duties: the receiver tells what the calling *server* may see or join, not one user; the caller leaves out what its user may not. A room that is
/// `inaccessible_children` here is taken to be so everywhere and is not asked for again. Replies may be kept for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetHierarchy {
    /// The space.
    pub room_id: String,
    /// Whether only rooms that the space suggests are given. False if absent.
    pub suggested_only: Option<bool>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for GetHierarchy {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/hierarchy/{roomId}");
    const ALTERNATIVES: &'static [Alternative] = &[Alternative {
        method: "GET",
        path: PathTemplate::new(
            "/_matrix/federation/unstable/org.matrix.msc2946/hierarchy/{roomId}",
        ),
    }];

    fn write(&self) -> EndpointParts {
        let mut query = Query::new();
        if let Some(suggested) = self.suggested_only {
            query.push("suggested_only", suggested.to_string());
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.room_id.clone()],
            query,
            content: Content::Absent,
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            room_id: parts.path_parameter(0).to_owned(),
            suggested_only: extra_query.take_boolean("suggested_only")?,
            extra_query,
        })
    }
}

/// A space and the rooms in it, one level deep.
#[derive(Clone, Debug, PartialEq)]
pub struct GetHierarchyReply {
    /// The space itself, with its `children_state`.
    pub room: Json<RoomSummary>,
    /// The rooms in it that the calling server may see or join.
    pub children: Vec<Json<RoomSummary>>,
    /// Those that it may not. What the receiver does not know stands in neither list.
    pub inaccessible_children: Option<Vec<String>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

impl MessageForm for GetHierarchyReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value("room", self.room.value());
        object.array("children", values(&self.children));
        let inaccessible = self.inaccessible_children.as_ref();
        object.strings_opt("inaccessible_children", inaccessible);
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            room: Json::from_value(reader.object("room")?),
            children: summaries(reader.array("children")?),
            // Servers in Go write an empty list as `null`; it stays among the unknown members.
            inaccessible_children: reader.try_strings("inaccessible_children"),
            extra: reader.rest(),
        })
    }
}

fn summaries(values: Vec<Value>) -> Vec<Json<RoomSummary>> {
    values.into_iter().map(Json::from_value).collect()
}

fn values<T>(list: &[Json<T>]) -> impl Iterator<Item = Value> {
    list.iter().map(|element| element.value().clone())
}

/// A list within a summary or filter, if it is there: those of the message itself are counted by the row's limit, this one only here.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    const LIMIT: usize = SizeLimits::DEFAULT.elements;
    struct List<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {LIMIT} elements")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == LIMIT {
                    return Err(A::Error::custom(format_args!(
                        "a list of more than {LIMIT} elements"
                    )));
                }
                list.push(element);
            }
            Ok(Some(list))
        }
    }
    deserializer.deserialize_any(List(PhantomData))
}
