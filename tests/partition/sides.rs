//! M17, M31: links that are missing between those who live.

use std::process::Child;
use std::time::{Duration, Instant};

use super::bed::{self, Bed, ElectorPlan, Fault, Turn, secs};
use super::clients::Clients;

/// The supervisors' port.
const HTTP: u16 = 8379;

#[test]
fn m17_m20_supervisors_cannot_reach_each_other() {
    needs_net!();
    let mut bed = Bed::apart_in(Turn::beside(), bed::plan());
    std::thread::sleep(secs(11));
    let everybody = bed.net().others(&[]);
    let master = bed.master();
    bed.net().cut_port(&everybody, &everybody, HTTP, Fault::Drop);
    std::thread::sleep(secs(3));
    // Somebody types FAILOVER: nobody can be asked to let go, so nobody leads.
    let clients = Clients::open(&mut bed, None);
    let typed = Instant::now();
    bed.type_failover("sentinel-1");
    while typed.elapsed() < secs(14) {
        let masters: Vec<_> = bed.cluster.servers().filter(|node| node.role().as_deref() == Some("master")).collect();
        assert!(masters.iter().all(|node| node.name == master), "{masters:?} beside {master}");
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("typed FAILOVER: gap {:?}", clients.gap(typed));
    clients.all_write_again(Instant::now(), secs(2));
    clients.count(&bed).lossless();
    // A crash of the whole node heals all the same.
    let clients = Clients::open(&mut bed, None);
    let gone = Instant::now();
    bed.node_mut(&master).kill();
    bed.wait_leader_other_than(&master, secs(30));
    println!("another leads {:?} after {master} was killed", gone.elapsed());
    clients.all_write_again(Instant::now(), secs(20));
    let gap = clients.gap(gone);
    println!("killed: gap {gap:?}");
    bed.net().heal();
    bed.restart_ended();
    clients.count(&bed).lost_in_flight_at_most();
    assert!(gap <= secs(10), "a crash took {gap:?}");
}

/// An elector beside a server, as a side-car: it has the server's network.
struct SideCar(Child);

impl SideCar {
    fn start(bed: &mut Bed, name: &str) -> Self {
        let program = bed.cluster.plan.program.clone();
        let (lock, id) = (bed.cluster.dir().join("elector.lock"), bed.node(name).ip.to_string());
        let log = std::fs::File::create(bed.node(name).dir.join("elector.log")).unwrap();
        bed.net().inside(name, || {
            let mut command = std::process::Command::new(program);
            command.args(["elector", "--election", "mymaster", "--http", "127.0.0.1:4040", "--id", &id]);
            command.arg("--lock").arg(format!("file:{}", lock.display()));
            SideCar(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
        })
    }
}

impl Drop for SideCar {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// How long the parting lasts: `LONG` in the environment makes it the 3 minutes of the scenario.
fn parted() -> Duration {
    if std::env::var_os("LONG").is_some() { secs(180) } else { secs(40) }
}

fn replicas_and_elector_apart(fault: Fault) {
    let mut bed = Bed::apart(bed::plan().elector(ElectorPlan::Setting("http://127.0.0.1:4040".into())));
    let (master, replicas) = (bed.master(), bed.replicas());
    let _side_cars: Vec<SideCar> = replicas.iter().map(|name| SideCar::start(&mut bed, name)).collect();
    std::thread::sleep(secs(4));
    let clients = Clients::open(&mut bed, None);
    let others = bed.net().others(&replicas.iter().map(String::as_str).collect::<Vec<_>>());
    let cut = Instant::now();
    bed.net().cut(&replicas, &others, fault);
    while cut.elapsed() < parted() {
        for name in &replicas {
            assert_ne!(
                bed.node(name).role().as_deref(),
                Some("master"),
                "{name} leads {:?} after the cut",
                cut.elapsed()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("by {fault:?}: gap on the master's side {:?}", clients.gap(cut));
    bed.net().heal();
    let healed = Instant::now();
    assert_eq!(bed.settle("after healing"), master, "the master moved");
    println!("whole {:?} after healing", healed.elapsed());
    clients.all_write_again(healed, secs(5));
    clients.count(&bed).lossless();
}

#[test]
fn m31_m20_replicas_and_elector_cut_off_by_silence() {
    needs_net!();
    replicas_and_elector_apart(Fault::Drop);
}

#[test]
fn m31_m20_replicas_and_elector_cut_off_by_resets() {
    needs_net!();
    replicas_and_elector_apart(Fault::Reject);
}
