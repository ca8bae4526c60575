//! The coordinator of a vote: who it is, and how it decides (design section 3.4).

use std::time::Duration;

use super::Supervisor;
use super::action::Level;
use super::course::Basis;
use super::id::{Address, AttemptId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::ElectorRule;
use super::seen::Failure;
use super::verdict::Verdict;
use super::vote::{LEAD_VOID, Out, REPORT_EVERY};

/// A Sentinel that is to choose the best has chosen nobody for so long: three rounds of the vote, and more than the 5 s of
/// NOGOODSLAVE that its asker has heard.
const CHOOSES_WITHIN: Duration = Duration::from_secs(12);

/// Two answers of the elector must agree at least this far apart.
const STEADY: Duration = Duration::from_millis(250);

impl Supervisor {
    /// The elector's leader; without one, and after W without its supervisor, the lowest address whose supervisor answers.
    pub(super) fn coordinator(&self) -> Option<Address> {
        let waited = self.vote.since.is_some_and(|since| self.now.since(since) >= self.rules.w());
        // Where only its Redis answers nobody takes our report: a foreign one, or its supervisor is gone for good.
        let elected = self.elected().filter(|at| !waited || self.takes_reports(*at));
        if elected.is_some() {
            return elected;
        }
        let expected_all = self.rules.expected_servers.is_some_and(|expected| self.reports().count() >= expected);
        match self.rules.elector {
            // An explicit one is waited for until all expected servers have reported to the one who would be next.
            ElectorRule::Explicit if !expected_all && !waited => {
                let lowest = self.lowest_living();
                (self.rules.expected_servers.is_some()).then_some(lowest)
            }
            _ => Some(self.lowest_living()),
        }
    }

    fn takes_reports(&self, at: Address) -> bool {
        let entry = self.evidence.servers.get(&at);
        at == self.rules.me || entry.is_some_and(|entry| entry.supervisor_answers(self.now))
    }

    pub(super) fn lowest_living(&self) -> Address {
        let others =
            self.evidence.servers.iter().filter(|(_, entry)| entry.supervisor_answers(self.now)).map(|(at, _)| *at);
        others.chain([self.rules.me]).min().unwrap_or(self.rules.me)
    }

    /// The server that the elector names: two answers a poll apart agree, and it is us or its supervisor answers.
    pub(super) fn elected(&self) -> Option<Address> {
        if self.rules.elector == ElectorRule::None {
            return None;
        }
        let elector = &self.evidence.elector;
        let steady = elector.steady_since.is_some_and(|since| self.now.since(since) >= STEADY);
        let seen = elector.seen.view(self.now).filter(|_| steady)?;
        if seen.leader.contains(&self.rules.me.ip()) {
            return Some(self.rules.me);
        }
        let named = self.evidence.servers.iter().find(|(at, _)| seen.leader.contains(&at.ip()));
        named
            .filter(|(_, entry)| entry.supervisor_answers(self.now) || entry.server.view(self.now).is_some())
            .map(|(at, _)| *at)
    }

    /// The coordinator's part.
    pub(super) fn coordinate(&mut self, since: Moment) {
        if let Some(out) = self.vote.out.clone() {
            if self.now.since(out.at) < LEAD_VOID * 2 || out.accepted && self.now.since(out.at) < LEAD_VOID * 5 {
                return;
            }
            self.vote.out = None;
        }
        if self.vote.refused.is_some_and(|at| self.now.since(at) < REPORT_EVERY) {
            return self.vote.why = Some("the best one refused: asking again after its next report");
        }
        let basis = match self.vote_allowed(since) {
            Ok(basis) => basis,
            Err(why) => return self.vote.why = Some(why),
        };
        if let Err(why) = self.vote_complete(since) {
            return self.vote.why = Some(why);
        }
        let best = match self.best_of_reports() {
            Ok(best) => best,
            Err(why) => return self.vote.why = Some(why),
        };
        self.vote.why = Some("decided: looking once more before it is said");
        match self.vote.confirming {
            Some((asked, at)) if at == best && self.looked_everywhere_since(asked) => {
                self.vote.confirming = None;
                self.announce(best, basis);
            }
            Some((asked, at)) if at == best && self.now.since(asked) < Duration::from_millis(700) => {}
            _ => {
                self.vote.confirming = Some((self.now, best));
                self.look_everywhere();
            }
        }
    }

    pub(super) fn announce(&mut self, best: Address, basis: Basis) {
        let attempt = self.new_attempt();
        self.vote.out = Some(Out { attempt: attempt.clone(), best, at: self.now, accepted: false });
        let count = self.counting_reports().count();
        if let Some(dead) = self.dead_that_a_sentinel_can_replace(best) {
            self.decide(
                Level::Warn,
                "vote",
                Some(best),
                format!("{count} reports: {best} holds the newest data; a Sentinel shall choose it"),
            );
            return self.let_a_sentinel_choose(best, dead, attempt);
        }
        self.decide(
            Level::Info,
            "vote",
            Some(best),
            format!("{count} reports: {best} holds the newest data and shall lead"),
        );
        if best == self.rules.me {
            self.lead_by_vote(attempt, basis);
        } else {
            let message = PeerMessage::Lead { coordinator: self.rules.me, attempt: attempt.clone() };
            self.out.ask(best, message, Duration::from_secs(1), Purpose::Lead(attempt));
        }
    }

    /// A majority names a dead master and a Sentinel lists the best as its replica.
    pub(super) fn dead_that_a_sentinel_can_replace(&self, best: Address) -> Option<Address> {
        let Verdict::Named { master, .. } = self.verdict else { return None };
        let refused = self.no_good_replica_since.is_some_and(|at| self.now.since(at) > Duration::from_secs(5));
        // Only who asks hears NOGOODSLAVE, and that may be somebody else (7826).
        let vain = self.vote.choosing.is_some_and(|(dead, at)| dead == master && self.now.since(at) > CHOOSES_WITHIN);
        let stuck = refused || vain && !self.a_failover_runs();
        let listed =
            self.evidence.answering(self.now).any(|(_, seen)| seen.names(master) && seen.replica(best).is_some());
        // Who holds nothing is at priority 0, so that no Sentinel can choose among all that are empty (B4).
        let empty = self.counting_reports().any(|(at, report)| at == best && !report.rank.has_data);
        (master != best && listed && !stuck && !empty).then_some(master)
    }

    pub(super) fn let_a_sentinel_choose(&mut self, best: Address, dead: Address, attempt: AttemptId) {
        if self.vote.choosing.is_none_or(|(at, _)| at != dead) {
            self.vote.choosing = Some((dead, self.now));
        }
        let others: Vec<Address> =
            self.counting_reports().map(|(at, _)| at).filter(|at| *at != self.rules.me).collect();
        for at in others {
            if at != best {
                let message =
                    PeerMessage::Priority { priority: Some(0), leader: best, lasting: super::favour::LONGEST_PRIORITY };
                self.out.ask(at, message, Duration::from_millis(500), Purpose::Favour);
            }
            let message = PeerMessage::Follow { attempt: attempt.clone(), leader: dead };
            self.out.ask(at, message, Duration::from_millis(500), Purpose::Favour);
        }
        if best != self.rules.me {
            self.favour_priority(Some(0), best);
        }
        if dead != self.rules.me {
            let epoch = self.evidence.highest_epoch(self.now);
            self.open_as_replica_of_the_dead(dead, epoch);
        }
    }

    /// The one who was told to lead answered.
    pub(super) fn lead_answered(&mut self, attempt: &AttemptId, answer: Result<PeerAnswer, Failure>) {
        let Some(out) = self.vote.out.as_mut().filter(|out| out.attempt == *attempt) else { return };
        match answer {
            Ok(PeerAnswer::Ok) => {
                out.accepted = true;
                let best = out.best;
                self.took_part_in = Some((attempt.clone(), best));
                let others: Vec<Address> = self
                    .counting_reports()
                    .map(|(at, _)| at)
                    .filter(|at| *at != self.rules.me && *at != best)
                    .collect();
                for at in others {
                    let message = PeerMessage::Follow { attempt: attempt.clone(), leader: best };
                    self.out.ask(at, message, Duration::from_secs(1), Purpose::Favour);
                }
            }
            _ => (self.vote.out, self.vote.refused) = (None, Some(self.now)),
        }
    }
}
