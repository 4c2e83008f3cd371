//! Where a provider's endpoints are (draft-ietf-mimi-protocol-06 §5.1): URL templates in a JSON document, as ACME has them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use comity_core::{
    ServerName,
    call::{Call, Op, Reply},
    endpoint::EndpointForm,
    error::{CallError, Delivery, TransportError, TransportErrorKind},
    json::ObjectWriter,
    layers::{Around, AroundLayer, Inner, around},
};
use thiserror::Error;

use crate::{DirectoryDocument, GetDirectory};

/// Longest URL of a directory, in bytes.
const MAX_URL: usize = 4_096;

/// Where each endpoint of a provider is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory(BTreeMap<String, UrlTemplate>);

/// Why a directory is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadDirectory {
    /// The member is no URL that can be filled in.
    #[error("`{0}` is no https URL of at most {MAX_URL} bytes with one parameter in braces")]
    Url(String),
    /// The member's URL is on another host than the others; here a provider is one.
    #[error("`{0}` is on another host than the endpoints before it")]
    Host(String),
}

impl Directory {
    /// The directory of a provider that serves this crate's operations at `authority`.
    pub fn own(authority: &str) -> DirectoryDocument {
        let mut document = ObjectWriter::new();
        for endpoint in endpoints() {
            let url = format!("https://{authority}{}", endpoint.path());
            document.string(&member(endpoint), &url);
        }
        DirectoryDocument(document.into_object())
    }

    /// Reads a provider's directory. Endpoints that this crate does not know are ignored, and some may be missing.
    ///
    /// # Errors
    /// Says which member is wrong.
    pub fn read(document: &DirectoryDocument) -> Result<Self, BadDirectory> {
        let mut directory = BTreeMap::new();
        let mut host: Option<String> = None;
        for endpoint in endpoints() {
            let name = member(endpoint);
            let Some(value) = document.0.get(&name) else {
                continue;
            };
            let url = value.as_str().and_then(|url| UrlTemplate::parse(&url));
            let url = url.ok_or_else(|| BadDirectory::Url(name.clone()))?;
            if *host.get_or_insert_with(|| url.authority.clone()) != url.authority {
                return Err(BadDirectory::Host(name));
            }
            directory.insert(name, url);
        }
        Ok(Self(directory))
    }

    /// Host and port of the endpoints, for the route: the certificate stays that of the provider's domain. `None` if there is no endpoint.
    pub fn authority(&self) -> Option<&str> {
        self.0.values().next().map(|url| url.authority.as_str())
    }

    /// The template of an operation's URL.
    pub fn get(&self, operation: Op) -> Option<&UrlTemplate> {
        self.0.get(&member(operation))
    }
}

fn endpoints() -> impl Iterator<Item = Op> {
    let directory = comity_core::call::operation::<GetDirectory>();
    crate::operations()
        .into_iter()
        .filter(move |operation| *operation != directory)
}

/// The name of an operation in a directory: `KeyMaterial` is `keyMaterial`.
fn member(operation: Op) -> String {
    let mut name = operation.spec().name.to_owned();
    name[..1].make_ascii_lowercase();
    name
}

/// A URL with one parameter to fill in (RFC 6570, level 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate {
    authority: String,
    before: String,
    after: String,
}

impl UrlTemplate {
    /// Reads a template; `None` if it is none.
    pub fn parse(url: &str) -> Option<Self> {
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| (0x21..=0x7e).contains(&byte) && !b"{}\"<>\\^`|#".contains(&byte))
        };
        let rest = url
            .strip_prefix("https://")
            .filter(|_| url.len() <= MAX_URL)?;
        let slash = rest.find('/')?;
        let (authority, path) = rest.split_at(slash);
        let (before, rest) = path.split_once('{')?;
        let (name, after) = rest.split_once('}')?;
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_authority = authority.parse::<ServerName>().is_ok();
        (is_name && is_authority && plain(before) && plain(after)).then(|| Self {
            authority: authority.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// Path and query with the parameter filled in: everything but letters, digits and `-._~` is escaped.
    pub fn target(&self, parameter: &str) -> String {
        let mut target = self.before.clone();
        for byte in parameter.bytes() {
            match byte {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                    target.push(char::from(byte))
                }
                byte => target += &format!("%{byte:02X}"),
            }
        }
        target + &self.after
    }
}

/// Sends each call to the URL that its destination's directory gives for it.
#[derive(Debug)]
pub struct ByDirectory(HashMap<ServerName, Directory>);

impl ByDirectory {
    /// The layer, with what is known of other providers. Calls to any other have the targets of this crate's rows.
    pub fn layer(known: impl IntoIterator<Item = (ServerName, Directory)>) -> AroundLayer<Self> {
        around(Self(known.into_iter().collect()))
    }

    /// The call with its target from the directory.
    fn directed(&self, mut call: Call) -> Result<Call, CallError> {
        let destination = call.context().destination.as_ref();
        let directory = destination.and_then(|destination| self.0.get(destination));
        let operation = call.operation();
        let Some(directory) = directory.filter(|_| endpoints().any(|one| one == operation)) else {
            return Ok(call);
        };
        let template = directory.get(operation).ok_or_else(|| {
            let message = format!("the provider's directory has no {}", member(operation));
            TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message)
        })?;
        let form = call.make_form()?;
        let target = template.target(form.parts().path_parameter(0));
        let form = EndpointForm::received(operation.method().into(), target, form.parts().clone());
        let (request, context) = call.into_parts();
        Ok(Call::received(request, form, context))
    }
}

impl Around for ByDirectory {
    async fn around<S: Inner>(
        self: Arc<Self>,
        call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        let call = self.directed(call)?;
        inner.call(call).await
    }
}
