//! What can happen to a cluster, and what each may cost.

use std::time::Duration;

use super::bed::{Bed, CLIENTS, Fault as Link, Signal, ms, secs};
use super::rng::Rng;

/// A fault, drawn. It strikes by the node's number, or whoever is master then.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The engine is killed.
    KillChild(Who),
    /// Supervisor and engine are killed; back after this long.
    KillPod(Who, Duration),
    /// Supervisor and engine stand still.
    FreezePod(Who, Duration),
    /// The supervisor alone stands still.
    FreezeSupervisor(Who, Duration),
    /// The engine alone stands still.
    FreezeChild(Who, Duration),
    /// Some are cut off from all others.
    Cut(Side, Way, Link, Duration),
    /// SIGTERM, as in a rolling update.
    Terminate(Who),
    /// `SENTINEL FAILOVER`, typed at this Sentinel, and so much time for it.
    Failover(u64, Duration),
    /// The first so many Sentinels are killed; back after this long.
    KillSentinels(u64, Duration),
    /// A Sentinel's machine stands still.
    FreezeSentinel(u64, Duration),
    /// All servers are killed at once, with the Sentinels or without; each is back after a time of its own.
    Outage { sentinels: bool, back: [Duration; 3] },
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Master,
    /// The first or the second replica.
    Replica(u64),
}

/// Who is cut off: servers, each Sentinel or not, the clients or not.
#[derive(Clone, Debug)]
pub struct Side {
    master: bool,
    replicas: u64,
    sentinels: [bool; 3],
    clients: bool,
}

/// In which direction a link is broken.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Both,
    Out,
    In,
}

/// What a fault may cost in acknowledged writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Nothing.
    Nothing,
    /// What a crash overtakes: one write for each client that did not wait for a replica.
    InFlight,
    /// What an isolated master takes before its fence is up.
    UntilFenced,
    /// Everything: nobody had it on a disk.
    Everything,
}

/// One fault; sometimes, while it lasts, one of those that cost nothing.
pub fn draw(random: &mut Rng) -> Vec<Fault> {
    let mut faults = vec![one(random)];
    if random.chance(300) {
        faults.push(match random.below(2) {
            0 => Fault::Failover(random.range(1, 4), time(random, 0, 1500)),
            _ => Fault::KillSentinels(1, time(random, 0, 3000)),
        });
    }
    faults
}

fn one(random: &mut Rng) -> Fault {
    let who = if random.chance(650) { Who::Master } else { Who::Replica(random.below(2)) };
    match random.below(16) {
        0 => Fault::KillChild(who),
        1 | 2 => Fault::KillPod(who, time(random, 0, 9000)),
        3 => Fault::FreezePod(who, time(random, 300, 12_000)),
        4 => Fault::FreezeSupervisor(who, time(random, 300, 12_000)),
        5 => Fault::FreezeChild(who, time(random, 300, 12_000)),
        6..=9 => cut(random),
        10 | 11 => Fault::Terminate(who),
        12 => Fault::Failover(random.range(1, 4), secs(3)),
        13 => Fault::KillSentinels(random.range(1, 4), time(random, 500, 9000)),
        14 => Fault::FreezeSentinel(random.range(1, 4), time(random, 500, 9000)),
        _ => {
            let back = [0; 3].map(|_| time(random, 0, 4000));
            Fault::Outage { sentinels: random.chance(500), back }
        }
    }
}

fn cut(random: &mut Rng) -> Fault {
    let master = random.chance(600);
    let replicas = if master { random.below(2) } else { random.range(1, 3) };
    let sentinels = [0; 3].map(|_| random.chance(300));
    let side = Side { master, replicas, sentinels, clients: random.chance(300) };
    let way = random.pick(&[Way::Both, Way::Both, Way::Out, Way::In]);
    let link = random.pick(&[Link::Drop, Link::Reject]);
    Fault::Cut(side, way, link, time(random, 500, 12_000))
}

fn time(random: &mut Rng, low: u64, high: u64) -> Duration {
    ms(random.range(low, high))
}

impl Fault {
    pub fn cost(&self, durable: bool) -> Cost {
        match self {
            Fault::Terminate(_) | Fault::Failover(..) | Fault::KillSentinels(..) | Fault::FreezeSentinel(..) => {
                Cost::Nothing
            }
            Fault::FreezeSupervisor(..) => Cost::Nothing,
            Fault::KillChild(_) | Fault::KillPod(..) | Fault::FreezePod(..) | Fault::FreezeChild(..) => Cost::InFlight,
            Fault::Cut(..) => Cost::UntilFenced,
            Fault::Outage { .. } if durable => Cost::InFlight,
            Fault::Outage { .. } => Cost::Everything,
        }
    }

    /// Could a write be lost that a replica had confirmed? Only where that replica is on the wrong side too.
    pub fn takes_confirmed_writes(&self, durable: bool) -> bool {
        match self {
            Fault::Cut(side, ..) => side.master && side.replicas > 0 || !side.master && side.replicas == 1,
            fault => fault.cost(durable) == Cost::Everything,
        }
    }

    /// Does a server wake up at its end that may have been master when it fell asleep? It cannot have fenced itself.
    pub fn wakes_a_server(&self) -> bool {
        matches!(self, Fault::FreezePod(..) | Fault::FreezeChild(..))
    }

    /// Lets it happen, for as long as it lasts.
    pub fn strike(&self, bed: &mut Bed) {
        match self {
            Fault::KillChild(who) => {
                let name = who.name(bed);
                bed.node(&name).signal_engine(Signal::SIGKILL);
                std::thread::sleep(ms(500));
            }
            Fault::KillPod(who, away) => {
                let name = who.name(bed);
                bed.node_mut(&name).kill();
                std::thread::sleep(*away);
            }
            Fault::FreezePod(who, long) => {
                let name = who.name(bed);
                bed.signal_machine(&name, Signal::SIGSTOP);
                std::thread::sleep(*long);
                bed.signal_machine(&name, Signal::SIGCONT);
            }
            Fault::FreezeSupervisor(who, long) => {
                let name = who.name(bed);
                bed.node_mut(&name).signal(Signal::SIGSTOP);
                std::thread::sleep(*long);
                bed.node_mut(&name).signal(Signal::SIGCONT);
            }
            Fault::FreezeChild(who, long) => {
                let name = who.name(bed);
                bed.node(&name).signal_engine(Signal::SIGSTOP);
                std::thread::sleep(*long);
                bed.node(&name).signal_engine(Signal::SIGCONT);
            }
            Fault::Cut(side, way, link, long) => {
                side.cut(bed, *way, *link);
                std::thread::sleep(*long);
                bed.net().heal();
            }
            Fault::Terminate(who) => {
                let name = who.name(bed);
                bed.node_mut(&name).signal(Signal::SIGTERM);
                assert!(bed.node_mut(&name).wait(secs(60)).is_some(), "{name}: SIGTERM to exit took over 60 s");
            }
            Fault::Failover(sentinel, rest) => {
                // It may be away, or have nobody to propose: that is an answer too.
                let at = bed.node(&format!("sentinel-{sentinel}")).address();
                bed.cluster.sentinels().order(at, &["FAILOVER"]).ok();
                std::thread::sleep(*rest);
            }
            Fault::KillSentinels(count, away) => {
                for number in 1..=*count {
                    bed.node_mut(&format!("sentinel-{number}")).kill();
                }
                std::thread::sleep(*away);
            }
            Fault::FreezeSentinel(number, long) => {
                let name = format!("sentinel-{number}");
                bed.signal_machine(&name, Signal::SIGSTOP);
                std::thread::sleep(*long);
                bed.signal_machine(&name, Signal::SIGCONT);
            }
            Fault::Outage { sentinels, back } => outage(bed, *sentinels, back),
        }
    }
}

fn outage(bed: &mut Bed, sentinels: bool, back: &[Duration; 3]) {
    let mut names: Vec<String> = bed.cluster.servers().map(|node| node.name.clone()).collect();
    if sentinels {
        names.extend(bed.cluster.sentinel_nodes().map(|node| node.name.clone()));
    }
    // All at once: frozen first, or the others would take over from the first one that is killed.
    for name in &names {
        bed.signal_machine(name, Signal::SIGSTOP);
    }
    for name in &names {
        bed.node_mut(name).kill();
    }
    let mut order: Vec<_> = back.iter().zip(1..).collect();
    order.sort();
    let mut passed = Duration::ZERO;
    for (at, number) in order {
        std::thread::sleep(at.saturating_sub(passed));
        passed = *at;
        bed.node_mut(&format!("server-{number}")).start().unwrap();
    }
}

impl Who {
    fn name(self, bed: &Bed) -> String {
        let named = bed.cluster.sentinels().majority().map(|at| bed.cluster.name_of(at));
        let master = named.unwrap_or_else(|| "server-1".into());
        match self {
            Who::Master => master,
            Who::Replica(number) => others(bed, &master).swap_remove(usize::from(number > 0)),
        }
    }
}

fn others(bed: &Bed, master: &str) -> Vec<String> {
    bed.cluster.servers().map(|node| node.name.clone()).filter(|name| name != master).collect()
}

impl Side {
    fn cut(&self, bed: &mut Bed, way: Way, link: Link) {
        let master = Who::Master.name(bed);
        let replicas = others(bed, &master).into_iter().take(usize::try_from(self.replicas).unwrap());
        let mut names: Vec<String> = self.master.then(|| master.clone()).into_iter().chain(replicas).collect();
        names.extend(
            (1..).zip(self.sentinels).filter(|(_, in_it)| *in_it).map(|(number, _)| format!("sentinel-{number}")),
        );
        names.extend(self.clients.then(|| CLIENTS.to_owned()));
        let rest = bed.net().others(&names.iter().map(String::as_str).collect::<Vec<_>>());
        match way {
            Way::Both => bed.net().cut(&names, &rest, link),
            Way::Out => bed.net().cut_one_way(&names, &rest, link),
            Way::In => bed.net().cut_one_way(&rest, &names, link),
        }
    }
}
