//! HTTP towards other supervisors: a question on its way, and what its failure proves.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, Url};

use super::key::Mark;
use super::routes::{MAC, NONCE};
use crate::core::cluster::Identity;
use crate::core::id::Address;
use crate::core::message::{Envelope, PeerMessage};
use crate::core::seen::Failure;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It proves this much.
    Failed(Failure),
    /// A connection that stood has broken: only a fresh one shows whether somebody is still there.
    Broken,
}

/// A message as HTTP.
#[derive(Clone, Debug)]
pub struct Question {
    /// Path and query.
    pub target: String,
    body: Option<Vec<u8>>,
}

impl Question {
    /// `GET`.
    pub fn get(target: &str) -> Self {
        Question { target: target.to_owned(), body: None }
    }

    /// A message: `GET /peer/led?release=ID`, or `POST /peer/<kind>`.
    pub fn of(envelope: Envelope<PeerMessage>) -> Result<Self, Failure> {
        let kind = match &envelope.body {
            PeerMessage::AskLed { attempt } => {
                return Ok(ask_led(&attempt.0, envelope.from, envelope.cluster.as_ref()));
            }
            PeerMessage::Release { .. } => "release",
            PeerMessage::Consent { .. } => "consent",
            PeerMessage::Led { .. } => "led",
            PeerMessage::Quicken { .. } => "quicken",
            PeerMessage::Priority { .. } => "priority",
            PeerMessage::Report(_) => "report",
            PeerMessage::Lead { .. } => "lead",
            PeerMessage::Vouch { .. } => "vouch",
            PeerMessage::Decided { .. } => "decided",
            PeerMessage::Follow { .. } => "follow",
            PeerMessage::Met { .. } => "met",
        };
        let body = serde_json::to_vec(&envelope).map_err(|_| Failure::Nonsense)?;
        Ok(Question { target: format!("/peer/{kind}"), body: Some(body) })
    }

    /// The method's name.
    pub fn method(&self) -> &'static str {
        if self.body.is_some() { "POST" } else { "GET" }
    }

    /// The body, empty where there is none.
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }
}

/// The query is written by the URL's own rules once, so that the mark is over what travels.
fn ask_led(release: &str, from: Option<Address>, cluster: Option<&Identity>) -> Question {
    let mut target = "/peer/led".to_owned();
    if let Ok(mut url) = Url::parse("http://localhost/peer/led") {
        url.query_pairs_mut().append_pair("release", release);
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("from", &from.to_string());
        }
        if let Some(cluster) = cluster.filter(|cluster| cluster.is_settled()) {
            url.query_pairs_mut().append_pair("cluster", cluster.id.as_str());
        }
        target = format!("/peer/led?{}", url.query().unwrap_or_default());
    }
    Question { target, body: None }
}

/// A client that keeps connections, and goes where it is told and nowhere else.
pub fn client(rest: Duration, kept: usize) -> Result<Client, reqwest::Error> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(rest)
        .pool_max_idle_per_host(kept)
        .build()
}

/// Sends a question.
pub async fn send(
    client: &Client,
    at: Address,
    question: &Question,
    nonce: Option<String>,
    mark: Option<Mark>,
) -> Result<Response, Trouble> {
    let url = Url::parse(&format!("http://{at}{}", question.target)).map_err(|_| Trouble::Failed(Failure::Nonsense))?;
    let method = if question.body.is_some() { Method::POST } else { Method::GET };
    let mut request = client.request(method, url);
    if let Some(nonce) = nonce {
        request = request.header(NONCE, nonce);
    }
    if let Some(mark) = mark {
        request = request.header(MAC, mark.to_hex());
    }
    if let Some(body) = &question.body {
        request = request.header("content-type", "application/json").body(body.clone());
    }
    request.send().await.map_err(|error| trouble(&error))
}

/// An answer's body, never more than `most` bytes of it.
pub async fn body(response: &mut Response, most: usize) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    // Half an answer is nonsense, not a reason to ask again.
    while let Some(chunk) = response.chunk().await.map_err(|_| Trouble::Failed(Failure::Nonsense))? {
        if body.len() + chunk.len() > most {
            return Err(Trouble::Failed(Failure::Nonsense));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a failure proves. A refused connection is evidence; silence is not (invariant 5). A reset on a connection
/// that stood is neither: the other side closes idle ones.
fn trouble(error: &reqwest::Error) -> Trouble {
    let refused = matches!(io_kind(error), Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset));
    match error.is_connect() {
        true if refused => Trouble::Failed(Failure::Refused),
        true => Trouble::Failed(Failure::Silent),
        false if error.is_timeout() => Trouble::Failed(Failure::Silent),
        false if causes(error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_parse)) => {
            Trouble::Failed(Failure::Nonsense)
        }
        false => Trouble::Broken,
    }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}
