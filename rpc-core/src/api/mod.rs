//! The Federation API: every operation, by group.
//!
//! [`operations!`](crate::operations) is the only list of operations in the workspace. It is a callback macro: whoever needs
//! something for each operation passes it the name of a macro that takes all rows. [`define_operations!`](crate::define_operations)
//! is such a macro; it writes the group traits, the routes, the list and the typed client calls. A third party
//! runs it over a list of its own and registers the result beside ours.

mod devices;
mod events;
mod keys;
mod media;
mod membership;
mod queries;
mod server;
mod timestamps;
mod transactions;

pub use devices::{ByDevice, ClaimKeys, ClaimKeysReply, QueryKeys, QueryKeysReply};
pub use events::{
    Backfill, BackfillMembers, BackfillReply, GetEvent, GetEventAuth, GetEventAuthReply,
    GetEventReply, GetMissingEvents, GetMissingEventsReply, GetState, GetStateIds,
    GetStateIdsReply, GetStateReply, NoMembers,
};
pub use keys::{GetServerKeys, GetServerKeysReply};
pub use media::DownloadMedia;
pub use membership::{
    ExchangeThirdPartyInvite, ExchangeThirdPartyInviteReply, Invite, InviteReply, InviteV1,
    MakeJoin, MakeJoinReply, MakeKnock, MakeKnockReply, MakeLeave, MakeLeaveReply, MemberFault,
    SendJoin, SendJoinMembers, SendJoinReply, SendJoinV1, SendKnock, SendKnockReply, SendLeave,
    SendLeaveReply, SendLeaveV1, SignedThirdPartyInvite, Template, TemplateFault, ThirdPartyInvite,
    ThirdPartyInviteContent,
};
pub use queries::{QueryProfile, QueryProfileReply};
pub use server::{GetVersion, GetVersionReply, ServerVersion};
pub use timestamps::{Direction, GetEventByTimestamp, GetEventByTimestampReply};
pub use transactions::{PduResult, SendTransaction, SendTransactionReply};

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
                    editions: [Matrix("r0"..)],
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

            /// Questions about the server's users.
            group Queries queries {
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
            }
        }
    };
}

/// From rows to code: implements [`Operation`](crate::call::Operation) for each request, and writes one trait per group
/// (every method answering "unrecognized" by default), a function per group that gives its routes, `operations()`, and the trait
/// `Calls` with one typed method per operation for [`Client`](crate::Client).
#[macro_export]
macro_rules! define_operations {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty {
                    idempotency: $idempotency:ident $({ $($key:tt)* })?,
                    flow: $flow:ident,
                    reply: $shape:ident $({ $($arrays:tt)* })?,
                    limits: $limits:expr,
                    clocks: $clocks:expr,
                    errors: [$($status:literal $errcode:ident $when:literal),* $(,)?],
                    server_acl: $acl:ident,
                    editions: [$($edition:ident($since:literal.. $($until:literal)?)),* $(,)?] $(,)?
                }
            )*
        }
    )*) => {
        $($(
            impl $crate::call::Operation for $Request {
                type Reply = $Reply;
                const SPEC: &'static $crate::call::OperationSpec = &$crate::call::OperationSpec {
                    name: $crate::table_support::type_name(stringify!($Request)),
                    group: stringify!($Group),
                    authentication: $crate::authentication!($auth),
                    idempotency: $crate::call::Idempotency::$idempotency $({ $($key)* })?,
                    flow: $crate::call::Flow::$flow,
                    reply: $crate::call::ReplyShape::$shape $({ $($arrays)* })?,
                    limits: $limits,
                    clocks: $clocks,
                    errors: &[$( $crate::call::DocumentedError {
                        http_status: $status,
                        errcode: stringify!($errcode),
                        when: $when,
                    } ),*],
                    server_acl: $crate::call::AclDuty::$acl,
                    editions: &[$( $crate::call::EditionSpan {
                        edition: $crate::call::Edition::$edition,
                        since: $since,
                        until: $crate::until!($($until)?),
                    } ),*],
                };
            }
        )*)*

        $(
            $(#[$group_doc])*
            #[$crate::table_support::async_trait]
            pub trait $Group: Send + Sync + 'static {
                $(
                    $(#[$doc])*
                    ///
                    /// # Errors
                    /// What the receiver answers instead; by default 404 `M_UNRECOGNIZED`.
                    async fn $method(
                        &self,
                        cx: &$crate::context!($auth),
                        request: $Request,
                    ) -> Result<$Reply, $crate::error::FederationError> {
                        let _ = (cx, request);
                        Err($crate::error::FederationError::unrecognized())
                    }
                )*
            }

            /// The routes of this group, to register with a [`Router`](crate::Router).
            pub fn $routes<S: $Group>(service: ::std::sync::Arc<S>) -> Vec<$crate::Route> {
                vec![$(
                    $crate::Route::new::<S, $Request, $crate::context!($auth), _>(
                        service.clone(),
                        |service, cx, request| service.$method(cx, request),
                    )
                ),*]
            }
        )*

        /// Every operation of this list.
        pub fn operations() -> Vec<$crate::call::Op> {
            vec![$($( $crate::call::operation::<$Request>() ),*),*]
        }

        /// One typed method for each operation of this list.
        pub trait Calls {
            /// The client that sends them.
            fn client(&self) -> &$crate::Client;

            $($(
                $(#[$doc])*
                ///
                /// # Errors
                /// The peer's answer if it is an error, or what happened on the way.
                fn $method(
                    &self,
                    destination: &$crate::ServerName,
                    request: $Request,
                ) -> impl ::core::future::Future<Output = Result<$Reply, $crate::error::CallError>> + Send {
                    self.client().call(destination, request)
                }
            )*)*
        }

        impl Calls for $crate::Client {
            fn client(&self) -> &$crate::Client {
                self
            }
        }
    };
}

/// The end of a row's span of an edition.
#[doc(hidden)]
#[macro_export]
macro_rules! until {
    () => {
        None
    };
    ($until:literal) => {
        Some($until)
    };
}

/// A row's word for who is authenticated, as a value.
#[doc(hidden)]
#[macro_export]
macro_rules! authentication {
    (none) => {
        $crate::call::Authentication::None
    };
    (server) => {
        $crate::call::Authentication::Server
    };
    (token) => {
        $crate::call::Authentication::AccessToken
    };
}

/// A row's word for who is authenticated, as the type of context that its handler gets.
#[doc(hidden)]
#[macro_export]
macro_rules! context {
    (server) => {
        $crate::call::Authenticated
    };
    ($other:ident) => {
        $crate::call::CallContext
    };
}

crate::operations!(crate::define_operations);
