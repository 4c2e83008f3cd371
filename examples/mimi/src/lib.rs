//! A second family of calls beside Matrix's: those of draft-ietf-mimi-protocol-06 (More Instant Messaging Interoperability), over the same bindings,
//! listeners and layers, and without a line of Comity that knows of them.
//!
//! What differs from Matrix, and how it fits:
//!
//! | MIMI | here |
//! | --- | --- |
//! | bodies are TLS-encoded structures (RFC 8446 §3), for which the draft names no media type | bytes, taken as they are and never looked into: there is no MLS here. Sent without a media type; any is taken |
//! | replies are bytes with a status, 200 or 201 | [`Body`] |
//! | URLs come from a directory, and a provider chooses its own | [`Directory`], and [`ByDirectory`] on the calling side |
//! | mutual TLS, and `From` says who calls | [`MutualTls`], an authenticator; [`SayFrom`] on the calling side |
//!
//! Over gRPC all of it travels by `Invoke`.

#![forbid(unsafe_code)]

mod authenticator;
mod directory;

pub use authenticator::{MutualTls, SayFrom};
pub use directory::{BadDirectory, ByDirectory, Directory, UrlTemplate};

use bytes::Bytes;
use comity_core::{
    call::{Body, Clocks, Endpoint, MessageForm, SizeLimits},
    endpoint::{Content, ContentKind, EndpointParts, PathTemplate},
    error::FederationError,
    json::{Object, ReadError},
};

comity_core::define_operations! {
    /// How another provider finds the endpoints.
    group Directories directories {
        /// Gives the directory (§5.1).
        none get_directory: crate::GetDirectory => crate::DirectoryDocument {
            idempotency: Safe, flow: Concurrent, reply: Message,
            limits: SizeLimits::SMALL, clocks: Clocks::short(30),
            errors: [], server_acl: Unchecked, editions: [],
        }
    }
    /// What a room's hub is asked, and what it tells the others (§5.2 to §5.6, §5.9, §5.10).
    group Rooms rooms {
        /// Claims a KeyPackage of each client of a user (§5.2). Each call uses some up.
        server key_material: crate::KeyMaterial => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Changes the state of a room (§5.3).
        server update: crate::Update => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Submits an encrypted message to a room's hub (§5.4).
        server submit_message: crate::SubmitMessage => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Fans out what a hub accepted (§5.5); the answer is a 201 without a body. A receiver knows a repetition by its bytes, so a hub may repeat it
        /// of its own accord; no layer does so unasked.
        server notify: crate::Notify => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Gives what a client needs to join a room's group by itself (§5.6).
        server group_info: crate::GroupInfo => Body {
            idempotency: Safe, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Reports abuse to a room's hub (§5.9).
        server report_abuse: crate::ReportAbuse => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Downloads a file by way of a hub, so that its host does not learn who reads it (§5.10).
        server proxy_download: crate::ProxyDownload => Body {
            idempotency: Safe, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
    }
    /// What providers ask each other without a room (§5.7, §5.8).
    group Users users {
        /// Asks a user for consent, or takes that back (§5.7).
        server request_consent: crate::RequestConsent => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Grants or revokes consent (§5.7).
        server update_consent: crate::UpdateConsent => Body {
            idempotency: None, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
        /// Finds users by what is known of them (§5.8).
        server identifier_query: crate::IdentifierQuery => Body {
            idempotency: Safe, flow: Concurrent, reply: Body,
            limits: SizeLimits::DEFAULT, clocks: Clocks::DEFAULT,
            errors: [], server_acl: Unchecked, editions: [],
        }
    }
}

/// A request of one path parameter and a body of bytes: its type and endpoint form.
macro_rules! opaque_request {
    ($(#[$doc:meta])* $Name:ident, $path:literal, $parameter:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $Name {
            /// The path's parameter: a MIMI URI, or a domain.
            pub $parameter: String,
            /// The TLS-encoded structure.
            pub body: Bytes,
        }

        impl Endpoint for $Name {
            const METHOD: &'static str = "POST";
            const PATH: PathTemplate = PathTemplate::new($path);
            const CONTENT: ContentKind = ContentKind::Opaque;

            fn write(&self) -> EndpointParts {
                EndpointParts {
                    path: vec![self.$parameter.clone()],
                    content: opaque(&self.body),
                    ..EndpointParts::default()
                }
            }

            fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
                Ok(Self {
                    $parameter: parts.path_parameter(0).to_owned(),
                    body: parts.content.bytes(),
                })
            }
        }
    };
}

opaque_request! {
    /// `KeyMaterialRequest`.
    KeyMaterial, "/v1/keyMaterial/{targetUser}", target_user
}
opaque_request! {
    /// `UpdateRequest`.
    Update, "/v1/update/{roomId}", room_id
}
opaque_request! {
    /// `SubmitMessageRequest`.
    SubmitMessage, "/v1/submitMessage/{roomId}", room_id
}
opaque_request! {
    /// One `FanoutMessage` or several behind one another.
    Notify, "/v1/notify/{roomId}", room_id
}
opaque_request! {
    /// `GroupInfoRequest`.
    GroupInfo, "/v1/groupInfo/{roomId}", room_id
}
opaque_request! {
    /// `ConsentEntry` that requests or cancels.
    RequestConsent, "/v1/requestConsent/{targetUser}", target_user
}
opaque_request! {
    /// `ConsentEntry` that grants or revokes.
    UpdateConsent, "/v1/updateConsent/{requesterUser}", requester_user
}
opaque_request! {
    /// `IdentifierRequest`.
    IdentifierQuery, "/v1/identifierQuery/{domain}", domain
}
opaque_request! {
    /// `AbuseReport`.
    ReportAbuse, "/v1/reportAbuse/{roomId}", room_id
}

/// Asks for the file at a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyDownload {
    /// Where the file is.
    pub download_url: String,
}

impl Endpoint for ProxyDownload {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/v1/proxyDownload/{downloadUrl}");
    const CONTENT: ContentKind = ContentKind::Opaque;

    fn write(&self) -> EndpointParts {
        EndpointParts {
            path: vec![self.download_url.clone()],
            ..EndpointParts::default()
        }
    }

    fn read(parts: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self {
            download_url: parts.path_parameter(0).to_owned(),
        })
    }
}

/// Asks for the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetDirectory;

impl Endpoint for GetDirectory {
    const METHOD: &'static str = "GET";
    const PATH: PathTemplate = PathTemplate::new("/.well-known/mimi-protocol-directory");

    fn write(&self) -> EndpointParts {
        EndpointParts::default()
    }

    fn read(_: &EndpointParts) -> Result<Self, FederationError> {
        Ok(Self)
    }
}

/// A directory as its provider wrote it; [`Directory::read`] reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryDocument(pub Object);

impl MessageForm for DirectoryDocument {
    fn write(&self) -> Object {
        self.0.clone()
    }

    fn read(object: &Object) -> Result<Self, ReadError> {
        Ok(Self(object.clone()))
    }
}

fn opaque(body: &Bytes) -> Content {
    match body.is_empty() {
        true => Content::Absent,
        false => Content::Opaque {
            content_type: String::new(),
            bytes: body.clone(),
        },
    }
}
