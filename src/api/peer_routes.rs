//! `/peer/*`: what other supervisors ask.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::desk::Said;
use super::key::Mark;
use super::nonce::Stale;
use super::routes::{self, App, MAC, NONCE, Refusal, json, line};
use crate::core::cluster::{ClusterId, Identity};
use crate::core::id::{Address, AttemptId};
use crate::core::message::{Envelope, PeerAnswer, PeerMessage};

/// Version of the language.
const VERSION: u32 = 1;

/// The messages that are sent by POST; the path names the kind.
const KINDS: [&str; 11] =
    ["release", "consent", "led", "quicken", "priority", "report", "vouch", "lead", "decided", "follow", "met"];

/// No text in a message is longer, no list has more members.
const LONGEST_TEXT: usize = 256;
const LONGEST_LIST: usize = 256;

/// `GET /peer/nonce`: the nonce is in the header, as in every answer.
pub async fn nonce() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `POST /peer/<kind>` over the HTTP port.
pub async fn message(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let body = match routes::body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    // Always with a nonce: it shows that the message is moments old (M29).
    match admit(&app, "POST", &uri, &headers, &body) {
        Ok(mark) => answer(&app, &uri, &body, mark).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// `POST /peer/<kind>` over the socket: who can open it needs no mark.
pub async fn message_locally(State(app): State<Arc<App>>, uri: Uri, body: Body) -> Response {
    match routes::body(body).await {
        Ok(body) => answer(&app, &uri, &body, None).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /peer/led?release=ID`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    release: String,
    from: Option<Address>,
    /// The sender's cluster, where its id is settled.
    cluster: Option<ClusterId>,
}

impl Asked {
    fn identity(&self) -> Option<Identity> {
        self.cluster.clone().map(Identity::settled)
    }
}

/// `GET /peer/led?release=ID` over the HTTP port: with a password set, question and answer are marked.
pub async fn ask_led(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    if app.key.is_none() {
        return led(&app, asked, None).await;
    }
    match admit(&app, "GET", &uri, &headers, b"") {
        Ok(mark) => led(&app, asked, mark).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /peer/led?release=ID` over the socket.
pub async fn ask_led_locally(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Response {
    led(&app, asked, None).await
}

async fn led(app: &App, asked: Asked, mark: Option<Mark>) -> Response {
    if asked.release.len() > LONGEST_TEXT {
        return line(StatusCode::BAD_REQUEST, "the release's id is too long");
    }
    let cluster = asked.identity();
    let message = PeerMessage::AskLed { attempt: AttemptId(asked.release) };
    decided(app, Said { from: asked.from, cluster, message }, mark).await
}

/// Is it from one of us, moments old, and the first of its kind? The mark on it, where a password is set.
fn admit(app: &App, method: &str, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Option<Mark>, Refusal> {
    let again = |reason| Err(Refusal(StatusCode::UNAUTHORIZED, reason));
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(nonce) = text(NONCE) else {
        return again("send it again with the nonce of this answer (x-redinit-nonce)");
    };
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mark = app.key.as_ref().map(|key| key.mark_request(method, target, nonce, body));
    if let Some(mark) = mark
        && !text(MAC).is_some_and(|given| mark.is(given))
    {
        app.complaints.say("a message was refused", "its mark (x-redinit-mac) is not of this cluster's password");
        return again("the mark (x-redinit-mac) is missing or not of this cluster's password");
    }
    match app.nonces.take(nonce) {
        Ok(()) => Ok(mark),
        Err(Stale::Void) => again("the nonce is void (over 2 s old, or used): send it again with that of this answer"),
        Err(Stale::TooMany) => Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many messages; try again")),
    }
}

async fn answer(app: &App, uri: &Uri, body: &Bytes, mark: Option<Mark>) -> Response {
    let kind = uri.path().rsplit('/').next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        return line(StatusCode::NOT_FOUND, "no such message; see docs/http.md");
    }
    match parse(kind, body) {
        Ok(said) => decided(app, said, mark).await,
        Err(reason) => {
            app.complaints.say("a message made no sense", &reason);
            line(StatusCode::BAD_REQUEST, &reason)
        }
    }
}

async fn decided(app: &App, said: Said, mark: Option<Mark>) -> Response {
    match app.inbox.ask(said).await {
        Ok(answer) => marked(app, &answer, mark),
        Err(why) => routes::unanswered(why),
    }
}

/// The answer under the mark of what was asked: nobody else can say `child gone`.
fn marked(app: &App, answer: &PeerAnswer, mark: Option<Mark>) -> Response {
    let envelope = Envelope { v: VERSION, from: None, cluster: None, body: answer };
    let (Some(key), Some(asked)) = (&app.key, mark) else { return json(StatusCode::OK, &envelope) };
    let Ok(body) = serde_json::to_vec(&envelope) else { return json(StatusCode::OK, &envelope) };
    let header = HeaderValue::from_str(&key.mark_answer(&asked, StatusCode::OK.as_u16(), &body).to_hex());
    let mut response = (StatusCode::OK, [("content-type", "application/json")], body).into_response();
    if let Ok(header) = header {
        response.headers_mut().insert(MAC, header);
    }
    response
}

/// A message of this kind; the reason where it is none.
pub fn parse(kind: &str, body: &[u8]) -> Result<Said, String> {
    let mut fields: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| format!("no JSON object: {error}"))?;
    match fields.get("v").and_then(Value::as_u64) {
        Some(1) => {}
        Some(other) => return Err(format!("version {other} of the messages is not known here, 1 is")),
        None => return Err("\"v\":1 is missing".to_owned()),
    }
    fields.values().try_for_each(small)?;
    let from = match fields.remove("from") {
        None | Some(Value::Null) => None,
        Some(from) => Some(serde_json::from_value(from).map_err(|error| format!("\"from\": {error}"))?),
    };
    let cluster = match fields.remove("cluster") {
        None | Some(Value::Null) => None,
        Some(cluster) => Some(serde_json::from_value(cluster).map_err(|error| format!("\"cluster\": {error}"))?),
    };
    fields.insert("kind".to_owned(), Value::String(kind.to_owned()));
    let message = serde_json::from_value(Value::Object(fields)).map_err(|error| format!("{kind}: {error}"))?;
    Ok(Said { from, cluster, message })
}

/// What the core keeps is small.
fn small(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => Err(format!("a text of over {LONGEST_TEXT} bytes")),
        Value::Array(list) if list.len() > LONGEST_LIST => Err(format!("a list of over {LONGEST_LIST} members")),
        Value::Array(list) => list.iter().try_for_each(small),
        Value::Object(fields) => fields.values().try_for_each(small),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_the_kind_and_unknown_fields_are_ignored() {
        let body = br#"{"v":1,"from":"10.0.0.1:6379","kind":"lead","lasting":500,"colour":"red"}"#;
        let Said { from, message, .. } = parse("quicken", body).unwrap();
        assert_eq!(from, Address::parse("10.0.0.1", 6379));
        assert_eq!(message, PeerMessage::Quicken { lasting: std::time::Duration::from_millis(500) });
    }

    #[test]
    fn what_makes_no_sense_has_a_reason() {
        let long = format!(r#"{{"v":1,"attempt":"{}"}}"#, "x".repeat(300));
        let many = format!(r#"{{"v":1,"servers":[{}1]}}"#, "1,".repeat(300));
        let deep = format!(r#"{{"v":1,"x":{}"#, "[".repeat(10_000));
        for (body, reason) in [
            ("", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "\"v\":1 is missing"),
            (r#"{"v":"1"}"#, "\"v\":1 is missing"),
            (r#"{"v":2,"lasting":1}"#, "version 2"),
            (r#"{"v":1}"#, "lasting"),
            (r#"{"v":1,"lasting":-1}"#, "quicken"),
            (r#"{"v":1,"lasting":1,"from":"a name:1"}"#, "from"),
            (&long, "a text of over"),
            (&many, "a list of over"),
            (&deep, "no JSON object"),
        ] {
            let error = parse("quicken", body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
    }
}
