//! Every decision of redinit, pure: no clock, socket, file, thread or lock.
//!
//! A driver feeds [`Supervisor::handle`] with events and the time, carries out what [`Supervisor::poll_action`]
//! gives until it gives nothing, and comes back at [`Supervisor::poll_timeout`] with [`event::Event::Tick`].

pub mod action;
mod adopt;
mod agree;
pub mod ailment;
mod apart;
pub mod asker;
pub mod candidacy;
pub mod child;
pub mod cluster;
pub mod comparing;
mod confirming;
pub mod consent;
mod coordinator;
pub mod course;
pub mod crash;
pub mod direct;
pub mod engines;
mod epochs;
pub mod event;
pub mod evidence;
pub mod favour;
mod favoured;
pub mod follow;
mod foreign;
mod forgetting;
mod gone;
pub mod handover;
mod hearsay;
mod held;
pub mod id;
mod id_votes;
mod identity;
pub mod in_place;
mod journal;
mod kin;
mod known;
pub mod label;
mod lead;
mod logins;
mod lookout;
mod mandate;
pub mod message;
mod met;
mod mixed;
pub mod moment;
pub mod notice;
mod obedience;
mod odd_one;
pub mod outbox;
mod passed_over;
mod peers;
mod probes;
mod prune;
pub mod rank;
mod reconcile;
pub mod record;
mod recording;
pub mod release;
mod repoint;
pub mod restart;
pub mod right;
pub mod rules;
mod seeking;
pub mod seen;
pub mod sentinel_life;
pub mod settle;
mod shown;
pub mod sighting;
mod silence;
pub mod status;
pub mod stop;
mod strangers;
mod taken_over;
#[cfg(test)]
mod tests;
mod turn;
pub mod verdict;
mod volume;
pub mod vote;

use std::collections::VecDeque;
use std::time::Duration;

use action::{Action, Level, SentinelFile};
use candidacy::{Candidacy, Outcome};
use child::{Child, Process};
use consent::Consent;
use course::Course;
use event::Maintenance;
use evidence::{Evidence, ServerEntry};
use id::{Address, AttemptId, Epoch};
use journal::Journal;
use lookout::Lookout;
use moment::Moment;
use outbox::Outbox;
use record::{Record, Recovered};
use rules::Rules;
use verdict::{Unknown, Verdict};

/// After `child gone, lead` no lead of our own for this long; the answer is good for 1.5 s.
const GIVES_WAY: Duration = Duration::from_secs(2);

/// Ticks are at least this far apart; the offset of a handover is polled at 2 ms.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The decisions of one supervisor.
pub struct Supervisor {
    rules: Rules,
    now: Moment,
    started: Moment,
    evidence: Evidence,
    verdict: Verdict,
    child: Child,
    course: Course,
    candidacy: Option<Candidacy>,
    attempt_ended_at: Option<Moment>,
    attempt_said: Option<(Address, Address, String)>,
    outcomes: VecDeque<(AttemptId, Outcome)>,
    unresolved: Option<reconcile::Unresolved>,
    consent: Consent,
    release: Option<release::Release>,
    callers: strangers::Callers,
    handover: Option<handover::Handover>,
    direct_rests_until: Option<Moment>,
    asker: asker::Asker,
    no_good_replica_since: Option<Moment>,
    vote: vote::Vote,
    crash: Option<crash::Crash>,
    was_appending: bool,
    gave_way_at: Option<Moment>,
    /// When we last woke after having stood still; at first when we began.
    woke_at: Moment,
    /// And for how long we had.
    stood_still: Duration,
    silence: silence::Silence,
    /// We have been deposed, and have got nothing from any master since.
    left_behind: bool,
    forgetting: forgetting::Forgetting,
    restarts: restart::Restarts,
    stop: Option<stop::Stop>,
    exiting: bool,
    expected_exit: Option<Moment>,
    sentinel: sentinel_life::SentinelLife,
    sentinel_file: SentinelFile,
    led_hint: Option<follow::LedHint>,
    /// The last vote that counted our own report, and whom it told us to follow.
    took_part_in: Option<(AttemptId, Address)>,
    followed_last: Option<Address>,
    rewritten_at: Option<Moment>,
    clients_to_dismiss: bool,
    holding: volume::Holding,
    health: ailment::Health,
    sync_moved: Option<(u64, Moment)>,
    calm_since: Option<Moment>,
    named_gone_since: Option<Moment>,
    priority_favour: Option<favour::PriorityFavour>,
    maintenance: Maintenance,
    recovered: Option<Recovered>,
    saved: recording::Saved,
    attempts: u64,
    journal: Journal,
    label: label::Label,
    conflict: notice::Conflict,
    lookout: Lookout,
    met: met::Met,
    out: Outbox,
}

impl Supervisor {
    /// A supervisor that has decided nothing yet. `recovered` is the state file, where there was one of this cluster.
    pub fn new(rules: Rules, recovered: Option<Recovered>, now: Moment) -> Self {
        let record = recovered.as_ref().map(|found| &found.record);
        let mut supervisor = Supervisor {
            followed_last: record.and_then(|record| record.master).filter(|at| *at != rules.me),
            child: Child::new(now),
            journal: Journal::new(now),
            evidence: Evidence::new(&rules, record, now),
            consent: restored_consent(&rules, record, now),
            rules,
            now,
            started: now,
            verdict: Verdict::Unknown(Unknown::Silent),
            course: Course::Undecided,
            candidacy: None,
            attempt_ended_at: None,
            attempt_said: None,
            outcomes: VecDeque::new(),
            unresolved: None,
            release: None,
            callers: strangers::Callers::default(),
            handover: None,
            direct_rests_until: None,
            asker: asker::Asker::default(),
            no_good_replica_since: None,
            vote: vote::Vote::default(),
            crash: None,
            was_appending: false,
            gave_way_at: None,
            woke_at: now,
            stood_still: Duration::ZERO,
            silence: silence::Silence::default(),
            left_behind: false,
            forgetting: forgetting::Forgetting::new(now),
            restarts: restart::Restarts::default(),
            stop: None,
            exiting: false,
            expected_exit: None,
            sentinel: sentinel_life::SentinelLife::default(),
            sentinel_file: SentinelFile::default(),
            led_hint: None,
            took_part_in: None,
            rewritten_at: None,
            clients_to_dismiss: false,
            holding: volume::Holding::default(),
            health: ailment::Health::default(),
            sync_moved: None,
            calm_since: None,
            named_gone_since: None,
            priority_favour: None,
            maintenance: Maintenance::Off,
            recovered,
            saved: recording::Saved::default(),
            attempts: 0,
            label: label::Label::default(),
            conflict: notice::Conflict::default(),
            lookout: Lookout::default(),
            met: met::Met::default(),
            out: Outbox::default(),
        };
        supervisor.restarts.due = Some(now);
        supervisor.begin_with_what_is_known()
    }

    /// The next thing to do, in order; `None` when there is nothing now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop()
    }

    /// When to come back with `Event::Tick`, at the latest.
    pub fn poll_timeout(&self) -> Option<Moment> {
        // Never in the past: a wait that is over but could not be acted on must not spin.
        self.out.wake().map(|at| at.max(self.now + SHORTEST_WAIT))
    }

    fn decide(&mut self, level: Level, event: &'static str, address: Option<Address>, reason: String) {
        let now = self.now;
        self.journal.decide(&mut self.out, now, level, event, address, reason);
    }

    /// A name for an attempt or a vote: ours alone, over restarts too.
    fn new_attempt(&mut self) -> AttemptId {
        self.attempts += 1;
        AttemptId(format!("{}-{:016x}-{}", self.rules.me, self.rules.nonce, self.attempts))
    }

    /// Whom a majority of Sentinels names, alive or not.
    fn named(&self) -> Option<(Address, Epoch)> {
        match self.verdict {
            Verdict::Confirmed { master, epoch } | Verdict::Named { master, epoch, .. } => Some((master, epoch)),
            _ => None,
        }
    }

    /// The master as far as we know one that lives.
    fn master_now(&self) -> Option<Address> {
        match self.verdict {
            Verdict::Confirmed { master, .. } | Verdict::Hint { master } => Some(master),
            _ => None,
        }
    }

    /// We do not lead by a Sentinel's proposal now (H0's `never`).
    fn never_leads(&self) -> bool {
        self.must_not_lead() || self.has_yet_to_catch_up()
    }

    /// Not synced, told to stop, or the user said priority 0.
    fn must_not_lead(&self) -> bool {
        !self.child.synced || self.stop.is_some() || self.rules.priority == 0 || self.maintenance == Maintenance::On
    }

    /// It was deposed, frozen or cut off, by one that has lived and is gone (1028: with more bytes of the older history it
    /// was chosen, and 22 acknowledged writes went). Or: what it holds is from its disk, and a master has lived meanwhile
    /// from which it has got nothing yet: what that one acknowledged would be lost (seeds 59049, 69534, 74352: stopped one
    /// after the other, faster than they sync). Until that one has been gone for as long as a vote waits for newer data;
    /// who holds less may say so before, and a vote.
    fn has_yet_to_catch_up(&self) -> bool {
        let Process::Running { since, .. } = self.child.process else { return false };
        let waited = self.named_gone_since.is_some_and(|at| self.now.since(at) >= vote::PATIENCE_STATE);
        if waited || self.favoured() {
            return false;
        }
        let lived = |entry: &ServerEntry| {
            entry.server.remembered().is_some_and(|(seen, asked)| seen.role.is_master() && asked >= since)
        };
        match &self.course {
            Course::Leading(_) => false,
            _ if self.left_behind || self.health.parked.is_some() => true,
            _ if self.child.has_streamed => false,
            Course::Following(following) => !following.of_the_dead,
            Course::Undecided => self.evidence.servers.values().any(lived),
        }
    }

    /// Deposed, and somebody who answers holds a line of histories that ours has no part in: our successor's. More bytes of
    /// the older one are no reason to go before that.
    fn left_behind_by_another_line(&self) -> bool {
        let own = rank::history(&self.own_rank());
        let mut others = self.evidence.servers.values().filter_map(|entry| entry.server.view(self.now));
        self.left_behind && others.any(|seen| !seen.history.related(&own))
    }

    /// We told a candidate `child gone, lead` lately: it may lead on that, so we must not.
    fn gave_way(&self) -> bool {
        self.gave_way_at.is_some_and(|at| self.now.since(at) < GIVES_WAY)
    }
}

/// A promise to another binds over a restart (L3).
fn restored_consent(rules: &Rules, record: Option<&Record>, now: Moment) -> Consent {
    let mut consent = Consent::default();
    let given = record.and_then(|record| record.consent.as_ref()).filter(|given| given.candidate != rules.me);
    if let Some(given) = given {
        consent.restore(given.candidate, given.attempt.clone(), given.epoch, now);
    }
    consent
}
