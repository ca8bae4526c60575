//! Looks at Sentinels, servers and names, and carries orders to Sentinels. It finds out; it concludes nothing.

mod link;
pub mod names;
mod peers;
mod resp;
mod rows;
mod sentinel;
mod server;
mod speech;
mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::Settings;
use crate::config::settings::HostPort;
use crate::control::clock::Clock;
use crate::control::events::EventSender;
use crate::core::action::{Depth, Look, SentinelOrder};
use crate::core::cluster::ClusterTag;
use crate::core::event::{Event, LOOK_LIMIT, Names as Resolved};
use crate::core::id::{Address, RequestId};
use crate::core::rules::Mode;
use crate::core::seen::{Failure, RoleSeen, SentinelSeen, ServerSeen};

use names::{Names, Source};
use peers::Peers;
use rows::Places;
use watch::Watches;

/// Names in answers are resolved anew when their last answer is older than this (C6).
const TOLD_AGE: Duration = Duration::from_secs(1);
/// Addresses remembered as announced by somebody, and complaints remembered.
const REMEMBERED_LIMIT: usize = 512;
/// One complaint an address in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// How long an order to a Sentinel may take: it writes its file before it answers.
const ORDER_LIMIT: Duration = Duration::from_secs(1);

/// The driver. Cheap to call: everything that waits is a task of its own.
pub struct Discovery(Arc<Shared>);

/// What the tasks share.
struct Shared {
    settings: Arc<Settings>,
    clock: Clock,
    events: EventSender,
    names: Names,
    sentinels: Peers<sentinel::Kept>,
    servers: Peers<server::Kept>,
    watches: Watches,
    /// Configured names that resolve to exactly one address: maybe a Service, with many behind it.
    single: Mutex<HashSet<Address>>,
    /// Addresses that somebody announces as his own.
    own: Mutex<HashSet<Address>>,
    complaints: Mutex<HashMap<Address, Instant>>,
    /// Our cluster, once it is known for good.
    cluster: Mutex<Option<ClusterTag>>,
}

impl Discovery {
    /// A driver that has not asked anybody yet.
    pub fn new(settings: Arc<Settings>, clock: Clock, events: EventSender) -> Self {
        Discovery::with_names(settings, clock, events, Names::default())
    }

    /// The same with its own way to resolve names.
    pub fn with_names(settings: Arc<Settings>, clock: Clock, events: EventSender, names: Names) -> Self {
        Discovery(Arc::new(Shared {
            settings,
            clock,
            events,
            names,
            sentinels: Peers::default(),
            servers: Peers::default(),
            watches: Watches::default(),
            single: Mutex::default(),
            own: Mutex::default(),
            complaints: Mutex::default(),
            cluster: Mutex::default(),
        }))
    }

    /// Looks, and answers with the event of the same name within [`LOOK_LIMIT`]. Looks that belong to other drivers
    /// are none of ours.
    pub fn look(&self, look: Look) {
        let shared = self.0.clone();
        match look {
            Look::Names => drop(tokio::spawn(async move { shared.look_names().await })),
            Look::Sentinel { at, depth } => drop(tokio::spawn(async move { shared.look_sentinel(at, depth).await })),
            Look::Server { at } => drop(tokio::spawn(async move { shared.look_server(at).await })),
            Look::Supervisor { .. } | Look::Elector | Look::Child { .. } => {}
        }
    }

    /// Servers are asked from now on whether they know the logins of this cluster.
    pub fn belongs_to(&self, tag: ClusterTag) {
        *self.0.cluster.lock().unwrap_or_else(PoisonError::into_inner) = Some(tag);
    }

    /// Gives an order to a Sentinel; answered by `Event::SentinelDone`.
    pub fn order(&self, id: RequestId, at: Address, order: SentinelOrder) {
        let shared = self.0.clone();
        drop(tokio::spawn(async move {
            let until = Instant::now() + ORDER_LIMIT;
            let done = timeout_at(until, sentinel::order(&shared, at, order)).await.unwrap_or(Err(Failure::Silent));
            shared.events.send(Event::SentinelDone { id, at, done }).await;
        }));
    }
}

impl Shared {
    fn our_cluster(&self) -> Option<ClusterTag> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_names(&self) {
        let until = Instant::now() + LOOK_LIMIT;
        let (sentinels, servers) =
            tokio::join!(self.all(&self.settings.sentinels, until), self.all(&self.settings.servers, until));
        self.watches.forget_old();
        self.events.send(Event::Names(Resolved { sentinels, servers })).await;
    }

    /// Every address of every host; of those that resolve, where some do not. `None`: none did.
    async fn all(&self, hosts: &[HostPort], until: Instant) -> Option<Vec<Address>> {
        let mut found = BTreeSet::new();
        let mut resolved = hosts.is_empty();
        let asked: Vec<_> = hosts.iter().map(|host| self.names_of(host.clone(), until)).collect();
        for task in asked {
            let Ok(Some(addresses)) = task.await else { continue };
            resolved = true;
            if let [one] = addresses.as_slice() {
                remember(&self.single, *one);
            }
            found.extend(addresses);
        }
        resolved.then(|| found.into_iter().collect())
    }

    fn names_of(&self, host: HostPort, until: Instant) -> tokio::task::JoinHandle<Option<Vec<Address>>> {
        let names = self.names.clone();
        tokio::spawn(async move {
            let ips = names.resolve(&host.host, Source::Configured, Duration::ZERO, until).await?;
            Some(ips.iter().map(|ip| Address::new(*ip, host.port)).collect())
        })
    }

    async fn look_sentinel(&self, at: Address, depth: Depth) {
        let asked = self.clock.now();
        let until = Instant::now() + LOOK_LIMIT;
        let looked = timeout_at(until, sentinel::look(self, at, depth, until)).await;
        let (asked, seen) = match looked {
            Ok(looked) => {
                if looked.seen.is_ok() {
                    let password = self.settings.sentinel_password.clone().filter(|_| looked.password.0);
                    self.watches.seen(at, password, &self.events);
                }
                (looked.asked, looked.seen)
            }
            Err(_late) => (asked, Err(Failure::Silent)),
        };
        self.complain(at, "Sentinel", &seen);
        self.events.send(Event::Sentinel { at, asked, seen }).await;
    }

    async fn look_server(&self, at: Address) {
        let asked = self.clock.now();
        let until = Instant::now() + LOOK_LIMIT;
        let looked = timeout_at(until, server::look(self, at, until)).await;
        let (asked, seen) = looked.unwrap_or((asked, Err(Failure::Silent)));
        let leads = |seen: &ServerSeen| matches!(&seen.role, RoleSeen::Master { replicas } if !replicas.is_empty());
        if self.settings.mode == Mode::Server && seen.as_ref().is_ok_and(leads) && !self.is_crossroads(at) {
            self.watches.seen_master(at, &self.events);
        }
        self.complain(at, "server", &seen);
        self.events.send(Event::Server { at, asked, seen }).await;
    }

    /// Behind a Service each connection may lead to another one, so none is kept there.
    fn is_crossroads(&self, at: Address) -> bool {
        let contains = |set: &Mutex<HashSet<Address>>| set.lock().unwrap_or_else(PoisonError::into_inner).contains(&at);
        contains(&self.single) && !contains(&self.own)
    }

    fn announced(&self, seen: &SentinelSeen) {
        let rows = seen.rows.iter();
        for at in rows.clone().flat_map(|rows| rows.sentinels.iter().map(|row| row.address)) {
            remember(&self.own, at);
        }
        let replicas = rows.flat_map(|rows| rows.replicas.iter().map(|row| row.address));
        for at in replicas.chain(seen.master.iter().map(|row| row.address)) {
            remember(&self.own, at);
        }
    }

    fn announced_by_server(&self, seen: &ServerSeen) {
        match &seen.role {
            RoleSeen::Master { replicas } => replicas.iter().for_each(|replica| remember(&self.own, replica.address)),
            RoleSeen::Replica { master, .. } => master.iter().for_each(|master| remember(&self.own, *master)),
        }
    }

    /// Resolves the host names of an answer, at once.
    async fn places(&self, hosts: Vec<String>, until: Instant) -> Places {
        // A margin, so that an answer without its slow names still comes within the limit.
        let until = until - Duration::from_millis(50);
        let asked: Vec<_> = hosts
            .into_iter()
            .map(|host| {
                let names = self.names.clone();
                tokio::spawn(async move { (names.one(&host, Source::Told, TOLD_AGE, until).await, host) })
            })
            .collect();
        let mut places = Places::new();
        for task in asked {
            if let Ok((Some(ip), host)) = task.await {
                places.insert(host, ip);
            }
        }
        places
    }

    /// One line about somebody who answers, but not sensibly; not every second. Tells whether it was said.
    fn complain<T>(&self, at: Address, what: &'static str, seen: &Result<T, Failure>) -> bool {
        let trouble = match seen {
            Err(Failure::Nonsense) => "gives an answer that makes no sense, or far too long a one; it is ignored",
            Err(Failure::Unauthorised) => "refuses our password or user; check the password settings",
            _ => return false,
        };
        let now = Instant::now();
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.get(&at).is_some_and(|last| now.duration_since(*last) < COMPLAIN_EVERY) {
            return false;
        }
        complaints.retain(|_, last| now.duration_since(*last) < COMPLAIN_EVERY);
        if complaints.len() >= REMEMBERED_LIMIT {
            return false;
        }
        complaints.insert(at, now);
        tracing::warn!(event = "answer", address = %at, "the {what} {trouble}");
        true
    }
}

fn remember(set: &Mutex<HashSet<Address>>, at: Address) {
    let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
    if set.len() >= REMEMBERED_LIMIT {
        // Only a liar fills it; what is true is told again within a second.
        set.clear();
    }
    set.insert(at);
}

#[cfg(test)]
pub(crate) mod tests;
