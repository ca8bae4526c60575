//! Is the old master gone? Refused is evidence, silence is not (L2, invariant 5).

use std::time::Duration;

use super::Supervisor;
use super::id::Address;
use super::seen::RoleSeen;

impl Supervisor {
    /// The master that would be replaced serves, as far as anybody can see.
    pub(super) fn master_lives(&self, master: Address) -> bool {
        let recent = self.now.before(Duration::from_millis(1200));
        self.evidence
            .servers
            .get(&master)
            .and_then(|entry| entry.server.view_since(recent))
            .is_some_and(|seen| seen.role.is_master())
    }

    /// The other servers are asked once more: see `nobody_streams_from`.
    pub(super) fn look_at_those_beside(&mut self, master: Address) {
        let others: Vec<Address> = self.evidence.servers.keys().copied().filter(|at| *at != master).collect();
        others.into_iter().for_each(|at| self.look_at_server(at));
    }

    /// By looks at all others from after we were proposed. What refuses us may serve them, across a partition that rejects;
    /// and the Sentinel that has lost it may only not have come back to one that was restarted in place (1133).
    fn nobody_streams_from(&self, master: Address) -> bool {
        let Some(since) = self.candidacy.as_ref().map(|candidacy| candidacy.since) else { return false };
        let streams = |role: &RoleSeen| role.master() == Some(master) && !role.has_lost_its_link();
        self.evidence.servers.iter().filter(|(at, _)| **at != master).all(|(_, entry)| {
            entry.server.asked_since(since) && entry.server.view_since(since).is_none_or(|seen| !streams(&seen.role))
        })
    }

    /// Surely gone (L2): both ports of its own address refuse, a Sentinel has lost it and no server streams from it; or
    /// silence long enough that its fence is surely up. Also one that led and that no Sentinel had named yet (C9).
    pub(super) fn surely_gone(&self, at: super::id::Address) -> bool {
        // S has lost it: the Sentinel that proposes us.
        let proposer = self.candidacy.as_ref().map(|candidacy| candidacy.sentinel);
        let mut voices =
            self.evidence.answering(self.now).filter(|(from, _)| proposer.is_none_or(|proposer| proposer == *from));
        let lost = voices.any(|(_, seen)| seen.has_lost(at));
        if lost && self.evidence.refuses_everywhere(at, self.now) && self.nobody_streams_from(at) {
            return true;
        }
        let ours_down = self.child.link_down_for(self.now) >= self.rules.surely_fenced_after();
        let answers = self
            .evidence
            .servers
            .get(&at)
            .is_some_and(|entry| entry.server.view_since(self.now.before(Duration::from_secs(1))).is_some());
        // One unanswered question is not silence: its supervisor says nothing to anything for as long.
        let fenced_after = self.rules.surely_fenced_after();
        let supervisor = self.evidence.servers.get(&at).is_some_and(|entry| {
            entry.supervisor_answers(self.now) || entry.heard.is_some_and(|heard| self.now.since(heard) < fenced_after)
        });
        // What we slept through is no silence of theirs (P44).
        let awake = self.now.since(self.woke_at) >= fenced_after;
        // Another cluster's server has its address: it is not there, and whatever is left of it elsewhere is fenced (N16).
        if ours_down && awake && self.evidence.is_stranger(at) && self.nobody_streams_from(at) {
            return true;
        }
        ours_down
            && awake
            && !answers
            && !supervisor
            && self.evidence.majority_shows_down(at, self.rules.quorum, self.now)
    }

    /// Nobody gates it: as Sentinel says.
    pub(super) fn unsupervised(&self, at: super::id::Address) -> bool {
        self.evidence.servers.get(&at).is_some_and(|entry| entry.supervised == Some(false) && !entry.http_answered)
    }
}
