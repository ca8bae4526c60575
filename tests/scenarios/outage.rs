//! B, M6, M14 to M16, M26, M27: everything is gone at once, and the newest data must lead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF, RDB};
use super::bed::liar::{Liar, json};
use super::bed::{self, Bed, Cluster, ElectorPlan, Kind, ms, secs};

/// All servers are back and their data on disks: writable within this time.
const WRITABLE: Duration = Duration::from_secs(10);

/// Ends these at once, as a power cut does.
fn power_cut(bed: &mut Bed, which: impl Fn(&bed::Node) -> bool) {
    for node in bed.cluster.nodes.iter_mut().filter(|node| which(node)) {
        node.kill();
    }
}

/// An order that is another in every run, and told, so that a failure can be repeated.
fn shuffled(mut names: Vec<String>) -> Vec<String> {
    let mut seed = std::env::var("ORDER").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos() >> 4
    });
    println!("order of return: ORDER={seed}");
    for left in (1..names.len()).rev() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        names.swap(left, (seed >> 16) as usize % (left + 1));
    }
    names
}

/// They come back one after the other.
fn come_back(bed: &mut Bed, names: &[String], apart: Duration) {
    for (number, name) in names.iter().enumerate() {
        if number > 0 {
            std::thread::sleep(apart);
        }
        bed.node_mut(name).start().unwrap();
    }
}

fn all_names(bed: &Bed) -> Vec<String> {
    bed.cluster.nodes.iter().map(|node| node.name.clone()).collect()
}

fn server_names(bed: &Bed) -> Vec<String> {
    bed.cluster.servers().map(|node| node.name.clone()).collect()
}

/// Nobody else may be named or lead for so long.
fn stays(bed: &Bed, leader: &str, long: Duration) {
    let end = Instant::now() + long;
    while Instant::now() < end {
        for node in bed.cluster.servers().filter(|node| node.name != leader) {
            assert_ne!(node.role().as_deref(), Some("master"), "{leader} was deposed");
        }
        assert_eq!(bed.node(leader).role().as_deref(), Some("master"), "{leader} leads no more");
        std::thread::sleep(ms(50));
    }
}

#[test]
fn b1_b3_m16_all_killed_at_once_with_append_only_files() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    for round in 0..bed::rounds(3) {
        std::thread::sleep(secs(2));
        let ledger = disks::writers(&mut bed);
        let watch = bed::Watch::start(bed.cluster.server_addresses(), ms(10));
        if round == 1 {
            // B3: the state files of some may still name the old master.
            let (code, text) = bed::command(bed.node(&bed.master()), &["handover"]);
            assert_eq!(code, Some(0), "{text}");
            std::thread::sleep(secs(1));
        }
        // M16: the servers alone, the Sentinels go on. B1: everything.
        let servers_alone = round == 2;
        let last = bed.master();
        power_cut(&mut bed, |node| !servers_alone || node.kind == Kind::Server);
        std::thread::sleep(secs(1));
        let names = shuffled(if servers_alone { server_names(&bed) } else { all_names(&bed) });
        come_back(&mut bed, &names, ms(700));
        disks::writable(&ledger, &format!("the last one is back, round {round}"), WRITABLE);
        let leader = bed.settle("after the power cut");
        println!("round {round}: {last} was master, {leader} leads");
        assert_eq!(disks::lost(ledger, &bed, &leader), 0, "what was on the last master's disk is lost");
        assert!(watch.end().doubles.is_empty(), "two masters took writes");
    }
}

#[test]
fn b1_all_killed_at_once_with_snapshots() {
    let mut bed = Bed::up(disks::plan_with(RDB));
    let (master, replicas) = (bed.master(), bed.replicas());
    // The newest snapshot is on a replica, the oldest on the other.
    for (number, saves) in [&replicas[0], &master, &replicas[1]].into_iter().enumerate() {
        let name = format!("mark{number}");
        disks::mark(bed.node(&master), &name, 300);
        bed.wait("it is everywhere", secs(10), |cluster| {
            cluster.servers().all(|node| disks::marks(node, &name, 300) == 300)
        });
        bed.node(saves).ask(&["SAVE"]).unwrap();
    }
    // Its state file knows the offset that its snapshot has at least.
    std::thread::sleep(secs(2));
    power_cut(&mut bed, |_| true);
    let names = shuffled(all_names(&bed));
    let back = Instant::now();
    come_back(&mut bed, &names, ms(300));
    let leader = bed.settle("after the power cut");
    println!(
        "whole {:?} after the first was back; {} held the newest snapshot, {leader} leads",
        back.elapsed(),
        replicas[1]
    );
    for number in 0..3 {
        assert_eq!(disks::marks(bed.node(&leader), &format!("mark{number}"), 300), 300, "mark {number} is lost");
    }
}

#[test]
fn b3_m6_the_last_masters_disk_is_gone() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let master = bed.master();
    std::thread::sleep(secs(2));
    let mut ledger = disks::writers(&mut bed);
    std::thread::sleep(secs(3));
    // On the best replica's disk to within 1 s: writes older than that must all be there.
    ledger.close();
    std::thread::sleep(ms(1100));
    power_cut(&mut bed, |node| node.kind == Kind::Server);
    bed.node_mut(&master).wipe().unwrap();
    std::thread::sleep(ms(500));
    let names = shuffled(server_names(&bed));
    come_back(&mut bed, &names, ms(500));
    let again = disks::writers_after(&mut bed, WRITABLE);
    let led = Instant::now();
    let leader = bed.settle("without the last master's disk");
    assert!(led.elapsed() < secs(5), "named by all only {:?} after it led", led.elapsed());
    assert_ne!(leader, master, "the empty one leads");
    // M6: not deposed afterwards, when Sentinel tries again (2 x failover-timeout).
    stays(&bed, &leader, secs(60));
    assert_eq!(disks::lost(ledger, &bed, &leader), 0);
    assert_eq!(disks::lost(again, &bed, &leader), 0);
}

#[test]
fn m15_b2_b5_m14_the_last_masters_node_stays_away_and_comes_back_with_more() {
    let mut bed = Bed::up_beside(disks::plan_with(AOF));
    std::thread::sleep(secs(2));
    let (master, replicas) = (bed.master(), bed.replicas());
    disks::mark(bed.node(&master), "early", 300);
    std::thread::sleep(ms(1500));
    for name in &replicas {
        bed.node_mut(name).kill();
    }
    disks::mark(bed.node(&master), "late", 100);
    std::thread::sleep(ms(1500));
    bed.node_mut(&master).kill();
    let watch = bed::Watch::start(bed.cluster.server_addresses(), ms(10));
    std::thread::sleep(secs(1));
    come_back(&mut bed, &replicas, ms(500));
    // M15: writable within 50 s after a majority of the servers is back.
    let ledger = disks::writers_after(&mut bed, secs(50));
    let leader = bed.master();
    assert!(replicas.contains(&leader));
    assert_eq!(disks::marks(bed.node(&leader), "early", 300), 300);
    // M14: the late-comer holds more; it follows, and what it held is kept.
    bed.node_mut(&master).start().unwrap();
    assert_eq!(bed.settle("with the old master"), leader, "the leader was deposed");
    assert_eq!(disks::rollbacks(bed.node(&master)).len(), 1, "what only the old master held was not kept");
    assert_eq!(disks::lost(ledger, &bed, &leader), 0);
    assert!(watch.end().doubles.is_empty(), "two masters took writes");
}

#[test]
fn m14_an_elector_that_names_somebody_long_gone() {
    let mut bed = Bed::prepare(disks::plan_with(AOF));
    let at = SocketAddr::new(bed::nowhere(&bed).ip(), 4040);
    let _elector = Liar::http(at, move |_, _| Some(json(&format!(r#"{{"name":"{}"}}"#, at.ip()))));
    for node in &mut bed.cluster.nodes {
        node.env.retain(|(name, _)| name != "REDINIT_ELECTOR");
        node.env.push(("REDINIT_ELECTOR".into(), format!("http://{at}")));
    }
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    let ledger = disks::writers(&mut bed);
    let watch = bed::Watch::start(bed.cluster.server_addresses(), ms(10));
    power_cut(&mut bed, |_| true);
    let names = shuffled(all_names(&bed));
    come_back(&mut bed, &names, ms(300));
    disks::writable(&ledger, "the last one is back", WRITABLE);
    let leader = bed.settle("after the power cut");
    assert_eq!(disks::lost(ledger, &bed, &leader), 0);
    assert!(watch.end().doubles.is_empty(), "two masters took writes");
}

#[test]
fn m26_everything_restarts_and_the_sentinels_have_nothing() {
    let plan = disks::plan_with(AOF).elector(ElectorPlan::File);
    let mut bed = Bed::up(plan);
    std::thread::sleep(secs(2));
    let ledger = disks::writers(&mut bed);
    power_cut(&mut bed, |_| true);
    for number in 1..=3 {
        bed.node_mut(&format!("sentinel-{number}")).wipe().unwrap();
    }
    std::thread::sleep(secs(1));
    let names = shuffled(all_names(&bed));
    come_back(&mut bed, &names, ms(500));
    disks::writable(&ledger, "everything is back", secs(60));
    let leader = bed.settle("without the Sentinels' files");
    assert_eq!(disks::lost(ledger, &bed, &leader), 0);
}

#[test]
fn m27_two_servers_are_gone_for_good_and_the_master_restarts() {
    let slow = ["--appendonly", "yes", "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    let mut bed = Bed::up_beside(disks::plan_with(&slow));
    let (master, replicas) = (bed.master(), bed.replicas());
    bed.fill(&master, 10_000);
    for name in &replicas {
        bed.node_mut(name).kill();
    }
    std::thread::sleep(secs(2));
    bed.node_mut(&master).kill();
    std::thread::sleep(ms(500));
    bed.node_mut(&master).start().unwrap();
    bed.wait("it loads", secs(10), |cluster| phase(cluster, &master) == Some("loading".into()));
    bed.wait("it has loaded", secs(40), |cluster| phase(cluster, &master) != Some("loading".into()));
    let loaded = Instant::now();
    let ledger = disks::writers_after(&mut bed, secs(30));
    println!("M27: writable {:?} after it had loaded", loaded.elapsed());
    assert_eq!(disks::lost(ledger, &bed, &master), 0);
    assert!(disks::size(bed.node(&master)).is_some_and(|keys| keys >= 10_000));
}

fn phase(cluster: &Cluster, name: &str) -> Option<String> {
    cluster.node(name).unwrap().status()?["phase"].as_str().map(str::to_owned)
}
