//! Which path is answered how.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use comity_net::{Body, HttpService, body};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tower::{service_fn, util::BoxCloneSyncService};

use super::{Check, Metrics, READY_TIMEOUT, StatusSource, page::page, view::View};

/// How long what the checks found is good for, however many ask.
const CHECKS_LAST: Duration = Duration::from_secs(1);

const STYLE: &str = include_str!("style.css");

/// On every answer. Nothing but our own style sheet is loaded, nothing is kept, nobody may frame the page.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
];

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What answers on the operator's port.
#[derive(Clone, Debug)]
pub(super) struct Pages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Arc<dyn StatusSource>,
    metrics: Metrics,
    /// Whether the port can be reached from this machine alone.
    loopback: bool,
    /// What the checks found, and when. Who asks while they run waits for what they find.
    checks: Mutex<Option<(Instant, Arc<[Check]>)>>,
}

impl Pages {
    pub(super) fn new(source: Arc<dyn StatusSource>, metrics: Metrics, loopback: bool) -> Self {
        Self(Arc::new(Inner {
            source,
            metrics,
            loopback,
            checks: Mutex::new(None),
        }))
    }

    pub(super) fn into_service(self) -> HttpService {
        BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            let pages = self.clone();
            async move {
                let (head, _) = request.into_parts();
                let answer = pages.0.answer(&head.method, &head.uri, &head.headers).await;
                Ok::<_, Infallible>(answer)
            }
        }))
    }
}

impl Inner {
    async fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        if self.loopback && !names_loopback(uri, headers) {
            let why = "This port answers to localhost and to addresses, not to names: ask for it as such.\n";
            return answer(StatusCode::MISDIRECTED_REQUEST, TEXT, why);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let why = "Only GET and HEAD: nothing can be changed here.\n";
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, why);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match uri.path() {
            "/" => self.page(uri.query().unwrap_or_default()).await,
            "/style.css" => answer(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/metrics" => self.metrics(),
            "/health" => self.health(),
            "/ready" => self.ready().await,
            _ => {
                let why = "Not here. There are /, /metrics, /health and /ready.\n";
                answer(StatusCode::NOT_FOUND, TEXT, why)
            }
        }
    }

    async fn page(&self, query: &str) -> Response<Body> {
        let checks = self.checks().await;
        let (status, totals) = (self.source.status(), self.metrics.totals());
        let text = page(status, totals, &checks, View::of(query));
        answer(StatusCode::OK, HTML, text)
    }

    fn metrics(&self) -> Response<Body> {
        let status = self.source.status();
        let in_use = status.destinations.iter().map(|row| &row.in_use[..]);
        let text = self.metrics.render(in_use);
        answer(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            text,
        )
    }

    fn health(&self) -> Response<Body> {
        let status = self.source.status();
        let state = if status.draining {
            "draining"
        } else {
            "running"
        };
        json_answer(
            StatusCode::OK,
            &json!({
                "server_name": status.server_name,
                "state": state,
                "uptime_seconds": status.uptime.as_secs(),
                "version": env!("CARGO_PKG_VERSION"),
            }),
        )
    }

    async fn ready(&self) -> Response<Body> {
        let checks = self.checks().await;
        let draining = self.source.status().draining;
        let ready = !draining && checks.iter().all(|check| check.fault.is_none());
        let checks: Vec<Value> = checks
            .iter()
            .map(|Check { name, fault }| match fault {
                None => json!({ "name": name, "ok": true }),
                Some(fault) => json!({ "name": name, "ok": false, "fault": fault }),
            })
            .collect();
        let code = match ready {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        json_answer(
            code,
            &json!({ "ready": ready, "draining": draining, "checks": checks }),
        )
    }

    /// What the checks find, or found a moment ago.
    async fn checks(&self) -> Arc<[Check]> {
        let mut kept = self.checks.lock().await;
        if let Some((when, found)) = &*kept
            && when.elapsed() < CHECKS_LAST
        {
            return Arc::clone(found);
        }
        let found = match timeout(READY_TIMEOUT, self.source.checks()).await {
            Ok(found) => found,
            Err(_) => vec![Check::failed(
                "checks",
                format!("no answer in {READY_TIMEOUT:?}"),
            )],
        };
        let found: Arc<[Check]> = found.into();
        *kept = Some((Instant::now(), Arc::clone(&found)));
        found
    }
}

/// Whether the request is for an address or for `localhost`, and so not for a name whose owner had it lead here.
fn names_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => match headers.get(HOST).map(HeaderValue::to_str) {
            // HTTP/1.0 needs no Host. Browsers always send it.
            None => return true,
            Some(Ok(host)) => host,
            Some(Err(_)) => return false,
        },
    };
    let Ok(authority) = named.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost") || bare.unwrap_or(host).parse::<IpAddr>().is_ok()
}

fn json_answer(code: StatusCode, value: &Value) -> Response<Body> {
    answer(code, "application/json", format!("{value}\n"))
}

fn answer(code: StatusCode, kind: &'static str, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(body::full(text.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, host: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(HOST, host.parse().unwrap());
        }
        names_loopback(&target.parse().unwrap(), &headers)
    }

    #[test]
    fn a_loopback_port_answers_to_addresses_and_localhost_alone() {
        for host in [
            "127.0.0.1:18480",
            "localhost",
            "LOCALHOST:1",
            "[::1]:18480",
            "[::1]",
        ] {
            assert!(asked("/", Some(host)), "{host}");
        }
        for host in [
            "rebound.example",
            "127.0.0.1.example:18480",
            "localhost.example",
            "",
            "a b",
            "localhost@rebound.example",
            "127.0.0.1@rebound.example",
        ] {
            assert!(!asked("/", Some(host)), "{host}");
        }
        assert!(asked("/", None));
        assert!(!asked("http://rebound.example/", Some("127.0.0.1")));
    }
}
