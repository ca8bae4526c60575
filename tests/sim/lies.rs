//! Lies: messages that nobody of ours meant. Of a member that lies once (any kind, any field wrong, doubled, from a wrong
//! address, to a wrong one), and of a stranger; and an engine of nobody's cluster at an address that they speak of.

use std::time::Duration;

use redinit::core::action::Look;
use redinit::core::event::Event;
use redinit::core::id::{Address, AttemptId, Epoch, Offset, ReplId, RunId, SentinelId};
use redinit::core::message::{PeerMessage, Rank, Report};
use redinit::core::seen::{History, RoleSeen, ServerSeen};

use crate::supervisor::Waiting;
use crate::world::{HostId, MS, SEC, Which, World};

/// Messages that went over the network, to lie by.
const OVERHEARD: usize = 16;

/// Where an engine of nobody's cluster says master, with data of its own.
pub fn foreigner() -> Address {
    Address::new([10, 66, 0, 1].into(), 6379)
}

impl World {
    /// A message on its way, which a liar may tell again.
    pub fn overhear(&mut self, from: Address, message: &PeerMessage) {
        if !self.config.lies {
            return;
        }
        if self.overheard.len() >= OVERHEARD {
            self.overheard.pop_front();
        }
        self.overheard.push_back((from, message.clone()));
    }

    /// So many lies, at any time within this one.
    pub fn lies(&mut self, count: u64, within: u64) {
        for _ in 0..count {
            let at = self.now + self.rng.below(within);
            let cluster = self.focus;
            self.at(at, Box::new(move |w| w.in_cluster(cluster, World::lie)));
        }
    }

    /// One lie.
    fn lie(&mut self) {
        let to = self.servers().start + self.rng.below(self.config.servers as u64) as usize;
        let told = match self.overheard.len() {
            0 => None,
            n if self.rng.chance(500) => self.overheard.get(self.rng.below(n as u64) as usize).cloned(),
            _ => None,
        };
        let (mut from, mut message) = match told {
            Some((from, message)) => (Some(from), message),
            None => (Some(self.an_address(to)), self.made_up(to)),
        };
        match self.rng.below(4) {
            0 => {}
            1 => from = self.rng.chance(800).then(|| self.an_address(to)),
            _ => self.twist(to, &mut message),
        }
        for _ in 0..self.rng.range(1, 3) {
            self.forge(to, from, message.clone());
        }
    }

    /// This message arrives, whoever sent it.
    pub fn forge(&mut self, to: HostId, from: Option<Address>, message: PeerMessage) {
        crate::say!(self, "LIE to {} from {from:?}: {message:?}", self.hosts[to].name);
        let job = Box::new(move |w: &mut World| {
            let reply = w.new_reply(to, Waiting::Person);
            w.request(to, reply, from, (None, message));
        });
        self.post(to, Which::Sup, None, job);
    }

    fn an_address(&mut self, to: HostId) -> Address {
        let n = self.config.servers as u64;
        let member = self.servers().start + self.rng.below(n) as usize;
        match self.rng.below(10) {
            0 => Address::new([10, 99, 0, 9].into(), 6379),
            1 | 2 => foreigner(),
            3 => self.address(to),
            4 => self.address(self.sentinels().start),
            5 if self.config.clusters > 1 => self.address_of_the_other(to),
            _ => self.address(member),
        }
    }

    fn an_attempt(&mut self) -> AttemptId {
        let of = |message: &PeerMessage| match message {
            PeerMessage::Release { attempt, .. }
            | PeerMessage::Consent { attempt, .. }
            | PeerMessage::Led { attempt, .. }
            | PeerMessage::AskLed { attempt }
            | PeerMessage::Lead { attempt, .. }
            | PeerMessage::Decided { attempt }
            | PeerMessage::Follow { attempt, .. } => Some(attempt.clone()),
            _ => None,
        };
        let known: Vec<AttemptId> = self.overheard.iter().filter_map(|(_, message)| of(message)).collect();
        if known.is_empty() || self.rng.chance(300) {
            return AttemptId(format!("made-up-{}", self.rng.below(1_000)));
        }
        let which = self.rng.below(known.len() as u64) as usize;
        known[which].clone()
    }

    fn a_rank(&mut self, to: HostId) -> Rank {
        let known = self.server(to).map(|s| s.history().id).unwrap_or_default();
        Rank {
            has_data: self.rng.chance(500),
            epoch: Epoch(self.rng.below(1_000)),
            was_master_with_aof: self.rng.chance(500),
            history: if self.rng.chance(500) { known } else { ReplId("nobodys".into()) },
            second: None,
            offset: Offset(self.rng.below(100_000)),
            last_write: self.rng.below(10_000),
            address: self.an_address(to),
            line: vec![],
            data: None,
        }
    }

    fn a_report(&mut self, to: HostId) -> Report {
        Report {
            rank: self.a_rank(to),
            loading: self.rng.chance(300),
            has_state: self.rng.chance(500),
            was_master: self.rng.chance(500),
            never: self.rng.chance(300),
            known_servers: self.rng.below(9) as usize,
            servers: (0..self.rng.below(4)).map(|_| self.an_address(to)).collect(),
            engine: None,
        }
    }

    fn a_sentinel(&mut self) -> SentinelId {
        let t = self.sentinels().start + self.rng.below(self.config.sentinels.max(1) as u64) as usize;
        self.sentinel(t)
            .map_or_else(|| SentinelId("nobody".into()), |s| s.seen(redinit::core::action::Depth::Glance, self.now).id)
    }

    fn a_while(&mut self) -> Duration {
        Duration::from_micros(self.rng.range(MS, 20 * SEC))
    }

    fn made_up(&mut self, to: HostId) -> PeerMessage {
        let address = self.an_address(to);
        match self.rng.below(11) {
            0 => PeerMessage::Release {
                attempt: self.an_attempt(),
                candidate: address,
                sentinel: self.a_sentinel(),
                replaces: self.an_address(to),
                offset: Offset(self.rng.below(100_000)),
            },
            1 => PeerMessage::Consent {
                attempt: self.an_attempt(),
                candidate: address,
                replaces: self.rng.chance(700).then(|| self.an_address(to)),
                rank: Box::new(Rank { address, ..self.a_rank(to) }),
            },
            2 => PeerMessage::Led { attempt: self.an_attempt(), leader: address, epoch: Epoch(self.rng.below(1_000)) },
            3 => PeerMessage::AskLed { attempt: self.an_attempt() },
            4 => PeerMessage::Quicken { lasting: self.a_while() },
            5 => PeerMessage::Priority {
                priority: self.rng.pick(&[None, Some(0), Some(1), Some(100)]),
                leader: address,
                lasting: self.a_while(),
            },
            6 => PeerMessage::Report(Box::new(self.a_report(to))),
            7 => PeerMessage::Vouch { coordinator: address },
            8 => PeerMessage::Lead { coordinator: address, attempt: self.an_attempt() },
            9 => PeerMessage::Decided { attempt: self.an_attempt() },
            _ => PeerMessage::Follow { attempt: self.an_attempt(), leader: address },
        }
    }

    /// One of its fields is another.
    fn twist(&mut self, to: HostId, message: &mut PeerMessage) {
        let other = self.an_address(to);
        let another = self.an_attempt();
        let number = self.rng.below(100_000);
        let first = self.rng.chance(500);
        match message {
            PeerMessage::Release { attempt, candidate, sentinel, replaces, offset } => match self.rng.below(5) {
                0 => *attempt = another,
                1 => *candidate = other,
                2 => *replaces = other,
                3 => *offset = Offset(number),
                _ => *sentinel = self.a_sentinel(),
            },
            PeerMessage::Consent { attempt, candidate, replaces, rank } => match self.rng.below(4) {
                0 => *attempt = another,
                1 => (*candidate, rank.address) = (other, other),
                2 => *replaces = Some(other),
                _ => **rank = Rank { address: *candidate, ..self.a_rank(to) },
            },
            PeerMessage::Led { attempt, leader, epoch } => match self.rng.below(3) {
                0 => *attempt = another,
                1 => *leader = other,
                _ => *epoch = Epoch(number),
            },
            PeerMessage::AskLed { attempt } | PeerMessage::Decided { attempt } => *attempt = another,
            PeerMessage::Quicken { lasting } => *lasting = self.a_while(),
            PeerMessage::Priority { priority, leader, .. } if first => (*priority, *leader) = (Some(0), other),
            PeerMessage::Priority { lasting, .. } => *lasting = self.a_while(),
            PeerMessage::Report(report) if first => report.rank = self.a_rank(to),
            PeerMessage::Report(report) => **report = Report { rank: report.rank.clone(), ..self.a_report(to) },
            PeerMessage::Vouch { coordinator } => *coordinator = other,
            PeerMessage::Lead { coordinator, .. } if first => *coordinator = other,
            PeerMessage::Lead { attempt, .. } => *attempt = another,
            PeerMessage::Follow { leader, .. } if first => *leader = other,
            PeerMessage::Follow { attempt, .. } => *attempt = another,
            PeerMessage::Met { lists } => *lists = !*lists,
        }
    }

    /// A look at the engine of nobody's cluster, where there is one.
    pub fn look_at_foreigner(&mut self, h: HostId, look: Look) -> bool {
        let asked = self.moment(h);
        let Look::Server { at } = look else { return false };
        if !self.config.lies || at != foreigner() {
            return false;
        }
        let seen = ServerSeen {
            run_id: RunId("foreigner".into()),
            role: RoleSeen::Master { replicas: vec![] },
            history: History { id: ReplId("foreign".into()), second: None, offset: Offset(1) },
            loading: false,
            supervised: Some(false),
            login: None,
            engine: None,
            has_data: Some(true),
        };
        let event = Event::Server { at, asked, seen: Ok(seen) };
        self.at_process(self.now + MS, h, Which::Sup, Box::new(move |w| w.tell(h, event)));
        true
    }
}
