//! All that has been seen of others, and how fresh it is. No judgement: see `verdict` and `right` for those.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cluster::Identity;
use super::engines::EngineVersion;
use super::event::Names;
use super::foreign::Alien;
use super::id::{Address, RunId, SentinelId};
use super::kin::{Kin, Proof};
use super::moment::Moment;
use super::record::Record;
use super::rules::{Mode, Rules};
use super::seen::{ElectorSeen, Failure, Link, MasterRow, ReplicaRow, SentinelSeen, ServerSeen, SupervisorSeen};
use super::sighting::Sighting;

/// Never more targets than this, whatever anybody lists (limits on every list from the network).
pub(super) const MOST_TARGETS: usize = 64;
/// Somebody whose last good answer was asked for longer ago than this does not "answer" any more.
pub const FRESH: Duration = Duration::from_millis(2500);
/// Sentinels that were replaced count no longer than this towards the quorum (M23).
const LISTED_FOR: Duration = Duration::from_secs(300);
/// How long a server counts as known after its last answer, and a Sentinel's row after going down (design section 1).
pub const FORGET: Duration = Duration::from_secs(60);

/// A Sentinel.
#[derive(Clone, Debug, Default)]
pub struct SentinelEntry {
    /// The configured name resolves to it now, or it is listed in the settings.
    pub configured: bool,
    /// Its answers; a glance keeps the rows of the last full look.
    pub seen: Sighting<SentinelSeen>,
    /// When the last full look was asked.
    pub rows_asked: Option<Moment>,
    /// The Sentinel that answers here has a better address: this one is a Service's.
    pub(super) second: bool,
    /// Since which full look it has shown us chosen (a proposal), and the last full look before that.
    pub choice: Choice,
    /// Who answered here, and when last, that it knows no master: behind a Service one address is many. Nobody, once one
    /// of them names a master.
    bare: Vec<(SentinelId, Moment)>,
    /// The id of whoever answered here last.
    pub(super) id_there: Option<SentinelId>,
    /// Whom that one names, where it is of another cluster, and when it was asked.
    pub(super) foreign_word: Option<(Address, Moment)>,
    /// The one of another cluster that has been told of.
    pub(super) told_of: Option<SentinelId>,
    /// What it lists of another cluster, by the last full look.
    pub(super) alien: Option<Alien>,
}

impl SentinelEntry {
    fn note_opinion(&mut self, seen: &SentinelSeen, asked: Moment) {
        match seen.master {
            Some(_) => self.bare.clear(),
            None => {
                self.bare.retain(|(id, at)| *id != seen.id && asked.since(*at) <= FRESH);
                self.bare.push((seen.id.clone(), asked));
            }
        }
    }

    /// Its rows are of a full look asked for at `since` or later.
    pub(super) fn rows_since(&self, since: Moment) -> bool {
        self.rows_asked.is_some_and(|asked| asked >= since)
    }

    /// Who answers here that it knows no master.
    pub(super) fn without_opinion(&self, now: Moment) -> impl Iterator<Item = &SentinelId> {
        let answers = self.seen.view(now).is_some();
        self.bare.iter().filter(move |(_, at)| answers && now.since(*at) <= FRESH).map(|(id, _)| id)
    }
}

/// What a Sentinel showed of its failover, over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Whom it has chosen, since which look.
    pub chosen: Option<(Address, Moment)>,
    /// The last look that showed nobody chosen (L1 counts from there).
    pub last_without: Option<Moment>,
}

/// On whose word a server is on our list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Messages alone, which anybody can send: what it says of itself makes no verdict (S6).
    #[default]
    Message,
    /// The settings, a Sentinel, the state file, a server of ours, or most of those that report.
    Ours,
}

/// A server other than our own child.
#[derive(Clone, Debug, Default)]
pub struct ServerEntry {
    /// On whose word it is here.
    pub word: Word,
    /// The configured name resolves to it now.
    pub configured: bool,
    /// Its answers.
    pub server: Sighting<ServerSeen>,
    /// Its supervisor's answers.
    pub supervisor: Sighting<SupervisorSeen>,
    /// Its HTTP port has answered before (L2: only then is a refusal there evidence).
    pub http_answered: bool,
    /// Whether a supervisor stands there, as last known while it lived.
    pub supervised: Option<bool>,
    /// Its supervisor last answered anything at all then, a look or a message.
    pub heard: Option<Moment>,
    /// A Sentinel that names this one listed it; of nobody, where it was known otherwise.
    pub(super) listed_under: Option<Address>,
    /// Since when it has been on our list without answering.
    pub listed_since: Moment,
    /// Which processes answered there.
    pub(super) processes: super::apart::Processes,
    /// Whether it belongs to our cluster.
    pub(super) kin: Kin,
    /// By what that is known.
    pub(super) proof: Proof,
}

impl ServerEntry {
    /// It answers and says master; not whom only a message speaks of.
    pub fn says_master(&self, now: Moment) -> bool {
        self.word == Word::Ours && self.server.view(now).is_some_and(|seen| seen.role.is_master())
    }

    /// It says master, in an answer asked for at `since` or later: what was seen before a change of role proves nothing.
    pub fn says_master_since(&self, since: Moment) -> bool {
        self.server.view_since(since).is_some_and(|seen| seen.role.is_master())
    }

    /// It answers and says replica.
    pub fn says_replica(&self, now: Moment) -> bool {
        self.server.view(now).is_some_and(|seen| !seen.role.is_master())
    }

    /// Which engine runs there, by the newer of its own word and its supervisor's.
    pub fn engine(&self) -> Option<EngineVersion> {
        let itself = self.server.remembered().and_then(|(seen, at)| Some((at, seen.engine?)));
        let told = self.supervisor.remembered().and_then(|(seen, at)| Some((at, seen.engine?)));
        itself.into_iter().chain(told).max_by_key(|(at, _)| *at).map(|(_, engine)| engine)
    }

    /// Its supervisor answers.
    pub fn supervisor_answers(&self, now: Moment) -> bool {
        self.supervisor.view(now).is_some()
    }
}

/// Does this replica stream from `master`?
pub fn follows(seen: &ServerSeen, master: Address) -> bool {
    matches!(seen.role, super::seen::RoleSeen::Replica { master: Some(at), link: Link::Up } if at == master)
}

/// The elector's answers.
#[derive(Clone, Debug, Default)]
pub struct ElectorEntry {
    /// The newest outcome.
    pub seen: Sighting<ElectorSeen>,
    /// Since when the same leader has been named in every answer.
    pub steady_since: Option<Moment>,
}

/// Everything seen of others.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Sentinels by address.
    pub sentinels: BTreeMap<Address, SentinelEntry>,
    /// Servers by address, never ourselves.
    pub servers: BTreeMap<Address, ServerEntry>,
    /// Servers that were only spoken of.
    pub(super) hearsay: BTreeMap<Address, ServerEntry>,
    /// Addresses at which no server of its own stands.
    pub(super) apart: BTreeMap<Address, ServerEntry>,
    /// Servers of another cluster, at addresses that somebody listed.
    pub(super) strangers: BTreeMap<Address, ServerEntry>,
    /// Of these, those that nobody has been told of.
    pub(super) found: Vec<Address>,
    /// Servers without an id that a person says are ours.
    pub(super) adopted: BTreeMap<Address, RunId>,
    /// The cluster that we belong to, where we know one.
    pub(super) cluster: Option<Identity>,
    /// When that was last changed, where we did not begin with it.
    pub(super) settled_at: Option<Moment>,
    /// The elector.
    pub elector: ElectorEntry,
    /// What the configured names resolved to when they were last asked; `None` where that failed.
    pub names: Names,
    /// Names have been resolved at least once.
    pub resolved: bool,
    /// Sentinels of an earlier life (state file) and all that ever answered.
    pub(super) remembered: BTreeSet<Address>,
    /// Sentinels listed by address in the settings: known whatever anybody answers.
    pub(super) listed: BTreeSet<Address>,
    /// How many servers there were when a master was last confirmed; at first by the state file. Ourselves included.
    pub(super) recorded_servers: usize,
    /// The most Sentinels that one which names us listed at once, itself included, and when it last did.
    pub(super) most_listed: (usize, Moment),
    /// `known_sentinels` as counted for this moment; asked for many times a turn.
    pub(super) counted: Cell<Option<(Moment, usize)>>,
    /// Addresses that turned out to be ourselves (run id).
    pub(super) ours: BTreeSet<Address>,
    /// What tells whether another server is of our cluster.
    pub(super) own: super::epochs::Own,
}

impl Evidence {
    /// Nothing seen but what the settings and the state file say.
    pub fn new(rules: &Rules, record: Option<&Record>, now: Moment) -> Self {
        let mut evidence = Evidence {
            sentinels: BTreeMap::new(),
            servers: BTreeMap::new(),
            hearsay: BTreeMap::new(),
            apart: BTreeMap::new(),
            strangers: BTreeMap::new(),
            found: Vec::new(),
            adopted: BTreeMap::new(),
            cluster: super::identity::known_at_start(rules, record),
            settled_at: None,
            elector: ElectorEntry::default(),
            names: Names::default(),
            resolved: false,
            remembered: BTreeSet::new(),
            listed: rules.sentinels_listed.iter().copied().collect(),
            recorded_servers: record.map_or(0, |record| record.servers.len() + 1),
            most_listed: (0, now),
            counted: Cell::new(None),
            ours: BTreeSet::from([rules.me]),
            own: super::epochs::Own::of(record),
        };
        for at in &rules.sentinels_listed {
            evidence.sentinels.entry(*at).or_default().configured = true;
        }
        if rules.mode == Mode::Sentinel {
            evidence.sentinels.entry(rules.me).or_default();
        }
        if let Some(record) = record {
            for at in &record.sentinels {
                evidence.remembered.insert(*at);
                evidence.add_sentinel(*at);
            }
            for at in &record.servers {
                evidence.add_server(*at, now);
            }
            for at in &record.unsupervised {
                if let Some(entry) = evidence.servers.get_mut(at) {
                    entry.supervised = Some(false);
                }
            }
        }
        evidence
    }

    /// The configured names were resolved.
    pub fn note_names(&mut self, names: &Names, rules: &Rules, now: Moment) {
        self.counted.set(None);
        self.resolved = true;
        self.names.clone_from(names);
        if let Some(list) = &names.sentinels {
            for (at, entry) in &mut self.sentinels {
                entry.configured = list.contains(at) || rules.sentinels_listed.contains(at);
            }
            for at in list {
                self.add_sentinel(*at);
                if let Some(entry) = self.sentinels.get_mut(at) {
                    entry.configured = true;
                }
            }
        }
        if let Some(list) = &names.servers {
            for (at, entry) in self.servers.iter_mut().chain(&mut self.apart) {
                entry.configured = list.contains(at);
            }
            for at in list {
                self.add_server(*at, now);
                if let Some(entry) = self.servers.get_mut(at) {
                    entry.configured = true;
                }
            }
        }
    }

    /// A Sentinel was looked at.
    pub fn note_sentinel(
        &mut self,
        at: Address,
        asked: Moment,
        seen: Result<SentinelSeen, Failure>,
        me: Address,
        now: Moment,
    ) {
        self.counted.set(None);
        // Of another cluster: nobody of ours is there.
        let foreign = at != me && seen.as_ref().is_ok_and(|seen| self.is_foreign_sentinel(&seen.id));
        let id_there = seen.as_ref().ok().map(|seen| seen.id.clone());
        let foreign_word =
            seen.as_ref().ok().filter(|_| foreign).and_then(|seen| Some((seen.master.as_ref()?.address, asked)));
        let mut seen = if foreign { Err(Failure::Nonsense) } else { seen };
        self.hear_foreign_word(foreign_word, now);
        let alien = seen.as_mut().ok().and_then(|seen| self.strip(seen));
        let Some(entry) = self.sentinels.get_mut(&at) else { return };
        entry.id_there = id_there.or(entry.id_there.take());
        entry.foreign_word = foreign_word;
        entry.alien = alien.or(entry.alien.take()).filter(|_| !foreign);
        let seen = seen.map(|mut seen| {
            match &seen.rows {
                Some(_) => entry.rows_asked = Some(asked),
                None => {
                    let kept = entry.seen.remembered().filter(|(old, _)| old.id == seen.id);
                    seen.rows = kept.and_then(|(old, _)| old.rows.clone());
                }
            }
            seen
        });
        let full = entry.rows_asked == Some(asked);
        // No failover, nobody chosen: a glance tells that much, and L1 counts from there.
        let tells = |seen: &&SentinelSeen| full || seen.master.as_ref().is_some_and(|row| !row.failover);
        if let Some(seen) = seen.as_ref().ok().filter(tells) {
            entry.choice.note(seen, asked);
        }
        let listed = seen.as_ref().ok().filter(|_| full).map(listed_by);
        if let Ok(seen) = &seen
            && full
            && seen.master.as_ref().is_some_and(|row| row.address == me)
        {
            let living = seen.rows.iter().flat_map(|rows| &rows.sentinels);
            let living = living.filter(|row| row.down_for.is_none_or(|down| down < FORGET)).count();
            if living + 1 >= self.most_listed.0 || now.since(self.most_listed.1) > LISTED_FOR {
                self.most_listed = (living + 1, now);
            }
        }
        let answered = seen.is_ok();
        let named = seen.as_ref().ok().and_then(|seen| seen.master.as_ref()).map(|row| row.address);
        if let Ok(seen) = &seen {
            entry.note_opinion(seen, asked);
        }
        entry.seen.note(asked, seen);
        if answered {
            self.remembered.insert(at);
            self.place_sentinel(at, me, now);
        }
        if let Some((sentinels, servers)) = listed {
            for other in sentinels {
                self.add_sentinel(other);
            }
            for server in servers {
                self.add_server_of(server, named, now);
            }
        }
    }

    /// A server was looked at. An answer with our own run id is ourselves under another address (A3).
    pub fn note_server(
        &mut self,
        at: Address,
        asked: Moment,
        seen: Result<ServerSeen, Failure>,
        own: Option<&RunId>,
        now: Moment,
    ) {
        if let (Ok(seen), Some(own)) = (&seen, own)
            && seen.run_id == *own
        {
            return self.note_ourselves(at, own, now);
        }
        if seen.is_ok() {
            self.let_in(at);
        }
        let answer = seen.as_ref().ok().cloned();
        let mut others = Vec::new();
        if let Some(entry) = self.entry_mut(at) {
            if let Ok(seen) = &seen {
                entry.proof.note_process(seen, asked);
                if let Some(supervised) = seen.supervised {
                    entry.supervised = Some(supervised);
                }
                match &seen.role {
                    super::seen::RoleSeen::Master { replicas } => others.extend(replicas.iter().map(|r| r.address)),
                    super::seen::RoleSeen::Replica { master, .. } => others.extend(*master),
                }
            }
            entry.server.note(asked, seen);
        }
        if let Some(seen) = answer {
            self.place(at, &seen, asked, now);
        }
        self.sort_in(at);
        if self.is_stranger(at) {
            return;
        }
        // Raised whenever more answer; falls only where a confirmed master no longer lists one.
        self.recorded_servers = self.recorded_servers.max(self.distinct(|asked| now.since(asked) <= FORGET));
        let word = self.entry_mut(at).map(|entry| entry.word).unwrap_or_default();
        for other in others {
            match word {
                Word::Ours => self.add_server(other, now),
                Word::Message => self.hear_of(other, now),
            }
        }
    }

    /// A supervisor was looked at.
    pub fn note_supervisor(&mut self, at: Address, asked: Moment, seen: Result<SupervisorSeen, Failure>) {
        let node = seen.as_ref().ok().and_then(|seen| seen.node);
        if seen.is_ok() {
            self.let_in(at);
        }
        if let Some(entry) = self.entry_mut(at) {
            if seen.is_ok() {
                entry.http_answered = true;
                entry.supervised = Some(true);
                entry.heard = entry.heard.max(Some(asked));
            }
            entry.supervisor.note(asked, seen);
        }
        if let Some(node) = node {
            self.place_supervisor(at, node, asked);
        }
        self.sort_in(at);
    }

    /// A supervisor answered a message.
    pub fn note_answer(&mut self, at: Address, now: Moment) {
        if let Some(entry) = self.servers.get_mut(&at) {
            entry.http_answered = true;
            entry.heard = Some(now);
        }
    }

    /// The elector answered or did not.
    pub fn note_elector(&mut self, asked: Moment, seen: Result<ElectorSeen, Failure>) {
        let before = self.elector.seen.remembered().map(|(seen, _)| &seen.name);
        let named = seen.as_ref().ok().map(|seen| &seen.name);
        // Also where it has been silent in between and names the same one again.
        if named.is_none() || named != before || self.elector.steady_since.is_none() {
            self.elector.steady_since = named.map(|_| asked);
        }
        self.elector.seen.note(asked, seen);
    }

    /// Puts a server on the list, unless it is ourselves.
    pub fn add_server(&mut self, at: Address, now: Moment) {
        if self.may_be_another(at) && !self.is_stranger(at) && self.servers.len() < MOST_TARGETS {
            self.let_in(at);
            let entry = self.servers.entry(at);
            entry.or_insert_with(|| ServerEntry { listed_since: now, ..ServerEntry::default() }).word = Word::Ours;
        }
    }

    /// A Sentinel that names this master lists it; not where that one is of another cluster.
    fn add_server_of(&mut self, at: Address, master: Option<Address>, now: Moment) {
        if master.is_some_and(|at| self.is_stranger(at)) || self.servers.contains_key(&at) {
            return;
        }
        self.add_server(at, now);
        if let Some(entry) = self.servers.get_mut(&at) {
            entry.listed_under = master;
        }
    }

    /// An address at which another server may stand.
    pub(super) fn may_be_another(&self, at: Address) -> bool {
        !self.ours.contains(&at) && !self.apart.contains_key(&at) && !at.ip().is_unspecified()
    }

    fn add_sentinel(&mut self, at: Address) {
        if !at.ip().is_unspecified() && self.sentinels.len() < MOST_TARGETS {
            self.sentinels.entry(at).or_default();
        }
    }

    /// Is this one of our own addresses?
    pub fn is_ours(&self, at: Address) -> bool {
        self.ours.contains(&at)
    }
}

/// The Sentinels and the servers that it lists, the master among them.
fn listed_by(seen: &SentinelSeen) -> (Vec<Address>, Vec<Address>) {
    let rows = seen.rows.iter();
    let sentinels = rows.clone().flat_map(|rows| &rows.sentinels).map(|row| row.address);
    let replicas = rows.flat_map(|rows| &rows.replicas).map(|row| row.address);
    (sentinels.collect(), replicas.chain(seen.master.as_ref().map(|row| row.address)).collect())
}

impl Choice {
    fn note(&mut self, seen: &SentinelSeen, asked: Moment) {
        match seen.chosen() {
            Some(row) => {
                if self.chosen.is_none_or(|(at, _)| at != row.address) {
                    self.chosen = Some((row.address, asked));
                }
            }
            None => {
                self.chosen = None;
                self.last_without = Some(asked);
            }
        }
    }
}

impl SentinelSeen {
    /// The replica that this Sentinel's running failover has chosen.
    pub fn chosen(&self) -> Option<&ReplicaRow> {
        self.master.as_ref().filter(|row| row.failover)?;
        self.rows.as_ref()?.replicas.iter().find(|row| row.promoted)
    }

    /// It names this address.
    pub fn names(&self, address: Address) -> bool {
        self.master.as_ref().is_some_and(|row| row.address == address)
    }

    /// Its link to this server, the master or a replica of it, is broken, or it finds it down.
    pub fn has_lost(&self, server: Address) -> bool {
        let master = self.master.as_ref().filter(|row| row.address == server);
        let replica = || self.replica(server).is_some_and(|row| row.disconnected || row.s_down);
        master.map_or_else(replica, |row| row.disconnected || row.s_down)
    }

    /// It finds this server down.
    pub fn shows_down(&self, server: Address) -> bool {
        let master = self.master.as_ref().filter(|row| row.address == server);
        let replica = || self.replica(server).is_some_and(|row| row.s_down);
        master.map_or_else(replica, |row| row.s_down || row.o_down)
    }

    /// Its row of this replica.
    pub fn replica(&self, address: Address) -> Option<&ReplicaRow> {
        self.rows.as_ref()?.replicas.iter().find(|row| row.address == address)
    }
}

impl MasterRow {
    /// It shows trouble with the master, or a failover.
    pub fn troubled(&self) -> bool {
        self.s_down || self.o_down || self.failover
    }
}
