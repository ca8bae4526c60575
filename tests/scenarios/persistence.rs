//! U01: the kind of data file changes between two starts. U02: what keeps an engine from loading is told apart, and no good data
//! are called damaged. V7: back to an older engine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::ailments::{ONE, alone, data_files};
use super::bed::disks::{self, AOF, RDB, run_with};
use super::bed::{self, Bed, Kind, Signal, secs};

const KEYS: usize = 1000;

/// Stops every node at once, and starts them with other arguments for the engines.
fn all_again(bed: &mut Bed, arguments: &[&str]) {
    for node in &mut bed.cluster.nodes {
        node.signal(Signal::SIGTERM);
    }
    for node in &mut bed.cluster.nodes {
        assert!(node.wait(secs(30)).is_some(), "{} did not stop", node.name);
        if node.kind == Kind::Server {
            node.args = run_with(arguments);
        }
    }
    bed.cluster.start_all().unwrap();
}

#[test]
fn u01_alone_the_kind_of_file_changes_there_and_back() {
    let mut bed = alone(RDB);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    disks::mark(bed.node(ONE), "mark", KEYS);
    for (round, arguments) in [AOF, RDB, AOF, AOF, RDB, RDB].into_iter().enumerate() {
        all_again(&mut bed, arguments);
        bed.settle("with the other kind of file");
        assert_eq!(disks::marks(bed.node(ONE), "mark", KEYS), KEYS, "round {round}: {arguments:?}");
        disks::mark(bed.node(ONE), &format!("round{round}"), 10);
    }
    for round in 0..6 {
        assert_eq!(disks::marks(bed.node(ONE), &format!("round{round}"), 10), 10, "those of round {round}");
    }
}

/// All three at once, in either direction, and killed instead of stopped where an append-only file must make up for it.
fn all_three(from: &[&str], to: &[&str], said: &str) {
    let mut bed = Bed::up_beside(disks::plan_with(from));
    let master = bed.master();
    disks::mark(bed.node(&master), "mark", KEYS);
    std::thread::sleep(secs(2));
    all_again(&mut bed, to);
    let leader = bed.settle("with the other kind of file");
    for name in bed.cluster.servers().map(|node| node.name.clone()).collect::<Vec<_>>() {
        bed.wait("every server has all of it", secs(10), |_| disks::marks(bed.node(&name), "mark", KEYS) == KEYS);
        assert_eq!(bed.logged(&name, said), 1, "{name}");
    }
    disks::mark(bed.node(&leader), "more", 10);
    std::thread::sleep(secs(2));
    all_again(&mut bed, to);
    let leader = bed.settle("once more, with the same");
    assert_eq!(disks::marks(bed.node(&leader), "mark", KEYS), KEYS);
    assert_eq!(disks::marks(bed.node(&leader), "more", 10), 10);
}

#[test]
fn u01_all_three_from_snapshots_to_append_only_files() {
    all_three(RDB, AOF, "what the snapshot held is in the append-only file now");
}

#[test]
fn u01_all_three_from_append_only_files_to_snapshots() {
    all_three(AOF, RDB, "what the append-only file held is in the snapshot now");
}

/// A server with some data that has stopped.
fn stopped(arguments: &[&str]) -> Bed {
    let mut bed = alone(arguments);
    bed.cluster.start_all().unwrap();
    bed.settle("at the start");
    disks::mark(bed.node(ONE), "mark", 100);
    bed.signal(ONE, Signal::SIGTERM);
    assert!(bed.node_mut(ONE).wait(secs(20)).is_some());
    bed
}

/// Starts it: it must end with 78 soon, say that once, touch nothing, and advise nothing that gives data up.
fn ends_with_78(bed: &mut Bed, says: &str) {
    let directory = bed.node(ONE).data();
    let before = data_files(&directory);
    let lines = ["empty this volume", "is damaged", "pass their check", "--fix"].map(|word| bed.logged(ONE, word));
    bed.node_mut(ONE).start().unwrap();
    let status = bed.node_mut(ONE).wait(secs(15)).expect("it tries again and again");
    assert_eq!(status.code(), Some(78), "{}", bed.node(ONE).log_tail(15));
    assert!(bed.logged(ONE, says) >= 1, "not said: {says}\n{}", bed.node(ONE).log_tail(15));
    assert_eq!(data_files(&directory), before, "a data file was touched");
    let after = ["empty this volume", "is damaged", "pass their check", "--fix"].map(|word| bed.logged(ONE, word));
    assert_eq!(lines, after, "good data are called bad:\n{}", bed.node(ONE).log_tail(15));
}

#[test]
fn u02_v7_f4_a_newer_version_is_no_damage() {
    for (arguments, beginning) in [(RDB, "dump.rdb"), (AOF, "base.rdb")] {
        let mut bed = stopped(arguments);
        let (file, whole) = data_files(&bed.node(ONE).data())
            .into_iter()
            .find(|(path, _)| path.to_string_lossy().ends_with(beginning))
            .unwrap();
        let mut newer = whole.clone();
        newer[..9].copy_from_slice(b"REDIS0079");
        std::fs::write(&file, &newer).unwrap();
        ends_with_78(&mut bed, "was written by a newer engine (RDB version 79; this one, ");
        assert_eq!(bed.logged(ONE, "child started, pid"), 1, "the engine was asked to load it");
        std::fs::write(&file, &whole).unwrap();
        bed.node_mut(ONE).start().unwrap();
        bed.settle("with the file as it was");
        assert_eq!(disks::marks(bed.node(ONE), "mark", 100), 100);
    }
}

#[test]
fn u02_a_typing_error_ends_at_once_with_the_engine_s_words() {
    let mut bed = stopped(RDB);
    std::fs::write(bed.node(ONE).data().join("old-backup.rdb"), "REDIS0010 half").unwrap();
    bed.node_mut(ONE).args = run_with(&["--save", "36000 1", "--maxmemory", "lots"]);
    ends_with_78(&mut bed, "does not take its configuration, `maxmemory`: argument must be a memory value");
    bed.node_mut(ONE).args = run_with(RDB);
    bed.node_mut(ONE).start().unwrap();
    bed.settle("without the error");
    assert_eq!(disks::marks(bed.node(ONE), "mark", 100), 100);
}

/// Runs it as nobody, whom the copy of the binary and every directory on the way let in.
fn as_nobody(bed: &mut Bed) -> bool {
    let setpriv = std::process::Command::new("setpriv").args(["--reuid", "65534", "--clear-groups", "true"]).status();
    if !setpriv.is_ok_and(|status| status.success()) {
        return false;
    }
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    let node = bed.node_mut(ONE);
    let binary = node.dir.join("redinit-for-all");
    std::fs::copy(&node.program, &binary).unwrap();
    let text = format!(
        "#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups --pdeathsig KILL {} \"$@\"\n",
        binary.display()
    );
    node.program = bed::script(&node.dir, "as-nobody", &text);
    for place in [&binary, &node.program, &node.data(), &node.dir, &node.dir.parent().unwrap().to_owned()] {
        open(place);
    }
    for entry in std::fs::read_dir(node.data()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("redinit") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    true
}

#[test]
fn u02_a_file_of_another_owner_is_no_damage() {
    let mut bed = stopped(RDB);
    if !as_nobody(&mut bed) {
        return bed::say_skipped("persistence::u02_a_file_of_another_owner_is_no_damage", "needs root and setpriv");
    }
    let file = bed.node(ONE).data().join("dump.rdb");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    ends_with_78(&mut bed, "belongs to uid 0, and redinit runs as uid 65534");
    std::fs::set_permissions(bed.node(ONE).data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let written = bed.node_mut(ONE);
    written.start().unwrap();
    assert_eq!(written.wait(secs(15)).and_then(|status| status.code()), Some(78));
    std::fs::set_permissions(bed.node(ONE).data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    bed.node_mut(ONE).start().unwrap();
    assert_eq!(bed.node_mut(ONE).wait(secs(15)).and_then(|status| status.code()), Some(78));
    assert!(bed.logged(ONE, "give it to that user with chown, or set fsGroup") >= 2, "{}", bed.node(ONE).log_tail(15));
}

/// The image ran as root before, say: everything may be read, and nothing appended to.
#[test]
fn u02_an_append_only_file_of_another_owner_is_no_damage() {
    let mut bed = stopped(AOF);
    if !as_nobody(&mut bed) {
        return bed::say_skipped(
            "persistence::u02_an_append_only_file_of_another_owner_is_no_damage",
            "needs root and setpriv",
        );
    }
    let directory = bed.node(ONE).data().join("appendonlydir");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&directory, 0o755);
    for file in std::fs::read_dir(&directory).unwrap().flatten() {
        mode(&file.path(), 0o644);
    }
    ends_with_78(&mut bed, "belongs to uid 0, and redinit runs as uid 65534");
    assert_eq!(bed.logged(ONE, "child started, pid"), 1, "the engine was asked to load it");
}

#[test]
fn u02_who_asks_hears_why_the_child_is_down() {
    let mut bed = stopped(RDB);
    let file = bed.node(ONE).data().join("dump.rdb");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xA5);
    std::fs::write(&file, &bytes).unwrap();
    bed.node_mut(ONE).start().unwrap();
    bed.wait("it is said", secs(15), |cluster| {
        let answer = cluster.node(ONE).unwrap().probe("readyz");
        answer.is_some_and(|(ready, why)| !ready && why.contains("dump.rdb is damaged, says redis-check-rdb: copy"))
    });
    let (_, text) = bed::command(bed.node(ONE), &["status"]);
    assert!(text.contains("is damaged, says redis-check-rdb"), "{text}");
}
