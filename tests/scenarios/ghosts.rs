//! B4, E1, E3 to E5, F5, M23: members that change their addresses or are replaced, and the files of Sentinels.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::bed::names::NamedBed;
use super::bed::{self, Bed, Kind, Signal, ms, secs};

/// No ghost is left after this long.
const CLEAN_WITHIN: Duration = Duration::from_secs(300);
/// All servers are back, each at a new address: writable within this time.
const WRITABLE: Duration = Duration::from_secs(20);

/// What they hold is on their disks.
fn with_aof(plan: bed::Plan) -> bed::Plan {
    let args = ["run", "--", "--appendonly", "yes"].map(str::to_owned).to_vec();
    let servers = (1..=3).map(|n| (format!("server-{n}"), args.clone())).collect();
    bed::Plan { node_args: servers, ..plan }
}

fn names(bed: &Bed, kind: Kind) -> Vec<String> {
    bed.cluster.nodes.iter().filter(|node| node.kind == kind).map(|node| node.name.clone()).collect()
}

#[track_caller]
fn wait_clean(bed: &Bed, since: Instant) {
    let mut last = Ok(());
    while since.elapsed() < CLEAN_WITHIN {
        last = bed.lists_are_clean();
        if last.is_ok() {
            return println!("no ghost left after {:?}", since.elapsed());
        }
        std::thread::sleep(ms(500));
    }
    panic!("after {CLEAN_WITHIN:?}: {last:?}");
}

/// A replica moves, all Sentinels are replaced one after the other, faster than anybody may be pruned, and the master
/// changes while that is so. It dies again in the middle of the clean-up.
#[test]
fn e1_e3_m23_ghosts_go_and_the_master_may_die_meanwhile() {
    needs_namespaces!();
    let mut named = NamedBed::up(bed::plan());
    let moved = named.bed.replicas().remove(0);
    named.readdress(&moved);
    named.bed.node_mut(&moved).start().unwrap();
    for name in names(&named.bed, Kind::Sentinel) {
        named.replace_sentinel(&name, Some(&format!("{name}-new")));
        std::thread::sleep(secs(5));
    }
    let since = Instant::now();
    let bed = &mut named.bed;
    let haunted = bed.lists_are_clean().expect_err("no ghost to begin with");
    println!("{haunted}");
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.node_mut(&master).kill();
    });
    outcome.lost_in_flight_at_most().moved();
    println!("the master died among ghosts: {:?} without a write", outcome.gap);
    // In the window of the clean-up: one Sentinel has been restarted just now.
    bed.wait("the first is pruned", CLEAN_WITHIN, |_| {
        std::thread::sleep(ms(20));
        names(bed, Kind::Sentinel).iter().any(|name| bed.logged(name, "dropped from the list") > 0)
    });
    println!("the first is pruned after {:?}", since.elapsed());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.node_mut(&master).kill();
    });
    outcome.lost_in_flight_at_most().moved();
    println!("the master died in the clean-up: {:?} without a write", outcome.gap);
    wait_clean(bed, since);
    for name in names(bed, Kind::Sentinel) {
        assert!(bed.quorum_ok(&name), "{name}: CKQUORUM");
    }
}

fn sentinel_file(bed: &Bed, name: &str) -> PathBuf {
    bed.node(name).data().join("redinit-sentinel.conf")
}

#[test]
fn e4_e5_a_file_with_duplicate_own_and_unresolvable_entries_is_repaired() {
    let mut bed = Bed::up_beside(bed::plan());
    bed.wait("they know each other", secs(10), |_| bed.lists_are_clean().is_ok());
    let file = sentinel_file(&bed, "sentinel-1");
    bed.node_mut("sentinel-1").kill();
    let (own, other, server) = (bed.node("sentinel-1").ip, bed.node("sentinel-2").ip, bed.node(&bed.replicas()[0]).ip);
    let text = std::fs::read_to_string(&file).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("sentinel myid ")).expect("an id").to_owned();
    let bad = format!(
        "sentinel known-sentinel mymaster {own} 26379 {}\nsentinel known-sentinel mymaster {other} 26380 {id}\n\
         sentinel known-sentinel mymaster gone.redinit.test 26379 {}\nsentinel known-replica mymaster gone.redinit.test 6379\n\
         sentinel known-replica mymaster {server} 6379\nsentinel known-sentinel mymaster {other} 26379 {}\n",
        "a".repeat(40),
        "b".repeat(40),
        "c".repeat(40),
    );
    std::fs::write(&file, text + &bad).unwrap();
    let began = Instant::now();
    bed.node_mut("sentinel-1").start().unwrap();
    bed.wait("it lists who is there", secs(10), |_| bed.lists_are_clean().is_ok() && bed.quorum_ok("sentinel-1"));
    println!("repaired, and whole after {:?}", began.elapsed());
    for trouble in ["Can't resolve", "FATAL CONFIG", "+tilt", "child ended unasked"] {
        assert_eq!(bed.logged("sentinel-1", trouble), 0, "{trouble}\n{}", bed.node("sentinel-1").log_tail(40));
    }
    let status = bed.node("sentinel-1").status().expect("a status");
    assert_eq!(status["engine"]["restarts"], 0, "{status}");
}

/// Its file names another master at the same epoch.
fn name_another(bed: &mut Bed, sentinel: &str, other: &str, master: &str) {
    let file = sentinel_file(bed, sentinel);
    let (other, master) = (bed.node(other).ip, bed.node(master).ip);
    bed.node_mut(sentinel).kill();
    let text = std::fs::read_to_string(&file).unwrap();
    let swapped: Vec<String> = text
        .lines()
        .map(|line| {
            let about = line.starts_with("sentinel monitor") || line.starts_with("sentinel known-replica");
            match about {
                true => line
                    .replace(&format!(" {other} "), " other ")
                    .replace(&format!(" {master} "), &format!(" {other} "))
                    .replace(" other ", &format!(" {master} ")),
                false => line.to_owned(),
            }
        })
        .collect();
    assert!(swapped.iter().any(|line| line.starts_with(&format!("sentinel monitor mymaster {other} "))), "{swapped:?}");
    std::fs::write(&file, swapped.join("\n") + "\n").unwrap();
}

#[test]
fn f5_equal_epochs_and_different_masters_converge() {
    let mut bed = Bed::up_beside(bed::plan());
    bed.wait("they know each other", secs(10), |_| bed.lists_are_clean().is_ok());
    let mut took = Duration::ZERO;
    let outcome = bed.event(|bed| {
        let (master, replicas) = (bed.master(), bed.replicas());
        for (sentinel, other) in [("sentinel-1", &replicas[0]), ("sentinel-2", &replicas[1])] {
            name_another(bed, sentinel, other, &master);
        }
        for name in ["sentinel-1", "sentinel-2"] {
            bed.node_mut(name).start().unwrap();
        }
        let began = Instant::now();
        bed.wait("they differ", secs(5), |cluster| {
            let named: Vec<_> = cluster.sentinels().named().into_iter().flatten().collect();
            named.len() == 3 && named[0] != named[1] && named[0] != named[2] && named[1] != named[2]
        });
        let right = bed.node(&master).address();
        bed.wait("they agree", secs(40), |cluster| cluster.sentinels().unanimous() == Ok(right));
        took = began.elapsed();
    });
    assert_eq!(outcome.before, outcome.after);
    outcome.lossless();
    println!("three Sentinels that named three masters agree after {took:?}");
}

/// Every server ends at once and comes back at another address, with its volume; how long until one takes writes again.
fn every_server_moves(named: &mut NamedBed) -> Instant {
    let servers = names(&named.bed, Kind::Server);
    // At one moment: whoever outlives the master asks for a failover, and Sentinels that wait for one are left alone.
    for name in &servers {
        named.bed.signal(name, Signal::SIGSTOP);
    }
    for name in &servers {
        named.readdress(name);
    }
    std::thread::sleep(ms(500));
    for name in &servers {
        named.bed.node_mut(name).start().unwrap();
    }
    Instant::now()
}

/// Named by all, taking writes, followed, and nothing that was on the disks is missing.
#[track_caller]
fn whole_again(bed: &Bed, since: Instant, keys: i64) -> String {
    let master = bed.settle("at new addresses");
    let set = bed.node(&master).ask(&["SET", "again", "1"]).unwrap();
    let took = since.elapsed();
    println!("named and writable {took:?} after the last one is back");
    assert_eq!(set, bed::wire::Reply::Status("OK".into()));
    assert!(took < WRITABLE, "writable only after {took:?}");
    let held = bed.node(&master).ask(&["DBSIZE"]).unwrap();
    assert_eq!(held, bed::wire::Reply::Integer(keys + 1), "what was filled, and one write");
    master
}

#[test]
fn b4_every_server_at_a_new_address_the_sentinels_point_to_a_dead_one() {
    needs_namespaces!();
    let mut named = NamedBed::up(with_aof(bed::plan()));
    named.bed.fill(&named.bed.master(), 1000);
    // A second for the append-only files.
    std::thread::sleep(secs(2));
    let back = every_server_moves(&mut named);
    let master = whole_again(&named.bed, back, 1000);
    std::thread::sleep(secs(10));
    assert_eq!(named.bed.settle("10 s later"), master, "deposed");
    if std::env::var_os("REDINIT_LONG").is_some() {
        wait_clean(&named.bed, back);
    }
}

#[test]
fn b4_every_server_at_a_new_address_the_sentinels_have_lost_their_files() {
    needs_namespaces!();
    let mut named = NamedBed::up(with_aof(bed::plan()));
    named.bed.fill(&named.bed.master(), 1000);
    std::thread::sleep(secs(2));
    for name in names(&named.bed, Kind::Sentinel) {
        named.bed.node_mut(&name).wipe().unwrap();
    }
    let back = every_server_moves(&mut named);
    for name in names(&named.bed, Kind::Sentinel) {
        named.bed.node_mut(&name).start().unwrap();
    }
    whole_again(&named.bed, back, 1000);
    let bed = &named.bed;
    bed.wait("no ghost", secs(10), |_| bed.lists_are_clean().is_ok());
}

#[test]
fn m23_four_sentinels_replaced_at_once_under_their_names() {
    needs_namespaces!();
    let mut named = NamedBed::up(bed::plan().sized(3, 4, 3));
    let began = Instant::now();
    for name in names(&named.bed, Kind::Sentinel) {
        named.replace_sentinel(&name, None);
    }
    let bed = &mut named.bed;
    let every = names(bed, Kind::Sentinel);
    bed.wait("CKQUORUM OK and no ghost", secs(30), |_| {
        every.iter().all(|name| bed.quorum_ok(name)) && bed.lists_are_clean().is_ok()
    });
    println!("whole after {:?}", began.elapsed());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        bed.node_mut(&master).kill();
    });
    outcome.lost_in_flight_at_most().moved();
}

/// The figure of the promises, 12 minutes: run by hand with `REDINIT_LONG=1`.
#[test]
fn m23_four_sentinels_replaced_one_every_150_s() {
    needs_namespaces!();
    if std::env::var_os("REDINIT_LONG").is_none() {
        return println!("skipped: takes 12 minutes; set REDINIT_LONG=1");
    }
    let mut named = NamedBed::up(bed::plan().sized(3, 4, 3));
    let every = names(&named.bed, Kind::Sentinel);
    let mut last = Instant::now();
    for name in &every {
        last = Instant::now();
        named.replace_sentinel(name, Some(&format!("{name}-new")));
        let bed = &mut named.bed;
        bed.wait("the new one knows the others", secs(15), |_| bed.quorum_ok(name));
        let outcome = bed.event(|bed| {
            let master = bed.master();
            bed.node_mut(&master).kill();
        });
        outcome.lost_in_flight_at_most().moved();
        println!("{name} replaced, the master killed: {:?} without a write", outcome.gap);
        while last.elapsed() < secs(150) {
            // A Sentinel that is being restarted is asked again.
            for name in &every {
                bed.wait(&format!("{name}: CKQUORUM OK"), secs(1), |_| bed.quorum_ok(name));
            }
            std::thread::sleep(ms(500));
        }
    }
    wait_clean(&named.bed, last);
}
