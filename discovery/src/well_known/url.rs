//! URLs over TLS that a redirection leads along.

use std::fmt;

use comity_core::ServerName;
use http::{HeaderMap, Uri, header};

/// Most bytes of a URL.
const MAX_URL: usize = 2 << 10;

/// Most characters of a peer's text that are kept to be shown.
const SHOWN: usize = 200;

/// `https://host[:port]/path`. No user, no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Host and port as they were written.
    pub(super) server: ServerName,
    /// Path and query.
    pub(super) target: Uri,
}

impl Url {
    pub(super) fn of_server(host: &ServerName) -> Self {
        Self {
            server: host.clone(),
            target: Uri::from_static("/.well-known/matrix/server"),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_URL {
            return Err("it is too long");
        }
        let uri: Uri = text.parse().map_err(|_| "it is no URL")?;
        if uri.scheme_str() != Some("https") {
            return Err("its scheme is not https");
        }
        let authority = uri.authority().ok_or("it has no host")?;
        // A user is refused here, by the grammar of server names, as an empty port is.
        let server: ServerName = authority
            .as_str()
            .parse()
            .map_err(|_| "its host is no name, or it holds a user")?;
        server.connect_port().map_err(|_| "its port is no port")?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = match target.starts_with('/') {
            true => target.parse(),
            false => format!("/{target}").parse(),
        };
        let target = target.map_err(|_| "it has no path")?;
        Ok(Self { server, target })
    }

    /// The URL, or its beginning.
    pub(super) fn shown(&self) -> String {
        shown(&self.to_string())
    }

    /// Where a redirection from here leads: a whole URL, or one that lacks what this one has (RFC 3986 §4.2).
    ///
    /// # Errors
    /// Why it leads nowhere.
    pub(super) fn join(&self, headers: &HeaderMap) -> Result<Self, String> {
        let location = headers.get(header::LOCATION).map(|value| value.to_str());
        let location = match location {
            Some(Ok(location)) => location.trim(),
            Some(Err(_)) => return Err("it is redirected to what is no URL".to_owned()),
            None => return Err("it is redirected, but not told where to".to_owned()),
        };
        let server = &self.server;
        let path = self.target.path();
        let has_scheme = location
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
        let next = if location.starts_with("//") {
            format!("https:{location}")
        } else if location.starts_with('/') {
            format!("https://{server}{location}")
        } else if has_scheme {
            location.to_owned()
        } else if location.is_empty() || location.starts_with(['?', '#']) {
            format!("https://{server}{path}{location}")
        } else {
            // Dots are left as they are: whoever answers there may make sense of them.
            let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
            format!("https://{server}{folder}{location}")
        };
        Self::parse(&next)
            .map_err(|why| format!("it is redirected to {:?}: {why}", shown(location)))
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.server, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(location: &str) -> Result<String, String> {
        let url = Url::of_server(&"a.b:1".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        url.join(&headers).map(|url| url.to_string())
    }

    #[test]
    fn a_redirection_may_lack_what_is_known() {
        for (location, url) in [
            ("https://c.d", "https://c.d/"),
            ("HTTPS://c.d:8443/x?y#z", "https://c.d:8443/x?y"),
            ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
            ("https://c.d?q", "https://c.d/?q"),
            ("//c.d/x", "https://c.d/x"),
            ("/x?y", "https://a.b:1/x?y"),
            ("other", "https://a.b:1/.well-known/matrix/other"),
            ("?q=:", "https://a.b:1/.well-known/matrix/server?q=:"),
        ] {
            assert_eq!(join(location).unwrap(), url, "{location}");
        }
    }

    #[test]
    fn what_is_no_url_over_tls_leads_nowhere() {
        for location in [
            "http://c.d/x",
            "ftp://c.d/",
            "file:///etc/passwd",
            "javascript:1",
            "https://u:p@c.d/",
            "https://c.d:0/",
            "https://c.d:65536/",
            "https://c.d:/",
            "https://",
            "https:///x",
            "https://a b/",
        ] {
            assert!(join(location).is_err(), "{location}");
        }
        assert!(join(&format!("/{}", "x".repeat(MAX_URL))).is_err());
    }
}
