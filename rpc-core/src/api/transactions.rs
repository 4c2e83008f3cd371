//! Transactions (SS "Transactions").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    call::{Endpoint, ListTooLong, MessageForm},
    endpoint::{Content, EndpointParts, PathTemplate, Query, TrailingSlash},
    error::FederationError,
    event::{Edu, Listed, Pdu, judge_all, listed_values},
    json::{Json, Members, Object, ObjectWriter, ReadError},
};

/// Pushes events to a server.
///
/// The sender repeats the same ID with the same content until it is answered without an error, and only then sends the next transaction.
///
/// Duties: the receiver judges each event by the room that it names. A PDU of a room whose server ACL denies the origin is not taken, and its
/// result says so; typing and receipts of that room are dropped. An EDU counts only for users of the origin.
#[derive(Clone, Debug, PartialEq)]
pub struct SendTransaction {
    /// Chosen by the sender; identifies the transaction together with the origin.
    pub transaction_id: String,
    /// Who sends it. Says nothing that the proven origin does not say; some senders leave it out.
    pub origin: Option<String>,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub origin_server_ts: Option<i64>,
    /// Persistent events, at most [`SendTransaction::MAX_PDUS`].
    pub pdus: Vec<Listed<Pdu>>,
    /// Ephemeral events, at most [`SendTransaction::MAX_EDUS`]. Absent is not the same as empty: the signature covers the difference.
    pub edus: Option<Vec<Listed<Edu>>>,
    /// Members that the operation does not know.
    pub extra: Members,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl SendTransaction {
    /// Most PDUs in one transaction.
    pub const MAX_PDUS: usize = 50;
    /// Most EDUs in one transaction.
    pub const MAX_EDUS: usize = 100;

    /// A transaction of well-formed events.
    pub fn new(
        transaction_id: impl Into<String>,
        origin: &crate::ServerName,
        origin_server_ts: i64,
        pdus: impl IntoIterator<Item = Pdu>,
    ) -> Self {
        Self {
            transaction_id: transaction_id.into(),
            origin: Some(origin.to_string()),
            origin_server_ts: Some(origin_server_ts),
            pdus: pdus.into_iter().map(Ok).collect(),
            edus: None,
            extra: Members::new(),
            extra_query: Query::default(),
        }
    }
}

impl Endpoint for SendTransaction {
    const METHOD: &'static str = "PUT";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/send/{txnId}");
    const TRAILING_SLASH: TrailingSlash = TrailingSlash::Accept;

    fn write(&self) -> EndpointParts {
        let mut object = ObjectWriter::new();
        object.string_opt("origin", self.origin.as_deref());
        object.integer_opt("origin_server_ts", self.origin_server_ts);
        object.array("pdus", listed_values(&self.pdus, Pdu::value));
        object.array_opt(
            "edus",
            self.edus
                .as_ref()
                .map(|edus| listed_values(edus, Edu::value)),
        );
        object.members(&self.extra);
        EndpointParts {
            path: vec![self.transaction_id.clone()],
            query: self.extra_query.clone(),
            content: Content::Json(object.into_object()),
        }
    }

    fn check_lists(&self) -> Result<(), ListTooLong> {
        ListTooLong::check("pdus", self.pdus.len(), Self::MAX_PDUS)?;
        let edus = self.edus.as_ref().map_or(0, Vec::len);
        ListTooLong::check("edus", edus, Self::MAX_EDUS)
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let object = parts.object()?;
        let mut reader = object.reader();
        // Counted before they are taken out: a body of 16 MiB can hold millions of elements.
        reader.at_most("pdus", Self::MAX_PDUS)?;
        reader.at_most("edus", Self::MAX_EDUS)?;
        let pdus = reader.array("pdus")?;
        let edus = reader.array_opt("edus")?;
        Ok(Self {
            transaction_id: parts.path_parameter(0).to_owned(),
            // Receivers in use check neither of these two; a value of another type stays among the unknown members.
            origin: reader.try_string("origin"),
            origin_server_ts: reader.try_integer("origin_server_ts"),
            pdus: Pdu::judge_all(pdus),
            edus: edus.map(|edus| judge_all(edus, Edu::judge)),
            extra: reader.rest(),
            extra_query: parts.query.clone(),
        })
    }
}

/// What became of each PDU. The whole is a success, whatever the parts say.
#[derive(Clone, Debug, PartialEq)]
pub struct SendTransactionReply {
    /// Results by event ID. A receiver may leave out events.
    pub pdus: Json<BTreeMap<String, PduResult>>,
    /// Members that the operation does not know.
    pub extra: Members,
}

/// What became of one PDU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PduResult {
    /// Why it was not processed. Final, never a reason to send it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl SendTransactionReply {
    /// These results by event ID.
    pub fn new(pdus: &BTreeMap<String, PduResult>) -> Self {
        let mut results = ObjectWriter::new();
        for (event_id, result) in pdus {
            results.object(event_id, |object| {
                object.string_opt("error", result.error.as_deref());
            });
        }
        Self {
            pdus: Json::from_value(results.into_object().to_value()),
            extra: Members::new(),
        }
    }
}

impl MessageForm for SendTransactionReply {
    fn write(&self) -> Object {
        let mut object = ObjectWriter::new();
        object.value("pdus", self.pdus.value());
        object.members(&self.extra);
        object.into_object()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        let mut reader = object.reader();
        Ok(Self {
            pdus: Json::from_value(reader.object("pdus")?),
            extra: reader.rest(),
        })
    }
}
