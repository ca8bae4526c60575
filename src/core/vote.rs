//! Total outage: nobody leads and Sentinel can promote nobody. The newest data wins, by a vote (design section 3.4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::course::{Basis, Course};
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Report};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rank::{Standing, compare, same_data};
use super::rules::ElectorRule;
use super::seen::Failure;
use super::verdict::{NamedShows, Unknown, Verdict};

/// A report is sent anew this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Reports older than this do not count; `lead` is void for whoever's own report is older.
const REPORT_COUNTS: Duration = Duration::from_secs(8);
/// Without every expected report: decide after this long where no state file exists anywhere.
const PATIENCE_NEW: Duration = Duration::from_secs(5);
/// The same, where state files exist: somebody with newer data may still come.
const PATIENCE_STATE: Duration = Duration::from_secs(30);
/// A decision is void after this long.
const LEAD_VOID: Duration = Duration::from_secs(2);
/// Two answers of the elector must agree at least this far apart.
const STEADY: Duration = Duration::from_millis(250);
/// A supervisor whose own child crashed lets the failover run before it reports.
const AFTER_CRASH: Duration = Duration::from_secs(5);

/// The vote as we see it.
#[derive(Clone, Debug, Default)]
pub struct Vote {
    /// Since when nobody leads.
    since: Option<Moment>,
    /// Reports to us, and when they came.
    reports: BTreeMap<Address, (Moment, Report)>,
    /// When we reported last, and to whom.
    reported: Option<(Moment, Address)>,
    /// Decided, and looking once more before it is said.
    confirming: Option<(Moment, Address)>,
    /// The decision that is out.
    out: Option<Out>,
    /// Under which vote our own child was told to lead.
    leading: Option<(AttemptId, Basis, Moment)>,
    /// Why nothing is decided, for people.
    why: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Out {
    attempt: AttemptId,
    best: Address,
    at: Moment,
    accepted: bool,
}

impl Vote {
    /// Somebody leads: the vote is over. Reports are forgotten, a decision on its way to our child is not.
    pub fn rest(&mut self) {
        let leading = self.leading.take();
        *self = Vote { leading, ..Vote::default() };
    }

    /// Why it waits.
    pub fn why(&self) -> Option<&'static str> {
        self.why
    }
}

impl Supervisor {
    /// One turn of the vote.
    pub(super) fn vote_turn(&mut self) {
        if !self.nobody_leads() || self.maintenance == super::event::Maintenance::On {
            self.vote.since = None;
            self.vote.out = None;
            self.vote.confirming = None;
            return;
        }
        let since = *self.vote.since.get_or_insert(self.now);
        if self.rules.expected_servers == Some(1) && self.evidence.servers.is_empty() && self.child.loaded {
            return self.lead_as_the_only_one();
        }
        let Some(coordinator) = self.coordinator() else {
            self.vote.why = Some("waiting for the elector");
            return;
        };
        self.report_to(coordinator);
        if coordinator == self.rules.me {
            self.coordinate(since);
        } else {
            self.vote.why = Some("reported to the coordinator");
        }
        self.out.wake_at(self.now + Duration::from_millis(250));
    }

    /// No living master is known, we do not lead, and nothing else is under way.
    fn nobody_leads(&self) -> bool {
        let verdict = matches!(self.verdict, Verdict::Unknown(_) | Verdict::Named { .. });
        let free = match &self.course {
            Course::Undecided => true,
            Course::Following(following) => !self.master_lives(following.master),
            Course::Leading(_) => false,
        };
        let crashed = self.crash.as_ref().is_some_and(|crash| self.now.since(crash.since) < AFTER_CRASH);
        verdict && free && !crashed && self.candidacy.is_none() && self.evidence.resolved && !self.another_says_master()
    }

    /// May a vote decide at all? (3.4, "Allowed")
    fn vote_allowed(&self, since: Moment) -> Result<Basis, &'static str> {
        let long = self.now.since(since) >= self.rules.w();
        let without = Basis::Vote { without_sentinels: true };
        match &self.verdict {
            Verdict::Unknown(Unknown::NoOpinion | Unknown::NoSentinels) => Ok(without),
            Verdict::Named { master, shows: NamedShows::Nothing, .. }
                if !self.sentinels_miss(*master) && !self.counting_reports().any(|(at, _)| at == *master) =>
            {
                Err("the Sentinels see the named master alive; we do not reach it")
            }
            Verdict::Named { shows, .. } => {
                let basis = Basis::Vote { without_sentinels: false };
                match (long || self.all_reported(), shows) {
                    (true, _) => Ok(basis),
                    (false, NamedShows::Replica) => Err("the named one says replica: waiting for a failover"),
                    (false, _) => Err("the named master is gone: waiting for a failover"),
                }
            }
            Verdict::Unknown(Unknown::Silent) if !long => Err("the Sentinels do not answer: waiting"),
            Verdict::Unknown(Unknown::Split) if !long => Err("the Sentinels differ, or too few answer: waiting"),
            Verdict::Unknown(Unknown::Silent | Unknown::Split) => {
                let state = self.has_state() || self.vote.reports.values().any(|(_, report)| report.has_state);
                if state && !self.all_reported() && !self.majority_with_last_master() {
                    return Err("the Sentinels do not answer; give the Sentinels' Service publishNotReadyAddresses");
                }
                // Where one of them names somebody, they must have their say before anything is acknowledged.
                let nobody_named = self.verdict == Verdict::Unknown(Unknown::Silent);
                Ok(Basis::Vote { without_sentinels: nobody_named })
            }
            _ => Err("a master is known"),
        }
    }

    /// A majority of Sentinels shows it down or has lost it.
    fn sentinels_miss(&self, master: Address) -> bool {
        self.evidence.majority_shows_down(master, self.rules.quorum, self.now) || self.majority_shows_lost(master)
    }

    fn all_reported(&self) -> bool {
        self.counting_reports().count() >= self.evidence.known_servers(&self.rules, self.now)
    }

    /// A majority has reported, the last master among them: by its own report, at the highest epoch of all (M31).
    fn majority_with_last_master(&self) -> bool {
        let known = self.evidence.known_servers(&self.rules, self.now);
        let newest = self.counting_reports().map(|(_, report)| report.rank.epoch).max();
        let mut last =
            self.counting_reports().filter(|(_, report)| report.was_master && Some(report.rank.epoch) == newest);
        self.counting_reports().count() > known / 2 && last.next().is_some()
    }

    fn counting_reports(&self) -> impl Iterator<Item = (Address, &Report)> {
        let now = self.now;
        self.vote
            .reports
            .iter()
            .filter(move |(_, (at, _))| now.since(*at) < REPORT_COUNTS)
            .map(|(at, (_, report))| (*at, report))
    }

    /// The elector's leader; without one, the lowest address whose supervisor answers.
    fn coordinator(&self) -> Option<Address> {
        let elected = self.elected();
        if elected.is_some() {
            return elected;
        }
        let expected_all = self.rules.expected_servers.is_some_and(|expected| self.vote.reports.len() >= expected);
        match self.rules.elector {
            // An explicit one is waited for until all expected servers have reported to the one who would be next.
            ElectorRule::Explicit
                if !expected_all && self.vote.since.is_none_or(|since| self.now.since(since) < self.rules.w()) =>
            {
                let lowest = self.lowest_living();
                (self.rules.expected_servers.is_some()).then_some(lowest)
            }
            _ => Some(self.lowest_living()),
        }
    }

    fn lowest_living(&self) -> Address {
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

    /// Our own report.
    fn own_report(&self) -> Report {
        let mut servers: Vec<Address> = self.evidence.servers.keys().copied().collect();
        servers.push(self.rules.me);
        Report {
            rank: self.own_rank(),
            loading: !self.child.loaded,
            has_state: self.has_state(),
            was_master: self.last_record().is_some_and(|record| record.role == super::record::RecordedRole::Master),
            never: self.rules.priority == 0 || self.stop.is_some() || self.maintenance == super::event::Maintenance::On,
            known_servers: self.evidence.known_servers(&self.rules, self.now),
            servers,
        }
    }

    /// A state file exists, of this life or an earlier one: we have been part of this cluster.
    fn has_state(&self) -> bool {
        self.last_record().is_some_and(|record| record.role != super::record::RecordedRole::None)
    }

    fn report_to(&mut self, coordinator: Address) {
        let due = self.vote.reported.is_none_or(|(at, to)| to != coordinator || self.now.since(at) >= REPORT_EVERY);
        if !due
            || self
                .standing_consent()
                .is_some_and(|given| given.candidate != self.rules.me && given.candidate != coordinator)
        {
            return;
        }
        self.vote.reported = Some((self.now, coordinator));
        let report = self.own_report();
        if coordinator == self.rules.me {
            self.vote.reports.insert(self.rules.me, (self.now, report));
        } else {
            let message = PeerMessage::Report(Box::new(report));
            self.out.ask(coordinator, message, Duration::from_millis(800), Purpose::Favour);
        }
    }

    /// Somebody reports to us.
    pub(super) fn report_heard(&mut self, reply: ReplyId, from: Option<Address>, report: Report) {
        let at = from.unwrap_or(report.rank.address);
        if at == self.rules.me || self.vote.reports.len() >= 64 {
            return self.out.refuse(reply, "not a report of another server");
        }
        if let Some(leading) = self.course.leading() {
            let message = PeerMessage::Led {
                attempt: leading.attempt.clone(),
                leader: self.rules.me,
                epoch: self.evidence.highest_epoch(self.now),
            };
            let purpose = Purpose::Led(leading.attempt.clone());
            self.out.ask(at, message, Duration::from_secs(1), purpose);
        }
        self.evidence.add_server(at, self.now);
        for server in report.servers.iter().take(64) {
            self.evidence.add_server(*server, self.now);
        }
        self.vote.reports.insert(at, (self.now, report));
        self.out.reply(reply, PeerAnswer::Ok);
    }

    /// The coordinator's part.
    fn coordinate(&mut self, since: Moment) {
        if let Some(out) = self.vote.out.clone() {
            if self.now.since(out.at) < LEAD_VOID * 2 || out.accepted && self.now.since(out.at) < LEAD_VOID * 5 {
                return;
            }
            self.vote.out = None;
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

    fn vote_complete(&self, since: Moment) -> Result<(), &'static str> {
        let reports = self.counting_reports().count();
        let known = self.evidence.known_servers(&self.rules, self.now);
        let loading = self.counting_reports().any(|(_, report)| report.loading);
        let waited = self.now.since(since);
        if self.rules.expected_servers.is_none() && self.elected().is_none() {
            return Err("set expected_servers or an elector");
        }
        if loading && waited < PATIENCE_STATE * 4 {
            return Err("somebody still loads");
        }
        if self.rules.expected_servers.is_some_and(|expected| reports >= expected.max(known)) {
            return Ok(());
        }
        let state = self.counting_reports().any(|(_, report)| report.has_state);
        let patience = if state { PATIENCE_STATE } else { PATIENCE_NEW };
        if waited < patience {
            return Err(if state {
                "somebody with newer data may still come"
            } else {
                "waiting for the other servers"
            });
        }
        if reports <= known / 2 {
            return Err("fewer than a majority of the known servers have reported");
        }
        Ok(())
    }

    fn best_of_reports(&self) -> Result<Address, &'static str> {
        let mut best: Option<&Report> = None;
        for (_, report) in self.counting_reports().filter(|(_, report)| !report.never && !report.loading) {
            best = match best {
                None => Some(report),
                Some(other) => match compare(&report.rank, &other.rank) {
                    Standing::Better => Some(report),
                    Standing::Worse => Some(other),
                    Standing::Unrelated => return Err("unrelated histories at one epoch: conflict"),
                },
            };
        }
        let best = best.ok_or("nobody may lead")?;
        // Nobody is deposed for a tie: the one that the Sentinels name goes before the lowest address (A4).
        let named = self
            .named()
            .and_then(|(master, _)| self.counting_reports().find(|(at, _)| *at == master))
            .map(|(_, report)| report);
        let equal = named.filter(|named| !named.never && !named.loading && same_data(&named.rank, &best.rank));
        Ok(equal.unwrap_or(best).rank.address)
    }

    fn announce(&mut self, best: Address, basis: Basis) {
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
    fn dead_that_a_sentinel_can_replace(&self, best: Address) -> Option<Address> {
        let Verdict::Named { master, .. } = self.verdict else { return None };
        let stuck = self.no_good_replica_since.is_some_and(|at| self.now.since(at) > Duration::from_secs(5));
        let listed =
            self.evidence.answering(self.now).any(|(_, seen)| seen.names(master) && seen.replica(best).is_some());
        (master != best && listed && !stuck).then_some(master)
    }

    fn let_a_sentinel_choose(&mut self, best: Address, dead: Address, attempt: AttemptId) {
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

    /// The only expected server, knowing no other, leads at once (A8).
    fn lead_as_the_only_one(&mut self) {
        if self.child.role_in_motion() || !self.child.running() {
            return;
        }
        let attempt = self.new_attempt();
        self.decide(Level::Info, "vote", Some(self.rules.me), "the only expected server, and no other is known".into());
        self.lead_by_vote(attempt, Basis::Vote { without_sentinels: true });
    }

    /// The coordinator tells us to lead.
    pub(super) fn lead_asked(&mut self, reply: ReplyId, coordinator: Address, attempt: AttemptId) {
        let reported =
            self.vote.reported.is_some_and(|(at, to)| to == coordinator && self.now.since(at) < REPORT_COUNTS);
        let other = self
            .standing_consent()
            .map(|given| given.candidate)
            .filter(|at| *at != self.rules.me && *at != coordinator);
        let why = if !reported {
            Some("we have not reported to you lately".to_owned())
        } else if self.gave_way() {
            Some("we have told a candidate to lead".to_owned())
        } else if !self.nobody_leads() {
            Some("somebody leads, or is about to".to_owned())
        } else if let Some(other) = other {
            Some(format!("we have consented to {other}"))
        } else if self.rules.priority == 0
            || self.stop.is_some()
            || self.maintenance == super::event::Maintenance::On
            || !self.child.loaded
        {
            Some("we cannot lead".to_owned())
        } else {
            None
        };
        if let Some(why) = why {
            return self.out.refuse(reply, why);
        }
        let named = matches!(self.verdict, Verdict::Named { .. } | Verdict::Unknown(Unknown::Split));
        let basis = Basis::Vote { without_sentinels: !named };
        self.out.reply(reply, PeerAnswer::Ok);
        self.decide(
            Level::Info,
            "vote",
            Some(coordinator),
            format!("coordinator {coordinator}: we hold the newest data"),
        );
        self.lead_by_vote(attempt, basis);
    }

    fn lead_by_vote(&mut self, attempt: AttemptId, basis: Basis) {
        let promised = self.standing_consent().is_some_and(|given| given.candidate != self.rules.me);
        let idle = self.child.running() && self.child.loaded && !self.child.role_in_motion();
        if !idle || self.gave_way() || promised {
            return;
        }
        self.consent_to(self.rules.me, attempt.clone());
        self.vote.leading = Some((attempt, basis, self.now));
        self.child.order(&mut self.out, self.now, ChildOrder::Lead);
    }

    /// Our child leads under the vote.
    pub(super) fn led_by_vote(&mut self) -> bool {
        let Some((attempt, basis, ordered)) = self.vote.leading.take() else { return false };
        if self.now.since(ordered) > LEAD_VOID {
            // The order lay in the child's socket (M29): the vote has moved on, or will.
            self.decide(Level::Warn, "vote", None, "the order to lead came too late: the decision is void".into());
            self.note_outcome(attempt, super::candidacy::Outcome::Open);
            self.shut_and_rediscover();
            return true;
        }
        let reason = "the vote of the supervisors: newest data".to_owned();
        let others: Vec<Address> =
            self.counting_reports().map(|(at, _)| at).filter(|at| *at != self.rules.me).collect();
        self.start_leading(basis, attempt.clone(), reason);
        for at in others {
            let message = PeerMessage::Follow { attempt: attempt.clone(), leader: self.rules.me };
            self.out.ask(at, message, Duration::from_secs(1), Purpose::Led(attempt.clone()));
        }
        true
    }

    /// The one who was told to lead answered.
    pub(super) fn lead_answered(&mut self, attempt: &AttemptId, answer: Result<PeerAnswer, Failure>) {
        let Some(out) = self.vote.out.as_mut().filter(|out| out.attempt == *attempt) else { return };
        match answer {
            Ok(PeerAnswer::Ok) => {
                out.accepted = true;
                let best = out.best;
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
            _ => self.vote.out = None,
        }
    }

    /// A coordinator's decision about whom to follow.
    pub(super) fn follow_asked(&mut self, reply: ReplyId, attempt: AttemptId, leader: Address) {
        let named_gone = matches!(self.verdict, Verdict::Named { master, .. } if master == leader);
        let waiting =
            matches!(self.course, Course::Undecided) || matches!(&self.course, Course::Following(f) if f.of_the_dead);
        if named_gone && waiting && leader != self.rules.me {
            let epoch = self.evidence.highest_epoch(self.now);
            self.open_as_replica_of_the_dead(leader, epoch);
            return self.out.reply(reply, PeerAnswer::Following);
        }
        let epoch = self.evidence.highest_epoch(self.now);
        self.led_heard(reply, leader, attempt, epoch);
    }
}

impl Vote {
    /// The order to lead failed.
    pub fn forget_lead(&mut self) {
        self.leading = None;
    }
}
