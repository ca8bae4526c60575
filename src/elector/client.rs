//! Asks the elector who leads.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::{Instant, timeout_at};

use crate::config::Settings;
use crate::config::settings::Elector;
use crate::control::clock::Clock;
use crate::control::events::EventSender;
use crate::core::event::{Event, LOOK_LIMIT};
use crate::core::rules::Mode;
use crate::core::seen::{ElectorSeen, Failure};
use crate::discovery::names::{Names, Source, literal};

use super::answer::Answer;
use super::campaign::Campaign;
use super::candidate::Candidate;
use super::file::FileLock;
use super::lock::{self, Lock, LockError};

/// More of an answer than this is not read.
const BODY_LIMIT: usize = 64 * 1024;
/// A leader's name is looked up anew when its last answer is older than this.
const NAME_AGE: Duration = Duration::from_secs(1);
/// What is left of a look when the name has been found: an answer without addresses still comes in time.
const MARGIN: Duration = Duration::from_millis(30);

/// The driver. Cheap to call: what waits is a task of its own.
pub struct Client {
    shared: Arc<Shared>,
    clock: Clock,
    events: EventSender,
}

struct Shared {
    settings: Arc<Settings>,
    names: Names,
    source: Origin,
}

enum Origin {
    /// No elector, or one that could not be set up; that was said once.
    Nobody,
    Http {
        client: reqwest::Client,
        url: reqwest::Url,
    },
    Lease(Candidate),
}

impl Client {
    /// A client for the elector of the settings. With a lock a server is a candidate from now on.
    pub fn new(settings: Arc<Settings>, clock: Clock, events: EventSender) -> Self {
        let names = Names::default();
        let source = match &settings.elector {
            Elector::None => Origin::Nobody,
            Elector::DefaultHttp(url) | Elector::Http(url) => http(url, &names),
            Elector::File(path) => {
                let run = run();
                candidate(&settings, Ok(Box::new(FileLock::new(path, &run))), &run)
            }
            Elector::Kubernetes => candidate(&settings, lock::kubernetes(&settings.election), &run()),
        };
        Client { shared: Arc::new(Shared { settings, names, source }), clock, events }
    }

    /// Asks, and answers with `Event::Elector` within [`LOOK_LIMIT`].
    pub fn look(&self) {
        let (shared, clock, events) = (self.shared.clone(), self.clock, self.events.clone());
        drop(tokio::spawn(async move {
            let asked = clock.now();
            let until = Instant::now() + LOOK_LIMIT;
            let seen = timeout_at(until, shared.ask(until)).await.unwrap_or(Err(Failure::Silent));
            events.send(Event::Elector { asked, seen }).await;
        }));
    }

    /// Lets go of the lease, where we hold one, so that the next leader need not wait for its end. Blocks for `limit`
    /// at most; the process is about to end.
    pub fn release(&self, limit: Duration) {
        if let Origin::Lease(candidate) = &self.shared.source {
            candidate.release(limit);
        }
    }
}

impl Shared {
    async fn ask(&self, until: Instant) -> Result<ElectorSeen, Failure> {
        let (name, lease) = match &self.source {
            Origin::Nobody => return Err(Failure::Silent),
            Origin::Lease(candidate) => (candidate.leader().map(|leader| leader.leader).unwrap_or_default(), true),
            Origin::Http { client, url } => {
                let answer = get(client, url).await?;
                (answer.name, answer.redinit.is_some())
            }
        };
        let leader = self.addresses(name.trim(), until - MARGIN).await;
        Ok(ElectorSeen { leader, name, lease })
    }

    /// An id is an address, maybe with a port, or a host name. Side-cars take the pod's name, which in a StatefulSet
    /// resolves only under its headless Service, the servers' host.
    async fn addresses(&self, id: &str, until: Instant) -> Vec<IpAddr> {
        if id.is_empty() {
            return Vec::new();
        }
        if id == self.settings.name || id == self.settings.announce_address {
            return vec![self.settings.announce_ip];
        }
        if let Some(ip) = literal(id).or_else(|| id.parse::<SocketAddr>().ok().map(|at| at.ip().to_canonical())) {
            return vec![ip];
        }
        let service = self.settings.servers.first().map(|servers| servers.host.as_str());
        let pod =
            service.filter(|host| literal(host).is_none() && !id.contains('.')).map(|host| format!("{id}.{host}"));
        let look_up = |host: String| async move { self.names.resolve(&host, Source::Told, NAME_AGE, until).await };
        let (bare, pod) = tokio::join!(look_up(id.to_owned()), look_up(pod.unwrap_or_default()));
        bare.or(pod).map(|found| found.to_vec()).unwrap_or_default()
    }
}

/// Fetches and reads one answer.
async fn get(client: &reqwest::Client, url: &reqwest::Url) -> Result<Answer, Failure> {
    let mut answer = client.get(url.clone()).send().await.map_err(|error| sort(&error))?;
    if !answer.status().is_success() {
        return Err(Failure::Nonsense);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| sort(&error))? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(Failure::Nonsense);
        }
        body.extend_from_slice(&chunk);
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| Failure::Nonsense)?;
    // It goes into logs and the status.
    let sane = answer.name.len() <= 253 && !answer.name.chars().any(char::is_control);
    if sane { Ok(answer) } else { Err(Failure::Nonsense) }
}

/// What stopped a request. Only a refused connection is evidence.
pub(super) fn sort(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Silent;
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => Failure::Refused,
                _ => Failure::Silent,
            };
        }
        source = inner.source();
    }
    if error.is_connect() { Failure::Silent } else { Failure::Nonsense }
}

/// Stands for election at this lock; a Sentinel only watches.
fn candidate(settings: &Settings, lock: Result<Box<dyn Lock + Send>, LockError>, run: &str) -> Origin {
    let campaign = Campaign::new(&settings.election, &settings.announce_address, run);
    match lock.map(|lock| Candidate::start(lock, campaign, settings.mode == Mode::Server)) {
        Ok(Ok(candidate)) => Origin::Lease(candidate),
        Ok(Err(error)) => nobody(&error),
        Err(error) => nobody(&error),
    }
}

fn http(url: &str, names: &Names) -> Origin {
    let with_path = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let (url, client) = match (reqwest::Url::parse(&with_path), plain_client(Some(names.clone()))) {
        (Ok(url), Ok(client)) => (url, client),
        (Err(error), _) => return nobody(&error),
        (_, Err(error)) => return nobody(&error),
    };
    Origin::Http { client, url }
}

/// An HTTP client that goes straight to the address it was given: no proxy, no redirect, names through our own table.
pub(super) fn plain_client(names: Option<Names>) -> reqwest::Result<reqwest::Client> {
    let redirects = reqwest::redirect::Policy::none();
    let mut builder = reqwest::Client::builder().no_proxy().redirect(redirects).timeout(LOOK_LIMIT);
    builder = builder.pool_max_idle_per_host(0);
    if let Some(names) = names {
        builder = builder.dns_resolver(Arc::new(OwnNames(names)));
    }
    builder.build()
}

fn nobody(error: &dyn std::fmt::Display) -> Origin {
    tracing::error!(event = "elector", "the elector cannot be asked: {error}; check the setting `elector`");
    Origin::Nobody
}

/// Random, new at every start.
pub(super) fn run() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness the process id tells the runs on one machine apart well enough.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = u64::from(std::process::id()).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Look-ups of the HTTP client go through the same gate as all others: a silent resolver would hold one thread each.
struct OwnNames(Names);

impl Resolve for OwnNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let until = Instant::now() + LOOK_LIMIT;
            let found = names.resolve(name.as_str(), Source::Configured, NAME_AGE, until).await;
            let found = found.ok_or_else(|| format!("cannot resolve {}", name.as_str()))?;
            let found: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
