//! The planned handover: a proposal that the master asks for itself (H0 to H2; H3 to H5 are `release`).

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, Level, Progress};
use super::asker::{AskWhom, candidates};
use super::direct::Direct;
use super::evidence::ServerEntry;
use super::favour::LONGEST_PRIORITY;
use super::id::{Address, ReplyId};
use super::message::PeerMessage;
use super::moment::Moment;
use super::outbox::Purpose;
use super::seen::{RoleSeen, Rows};
use super::status::HandoverShown;

/// A proposal that stands this long without a request for release is passed over for the next Sentinel.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// Without any Sentinel there is nobody to wait for (C4).
const SENTINELS_ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A Sentinel has read by then that an engine which not everybody can load from goes last; a preference, so not for longer.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A look is answered within 300 ms; one may be under way already.
const LOOKING: Duration = Duration::from_secs(1);

/// A handover under way.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Who wants it.
    pub why: Why,
    /// To whom, where that was said.
    pub to: Option<Address>,
    /// When it began.
    began: Moment,
    /// When it must be done.
    pub deadline: Moment,
    /// When the others were asked for priority 0 (H1).
    steered: Option<Moment>,
    /// Since when a proposal stands.
    proposed: Option<Moment>,
    /// The direct way, where a replica has no supervisor.
    pub direct: Option<Direct>,
    /// What is shown.
    pub shown: HandoverShown,
    waiting: Option<String>,
}

/// Who wants a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// We are told to stop.
    Stop,
    /// A person asks.
    Operator(ReplyId),
}

/// To whom we could hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Prospects {
    /// Behind the gate: by a proposal.
    Gated,
    /// Some replica that a Sentinel could choose has no supervisor.
    Direct,
    /// Not everybody has answered since it began.
    Looking,
    /// Not now; worth waiting for.
    Wait(String),
    /// Not at all.
    Nobody(String),
}

impl Supervisor {
    /// Begins a handover.
    pub(super) fn begin_handover(&mut self, why: Why, to: Option<Address>) {
        let deadline = self.now + self.rules.budget().handover;
        let shown = HandoverShown { step: "H0", to, since: self.now };
        self.asker.rest();
        self.handover = Some(Handover {
            why,
            to,
            began: self.now,
            deadline,
            steered: None,
            proposed: None,
            direct: None,
            shown,
            waiting: None,
        });
        let who = match why {
            Why::Stop => "we are told to stop",
            Why::Operator(_) => "asked for",
        };
        self.decide(Level::Info, "handover", to, format!("handover begins: {who}"));
        if let Some((to, line)) = to.and_then(|to| Some((to, self.too_new_words(to)?))) {
            self.decide(Level::Warn, "handover", Some(to), line.clone());
            self.inform_step(line);
        }
        self.inform_step("H0 looking for a replica that can take over".into());
        self.look_everywhere();
    }

    /// A handover is wanted: a master that has led for less than 10 s says yes all the same.
    pub(super) fn handover_asked(&self) -> bool {
        self.handover.is_some()
    }

    /// One turn of the handover.
    pub(super) fn handover_turn(&mut self) {
        let Some(handover) = &self.handover else { return };
        let deadline = handover.deadline;
        self.out.wake_at(self.now + Duration::from_millis(50));
        if self.release.is_some() && handover.direct.is_none() {
            return;
        }
        if self.course.leading().is_none() {
            return self.handover_failed("we do not lead");
        }
        if handover.direct.is_some() {
            return self.direct_turn();
        }
        if self.now >= deadline {
            return self.handover_failed("no time left for it");
        }
        match self.prospects() {
            Prospects::Gated => self.propose(),
            Prospects::Direct => self.begin_direct(),
            Prospects::Looking => {}
            Prospects::Wait(why) => self.handover_waits(why),
            Prospects::Nobody(why) => self.handover_failed(&why),
        }
    }

    /// H0.
    fn prospects(&self) -> Prospects {
        let me = self.rules.me;
        if self.evidence.sentinels.is_empty() {
            return Prospects::Nobody("there are no Sentinels".into());
        }
        let began = self.handover.as_ref().map_or(self.now, |handover| handover.began);
        if self.evidence.answering(self.now).next().is_none() && self.now.since(began) > SENTINELS_ANSWER_WITHIN {
            return Prospects::Nobody("no Sentinel answers".into());
        }
        let Some(seen) = self.child.last_seen() else { return Prospects::Nobody("our child does not answer".into()) };
        let RoleSeen::Master { replicas } = &seen.role else {
            return Prospects::Nobody("our child is no master".into());
        };
        if replicas.is_empty() && self.evidence.servers.values().all(|entry| !entry.supervisor_answers(self.now)) {
            // Who refused a moment ago may be back, and have less than we acknowledged since (810).
            let asked = |entry: &ServerEntry| entry.supervisor.asked_since(began);
            let everybody = self.evidence.servers.values().all(asked) || self.now.since(began) > LOOKING;
            return if everybody { Prospects::Nobody("there is no replica".into()) } else { Prospects::Looking };
        }
        let online =
            |at: Address| replicas.iter().any(|r| r.address == at && r.online && r.lag <= Duration::from_secs(1));
        let (mut able, mut waiting, mut never_yet) = (0, 0, 0);
        for (at, entry) in &self.evidence.servers {
            let never = entry.supervisor.view(self.now).is_some_and(|seen| seen.never);
            if self.could_be_chosen_ungated(*at) && online(*at) && !entry.supervisor_answers(self.now) {
                return if self.evidence.majority_names(me, self.rules.quorum, self.now) {
                    Prospects::Direct
                } else {
                    Prospects::Wait("no majority of Sentinels names us".into())
                };
            }
            if entry.supervisor_answers(self.now) {
                match (online(*at), never) {
                    (true, false) => able += 1,
                    // It never will.
                    (false, _) if self.cannot_load_from_us(entry) => {}
                    // It syncs still, or its first acknowledgement has not come.
                    (false, _) => waiting += 1,
                    (true, true) => never_yet += 1,
                }
            }
        }
        if able == 0 {
            return match waiting {
                // It may have caught up a moment ago, and its supervisor has not said so yet.
                0 if never_yet > 0 && self.now.since(began) <= LOOKING => Prospects::Looking,
                0 => Prospects::Nobody("no replica may take over".into()),
                _ => Prospects::Wait("a replica still syncs: data would be in danger".into()),
            };
        }
        if !self.evidence.majority_names(me, self.rules.quorum, self.now) {
            return Prospects::Wait("no majority of Sentinels names us".into());
        }
        Prospects::Gated
    }

    /// It has no supervisor, and some Sentinel could choose it.
    fn could_be_chosen_ungated(&self, at: Address) -> bool {
        let ungated = self.evidence.servers.get(&at).is_some_and(|entry| entry.supervised == Some(false));
        let mut rows = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.replica(at));
        ungated && rows.any(|row| row.priority > 0)
    }

    fn handover_waits(&mut self, why: String) {
        let Some(handover) = &mut self.handover else { return };
        if handover.waiting.as_ref() != Some(&why) {
            handover.waiting = Some(why.clone());
            self.decide(Level::Warn, "handover", None, format!("waiting: {why}"));
            self.inform_step(format!("H0 waiting: {why}"));
        }
    }

    /// H1 and H2.
    fn propose(&mut self) {
        let me = self.rules.me;
        if let Some(chosen) = self.usable_proposal() {
            let Some(handover) = &mut self.handover else { return };
            let since = *handover.proposed.get_or_insert(self.now);
            if handover.shown.step != "H2" {
                self.handover_step("H2", Some(chosen));
            }
            if self.now.since(since) < RELEASE_WITHIN {
                return;
            }
        } else if let Some(handover) = &mut self.handover {
            handover.proposed = None;
        }
        let Some(fit) = self.steered() else { return };
        if let Some(at) = self.ask_failover_of(me, fit, "planned handover") {
            self.handover_step("H2", None);
            self.inform_step(format!("H2 asked Sentinel {at} for a proposal"));
            if let Some(handover) = &mut self.handover {
                handover.proposed = None;
            }
        }
    }

    /// H1: the Sentinels that may be asked. With a target, those that show all others at priority 0.
    fn steered(&mut self) -> Option<Vec<Address>> {
        let handover = self.handover.as_ref()?;
        let me = self.rules.me;
        let Some(to) = handover.to else {
            let young = self.now.since(handover.began) < READ_WITHIN;
            let mut fit = candidates(&self.evidence, me, AskWhom::Planned, self.now);
            fit.retain(|at| !young || self.rows_of(*at).is_some_and(|rows| self.would_choose_for_all(&rows.replicas)));
            return (!fit.is_empty()).then_some(fit);
        };
        let asked = handover.steered;
        if asked.is_none_or(|at| self.now.since(at) > LONGEST_PRIORITY / 2) {
            let message = PeerMessage::Priority { priority: Some(0), leader: to, lasting: LONGEST_PRIORITY };
            let others: Vec<Address> = self.evidence.servers.keys().copied().filter(|at| *at != to).collect();
            for at in others {
                self.out.ask(at, message.clone(), Duration::from_millis(500), Purpose::Favour);
            }
            if let Some(handover) = &mut self.handover {
                handover.steered = Some(self.now);
            }
            self.handover_step("H1", Some(to));
            self.inform_step(format!("H1 the others step back in favour of {to}"));
        }
        let mut fit = candidates(&self.evidence, me, AskWhom::Planned, self.now);
        fit.retain(|at| {
            self.rows_of(*at).is_some_and(|rows| {
                rows.replicas.iter().all(|row| (row.address == to) == (row.priority > 0) || row.s_down)
                    && rows.replicas.iter().any(|row| row.address == to)
            })
        });
        (!fit.is_empty()).then_some(fit)
    }

    fn rows_of(&self, sentinel: Address) -> Option<&Rows> {
        self.evidence.sentinels.get(&sentinel)?.seen.view(self.now)?.rows.as_ref()
    }

    /// Shows the step.
    pub(super) fn handover_step(&mut self, step: &'static str, to: Option<Address>) {
        let now = self.now;
        if let Some(handover) = &mut self.handover {
            handover.shown = HandoverShown { step, to: to.or(handover.shown.to), since: now };
            if step == "H3" || step == "H5" {
                let line = match (step, to) {
                    ("H3", Some(to)) => format!("H3 writers are paused; {to} catches up"),
                    (_, Some(to)) => format!("H5 {to} leads; following it"),
                    _ => step.to_owned(),
                };
                self.inform_step(line);
            }
        }
    }

    pub(super) fn inform_step(&mut self, line: String) {
        if let Some(Handover { why: Why::Operator(reply), .. }) = &self.handover {
            self.out.push(Action::Inform { to: *reply, line: Progress::Step(line) });
        }
    }

    /// It is done: `to` leads.
    pub(super) fn handover_done(&mut self, to: Address) {
        self.asker.rest();
        let Some(handover) = self.handover.take() else { return };
        if let Why::Operator(reply) = handover.why {
            self.out.push(Action::Inform { to: reply, line: Progress::Done(format!("{to} leads")) });
        }
    }

    /// It cannot be done.
    pub(super) fn handover_failed(&mut self, why: &str) {
        self.asker.rest();
        let Some(handover) = self.handover.take() else { return };
        self.decide(Level::Warn, "handover", None, format!("no handover: {why}"));
        if let Why::Operator(reply) = handover.why {
            self.out.push(Action::Inform { to: reply, line: Progress::Failed(why.to_owned()) });
        }
    }
}
