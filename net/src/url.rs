//! URLs of the web that a peer gave: where media lies, where a redirection leads.

use std::fmt;

use comity_core::ServerName;
use http::uri::Scheme;
use http::{HeaderMap, Uri, header};

/// An `http` or `https` URL that can be asked for. It holds no user, and what it says of a fragment is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    server: ServerName,
    target: Uri,
}

/// Why a text is no URL that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is longer than the caller allows.
    #[error("it is too long")]
    TooLong,
    /// It is none, or has bytes that a URL has not.
    #[error("it is no URL")]
    Malformed,
    /// Another scheme, or none.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// No host, or one that the grammar of server names does not know.
    #[error("its host is no name")]
    Host,
    /// A user, with or without a password.
    #[error("it holds a user")]
    User,
    /// No TCP port.
    #[error("its port is no port")]
    Port,
    /// A redirection from `https` to `http`.
    #[error("it is redirected to a connection without TLS")]
    LeavesTls,
    /// A redirection without a `Location`.
    #[error("it is redirected, but not told where to")]
    NoLocation,
}

impl Url {
    /// Reads a whole URL of at most so many bytes.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn parse(text: &str, max_bytes: usize) -> Result<Self, UrlError> {
        if text.len() > max_bytes {
            return Err(UrlError::TooLong);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Host)?.as_str();
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        // RFC 3986 §3.2.3: a port may be empty.
        let authority = authority.strip_suffix(':').unwrap_or(authority);
        let server: ServerName = authority.parse().map_err(|_| UrlError::Host)?;
        server.connect_port().map_err(|_| UrlError::Port)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = match target.starts_with('/') {
            true => target.parse(),
            false => format!("/{target}").parse(),
        };
        Ok(Self {
            tls,
            server,
            target: target.map_err(|_| UrlError::Malformed)?,
        })
    }

    /// The URL over TLS of a path, with its query, on a server.
    pub fn https(server: ServerName, target: &'static str) -> Self {
        Self {
            tls: true,
            server,
            target: Uri::from_static(target),
        }
    }

    /// Where a redirection from here leads: a whole URL, or one that lacks what this one has (RFC 3986 §4.2). Nothing that was asked for over TLS is taken from a
    /// connection without.
    ///
    /// # Errors
    /// If that cannot be asked for.
    pub fn join(&self, headers: &HeaderMap, max_bytes: usize) -> Result<Self, UrlError> {
        let location = headers.get(header::LOCATION).ok_or(UrlError::NoLocation)?;
        let location = location.to_str().map_err(|_| UrlError::Malformed)?.trim();
        if location.len() > max_bytes {
            return Err(UrlError::TooLong);
        }
        let scheme = if self.tls { "https" } else { "http" };
        let server = &self.server;
        let path = self.target.path();
        let has_scheme = location
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
        let next = if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{server}{location}")
        } else if has_scheme {
            location.to_owned()
        } else if location.is_empty() || location.starts_with(['?', '#']) {
            format!("{scheme}://{server}{path}{location}")
        } else {
            // Dots are left as they are: whoever answers there may make sense of them.
            let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
            format!("{scheme}://{server}{folder}{location}")
        };
        let next = Self::parse(&next, max_bytes)?;
        match self.tls && !next.tls {
            true => Err(UrlError::LeavesTls),
            false => Ok(next),
        }
    }

    /// Whether it is asked for over TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Host and port as they were written.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// The port: as it was written, or the scheme's.
    pub fn port(&self) -> u16 {
        let default = if self.tls { 443 } else { 80 };
        self.server.port().unwrap_or(default)
    }

    /// Path and query.
    pub fn target(&self) -> &Uri {
        &self.target
    }
}

/// Without its query, which may be a permission.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.server, self.target.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 10;

    #[test]
    fn urls_of_the_web_are_taken() {
        for (text, tls, server, port, target) in [
            ("https://cdn.test/a?b=c", true, "cdn.test", 443, "/a?b=c"),
            ("HTTPS://CDN.test", true, "CDN.test", 443, "/"),
            (
                "http://cdn.test:8080/a#b",
                false,
                "cdn.test:8080",
                8080,
                "/a",
            ),
            ("http://cdn.test:", false, "cdn.test", 80, "/"),
            ("https://[2001:db8::1]/x", true, "[2001:db8::1]", 443, "/x"),
            ("https://1.2.3.4:1/x", true, "1.2.3.4:1", 1, "/x"),
            ("https://cdn.test?x", true, "cdn.test", 443, "/?x"),
        ] {
            let url = Url::parse(text, MAX).unwrap();
            assert_eq!((url.tls(), url.port()), (tls, port), "{text}");
            assert_eq!(url.server(), server, "{text}");
            assert_eq!(url.target().to_string(), target, "{text}");
        }
    }

    #[test]
    fn others_are_not() {
        use UrlError::{Host, Malformed, Port, Scheme, User};
        for (text, why) in [
            ("", Malformed),
            ("/a", Scheme),
            ("cdn.test", Scheme),
            ("ftp://cdn.test/a", Scheme),
            ("file:///etc/passwd", Malformed),
            ("javascript:alert(1)", Scheme),
            ("https://", Malformed),
            ("https:///a", Malformed),
            ("https://user@cdn.test/a", User),
            ("https://user:word@cdn.test/a", User),
            ("https://cdn.test:0/a", Port),
            ("https://cdn.test:99999/a", Port),
            ("https://cdn_test/a", Host),
            ("https://cdn.test/a b", Malformed),
            ("https://cdn.test/\r\nX: y", Malformed),
            ("https://cdn.t\u{e9}st/", Malformed),
        ] {
            assert_eq!(Url::parse(text, MAX).unwrap_err(), why, "{text}");
        }
        let long = format!("https://cdn.test/{}", "x".repeat(MAX));
        assert_eq!(Url::parse(&long, MAX).unwrap_err(), UrlError::TooLong);
    }

    fn join(from: &str, location: &str) -> Result<String, UrlError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let joined = Url::parse(from, MAX).unwrap().join(&headers, MAX)?;
        Ok(format!("{joined} {}", joined.target()))
    }

    #[test]
    fn a_redirection_may_lack_what_is_known() {
        let from = "https://a.b:1/m/server?old";
        for (location, url) in [
            ("https://c.d", "https://c.d/ /"),
            ("HTTPS://c.d:8443/x?y#z", "https://c.d:8443/x /x?y"),
            ("//c.d/x", "https://c.d/x /x"),
            ("/x?y", "https://a.b:1/x /x?y"),
            ("other", "https://a.b:1/m/other /m/other"),
            ("?q=:", "https://a.b:1/m/server /m/server?q=:"),
            ("#top", "https://a.b:1/m/server /m/server"),
        ] {
            assert_eq!(join(from, location).unwrap(), url, "{location}");
        }
    }

    #[test]
    fn a_redirection_does_not_leave_tls_nor_the_web() {
        let from = "https://a.b/m";
        assert_eq!(join(from, "http://a.b/m"), Err(UrlError::LeavesTls));
        for location in [
            "file:///x",
            "ftp://c.d/",
            "https://u@c.d/",
            "https://c.d:0",
            "::",
        ] {
            assert!(join(from, location).is_err(), "{location}");
        }
        assert_eq!(join("http://a.b/m", "//c.d/x").unwrap(), "http://c.d/x /x");
        assert!(join("http://a.b/m", "https://c.d").is_ok());
        let url = Url::parse(from, MAX).unwrap();
        assert_eq!(url.join(&HeaderMap::new(), MAX), Err(UrlError::NoLocation));
    }
}
