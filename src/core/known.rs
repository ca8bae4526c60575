//! How many there are, and how many of them say what: the counts that majorities rest on (design section 1 and 3.1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evidence::{Evidence, FORGET, ServerEntry};
use super::id::{Address, SentinelId};
use super::moment::Moment;
use super::rules::Rules;
use super::seen::SentinelSeen;

impl Evidence {
    /// The Sentinels that answer, one entry an id (behind a Service one address may be several; and the reverse).
    pub fn answering(&self, now: Moment) -> impl Iterator<Item = (Address, &SentinelSeen)> {
        // A handful at most, asked for dozens of times a turn: no allocation for each id.
        let mut ids: Vec<&SentinelId> = Vec::new();
        let own = self.sentinels.iter().filter(|(_, entry)| !entry.second);
        let views = own.filter_map(move |(at, entry)| entry.seen.view(now).map(|seen| (*at, seen)));
        views.filter(|(_, seen)| self.takes_part(seen)).filter(move |(_, seen)| {
            let first = !ids.contains(&&seen.id);
            if first {
                ids.push(&seen.id);
            }
            first
        })
    }

    /// None is configured, and none has been heard of.
    pub fn no_sentinels(&self, rules: &Rules) -> bool {
        !rules.sentinels_configured && self.sentinels.is_empty()
    }

    /// How many different Sentinels answer that know no master.
    pub fn without_opinion(&self, now: Moment) -> usize {
        let bare = self.sentinels.values().flat_map(|entry| entry.without_opinion(now));
        bare.collect::<BTreeSet<_>>().len()
    }

    /// The address of the Sentinel with this id.
    pub fn sentinel_by_id(&self, id: &SentinelId, now: Moment) -> Option<Address> {
        self.answering(now).find(|(_, seen)| seen.id == *id).map(|(at, _)| at)
    }

    /// How many Sentinels there are (design section 3.1).
    pub fn known_sentinels(&self, quorum: usize, now: Moment) -> usize {
        if let Some((_, known)) = self.counted.get().filter(|(at, _)| *at == now) {
            return known;
        }
        let known = self.count_sentinels(quorum, now);
        self.counted.set(Some((now, known)));
        known
    }

    pub(super) fn count_sentinels(&self, quorum: usize, now: Moment) -> usize {
        let listed = self.listed.iter().copied().filter(|at| !self.is_second_sentinel(*at));
        let mut known: BTreeSet<Address> = listed.collect();
        let mut answering = 0;
        let mut ids: BTreeMap<SentinelId, Address> = BTreeMap::new();
        for (at, seen) in self.answering(now) {
            answering += 1;
            known.insert(at);
            ids.insert(seen.id.clone(), at);
        }
        for (_, seen) in self.answering(now) {
            for row in seen.rows.iter().flat_map(|rows| &rows.sentinels) {
                let configured = self.sentinels.get(&row.address).is_some_and(|entry| entry.configured);
                let ghost = row.down_for.is_some_and(|down| down > FORGET) && !configured;
                let same = row.id.as_ref().is_some_and(|id| ids.contains_key(id));
                if !ghost && !same {
                    if let Some(id) = &row.id {
                        ids.insert(id.clone(), row.address);
                    }
                    known.insert(row.address);
                }
            }
        }
        if answering < quorum {
            known.extend(self.remembered.iter().filter(|at| !self.is_second_sentinel(**at)));
        }
        known.len()
    }

    /// How many Sentinels make a majority that counts: of the known ones, and at least quorum, which counts as no
    /// less than half of those that one which names us ever listed, + 1.
    pub fn sentinel_majority(&self, quorum: usize, now: Moment) -> usize {
        (self.known_sentinels(quorum, now) / 2 + 1).max(quorum).max(self.most_listed.0 / 2 + 1)
    }

    /// How many servers there are, ourselves included (design section 1: the largest of, never a sum).
    pub fn known_servers(&self, rules: &Rules, now: Moment) -> usize {
        let answered = self.distinct(|asked| now.since(asked) <= FORGET);
        let rows = self.listed_servers(now);
        answered.max(rows).max(self.recorded_servers).max(rules.expected_servers.unwrap_or(0)).max(1)
    }

    /// The most servers that one Sentinel lists now, the master included.
    pub(super) fn listed_servers(&self, now: Moment) -> usize {
        let rows = self.answering(now).filter_map(|(_, seen)| seen.rows.as_ref().filter(|_| seen.master.is_some()));
        rows.map(|rows| rows.replicas.len() + 1).max().unwrap_or(0)
    }

    /// Different processes that answered at such a moment, and ourselves: an address of a Service is nobody of its own.
    pub(super) fn distinct(&self, when: impl Fn(Moment) -> bool) -> usize {
        let seen =
            self.servers.values().filter_map(|entry| entry.server.remembered().filter(|(_, asked)| when(*asked)));
        seen.map(|(seen, _)| &seen.run_id).collect::<BTreeSet<_>>().len() + 1
    }

    /// Does this process answer at a better address too? A Service's is nobody of its own (M18): its own one is where a
    /// supervisor has answered, and else the one to which no configured name resolves.
    pub fn is_a_second_address(&self, at: Address, now: Moment) -> bool {
        let Some(seen) = self.servers.get(&at).and_then(|it| it.server.view(now)) else { return false };
        self.servers.iter().any(|(other, it)| {
            it.server.view(now).is_some_and(|its| its.run_id == seen.run_id) && self.worth(*other) > self.worth(at)
        })
    }

    /// The only address of the servers' name, as it last resolved; a supervisor gates whoever answers there, but none has
    /// answered itself and nobody follows it there: as a Service shows whoever stands behind it (M18). Its replicas tell where
    /// it is.
    pub(super) fn may_be_a_service(&self, at: Address, now: Moment) -> bool {
        let gated = self.servers.get(&at).is_some_and(|it| it.supervised == Some(true) && !it.http_answered);
        let follows_it = |it: &ServerEntry| it.server.view(now).is_some_and(|seen| seen.role.master() == Some(at));
        let mut configured = self.servers.iter().filter(|(_, it)| it.configured).map(|(at, _)| *at);
        let only = configured.next() == Some(at) && configured.next().is_none();
        only && gated && !self.servers.values().any(follows_it)
    }

    /// Sentinels of which we know at all.
    pub fn remembered_sentinels(&self) -> impl Iterator<Item = Address> {
        self.remembered.iter().copied().filter(|at| !self.is_second_sentinel(*at))
    }

    /// How many different Sentinels answer that name this address.
    pub fn naming(&self, address: Address, now: Moment) -> usize {
        self.answering(now).filter(|(_, seen)| seen.names(address)).count()
    }

    /// A majority of Sentinels names this address, by answers asked for at `since` or later.
    pub fn majority_names_since(&self, address: Address, since: Moment, quorum: usize, now: Moment) -> bool {
        let naming = self
            .answering(now)
            .filter(|(at, seen)| {
                seen.names(address)
                    && self.sentinels.get(at).is_some_and(|entry| entry.seen.view_since(since).is_some())
            })
            .count();
        naming >= self.sentinel_majority(quorum, now)
    }

    /// A majority of Sentinels names this address now.
    pub fn majority_names(&self, address: Address, quorum: usize, now: Moment) -> bool {
        self.naming(address, now) >= self.sentinel_majority(quorum, now)
    }

    /// A majority of Sentinels shows this server down: the master they name, or one that leads and is still a replica to
    /// them (C9).
    pub fn majority_shows_down(&self, server: Address, quorum: usize, now: Moment) -> bool {
        let down = self.answering(now).filter(|(_, seen)| seen.shows_down(server)).count();
        down >= self.sentinel_majority(quorum, now)
    }

    /// A full look asked for at `since` or later shows that this Sentinel has chosen that replica.
    pub fn shows_chosen_since(&self, sentinel: Address, replica: Address, since: Moment) -> bool {
        let entry = self.sentinels.get(&sentinel).filter(|entry| entry.rows_since(since));
        let chosen = entry.and_then(|entry| entry.seen.view_since(since)).and_then(|seen| seen.chosen());
        chosen.is_some_and(|row| row.address == replica)
    }

    /// How old this Sentinel's INFO of that replica is by now, as last shown.
    pub fn info_age(&self, sentinel: Address, replica: Address, now: Moment) -> Option<Duration> {
        let entry = self.sentinels.get(&sentinel)?;
        let row = entry.seen.view(now)?.replica(replica)?;
        Some(row.info_refresh + entry.rows_asked.map_or(Duration::ZERO, |asked| now.since(asked)))
    }

    /// A server both of whose ports refuse now, at its own address, where its HTTP port has answered before (L2).
    pub fn refuses_everywhere(&self, at: Address, now: Moment) -> bool {
        let since = now.before(Duration::from_millis(1500));
        self.servers.get(&at).is_some_and(|entry| {
            entry.http_answered && entry.server.refused_since(since) && entry.supervisor.refused_since(since)
        })
    }
}
