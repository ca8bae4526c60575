//! D, G6, M1, M7, M8, M11: the child crashes, or everything of the master does.

use std::time::{Duration, Instant};

use super::bed::disks::{self, AOF, NOTHING, RDB};
use super::bed::floor::Floor;
use super::bed::{self, Bed, Signal, ms, secs, wire};

/// How often a crash is repeated in CI.
const ROUNDS: usize = 3;

fn median(gaps: &mut [Duration]) -> Duration {
    gaps.sort();
    gaps[gaps.len() / 2]
}

#[test]
fn d1_an_empty_master_does_not_empty_its_replicas() {
    let mut bed = Bed::up(disks::plan_with(NOTHING));
    let master = bed.master();
    bed.fill(&master, 5000);
    let mut gaps = Vec::new();
    // Its process only.
    let rounds = bed::rounds(ROUNDS);
    for round in 0..rounds {
        // A Sentinel whose INFO is younger than 1 s waits for its second: right after a start or a failover all are. And not
        // at the same point of the Sentinels' periods each time.
        bed.rest(bed::REST + ms(370) * u32::try_from(round).unwrap());
        let floor = Floor::watch(&bed, &bed.replicas(), 5000);
        let outcome = bed.event(|bed| {
            let master = bed.master();
            assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
            bed.wait_leader_other_than(&master, secs(5));
        });
        outcome.lost_in_flight_at_most().moved().gap_within(ms(1600));
        gaps.push(outcome.gap);
        assert!(floor.lowest() >= 5000, "a replica was emptied");
    }
    println!("D1, process: gaps {gaps:?}");
    assert!(rounds < ROUNDS || median(&mut gaps) <= ms(500), "median {gaps:?}, promised are 500 ms");
    // The whole container, back at once with nothing on its volume.
    let mut gaps = Vec::new();
    for back in [100, 2000].map(ms).into_iter().take(bed::rounds(2)) {
        let floor = Floor::watch(&bed, &bed.replicas(), 5000);
        let outcome = bed.event(|bed| {
            let master = bed.master();
            bed.node_mut(&master).wipe().unwrap();
            std::thread::sleep(back);
            bed.node_mut(&master).start().unwrap();
            bed.wait_leader_other_than(&master, secs(10));
        });
        outcome.lost_in_flight_at_most().moved().gap_within(ms(1500));
        gaps.push(outcome.gap);
        assert!(floor.lowest() >= 5000, "a replica was emptied");
    }
    println!("D1, container: gaps {gaps:?}");
}

#[test]
fn d2_older_data_do_not_replace_newer() {
    let mut bed = Bed::up(disks::plan_with(RDB));
    let master = bed.master();
    bed.fill(&master, 1000);
    bed.node(&master).ask(&["SAVE"]).unwrap();
    bed.fill(&master, 5000);
    let floor = Floor::watch(&bed, &bed.replicas(), 5000);
    let outcome = bed.event(|bed| {
        bed.node_mut(&master).kill();
        std::thread::sleep(ms(200));
        bed.node_mut(&master).start().unwrap();
        bed.wait_leader_other_than(&master, secs(10));
    });
    outcome.lost_in_flight_at_most().moved().gap_within(ms(1500));
    assert!(floor.lowest() >= 5000, "older data were spread");
}

#[test]
fn d3_a_good_append_only_file_leads_again_in_place() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let master = bed.master();
    bed.fill(&master, 2000);
    let mut gaps = Vec::new();
    for _ in 0..bed::rounds(ROUNDS) {
        let outcome = bed.event(|bed| {
            let master = bed.master();
            assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
            std::thread::sleep(secs(2));
        });
        outcome.lossless().gap_within(ms(500));
        gaps.push(outcome.gap);
        // What crashes sooner than that waits: a back-off.
        bed.rest(secs(4));
    }
    println!("D3: gaps {gaps:?}");
}

#[test]
fn d5_killed_while_it_saves() {
    let mut bed = Bed::up(disks::plan_with(&["--save", "", "--rdb-key-save-delay", "1000"]));
    let master = bed.master();
    bed.fill(&master, 5000);
    let outcome = bed.event(|bed| {
        bed.node(&master).ask(&["BGSAVE"]).unwrap();
        std::thread::sleep(ms(500));
        assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
        bed.wait_leader_other_than(&master, secs(5));
    });
    outcome.lost_in_flight_at_most().moved().gap_within(ms(1600));
    assert_eq!(bed.logged(&master, "killed by signal 9"), 1, "not said, or more than once");
    bed.wait("nothing half written is left", secs(10), |cluster| {
        let files = std::fs::read_dir(cluster.node(&master).unwrap().data()).unwrap().flatten();
        !files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("temp-"))
    });
}

#[test]
fn g6_an_endless_script_and_a_frozen_child() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let master = bed.master();
    // BUSY is life: nothing is killed, the probe says what it is.
    let busy = bed.node(&master).address();
    let script = std::thread::spawn(move || {
        let forever = "local n = 0 while true do n = n + 1 end";
        wire::ask(busy, secs(20), &["EVAL", forever, "0"]).ok()
    });
    let pid = bed.node(&master).engine_pid();
    bed.wait("BUSY is reported", secs(10), |cluster| {
        cluster.node(&master).unwrap().probe("livez").is_some_and(|(yes, why)| yes && why.contains("script"))
    });
    let (ready, why) = bed.node(&master).probe("readyz").unwrap();
    assert!(!ready && why.contains("script"), "{why}");
    assert_eq!(bed.node(&master).engine_pid(), pid, "a busy child was replaced");
    let kill = bed.node(&master).ask(&["SCRIPT", "KILL"]);
    script.join().unwrap();
    println!("SCRIPT KILL: {kill:?}");
    bed.settle("after the script");
    // A frozen one says nothing, and is replaced after 30 s.
    let outcome = bed.event(|bed| {
        let master = bed.master();
        let old = bed.node(&master).engine_pid();
        let frozen = Instant::now();
        assert!(bed.node(&master).signal_engine(Signal::SIGSTOP));
        bed.wait("silence is reported", secs(5), |cluster| {
            cluster.node(&master).unwrap().probe("livez").is_some_and(|(yes, why)| yes && why.contains("not answer"))
        });
        // Nobody leads meanwhile: it may still acknowledge writes when it thaws.
        bed.wait("the frozen child is replaced", secs(40), |cluster| {
            let now = cluster.node(&master).unwrap().engine_pid();
            now.is_some() && now != old
        });
        println!("replaced {:?} after it froze", frozen.elapsed());
        assert!(frozen.elapsed() >= secs(29), "replaced before 30 s of silence");
    });
    outcome.lost_in_flight_at_most().gap_within(secs(36));
}

#[test]
fn m1_a_container_that_is_back_while_the_others_ask() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let mut gaps = Vec::new();
    for _ in 0..ROUNDS {
        let outcome = bed.event(|bed| {
            let master = bed.master();
            bed.node_mut(&master).kill();
            std::thread::sleep(ms(120));
            bed.node_mut(&master).start().unwrap();
            std::thread::sleep(secs(3));
        });
        outcome.lost_in_flight_at_most().gap_within(ms(1500));
        gaps.push(outcome.gap);
    }
    println!("M1: gaps {gaps:?}");
}

#[test]
fn m11_the_whole_container_is_gone_and_its_address_refuses() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    // Each HTTP port has answered: a refusal counts only then.
    std::thread::sleep(secs(5));
    let mut gaps = Vec::new();
    for _ in 0..ROUNDS {
        let outcome = bed.event(|bed| {
            let master = bed.master();
            bed.node_mut(&master).kill();
            bed.wait_leader_other_than(&master, secs(10));
            std::thread::sleep(secs(1));
        });
        outcome.lost_in_flight_at_most().moved().gap_within(ms(1500));
        gaps.push(outcome.gap);
    }
    println!("container gone: gaps {gaps:?}");
}

#[test]
fn m7_a_child_that_loads_while_a_failover_runs_stays_behind_its_door() {
    let slow = ["--appendonly", "yes", "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"];
    let mut bed = Bed::up(disks::plan_with(&slow));
    let master = bed.master();
    bed.fill(&master, 5000);
    let outcome = bed.event(|bed| {
        assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
        let end = Instant::now() + secs(10);
        while Instant::now() < end {
            let role = bed.node(&master).role();
            assert_ne!(role.as_deref(), Some("master"), "it opened as master after all");
            std::thread::sleep(ms(5));
        }
    });
    outcome.lost_in_flight_at_most().moved().gap_within(secs(5));
}

/// One replica is behind by more than what its socket holds; then the master dies. The one that lags; the keys.
fn crash_with_a_laggard(bed: &mut Bed, laggard: &str) {
    const VALUES: usize = 300;
    let master = bed.master();
    let value = "x".repeat(100_000);
    assert!(bed.node(laggard).signal_engine(Signal::SIGSTOP));
    let mut link = wire::Connection::open(bed.node(&master).address(), secs(5)).unwrap();
    for key in 0..VALUES {
        assert!(matches!(link.call(&["SET", &format!("big:{key}"), &value]), Ok(wire::Reply::Status(_))));
    }
    std::thread::sleep(ms(300));
    assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
    assert!(bed.node(laggard).signal_engine(Signal::SIGCONT));
    bed.wait_leader_other_than(&master, secs(10));
    let leader = bed.settle("after the crash");
    assert_ne!(leader, laggard, "the one that lags leads");
    assert_eq!(disks::marks(bed.node(&leader), "big", VALUES), VALUES, "writes were lost");
}

#[test]
fn m8_m25_of_two_replicas_the_one_that_has_more_leads() {
    // M25: the one that lags is the user's favourite.
    let mut plan = disks::plan_with(NOTHING);
    let favourite = ["--save", "", "--replica-priority", "1"];
    plan.node_args.insert("server-3".into(), disks::run_with(&favourite));
    plan = plan.delayed("server-2", ms(200)).delayed("server-3", ms(400));
    let mut bed = Bed::up(plan);
    let master = bed.master();
    let laggard = if master == "server-3" { bed.replicas().remove(0) } else { "server-3".to_owned() };
    let outcome = bed.event(|bed| crash_with_a_laggard(bed, &laggard));
    outcome.lost_in_flight_at_most().moved().gap_within(secs(6));
}

#[test]
fn m25_priority_0_never_leads() {
    let mut plan = disks::plan_with(NOTHING);
    for name in ["server-2", "server-3"] {
        plan.node_args.insert(name.into(), disks::run_with(&["--save", "", "--replica-priority", "0"]));
    }
    let bed = Bed::up_beside(plan);
    assert_eq!(bed.master(), "server-1");
    // Nobody else may: the empty one that was master leads again rather than one of them, or nobody does.
    let watch = Instant::now();
    assert!(bed.node("server-1").signal_engine(Signal::SIGKILL));
    while watch.elapsed() < secs(12) {
        for name in ["server-2", "server-3"] {
            assert_ne!(bed.node(name).role().as_deref(), Some("master"), "{name} has priority 0 and leads");
        }
        std::thread::sleep(ms(20));
    }
}

/// When the master and its supervisor die.
enum Blow {
    At(Duration),
    Chosen,
    Released,
    Led,
}

#[test]
fn m11_master_and_supervisor_die_at_each_step_of_a_handover() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let mut gaps = Vec::new();
    // Everybody has heard of everybody, and each HTTP port has answered: a refusal counts only then.
    std::thread::sleep(secs(10));
    // H0, H1 (--to), H2, H3, H4 and H5.
    for (blow, to) in [
        (Blow::At(ms(0)), false),
        (Blow::At(ms(150)), true),
        (Blow::Chosen, false),
        (Blow::Released, false),
        (Blow::Led, false),
    ] {
        // One fault at a time: of a new master that dies within its own failover's second nothing is promised.
        bed.wait("no failover", secs(15), |_| bed.sentinels_rest());
        let outcome = bed.event(|bed| {
            let (old, other) = (bed.master(), bed.replicas().remove(0));
            let node = bed.node(&old);
            let mut handover = std::process::Command::new(&node.program);
            handover.arg("handover").env_clear().envs(node.env.iter().map(|(name, value)| (name, value)));
            if to {
                handover.args(["--to", &bed.node(&other).address().to_string()]);
            }
            let mut handover = handover.stdout(std::process::Stdio::null()).spawn().unwrap();
            match blow {
                Blow::At(after) => std::thread::sleep(after),
                Blow::Chosen => bed.wait("a proposal", secs(10), |_| bed.proposed().is_some()),
                Blow::Released => bed.wait_fenced(&old, secs(10)),
                Blow::Led => {
                    bed.wait_leader_other_than(&old, secs(10));
                }
            }
            bed.node_mut(&old).kill();
            handover.wait().unwrap();
            bed.wait_leader_other_than(&old, secs(10));
            std::thread::sleep(secs(1));
        });
        gaps.push(outcome.gap);
        outcome.lost_in_flight_at_most().moved().gap_within(secs(2));
    }
    println!("M11: gaps {gaps:?}");
}
