//! Pruning ghosts: entries of Sentinels and replicas that are gone for good. Sentinel never forgets by itself, and four
//! ghosts are enough for NOQUORUM (facts section 4). E1, E3, M23.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Supervisor;
use super::action::{Level, SentinelFile};
use super::evidence::FORGET;
use super::id::{Address, SentinelId};
use super::moment::Moment;
use super::repoint::unreachable_by;
use super::seen::SentinelSeen;
use super::sentinel_life::LATELY;
use super::sighting::Sighting;

/// One Sentinel in each turn, by the order of their ids: the others have seen it back before the next one restarts.
pub(super) const TURN: Duration = Duration::from_secs(30);

/// An answer that was lost does not begin the turn anew, or a machine with too little processor time would never prune;
/// somebody who does not answer for so long does.
const ANSWER_LOST: Duration = Duration::from_secs(5);

/// A clean-up that may be done: since when, and which Sentinels still list the ghosts.
#[derive(Clone, Debug)]
pub struct Prune {
    waiting: Vec<SentinelId>,
    since: Moment,
    /// When it was last calm.
    calm: Moment,
}

/// Whether the moment is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calm {
    /// All that is asked for has been seen.
    Yes,
    /// An answer is missing.
    Unsure,
    /// Something speaks against it.
    No,
}

/// What of our own Sentinel's lists is stale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ghosts {
    sentinels: Vec<SentinelId>,
    replicas: Vec<Address>,
}

impl Supervisor {
    /// One turn: what is stale, whether the moment is good, and whether it is our turn.
    pub(super) fn prune_turn(&mut self) {
        let ghosts = self.ghosts();
        let none = ghosts.sentinels.is_empty() && ghosts.replicas.is_empty();
        match self.calm_enough_to_prune() {
            Calm::Yes if !none => {}
            Calm::Unsure if self.sentinel.prune.as_ref().is_some_and(|it| self.now.since(it.calm) < ANSWER_LOST) => {
                return;
            }
            _ => return self.sentinel.prune = None,
        }
        let waiting = self.sentinels_that_list(&ghosts);
        let Some(place) = self.place(|seen| lists(seen, &ghosts)) else { return };
        // Anew whenever one of them is done or comes to it, so that two are never restarted within one turn.
        let since = match &self.sentinel.prune {
            Some(prune) if prune.waiting == waiting => prune.since,
            _ => self.now,
        };
        self.sentinel.prune = Some(Prune { waiting, since, calm: self.now });
        let due = since + TURN * (place + 1);
        if self.now < due {
            return self.out.wake_at(due);
        }
        self.sentinel.prune = None;
        let names: Vec<String> = ghosts
            .sentinels
            .iter()
            .map(|id| format!("Sentinel {id}"))
            .chain(ghosts.replicas.iter().map(|at| format!("replica {at}")))
            .collect();
        let reason = format!("gone for over a minute, dropped from the list: {}", names.join(", "));
        let file =
            SentinelFile { forget: ghosts.sentinels, forget_replicas: ghosts.replicas, ..SentinelFile::default() };
        self.rewrite(file, Level::Info, "prune", None, reason);
    }

    fn ghosts(&self) -> Ghosts {
        let Some(rows) = self.own_sentinel().and_then(|seen| seen.rows.as_ref()) else { return Ghosts::default() };
        let no_longer = |names: &Option<Vec<Address>>, at: Address| {
            names.as_ref().is_some_and(|list| !list.is_empty() && !list.contains(&at))
        };
        let names = &self.evidence.names;
        // Too few for a majority: then only who has left the configured name.
        let sentinels = rows.sentinels.iter().filter(|row| {
            self.evidence.is_misplaced(row)
                || row.down_for.is_some_and(|down| down > FORGET)
                    && !self.rules.sentinels_listed.contains(&row.address)
                    && self.evidence.sentinels.get(&row.address).is_some_and(|entry| self.long_silent(&entry.seen))
                    && (rows.quorum_ok || no_longer(&names.sentinels, row.address))
        });
        let replicas = rows.replicas.iter().filter(|row| {
            row.down_for > FORGET
                && !self.rules.servers_listed.contains(&row.address)
                && self
                    .evidence
                    .servers
                    .get(&row.address)
                    .is_some_and(|entry| self.long_silent(&entry.server) && self.long_silent(&entry.supervisor))
                && (rows.quorum_ok || no_longer(&names.servers, row.address))
        });
        Ghosts {
            sentinels: sentinels.filter_map(|row| row.id.clone()).collect(),
            replicas: replicas.map(|row| row.address).collect(),
        }
    }

    /// Asked again and again for 60 s, and nobody there.
    fn long_silent<T>(&self, seen: &Sighting<T>) -> bool {
        seen.failing().is_some_and(|bad| {
            let lately = self.now.since(bad.asked) <= LATELY;
            bad.asked.since(bad.since) > FORGET && lately && unreachable_by(bad.failure)
        })
    }

    /// The master is up, every live Sentinel names it, they are enough, and no failover runs (E3, F4).
    fn calm_enough_to_prune(&self) -> Calm {
        let answering =
            || self.evidence.answering(self.now).filter(|(at, _)| !self.evidence.is_a_bystander(*at, self.now));
        let rows = || answering().filter_map(|(_, seen)| seen.master.as_ref());
        let Some(own) = self.own_row() else { return Calm::Unsure };
        let tilt = answering().any(|(_, seen)| seen.rows.as_ref().is_some_and(|rows| rows.tilt));
        let differ = rows().any(|row| row.address != own.address);
        let replica = self.evidence.servers.get(&own.address).is_some_and(|entry| entry.says_replica(self.now));
        if tilt || differ || replica || own.disconnected || rows().any(super::seen::MasterRow::troubled) {
            return Calm::No;
        }
        let live: BTreeSet<&SentinelId> = answering().map(|(_, seen)| &seen.id).collect();
        let mut listed = answering().flat_map(|(_, seen)| &seen.rows).flat_map(|r| &r.sentinels);
        let all_answer = listed.all(|row| {
            let lives = row.id.as_ref().is_some_and(|id| live.contains(id));
            row.down_for.is_some() || lives || self.evidence.is_misplaced(row)
        });
        let all_name = rows().count() == live.len();
        match self.verdict.confirms(own.address) && all_answer && all_name && live.len() >= self.rules.quorum {
            true => Calm::Yes,
            false => Calm::Unsure,
        }
    }

    fn sentinels_that_list(&self, ghosts: &Ghosts) -> Vec<SentinelId> {
        let listing = self.evidence.answering(self.now).filter(|(_, seen)| lists(seen, ghosts));
        let mut ids: Vec<SentinelId> = listing.map(|(_, seen)| seen.id.clone()).collect();
        ids.sort();
        ids
    }
}

fn lists(seen: &SentinelSeen, ghosts: &Ghosts) -> bool {
    let Some(rows) = &seen.rows else { return false };
    rows.sentinels.iter().any(|row| row.id.as_ref().is_some_and(|id| ghosts.sentinels.contains(id)))
        || rows.replicas.iter().any(|row| ghosts.replicas.contains(&row.address))
}
