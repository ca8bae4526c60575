//! A small world for one supervisor: pictures of the others, a child that obeys, and time that only we move.
//!
//! Looks are answered from the pictures 1 ms later. Messages to other supervisors and Sentinels are only collected:
//! a test answers them, or loses them, as its scenario says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use super::kinds::*;
pub use super::made::*;
use crate::core::Supervisor;
use crate::core::action::{Action, Birth, ChildOrder, Exit, Look, Progress, SentinelFile, SentinelOrder};
use crate::core::course::{Course, Fenced};
use crate::core::event::{ChildExit, Done, Event, Names, OrderFailure, SentinelReply, Signal, Wish};
use crate::core::id::{Address, AttemptId, Epoch, Offset, OrderId, ReplyId, RequestId};
use crate::core::message::{PeerAnswer, PeerMessage, Report};
use crate::core::moment::Moment;
use crate::core::record::Recovered;
use crate::core::rules::Rules;
use crate::core::seen::{
    ChildFailure, ChildSeen, ElectorSeen, Failure, Link, MasterRow, ReplicaRow, RoleSeen, SentinelSeen, ServerSeen,
    SupervisorSeen,
};

/// Why an order of ours should meet another fate than success.
pub type Whim = fn(&ChildOrder) -> bool;

pub struct World {
    pub core: Supervisor,
    pub now: Moment,
    /// How they answer; nobody in the map is silent.
    pub sentinels: BTreeMap<Address, Result<SentinelSeen, Failure>>,
    pub servers: BTreeMap<Address, Result<ServerSeen, Failure>>,
    pub supervisors: BTreeMap<Address, Result<SupervisorSeen, Failure>>,
    pub elector: Result<ElectorSeen, Failure>,
    pub names: Names,
    pub child: Result<ChildSeen, ChildFailure>,
    /// Orders that are not carried out yet (their answers are the test's business).
    pub holds: Whim,
    pub held: Vec<(OrderId, ChildOrder)>,
    /// Everything that came out, but looks; with its moment.
    pub done: Vec<(Moment, Action)>,
    /// How the other supervisors answer by themselves; `None`: not at all.
    pub peers: fn(Address, &PeerMessage) -> Option<PeerAnswer>,
    /// What servers have reported to us: they stand by it when they are asked.
    reported: BTreeMap<Address, Report>,
    /// Looks are answered this much later.
    pub latency: Duration,
    /// Looks at it are not answered at all: their time-out is yet to come.
    pub mute: Option<Address>,
    /// Answers on their way.
    queue: VecDeque<(Moment, Event)>,
    replies: u64,
    attempts: u64,
}

impl World {
    /// A supervisor just created, everybody else silent.
    pub fn new(rules: Rules, recovered: Option<Recovered>) -> Self {
        let now = Moment::millis(1);
        World {
            core: Supervisor::new(rules, recovered, now),
            now,
            sentinels: BTreeMap::new(),
            servers: BTreeMap::new(),
            supervisors: BTreeMap::new(),
            elector: Err(SILENT),
            names: Names { sentinels: Some((1..=3).map(sen).collect()), servers: Some((1..=3).map(srv).collect()) },
            child: Ok(child(RoleSeen::Replica { master: None, link: Link::Down }, 1000)),
            holds: |_| false,
            held: Vec::new(),
            done: Vec::new(),
            peers: |_, _| None,
            reported: BTreeMap::new(),
            latency: ms(1),
            mute: None,
            queue: VecDeque::new(),
            replies: 0,
            attempts: 0,
        }
    }

    /// All three Sentinels name `master`; it and the other servers answer, supervised.
    pub fn healthy(&mut self, master: Address, epoch: u64) {
        for n in 1..=3 {
            self.sentinels.insert(sen(n), Ok(sentinel(n, master, epoch)));
        }
        for n in [2, 3] {
            let role = if srv(n) == master {
                master_role(&[srv(1), srv(2), srv(3)].into_iter().filter(|at| *at != master).collect::<Vec<_>>())
            } else {
                replica_role(master)
            };
            self.servers.insert(srv(n), Ok(server(n, role, 1000)));
            self.supervisors.insert(srv(n), Ok(supervisor(epoch)));
        }
    }

    /// We follow server 2, as server 3 does; all is well.
    pub fn replica() -> Self {
        World::replica_with(rules())
    }

    pub fn replica_with(rules: Rules) -> Self {
        let mut world = World::new(rules, None);
        world.healthy(srv(2), 1);
        world.run(3_000);
        assert_eq!(world.core.course.master(), Some(srv(2)), "{:?}", world.core.verdict);
        world.forget();
        world
    }

    /// We lead by right, named by all, followed by 2 and 3, and have done so for 15 s.
    pub fn master() -> Self {
        World::master_with(rules())
    }

    pub fn master_with(rules: Rules) -> Self {
        let mut world = World::born_master_with(rules);
        world.healthy(srv(1), 1);
        world.attach(&[srv(2), srv(3)]);
        world.run(15_000);
        assert!(world.leads() && world.fence().is_none(), "{:?}", world.core.verdict);
        world.forget();
        world
    }

    /// We were voted in and nobody has named us yet: a leader, born fenced. The Sentinels are bare.
    pub fn born_master_with(rules: Rules) -> Self {
        let mut world = World::new(rules, None);
        for n in 1..=3 {
            world.sentinels.insert(sen(n), Ok(bare(n)));
        }
        for n in [2, 3] {
            let undecided = RoleSeen::Replica { master: None, link: Link::Down };
            world.servers.insert(srv(n), Ok(server(n, undecided, 1000)));
            world.supervisors.insert(srv(n), Ok(supervisor(0)));
        }
        world.run(1_000);
        for n in [2, 3] {
            let mut report = report(n, 1000);
            report.rank.epoch = Epoch(0);
            world.request(Some(srv(n)), PeerMessage::Report(Box::new(report)));
        }
        for _ in 0..3_000 {
            if world.leads() {
                break;
            }
            world.run(1);
        }
        assert!(world.leads(), "voted in: {:?}", world.core.status().reason);
        world.forget();
        world
    }

    /// The child of ours, a master, shows these as attached.
    pub fn attach(&mut self, replicas: &[Address]) {
        if let Ok(seen) = &mut self.child {
            seen.role = master_role(replicas);
        }
    }

    /// One event now, and everything that follows from it at this moment.
    pub fn feed(&mut self, event: Event) {
        self.core.handle(event, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(action) = self.core.poll_action() {
            count += 1;
            assert!(count < 2_000, "actions without end at {:?}: {action:?}", self.now);
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match &action {
            Action::Look(Look::Sentinel { at, .. }) if self.mute == Some(*at) => return,
            Action::Look(look) => {
                let event = self.seen(*look);
                return self.queue.push_back((self.now + self.latency, event));
            }
            Action::Child { id, order } => {
                let (id, order) = (*id, order.clone());
                if (self.holds)(&order) {
                    self.held.push((id, order));
                } else {
                    let event = Event::ChildDone { id, done: Ok(self.obey(&order)) };
                    self.queue.push_back((self.now + ms(1), event));
                }
            }
            Action::Ask { id, to, message, .. } => {
                if let Some(answer) = (self.peers)(*to, message).or_else(|| self.honest(*to, message)) {
                    let event = Event::Answer { id: *id, from: *to, answer: Ok(answer) };
                    self.queue.push_back((self.now + ms(1), event));
                }
            }
            _ => {}
        }
        self.done.push((self.now, action));
    }

    /// What somebody who told us something answers when it is asked back.
    fn honest(&self, to: Address, message: &PeerMessage) -> Option<PeerAnswer> {
        match message {
            PeerMessage::Vouch { .. } => self.reported.get(&to).cloned().map(Box::new).map(PeerAnswer::Report),
            PeerMessage::Decided { .. } => {
                Some(PeerAnswer::Decided { leader: self.core.rules.me, reported: vec![], holding: vec![] })
            }
            _ => None,
        }
    }

    fn seen(&self, look: Look) -> Event {
        let asked = self.now;
        match look {
            Look::Names => Event::Names(self.names.clone()),
            Look::Sentinel { at, .. } => {
                Event::Sentinel { at, asked, seen: self.sentinels.get(&at).cloned().unwrap_or(Err(SILENT)) }
            }
            Look::Server { at } => {
                Event::Server { at, asked, seen: self.servers.get(&at).cloned().unwrap_or(Err(SILENT)) }
            }
            Look::Supervisor { at } => {
                Event::Supervisor { at, asked, seen: self.supervisors.get(&at).cloned().unwrap_or(Err(SILENT)) }
            }
            Look::Elector => Event::Elector { asked, seen: self.elector.clone() },
            Look::Child { .. } => Event::Child { asked, seen: self.child.clone() },
        }
    }

    /// What the engine would do.
    fn obey(&mut self, order: &ChildOrder) -> Done {
        if is_spawn(order) {
            return Done::Spawned { pid: 4711 };
        }
        let Ok(seen) = &mut self.child else { return Done::Ok };
        match order {
            ChildOrder::Follow { master, .. } => {
                seen.role = replica_role(*master);
                if *master == Address::nobody() {
                    seen.role = RoleSeen::Replica { master: None, link: Link::Down };
                } else if !self.servers.get(master).is_some_and(Result::is_ok) {
                    seen.role = RoleSeen::Replica { master: Some(*master), link: Link::Down };
                }
                Done::Ok
            }
            ChildOrder::Lead => {
                seen.role = master_role(&[]);
                Done::At { history: seen.history.id.clone(), offset: seen.history.offset }
            }
            ChildOrder::Release { .. } => Done::At { history: seen.history.id.clone(), offset: seen.history.offset },
            ChildOrder::LeadAlone => {
                seen.role = master_role(&[]);
                Done::Ok
            }
            _ => Done::Ok,
        }
    }

    /// Carries out the oldest held order that `which` recognises, now.
    pub fn let_go(&mut self, which: Whim) {
        let at = self.held.iter().position(|(_, order)| which(order)).expect("such an order is held");
        let (id, order) = self.held.remove(at);
        let done = Ok(self.obey(&order));
        self.feed(Event::ChildDone { id, done });
    }

    /// Fails the oldest held order that `which` recognises.
    pub fn fail(&mut self, which: Whim, failure: OrderFailure) {
        let at = self.held.iter().position(|(_, order)| which(order)).expect("such an order is held");
        let (id, _) = self.held.remove(at);
        self.feed(Event::ChildDone { id, done: Err(failure) });
    }

    /// Lets time pass; answers come, ticks are given when they were asked for.
    pub fn run(&mut self, millis: u64) {
        let until = self.now + ms(millis);
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 400_000, "turns without end at {:?}", self.now);
            let next_answer = self.queue.iter().map(|(at, _)| *at).min();
            let next_tick = if turns == 1 { Some(self.now) } else { self.core.poll_timeout() };
            let next = [next_answer, next_tick].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            match self.queue.iter().position(|(at, _)| *at <= next) {
                Some(at) if next_answer == Some(next) => {
                    let event = self.queue.remove(at).expect("it is there").1;
                    self.feed(event);
                }
                _ => self.feed(Event::Tick),
            }
        }
        self.now = until;
    }

    /// Our own process stands still; what was asked before is answered, but nobody takes it in.
    pub fn freeze(&mut self, millis: u64) {
        self.now = self.now + ms(millis);
    }

    /// Forgets what came out so far.
    pub fn forget(&mut self) {
        self.done.clear();
    }

    /// Another supervisor asks us. The answer comes at once or later: see `reply`.
    pub fn request(&mut self, from: Option<Address>, message: PeerMessage) -> ReplyId {
        if let (Some(from), PeerMessage::Report(report)) = (from, &message) {
            self.reported.insert(from, (**report).clone());
        }
        self.replies += 1;
        let reply = ReplyId(self.replies);
        self.feed(Event::Request { reply, from, cluster: None, message });
        reply
    }

    /// The answer we gave.
    pub fn reply(&self, to: ReplyId) -> Option<PeerAnswer> {
        let mut given = self.done.iter().filter_map(|(_, action)| match action {
            Action::Reply { to: at, answer } if *at == to => Some(answer.clone()),
            _ => None,
        });
        let answer = given.next();
        assert_eq!(given.next(), None, "answered twice");
        answer
    }

    /// Asks and expects an answer at once.
    pub fn ask(&mut self, from: Address, message: PeerMessage) -> PeerAnswer {
        let reply = self.request(Some(from), message);
        self.reply(reply).expect("answered at once")
    }

    /// Answers the newest message that `which` recognises.
    pub fn answer(&mut self, to: Address, which: fn(&PeerMessage) -> bool, answer: Result<PeerAnswer, Failure>) {
        let id = self.asked(to, which).expect("such a message was sent").0;
        self.feed(Event::Answer { id, from: to, answer });
    }

    /// The newest message to `to` that `which` recognises.
    pub fn asked(&self, to: Address, which: fn(&PeerMessage) -> bool) -> Option<(RequestId, PeerMessage)> {
        self.done.iter().rev().find_map(|(_, action)| match action {
            Action::Ask { id, to: at, message, .. } if *at == to && which(message) => Some((*id, message.clone())),
            _ => None,
        })
    }

    /// All messages that `which` recognises, with their targets.
    pub fn messages(&self, which: fn(&PeerMessage) -> bool) -> Vec<(Address, PeerMessage)> {
        let mut found = Vec::new();
        for (_, action) in &self.done {
            if let Action::Ask { to, message, .. } = action
                && which(message)
            {
                found.push((*to, message.clone()));
            }
        }
        found
    }

    /// Orders to the child, oldest first.
    pub fn orders(&self) -> Vec<ChildOrder> {
        let order = |action: &Action| match action {
            Action::Child { order, .. } => Some(order.clone()),
            _ => None,
        };
        self.done.iter().filter_map(|(_, action)| order(action)).collect()
    }

    /// Was such an order given?
    pub fn ordered(&self, which: Whim) -> bool {
        self.orders().iter().any(which)
    }

    /// When such an order was given first.
    pub fn ordered_at(&self, which: Whim) -> Option<Moment> {
        self.done.iter().find_map(|(at, action)| match action {
            Action::Child { order, .. } if which(order) => Some(*at),
            _ => None,
        })
    }

    /// Sentinels that were asked for a failover, oldest first.
    pub fn failovers(&self) -> Vec<Address> {
        self.sentinel_orders(SentinelOrder::Failover)
    }

    pub fn sentinel_orders(&self, wanted: SentinelOrder) -> Vec<Address> {
        let order = |action: &Action| match action {
            Action::Sentinel { at, order, .. } if *order == wanted => Some(*at),
            _ => None,
        };
        self.done.iter().filter_map(|(_, action)| order(action)).collect()
    }

    /// The newest Sentinel order is answered.
    pub fn sentinel_says(&mut self, reply: Result<SentinelReply, Failure>) {
        let found = self.done.iter().rev().find_map(|(_, action)| match action {
            Action::Sentinel { id, at, .. } => Some((*id, *at)),
            _ => None,
        });
        let (id, at) = found.expect("a Sentinel was asked");
        self.feed(Event::SentinelDone { id, at, done: reply });
    }

    /// A replica whose master's container is gone, with a reset, and which has asked a Sentinel; which one that is.
    pub fn asked_after_a_reset() -> (Self, Address) {
        let mut world = World::replica();
        world.run(10_500);
        world.lose(srv(2), REFUSED);
        world.feed(Event::Wake { at: srv(2) });
        world.run(100);
        let asked = world.begins_a_failover();
        (world, asked)
    }

    /// The Sentinel asked last says OK and begins a failover; which one it is.
    pub fn begins_a_failover(&mut self) -> Address {
        let at = *self.failovers().last().expect("asked");
        let seen = self.sentinels.get_mut(&at).expect("known").as_mut().expect("answers");
        seen.master.as_mut().expect("names somebody").failover = true;
        self.sentinel_says(Ok(SentinelReply::Ok));
        at
    }

    pub fn exits(&self) -> Vec<Exit> {
        let exit = |action: &Action| match action {
            Action::Exit(exit) => Some(*exit),
            _ => None,
        };
        self.done.iter().filter_map(|(_, action)| exit(action)).collect()
    }

    pub fn progress(&self) -> Vec<Progress> {
        let line = |action: &Action| match action {
            Action::Inform { line, .. } => Some(line.clone()),
            _ => None,
        };
        self.done.iter().filter_map(|(_, action)| line(action)).collect()
    }

    pub fn signal(&mut self, signal: Signal) {
        self.feed(Event::Signal(signal));
    }

    pub fn wish(&mut self, wish: Wish) {
        self.replies += 1;
        let reply = ReplyId(self.replies);
        self.feed(Event::Operator { reply, wish });
    }

    /// The child ends; the next one shows itself as `next`.
    pub fn child_exits(&mut self, exit: ChildExit, next: Result<ChildSeen, ChildFailure>) {
        self.child = next;
        self.feed(Event::ChildExited(exit));
    }

    /// A Sentinel's file that was rewritten: its child is told to end, ends, and this is what the next one starts with.
    pub fn rewritten_file(&mut self) -> Option<SentinelFile> {
        if !self.ordered(is_terminate) {
            return None;
        }
        let child = self.child.clone();
        self.child_exits(ChildExit::Code(0), child);
        self.orders().into_iter().rev().find_map(|order| match order {
            ChildOrder::Spawn(Birth::Sentinel(file)) => Some(file),
            _ => None,
        })
    }

    /// We are the master, and every replica is gone with its supervisor, with a reset.
    pub fn all_replicas_leave(&mut self) {
        self.attach(&[]);
        for n in 2..=3 {
            self.servers.insert(srv(n), Err(REFUSED));
            self.supervisors.insert(srv(n), Err(REFUSED));
        }
    }

    /// Every Sentinel shows all replicas of the master down.
    pub fn every_replica_is_down(&mut self) {
        for n in 1..=3 {
            for row in &mut self.sentinel(n).rows.as_mut().unwrap().replicas {
                row.s_down = true;
            }
        }
    }

    /// The row of a replica on Sentinel `n`.
    pub fn replica_row(&mut self, n: u8, at: Address) -> &mut ReplicaRow {
        let rows = self.sentinel(n).rows.as_mut().expect("full");
        rows.replicas.iter_mut().find(|row| row.address == at).expect("listed")
    }

    /// Everything of a server is gone, with a reset, or without a word.
    pub fn lose(&mut self, at: Address, how: Failure) {
        self.servers.insert(at, Err(how));
        self.supervisors.insert(at, Err(how));
        if how == REFUSED {
            self.each_row(|row| row.disconnected = true);
            for seen in self.servers.values_mut().flatten().filter(|seen| seen.role.master() == Some(at)) {
                seen.role = RoleSeen::Replica { master: Some(at), link: Link::Down };
            }
        }
        if let Ok(seen) = &mut self.child
            && seen.role.master() == Some(at)
        {
            seen.role = RoleSeen::Replica { master: Some(at), link: Link::Down };
        }
    }

    /// Changes the master's row on every Sentinel.
    pub fn each_row(&mut self, change: fn(&mut MasterRow)) {
        for seen in self.sentinels.values_mut().flatten() {
            if let Some(row) = &mut seen.master {
                change(row);
            }
        }
    }

    /// Sentinel `n`, to change it.
    pub fn sentinel(&mut self, n: u8) -> &mut SentinelSeen {
        self.sentinels.get_mut(&sen(n)).expect("known").as_mut().expect("answers")
    }

    /// Sentinel `n` has chosen `candidate`.
    pub fn propose(&mut self, n: u8, candidate: Address) {
        let seen = self.sentinel(n);
        seen.master.as_mut().expect("names somebody").failover = true;
        for row in &mut seen.rows.as_mut().expect("full").replicas {
            row.promoted = row.address == candidate;
        }
    }

    /// Sentinel `n` gives up its failover.
    pub fn abort(&mut self, n: u8) {
        let seen = self.sentinel(n);
        seen.master.as_mut().expect("names somebody").failover = false;
        for row in &mut seen.rows.as_mut().expect("full").replicas {
            row.promoted = false;
        }
    }

    pub fn leads(&self) -> bool {
        self.core.course.leading().is_some()
    }

    pub fn fence(&self) -> Option<Fenced> {
        self.core.course.leading().and_then(|leading| leading.fence)
    }

    pub fn following(&self) -> Option<Address> {
        match &self.core.course {
            Course::Following(following) => Some(following.master),
            _ => None,
        }
    }

    /// A release that `candidate` asks us for, proposed by Sentinel `n`.
    pub fn release_message(&mut self, candidate: Address, n: u8) -> (AttemptId, PeerMessage) {
        self.attempts += 1;
        let attempt = AttemptId(format!("attempt-{}", self.attempts));
        let message = PeerMessage::Release {
            attempt: attempt.clone(),
            candidate,
            sentinel: sentinel_id(n),
            replaces: self.core.rules.me,
            offset: Offset(1000),
        };
        (attempt, message)
    }

    /// A consent that `candidate` asks us for.
    pub fn consent_message(&mut self, candidate: u8, replaces: Address, offset: u64) -> PeerMessage {
        self.attempts += 1;
        PeerMessage::Consent {
            attempt: AttemptId(format!("attempt-{}", self.attempts)),
            candidate: srv(candidate),
            replaces: Some(replaces),
            rank: Box::new(rank(candidate, offset)),
        }
    }
}

impl World {
    /// Forgets orders and logs, keeps messages (their answers are still to come).
    pub fn forget_but_asks(&mut self) {
        self.done.retain(|(_, action)| matches!(action, Action::Ask { .. }));
    }
}
