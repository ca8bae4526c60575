//! V2, V3, U36: what an engine holds after a start or a sync, and what it says of it; each engine says something else.
//! `TEST_ENGINE=/path/to/server` runs any scenario on that engine, `make engines` these and some others on several.

use std::fs::{self, File};
use std::path::PathBuf;

use super::bed::disks::{self, AOF, RDB};
use super::bed::{self, Bed, Kind, Node, Signal, ms, secs};

const MARKS: usize = 1000;
/// So much of the file's end is lost, as by a power cut while the disk is slow.
const LOST: u64 = 30_000;

/// The file that is appended to now.
fn appended(node: &Node) -> PathBuf {
    let entries = fs::read_dir(node.data().join("appendonlydir")).unwrap().flatten().map(|entry| entry.path());
    let newest = entries.filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
    newest.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap()
}

fn cut_its_end(node: &Node) {
    let file = File::options().write(true).open(appended(node)).unwrap();
    let length = file.metadata().unwrap().len();
    assert!(length > LOST, "only {length} bytes");
    file.set_len(length - LOST).unwrap();
}

/// A thousand writes are everywhere, and the state files know it.
fn marked(bed: &Bed) -> String {
    let master = bed.master();
    disks::mark(bed.node(&master), "mark", MARKS);
    bed.wait("it is everywhere", secs(10), |cluster| {
        cluster.servers().all(|node| disks::marks(node, "mark", MARKS) == MARKS)
    });
    std::thread::sleep(ms(1200));
    master
}

/// Nothing is written for longer than a state file may stand still then.
fn at_rest() {
    std::thread::sleep(secs(7));
}

fn all_marks_led(bed: &Bed, when: &str) -> String {
    let leader = bed.settle(when);
    assert_eq!(disks::marks(bed.node(&leader), "mark", MARKS), MARKS, "{leader} leads with less than another holds");
    leader
}

#[test]
fn v2_the_end_of_the_masters_file_is_lost_with_its_engine() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let master = marked(&bed);
    bed.signal(&master, Signal::SIGSTOP);
    assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
    std::thread::sleep(ms(100));
    cut_its_end(bed.node(&master));
    bed.signal(&master, Signal::SIGCONT);
    bed.wait_leader_other_than(&master, secs(10));
    assert_ne!(all_marks_led(&bed, "without the end of the file"), master);
}

#[test]
fn v2_the_end_of_the_masters_file_is_lost_while_everything_is_stopped() {
    let mut bed = Bed::up_beside(disks::plan_with(AOF));
    let master = marked(&bed);
    for node in &mut bed.cluster.nodes {
        node.kill();
    }
    cut_its_end(bed.node(&master));
    bed.cluster.start_all().unwrap();
    assert_ne!(all_marks_led(&bed, "without the end of the file"), master);
}

#[track_caller]
fn nothing_was_kept(bed: &Bed, when: &str) {
    for node in bed.cluster.servers() {
        let kept = disks::rollbacks(node);
        assert!(kept.is_empty(), "{when}, {}: {kept:?}\n{}", node.name, node.log_tail(20));
    }
}

/// SIGTERM, and the start when it has ended.
fn restart(bed: &mut Bed, names: &[String]) {
    for name in names {
        bed.signal(name, Signal::SIGTERM);
    }
    for name in names {
        assert!(bed.node_mut(name).wait(secs(60)).is_some(), "{name} does not end");
    }
    bed.cluster.start_all().unwrap();
}

/// Everything at once, with the Sentinels and without them, and each server in turn: nothing is lost, so nothing is kept.
fn restarts(arguments: &[&str], killed: bool) {
    let mut bed = Bed::up_beside(disks::plan_with(arguments));
    marked(&bed);
    at_rest();
    let all: Vec<String> = bed.cluster.nodes.iter().map(|node| node.name.clone()).collect();
    let servers: Vec<String> = bed.cluster.servers().map(|node| node.name.clone()).collect();
    restart(&mut bed, &all);
    all_marks_led(&bed, "after a restart of everything");
    nothing_was_kept(&bed, "everything");
    at_rest();
    if killed {
        for node in bed.cluster.nodes.iter_mut().filter(|node| node.kind == Kind::Server) {
            node.kill();
        }
        bed.cluster.start_all().unwrap();
        all_marks_led(&bed, "after all servers were killed");
        nothing_was_kept(&bed, "all servers killed");
        at_rest();
    }
    for name in servers {
        restart(&mut bed, std::slice::from_ref(&name));
        all_marks_led(&bed, "after a restart of one");
        nothing_was_kept(&bed, &name);
    }
}

#[test]
fn v3_no_rollback_file_where_nothing_is_lost_with_append_only_files() {
    restarts(AOF, true);
}

#[test]
fn v3_no_rollback_file_where_nothing_is_lost_with_snapshots() {
    restarts(RDB, false);
}

/// Replicas that are new have just synced when the master's engine dies. Its snapshot has half of what they hold.
fn newly_synced(servers: u8) {
    let mut bed = Bed::up(disks::plan_with(RDB).sized(servers, 3, 2));
    // The Sentinels have made a decision that new servers know nothing of.
    bed.rest(bed::REST);
    let (code, text) = bed::command(bed.node(&bed.master()), &["handover"]);
    assert_eq!(code, Some(0), "{text}");
    let master = bed.settle("after the handover");
    disks::mark(bed.node(&master), "saved", MARKS);
    bed.node(&master).ask(&["SAVE"]).unwrap();
    disks::mark(bed.node(&master), "mark", MARKS);
    let replicas = bed.replicas();
    for name in &replicas {
        bed.node_mut(name).wipe().unwrap();
    }
    std::thread::sleep(secs(7));
    for name in &replicas {
        bed.node_mut(name).start().unwrap();
    }
    let up = |node: &Node| node.info("replication", "master_link_status").as_deref() == Some("up");
    bed.wait("they are in sync", secs(30), |cluster| replicas.iter().all(|name| up(cluster.node(name).unwrap())));
    assert!(bed.node(&master).signal_engine(Signal::SIGKILL));
    // It is named until somebody else is: the cluster looks whole for a moment.
    bed.wait_leader_other_than(&master, secs(60));
    let leader = all_marks_led(&bed, "after the crash");
    assert_eq!(disks::marks(bed.node(&leader), "saved", MARKS), MARKS);
}

#[test]
fn u36_replicas_have_just_synced_when_the_masters_engine_dies() {
    newly_synced(3);
}

#[test]
fn u36_the_only_replica_has_just_synced_when_the_masters_engine_dies() {
    newly_synced(2);
}
