//! Files that a server does not send itself but points at (SS "Content Repository").
//!
//! A `Location` is a URL of a peer's choosing. So it is fetched as anybody would fetch it: without credentials, over http or https alone, from addresses that the
//! guard permits, with at most one redirection, and no more than a limit allows.

use std::{sync::Arc, time::Duration};

use comity_core::{
    ServerName,
    call::{Blob, BlobSource, ByteStream},
    endpoint::target::TARGET_LIMIT,
    error::{
        CallError, Delivery, ErrorOrigin, FederationError, TransportError, TransportErrorKind,
    },
    transport::Resolve,
};
use comity_net::{
    AddressGuard, Body, ClientTls, Connector, Pool, PoolOptions, Protocol, Url, UrlError, body,
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::time::{Instant, timeout};

use crate::{
    exchange::{HttpTransportOptions, bytes_of, error_bytes},
    reply,
    request::is_encoded,
};

/// How [`Locations`] fetches.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LocationOptions {
    /// Most bytes of a file: 1 GiB unless set.
    pub limit: u64,
    /// Longest time until the file begins, redirection included: 60 s unless set.
    pub head: Duration,
    /// Longest pause between two pieces of it: 60 s unless set.
    pub idle: Duration,
    /// Longest time that is waited for pieces of the file in all, however steadily it drips: 15 min unless set. While the caller does other things it stands.
    pub total: Duration,
    /// Value of `User-Agent`.
    pub user_agent: HeaderValue,
}

impl Default for LocationOptions {
    fn default() -> Self {
        Self {
            limit: 1 << 30,
            head: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(15 * 60),
            user_agent: HttpTransportOptions::default().user_agent,
        }
    }
}

impl LocationOptions {
    /// Sets the most bytes of a file.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Sets how long a file may take to begin, and to go on.
    #[must_use]
    pub fn with_times(mut self, head: Duration, idle: Duration) -> Self {
        (self.head, self.idle) = (head, idle);
        self
    }

    /// Sets how long is waited for the pieces of a file in all.
    #[must_use]
    pub fn with_total(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }
}

/// Fetches the files that media replies point at.
///
/// Names are resolved by a [`Resolve`], which is asked for the URL's host and port as if they were a server name with an explicit port: that is an address lookup
/// and nothing else. The guard judges the address that is connected to, also behind a redirection.
#[derive(Debug, Clone)]
pub struct Locations {
    resolve: Arc<dyn Resolve>,
    https: Pool,
    http: Pool,
    options: LocationOptions,
}

impl Locations {
    /// Fetches from addresses that `guard` permits, from servers that `tls` trusts.
    pub fn new(resolve: Arc<dyn Resolve>, tls: ClientTls, guard: AddressGuard) -> Self {
        let pool = |connector: Connector, protocol| {
            let options = PoolOptions::default().with_protocol(protocol);
            Pool::new(connector.with_guard(guard.clone()), options)
        };
        Self {
            resolve,
            https: pool(Connector::new(tls), Protocol::Http1Or2),
            // Whoever answers in the clear proves nothing; but then the file is nobody's secret, and its name is the server's to give.
            http: pool(Connector::danger_without_tls(), Protocol::Http1),
            options: LocationOptions::default(),
        }
    }

    /// The same with options.
    #[must_use]
    pub fn with_options(mut self, options: LocationOptions) -> Self {
        self.options = options;
        self
    }

    /// The blob itself if its bytes came with it, else what it points at, with its metadata.
    ///
    /// # Errors
    /// As [`Locations::fetch`].
    pub async fn follow(&self, blob: Blob) -> Result<Blob, CallError> {
        match &blob.source {
            BlobSource::Here { .. } => Ok(blob),
            BlobSource::Location(url) => {
                let fetched = self.fetch(url).await?;
                Ok(Blob {
                    metadata: blob.metadata,
                    ..fetched
                })
            }
        }
    }

    /// What a URL holds, with no metadata. Dropping the future or the blob's bytes ends the exchange.
    ///
    /// # Errors
    /// Another status than 200, as an answer of an intermediary. Else a transport error: `Unsupported` for a URL that is not fetched, `Refused` for an address that the
    /// guard does not permit or a second redirection, `LimitExceeded`, `Timeout`, or whatever keeps a connection from coming about.
    pub async fn fetch(&self, url: &str) -> Result<Blob, CallError> {
        let head = self.options.head;
        let response = timeout(head, self.get(url)).await.map_err(|_| {
            failed(
                TransportErrorKind::Timeout,
                format!("the file behind a location did not begin within {head:?} (setting: head)"),
            )
        })??;
        let limit = self.options.limit;
        let announced = http_body::Body::size_hint(response.body()).lower();
        if announced > limit {
            return Err(self.too_large());
        }
        if is_encoded(response.headers()) {
            return Err(failed(
                TransportErrorKind::Protocol,
                "the file behind a location is encoded, which was not asked for".to_owned(),
            )
            .into());
        }
        let text = |name| reply::text(response.headers(), name);
        let source = BlobSource::Here {
            content_type: text(header::CONTENT_TYPE),
            content_disposition: text(header::CONTENT_DISPOSITION),
        };
        Ok(Blob {
            metadata: comity_core::json::Object::empty(),
            source,
            bytes: self.bounded(response.into_body()),
        })
    }

    async fn get(&self, url: &str) -> Result<Response<Body>, CallError> {
        let url = parse(url)?;
        let response = self.ask(&url).await?;
        let Some(next) = redirection(&response) else {
            return answered(response).await;
        };
        let next = join(&url, next)?;
        let response = self.ask(&next).await?;
        if redirection(&response).is_some() {
            return Err(failed(
                TransportErrorKind::Refused,
                format!("{url} is redirected more than once"),
            )
            .into());
        }
        answered(response).await
    }

    async fn ask(&self, url: &Url) -> Result<Response<Body>, CallError> {
        let mut route = self.resolve.resolve(&with_port(url)).await?;
        route.host = url.server().as_str().to_owned();
        let mut request = Request::new(body::empty());
        *request.uri_mut() = url.target().clone();
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, self.options.user_agent.clone());
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        let pool = if url.tls() { &self.https } else { &self.http };
        Ok(pool.send(&route, request).await?)
    }

    fn too_large(&self) -> CallError {
        failed(
            TransportErrorKind::LimitExceeded,
            format!(
                "the file behind a location is over the limit of {} bytes on the caller's side (setting: limit)",
                self.options.limit
            ),
        )
        .into()
    }

    /// The bytes of a body, as long as they come in time and are not too many.
    fn bounded(&self, body: Body) -> ByteStream {
        let this = self.clone();
        let start = (bytes_of(body), 0, Duration::ZERO);
        stream::try_unfold(start, move |(mut bytes, read, waited)| {
            let this = this.clone();
            async move {
                let LocationOptions { idle, total, .. } = this.options;
                let left = total.saturating_sub(waited);
                let began = Instant::now();
                let chunk = match timeout(left.min(idle), bytes.next()).await {
                    Ok(Some(chunk)) => chunk?,
                    Ok(None) => return Ok(None),
                    Err(_) => {
                        let late = if left < idle {
                            format!("took longer than {total:?} (setting: total)")
                        } else {
                            format!("paused for {idle:?} (setting: idle)")
                        };
                        let message = format!("the file behind a location {late}");
                        return Err(failed(TransportErrorKind::Timeout, message).into());
                    }
                };
                let waited = waited + began.elapsed();
                let read = read + chunk.len() as u64;
                if read > this.options.limit {
                    return Err(this.too_large());
                }
                Ok(Some((chunk, (bytes, read, waited))))
            }
        })
        .boxed()
    }
}

/// Where a response sends whoever asked.
fn redirection(response: &Response<Body>) -> Option<&HeaderMap> {
    let status = response.status().as_u16();
    let headers = response.headers();
    (matches!(status, 301 | 302 | 303 | 307 | 308) && headers.contains_key(header::LOCATION))
        .then_some(headers)
}

/// The response, if it is a file.
async fn answered(response: Response<Body>) -> Result<Response<Body>, CallError> {
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let head = reply::from_response(&response);
    let body = error_bytes(response.into_body()).await;
    let error = FederationError::from_http(head.status, head.retry_after.as_deref(), body);
    Err(error.with_origin(ErrorOrigin::Intermediary).into())
}

/// A URL of at most the length that a target may have.
fn parse(text: &str) -> Result<Url, TransportError> {
    Url::parse(text, TARGET_LIMIT).map_err(|why| {
        let message = match why {
            UrlError::TooLong => format!("a location of {} bytes is not fetched", text.len()),
            why => format!(
                "the location {:?} is not fetched: {why}",
                without_secrets(text)
            ),
        };
        TransportError::new(TransportErrorKind::Unsupported, Delivery::NotSent, message)
    })
}

/// Where a redirection leads.
fn join(from: &Url, headers: &HeaderMap) -> Result<Url, TransportError> {
    from.join(headers, TARGET_LIMIT).map_err(|why| {
        let kind = match why {
            UrlError::LeavesTls => TransportErrorKind::Refused,
            _ => TransportErrorKind::Unsupported,
        };
        failed(
            kind,
            format!("where {from} redirects to is not fetched: {why}"),
        )
    })
}

/// The server of a URL with a port, so that it is connected to as it is, and not discovered as a homeserver.
fn with_port(url: &Url) -> ServerName {
    let host = url.server().host();
    let server = format!("{host}:{}", url.port());
    server
        .parse()
        .expect("a server name's host and a port make one")
}

/// As much of a URL as may stand in a log: a query may be a permission, and so are a user and a word.
fn without_secrets(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    match (shown.find("//"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}…{}", &shown[..scheme + 2], &shown[at..])
        }
        _ => shown.to_owned(),
    }
}

fn failed(kind: TransportErrorKind, message: String) -> TransportError {
    TransportError::new(kind, Delivery::MaybeProcessed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_web_are_taken_and_no_others() {
        for (text, server, authority, target) in [
            (
                "https://cdn.test/a?b=c",
                "cdn.test:443",
                "cdn.test",
                "/a?b=c",
            ),
            ("HTTPS://CDN.test", "CDN.test:443", "CDN.test", "/"),
            (
                "http://cdn.test:8080/a#b",
                "cdn.test:8080",
                "cdn.test:8080",
                "/a",
            ),
            (
                "https://[2001:db8::1]/x",
                "[2001:db8::1]:443",
                "[2001:db8::1]",
                "/x",
            ),
            ("https://1.2.3.4:1/x", "1.2.3.4:1", "1.2.3.4:1", "/x"),
            ("https://cdn.test?x", "cdn.test:443", "cdn.test", "/?x"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(with_port(&url), server, "{text}");
            assert_eq!(
                (url.server().as_str(), url.target().to_string().as_str()),
                (authority, target)
            );
        }
        for text in [
            "",
            "/a",
            "//cdn.test/a",
            "cdn.test/a",
            "ftp://cdn.test/a",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/plain,x",
            "https://",
            "https:///a",
            "https://user@cdn.test/a",
            "https://user:word@cdn.test/a",
            "https://cdn.test:0/a",
            "https://cdn.test:99999/a",
            "https://cdn_test/a",
            "https://cdn.test/a b",
            "https://cdn.test/\r\nX: y",
            "https://cdn.t\u{e9}st/",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), TransportErrorKind::Unsupported, "{text}");
            assert_eq!(error.delivery(), Delivery::NotSent, "{text}");
        }
        for (text, shown) in [
            ("ftp://cdn.test/a?secret", "ftp://cdn.test/a"),
            ("https://cdn_test/a?secret#x", "https://cdn_test/a"),
            ("/a#secret", "/a"),
            ("https://user:secret@cdn.test/a", "https://…@cdn.test/a"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains(&format!("\"{shown}\"")), "{error}");
        }
        let long = format!("https://cdn.test/{}", "x".repeat(TARGET_LIMIT));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn a_redirection_may_lack_what_is_known_but_not_leave_tls() {
        let from = parse("https://cdn.test:444/a/b?c").unwrap();
        let joined = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            join(&from, &headers).map(|url| format!("{url}"))
        };
        assert_eq!(joined("/x").unwrap(), "https://cdn.test:444/x");
        assert_eq!(joined("//other.test/x").unwrap(), "https://other.test/x");
        assert_eq!(
            joined("https://other.test/x").unwrap(),
            "https://other.test/x"
        );
        for refused in ["http://cdn.test/x", "file:///x", "https://u@cdn.test"] {
            assert!(joined(refused).is_err(), "{refused}");
        }
    }
}
