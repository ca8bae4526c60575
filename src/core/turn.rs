//! One turn: take in what happened, look at the whole picture, act. Level-triggered: an event only changes evidence;
//! what is done follows from the state, so that lost, doubled and late events change nothing (M12).

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, ChildOrder, Level, Look, Progress};
use super::child::Door;
use super::course::{Basis, Course};
use super::event::{Event, Maintenance, Signal, Wish};
use super::handover::Why;
use super::id::{Address, ReplyId};
use super::moment::Moment;
use super::outbox::Purpose;
use super::rules::{ElectorRule, Mode};
use super::verdict::{Own, Verdict, verdict};

/// The loop turns every half second at least: after a longer gap it was us who stood still (P44).
const STOOD_STILL: Duration = Duration::from_millis(700);

impl Supervisor {
    /// Takes in what happened. Never blocks, never fails.
    pub fn handle(&mut self, event: Event, now: Moment) {
        let gap = now.since(self.now);
        if gap > STOOD_STILL {
            (self.woke_at, self.stood_still) = (now, gap);
        }
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
                if self.evidence.is_unasked(at) {
                    self.look_soon(Look::Supervisor { at });
                }
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
                    self.evidence.hear_of(Address::new(ip, self.rules.me.port()), now);
                }
                self.evidence.note_elector(asked, seen);
            }
            Event::Child { asked, seen } => {
                self.lookout.answered(Look::Child { depth: super::action::Depth::Full });
                self.child.note(asked, now, seen);
                self.child_looked_at();
            }
            Event::ChildDone { id, done } => self.child_done(id, done),
            Event::ChildExited(exit) => self.child_exited(exit),
            Event::SentinelDone { id, at, done } => match self.out.purpose(id) {
                Some(Purpose::Failover) => self.failover_answered(at, done),
                Some(Purpose::InfoPeriod) if done.is_err() => self.info_period_lost(),
                _ => {}
            },
            Event::Answer { id, from, answer } => self.answered(id, from, answer),
            Event::Request { reply, from, cluster, message } => {
                if !self.is_foreign_message(reply, from, cluster.as_ref(), &message) {
                    self.asked(reply, from, message);
                }
            }
            Event::Operator { reply, wish } => self.wished(reply, wish),
            Event::Labelled { id, done } => self.labelled(id, done),
            Event::Signal(signal) => self.signalled(signal),
            Event::Wake { at } => self.woken(at),
        }
    }

    fn child_looked_at(&mut self) {
        if let Some(seen) = self.child.seen() {
            let (shown, has_data) = (seen.history.clone(), seen.has_data);
            self.was_appending = seen.aof;
            // After a load the engine has an id of its own: the state file knows whose data these are.
            let own = super::rank::history(&self.own_rank());
            let own = if own.id.0.is_empty() { shown } else { own };
            self.evidence.note_own(&own, has_data);
        }
        self.note_calm();
    }

    /// Something has happened at a Sentinel; or a connection to a server has ended: it may be gone, which every second
    /// counts of (refused at both ports, and lost by the Sentinels).
    fn woken(&mut self, at: Address) {
        if !self.evidence.servers.contains_key(&at) {
            return self.look_closely(at);
        }
        self.look_at_server(at);
        self.lookout.want(Look::Supervisor { at });
        self.lookout.want(Look::Child { depth: super::action::Depth::Glance });
        let sentinels: Vec<Address> = self.evidence.sentinels.keys().copied().collect();
        for sentinel in sentinels {
            self.look_closely(sentinel);
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
            Wish::Adopt { at, how } => Some(self.adopt(at, how)),
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
        self.identity_turn();
        self.judge();
        self.restart_turn();
        match self.rules.mode {
            Mode::Server => self.server_turn(),
            Mode::Sentinel => self.sentinel_turn(),
        }
        self.stop_turn();
        self.child_frozen_turn();
        self.ailment_turn();
        self.forget_turn();
        self.tell_conflict();
        self.label_turn();
        self.recording_turn();
        self.lookout_turn();
        let explanation = self.explanation();
        self.journal.explain(self.now, explanation);
    }

    fn server_turn(&mut self) {
        if self.alone_turn() {
            return self.right_turn();
        }
        self.waiting_turn();
        self.forget_told();
        self.belong_turn();
        self.admit_turn();
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

    /// A standalone server takes part in nothing, whoever speaks to it.
    pub(super) fn stands_alone(&self) -> bool {
        self.knows_of_nobody() || self.course.leading().is_some_and(|leading| leading.basis == Basis::Alone)
    }

    /// Nothing is configured at all, and nobody is known.
    fn knows_of_nobody(&self) -> bool {
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
        !configured && !self.knows_others()
    }

    /// With nothing configured at all this is a standalone server: it leads at once, unfenced.
    fn alone_turn(&mut self) -> bool {
        if !self.knows_of_nobody() {
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

    /// Since when the present master has been missing: for the record only.
    pub(super) fn vote_not_leading(&self) -> bool {
        !self.child.under_way(|order| matches!(order, ChildOrder::Lead | ChildOrder::LeadAlone))
    }
}
