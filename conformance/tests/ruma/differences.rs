//! What is known to differ between ruma and us, and why.

/// A difference as the test words it, and its reason.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[
    // Lost on the way back, and of no meaning.
    (
        "DownloadMedia, request with the default in words: query parameter `timeout_ms` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "GetMissingEvents, request with defaults in words: member `limit` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "GetMissingEvents, request with defaults in words: member `min_depth` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "QueryKeys, reply with empty maps: member `master_keys` is lost",
        "ruma leaves out an empty map, which means as much",
    ),
    (
        "QueryKeys, reply with empty maps: member `self_signing_keys` is lost",
        "ruma leaves out an empty map, which means as much",
    ),
    (
        "SendJoin, reply with all of the state: member `members_omitted` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "SendJoin, request with all of the state: query parameter `omit_members` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "SendTransaction, request with an empty list of EDUs: member `edus` is lost",
        "ruma leaves out an empty list, which means as much",
    ),
    (
        "DownloadMedia, reply of unknown type: Blob(BlobSample { metadata: {}, source: Here { content_type: None, content_disposition: None }, pieces: [b\"\"] }) became Blob(BlobSample { metadata: {}, source: Here { content_type: Some(\"application/octet-stream\"), content_disposition: None }, pieces: [b\"\"] })",
        "ruma writes the default for a type that is not known",
    ),
    (
        "DownloadThumbnail, reply of unknown type: Blob(BlobSample { metadata: {}, source: Here { content_type: None, content_disposition: None }, pieces: [b\"\"] }) became Blob(BlobSample { metadata: {}, source: Here { content_type: Some(\"application/octet-stream\"), content_disposition: None }, pieces: [b\"\"] })",
        "ruma writes the default for a type that is not known",
    ),
    (
        "GetHierarchy, request of all in words: query parameter `suggested_only` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "GetHierarchy, reply small: member `room`: \"{\\\"children_state\\\":[],\\\"guest_can_join\\\":true,\\\"join_rule\\\":\\\"public\\\",\\\"num_joined_members\\\":0,\\\"room_id\\\":\\\"!r\\\",\\\"world_readable\\\":true}\" became \"{\\\"children_state\\\":[],\\\"guest_can_join\\\":true,\\\"num_joined_members\\\":0,\\\"room_id\\\":\\\"!r\\\",\\\"world_readable\\\":true}\"",
        "ruma leaves out a join rule that is the default",
    ),
    (
        "GetPublicRooms, reply public: member `chunk`: \"[{\\\"guest_can_join\\\":false,\\\"join_rule\\\":\\\"public\\\",\\\"num_joined_members\\\":37,\\\"room_id\\\":\\\"!r:a.example\\\",\\\"world_readable\\\":true}]\" became \"[{\\\"guest_can_join\\\":false,\\\"num_joined_members\\\":37,\\\"room_id\\\":\\\"!r:a.example\\\",\\\"world_readable\\\":true}]\"",
        "ruma leaves out a join rule that is the default",
    ),
    (
        "GetPublicRooms, request with the default in words: query parameter `include_all_networks` is lost",
        "ruma leaves out what is the default",
    ),
    (
        "GetPublicRooms, reply empty: member `total_room_count_estimate` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    (
        "GetPublicRooms, reply public: member `total_room_count_estimate` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    (
        "QueryPublicRooms, reply empty: member `next_batch` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    (
        "QueryPublicRooms, reply empty: member `prev_batch` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    (
        "QueryPublicRooms, reply empty: member `total_room_count_estimate` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    (
        "MakeLeave, reply without a version: member `room_version` is added: \"null\"",
        "ruma writes `null` for what is absent; we keep it as a member that means nothing",
    ),
    // Taken by us though the specification asks for more, because servers in use send less or the value means nothing.
    (
        "Backfill, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `origin` at line 1 column 11",
        "the specification requires it; it says nothing that the caller does not know, so we bear that it is missing",
    ),
    (
        "GetEvent, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `origin` at line 1 column 314",
        "the specification requires it; it says nothing that the caller does not know, so we bear that it is missing",
    ),
    (
        "SendTransaction, request as little as we take: ruma refuses our request: deserialization failed: missing field `origin` at line 1 column 11",
        "the specification requires it; the signature says who sends, so we bear that it is missing",
    ),
    (
        "QueryKeys, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `device_keys` at line 1 column 2",
        "the specification requires it; servers in Go write `null` or nothing for an empty map",
    ),
    (
        "ClaimKeys, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `one_time_keys` at line 1 column 2",
        "as of device keys; refused, the keys that were given away would be lost",
    ),
    // Narrower in ruma than in the specification, or wrong.
    (
        "MakeLeave, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `event` at line 1 column 2",
        "ruma requires what the specification does not",
    ),
    (
        "GetEventByTimestamp, request before the epoch: ruma refuses our request: deserialization failed: invalid digit found in string",
        "an integer of the specification may be negative; ruma takes unsigned ones only",
    ),
    (
        "InviteV1, request with the whole event: member `room_id` is lost",
        "the content is an event; ruma knows the members that the specification shows, and none of its others",
    ),
    (
        "ExchangeThirdPartyInvite, request full: member `room_id` is lost",
        "the specification requires it, and ruma does not write it: we read what comes without",
    ),
    (
        "GetPublicRooms, request of all networks: query parameter `include_all_networks` is lost",
        "ruma does not read the word `true` of a query here",
    ),
    (
        "QueryCustom, request with a parameter twice: ruma refuses our request: deserialization failed: unsupported value",
        "ruma keeps one value of each name",
    ),
    (
        "MakeJoin, reply as little as we take: ruma refuses our reply: deserialization failed: missing field `event` at line 1 column 2",
        "ruma requires what the specification does not",
    ),
    (
        "Invite, request without state: ruma refuses our request: deserialization failed: missing field `invite_room_state` at line 1 column 206",
        "ruma requires what the specification does not",
    ),
    (
        "Backfill, request of fewer than none: ruma refuses our request: deserialization failed: invalid digit found in string",
        "an integer of the specification may be negative; ruma takes unsigned ones only",
    ),
    (
        "SendTransaction, request with a percent sign: we refuse ruma's request: 400 M_INVALID_PARAM: the target holds a percent sign without two hexadecimal digits",
        "ruma does not escape a percent sign in a path parameter: nobody can read what it writes",
    ),
];

/// Operations of the table that ruma has no type for.
pub(crate) const NOT_IN_RUMA: &[(&str, &str)] = &[
    ("SendJoinV1", "v1.18 took it out of the specification"),
    ("SendLeaveV1", "v1.18 took it out of the specification"),
    ("GetServerKeysById", "v1.6 took it out of the specification"),
    (
        "QueryServerKeysById",
        "v1.6 took it out of the specification",
    ),
    ("DownloadMediaLegacy", "it belongs to the Client-Server API"),
    (
        "DownloadThumbnailLegacy",
        "it belongs to the Client-Server API",
    ),
];
