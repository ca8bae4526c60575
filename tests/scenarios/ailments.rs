//! D4: a full disk, saves that fail, damaged files; and the volume of another cluster. Each is told apart in one line,
//! nothing turns in circles, and no data file is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::bed::disks::{self, AOF, run_with};
use super::bed::{self, Bed, Signal, Turn, ms, secs, wire};

pub(super) const ONE: &str = "server-1";

/// One server and one Sentinel.
pub(super) fn alone(arguments: &[&str]) -> Bed {
    let mut plan = bed::plan().sized(1, 1, 1);
    plan.expected_servers = Some(1);
    plan.node_args.insert(ONE.into(), run_with(arguments));
    Bed::prepare_in(Turn::beside(), plan)
}

/// A small file system at a path, until this is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: PathBuf) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&at).status();
        mount.is_ok_and(|status| status.success()).then_some(Tmpfs(at))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// The engine's files, whole.
pub(super) fn data_files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            found.extend(data_files(&path));
        } else if name.ends_with(".rdb") || name.ends_with(".aof") || name.ends_with(".manifest") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn accepts_writes(bed: &Bed) -> bool {
    matches!(bed.node(ONE).ask(&["SET", "again", "x"]), Ok(wire::Reply::Status(_)))
}

#[test]
fn d4_a_full_disk() {
    let mut bed = alone(AOF);
    let data = bed.node(ONE).data();
    let Some(_tmpfs) = Tmpfs::mount(data.clone()) else {
        println!("skipped: needs root, to mount a small file system");
        return;
    };
    std::fs::write(data.join("ballast"), vec![0; 3 << 20]).unwrap();
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    let value = "x".repeat(100_000);
    let mut refused = None;
    for key in 0..200 {
        if let Ok(wire::Reply::Error(error)) = bed.node(ONE).ask(&["SET", &format!("big:{key}"), &value]) {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.expect("8 MB took 20 MB");
    assert!(refused.starts_with("MISCONF"), "{refused}");
    let pid = bed.node(ONE).engine_pid();
    bed.wait("it is said", secs(5), |_| bed.logged(ONE, "disk of the data directory is full") == 1);
    bed.wait("it is not ready, for that reason", secs(2), |cluster| {
        cluster.node(ONE).unwrap().probe("readyz").is_some_and(|(ready, why)| !ready && why.contains("is full"))
    });
    assert_eq!(bed.node(ONE).probe("livez").map(|(live, _)| live), Some(true));
    std::thread::sleep(secs(3));
    assert_eq!(bed.logged(ONE, "disk of the data directory is full"), 1, "said again and again");
    assert_eq!(bed.node(ONE).engine_pid(), pid, "the child was replaced, which makes no room");
    std::fs::remove_file(data.join("ballast")).unwrap();
    bed.wait("writes go on", secs(10), |_| accepts_writes(&bed));
    bed.wait("it is ready", secs(5), |cluster| cluster.node(ONE).unwrap().probe("readyz").is_some_and(|(yes, _)| yes));
}

#[test]
fn d4_saves_that_fail_although_there_is_room() {
    let mut bed = alone(&["--save", "1 1"]);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    std::fs::create_dir(bed.node(ONE).data().join("dump.rdb")).unwrap();
    assert!(accepts_writes(&bed));
    bed.wait("MISCONF", secs(20), |cluster| {
        matches!(cluster.node(ONE).unwrap().ask(&["SET", "more", "x"]), Ok(wire::Reply::Error(error)) if error.starts_with("MISCONF"))
    });
    bed.wait("it is said", secs(5), |_| bed.logged(ONE, "cannot save although its disk has room") == 1);
    std::fs::remove_dir(bed.node(ONE).data().join("dump.rdb")).unwrap();
    bed.wait("writes go on", secs(20), |_| accepts_writes(&bed));
}

/// Stops it, damages one of its files, and starts it again: it says so, tries a few times, and gives up.
fn damaged(arguments: &[&str], which: &str, says: &str, restarts: usize) {
    let mut bed = alone(arguments);
    bed.node_mut(ONE).env.push(("REDINIT_RESTART_MAX".into(), restarts.to_string()));
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    disks::mark(bed.node(ONE), "mark", 2000);
    bed.node(ONE).ask(&["SAVE"]).unwrap();
    bed.node_mut(ONE).kill();
    let directory = bed.node(ONE).data();
    let (path, mut bytes) = data_files(&directory)
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().contains(which))
        .unwrap_or_else(|| panic!("no {which} in {:?}", data_files(&directory).keys()));
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    let before = data_files(&directory);
    let starts = bed.logged(ONE, "child started, pid");
    let began = Instant::now();
    bed.node_mut(ONE).start().unwrap();
    let status = bed.node_mut(ONE).wait(secs(60)).expect("it never gave up");
    println!("gave up with {status:?} after {:?}", began.elapsed());
    assert_eq!(status.code(), Some(1));
    let starts = bed.logged(ONE, "child started, pid") - starts;
    assert_eq!(starts, restarts + 1, "so many restarts and no more");
    // 0.5 s, doubling.
    let backed_off = ms(500) * (2u32.pow(u32::try_from(restarts).unwrap()) - 1);
    assert!(began.elapsed() > backed_off, "it turned in circles");
    assert_eq!(bed.logged(ONE, says), 1, "not said, or said again and again");
    assert_eq!(data_files(&directory), before, "a data file was touched");
}

#[test]
fn d4_a_damaged_append_only_file() {
    damaged(AOF, "incr.aof", "the append-only file", 4);
}

#[test]
fn d4_a_damaged_snapshot() {
    damaged(&["--save", "36000 1"], "dump.rdb", "the snapshot", 2);
}

#[test]
fn d4_the_volume_of_another_cluster_is_refused() {
    let mut bed = alone(AOF);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    disks::mark(bed.node(ONE), "mark", 100);
    bed.signal(ONE, Signal::SIGTERM);
    assert!(bed.node_mut(ONE).wait(secs(20)).is_some());
    let directory = bed.node(ONE).data();
    let before = data_files(&directory);
    let own = bed.node(ONE).env.clone();
    let node = bed.node_mut(ONE);
    for (name, value) in &mut node.env {
        if name == "REDINIT_MASTER_NAME" {
            *value = "another".into();
        }
    }
    node.start().unwrap();
    let status = node.wait(secs(10)).expect("it went on with somebody else's data");
    assert_eq!(status.code(), Some(78));
    assert_eq!(bed.logged(ONE, "belongs to the group `mymaster`, not to `another`"), 1);
    assert_eq!(data_files(&directory), before, "a data file was touched");
    bed.node_mut(ONE).env = own;
    bed.node_mut(ONE).start().unwrap();
    bed.settle("with its own name");
    assert_eq!(disks::marks(bed.node(ONE), "mark", 100), 100);
}

#[test]
fn d4_a_volume_with_a_history_that_may_be_newer_is_refused() {
    let mut bed = Bed::up(disks::plan_with(AOF));
    let (master, replicas) = (bed.master(), bed.replicas());
    disks::mark(bed.node(&master), "mark", 100);
    std::thread::sleep(secs(2));
    let away = &replicas[0];
    bed.signal(away, Signal::SIGTERM);
    assert!(bed.node_mut(away).wait(secs(20)).is_some());
    let directory = bed.node(away).data();
    let state = directory.join("redinit.state");
    let text = std::fs::read_to_string(&state).unwrap();
    let mut found: serde_json::Value = serde_json::from_str(&text).unwrap();
    found["record"]["epoch"] = 99.into();
    found["record"]["history"] = "f".repeat(40).into();
    found["record"]["second"] = serde_json::Value::Null;
    std::fs::write(&state, found.to_string()).unwrap();
    let before = data_files(&directory);
    bed.node_mut(away).start().unwrap();
    let status = bed.node_mut(away).wait(secs(20)).expect("it joined");
    assert_eq!(status.code(), Some(78));
    assert_eq!(bed.logged(away, "this volume belongs to another cluster"), 1);
    assert_eq!(data_files(&directory), before, "a data file was touched");
    // As the line says: without the state file it follows, and what it held is kept.
    std::fs::remove_file(&state).unwrap();
    bed.node_mut(away).start().unwrap();
    assert_eq!(bed.settle("with the volume taken as it is"), master);
    assert_eq!(disks::rollbacks(bed.node(away)).len(), 1);
}
