//! Media (SS "Content Repository").

use crate::{
    call::Endpoint,
    endpoint::{EndpointParts, PathTemplate, Query},
    error::FederationError,
};

/// Asks a server for one of its own files.
///
/// Duties: the receiver answers for its own files only, never for those of others. The caller fetches a URL that it is given without proving who
/// it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadMedia {
    /// The file's ID, without the server's name.
    pub media_id: String,
    /// How long the server may wait for a file that is still being uploaded, in milliseconds: any integer of 64 bits. 20,000 if absent.
    pub timeout_ms: Option<i64>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for DownloadMedia {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/_matrix/federation/v1/media/download/{mediaId}");

    fn write(&self) -> EndpointParts {
        let mut query = Query::default();
        if let Some(timeout) = self.timeout_ms {
            query.push("timeout_ms", timeout.to_string());
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.media_id.clone()],
            query,
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            media_id: parts.path_parameter(0).to_owned(),
            timeout_ms: extra_query.take_integer("timeout_ms")?,
            extra_query,
        })
    }
}
