//! Re-pointing a Sentinel that names a dead address to a leader that it does not list: after a total outage with new
//! addresses nothing else tells it (B4; settle needs a Sentinel that lists the leader).

use std::time::Duration;

use super::Supervisor;
use super::action::{Level, Monitor, SentinelFile};
use super::id::Address;
use super::seen::{Failure, SentinelSeen};
use super::sentinel_life::{HINT_STEADY, LATELY, NEXT_ONE};

/// Sentinels that list the leader have had two failovers' time to name it.
const HELPLESS: Duration = Duration::from_secs(90);

impl Supervisor {
    /// One turn: whom to point to, and whether it is our turn.
    pub(super) fn repoint_turn(&mut self) {
        self.note_monitored_gone();
        let Some((dead, gone_since)) = self.sentinel.gone else { return self.sentinel.unlisted = None };
        let helpless = self.now.since(gone_since) > HELPLESS;
        let Some(leader) = self.leader_to_point_to(helpless) else { return self.sentinel.unlisted = None };
        let since = match self.sentinel.unlisted {
            Some((at, since)) if at == leader => since,
            _ => self.now,
        };
        self.sentinel.unlisted = Some((leader, since));
        let Some(place) = self.place(|_| true) else { return };
        let due = (gone_since + self.rules.w()).max(since + HINT_STEADY) + NEXT_ONE * place;
        if self.now < due {
            return self.out.wake_at(due);
        }
        self.sentinel.unlisted = None;
        let epoch = self.epoch_of_our_own();
        let file = SentinelFile {
            monitor: Some(Monitor { master: leader, epoch }),
            forget_replicas: self.replicas_that_are_silent(),
            ..SentinelFile::default()
        };
        let reason = match helpless {
            true => format!("{dead} is gone, the servers confirm {leader} and no failover has named it: epoch {epoch}"),
            false => format!("{dead} is gone, the servers confirm {leader} and no Sentinel lists it: epoch {epoch}"),
        };
        self.rewrite(file, Level::Warn, "re-point", Some(leader), reason);
    }

    fn note_monitored_gone(&mut self) {
        let gone = self.own_row().map(|row| row.address).filter(|at| self.is_gone(*at));
        self.sentinel.gone = gone.map(|at| match self.sentinel.gone {
            Some((before, since)) if before == at => (at, since),
            _ => (at, self.now),
        });
    }

    /// It says replica, or does not answer us.
    fn is_gone(&self, monitored: Address) -> bool {
        self.evidence.servers.get(&monitored).is_some_and(|entry| {
            let silent = entry.server.failing().is_some_and(|bad| unreachable_by(bad.failure));
            entry.says_replica(self.now) || silent
        })
    }

    /// Our Sentinel can reach it, as a master: we alone are blind.
    fn our_sentinel_reaches_it(&self) -> bool {
        self.own_row().is_some_and(|row| !(row.s_down || row.o_down || row.disconnected || row.says_replica))
    }

    /// One that no Sentinel lists; or one that all servers follow, where those that list it have not got it named for long: what
    /// they name instead, at a later epoch, keeps that one fenced (N16).
    fn leader_to_point_to(&self, helpless: bool) -> Option<Address> {
        let leader = self.confirmed_by_servers()?;
        // At priority 0 it is as good as not listed: they read that when it held nothing yet, and read no other of a master.
        let choosable = |seen: &SentinelSeen| seen.replica(leader).is_some_and(|row| row.priority > 0);
        // One that ours has never met sends it no hello: what that one knows does not help (E2).
        let met = |at: Address| {
            let rows = self.own_sentinel().and_then(|seen| seen.rows.as_ref());
            at == self.rules.me || rows.is_some_and(|rows| rows.sentinels.iter().any(|row| row.address == at))
        };
        let mut answering = self.evidence.answering(self.now);
        let listed = answering.any(|(at, seen)| (seen.names(leader) || choosable(seen)) && met(at));
        ((!listed || helpless)
            && !self.our_sentinel_reaches_it()
            && !self.a_failover_runs()
            && !self.elector_contradicts(leader))
        .then_some(leader)
    }

    /// The only server that says master, where every other one that answers follows it, and they are most of those there
    /// should be. Not of all that ever answered: after such an outage each has a second address.
    pub(super) fn confirmed_by_servers(&self) -> Option<Address> {
        let answering = || {
            let views =
                self.evidence.servers.iter().filter_map(|(at, it)| it.server.view(self.now).map(|seen| (*at, seen)));
            views.filter(|(at, _)| !self.evidence.is_a_second_address(*at, self.now))
        };
        let (leader, _) = answering().find(|(_, seen)| seen.role.is_master())?;
        if !answering().all(|(at, seen)| at == leader || seen.role.master() == Some(leader)) {
            return None;
        }
        let listed = self.own_sentinel().and_then(|seen| seen.rows.as_ref()).map_or(0, |rows| rows.replicas.len() + 1);
        let expected = self.rules.expected_servers.unwrap_or(listed);
        (answering().count() > expected / 2).then_some(leader)
    }

    /// An elector that answers names somebody who neither is that leader nor follows it.
    fn elector_contradicts(&self, leader: Address) -> bool {
        let Some(seen) = self.evidence.elector.seen.view_since(self.now.before(LATELY)) else { return false };
        let with_it = |at: Address| {
            let server = self.evidence.servers.get(&at).and_then(|entry| entry.server.view(self.now));
            at == leader || server.is_some_and(|seen| seen.role.master() == Some(leader))
        };
        let mut named = seen.leader.iter().map(|ip| Address::new(*ip, leader.port()));
        !seen.leader.is_empty() && !named.any(with_it)
    }

    fn replicas_that_are_silent(&self) -> Vec<Address> {
        let rows = self.own_sentinel().and_then(|seen| seen.rows.as_ref());
        let listed = rows.into_iter().flat_map(|rows| rows.replicas.iter().map(|row| row.address));
        let answers = |at: &Address| {
            let entry = self.evidence.servers.get(at);
            let lately = self.now.before(LATELY);
            entry.is_some_and(|it| it.server.view(self.now).is_some() || it.supervisor.view_since(lately).is_some())
        };
        listed.filter(|at| !answers(at)).collect()
    }
}

/// Nobody of ours there, as far as this failure shows; a refused password is somebody. Nonsense is whoever has the address
/// now, or a proxy that accepts every connection (B4: a Docker network made anew, its old addresses answered by one).
pub(super) fn unreachable_by(failure: Failure) -> bool {
    match failure {
        Failure::Refused | Failure::Silent | Failure::Nonsense => true,
        Failure::Unauthorised => false,
    }
}
