//! The reaper, the birth and the end of a child: each test as PID 1 of a PID namespace of its own, since
//! `waitpid(-1)` in one test would take the statuses of all others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

#[path = "process/namespace.rs"]
mod namespace;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use namespace::as_pid1;
use nix::sys::signal::{SigSet, SigmaskHow, kill, pthread_sigmask};
use nix::unistd::getpid;
use redinit::core::event::ChildExit;
use redinit::init::{BriefError, ChildHandle, Reaper, Signal, SignalError, SpawnError, SpawnSpec, alive_as_pid1};

const SOON: Duration = Duration::from_secs(5);

fn shell(script: &str) -> SpawnSpec {
    SpawnSpec::new("/bin/sh", "/tmp").args(["-c", script])
}

fn spawn(reaper: &Reaper, spec: SpawnSpec) -> (ChildHandle, Receiver<ChildExit>) {
    let (sender, exits) = channel();
    let child = reaper.spawn(spec, move |exit| sender.send(exit).unwrap()).unwrap();
    (child, exits)
}

fn run(reaper: &Reaper, script: &str) -> ChildExit {
    spawn(reaper, shell(script)).1.recv_timeout(SOON).unwrap()
}

fn output(reaper: &Reaper, script: &str) -> String {
    let (exit, bytes) = reaper.run_briefly(shell(script), SOON, 1 << 20).unwrap();
    assert_eq!(exit, ChildExit::Code(0));
    String::from_utf8(bytes).unwrap()
}

/// (pid, state, parent, group) of every process of this namespace.
fn processes() -> Vec<(i32, char, i32, i32)> {
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid: i32| stat(pid).map(|(state, parent, group)| (pid, state, parent, group))).collect()
}

fn stat(pid: i32) -> Option<(char, i32, i32)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn zombies() -> usize {
    processes().iter().filter(|(_, state, ..)| *state == 'Z').count()
}

fn until(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}; processes {:?}", processes());
        thread::sleep(Duration::from_millis(5));
    }
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn p11_a_child_starts_with_no_signal_blocked_or_ignored() {
    as_pid1("p11_a_child_starts_with_no_signal_blocked_or_ignored", || {
        let _signals = redinit::init::signals::install().unwrap();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).unwrap();
        let reaper = Reaper::new();
        let spec = SpawnSpec::new("/bin/cat", "/tmp").args(["/proc/self/status"]);
        let (_, bytes) = reaper.run_briefly(spec, SOON, 1 << 20).unwrap();
        let status = String::from_utf8(bytes).unwrap();
        for set in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            assert_eq!(field(&status, set), "0000000000000000", "{set} in {status}");
        }
        let ours = fs::read_to_string("/proc/thread-self/status").unwrap();
        assert_ne!(field(&ours, "SigBlk:"), "0000000000000000", "our own mask must be left as it was");
    });
}

#[test]
fn p12_signals_sent_by_hand_from_inside_do_no_harm() {
    as_pid1("p12_signals_sent_by_hand_from_inside_do_no_harm", || {
        let signals = redinit::init::signals::install().unwrap();
        let reaper = Reaper::new();
        let (events, mut received) = redinit::control::events::channel();
        signals.run(events, reaper.clone()).unwrap();
        let all = "for s in 34 35 40 63 64 17 17 17 12 28 13 14 20 21 22 18 26 27 29; do kill -$s 1; done";
        assert_eq!(run(&reaper, all), ChildExit::Code(0));
        assert_eq!(run(&reaper, "exit 3"), ChildExit::Code(3));
        assert!(received.try_recv().is_err(), "none of them means anything");
    });
}

#[test]
fn p1_p8_signals_become_events_and_an_early_stop_is_kept() {
    as_pid1("p1_p8_signals_become_events_and_an_early_stop_is_kept", || {
        use redinit::core::event::{Event, Signal as Meaning};
        let signals = redinit::init::signals::install().unwrap();
        assert!(!signals.pending_stop());
        kill(getpid(), Signal::SIGTERM).unwrap();
        until(SOON, "a pending stop", || signals.pending_stop());
        let reaper = Reaper::new();
        let (events, mut received) = redinit::control::events::channel();
        signals.run(events, reaper.clone()).unwrap();
        assert_eq!(received.blocking_recv(), Some(Event::Signal(Meaning::Stop)));
        for (number, meaning) in
            [("1", Meaning::Reload), ("10", Meaning::Report), ("3", Meaning::Quit), ("2", Meaning::Stop)]
        {
            assert_eq!(run(&reaper, &format!("kill -{number} 1")), ChildExit::Code(0));
            assert_eq!(received.blocking_recv(), Some(Event::Signal(meaning)));
        }
    });
}

#[test]
fn p13_a_thousand_orphans_leave_no_zombie() {
    as_pid1("p13_a_thousand_orphans_leave_no_zombie", || {
        assert!(alive_as_pid1());
        let reaper = Reaper::new();
        let (_child, exits) = spawn(&reaper, shell("i=0; while [ $i -lt 1000 ]; do (: &); i=$((i+1)); done; exit 7"));
        assert_eq!(exits.recv_timeout(Duration::from_secs(60)).unwrap(), ChildExit::Code(7));
        until(Duration::from_secs(1), "no zombies", || zombies() == 0 && processes().len() == 1);
    });
}

#[test]
fn p14_orphan_and_child_that_end_together_are_both_reaped() {
    as_pid1("p14_orphan_and_child_that_end_together_are_both_reaped", || {
        let reaper = Reaper::new();
        for code in 1..100 {
            // The orphan and the child hang on the same pipe, whose other end goes away with the last writer.
            let script = format!("(sleep 0.02 & exec true) ; (: &) ; exit {code}");
            assert_eq!(run(&reaper, &script), ChildExit::Code(code));
        }
        until(Duration::from_secs(1), "all reaped", || zombies() == 0 && processes().len() == 1);
    });
}

#[test]
fn p15_a_child_that_ends_before_spawn_returns_is_not_lost() {
    as_pid1("p15_a_child_that_ends_before_spawn_returns_is_not_lost", || {
        let reaper = Reaper::new();
        let (sender, exits) = channel();
        for _ in 0..300 {
            let sender = sender.clone();
            reaper.spawn(SpawnSpec::new("/bin/true", "/tmp"), move |exit| sender.send(exit).unwrap()).unwrap();
        }
        for _ in 0..300 {
            assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Code(0));
        }
        until(Duration::from_secs(1), "no zombies", || zombies() == 0);
    });
}

#[test]
fn p16_a_failing_spawn_among_dying_orphans_is_a_clean_error() {
    as_pid1("p16_a_failing_spawn_among_dying_orphans_is_a_clean_error", || {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::write(&data, "no program").unwrap();
        let foreign = directory.path().join("foreign");
        fs::write(&foreign, "#!/no/such/interpreter\n").unwrap();
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o755)).unwrap();
        let reaper = Reaper::new();
        let (_storm, exits) = spawn(&reaper, shell("i=0; while [ $i -lt 400 ]; do (: &); i=$((i+1)); done"));
        for _ in 0..100 {
            let fail = |spec: SpawnSpec| reaper.spawn(spec, |exit| panic!("there was no child: {exit:?}")).unwrap_err();
            assert!(matches!(fail(SpawnSpec::new("/no/such/engine", "/tmp")), SpawnError::Missing(_)));
            assert!(matches!(fail(SpawnSpec::new(&data, "/tmp")), SpawnError::NotExecutable(..)));
            assert!(matches!(fail(SpawnSpec::new(&foreign, "/tmp")), SpawnError::NotExecutable(..)));
            assert!(matches!(fail(SpawnSpec::new("/bin/true", "/no/such/directory")), SpawnError::Directory(..)));
        }
        assert_eq!(exits.recv_timeout(Duration::from_secs(60)).unwrap(), ChildExit::Code(0));
        until(Duration::from_secs(1), "no zombies", || zombies() == 0 && processes().len() == 1);
    });
}

/// P17, P18, P20: ways of waiting and of asking that are known to lie.
#[test]
fn p17_p18_p20_no_waiting_beside_the_reaper_and_no_asking_by_signal_0() {
    fn visit(directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            // The demo starts supervisors and waits for its own by pid; it has no reaper. Tests are no product.
            if path.ends_with("src/demo") || path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let reaper = path.ends_with("init/reaper.rs");
                for line in code {
                    let banned = ["tokio::process", "waitid", "WNOWAIT", "wait_with_output", ".try_wait()"];
                    let asks = line.contains("kill(") && line.contains("None");
                    let waits = line.contains("waitpid(") && !reaper;
                    if banned.iter().any(|word| line.contains(word)) || asks || waits {
                        found.push(format!("{}: {line}", path.display()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn p18_a_child_has_ended_once_it_was_reaped() {
    as_pid1("p18_a_child_has_ended_once_it_was_reaped", || {
        let reaper = Reaper::new();
        let (child, exits) = spawn(&reaper, shell("sleep 60"));
        assert!(!child.has_ended());
        child.signal(Signal::SIGKILL).unwrap();
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Signal(9));
        assert!(child.has_ended());
    });
}

#[test]
fn p19_a_number_that_went_to_somebody_else_gets_no_signal() {
    as_pid1("p19_a_number_that_went_to_somebody_else_gets_no_signal", || {
        let reaper = Reaper::new();
        let (first, exits) = spawn(&reaper, shell("exit 0"));
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Code(0));
        assert_eq!(first.signal(Signal::SIGTERM), Err(SignalError::Gone));
        assert_eq!(first.kill_group(), Err(SignalError::Gone));
        // The kernel gives the number out again; the namespace is ours, so we may ask for it.
        let (stranger, ends) = (0..50)
            .find_map(|_| {
                fs::write("/proc/sys/kernel/ns_last_pid", format!("{}", first.pid() - 1)).ok()?;
                let (child, ends) = spawn(&reaper, shell("sleep 60"));
                if child.pid() == first.pid() { Some((child, ends)) } else { child.kill_group().ok().and(None) }
            })
            .expect("the number comes back");
        for _ in 0..20 {
            assert_eq!(first.signal(Signal::SIGKILL), Err(SignalError::Gone));
            assert_eq!(first.kill_group(), Err(SignalError::Gone));
            assert_eq!(first.kill_rest_of_group(), Ok(()));
            assert_eq!(first.clone().as_on_an_older_kernel().kill_rest_of_group(), Ok(()));
        }
        assert_eq!(ends.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
        stranger.signal(Signal::SIGTERM).unwrap();
        assert_eq!(ends.recv_timeout(SOON).unwrap(), ChildExit::Signal(15));
    });
}

#[test]
fn p21_stopped_and_continued_is_not_ended() {
    as_pid1("p21_stopped_and_continued_is_not_ended", || {
        let reaper = Reaper::new();
        let (child, exits) = spawn(&reaper, shell("while [ ! -e /tmp/never-there ]; do sleep 0.05; done"));
        for _ in 0..3 {
            child.signal(Signal::SIGSTOP).unwrap();
            until(SOON, "it is stopped", || stat(child.pid()).is_some_and(|(state, ..)| state == 'T'));
            child.signal(Signal::SIGCONT).unwrap();
            until(SOON, "it goes on", || stat(child.pid()).is_some_and(|(state, ..)| state != 'T'));
        }
        assert!(!child.has_ended());
        assert_eq!(exits.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
        child.kill_group().unwrap();
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Signal(9));
    });
}

#[test]
fn p22_no_children_and_interruptions_are_everyday() {
    as_pid1("p22_no_children_and_interruptions_are_everyday", || {
        let reaper = Reaper::new();
        reaper.start().unwrap();
        reaper.start().unwrap();
        for _ in 0..200 {
            kill(getpid(), Signal::SIGCHLD).unwrap();
        }
        thread::sleep(Duration::from_millis(1200));
        assert_eq!(run(&reaper, "exit 5"), ChildExit::Code(5));
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = threads.map(|task| fs::read_to_string(task.path().join("comm")).unwrap());
        assert_eq!(names.filter(|name| name.trim() == "reaper").count(), 1, "one reaper");
    });
}

#[test]
fn p23_a_subreaper_adopts_without_being_pid_1() {
    as_pid1("p23_a_subreaper_adopts_without_being_pid_1", || {
        // Here PID 1 adopts anyway; what counts is that the kernel takes it and the flag is on.
        redinit::init::become_subreaper().unwrap();
        assert!(nix::sys::prctl::get_child_subreaper().unwrap());
    });
}

#[test]
fn p29_a_child_leads_its_own_group_and_the_group_dies_whole() {
    as_pid1("p29_a_child_leads_its_own_group_and_the_group_dies_whole", || {
        let reaper = Reaper::new();
        let (child, exits) = spawn(&reaper, shell("sleep 60 & sleep 60"));
        until(SOON, "both sleepers", || processes().len() == 4);
        let members = processes().iter().filter(|(.., group)| *group == child.pid()).count();
        assert_eq!(members, 3, "{:?}", processes());
        child.kill_group().unwrap();
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Signal(9));
        until(SOON, "nobody left", || processes().len() == 1);
    });
}

#[test]
fn p31_what_a_dead_child_leaves_behind_is_killed_and_reaped() {
    as_pid1("p31_what_a_dead_child_leaves_behind_is_killed_and_reaped", || {
        let reaper = Reaper::new();
        let (child, exits) = spawn(&reaper, shell("sleep 60 & exit 4"));
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Code(4));
        assert_eq!(processes().len(), 2, "{:?}", processes());
        child.kill_rest_of_group().unwrap();
        until(SOON, "the grandchild is gone", || processes().len() == 1);
        child.kill_rest_of_group().unwrap();

        let (child, exits) = spawn(&reaper, shell("sleep 60 & exit 4"));
        let child = child.as_on_an_older_kernel();
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Code(4));
        child.kill_rest_of_group().unwrap();
        until(SOON, "the grandchild is gone without a pidfd", || processes().len() == 1);
        child.kill_rest_of_group().unwrap();
    });
}

#[test]
fn p32_a_grandchild_in_a_session_of_its_own_delays_nothing() {
    as_pid1("p32_a_grandchild_in_a_session_of_its_own_delays_nothing", || {
        let reaper = Reaper::new();
        let start = Instant::now();
        let (child, exits) = spawn(&reaper, shell("setsid sleep 60 & sleep 0.1; exit 4"));
        assert_eq!(exits.recv_timeout(SOON).unwrap(), ChildExit::Code(4));
        child.kill_rest_of_group().unwrap();
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(processes().len(), 2, "it lives on until PID 1 ends: {:?}", processes());
    });
}

#[test]
fn p33_a_grandchild_that_keeps_stdout_open_delays_nothing() {
    as_pid1("p33_a_grandchild_that_keeps_stdout_open_delays_nothing", || {
        let reaper = Reaper::new();
        let start = Instant::now();
        assert_eq!(output(&reaper, "sleep 60 & echo said"), "said\n");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    });
}

#[test]
fn p34_a_child_outlives_the_thread_that_started_it() {
    as_pid1("p34_a_child_outlives_the_thread_that_started_it", || {
        let reaper = Reaper::new();
        let spawner = reaper.clone();
        let (child, exits) = thread::spawn(move || spawn(&spawner, shell("sleep 60"))).join().unwrap();
        assert_eq!(exits.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
        assert!(!child.has_ended());
        child.kill_group().unwrap();
    });
}

#[test]
fn p43_a_child_has_three_descriptors_its_directory_and_a_strict_umask() {
    as_pid1("p43_a_child_has_three_descriptors_its_directory_and_a_strict_umask", || {
        let directory = tempfile::tempdir().unwrap();
        let leak = fs::File::open("/proc/version").unwrap();
        nix::unistd::dup(&leak).map(std::mem::forget).unwrap();
        assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 4, "we do have something to leak");
        let reaper = Reaper::new();
        let script = "ls /proc/$$/fd; pwd; umask; readlink /proc/$$/fd/0";
        let spec = SpawnSpec::new("/bin/sh", directory.path()).args(["-c", script]);
        let (_, bytes) = reaper.run_briefly(spec, SOON, 1 << 20).unwrap();
        let expected = format!("0\n1\n2\n{}\n0077\n/dev/null\n", directory.path().display());
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    });
}

#[test]
fn l_no_secret_in_a_childs_environment() {
    as_pid1("l_no_secret_in_a_childs_environment", || {
        let reaper = Reaper::new();
        let mut spec = SpawnSpec::new(std::env::current_exe().unwrap(), "/tmp");
        spec.args = ["--exact", "helper_that_prints_what_a_child_sees", "--nocapture"].map(Into::into).to_vec();
        for (name, value) in
            [("REDIS_PASSWORD", "pw-1"), ("REDISCLI_AUTH", "pw-2"), ("URL", "redis://:pw-3@h"), ("TZ", "UTC")]
        {
            spec.env.set.push((name.into(), value.into()));
        }
        let (_, bytes) = reaper.run_briefly(spec, SOON, 1 << 20).unwrap();
        let seen = String::from_utf8(bytes).unwrap();
        assert!(seen.contains("TZ=UTC"), "{seen}");
        assert!(!seen.contains("pw-"), "{seen}");
    });
}

/// Inside the test above: a process whose own environment holds secrets starts a child.
#[test]
fn helper_that_prints_what_a_child_sees() {
    if std::env::var_os("REDISCLI_AUTH").is_some() {
        println!("{}", output(&Reaper::new(), "env"));
    }
}

#[test]
fn brief_programs_end_at_their_limits() {
    as_pid1("brief_programs_end_at_their_limits", || {
        let reaper = Reaper::new();
        let start = Instant::now();
        let slow = reaper.run_briefly(shell("sleep 60"), Duration::from_millis(200), 100);
        assert!(matches!(slow, Err(BriefError::TooSlow { .. })), "{slow:?}");
        let much = reaper.run_briefly(shell("while :; do echo more; done"), SOON, 1000);
        assert!(matches!(much, Err(BriefError::TooMuch { .. })), "{much:?}");
        let missing = reaper.run_briefly(SpawnSpec::new("/no/such/engine", "/tmp"), SOON, 1000);
        assert!(matches!(missing, Err(BriefError::Spawn(SpawnError::Missing(_)))), "{missing:?}");
        let (exit, bytes) = reaper.run_briefly(shell("echo out; exit 9"), SOON, 1000).unwrap();
        assert_eq!((exit, bytes.as_slice()), (ChildExit::Code(9), &b"out\n"[..]));
        assert!(start.elapsed() < Duration::from_secs(4));
        until(SOON, "nobody left", || processes().len() == 1);
    });
}
