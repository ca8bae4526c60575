//! The other direction: messages to other supervisors, and looks at them. Every call is answered by its event,
//! within its limit, whatever the other side does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::key::{Mark, PeerKey};
use super::listen::ApiError;
use super::wire::{self, Question, Trouble};
use super::{DEFAULT_PORT, MESSAGE_LIMIT, STATUS_LIMIT};
use crate::config::Settings;
use crate::control::clock::Clock;
use crate::control::events::EventSender;
use crate::core::cluster::Identity;
use crate::core::engines::EngineVersion;
use crate::core::event::{Event, LOOK_LIMIT};
use crate::core::id::{Address, Epoch, RequestId};
use crate::core::message::{Envelope, PeerAnswer, PeerMessage, Rank};
use crate::core::seen::{Failure, SupervisorSeen};

/// A kept connection rests at most this long: less than the other side keeps it (3 s), so that it never closes under
/// a message of ours; more than the 2 s between two looks of a replica in calm.
const REST: Duration = Duration::from_millis(2500);

/// Kept connections to one supervisor.
const KEPT: usize = 2;

/// How often one message is sent at most: kept connections that turn out to be closed, then the nonce.
const TRIES: usize = KEPT + 3;

/// How many supervisors' nonces are kept.
const NONCES: usize = 256;

/// Speaks to other supervisors.
#[derive(Clone, Debug)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Client,
    port: u16,
    me: Address,
    clock: Clock,
    events: EventSender,
    key: Option<PeerKey>,
    nonces: Mutex<HashMap<Address, String>>,
}

/// An answer and what it proves itself by.
struct Reply {
    status: StatusCode,
    mark: Option<String>,
    body: Vec<u8>,
}

impl Peers {
    /// For the supervisor at `me`. All supervisors use the port of `http_listen` (design section 4).
    pub fn new(
        settings: &Settings,
        me: Address,
        clock: Clock,
        events: EventSender,
        key: Option<PeerKey>,
    ) -> Result<Self, ApiError> {
        let port = settings.http_listen.map_or(DEFAULT_PORT, |http| http.port());
        Peers::at_port(port, me, clock, events, key)
    }

    /// As [`Peers::new`], with the port that all supervisors use.
    pub fn at_port(
        port: u16,
        me: Address,
        clock: Clock,
        events: EventSender,
        key: Option<PeerKey>,
    ) -> Result<Self, ApiError> {
        let http = wire::client(REST, KEPT).map_err(|error| ApiError::Thread(std::io::Error::other(error)))?;
        Ok(Peers(Arc::new(Inner { http, port, me, clock, events, key, nonces: Mutex::default() })))
    }

    /// Sends a message to the supervisor of the server at `to`; answered by [`Event::Answer`] within `limit`.
    pub fn ask(&self, id: RequestId, to: Address, cluster: Option<Identity>, message: PeerMessage, limit: Duration) {
        let this = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answer = tokio::time::timeout(limit, this.exchange(to, cluster, message)).await;
            let answer = answer.unwrap_or(Err(Failure::Silent));
            this.events.send(Event::Answer { id, from: to, answer }).await;
        });
    }

    /// Looks at the supervisor of the server at `at`; answered by [`Event::Supervisor`] within 300 ms.
    pub fn look_supervisor(&self, at: Address) {
        let this = Arc::clone(&self.0);
        let asked = this.clock.now();
        tokio::spawn(async move {
            let seen = tokio::time::timeout(LOOK_LIMIT, this.look(at)).await.unwrap_or(Err(Failure::Silent));
            this.events.send(Event::Supervisor { at, asked, seen }).await;
        });
    }
}

impl Inner {
    async fn exchange(
        &self,
        to: Address,
        cluster: Option<Identity>,
        message: PeerMessage,
    ) -> Result<PeerAnswer, Failure> {
        let question = Question::of(Envelope { v: 1, from: Some(self.me), cluster, body: message })?;
        let mut refused = 0;
        for _ in 0..TRIES {
            let nonce = self.take_nonce(to);
            let mark = self.mark(&question, nonce.as_deref());
            match self.send(to, &question, nonce, mark, MESSAGE_LIMIT).await {
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => {
                    // The nonce was too old or another message's; that of this answer is fresh. Twice is enough.
                    refused += 1;
                    if refused == 2 {
                        return Err(Failure::Unauthorised);
                    }
                }
                Ok(reply) => return self.judge(reply, mark),
                Err(Trouble::Failed(failure)) => return Err(failure),
                Err(Trouble::Broken) => {}
            }
        }
        Err(Failure::Silent)
    }

    async fn look(&self, at: Address) -> Result<SupervisorSeen, Failure> {
        // A supervisor that does not know the query answers with all of it.
        let question = Question::get("/status?for=peers");
        for _ in 0..TRIES {
            match self.send(at, &question, None, None, STATUS_LIMIT).await {
                Ok(reply) if reply.status == StatusCode::OK => return seen(&reply.body),
                Ok(_) => return Err(Failure::Nonsense),
                Err(Trouble::Failed(failure)) => return Err(failure),
                Err(Trouble::Broken) => {}
            }
        }
        Err(Failure::Silent)
    }

    async fn send(
        &self,
        to: Address,
        question: &Question,
        nonce: Option<String>,
        mark: Option<Mark>,
        most: usize,
    ) -> Result<Reply, Trouble> {
        let at = Address::new(to.ip(), self.port);
        let mut response = wire::send(&self.http, at, question, nonce, mark).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(nonce) = header(super::routes::NONCE) {
            self.keep_nonce(to, nonce);
        }
        let mark = header(super::routes::MAC);
        let body = wire::body(&mut response, most).await?;
        Ok(Reply { status: response.status(), mark, body })
    }

    fn judge(&self, reply: Reply, asked: Option<Mark>) -> Result<PeerAnswer, Failure> {
        match reply.status {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => return Err(Failure::Silent),
            _ => return Err(Failure::Nonsense),
        }
        if let Some(key) = &self.key {
            let asked = asked.ok_or(Failure::Unauthorised)?;
            let expected = key.mark_answer(&asked, reply.status.as_u16(), &reply.body);
            if !reply.mark.is_some_and(|mark| expected.is(&mark)) {
                return Err(Failure::Unauthorised);
            }
        }
        let answer: Envelope<PeerAnswer> = serde_json::from_slice(&reply.body).map_err(|_| Failure::Nonsense)?;
        if answer.v == 1 { Ok(answer.body) } else { Err(Failure::Nonsense) }
    }

    fn mark(&self, question: &Question, nonce: Option<&str>) -> Option<Mark> {
        let key = self.key.as_ref()?;
        Some(key.mark_request(question.method(), &question.target, nonce?, question.body()))
    }

    fn take_nonce(&self, of: Address) -> Option<String> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).remove(&of)
    }

    fn keep_nonce(&self, of: Address, nonce: String) {
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= NONCES && !nonces.contains_key(&of) {
            nonces.clear();
        }
        nonces.insert(of, nonce);
    }
}

/// What another supervisor needs of `/status`; the rest may be what it likes.
#[derive(Deserialize)]
struct Seen {
    role: String,
    #[serde(default)]
    cluster: Option<Identity>,
    #[serde(default)]
    epoch: Option<u64>,
    #[serde(default)]
    master: Option<SeenMaster>,
    #[serde(default)]
    follows: Option<Address>,
    #[serde(default)]
    never: bool,
    #[serde(default)]
    node: Option<Address>,
    /// One of an earlier version does not say.
    #[serde(default = "yes")]
    fenced: bool,
    #[serde(default)]
    began: Option<Rank>,
    engine: Option<SeenEngine>,
}

#[derive(Deserialize)]
struct SeenEngine {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct SeenMaster {
    epoch: u64,
}

fn seen(body: &[u8]) -> Result<SupervisorSeen, Failure> {
    let seen: Seen = serde_json::from_slice(body).map_err(|_| Failure::Nonsense)?;
    // No server's: the address was one, and came round again to a Sentinel's pod (E2).
    if seen.role == "sentinel" {
        return Err(Failure::Nonsense);
    }
    Ok(SupervisorSeen {
        cluster: seen.cluster,
        epoch: Epoch(seen.epoch.or(seen.master.map(|master| master.epoch)).unwrap_or(0)),
        leads: seen.role == "master",
        fenced: seen.fenced,
        follows: seen.follows.map(|address| Address::new(address.ip(), address.port())),
        never: seen.never,
        node: seen.node,
        engine: seen.engine.and_then(|engine| EngineVersion::parse(&format!("{} {}", engine.name, engine.version))),
        began: seen.began,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_a_sentinels_supervisor_at_a_servers_address_is_nobody() {
        assert!(seen(br#"{"role":"replica"}"#).is_ok_and(|seen| seen.fenced), "an earlier version");
        assert!(seen(br#"{"role":"master","fenced":false}"#).is_ok_and(|seen| seen.leads && !seen.fenced));
        let engine = |body: &[u8]| seen(body).ok().and_then(|seen| seen.engine).map(|engine| engine.to_string());
        let whole = br#"{"role":"replica","engine":{"name":"redis","version":"8.6.3","pid":7,"restarts":0}}"#;
        assert_eq!(engine(whole).as_deref(), Some("Redis 8.6.3"));
        assert_eq!(engine(br#"{"role":"replica","engine":{"name":"","version":""}}"#), None);
        assert_eq!(seen(br#"{"role":"sentinel"}"#), Err(Failure::Nonsense));
        assert_eq!(seen(br#"{}"#), Err(Failure::Nonsense));
    }
}
