//! The Federation API: every operation, by group.
//!
//! [`operations!`](crate::operations), in `table`, is the only list of operations in the workspace. It is a callback macro: whoever needs
//! something for each operation passes it the name of a macro that takes all rows. [`define_operations!`](crate::define_operations),
//! in `define`, is such a macro; it writes the group traits, the routes, the list and the typed client calls. A third party
//! runs it over a list of its own and registers the result beside ours.

mod define;
mod devices;
mod events;
mod keys;
mod media;
mod membership;
mod policy;
mod queries;
mod rooms;
mod server;
mod table;
mod third_party;
mod timestamps;
mod transactions;

pub use devices::{
    ByDevice, ClaimKeys, ClaimKeysReply, GetUserDevices, GetUserDevicesReply, QueryKeys,
    QueryKeysReply, UserDevice,
};
pub use events::{
    Backfill, BackfillMembers, BackfillReply, GetEvent, GetEventAuth, GetEventAuthReply,
    GetEventReply, GetMissingEvents, GetMissingEventsReply, GetState, GetStateIds,
    GetStateIdsReply, GetStateReply, NoMembers,
};
pub use keys::{
    BatchQueryServerKeys, GetServerKeys, GetServerKeysById, GetServerKeysReply, KeyCriteria,
    QueryServerKeys, QueryServerKeysById, QueryServerKeysReply,
};
pub use media::{DownloadMedia, DownloadMediaLegacy, DownloadThumbnail, DownloadThumbnailLegacy};
pub use membership::{
    ExchangeThirdPartyInvite, ExchangeThirdPartyInviteReply, Invite, InviteReply, InviteV1,
    MakeJoin, MakeJoinReply, MakeKnock, MakeKnockReply, MakeLeave, MakeLeaveReply, MemberFault,
    SendJoin, SendJoinMembers, SendJoinReply, SendJoinV1, SendKnock, SendKnockReply, SendLeave,
    SendLeaveReply, SendLeaveV1, SignedThirdPartyInvite, Template, TemplateFault, ThirdPartyInvite,
    ThirdPartyInviteContent,
};
pub use policy::{PolicySign, PolicySignReply};
pub use queries::{
    QueryCustom, QueryCustomReply, QueryDirectory, QueryDirectoryReply, QueryProfile,
    QueryProfileReply,
};
pub use rooms::{
    GetHierarchy, GetHierarchyReply, GetPublicRooms, PublicRoomsFilter, PublicRoomsReply,
    QueryPublicRooms, RoomSummary,
};
pub use server::{GetVersion, GetVersionReply, ServerVersion};
pub use third_party::{
    BoundInvite, ForeignUser, GetOpenIdUserInfo, GetOpenIdUserInfoReply, NotifyThirdPartyBind,
    NotifyThirdPartyBindReply,
};
pub use timestamps::{Direction, GetEventByTimestamp, GetEventByTimestampReply};
pub use transactions::{PduResult, SendTransaction, SendTransactionReply};

crate::operations!(crate::define_operations);
