//! A server of two federation endpoints, written with axum and ruma as if nothing else existed: no line of this file knows of Comity.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequest, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ruma_common::{OwnedServerName, serde::Base64};
use ruma_federation_api::authentication::XMatrix;
use ruma_signatures::PublicKeyMap;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What the handlers share.
pub(crate) struct App {
    name: OwnedServerName,
    keys: PublicKeyMap,
    rooms: BTreeMap<String, Vec<Value>>,
}

impl App {
    /// A server that knows the key of one other, and one room.
    pub(crate) fn new(
        name: OwnedServerName,
        (peer, key_id, key): (&str, &str, &str),
        (room_id, events): (&str, Vec<Value>),
    ) -> Self {
        let key = Base64::parse(key).expect("a key is base64");
        Self {
            name,
            keys: [(peer.to_owned(), [(key_id.to_owned(), key)].into())].into(),
            rooms: [(room_id.to_owned(), events)].into(),
        }
    }

    /// The application.
    pub(crate) fn into_router(self) -> Router {
        Router::new()
            .route("/_matrix/federation/v1/version", get(version))
            .route(
                "/_matrix/federation/v1/get_missing_events/{room_id}",
                post(get_missing_events),
            )
            .with_state(Arc::new(self))
    }
}

async fn version() -> Json<Value> {
    Json(json!({"server": {"name": "axum application", "version": "1"}}))
}

#[derive(Deserialize)]
struct Missing {
    latest_events: Vec<String>,
    #[serde(default = "ten")]
    limit: usize,
}

fn ten() -> usize {
    10
}

/// Gives the room's latest events. A server that is one would walk its graph from the events that were asked about.
async fn get_missing_events(
    State(app): State<Arc<App>>,
    Path(room_id): Path<String>,
    Signed { origin, content }: Signed<Missing>,
) -> Result<Json<Value>, Refusal> {
    println!(
        "    app: {origin} asks what comes before {:?} in {room_id}",
        content.latest_events
    );
    let events = app
        .rooms
        .get(&room_id)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", "no such room"))?;
    let from = events.len().saturating_sub(content.limit);
    // The last member is no standard one.
    Ok(Json(
        json!({"events": events[from..], "example.left_out": from}),
    ))
}

/// A JSON body whose sender signed the request, and that sender.
struct Signed<T> {
    origin: OwnedServerName,
    content: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Signed<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let unauthorized =
            |why: String| Refusal::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", why);
        let (head, body) = request.into_parts();
        let body = Bytes::from_request(Request::from_parts(head.clone(), body), app)
            .await
            .map_err(|why| Refusal::new(why.status(), "M_TOO_LARGE", why.body_text()))?;
        let request = Request::from_parts(head, body);
        let credentials = XMatrix::extract_from_http_headers(request.headers())
            .map_err(|why| unauthorized(why.to_string()))?;
        credentials
            .verify_http_request(&request, &app.name, &app.keys)
            .map_err(|why| unauthorized(why.to_string()))?;
        let content = serde_json::from_slice(request.body())
            .map_err(|why| Refusal::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", why.to_string()))?;
        Ok(Self {
            origin: credentials.origin,
            content,
        })
    }
}

struct Refusal {
    status: StatusCode,
    errcode: &'static str,
    error: String,
}

impl Refusal {
    fn new(status: StatusCode, errcode: &'static str, error: impl Into<String>) -> Self {
        Self {
            status,
            errcode,
            error: error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"errcode": self.errcode, "error": self.error});
        (self.status, Json(body)).into_response()
    }
}
