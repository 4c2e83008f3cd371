//! Media (SS "Content Repository").

use crate::{
    ServerName,
    call::{Alternative, Blob, BlobSource, Body, Endpoint, Older},
    endpoint::{EndpointParts, PathTemplate, Query},
    error::{CallError, FederationError},
    json::Object,
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

/// Asks for a file as servers did before v1.11, without proving who asks.
///
/// Duties: a caller asks so only of a server that does not know `DownloadMedia`, and forbids it to ask others in turn, which would let two servers
/// send each other in circles. Receivers serve old files so for a time, and new ones never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadMediaLegacy {
    /// The server that has the file.
    pub server_name: String,
    /// The file's ID, without the server's name.
    pub media_id: String,
    /// Whether the receiver may fetch the file of another server. True if absent; other servers say false.
    pub allow_remote: Option<bool>,
    /// How long the server may wait for a file that is still being uploaded, in milliseconds: any integer of 64 bits. 20,000 if absent.
    pub timeout_ms: Option<i64>,
    /// Whether the receiver may name another place instead. False if absent.
    pub allow_redirect: Option<bool>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for DownloadMediaLegacy {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/media/v3/download/{serverName}/{mediaId}");
    const ALTERNATIVES: &'static [Alternative] = &[
        Alternative {
            method: "GET",
            path: PathTemplate::new("/_matrix/media/r0/download/{serverName}/{mediaId}"),
        },
        Alternative {
            method: "GET",
            path: PathTemplate::new("/_matrix/media/v1/download/{serverName}/{mediaId}"),
        },
    ];

    fn write(&self) -> EndpointParts {
        let mut query = Query::default();
        write_legacy(
            &mut query,
            self.allow_remote,
            self.timeout_ms,
            self.allow_redirect,
        );
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.server_name.clone(), self.media_id.clone()],
            query,
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            server_name: parts.path_parameter(0).to_owned(),
            media_id: parts.path_parameter(1).to_owned(),
            allow_remote: extra_query.take_boolean("allow_remote")?,
            timeout_ms: extra_query.take_integer("timeout_ms")?,
            allow_redirect: extra_query.take_boolean("allow_redirect")?,
            extra_query,
        })
    }
}

/// Asks for a smaller picture of a file as servers did before v1.11, without proving who asks.
///
/// Duties: as of `DownloadMediaLegacy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadThumbnailLegacy {
    /// The server that has the file.
    pub server_name: String,
    /// The file's ID, without the server's name.
    pub media_id: String,
    /// The wanted width in pixels: any integer of 64 bits.
    pub width: i64,
    /// The wanted height in pixels: any integer of 64 bits.
    pub height: i64,
    /// How the picture is made to fit: `crop` or `scale`.
    pub method: Option<String>,
    /// Whether the receiver may fetch the file of another server. True if absent; other servers say false.
    pub allow_remote: Option<bool>,
    /// How long the server may wait for a file that is still being uploaded, in milliseconds: any integer of 64 bits. 20,000 if absent.
    pub timeout_ms: Option<i64>,
    /// Whether the receiver may name another place instead. False if absent.
    pub allow_redirect: Option<bool>,
    /// Whether the picture should move if the file does. False, or absent: it does not.
    pub animated: Option<bool>,
    /// Query parameters that the operation does not know.
    pub extra_query: Query,
}

impl Endpoint for DownloadThumbnailLegacy {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate =
        PathTemplate::new("/_matrix/media/v3/thumbnail/{serverName}/{mediaId}");
    const ALTERNATIVES: &'static [Alternative] = &[
        Alternative {
            method: "GET",
            path: PathTemplate::new("/_matrix/media/r0/thumbnail/{serverName}/{mediaId}"),
        },
        Alternative {
            method: "GET",
            path: PathTemplate::new("/_matrix/media/v1/thumbnail/{serverName}/{mediaId}"),
        },
    ];

    fn write(&self) -> EndpointParts {
        let mut query = Query::default();
        query.push("width", self.width.to_string());
        query.push("height", self.height.to_string());
        if let Some(method) = &self.method {
            query.push("method", method);
        }
        write_legacy(
            &mut query,
            self.allow_remote,
            self.timeout_ms,
            self.allow_redirect,
        );
        if let Some(animated) = self.animated {
            query.push("animated", animated.to_string());
        }
        query.extend(&self.extra_query);
        EndpointParts {
            path: vec![self.server_name.clone(), self.media_id.clone()],
            query,
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        let mut extra_query = parts.query.clone();
        Ok(Self {
            server_name: parts.path_parameter(0).to_owned(),
            media_id: parts.path_parameter(1).to_owned(),
            width: extra_query.require_integer("width")?,
            height: extra_query.require_integer("height")?,
            method: extra_query.take("method"),
            allow_remote: extra_query.take_boolean("allow_remote")?,
            timeout_ms: extra_query.take_integer("timeout_ms")?,
            allow_redirect: extra_query.take_boolean("allow_redirect")?,
            animated: extra_query.take_boolean("animated")?,
            extra_query,
        })
    }
}

impl Older for DownloadMedia {
    type Older = DownloadMediaLegacy;

    fn older(&self, destination: &ServerName) -> Option<DownloadMediaLegacy> {
        Some(DownloadMediaLegacy {
            server_name: destination.to_string(),
            media_id: self.media_id.clone(),
            allow_remote: Some(false),
            timeout_ms: self.timeout_ms,
            allow_redirect: None,
            extra_query: self.extra_query.clone(),
        })
    }

    fn newer(reply: Body) -> Result<Blob, CallError> {
        Ok(blob_of(reply))
    }
}

impl Older for DownloadThumbnail {
    type Older = DownloadThumbnailLegacy;

    fn older(&self, destination: &ServerName) -> Option<DownloadThumbnailLegacy> {
        Some(DownloadThumbnailLegacy {
            server_name: destination.to_string(),
            media_id: self.media_id.clone(),
            width: self.width,
            height: self.height,
            method: self.method.clone(),
            allow_remote: Some(false),
            timeout_ms: self.timeout_ms,
            allow_redirect: None,
            animated: self.animated,
            extra_query: self.extra_query.clone(),
        })
    }

    fn newer(reply: Body) -> Result<Blob, CallError> {
        Ok(blob_of(reply))
    }
}

/// The bytes that nothing is wrapped around, as a reply that has them here.
fn blob_of(body: Body) -> Blob {
    Blob {
        metadata: Object::empty(),
        source: BlobSource::Here {
            content_type: body.content_type,
            content_disposition: body.content_disposition,
        },
        bytes: body.bytes,
    }
}

fn write_legacy(
    query: &mut Query,
    allow_remote: Option<bool>,
    timeout_ms: Option<i64>,
    allow_redirect: Option<bool>,
) {
    if let Some(remote) = allow_remote {
        query.push("allow_remote", remote.to_string());
    }
    if let Some(timeout) = timeout_ms {
        query.push("timeout_ms", timeout.to_string());
    }
    if let Some(redirect) = allow_redirect {
        query.push("allow_redirect", redirect.to_string());
    }
}
