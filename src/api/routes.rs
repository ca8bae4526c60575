//! The routes, and the answers that need nobody else: probes, status, metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};

use super::complaints::Complaints;
use super::desk::{Inbox, Unanswered};
use super::key::PeerKey;
use super::nonce::Nonces;
use super::picture::{PeersPicture, Picture};
use super::shared::{Probe, Shared};
use super::{metrics, peer_routes, person_routes};

/// The header that carries a nonce: the next one in an answer, the one used in a message.
pub const NONCE: HeaderName = HeaderName::from_static("x-redinit-nonce");

/// The header that carries a mark (HMAC).
pub const MAC: HeaderName = HeaderName::from_static("x-redinit-mac");

/// A request's body must be there within this time.
const BODY_LIMIT: Duration = Duration::from_secs(2);

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// The picture.
    pub shared: Arc<Shared>,
    /// The way to the control task.
    pub inbox: Inbox,
    /// Nonces of ours.
    pub nonces: Nonces,
    /// The cluster's key, where a password is set.
    pub key: Option<PeerKey>,
    /// Bad input.
    pub complaints: Complaints,
}

/// Which listener a request came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The Unix socket: everything.
    Socket,
    /// The HTTP port: reading and `/peer/*`.
    Http,
}

/// The routes of one listener.
pub fn router(app: Arc<App>, over: Over) -> Router {
    let router = Router::new()
        .route("/livez", probe(Probe::Live))
        .route("/readyz", probe(Probe::Ready))
        .route("/startupz", probe(Probe::Startup))
        .route("/master", probe(Probe::Master))
        .route("/replica", probe(Probe::Replica))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/peer/nonce", get(peer_routes::nonce));
    let router = match over {
        Over::Socket => router
            .route("/handover", post(person_routes::handover))
            .route("/adopt", post(person_routes::adopt))
            .route("/maintenance", put(person_routes::maintenance_on).delete(person_routes::maintenance_off))
            .route("/peer/led", get(peer_routes::ask_led_locally).post(peer_routes::message_locally))
            .route("/peer/{kind}", post(peer_routes::message_locally)),
        Over::Http => router
            .route("/handover", post(person_routes::only_locally))
            .route("/adopt", post(person_routes::only_locally))
            .route("/maintenance", put(person_routes::only_locally).delete(person_routes::only_locally))
            .route("/peer/led", get(peer_routes::ask_led).post(peer_routes::message))
            .route("/peer/{kind}", post(peer_routes::message)),
    };
    router.fallback(unknown).with_state(app)
}

async fn unknown() -> Response {
    line(StatusCode::NOT_FOUND, "no such page; see docs/http.md")
}

/// A probe: GET and HEAD, and OPTIONS as HAProxy's `httpchk` sends it.
fn probe(which: Probe) -> MethodRouter<Arc<App>> {
    let answer = move |State(app): State<Arc<App>>| async move { judged(&app, which) };
    let without_body = move |State(app): State<Arc<App>>| async move { judged(&app, which).status() };
    get(answer).options(without_body)
}

fn judged(app: &App, which: Probe) -> Response {
    let answer = app.shared.answer(which);
    let status = if answer.is_yes() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    line(status, answer.reason())
}

async fn status(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    match query.as_deref() {
        Some("for=peers") => json(StatusCode::OK, &PeersPicture::take(&app.shared)),
        _ => json(StatusCode::OK, &Picture::take(&app.shared)),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    match metrics::text(&app.shared) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => line(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written"),
    }
}

/// One line of text.
pub fn line(status: StatusCode, text: &str) -> Response {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text + "\n").into_response()
}

/// JSON.
pub fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// An answer of one line instead of what was asked for.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        line(self.0, self.1)
    }
}

/// 503: the control task has not answered.
pub fn unanswered(why: Unanswered) -> Response {
    line(StatusCode::SERVICE_UNAVAILABLE, &why.to_string())
}

/// A request's whole body: never more than a message may have, never waited for long.
pub async fn body(body: Body) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_LIMIT, axum::body::to_bytes(body, super::MESSAGE_LIMIT)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body broke off, or has over 64 KiB")),
        Err(_) => Err(Refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come within 2 s")),
    }
}
