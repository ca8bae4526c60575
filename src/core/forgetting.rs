//! Who leaves the lists: servers and Sentinels that are gone for good (design section 1, "Known servers").

use std::collections::BTreeSet;
use std::time::Duration;

use super::Supervisor;
use super::course::{Basis, Course};
use super::evidence::{Evidence, FORGET, FRESH, ServerEntry, follows};
use super::id::{Address, RunId};
use super::moment::Moment;
use super::repoint::unreachable_by;
use super::rules::Mode;
use super::verdict::Verdict;

/// Each second.
const EVERY: Duration = Duration::from_secs(1);
/// A longer gap was a sleep of ours.
const SLEPT: Duration = Duration::from_secs(5);

/// When it was done.
#[derive(Debug)]
pub(super) struct Forgetting {
    last: Option<Moment>,
    /// What we slept through is no silence of theirs (P44).
    awake_since: Moment,
}

impl Forgetting {
    pub(super) fn new(now: Moment) -> Self {
        Forgetting { last: None, awake_since: now }
    }

    fn is_due(&mut self, now: Moment) -> bool {
        let gap = self.last.map(|last| now.since(last));
        if gap.is_some_and(|gap| gap < EVERY) {
            return false;
        }
        if gap.is_some_and(|gap| gap > SLEPT) {
            self.awake_since = now;
        }
        self.last = Some(now);
        true
    }
}

impl ServerEntry {
    /// Neither of its ports has answered for long.
    fn long_silent(&self, now: Moment) -> bool {
        let server = self.server.remembered().map(|(_, asked)| asked);
        let supervisor = self.supervisor.remembered().map(|(_, asked)| asked);
        now.since(server.max(supervisor).max(self.heard).unwrap_or(self.listed_since)) > FORGET
    }

    /// And when it was asked last nobody was there. One that wants another password lives.
    fn is_nobody(&self, now: Moment) -> bool {
        let server = self.server.failing().is_some_and(|bad| unreachable_by(bad.failure));
        self.long_silent(now) && server && self.supervisor.failing().is_some()
    }
}

impl Evidence {
    /// Takes servers and Sentinels off the list that have not answered for 60 s and that nobody speaks of any more.
    /// A server leaves only while a majority of Sentinels names a living master that does not list it (design section 1).
    pub fn forget(&mut self, quorum: usize, confirmed: Option<Address>, now: Moment) {
        self.counted.set(None);
        self.forget_hearsay(now);
        self.forget_apart(now);
        self.forget_strangers(now);
        if let Some(master) = confirmed {
            let listed: BTreeSet<Address> = self
                .answering(now)
                .flat_map(|(_, seen)| seen.rows.iter().flat_map(|rows| rows.replicas.iter().map(|row| row.address)))
                .chain(
                    self.servers
                        .get(&master)
                        .and_then(|entry| entry.server.view(now))
                        .into_iter()
                        .flat_map(|seen| seen.role.attached()),
                )
                .collect();
            self.servers.retain(|at, entry| {
                *at == master || entry.configured || listed.contains(at) || !entry.long_silent(now)
            });
            // Only here may the number go down: a server that is cut off later stays known (M31).
            self.recorded_servers = self.distinct(|_| true).max(self.listed_servers(now));
        }
        if self.answering(now).count() >= quorum {
            let listed: BTreeSet<Address> = self
                .answering(now)
                .flat_map(|(_, seen)| seen.rows.iter().flat_map(|rows| rows.sentinels.iter().map(|row| row.address)))
                .collect();
            let bystanders: BTreeSet<Address> =
                self.sentinels.keys().copied().filter(|at| self.is_a_bystander(*at, now)).collect();
            self.sentinels.retain(|at, entry| {
                let silent = entry.seen.remembered().is_none_or(|(_, asked)| now.since(asked) > FORGET);
                entry.configured || listed.contains(at) || !silent && !bystanders.contains(at)
            });
            let known = &self.sentinels;
            self.remembered.retain(|at| known.contains_key(at));
        }
    }

    /// The same where there is no Sentinel: a leader by right, behind which a majority stands, lists these replicas.
    fn forget_beside(&mut self, leader: Address, attached: &[Address], now: Moment) {
        self.servers
            .retain(|at, entry| *at == leader || entry.configured || attached.contains(at) || !entry.is_nobody(now));
        // Who has not answered yet is known by the state file, and has its 60 s too.
        let unanswered = self.servers.values().filter(|entry| entry.server.remembered().is_none()).count();
        self.recorded_servers = self.recorded_servers.min(self.distinct(|_| true) + unanswered);
    }

    /// How many other servers than `leader` stream from it, each by its own word.
    pub(super) fn streaming_from(&self, leader: Address, now: Moment) -> usize {
        let others = self.servers.iter().filter(|(at, _)| **at != leader);
        let seen = others.filter_map(|(_, entry)| entry.server.view(now)).filter(|seen| follows(seen, leader));
        seen.map(|seen| &seen.run_id).collect::<BTreeSet<&RunId>>().len()
    }
}

impl Supervisor {
    /// Once a second: who has not been heard of leaves the lists.
    pub(super) fn forget_turn(&mut self) {
        if !self.forgetting.is_due(self.now) {
            return;
        }
        let confirmed = match self.verdict {
            Verdict::Confirmed { master, .. } => Some(master),
            _ => None,
        };
        self.evidence.forget(self.rules.quorum, confirmed, self.now);
        if let Some((leader, attached)) = self.leader_by_right_without_sentinels() {
            self.evidence.forget_beside(leader, &attached, self.now);
        }
        self.lookout.forget(&self.evidence, self.now);
    }

    /// Without Sentinels, the leader that takes writes, we or the one we follow, and the replicas that it lists. A majority
    /// of those known until now stands behind it, so that who is cut off never counts fewer. Its lease alone is not enough:
    /// it may be on the small side with the elector, count that side only, and go on by that when the lease moves (F1).
    fn leader_by_right_without_sentinels(&self) -> Option<(Address, Vec<Address>)> {
        let awake = self.now.since(self.forgetting.awake_since) > FORGET;
        if self.rules.mode == Mode::Sentinel || !self.no_sentinels() || !awake {
            return None;
        }
        let own = self.child.seen_since(self.now.before(FRESH))?;
        let (leader, attached) = match &self.course {
            Course::Leading(leading) => {
                let proved = self.now.since(leading.right.proved) <= self.rules.fence_after();
                if leading.fence.is_some() || leading.basis == Basis::Alone || !proved || !own.role.is_master() {
                    return None;
                }
                (self.rules.me, own.role.attached())
            }
            Course::Following(following) if self.child.streams_from(following.master) => {
                let entry = self.evidence.servers.get(&following.master)?;
                let seen = entry.server.view(self.now).filter(|seen| seen.role.is_master())?;
                entry.supervisor.view(self.now).filter(|seen| seen.leads && !seen.fenced)?;
                (following.master, seen.role.attached())
            }
            _ => return None,
        };
        let ourselves = usize::from(leader != self.rules.me);
        let behind = 1 + ourselves + self.evidence.streaming_from(leader, self.now);
        let majority = behind > self.evidence.known_servers(&self.rules, self.now) / 2;
        (self.verdict == (Verdict::Hint { master: leader }) && majority).then_some((leader, attached))
    }
}
