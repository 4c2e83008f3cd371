//! Messages of the group `Membership`.

mod invite;
mod join;
mod knock;
mod leave;
mod third_party;

use bytes::Bytes;
use comity_core::endpoint::Content;

use crate::content::ContentFields;

/// The content of a request that is one event, for a field that holds it whole: `Some(None)` if there was no body; `None` if it is no
/// JSON, which no message carries.
fn event_field(content: &Content) -> Option<Option<Bytes>> {
    match content {
        Content::Absent => Some(None),
        Content::Json(object) => Some(Some(object.text().clone())),
        Content::Opaque { .. } => None,
    }
}

/// The content that such a field stands for.
fn event_content(event: Option<&Bytes>) -> ContentFields<'_> {
    match event {
        Some(text) => ContentFields::Whole {
            name: "event",
            text,
        },
        None => ContentFields::Absent,
    }
}
