//! One turn: take in what happened, look at the whole picture, act. Level-triggered: an event only changes evidence;
//! what is done follows from the state, so that lost, doubled and late events change nothing (M12).

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, ChildOrder, Level, Look, Progress};
use super::child::{Door, Fence, Process};
use super::consent::Situation;
use super::course::{Basis, Course};
use super::event::{Done, Event, Maintenance, OrderFailure, Signal, Wish};
use super::handover::Why;
use super::id::{Address, AttemptId, OrderId, ReplyId};
use super::message::{PeerAnswer, PeerMessage, Rank};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::{ElectorRule, Mode};
use super::verdict::{Own, Verdict, verdict};

/// What is repeated until it works is not repeated faster than this (an occupied port, a BUSY script, LOADING).
const AFTER_REFUSAL: Duration = Duration::from_millis(250);

impl Supervisor {
    /// Takes in what happened. Never blocks, never fails.
    pub fn handle(&mut self, event: Event, now: Moment) {
        self.now = self.now.max(now);
        self.out.clear_wake();
        self.judge();
        self.take_in(event);
        if !self.exiting {
            self.turn();
        }
    }

    fn take_in(&mut self, event: Event) {
        let (now, me) = (self.now, self.rules.me);
        match event {
            Event::Tick => {}
            Event::Names(names) => {
                self.lookout.answered(Look::Names);
                self.evidence.note_names(&names, &self.rules, now);
            }
            Event::Sentinel { at, asked, seen } => {
                self.lookout.answered(Look::Sentinel { at, depth: super::action::Depth::Full });
                self.evidence.note_sentinel(at, asked, seen, me, now);
            }
            Event::Server { at, asked, seen } => {
                self.lookout.answered(Look::Server { at });
                let own = self.child.last_seen().map(|seen| seen.run_id.clone());
                self.evidence.note_server(at, asked, seen, own.as_ref(), now);
            }
            Event::Supervisor { at, asked, seen } => {
                self.lookout.answered(Look::Supervisor { at });
                self.evidence.note_supervisor(at, asked, seen);
            }
            Event::Elector { asked, seen } => {
                self.lookout.answered(Look::Elector);
                // Somebody must look at the one that is named before it can count (M26); not where a master is known (A6).
                let wanted = self.rules.mode == Mode::Server && self.master_now().is_none();
                let named = seen.as_ref().ok().filter(|_| wanted).map(|seen| seen.leader.clone());
                for ip in named.into_iter().flatten().take(4) {
                    self.evidence.add_server(Address::new(ip, self.rules.me.port()), now);
                }
                self.evidence.note_elector(asked, seen);
            }
            Event::Child { asked, seen } => {
                self.lookout.answered(Look::Child { depth: super::action::Depth::Full });
                self.child.note(asked, now, seen);
                if let Some(seen) = self.child.seen() {
                    self.was_trustworthy = seen.aof && seen.has_data;
                }
            }
            Event::ChildDone { id, done } => self.child_done(id, done),
            Event::ChildExited(exit) => self.child_exited(exit),
            Event::SentinelDone { id, at, done } => {
                if self.out.purpose(id) == Some(Purpose::Failover) {
                    self.failover_answered(at, done);
                }
            }
            Event::Answer { id, from, answer } => self.answered(id, from, answer),
            Event::Request { reply, from, message } => self.asked(reply, from, message),
            Event::Operator { reply, wish } => self.wished(reply, wish),
            Event::Signal(signal) => self.signalled(signal),
            Event::Wake { at } => self.look_closely(at),
        }
    }

    fn answered(&mut self, id: super::id::RequestId, from: Address, answer: Result<PeerAnswer, super::seen::Failure>) {
        if answer.is_ok() {
            self.evidence.note_answer(from, self.now);
        }
        match self.out.purpose(id) {
            Some(Purpose::Release(attempt, asked)) => self.release_answered(&attempt, asked, from, answer),
            Some(Purpose::Consent(attempt)) => {
                self.consent_answered(&attempt, from, answer.clone());
                self.in_place_consent_answered(&attempt, from, answer);
            }
            Some(Purpose::AskLed(attempt)) => self.fate_answered(&attempt, answer),
            Some(Purpose::Led(attempt)) => self.led_answered(&attempt, from, answer),
            Some(Purpose::Lead(attempt)) => self.lead_answered(&attempt, answer),
            Some(Purpose::Failover | Purpose::Favour) | None => {}
        }
    }

    fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::Stop => self.stop_asked(),
            Signal::Quit => self.quit_asked(),
            Signal::Reload => {
                self.decide(Level::Info, "reload", None, "told to reload: rediscovering".into());
                self.lookout.want(Look::Names);
                self.look_everywhere();
            }
            Signal::Report => self.out.push(Action::LogStatus),
        }
    }

    fn wished(&mut self, reply: ReplyId, wish: Wish) {
        let answer = match wish {
            Wish::Maintenance(wanted) => {
                self.maintenance = wanted;
                let word = if wanted == Maintenance::On { "on" } else { "off" };
                self.decide(Level::Info, "maintenance", None, format!("maintenance {word}"));
                Some(Progress::Done(format!("maintenance {word}")))
            }
            Wish::Handover { .. } if self.maintenance == Maintenance::On => {
                Some(Progress::Failed("in maintenance: end it first (redinit maintenance off)".into()))
            }
            Wish::Handover { .. } if self.handover.is_some() || self.release.is_some() => {
                Some(Progress::Failed("a handover is under way".into()))
            }
            Wish::Handover { .. } if self.course.leading().is_some_and(|leading| leading.basis == Basis::Alone) => {
                Some(Progress::Failed("a standalone server has nobody to hand over to".into()))
            }
            Wish::Handover { .. } if self.course.leading().is_none() => {
                Some(Progress::Failed("this server does not lead".into()))
            }
            Wish::Handover { to: Some(to) } if !self.evidence.servers.contains_key(&to) => {
                Some(Progress::Failed(format!("{to} is no known server")))
            }
            Wish::Handover { to } => {
                self.begin_handover(Why::Operator(reply), to);
                None
            }
        };
        if let Some(line) = answer {
            self.out.push(Action::Inform { to: reply, line });
        }
    }

    /// Another supervisor asks.
    fn asked(&mut self, reply: ReplyId, from: Option<Address>, message: PeerMessage) {
        if self.rules.mode == Mode::Sentinel {
            return self.out.refuse(reply, "this is a Sentinel's supervisor");
        }
        match message {
            PeerMessage::Release { attempt, candidate, sentinel, .. } => match self.direct_release_answer() {
                Some(answer) => self.out.reply(reply, answer),
                None => self.release_asked(reply, super::release::Asked { attempt, candidate, sentinel }),
            },
            PeerMessage::Consent { attempt, candidate, replaces, rank } => {
                self.consent_asked(reply, attempt, candidate, replaces, &rank)
            }
            PeerMessage::Led { attempt, leader, epoch } => self.led_heard(reply, leader, attempt, epoch),
            PeerMessage::AskLed { attempt } => {
                let led = self.course.leading().is_some_and(|leading| leading.attempt == attempt);
                let answer = match self.outcome_of(&attempt) {
                    super::candidacy::Outcome::Led => PeerAnswer::Led,
                    _ if led => PeerAnswer::Led,
                    super::candidacy::Outcome::Open => PeerAnswer::Open,
                    super::candidacy::Outcome::Never => PeerAnswer::Never,
                };
                self.out.reply(reply, answer);
            }
            // Whoever leads wants Sentinel to read of it: a late favour would hide that for 3 s (M4).
            PeerMessage::Quicken { .. } if self.leads_now() => self.out.refuse(reply, "this server leads"),
            PeerMessage::Quicken { lasting } => {
                self.quicken(lasting);
                self.out.reply(reply, PeerAnswer::Ok);
            }
            PeerMessage::Priority { priority, leader, lasting } => {
                let until = self.now + lasting.min(super::favour::LONGEST_PRIORITY);
                self.priority_favour = Some(super::favour::PriorityFavour { priority, leader, until });
                self.out.reply(reply, PeerAnswer::Ok);
            }
            PeerMessage::Report(report) => self.report_heard(reply, from, *report),
            PeerMessage::Lead { coordinator, attempt } => self.lead_asked(reply, coordinator, attempt),
            PeerMessage::Follow { attempt, leader } => self.follow_asked(reply, attempt, leader),
        }
    }

    fn consent_asked(
        &mut self,
        reply: ReplyId,
        attempt: AttemptId,
        candidate: Address,
        replaces: Option<Address>,
        rank: &Rank,
    ) {
        let me = self.rules.me;
        let follows_another =
            self.course.master().filter(|at| Some(*at) != replaces && *at != candidate && self.master_lives(*at));
        let situation = Situation {
            leads: self.leads_now() && replaces != Some(me)
                || self.child.under_way(|order| matches!(order, ChildOrder::Lead)),
            follows_another,
            replaces: replaces.filter(|at| *at != me),
            master_gone: replaces.is_none_or(|at| !self.master_lives(at)),
            candidate: self.candidacy.is_some(),
            able: !self.never_leads(),
            rank: self.own_rank(),
            named: self.named(),
        };
        let answer = self.consent.answer(me, candidate, &attempt, rank, &situation, self.now);
        if answer == PeerAnswer::Consented {
            if self.candidacy.is_some() {
                self.end_attempt(format!("{candidate} has the better rank"));
            }
            self.consent_to(candidate, attempt);
        }
        self.out.reply(reply, answer);
    }

    /// An order to the child was carried out, or was not.
    fn child_done(&mut self, id: OrderId, done: Result<Done, OrderFailure>) {
        let Some((order, _)) = self.child.done(id) else { return };
        if matches!(order, ChildOrder::Follow { .. } | ChildOrder::Lead | ChildOrder::LeadAlone) {
            self.child.role_since = self.now;
        }
        match (order, done) {
            (ChildOrder::Spawn(_), Ok(Done::Spawned { pid })) => {
                self.child.process = Process::Running { pid, since: self.now };
                self.decide(Level::Info, "child-start", None, format!("child started, pid {pid}"));
            }
            (ChildOrder::Spawn(_), done) => {
                let why = match done {
                    Err(OrderFailure::NoChild(why) | OrderFailure::Refused(why)) => why,
                    other => format!("{other:?}"),
                };
                self.child.process = Process::None { since: self.now };
                self.decide(Level::Error, "child-start", None, format!("the child cannot be started: {why}"));
                self.exit_once(super::action::Exit::CannotStart);
            }
            _ if !self.child.running() => {}
            (ChildOrder::Lead, Ok(_)) => {
                self.child.fence = Some(Fence::Up);
                self.led();
            }
            (ChildOrder::LeadAlone, Ok(_)) => {
                self.child.fence = Some(Fence::Down);
                let attempt = self.new_attempt();
                self.start_leading(Basis::Alone, attempt, "nothing else is configured: a standalone server".into());
            }
            (ChildOrder::Lead, Err(failure)) => self.lead_order_failed(&failure),
            (ChildOrder::Release { .. }, Ok(Done::At { history, offset })) => {
                self.child.fence = Some(Fence::Up);
                if !self.direct_released(history.clone(), offset) {
                    self.released(history, offset);
                }
            }
            (ChildOrder::Release { .. }, failed) => {
                let why = format!("writers could not be paused: {failed:?}");
                if !self.direct_failed(&why) {
                    self.release_failed(&why);
                }
            }
            (order, Ok(_)) => self.child_obeyed(&order),
            (order, Err(failure)) => self.child_disobeyed(&order, &failure),
        }
        self.lookout.want(Look::Child { depth: super::action::Depth::Glance });
    }

    fn child_obeyed(&mut self, order: &ChildOrder) {
        match order {
            ChildOrder::OpenDoor => {
                self.child.door = Door::Open;
                self.decide(Level::Info, "door", None, "the door is open".into());
            }
            ChildOrder::ShutDoor => self.child.door = Door::Shut,
            ChildOrder::Fence => self.child.fence = Some(Fence::Up),
            ChildOrder::Unfence | ChildOrder::TakeBack => self.child.fence = Some(Fence::Down),
            ChildOrder::Priority(priority) => self.child.priority = Some(*priority),
            ChildOrder::Quicken => self.child.quick_since = self.child.quick_until.map(|_| self.now),
            _ => {}
        }
    }

    fn child_disobeyed(&mut self, order: &ChildOrder, failure: &OrderFailure) {
        if let (ChildOrder::Follow { .. }, Course::Following(following)) = (order, &mut self.course) {
            following.told = false;
        }
        if *failure == OrderFailure::Unknown || matches!(order, ChildOrder::Unquicken) {
            self.child.forget_effect(order);
        }
        self.child.rest_until(self.now + AFTER_REFUSAL);
        if *failure != OrderFailure::OtherRole {
            let word = match failure {
                OrderFailure::Refused(why) | OrderFailure::NoChild(why) => why.clone(),
                other => format!("{other:?}"),
            };
            self.decide(Level::Warn, "order", None, format!("the child did not obey {}: {word}", name_of(order)));
        }
    }

    /// What the evidence says now.
    fn judge(&mut self) {
        let own = if self.course.leading().is_some() { Own::Master } else { Own::Other };
        self.verdict = verdict(&self.evidence, &self.rules, own, self.now);
        match self.verdict {
            Verdict::Named { .. } => {
                self.named_gone_since.get_or_insert(self.now);
            }
            _ => {
                self.named_gone_since = None;
                self.no_good_replica_since = None;
            }
        }
    }

    fn turn(&mut self) {
        self.judge();
        self.restart_turn();
        match self.rules.mode {
            Mode::Server => self.server_turn(),
            Mode::Sentinel => self.sentinel_turn(),
        }
        self.stop_turn();
        self.child_frozen_turn();
        self.forget_turn();
        self.recording_turn();
        self.lookout_turn();
        let explanation = self.explanation();
        self.journal.explain(self.now, explanation);
    }

    /// Once a second: who has not been heard of leaves the lists.
    fn forget_turn(&mut self) {
        if self.forgot_at.is_some_and(|at| self.now.since(at) < Duration::from_secs(1)) {
            return;
        }
        self.forgot_at = Some(self.now);
        let confirmed = match self.verdict {
            Verdict::Confirmed { master, .. } => Some(master),
            _ => None,
        };
        self.evidence.forget(self.rules.quorum, confirmed, self.now);
    }

    fn server_turn(&mut self) {
        if self.alone_turn() {
            return self.right_turn();
        }
        self.reconcile_turn();
        self.crash_turn();
        self.candidacy_turn();
        self.release_turn();
        self.handover_turn();
        self.lead_turn();
        self.follow_turn();
        self.asker_turn();
        self.vote_turn();
        self.right_turn();
        self.favours_turn();
        self.door_turn();
    }

    /// With nothing configured at all this is a standalone server: it leads at once, unfenced.
    fn alone_turn(&mut self) -> bool {
        let rules = &self.rules;
        let elector_may_answer = match rules.elector {
            ElectorRule::None => false,
            ElectorRule::Explicit => true,
            ElectorRule::Default => {
                let wait = if rules.in_kubernetes { Duration::from_secs(5) } else { Duration::ZERO };
                self.evidence.elector.seen.remembered().is_some()
                    || self.evidence.elector.seen.failing().is_none()
                    || self.now.since(self.started) < wait
            }
        };
        let configured = rules.sentinels_configured || rules.servers_configured || elector_may_answer;
        if configured || !self.evidence.servers.is_empty() || rules.expected_servers.is_some_and(|count| count > 1) {
            return false;
        }
        let idle = matches!(self.course, Course::Undecided) && !self.child.role_in_motion();
        if idle && self.child.running() && self.child.loaded && self.stop.is_none() {
            self.child.order_once(&mut self.out, self.now, ChildOrder::LeadAlone, |order| {
                matches!(order, ChildOrder::LeadAlone)
            });
        }
        self.door_turn();
        true
    }

    /// A leader's door is open; an undecided server's is shut.
    fn door_turn(&mut self) {
        if !self.child.running() || self.child.role_in_motion() || self.stop.is_some() {
            return;
        }
        let (wanted, order) = match self.course {
            Course::Leading(_) => (Door::Open, ChildOrder::OpenDoor),
            Course::Undecided if self.child.loaded => (Door::Shut, ChildOrder::ShutDoor),
            _ => return,
        };
        if self.child.door != wanted {
            self.child.order_once(&mut self.out, self.now, order, |order| {
                matches!(order, ChildOrder::OpenDoor | ChildOrder::ShutDoor)
            });
        }
    }

    pub(super) fn standing_consent(&self) -> Option<&super::consent::Given> {
        self.consent.standing(self.named(), self.now)
    }

    /// Promises, and keeps the promise on disk before anybody hears of it.
    pub(super) fn consent_to(&mut self, candidate: Address, attempt: AttemptId) {
        let epoch = self.evidence.highest_epoch(self.now);
        let already = self.consent.last().is_some_and(|given| given.attempt == attempt);
        self.consent.give(super::consent::Given { candidate, attempt, at: self.now, epoch });
        if !already && candidate != self.rules.me {
            self.promise();
        }
    }

    /// Since when the present master has been missing: for the record only.
    pub(super) fn vote_not_leading(&self) -> bool {
        !self.child.under_way(|order| matches!(order, ChildOrder::Lead | ChildOrder::LeadAlone))
    }
}

fn name_of(order: &ChildOrder) -> &'static str {
    match order {
        ChildOrder::Follow { .. } => "REPLICAOF",
        ChildOrder::OpenDoor | ChildOrder::ShutDoor => "CONFIG SET port",
        ChildOrder::Fence | ChildOrder::Unfence | ChildOrder::TakeBack => "CONFIG SET min-replicas-to-write",
        ChildOrder::DropDrain => "CONFIG SET shutdown-timeout",
        ChildOrder::Quicken | ChildOrder::Unquicken => "ACL SETUSER",
        ChildOrder::Priority(_) => "CONFIG SET replica-priority",
        ChildOrder::CutLink | ChildOrder::Dismiss => "CLIENT KILL",
        ChildOrder::Keep => "BGSAVE",
        ChildOrder::Terminate | ChildOrder::Kill | ChildOrder::KillRest => "a signal",
        ChildOrder::KillScript => "SCRIPT KILL",
        ChildOrder::ShutdownNow => "SHUTDOWN",
        ChildOrder::Spawn(_) | ChildOrder::Lead | ChildOrder::LeadAlone | ChildOrder::Release { .. } => "an order",
    }
}
