//! Addresses at which no server of its own stands: that of a Service, which leads to one server after the other, and a second
//! address of one that we know. They are looked at, and that is all: never followed, listed or counted.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use super::Supervisor;
use super::evidence::{Evidence, FORGET, FRESH, ServerEntry, Word};
use super::id::{Address, RunId};
use super::moment::Moment;
use super::seen::ServerSeen;

/// So many run ids that were seen at one address are remembered.
const IDS: usize = 4;
/// A server that restarts has a new run id; so many in this time are of several servers.
const CHANGES: usize = 3;
const CHANGES_WITHIN: Duration = Duration::from_secs(10);
/// Whoever has answered here alone for so long, under an id that is known nowhere else, has this address for its own.
const ALONE_FOR: Duration = Duration::from_secs(30);

/// Which processes answered at an address.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    /// The newest last, each with when it was first asked.
    ids: VecDeque<(RunId, Moment)>,
    /// How many answers in a row were of the last one. Where nobody announces the address each is over a new connection.
    in_a_row: usize,
}

/// What one more answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// One process, or one that has been restarted.
    One,
    /// Several: one that had gone is back, or they change too fast.
    Several,
}

impl Processes {
    fn note(&mut self, id: &RunId, asked: Moment) -> Behind {
        if self.ids.back().is_some_and(|(last, _)| last == id) {
            self.in_a_row += 1;
            return Behind::One;
        }
        let back = self.ids.iter().any(|(known, _)| known == id);
        self.ids.retain(|(known, _)| known != id);
        if self.ids.len() >= IDS {
            self.ids.pop_front();
        }
        self.ids.push_back((id.clone(), asked));
        self.in_a_row = 1;
        let lately = self.ids.iter().filter(|(_, since)| asked.since(*since) < CHANGES_WITHIN).count();
        // No process comes back: neither does its id.
        if back || lately > CHANGES { Behind::Several } else { Behind::One }
    }

    /// Since when the last one has answered alone.
    fn alone_since(&self) -> Option<Moment> {
        self.ids.back().map(|(_, since)| *since)
    }

    /// Another one than this answered here lately.
    fn other_than(&self, id: &RunId, now: Moment) -> bool {
        self.ids.iter().any(|(known, since)| known != id && now.since(*since) < FORGET)
    }
}

impl Evidence {
    /// Somebody answers at `at` with our own run id: a second address of ours, or one that leads to us among others.
    pub(super) fn note_ourselves(&mut self, at: Address, own: &RunId, now: Moment) {
        let entry = self.servers.remove(&at).or(self.hearsay.remove(&at)).or(self.apart.remove(&at));
        match entry {
            Some(entry) if entry.processes.other_than(own, now) => drop(self.apart.insert(at, entry)),
            _ => drop(self.ours.insert(at)),
        }
    }

    /// A server has answered at `at`: whose address is that?
    pub(super) fn place(&mut self, at: Address, seen: &ServerSeen, asked: Moment, now: Moment) {
        let Some(entry) = self.entry_mut(at) else { return };
        if entry.processes.note(&seen.run_id, asked) == Behind::Several {
            return self.set_apart(at);
        }
        // The same process answers where the settings lead: it is one of ours, whoever spoke of this address.
        let same = |it: &ServerEntry| {
            it.word == Word::Ours && it.server.view(now).is_some_and(|its| its.run_id == seen.run_id)
        };
        if self.targets().any(|(other, it)| *other != at && same(it)) {
            self.vouch(at);
        }
        // Of one that is apart the own address may be silent for a while; a process that moved has left its old one.
        let since = now.before(if self.apart.contains_key(&at) { FORGET } else { FRESH });
        let elsewhere = self.servers.iter().find(|(other, it)| {
            let its = it.server.remembered().filter(|(its, asked)| its.run_id == seen.run_id && *asked >= since);
            **other != at && its.is_some()
        });
        if let Some(other) = elsewhere.map(|(other, _)| *other) {
            if self.worth(at) > self.worth(other) {
                self.set_apart(other);
                self.take_back(at);
            } else {
                self.set_apart(at);
            }
        } else if self.apart.get(&at).is_some_and(|it| {
            it.announces(at) || it.processes.alone_since().is_some_and(|since| now.since(since) >= ALONE_FOR)
        }) {
            self.take_back(at);
        }
    }

    /// A supervisor has answered there that announces `node`.
    pub(super) fn place_supervisor(&mut self, at: Address, node: Address, now: Moment) {
        if node == at {
            return self.take_back(at);
        }
        if self.is_ours(node) {
            return self.set_apart(at);
        }
        match self.entry_mut(at).map(|entry| entry.word) {
            Some(Word::Ours) => self.add_server(node, now),
            Some(Word::Message) => self.hear_of(node, now),
            None => {}
        }
        let answers = |it: &ServerEntry| it.server.view(now).is_some() || it.supervisor.view(now).is_some();
        if self.servers.get(&node).is_some_and(answers) && !self.sentinels_know(at) {
            self.set_apart(at);
        }
    }

    fn set_apart(&mut self, at: Address) {
        if let Some(entry) = self.servers.remove(&at).or_else(|| self.hearsay.remove(&at)) {
            self.apart.insert(at, entry);
        }
    }

    fn take_back(&mut self, at: Address) {
        if let Some(entry) = self.apart.remove(&at) {
            self.servers.entry(at).or_insert(entry);
        }
    }

    /// Of two addresses of one server the greater is its own: the one that the Sentinels list, that it announces, where its
    /// supervisor has answered, to which no configured name resolves.
    pub(super) fn worth(&self, at: Address) -> (bool, bool, bool, bool, Reverse<Address>) {
        let entry = self.servers.get(&at).or_else(|| self.apart.get(&at));
        let is = |such: fn(&ServerEntry) -> bool| entry.is_some_and(such);
        let announced = entry.is_some_and(|entry| entry.announces(at));
        (self.sentinels_know(at), announced, is(|it| it.http_answered), is(|it| !it.configured), Reverse(at))
    }

    fn sentinels_know(&self, at: Address) -> bool {
        let mut sentinels = self.sentinels.values().filter_map(|entry| entry.seen.remembered());
        sentinels.any(|(seen, _)| seen.names(at) || seen.replica(at).is_some())
    }

    /// Somebody else than the settings knows it by this address, its supervisor announces it, or the same process has answered
    /// twice, over two connections.
    pub(super) fn stands_for_itself(&self, at: Address) -> bool {
        let knows = |seen: &ServerSeen| seen.role.master() == Some(at) || seen.role.attached().contains(&at);
        let mut others = self.servers.values().filter_map(|it| it.server.remembered());
        self.servers.get(&at).is_some_and(|it| !it.configured || it.announces(at) || it.processes.in_a_row >= 2)
            || self.sentinels_know(at)
            || others.any(|(seen, _)| knows(seen))
    }

    /// A Sentinel has answered at `at`. Of two addresses with one id the better one is its own: ours, one that another Sentinel
    /// lists, one to which no configured name resolves.
    pub(super) fn place_sentinel(&mut self, at: Address, me: Address, now: Moment) {
        let Some(id) = self.sentinels.get(&at).and_then(|it| it.seen.view(now)).map(|seen| seen.id.clone()) else {
            return;
        };
        let rows = self.sentinels.values().filter_map(|it| it.seen.remembered());
        let listed: Vec<Address> = rows
            .flat_map(|(seen, _)| &seen.rows)
            .flat_map(|rows| rows.sentinels.iter().map(|row| row.address))
            .collect();
        let same = self.sentinels.iter().filter(|(_, it)| it.seen.view(now).is_some_and(|seen| seen.id == id));
        let worth = |at: Address, configured: bool| (at == me, listed.contains(&at), !configured, Reverse(at));
        let same: Vec<(Address, bool)> = same.map(|(at, it)| (*at, it.configured)).collect();
        let own = same.iter().max_by_key(|(at, configured)| worth(*at, *configured)).map(|(at, _)| *at);
        for (at, _) in same {
            if let Some(entry) = self.sentinels.get_mut(&at) {
                entry.second = own != Some(at);
            }
        }
    }

    /// This one is a Service's, behind which a Sentinel stands that we know.
    pub(super) fn is_second_sentinel(&self, at: Address) -> bool {
        self.sentinels.get(&at).is_some_and(|entry| entry.second)
    }

    /// Whatever is looked at.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&Address, &ServerEntry)> {
        self.looked_at().chain(&self.apart).chain(&self.strangers)
    }

    /// Who is not listed in the settings and has said nothing for long needs no look.
    pub(super) fn forget_apart(&mut self, now: Moment) {
        let last = |entry: &ServerEntry| entry.server.remembered().map_or(entry.listed_since, |(_, asked)| asked);
        self.apart.retain(|_, entry| entry.configured || now.since(last(entry)) <= FORGET);
    }
}

impl ServerEntry {
    /// Its supervisor says that this is its address.
    fn announces(&self, at: Address) -> bool {
        self.supervisor.remembered().is_some_and(|(seen, _)| seen.node == Some(at))
    }
}

impl Supervisor {
    /// It may be followed on its own word: it stands for itself. Otherwise it is looked at again at once.
    pub(super) fn may_follow_at(&mut self, master: Address) -> bool {
        if self.evidence.stands_for_itself(master) {
            return true;
        }
        self.look_soon(super::action::Look::Server { at: master });
        self.look_soon(super::action::Look::Supervisor { at: master });
        false
    }
}
