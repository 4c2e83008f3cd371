//! Which targets peers may reach at the homeserver.

use std::{borrow::Cow, sync::Arc};

use comity_core::{
    call::{Call, Reply},
    endpoint::{Admission, split_target, unescape_segment},
    error::{CallError, FederationError},
    layers::{Around, AroundLayer, Inner, around},
};

use crate::{
    admin::{Direction, Metrics},
    config::PathPrefix,
};

/// Answers calls of targets that are not open with 404 `M_UNRECOGNIZED`, whatever binding they came over.
///
/// The bindings' servers ask before they read a body. What names its target nowhere but in its message, as `Invoke` may, is stopped by the layer.
#[derive(Clone, Debug)]
pub(crate) struct OnlyOpen {
    paths: OpenPaths,
    metrics: Metrics,
}

impl OnlyOpen {
    pub(crate) fn new(open: Vec<PathPrefix>, metrics: Metrics) -> Self {
        let paths = OpenPaths(open);
        Self { paths, metrics }
    }

    pub(crate) fn layer(self) -> AroundLayer<Self> {
        around(self)
    }
}

impl Admission for OnlyOpen {
    fn admit(&self, target: &str) -> Result<(), FederationError> {
        if self.paths.permit(target) {
            return Ok(());
        }
        self.metrics.refused(Direction::Inbound, "closed_path");
        Err(FederationError::unrecognized())
    }
}

impl Around for OnlyOpen {
    async fn around<S: Inner>(
        self: Arc<Self>,
        mut call: Call,
        mut inner: S,
    ) -> Result<Reply, CallError> {
        self.admit(call.make_form()?.target())?;
        inner.call(call).await
    }
}

/// The parts of the homeserver's tree that are open. Everything else is answered as unknown: its client and admin APIs above all, which stand on the same port.
#[derive(Clone, Debug)]
struct OpenPaths(Vec<PathPrefix>);

impl OpenPaths {
    /// Whether a target as it arrived, escapes and all, may be passed on.
    ///
    /// The segments are compared unescaped, as the homeserver will. Nothing that some reader on the way could take for another path passes: an empty segment, `.` or
    /// `..`, plain or escaped, once or twice, alone, between escaped slashes or before parameters (`..;`, RFC 3986 section 3.3, which some servers cut off).
    fn permit(&self, target: &str) -> bool {
        let (path, _) = split_target(target);
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        // Old servers end paths with one slash, and Synapse asks again with it.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let Some(segments) = rest.split('/').map(plain).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let prefix = match segments[..] {
            ["_matrix", "federation", _, ..] => PathPrefix::Federation,
            ["_matrix", "key", _, ..] => PathPrefix::Key,
            ["_matrix", "policy", _, ..] => PathPrefix::Policy,
            [
                "_matrix",
                "media",
                "r0" | "v1" | "v3",
                "download" | "thumbnail",
                _,
                _,
                ..,
            ] => PathPrefix::LegacyMedia,
            _ => return false,
        };
        self.0.contains(&prefix)
    }
}

/// A segment unescaped, if it is one that cannot be misread.
fn plain(raw: &str) -> Option<Cow<'_, str>> {
    let once = unescape_segment(raw).ok()?;
    let twice = unescape_segment(&once).unwrap_or_else(|_| once.clone());
    let misread = |text: &str| {
        text.is_empty()
            || text
                .split(['/', '\\', ';'])
                .any(|piece| matches!(piece, "." | ".."))
            || text.contains('\0')
    };
    match misread(&once) || misread(&twice) {
        true => None,
        false => Some(once),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(target: &str) -> bool {
        OpenPaths(PathPrefix::DEFAULT.to_vec()).permit(target)
    }

    #[test]
    fn the_federation_is_open() {
        for target in [
            "/_matrix/federation/v1/version",
            "/_matrix/federation/v1/send/1?x=/_synapse/admin/../",
            "/_matrix/federation/v1/send/1/",
            "/_matrix/key/v2/server",
            "/_matrix/key/v2/server/",
            "/_matrix/policy/v1/sign",
            "/_matrix/federation/unstable/org.example.msc1/x",
            "/_matrix/federation/v2/send_join/%21r%3Ax/%24a%2Fb%2Bc",
            "/_matrix/federation/v1/user/devices/%40a%2F..b%3Ax",
            "/%5Fmatrix/%66ederation/v1/x",
            "/_matrix/federation/v1/media/download/%25",
            "/_matrix/federation/v1/event/%24x;y..",
        ] {
            assert!(open(target), "{target}");
        }
    }

    #[test]
    fn nothing_else_is_open() {
        for target in [
            "",
            "/",
            "*",
            "/_synapse/admin/v1/users",
            "/_matrix/client/v3/login",
            "/_matrix/client",
            "/_matrix/federation",
            "/_matrix/federation/",
            "/_matrix/key/",
            "/_matrix/federationx/v1/version",
            "/_matrix/Federation/v1/version",
            "/_matrix/media/v3/download/a/b",
            "/_matrix/app/v1/x",
            "/.well-known/matrix/server",
            "//_matrix/federation/v1/version",
            "/_matrix//federation/v1/version",
            "/_matrix/federation//v1/version",
            "/_matrix/federation/v1/version//",
            "/_matrix/federation/../client/v3/login",
            "/_matrix/federation/v1/../../client/v3/login",
            "/_matrix/federation/./v1/version",
            "/_matrix/federation/%2e%2e/client/v3/login",
            "/_matrix/federation/%2E./client/v3/login",
            "/_matrix/federation/%252e%252e/client/v3/login",
            "/_matrix/federation/..%2fclient/v3/login",
            "/_matrix/federation/..%5cclient/v3/login",
            "/_matrix/federation/x%2f..%2f..%2fclient/v3/login",
            "/_matrix/federation/..%252fclient",
            "/_matrix%2ffederation/v1/version",
            "/%2e%2e/_matrix/federation/v1/version",
            "/_matrix/%63lient/v3/login",
            "/%5Fsynapse/admin/v1/users",
            "/_synapse%2fadmin",
            "/_matrix/federation/v1/%zz",
            "/_matrix/federation/v1/%ff",
            "/_matrix/federation/v1/x%00",
            "/_matrix/federation/v1/x%2500",
            "/_matrix/federation/..;/client/v3/login",
            "/_matrix/federation/..;x=y/client/v3/login",
            "/_matrix/federation/.;/v1/version",
            "/_matrix/federation/v1/%2e%2e%3bx",
            "/_matrix/federation/v1/..%253b/x",
            "/_matrix/federation/v1/%2F..",
        ] {
            assert!(!open(target), "{target}");
        }
    }

    #[test]
    fn legacy_media_is_open_where_it_is_switched_on() {
        let paths = OpenPaths(vec![PathPrefix::LegacyMedia]);
        assert!(paths.permit("/_matrix/media/v3/download/hs1.example/abc?allow_redirect=true"));
        assert!(paths.permit("/_matrix/media/r0/thumbnail/hs1.example/abc?width=1"));
        assert!(!paths.permit("/_matrix/media/v3/upload"));
        assert!(!paths.permit("/_matrix/media/v3/config"));
        assert!(!paths.permit("/_matrix/media/v3/preview_url/a/b"));
        assert!(!paths.permit("/_matrix/federation/v1/version"));
    }
}
