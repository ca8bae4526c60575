//! The child is gone while its supervisor lives; and a supervisor that starts and is named master (design section 4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::asker::AskWhom;
use super::child::Process;
use super::comparing::Comparing;
use super::course::{Basis, Course, Told};
use super::event::{ChildExit, Maintenance};
use super::id::{Address, AttemptId};
use super::in_place::Ground;
use super::message::PeerAnswer;
use super::moment::Moment;
use super::notice::NoticeKind;
use super::rules::Mode;
use super::stop::Rung;
use super::verdict::{NamedShows, Verdict};

/// The named master has no serving child.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Since when.
    pub since: Moment,
    /// Whether we led in this life (crash), or start as the named one.
    pub origin: Origin,
    /// What we do about it.
    pub stage: Stage,
    /// Since when everybody else has been down (M27).
    pub alone_since: Option<Moment>,
    /// When somebody who is back said no to that: asked anew a moment later.
    pub refused_at: Option<Moment>,
}

impl Crash {
    fn new(origin: Origin, stage: Stage, now: Moment) -> Self {
        Crash { since: now, origin, stage, alone_since: None, refused_at: None }
    }

    /// The attempt to lead again that is under way.
    pub(super) fn attempt(&self) -> Option<&AttemptId> {
        match &self.stage {
            Stage::Consents { attempt, .. } | Stage::Leading { attempt, .. } => Some(attempt),
            Stage::InPlace | Stage::Replaced { .. } => None,
        }
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

/// What is done about it.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The child is being restarted to lead again in place.
    InPlace,
    /// Loaded in time: the others are asked for consent.
    Consents { attempt: AttemptId, ground: Ground, answers: BTreeMap<Address, Option<PeerAnswer>>, asked: Moment },
    /// All agree: the order to lead is out.
    Leading { attempt: AttemptId, ground: Ground },
    /// Somebody else shall lead: `child gone, lead`. A Sentinel is asked once it is known whether the replicas hold the same.
    Replaced { comparing: Option<Comparing> },
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
        self.nobody_to_lead();
        if self.volume_refusal_ends() || self.hopeless_ends() {
            return;
        }
        if self.stop.is_some_and(|stop| stop.rung == Rung::Handover) && self.somebody_may_succeed() {
            self.leave_to_successor(exit);
        }
        if self.stop.is_some_and(|stop| stop.rung == Rung::Killed || self.crash.is_none()) {
            return self.child_stopped(exit);
        }
        if self.stop.is_some() {
            return;
        }
        // Who leads by now, told to since or before, may have acknowledged writes: that is a crash all the same (D2).
        if self.expected_exit.take().is_some() && self.course.leading().is_none() {
            return self.spawn_now();
        }
        self.decide(Level::Error, "child-exit", None, format!("the child ended unasked: {}", describe(exit)));
        self.examine_failed_start(exit, loaded);
        if self.rules.mode == Mode::Server {
            self.server_crashed();
        }
        self.schedule_restart(exit, ran);
    }

    /// The child is gone, and with it the order to lead that it may have had, of a vote, a proposal or a restart in place:
    /// whoever waited for that would wait for ever, and take the next child's lead for its own.
    pub(super) fn nobody_to_lead(&mut self) {
        self.vote.forget_lead();
        if self.candidacy.is_some() {
            self.end_attempt("our child is gone".into());
        }
        // The promise to ourselves would keep the others from leading for 5 s.
        self.consent.withdraw_own(self.rules.me);
        self.begin_anew();
    }

    /// What was agreed for a child that was to lead in place holds for no other.
    pub(super) fn begin_anew(&mut self) {
        let Some(crash) = &mut self.crash else { return };
        if !matches!(crash.stage, Stage::Consents { .. } | Stage::Leading { .. }) {
            return;
        }
        crash.stage = Stage::InPlace;
        if !self.was_appending {
            self.replace("its data cannot be trusted to be the newest");
        }
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
        self.crash = Some(Crash::new(Origin::Crashed, Stage::InPlace, self.now));
        self.replace("we are told to stop, and its data are complete");
        self.save_now(true);
    }

    fn server_crashed(&mut self) {
        let led = matches!(&self.course, Course::Leading(leading) if leading.basis != Basis::Alone);
        self.drop_release();
        if led && self.knows_others() {
            let reason = "the master's child is gone";
            self.notice(NoticeKind::Failover, reason);
            self.decide(Level::Warn, "crash", None, reason.into());
            self.crash = Some(Crash::new(Origin::Crashed, Stage::InPlace, self.now));
            // Whether it holds anything is seen when it has loaded: its last look may be older than its first write.
            if !self.was_appending {
                self.replace("its data cannot be trusted to be the newest");
            }
        }
        if !matches!(self.course, Course::Following(_)) {
            self.course = Course::Undecided;
        } else if let Course::Following(following) = &mut self.course {
            following.told = Told::No;
        }
    }

    /// What we answer to a release while we have nothing that serves.
    pub(super) fn crash_answer(&mut self) -> Option<PeerAnswer> {
        if self.child.under_way(|order| matches!(order, ChildOrder::Lead)) {
            return Some(PeerAnswer::No { reason: "about to lead".into() });
        }
        match self.crash.as_ref().map(|crash| &crash.stage) {
            Some(Stage::Replaced { .. }) => Some(PeerAnswer::ChildGone),
            // Nobody restarts it: "restarting" would keep everybody from leading until maintenance ends.
            Some(Stage::InPlace | Stage::Consents { .. }) if self.maintenance == Maintenance::On => {
                self.replace("in maintenance it is not restarted");
                Some(PeerAnswer::ChildGone)
            }
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

    pub(super) fn replace(&mut self, why: &str) {
        self.consent.withdraw_own(self.rules.me);
        if let Some(crash) = &mut self.crash {
            crash.stage = Stage::Replaced { comparing: Some(Comparing::Once { since: self.now }) };
        }
        self.decide(Level::Warn, "replace", None, format!("somebody else shall lead: {why}"));
        self.look_everywhere();
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
        let since = crash.since;
        match crash.stage.clone() {
            Stage::InPlace => self.try_in_place(),
            Stage::Consents { attempt, ground, answers, asked } => {
                self.weigh_consents(&attempt, ground, &answers, asked);
            }
            Stage::Leading { .. } => {}
            Stage::Replaced { comparing } => {
                if comparing.is_some_and(|step| self.still_comparing(step)) {
                    return;
                }
                let me = self.rules.me;
                if self.nobody_else_for_w() {
                    return self.seek_consents(Ground::NobodyElse);
                }
                if named_ourselves && self.usable_proposal().is_none() {
                    self.ask_failover(me, AskWhom::Unplanned { since }, "our child does not serve");
                }
                self.out.wake_at(self.now + Duration::from_millis(100));
            }
        }
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
