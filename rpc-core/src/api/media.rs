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

/// Asks a server for a smaller picture of one of its own files.
///
/// Duties: as of `DownloadMedia`. The receiver may give another size than it was asked for, and never makes a picture larger than the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadThumbnail {
    /// The file's ID, without the server's name.
    pub media_id: String,
    /// The wanted width in pixels: any integer of 64 bits.
    pub width: i64,
    /// The wanted height in pixels: any integer of 64 bits.
    pub height: i64,
    /// How the picture is made to fit: `crop` or `scale`.
    pub method: Option<String>,
    /// How long the server may wait for a file that is still being uploaded, in milliseconds: any integer of 64 bits. 20,000 if absent.
    pub timeout_ms: Option<i64>,
    /// Whether the picture should move if the file does. False, or absent: it does not.
    pub animated: Option<bool>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for DownloadThumbnail {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/federation/v1/media/thumbnail/{mediaId}");

    fn write(&self) -> EndpointParts {
        let mut query = Query::default();
        query.push("width", self.width.to_string());
        query.push("height", self.height.to_string());
        if let Some(method) = &self.method {
            query.push("method", method);
        }
        if let Some(timeout) = self.timeout_ms {
            query.push("timeout_ms", timeout.to_string());
        }
        if let Some(animated) = self.animated {
            query.push("animated", animated.to_string());
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
            width: extra_query.require_integer("width")?,
            height: extra_query.require_integer("height")?,
            method: extra_query.take("method"),
            timeout_ms: extra_query.take_integer("timeout_ms")?,
            animated: extra_query.take_boolean("animated")?,
            extra_query,
        })
    }
}
