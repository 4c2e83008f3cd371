//! Why a message stands for no content.

use comity_core::json::IngestError;

/// Why a message stands for no content.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CodecError {
    /// It is no message of the type.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A member that a field gives stands in `extra_json` too.
    #[error("member `{name}` is in two fields")]
    Duplicate {
        /// The member.
        name: String,
    },
    /// An integer that canonical JSON does not have.
    #[error("member `{name}` is outside the range of canonical JSON")]
    OutOfRange {
        /// The member.
        name: String,
    },
    /// A field of the content is set although there is said to be none.
    #[error("`no_content` is set beside a field of the content")]
    ContentAndNone,
    /// A field that has to be set is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A `bytes` field is no JSON, or not of the kind that it has to be.
    #[error("`{name}` cannot be read")]
    Json {
        /// The member, or the field.
        name: String,
        /// Why.
        source: IngestError,
    },
    /// A `bytes` field is not exactly one canonical JSON value.
    #[error("`{name}` is not exactly one canonical JSON value")]
    NotOneValue {
        /// The member, or the field.
        name: String,
    },
    /// The members of a map are not as canonical JSON orders them.
    #[error("the members of `{name}` are not in order, or one comes twice: `{member}`")]
    Unordered {
        /// The member that is the map.
        name: String,
        /// The first of its members that is out of order.
        member: String,
    },
    /// The lists of the message together have too many elements.
    #[error("the message has more than {limit} elements")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The content is over its limit.
    #[error("the content is over the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}
