//! A supervisor process: the real core with its queue of actions, its clock, its state file.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use redinit::core::Supervisor;
use redinit::core::action::{Action, Exit, Progress};
use redinit::core::cluster::ClusterTag;
use redinit::core::event::{Event, Signal};
use redinit::core::message::PeerAnswer;
use redinit::core::moment::Moment;
use redinit::core::record::{Record, Recovered};
use redinit::core::status::Status;

use crate::rpc::Responder;
use crate::world::{HostId, MS, SEC, Which, World};

/// Whatever decides: the core, or a script in a test of the world itself.
pub trait Brain {
    fn handle(&mut self, event: Event, now: Moment);
    fn poll_action(&mut self) -> Option<Action>;
    fn poll_timeout(&self) -> Option<Moment>;
    fn status(&self) -> Option<Status>;
}

impl Brain for Supervisor {
    fn handle(&mut self, event: Event, now: Moment) {
        Supervisor::handle(self, event, now);
    }
    fn poll_action(&mut self) -> Option<Action> {
        Supervisor::poll_action(self)
    }
    fn poll_timeout(&self) -> Option<Moment> {
        Supervisor::poll_timeout(self)
    }
    fn status(&self) -> Option<Status> {
        Some(Supervisor::status(self))
    }
}

/// Makes the brain of a host.
pub type Maker = Rc<dyn Fn(&mut World, HostId) -> Box<dyn Brain>>;

/// Who waits for a reply of the core.
pub enum Waiting {
    Peer(Responder<PeerAnswer>),
    Person,
}

/// What kind of event, for messages.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Tick => "Tick",
        Event::Names(_) => "Names",
        Event::Sentinel { .. } => "Sentinel",
        Event::Server { .. } => "Server",
        Event::Supervisor { .. } => "Supervisor",
        Event::Elector { .. } => "Elector",
        Event::Child { .. } => "Child",
        Event::ChildDone { .. } => "ChildDone",
        Event::ChildExited(_) => "ChildExited",
        Event::SentinelDone { .. } => "SentinelDone",
        Event::Answer { .. } => "Answer",
        Event::Request { .. } => "Request",
        Event::Operator { .. } => "Operator",
        Event::Labelled { .. } => "Labelled",
        Event::Signal(_) => "Signal",
        Event::Wake { .. } => "Wake",
    }
}

/// Actions allowed within one virtual second.
const ACTIONS_A_SECOND: u32 = 2_000;

/// The supervisor of a host.
#[derive(Default)]
pub struct Sup {
    brain: Option<Box<dyn Brain>>,
    pub started: u64,
    outbox: VecDeque<Action>,
    busy_until: u64,
    draining: bool,
    tick_at: Option<u64>,
    pub saved: Option<(Record, u64)>,
    unsaved: Option<Record>,
    next_reply: u64,
    pub replies: BTreeMap<u64, Waiting>,
    pub watched: BTreeMap<HostId, u64>,
    pub order_free: u64,
    /// The cluster whose logins its driver looks for.
    pub cluster: Option<ClusterTag>,
    pub stop_asked: Option<u64>,
    pub exit: Option<Exit>,
    pub told: Vec<Progress>,
    second: (u64, u32),
    last_event: &'static str,
}

impl World {
    /// Starts the supervisor of a host with the core in it.
    pub fn start_supervisor(&mut self, h: HostId) {
        if self.hosts[h].moving {
            return;
        }
        let maker: Maker = Rc::new(|w, h| {
            let rules = w.rules(h);
            let recovered = w.hosts[h].sup.saved.clone();
            let recovered = recovered.map(|(record, written)| Recovered { record, written, rebooted: false });
            Box::new(Supervisor::new(rules, recovered, Moment::ZERO))
        });
        self.start_supervisor_with(h, &maker);
    }

    /// Starts the supervisor of a host with this brain.
    pub fn start_supervisor_with(&mut self, h: HostId, maker: &Maker) {
        let saved = self.hosts[h].sup.saved.take();
        let told = std::mem::take(&mut self.hosts[h].sup.told);
        self.hosts[h].sup = Sup { started: self.now, saved, told, ..Sup::default() };
        self.begin_process(h, Which::Sup);
        crate::say!(self, "{} supervisor starts", self.hosts[h].name);
        let brain = maker(self, h);
        self.hosts[h].sup.brain = Some(brain);
        self.tell(h, Event::Tick);
    }

    /// Hands an event to the core; the caller is already inside the process (not frozen).
    pub fn tell(&mut self, h: HostId, event: Event) {
        let now = self.moment(h);
        let Some(mut brain) = self.hosts[h].sup.brain.take() else { return };
        self.hosts[h].sup.last_event = kind(&event);
        *self.watch.handled.entry(kind(&event)).or_insert(0) += 1;
        brain.handle(event, now);
        let mut count = 0;
        while let Some(action) = brain.poll_action() {
            self.hosts[h].sup.outbox.push_back(action);
            count += 1;
            if count > 5_000 {
                self.violate(format!("{}: 5,000 actions after one event", self.hosts[h].name));
                break;
            }
        }
        let timeout = brain.poll_timeout();
        self.hosts[h].sup.brain = Some(brain);
        self.count_actions(h, count);
        if let Some(at) = timeout {
            self.schedule_tick(h, at);
        }
        self.drain_outbox(h);
    }

    fn count_actions(&mut self, h: HostId, count: u32) {
        let second = self.now / SEC;
        let s = &mut self.hosts[h].sup;
        if s.second.0 != second {
            s.second = (second, 0);
        }
        s.second.1 += count + 1;
        if s.second.1 > ACTIONS_A_SECOND {
            let (n, last) = (s.second.1, s.last_event);
            self.violate(format!(
                "{}: {n} actions and events in a second (last {last}): a hot loop",
                self.hosts[h].name
            ));
        }
    }

    /// This supervisor's clock.
    pub fn moment(&self, h: HostId) -> Moment {
        Moment::at(Duration::from_micros(self.now - self.hosts[h].sup.started))
    }

    fn schedule_tick(&mut self, h: HostId, at: Moment) {
        let want = self.hosts[h].sup.started + at.since_start().as_micros() as u64;
        let want = want.max(self.now + 100);
        if self.hosts[h].sup.tick_at.is_some_and(|t| t <= want) {
            return;
        }
        self.hosts[h].sup.tick_at = Some(want);
        self.at_process(
            want,
            h,
            Which::Sup,
            Box::new(move |w| {
                let s = &mut w.hosts[h].sup;
                if s.tick_at.is_none_or(|t| t > w.now) {
                    return;
                }
                s.tick_at = None;
                let due = s.brain.as_ref().and_then(|b| b.poll_timeout());
                let now = w.moment(h);
                match due {
                    Some(due) if due <= now => w.tell(h, Event::Tick),
                    Some(due) => w.schedule_tick(h, due),
                    None => {}
                }
            }),
        );
    }

    /// Carries out what the core wants, in order; what follows a `Save` waits until it is on disk.
    fn drain_outbox(&mut self, h: HostId) {
        if self.hosts[h].sup.draining {
            return;
        }
        self.hosts[h].sup.draining = true;
        loop {
            if !self.hosts[h].sup_proc.alive {
                break;
            }
            let until = self.hosts[h].sup.busy_until;
            if until > self.now && !self.hosts[h].sup.outbox.is_empty() {
                self.at_process(until, h, Which::Sup, Box::new(move |w| w.drain_outbox(h)));
                break;
            }
            let Some(action) = self.hosts[h].sup.outbox.pop_front() else { break };
            self.carry_out(h, action);
        }
        self.hosts[h].sup.draining = false;
    }

    /// Writes the state file some time soon; of several the last counts.
    pub fn save_soon(&mut self, h: HostId, record: Record) {
        let waits = self.hosts[h].sup.unsaved.replace(record).is_some();
        if waits {
            return;
        }
        let at = self.now + if self.rng.chance(700) { self.rng.range(MS, 20 * MS) } else { self.rng.range(MS, SEC) };
        self.at_process(at, h, Which::Sup, Box::new(move |w| w.flush_saved(h)));
    }

    /// Writes what waits: nobody exits before that.
    pub fn flush_saved(&mut self, h: HostId) {
        let now = self.now / SEC;
        let s = &mut self.hosts[h].sup;
        if let Some(record) = s.unsaved.take() {
            s.saved = Some((record, now));
        }
    }

    /// Writes the state file now: nothing after it is carried out before it is there.
    pub fn save_now(&mut self, h: HostId, record: Record) {
        self.hosts[h].sup.unsaved = None;
        let us = if self.rng.chance(10) { self.rng.range(20 * MS, 120 * MS) } else { self.rng.range(200, 4 * MS) };
        let done = self.now + us;
        self.hosts[h].sup.busy_until = done;
        self.at_process(done, h, Which::Sup, Box::new(move |w| w.hosts[h].sup.saved = Some((record, w.now / SEC))));
    }

    /// Somebody asks the core; the number under which the answer will come.
    pub fn new_reply(&mut self, h: HostId, waiting: Waiting) -> u64 {
        let s = &mut self.hosts[h].sup;
        s.next_reply += 1;
        s.replies.insert(s.next_reply, waiting);
        s.next_reply
    }

    /// The picture that this supervisor shows.
    pub fn status(&self, h: HostId) -> Option<Status> {
        let host = &self.hosts[h];
        host.sup.brain.as_ref().filter(|_| host.sup_proc.alive).and_then(|b| b.status())
    }

    /// SIGTERM to the container.
    pub fn stop_pod(&mut self, h: HostId) {
        if !self.hosts[h].sup_proc.alive {
            return;
        }
        crate::say!(self, "SIGTERM {}", self.hosts[h].name);
        self.hosts[h].sup.stop_asked.get_or_insert(self.now);
        self.watch.stops.push((h, self.now, self.hosts[h].sup_proc.generation));
        let job = Box::new(move |w: &mut World| w.tell(h, Event::Signal(Signal::Stop)));
        self.post(h, Which::Sup, None, job);
    }

    /// SIGKILL to the container: the supervisor ends, its child with it.
    pub fn kill_pod(&mut self, h: HostId) {
        crate::say!(self, "KILL pod {}", self.hosts[h].name);
        self.end_process(h, Which::Sup);
        self.end_child(h, redinit::core::event::ChildExit::Signal(9));
    }
}
