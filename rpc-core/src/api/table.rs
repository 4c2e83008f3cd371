//! The table of operations, whole: a row is found by looking down one file, and a group's rows stand together, so it is not cut at any number of lines.

/// The table: hands every row of every group to the macro `$then`.
///
/// A row: who is authenticated (`none`, `server` or `token`), method name, request type, reply type, facts. The facts are fields of
/// [`OperationSpec`](crate::call::OperationSpec); consumers that do not need them skip them as `$($facts:tt)*`.
#[macro_export]
macro_rules! operations {
    ($then:path) => {
        $then! {
            /// What a server says of itself.
            group Server server {
                /// Reports the server's implementation name and version. Never to be used to detect features.
                none get_version: $crate::api::GetVersion => $crate::api::GetVersionReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }
            }

            /// The keys that servers sign with. Unauthenticated, as their replies are self-signed.
            group Keys keys {
                /// Gives the server's own signing keys, signed by each of them.
                none get_server_keys: $crate::api::GetServerKeys => $crate::api::GetServerKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Gives the keys of another server as this one knows them, with its own signature added.
                none query_server_keys: $crate::api::QueryServerKeys => $crate::api::QueryServerKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives the keys of several other servers as this one knows them, with its own signature added.
                none batch_query_server_keys: $crate::api::BatchQueryServerKeys => $crate::api::QueryServerKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::DEFAULT,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives the server's own signing keys, whichever of them was named.
                none get_server_keys_by_id: $crate::api::GetServerKeysById => $crate::api::GetServerKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0".."v1.6")],
                }

                /// Gives the keys of another server, one of them named, as this one knows them, with its own signature added.
                none query_server_keys_by_id: $crate::api::QueryServerKeysById => $crate::api::QueryServerKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0".."v1.6")],
                }
            }

            /// Pushing events to the servers of a room.
            group Transactions transactions {
                /// Pushes up to 50 PDUs and 100 EDUs. A fault of one PDU is a result, not an error.
                server send_transaction: $crate::api::SendTransaction => $crate::api::SendTransactionReply {
                    idempotency: Keyed { by: "txnId" },
                    flow: OnePerDestination,
                    reply: Message,
                    limits: $crate::call::SizeLimits::DEFAULT,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Items,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }
            }

            /// Pulling events and state.
            group Events events {
                /// Gives one event.
                server get_event: $crate::api::GetEvent => $crate::api::GetEventReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Streams the events of a room's state before an event, and of its auth chain.
                server get_state: $crate::api::GetState => $crate::api::GetStateReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::GetState::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks { head: ::core::time::Duration::from_secs(600), ..$crate::call::Clocks::DEFAULT },
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Streams the IDs of the events of a room's state before an event, and of its auth chain.
                server get_state_ids: $crate::api::GetStateIds => $crate::api::GetStateIdsReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::GetStateIds::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        403 M_FORBIDDEN "the origin may not see the room, or not as it was at the event",
                        404 M_NOT_FOUND "the receiver does not know the event, or too little of the room to know the state at it",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Streams the auth chain of an event.
                server get_event_auth: $crate::api::GetEventAuth => $crate::api::GetEventAuthReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::GetEventAuth::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Walks back from the given events and streams what it meets, themselves among it.
                server backfill: $crate::api::Backfill => $crate::api::BackfillReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::Backfill::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Walks back from `latest_events` towards `earliest_events` and gives what lies between.
                server get_missing_events: $crate::api::GetMissingEvents => $crate::api::GetMissingEventsReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Finds the event of a room that is closest to a time.
                server get_event_by_timestamp: $crate::api::GetEventByTimestamp => $crate::api::GetEventByTimestampReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        404 M_NOT_FOUND "the receiver knows no event of the room at the time or in that direction from it",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("v1.6"..), Ietf("00"..)],
                }
            }

            /// Joining, leaving, knocking, inviting.
            group Membership membership {
                /// Asks for a join event to fill in, sign and hand over.
                server make_join: $crate::api::MakeJoin => $crate::api::MakeJoinReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(20),
                    errors: [
                        400 M_INCOMPATIBLE_ROOM_VERSION "the room's version is none of `versions`: the error holds it as its member `room_version`",
                        400 M_UNABLE_TO_AUTHORISE_JOIN "the room lets in members of other rooms, and the receiver cannot tell whether the user is one: another server in the room may know",
                        400 M_UNABLE_TO_GRANT_JOIN "the room would let the user in, but none of the receiver's users may invite to it: another server in the room may have one who may",
                        403 M_FORBIDDEN "the room does not let the user in, or the user is not of the calling server",
                        404 M_NOT_FOUND "the receiver is not in the room",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Hands over a signed join event and streams back the room's state before it, with its auth chain.
                server send_join: $crate::api::SendJoin => $crate::api::SendJoinReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::SendJoin::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks { head: ::core::time::Duration::from_secs(600), ..$crate::call::Clocks::DEFAULT },
                    errors: [
                        400 M_INVALID_PARAM "the event is no join to this room, or has another ID",
                        400 M_MISSING_PARAM "the event lacks something that a join has",
                        400 M_UNABLE_TO_AUTHORISE_JOIN "the room lets in members of other rooms, and the receiver cannot tell whether the user is one: another server in the room may know",
                        400 M_UNABLE_TO_GRANT_JOIN "the room would let the user in, but the receiver cannot sign for the user that the event names as granting it",
                        403 M_FORBIDDEN "the room does not let the user in, or the user is not of the calling server",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// The first version of handing over a join event, for servers that lack the second.
                server send_join_v1: $crate::api::SendJoinV1 => $crate::api::SendJoinReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Events { arrays: $crate::api::SendJoinV1::ARRAYS },
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks { head: ::core::time::Duration::from_secs(600), ..$crate::call::Clocks::DEFAULT },
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0".."v1.18")],
                }

                /// Asks for a knock event to fill in, sign and hand over.
                server make_knock: $crate::api::MakeKnock => $crate::api::MakeKnockReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(20),
                    errors: [
                        400 M_INCOMPATIBLE_ROOM_VERSION "the room's version is none of `versions`: the error holds it as its member `room_version`",
                        403 M_FORBIDDEN "the room does not let the user knock, or the user is not of the calling server",
                        404 M_NOT_FOUND "the receiver is not in the room",
                    ],
                    server_acl: Room,
                    editions: [Matrix("v1.1"..), Ietf("00"..)],
                }

                /// Hands over a signed knock event and gives what the user may be told of the room.
                server send_knock: $crate::api::SendKnock => $crate::api::SendKnockReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_INVALID_PARAM "the event is no knock on this room by a user of the calling server, or has another ID",
                        403 M_FORBIDDEN "the room does not let the user knock",
                        404 M_NOT_FOUND "the receiver is not in the room",
                    ],
                    server_acl: Room,
                    editions: [Matrix("v1.1"..), Ietf("00"..)],
                }

                /// Hands over a signed invite and gives it back with the invited user's server's signature.
                server invite: $crate::api::Invite => $crate::api::InviteReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_INCOMPATIBLE_ROOM_VERSION "the receiver does not support the room's version: the error holds it as its member `room_version`",
                        400 M_INVALID_PARAM "the event is no invite of a user of the receiver, or has another ID, or `invite_room_state` does not hold full events with the create event among them",
                        400 M_MISSING_PARAM "the create event is missing from `invite_room_state`: some servers say this for `M_INVALID_PARAM`",
                        403 M_FORBIDDEN "the invite is not allowed, or the receiver takes none from this server",
                        403 M_INVITE_BLOCKED "the invited user wants no invites, or none from this user",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// The first version of handing over an invite, for servers that lack the second and rooms of version `1` or `2`.
                server invite_v1: $crate::api::InviteV1 => $crate::api::InviteReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_INVALID_PARAM "the event is no invite of a user of the receiver, or has another ID, or `invite_room_state` does not hold full events with the create event among them",
                        403 M_FORBIDDEN "the invite is not allowed, or the receiver takes none from this server",
                        403 M_INVITE_BLOCKED "the invited user wants no invites, or none from this user",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..)],
                }

                /// Asks for a leave event to fill in, sign and hand over.
                server make_leave: $crate::api::MakeLeave => $crate::api::MakeLeaveReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(20),
                    errors: [
                        403 M_FORBIDDEN "the user is neither in the room nor invited nor knocking, or is not of the calling server",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// Hands over a signed leave event.
                server send_leave: $crate::api::SendLeave => $crate::api::SendLeaveReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_INVALID_PARAM "the event is no leave from this room by a user of the calling server, or has another ID",
                    ],
                    server_acl: Room,
                    editions: [Matrix("r0"..), Ietf("00"..)],
                }

                /// The first version of handing over a leave event, for servers that lack the second.
                server send_leave_v1: $crate::api::SendLeaveV1 => $crate::api::SendLeaveReply {
                    idempotency: Keyed { by: "eventId" },
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Room,
                    editions: [Matrix("r0".."v1.18")],
                }

                /// Asks a server in the room to invite the user whom a third-party identifier turned out to belong to.
                server exchange_third_party_invite: $crate::api::ExchangeThirdPartyInvite => $crate::api::ExchangeThirdPartyInviteReply {
                    idempotency: None,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }
            }

            /// Finding rooms.
            group Rooms rooms {
                /// Lists the rooms that the server publishes.
                server get_public_rooms: $crate::api::GetPublicRooms => $crate::api::PublicRoomsReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Lists those of the rooms that the server publishes that pass a filter.
                server query_public_rooms: $crate::api::QueryPublicRooms => $crate::api::PublicRoomsReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives a space and the rooms in it.
                server get_hierarchy: $crate::api::GetHierarchy => $crate::api::GetHierarchyReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        404 M_NOT_FOUND "the receiver does not know the room, or the calling server could neither see nor join it",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("v1.2"..)],
                }
            }

            /// Questions about the server's users and aliases, and of any other kind.
            group Queries queries {
                /// Gives the room that an alias stands for.
                server query_directory: $crate::api::QueryDirectory => $crate::api::QueryDirectoryReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::short(10),
                    errors: [
                        404 M_NOT_FOUND "there is no such alias",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives the profile of a user, or one field of it.
                server query_profile: $crate::api::QueryProfile => $crate::api::QueryProfileReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        403 M_FORBIDDEN "the receiver does not show this profile to other servers, nor whether there is one",
                        404 M_NOT_FOUND "there is no such user, or no such field in the profile",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Answers a query of any other type.
                server query_custom: $crate::api::QueryCustom => $crate::api::QueryCustomReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }
            }

            /// Keys of users' devices, for end-to-end encryption.
            group Devices devices {
                /// Gives the device keys and cross-signing keys of users.
                server query_keys: $crate::api::QueryKeys => $crate::api::QueryKeysReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::DEFAULT,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives away one-time keys of devices, each of them once.
                server claim_keys: $crate::api::ClaimKeys => $crate::api::ClaimKeysReply {
                    idempotency: None,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::DEFAULT,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Gives all devices of a user.
                server get_user_devices: $crate::api::GetUserDevices => $crate::api::GetUserDevicesReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::short(30),
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }
            }

            /// Files that users uploaded to the server.
            group Media media {
                /// Gives one of the server's own files, or the URL where it can be fetched.
                server download_media: $crate::api::DownloadMedia => $crate::call::Blob {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Blob,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        429 M_LIMIT_EXCEEDED "the calling server asks for too many files",
                        502 M_TOO_LARGE "the file is larger than the receiver hands out",
                        504 M_NOT_YET_UPLOADED "the file's ID is reserved, and its content did not come within `timeout_ms`",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("v1.11"..)],
                }

                /// Gives a smaller picture of one of the server's own files, or the URL where it can be fetched.
                server download_thumbnail: $crate::api::DownloadThumbnail => $crate::call::Blob {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Blob,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_UNKNOWN "the wanted size makes no sense, or the receiver can make no picture of the file",
                        413 M_TOO_LARGE "the file is larger than the receiver makes pictures of",
                        429 M_LIMIT_EXCEEDED "the calling server asks for too many files",
                        502 M_TOO_LARGE "the file is larger than the receiver makes pictures of, and lies elsewhere",
                        504 M_NOT_YET_UPLOADED "the file's ID is reserved, and its content did not come within `timeout_ms`",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("v1.11"..)],
                }

                /// Gives a file to whoever asks, as before v1.11. Only ever the end of a fallback.
                none download_media_legacy: $crate::api::DownloadMediaLegacy => $crate::call::Body {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Body,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        404 M_NOT_FOUND "there is no such file, or the receiver serves it to nobody any more without a proof",
                        429 M_LIMIT_EXCEEDED "the caller asks for too many files",
                        502 M_TOO_LARGE "the file is larger than the receiver hands out",
                        504 M_NOT_YET_UPLOADED "the file's ID is reserved, and its content did not come within `timeout_ms`",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("r0".."v1.11")],
                }

                /// Gives a smaller picture of a file to whoever asks, as before v1.11. Only ever the end of a fallback.
                none download_thumbnail_legacy: $crate::api::DownloadThumbnailLegacy => $crate::call::Body {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Body,
                    limits: $crate::call::SizeLimits { request: 64 << 10, ..$crate::call::SizeLimits::DEFAULT },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        400 M_UNKNOWN "the wanted size makes no sense, or the receiver can make no picture of the file",
                        404 M_NOT_FOUND "there is no such file, or the receiver serves it to nobody any more without a proof",
                        413 M_TOO_LARGE "the file is larger than the receiver makes pictures of",
                        429 M_LIMIT_EXCEEDED "the caller asks for too many files",
                        502 M_TOO_LARGE "the file is larger than the receiver makes pictures of, and lies elsewhere",
                        504 M_NOT_YET_UPLOADED "the file's ID is reserved, and its content did not come within `timeout_ms`",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("r0".."v1.11")],
                }
            }

            /// Asking whether an event may be sent to a room.
            group Policy policy {
                /// Signs an event, as the policy server of its room.
                server policy_sign: $crate::api::PolicySign => $crate::api::PolicySignReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::SMALL },
                    clocks: $crate::call::Clocks::short(30),
                    errors: [
                        400 M_BAD_JSON "the event lacks something that events of the room's version have",
                        400 M_FORBIDDEN "the policy server refuses to sign the event: this is final",
                        400 M_NOT_JSON "the request is not JSON",
                        403 M_FORBIDDEN "the room's server ACL denies the calling server, if the policy server knows that ACL",
                        404 M_NOT_FOUND "the policy server does not know the room, or does not protect it",
                        404 M_UNRECOGNIZED "the receiver is no policy server",
                        429 M_LIMIT_EXCEEDED "the calling server asks for too many signatures",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("v1.18"..)],
                }
            }

            /// Calls of servers that are no homeservers.
            group ThirdParty third_party {
                /// Tells whom an OpenID token was given to.
                token get_open_id_user_info: $crate::api::GetOpenIdUserInfo => $crate::api::GetOpenIdUserInfoReply {
                    idempotency: Safe,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits::SMALL,
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [
                        401 M_UNKNOWN_TOKEN "the receiver did not give out the token, or it has expired",
                    ],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }

                /// Takes note that an address belongs to a user of the server, and of the invites that wait for it.
                none notify_third_party_bind: $crate::api::NotifyThirdPartyBind => $crate::api::NotifyThirdPartyBindReply {
                    idempotency: None,
                    flow: Concurrent,
                    reply: Message,
                    limits: $crate::call::SizeLimits { request: 1 << 20, ..$crate::call::SizeLimits::SMALL },
                    clocks: $crate::call::Clocks::DEFAULT,
                    errors: [],
                    server_acl: Unchecked,
                    editions: [Matrix("r0"..)],
                }
            }
        }
    };
}
