//! What a person asks for, over the socket only: `POST /handover`, `POST /adopt`, `PUT` and `DELETE /maintenance`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::desk::PEER_LIMIT;
use super::progress::ProgressBody;
use super::routes::{self, App, line};
use crate::core::action::Progress;
use crate::core::event::{Adopting, Maintenance, Wish};
use crate::core::id::Address;

/// The body of `POST /handover`; none at all is fine.
#[derive(Debug, Default, Deserialize)]
struct HandoverBody {
    #[serde(default)]
    to: Option<Address>,
}

/// Over the HTTP port: no.
pub async fn only_locally() -> Response {
    line(
        StatusCode::FORBIDDEN,
        "only over the Unix socket: redinit handover, redinit adopt, redinit maintenance on|off",
    )
}

/// `POST /handover`: one JSON object a line, as the steps are taken.
pub async fn handover(State(app): State<Arc<App>>, body: Body) -> Response {
    let body = match routes::body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    let asked = if body.is_empty() { Ok(HandoverBody::default()) } else { serde_json::from_slice(&body) };
    let to = match asked {
        Ok(asked) => asked.to,
        Err(error) => {
            return line(StatusCode::BAD_REQUEST, &format!("{{\"to\":\"ADDRESS:PORT\"}} or nothing: {error}"));
        }
    };
    match app.inbox.wish(Wish::Handover { to }).await {
        Ok(lines) => {
            let body = Body::new(ProgressBody::new(lines));
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Err(why) => routes::unanswered(why),
    }
}

/// The body of `POST /adopt`.
#[derive(Debug, Deserialize)]
struct AdoptBody {
    at: Address,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /adopt`.
pub async fn adopt(State(app): State<Arc<App>>, body: Body) -> Response {
    let body = match routes::body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    match serde_json::from_slice::<AdoptBody>(&body) {
        Ok(AdoptBody { at, dry_run }) => {
            let how = if dry_run { Adopting::Dry } else { Adopting::Real };
            last_line(&app, Wish::Adopt { at, how }).await
        }
        Err(error) => line(StatusCode::BAD_REQUEST, &format!("{{\"at\":\"ADDRESS:PORT\"}}: {error}")),
    }
}

/// `PUT /maintenance`.
pub async fn maintenance_on(State(app): State<Arc<App>>) -> Response {
    last_line(&app, Wish::Maintenance(Maintenance::On)).await
}

/// `DELETE /maintenance`.
pub async fn maintenance_off(State(app): State<Arc<App>>) -> Response {
    last_line(&app, Wish::Maintenance(Maintenance::Off)).await
}

/// What is done at once: the last line, 200 or 409.
async fn last_line(app: &App, wish: Wish) -> Response {
    let mut lines = match app.inbox.wish(wish).await {
        Ok(lines) => lines,
        Err(why) => return routes::unanswered(why),
    };
    let last = async {
        loop {
            match lines.next().await {
                Some(Progress::Step(_)) => {}
                last => return last,
            }
        }
    };
    match tokio::time::timeout(PEER_LIMIT, last).await {
        Ok(Some(Progress::Done(text))) => line(StatusCode::OK, &text),
        Ok(Some(Progress::Failed(text) | Progress::Step(text))) => line(StatusCode::CONFLICT, &text),
        Ok(None) | Err(_) => routes::unanswered(super::desk::Unanswered::Late),
    }
}
