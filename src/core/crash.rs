//! The child is gone while its supervisor lives; and a supervisor that starts and is named master (design section 4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::asker::AskWhom;
use super::child::Process;
use super::course::{Basis, Course};
use super::event::{ChildExit, Maintenance};
use super::evidence::Evidence;
use super::id::{Address, AttemptId};
use super::message::{PeerAnswer, PeerMessage};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::{Mode, Rules};
use super::seen::{Failure, Rows, SentinelSeen};
use super::verdict::{NamedShows, Verdict};

/// Sentinels must have heard the old process less than down-after minus this ago.
const PING_MARGIN: Duration = Duration::from_secs(2);
/// How long consents to a restart in place are gathered.
const CONSENT_LIMIT: Duration = Duration::from_millis(300);

/// The named master has no serving child.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Since when.
    pub since: Moment,
    /// Whether we led in this life (crash), or start as the named one.
    pub origin: Origin,
    /// What we do about it.
    pub stage: Stage,
    /// Since when nobody else could be named (M27).
    pub alone_since: Option<Moment>,
}

impl Crash {
    fn new(origin: Origin, stage: Stage, now: Moment) -> Self {
        Crash { since: now, origin, stage, alone_since: None }
    }
}

/// How it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our child crashed while it led.
    Crashed,
    /// We have just started and the Sentinels name us.
    Started,
}

/// Why we may lead again at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// We are back before anybody can have been promoted.
    InTime,
    /// We are late, but there is nobody else whom the Sentinels could name (M27).
    NobodyElse,
}

/// What is done about it.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The child is being restarted to lead again in place.
    InPlace,
    /// Loaded in time: the others are asked for consent.
    Consents { attempt: AttemptId, ground: Ground, answers: BTreeMap<Address, Option<PeerAnswer>>, asked: Moment },
    /// All agree: the order to lead is out.
    Leading { attempt: AttemptId, ground: Ground },
    /// Somebody else shall lead: `child gone, lead`.
    Replaced,
}

/// What forbids a restart in place, if anything does. Pure; one table test a line.
pub fn forbids_in_place(evidence: &Evidence, rules: &Rules, trustworthy: bool, now: Moment) -> Option<&'static str> {
    if !trustworthy {
        return Some("the data may be older than the replicas': no AOF, or not loaded whole");
    }
    if !evidence.majority_names(rules.me, rules.quorum, now) {
        return Some("no majority of Sentinels names us");
    }
    let heard_within = rules.down_after.saturating_sub(PING_MARGIN);
    for (_, seen) in evidence.answering(now) {
        let Some(row) = &seen.master else { continue };
        if row.troubled() {
            return Some("a Sentinel shows us down, or a failover");
        }
        if row.address == rules.me && row.last_ok_ping >= heard_within {
            return Some("too late: a Sentinel has not heard us for too long");
        }
    }
    if evidence.servers.values().any(|entry| entry.says_master(now)) {
        return Some("another server says master");
    }
    None
}

impl Supervisor {
    /// The child ended.
    pub(super) fn child_exited(&mut self, exit: ChildExit) {
        let ran = match self.child.process {
            Process::Running { since, .. } => self.now.since(since),
            _ => Duration::ZERO,
        };
        self.child.last_exit = Some(exit);
        let loaded = self.child.loaded;
        self.child.reset(Process::None { since: self.now });
        self.child.order(&mut self.out, self.now, ChildOrder::KillRest);
        self.unresolved_child_gone();
        if self.stop.is_some_and(|stop| stop.rung == super::stop::Rung::Handover) && self.knows_others() {
            self.leave_to_successor(exit);
        }
        if self.stop.is_some() && self.crash.is_none() {
            return self.child_stopped(exit);
        }
        if self.stop.is_some() {
            return;
        }
        if self.expected_exit.take().is_some() {
            return self.spawn_now();
        }
        self.decide(Level::Error, "child-exit", None, format!("the child ended unasked: {}", describe(exit)));
        self.examine_failed_start(exit, loaded);
        if self.rules.mode == Mode::Server {
            self.server_crashed();
        }
        self.schedule_restart(exit, ran);
    }

    /// Told to stop, and the child has ended before it could hand over (C2).
    fn leave_to_successor(&mut self, exit: ChildExit) {
        let led = matches!(&self.course, Course::Leading(leading) if leading.basis != Basis::Alone);
        if !led || self.release_stands() {
            return;
        }
        self.handover_failed("the child has ended");
        self.release = None;
        self.course = Course::Undecided;
        self.decide(
            Level::Warn,
            "crash",
            None,
            format!("the child ended before it could hand over: {}", describe(exit)),
        );
        self.crash = Some(Crash::new(Origin::Crashed, Stage::Replaced, self.now));
        self.replace("we are told to stop, and its data are complete");
        self.save_now(true);
    }

    fn server_crashed(&mut self) {
        let led = matches!(&self.course, Course::Leading(leading) if leading.basis != Basis::Alone);
        self.drop_release();
        if self.candidacy.is_some() {
            self.end_attempt("our child is gone".into());
        }
        if led && self.knows_others() {
            self.decide(Level::Warn, "crash", None, "the master's child is gone".into());
            self.crash = Some(Crash::new(Origin::Crashed, Stage::InPlace, self.now));
            // Whether it holds anything is seen when it has loaded: its last look may be older than its first write.
            if !self.was_appending {
                self.replace("its data cannot be trusted to be the newest");
            }
        }
        if !matches!(self.course, Course::Following(_)) {
            self.course = Course::Undecided;
        } else if let Course::Following(following) = &mut self.course {
            following.told = false;
        }
    }

    /// What we answer to a release while we have nothing that serves.
    pub(super) fn crash_answer(&mut self) -> Option<PeerAnswer> {
        if self.child.under_way(|order| matches!(order, ChildOrder::Lead)) {
            return Some(PeerAnswer::No { reason: "about to lead".into() });
        }
        match self.crash.as_ref().map(|crash| &crash.stage) {
            Some(Stage::Replaced) => Some(PeerAnswer::ChildGone),
            Some(Stage::InPlace) if self.child.running() && self.child.loaded => {
                // Not consented yet: the proposal is further than we are.
                self.replace("a proposal came first");
                Some(PeerAnswer::ChildGone)
            }
            Some(_) => Some(PeerAnswer::No { reason: "restarting in place".into() }),
            None if matches!(self.course, Course::Undecided)
                && !self.child.role_in_motion()
                && self.vote_not_leading() =>
            {
                Some(PeerAnswer::ChildGone)
            }
            None => None,
        }
    }

    fn replace(&mut self, why: &str) {
        self.consent.withdraw_own(self.rules.me);
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Replaced;
        }
        self.decide(Level::Warn, "replace", None, format!("somebody else shall lead: {why}"));
        // Equal offsets: whoever Sentinel takes has everything. Else it must read INFO anew and take the newest (1.1 s).
        if self.replicas_are_equal() && !self.another_says_master() {
            let others: Vec<Address> = self.evidence.servers.keys().copied().collect();
            for at in others {
                let message = PeerMessage::Quicken { lasting: super::candidacy::QUICKEN };
                self.out.ask(at, message, Duration::from_millis(300), Purpose::Favour);
            }
        }
    }

    fn replicas_are_equal(&self) -> bool {
        let mut offsets = self
            .evidence
            .servers
            .values()
            .filter_map(|entry| entry.server.view(self.now))
            .map(|seen| seen.history.offset);
        let Some(first) = offsets.next() else { return false };
        offsets.all(|offset| offset == first)
    }

    /// One turn of the one who is named and does not serve.
    pub(super) fn crash_turn(&mut self) {
        let named_ourselves = matches!(self.verdict, Verdict::Named { shows: NamedShows::Ourselves, .. });
        if self.crash.is_none()
            && named_ourselves
            && matches!(self.course, Course::Undecided)
            && self.child.loaded
            && self.vote_not_leading()
        {
            self.crash = Some(Crash::new(Origin::Started, Stage::InPlace, self.now));
        }
        let Some(crash) = &self.crash else { return };
        if self.course.leading().is_some() {
            self.crash = None;
            return;
        }
        if self.maintenance == Maintenance::On {
            return;
        }
        match crash.stage.clone() {
            Stage::InPlace => self.try_in_place(),
            Stage::Consents { attempt, ground, answers, asked } => {
                self.weigh_consents(&attempt, ground, &answers, asked);
            }
            Stage::Leading { .. } => {}
            Stage::Replaced => {
                let me = self.rules.me;
                if self.nobody_else_for_w() {
                    return self.seek_consents(Ground::NobodyElse);
                }
                if named_ourselves && self.usable_proposal().is_none() {
                    self.ask_failover(me, AskWhom::Unplanned, "our child does not serve");
                }
                self.out.wake_at(self.now + Duration::from_millis(100));
            }
        }
    }

    fn try_in_place(&mut self) {
        let Some(crash) = &self.crash else { return };
        let origin = crash.origin;
        let late = self.now.since(crash.since) > self.rules.down_after.saturating_sub(PING_MARGIN);
        if !self.child.loaded {
            if late && origin == Origin::Crashed {
                self.replace("it does not load in time");
            }
            return self.out.wake_at(self.now + Duration::from_millis(50));
        }
        if let Some(why) = forbids_in_place(&self.evidence, &self.rules, self.trustworthy(origin), self.now) {
            return self.replace(why);
        }
        self.seek_consents(Ground::InTime);
    }

    /// Asks everybody who answers whether we may lead again.
    fn seek_consents(&mut self, ground: Ground) {
        let attempt = self.new_attempt();
        let me = self.rules.me;
        if self.standing_consent().is_some_and(|given| given.candidate != me) {
            return self.replace("we have consented to another");
        }
        self.consent_to(me, attempt.clone());
        let message =
            PeerMessage::Consent { attempt: attempt.clone(), candidate: me, replaces: Some(me), rank: self.own_rank() };
        let mut answers = BTreeMap::new();
        for (at, entry) in &self.evidence.servers {
            if entry.supervisor_answers(self.now) {
                answers.insert(*at, None);
                self.out.ask(*at, message.clone(), CONSENT_LIMIT, Purpose::Consent(attempt.clone()));
            }
        }
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Consents { attempt, ground, answers, asked: self.now };
        }
        self.look_everywhere();
        self.crash_turn();
    }

    /// An answer to our request for consent to a restart in place.
    pub(super) fn in_place_consent_answered(
        &mut self,
        attempt: &AttemptId,
        from: Address,
        answer: Result<PeerAnswer, Failure>,
    ) {
        let Some(Crash { stage: Stage::Consents { attempt: ours, answers, .. }, .. }) = &mut self.crash else { return };
        if ours != attempt {
            return;
        }
        match answer {
            Ok(answer) => answers.insert(from, Some(answer)),
            Err(_) => answers.remove(&from),
        };
    }

    fn weigh_consents(
        &mut self,
        attempt: &AttemptId,
        ground: Ground,
        answers: &BTreeMap<Address, Option<PeerAnswer>>,
        asked: Moment,
    ) {
        let refused = answers.values().flatten().any(|answer| *answer != PeerAnswer::Consented);
        if refused {
            return self.replace("another server refuses, or holds more");
        }
        if answers.values().any(Option::is_none) {
            return self.out.wake_at(asked + CONSENT_LIMIT);
        }
        if self.gave_way() {
            return self.replace("we have told a candidate to lead");
        }
        if let Some(why) = self.forbids(ground, answers.len()) {
            return self.replace(why);
        }
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Leading { attempt: attempt.clone(), ground };
        }
        self.child.order(&mut self.out, self.now, ChildOrder::Lead);
    }

    /// What forbids to lead again with so many consents.
    fn forbids(&self, ground: Ground, consents: usize) -> Option<&'static str> {
        match ground {
            Ground::NobodyElse => {
                (!self.nobody_else_can_be_named()).then_some("somebody else could be named after all")
            }
            Ground::InTime => forbids_in_place(&self.evidence, &self.rules, true, self.now).or_else(|| {
                let started = self.crash.as_ref().is_some_and(|crash| crash.origin == Origin::Started);
                let known = self.evidence.known_servers(&self.rules, self.now);
                (started && consents < known / 2).then_some("no majority of the known servers consents")
            }),
        }
    }

    /// Our data are the newest that this cluster acknowledged: all that we appended, loaded whole.
    fn trustworthy(&self, origin: Origin) -> bool {
        let same_cluster = origin == Origin::Crashed || self.recovered.is_some();
        same_cluster && self.child.seen().is_some_and(|seen| seen.aof && seen.has_data)
    }

    /// A majority of Sentinels names us, and there is nobody whom they could name in our place: no failover runs, and
    /// every replica that one of them lists is down. Who answers is asked for its consent besides.
    fn nobody_else_can_be_named(&self) -> bool {
        let nobody = |seen: &SentinelSeen| {
            let row = seen.master.as_ref().filter(|row| row.address == self.rules.me);
            let down = |rows: &Rows| rows.replicas.iter().all(|row| row.s_down && !row.promoted);
            row.is_some_and(|row| !row.failover) && seen.rows.as_ref().is_some_and(down)
        };
        self.evidence.majority_names(self.rules.me, self.rules.quorum, self.now)
            && self.evidence.answering(self.now).all(|(_, seen)| nobody(seen))
            && !self.another_says_master()
    }

    /// That has been so for W: nobody can have been named without them meanwhile (M27).
    fn nobody_else_for_w(&mut self) -> bool {
        let (now, w) = (self.now, self.rules.w());
        let Some(origin) = self.crash.as_ref().map(|crash| crash.origin) else { return false };
        let alone = self.trustworthy(origin) && self.nobody_else_can_be_named();
        let Some(crash) = &mut self.crash else { return false };
        if !alone {
            crash.alone_since = None;
            return false;
        }
        now.since(*crash.alone_since.get_or_insert(now)) >= w && !self.gave_way()
    }

    /// Our child leads again, in place.
    pub(super) fn led_in_place(&mut self) -> bool {
        let Some(Crash { stage: Stage::Leading { attempt, ground }, .. }) = &self.crash else { return false };
        let attempt = attempt.clone();
        let reason = match ground {
            Ground::InTime => "restarted in place: named, heard in time, nobody promoted",
            Ground::NobodyElse => "named, and everybody else has been down for too long to be named",
        };
        self.start_leading(Basis::InPlace, attempt, reason.into());
        true
    }
}

/// An exit for people.
pub fn describe(exit: ChildExit) -> String {
    match exit {
        ChildExit::Code(code) => format!("exit status {code}"),
        ChildExit::Signal(9) => "killed by signal 9 (out of memory, or a person)".to_owned(),
        ChildExit::Signal(signal) => format!("killed by signal {signal}"),
    }
}
