//! Total outage: nobody leads and Sentinel can promote nobody. The newest data wins, by a vote (design section 3.4).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::Supervisor;
use super::course::{Basis, Course};
use super::id::{Address, AttemptId, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Report, Step};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rank::{Standing, compare_among, same_data};
use super::verdict::{NamedShows, Unknown, Verdict};

/// A report is sent anew this often.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Reports older than this do not count; `lead` is void for whoever's own report is older.
pub(super) const REPORT_COUNTS: Duration = Duration::from_secs(8);
/// A report is its sender's consent for this long: longer than it counts.
const REPORT_BINDS: Duration = Duration::from_secs(10);
/// Without every expected report: decide after this long where no state file exists anywhere.
const PATIENCE_NEW: Duration = Duration::from_secs(5);
/// The same, where state files exist: somebody with newer data may still come.
pub(super) const PATIENCE_STATE: Duration = Duration::from_secs(30);
/// So long before W a vote of servers without any state begins, where the Sentinels do not answer.
const VOTE_TAKES: Duration = Duration::from_secs(2);
/// So many servers' reports are kept.
const REPORTS_LIMIT: usize = 64;
/// A decision is void after this long.
pub(super) const LEAD_VOID: Duration = Duration::from_secs(2);
/// A supervisor whose own child crashed lets the failover run before it reports.
const AFTER_CRASH: Duration = Duration::from_secs(5);

/// The vote as we see it.
#[derive(Clone, Debug, Default)]
pub struct Vote {
    /// Since when nobody leads.
    pub(super) since: Option<Moment>,
    /// Who reports to us.
    pub(super) reports: BTreeMap<Address, Heard>,
    /// When we reported last, and to whom.
    pub(super) reported: Option<(Moment, Address)>,
    /// The last report that its coordinator may decide on without any Sentinel: when, and to whom.
    pub(super) bound: Option<(Moment, Address)>,
    /// Decided, and looking once more before it is said.
    pub(super) confirming: Option<(Moment, Address)>,
    /// The decision that is out.
    pub(super) out: Option<Out>,
    /// When the best said no, or nothing: it is asked again only after its next report.
    pub(super) refused: Option<Moment>,
    /// Told to lead, while the coordinator is asked whether it said so.
    pub(super) told: Vec<super::mandate::Told>,
    /// Under which vote our own child was told to lead.
    pub(super) leading: Option<(AttemptId, Basis, Moment)>,
    /// Since when a Sentinel is to choose the best in place of this dead master.
    pub(super) choosing: Option<(Address, Moment)>,
    /// Why nothing is decided, for people.
    pub(super) why: Option<&'static str>,
}

/// A server that reports. Anybody can say so in its name: what counts is its own answer, at the address we know (S5).
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// When somebody last said so.
    pub(super) at: Moment,
    /// When it was last asked.
    pub(super) asked: Option<Moment>,
    /// What it answered, and when that was asked for.
    pub(super) confirmed: Option<(Moment, Report)>,
}

#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) attempt: AttemptId,
    pub(super) best: Address,
    pub(super) at: Moment,
    pub(super) accepted: bool,
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
            // Told when somebody else had gone, they are old news in the next outage (U36).
            let now = self.now;
            for heard in self.vote.reports.values_mut() {
                heard.confirmed.take_if(|(asked, _)| now.since(*asked) >= REPORT_EVERY);
            }
            self.vote.out = None;
            self.vote.confirming = None;
            self.vote.choosing = None;
            return;
        }
        let since = *self.vote.since.get_or_insert(self.now);
        // Whom somebody spoke of may exist: it is looked at once before.
        let nobody_else =
            self.evidence.looked_at().all(|(at, entry)| !self.counts(*at) && entry.server.asked().is_some());
        if self.rules.expected_servers == Some(1) && nobody_else && self.child.loaded {
            return self.lead_as_the_only_one();
        }
        self.confirm_reports();
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
    pub(super) fn nobody_leads(&self) -> bool {
        let verdict = matches!(self.verdict, Verdict::Unknown(_) | Verdict::Named { .. });
        let free = match &self.course {
            Course::Undecided => true,
            Course::Following(following) => !self.master_lives(following.master),
            Course::Leading(_) => false,
        };
        // Without Sentinels there is no failover to let run.
        let crashed = self.verdict != Verdict::Unknown(Unknown::NoSentinels)
            && self.crash.as_ref().is_some_and(|crash| self.now.since(crash.since) < AFTER_CRASH);
        verdict && free && !crashed && self.candidacy.is_none() && self.evidence.resolved && !self.another_says_master()
    }

    /// May a vote decide at all? (3.4, "Allowed")
    pub(super) fn vote_allowed(&self, since: Moment) -> Result<Basis, &'static str> {
        let long = self.now.since(since) >= self.rules.w();
        let without = Basis::Vote { without_sentinels: true };
        match &self.verdict {
            Verdict::Unknown(Unknown::NoSentinels) => match self.a_lease_may_hold() {
                Some(why) => Err(why),
                None => Ok(without),
            },
            Verdict::Unknown(Unknown::NoOpinion) => Ok(without),
            Verdict::Named { master, shows: NamedShows::Nothing, .. }
                if !self.evidence.is_stranger(*master)
                    && !self.sentinels_miss(*master)
                    && !self.counting_reports().any(|(at, _)| at == *master) =>
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
            Verdict::Unknown(silence @ (Unknown::Silent | Unknown::Split)) => {
                let state = self.has_state() || self.reports().any(|(_, _, report)| report.has_state);
                // A first start has its master within W, the vote included (M18).
                let early = !state && self.now.since(since) + VOTE_TAKES >= self.rules.w();
                if !long && !early {
                    return Err(match silence {
                        Unknown::Silent => "the Sentinels do not answer: waiting",
                        _ => "the Sentinels differ, or too few answer: waiting",
                    });
                }
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

    /// Servers whose report does not count now; also those that were only spoken of, which may hold a lease.
    fn unreported(&self) -> impl Iterator<Item = Address> {
        let all = self.evidence.looked_at().map(|(at, _)| *at);
        all.filter(|at| self.counting_reports().all(|(from, _)| from != *at))
    }

    /// Without Sentinels the elector's lease proves a master's right on its own, so that a majority of servers must not
    /// vote in another beside it: while the lease names one that has not reported, or nobody can say whom it names.
    fn a_lease_may_hold(&self) -> Option<&'static str> {
        let (last, _) = self.evidence.elector.seen.remembered().filter(|(seen, _)| seen.lease)?;
        let me = self.rules.me;
        let gone = |at: Address| self.evidence.refuses_everywhere(at, self.now);
        if self.evidence.elector.seen.view(self.now).is_none() {
            let missing = self.unreported().any(|at| !gone(at));
            return missing.then_some("the elector does not answer: its lease may be the missing server's");
        }
        // Whether we know the holder or not: there may be no room for it on our list.
        let here = |ip: &IpAddr| *ip == me.ip() || self.counting_reports().any(|(from, _)| from.ip() == *ip);
        let left = || last.leader.iter().all(|ip| gone(Address::new(*ip, me.port())));
        let missing = !last.leader.iter().any(here) && !left();
        missing.then_some("the elector's lease is the missing server's: it may still take writes")
    }

    /// A majority of Sentinels shows it down or has lost it.
    pub(super) fn sentinels_miss(&self, master: Address) -> bool {
        self.evidence.majority_shows_down(master, self.rules.quorum, self.now) || self.majority_shows_lost(master)
    }

    pub(super) fn all_reported(&self) -> bool {
        self.counting_reports().count() >= self.evidence.known_servers(&self.rules, self.now)
    }

    /// A majority has reported, the last master among them: by its own report, at the highest epoch of all (M31).
    pub(super) fn majority_with_last_master(&self) -> bool {
        let known = self.evidence.known_servers(&self.rules, self.now);
        let newest = self.counting_reports().map(|(_, report)| report.rank.epoch).max();
        let mut last =
            self.counting_reports().filter(|(_, report)| report.was_master && Some(report.rank.epoch) == newest);
        self.counting_reports().count() > known / 2 && last.next().is_some()
    }

    /// Its report may count: it is ourselves or a known server. Anybody can report (M12).
    pub(super) fn counts(&self, at: Address) -> bool {
        at == self.rules.me || self.evidence.servers.contains_key(&at)
    }

    /// The reports of known servers, by their own answer, and when that was asked for.
    pub(super) fn reports(&self) -> impl Iterator<Item = (Address, Moment, &Report)> {
        let all = self
            .vote
            .reports
            .iter()
            .filter_map(|(from, heard)| heard.confirmed.as_ref().map(|(asked, report)| (*from, *asked, report)));
        all.filter(|(from, _, _)| self.counts(*from))
    }

    pub(super) fn counting_reports(&self) -> impl Iterator<Item = (Address, &Report)> {
        let young = self.reports().filter(|(_, heard, _)| self.now.since(*heard) < REPORT_COUNTS);
        young.map(|(from, _, report)| (from, report))
    }

    /// Our own report.
    pub(super) fn own_report(&self) -> Report {
        // Not whom we know by messages alone: a lie told to each of us would be the word of most of us (S6).
        let mut servers: Vec<Address> = self.evidence.of_word(super::evidence::Word::Ours).collect();
        servers.push(self.rules.me);
        Report {
            rank: self.own_rank(),
            loading: !self.child.loaded || !self.child_was_read_since_the_outage(),
            has_state: self.has_state(),
            was_master: self.last_record().is_some_and(|record| record.role == super::record::RecordedRole::Master),
            never: self.rules.priority == 0 || self.stop.is_some() || self.maintenance == super::event::Maintenance::On,
            known_servers: self.evidence.known_servers(&self.rules, self.now),
            servers,
            engine: Some(self.rules.engine),
        }
    }

    /// The last look is from after the outage began, and the child was not loading a sync then: what it holds now may be
    /// newer than anything seen before (U36). That it could not be asked is no reason to take the old look for it.
    fn child_was_read_since_the_outage(&self) -> bool {
        let since = self.vote.since.unwrap_or(self.now.before(REPORT_EVERY));
        self.child.seen_since(since).is_some_and(|seen| seen.loading.is_none())
    }

    /// A state file exists, of this life or an earlier one: we have been part of this cluster.
    pub(super) fn has_state(&self) -> bool {
        self.last_record().is_some_and(|record| record.role != super::record::RecordedRole::None)
    }

    pub(super) fn report_to(&mut self, coordinator: Address) {
        let due = self.vote.reported.is_none_or(|(at, to)| to != coordinator || self.now.since(at) >= REPORT_EVERY);
        if !due
            || self
                .standing_consent()
                .is_some_and(|given| given.candidate != self.rules.me && given.candidate != coordinator)
        {
            return;
        }
        // What it holds is read once more: the last look may be from before its last writes (D1).
        let since = self.vote.since.unwrap_or(self.now);
        if self.child.loaded && self.child.seen_since(since).is_none() && self.now.since(since) < REPORT_EVERY {
            return self.lookout.want(super::action::Look::Child { depth: super::action::Depth::Full });
        }
        self.vote.reported = Some((self.now, coordinator));
        // Where Sentinels name somebody their failover goes first, and a leader by vote waits for their name.
        if matches!(self.vote_allowed(since), Ok(Basis::Vote { without_sentinels: true })) {
            self.vote.bound = Some((self.now, coordinator));
        }
        let report = self.own_report();
        if coordinator == self.rules.me {
            let heard = Heard { at: self.now, asked: None, confirmed: Some((self.now, report)) };
            self.vote.reports.insert(self.rules.me, heard);
        } else {
            let message = PeerMessage::Report(Box::new(report));
            self.out.ask(coordinator, message, Duration::from_millis(800), Purpose::Favour);
        }
    }

    /// To which coordinator our report is a promise (3.4): it may make somebody lead whom no Sentinel has to name. One to
    /// ourselves binds only when a majority has reported.
    fn bound_by_report(&self) -> Option<Address> {
        let (at, coordinator) = self.vote.bound?;
        let majority = || self.counting_reports().count() > self.evidence.known_servers(&self.rules, self.now) / 2;
        let binds = self.now.since(at) < REPORT_BINDS && (coordinator != self.rules.me || majority());
        binds.then_some(coordinator)
    }

    /// The coordinator itself, or whom it has decided for, as far as we were told.
    fn is_choice_of(&self, coordinator: Address, candidate: Address) -> bool {
        candidate == coordinator
            || self.vote.out.as_ref().is_some_and(|out| out.best == candidate)
            || self.priority_favour.is_some_and(|favour| favour.leader == candidate)
    }

    /// The coordinator whom we owe not to let this candidate lead.
    pub(super) fn owed_to_coordinator(&self, candidate: Address) -> Option<Address> {
        self.bound_by_report().filter(|coordinator| !self.is_choice_of(*coordinator, candidate))
    }

    /// Somebody reports to us.
    pub(super) fn report_heard(&mut self, reply: ReplyId, from: Option<Address>, report: Report) {
        let at = from.unwrap_or(report.rank.address);
        if at == self.rules.me {
            return self.out.refuse(reply, "not a report of another server");
        }
        if self.stands_alone() {
            return self.out.refuse(reply, "a standalone server");
        }
        if !self.make_room_for_report(at) {
            return self.out.refuse(reply, "too many servers report");
        }
        if let Some(leading) = self.course.leading() {
            let message = PeerMessage::Led {
                attempt: leading.attempt.clone(),
                leader: self.rules.me,
                epoch: self.highest_epoch_known(),
            };
            let purpose = Purpose::Led(leading.attempt.clone());
            self.out.ask(at, message, Duration::from_secs(1), purpose);
        }
        self.evidence.hear_of(at, self.now);
        for server in report.servers.iter().take(64) {
            self.evidence.hear_of(*server, self.now);
        }
        let heard = self.vote.reports.entry(at).or_insert(Heard { at: self.now, asked: None, confirmed: None });
        heard.at = self.now;
        self.confirm_reports();
        self.out.reply(reply, PeerAnswer::Ok);
    }

    /// Reports that count no more make room: in months many addresses report here. And strangers' do for a known server's.
    fn make_room_for_report(&mut self, from: Address) -> bool {
        let now = self.now;
        self.vote.reports.retain(|at, heard| *at == from || now.since(heard.at) < REPORT_COUNTS);
        let full = self.vote.reports.len() >= REPORTS_LIMIT && !self.vote.reports.contains_key(&from);
        if full && self.counts(from) {
            let stranger = self.vote.reports.keys().copied().find(|at| !self.counts(*at));
            return stranger.is_some_and(|at| self.vote.reports.remove(&at).is_some());
        }
        !full
    }

    pub(super) fn vote_complete(&self, since: Moment) -> Result<(), &'static str> {
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
        // No Sentinels: whoever has not reported is surely gone, and each that has found no master.
        let gone = self.unreported().filter(|at| self.evidence.refuses_everywhere(*at, self.now)).count();
        let confirmed_dead = self.verdict == Verdict::Unknown(Unknown::NoSentinels);
        if confirmed_dead && gone > 0 && reports > known / 2 && reports + gone >= known {
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

    pub(super) fn best_of_reports(&self) -> Result<Address, &'static str> {
        let mut best: Option<&Report> = None;
        let steps: Vec<&Step> = self.counting_reports().flat_map(|(_, report)| &report.rank.line).collect();
        for (_, report) in self.counting_reports().filter(|(_, report)| !report.never && !report.loading) {
            best = match best {
                None => Some(report),
                Some(other) => match compare_among(&report.rank, &other.rank, &steps) {
                    Standing::Better => Some(report),
                    Standing::Worse => Some(other),
                    Standing::Unrelated => return Err("unrelated histories at one epoch: conflict"),
                },
            };
        }
        let best = best.ok_or("nobody may lead")?;
        // It is told to stop, or has priority 0: an empty leader would wipe it, now or when it is back (77750).
        if !best.rank.has_data && self.counting_reports().any(|(_, report)| report.never && report.rank.has_data) {
            return Err("the only one with data may not lead: waiting for it");
        }
        if !best.rank.has_data && self.shows_data_unreported(|at| self.counting_reports().any(|(from, _)| from == at)) {
            return Err("a server that has not reported holds data: waiting for it");
        }
        // Nobody is deposed for a tie: the one that the Sentinels name goes before the lowest address (A4).
        let named = self
            .named()
            .and_then(|(master, _)| self.counting_reports().find(|(at, _)| *at == master))
            .map(|(_, report)| report);
        let equal = named.filter(|named| !named.never && !named.loading && same_data(&named.rank, &best.rank));
        Ok(self.best_engine(equal.unwrap_or(best)).rank.address)
    }
}

impl Vote {
    /// The order to lead failed.
    pub fn forget_lead(&mut self) {
        self.leading = None;
    }
}
