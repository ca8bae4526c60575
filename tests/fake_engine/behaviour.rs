//! What it does of itself and on signals.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGKILL, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::record;
use super::script::{Grandchild, Script};
use super::server::Engine;

/// Everything that can be caught and that somebody might forward. CHLD is our own business, faults are scripted.
const RECORDED: [i32; 16] = [1, 2, 3, 10, 12, 13, 14, 15, 18, 20, 21, 22, 23, 24, 28, 29];

/// Records every signal; TERM and INT end us as they do the real one.
pub fn watch_signals(engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    let (ready, set) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let without = Duration::from_millis(engine.script.no_handlers_ms);
        if !without.is_zero() {
            ready.send(()).unwrap();
            thread::sleep(without);
        }
        let mut signals = Signals::new(RECORDED).unwrap();
        let _receiver_went_on = ready.send(());
        for number in signals.forever() {
            let name = signal_name(number).unwrap_or("?");
            record::append("fake-signals", &format!("{} {} {name}", record::now(), std::process::id()));
            match number {
                SIGTERM if !engine.script.ignore_term => engine.shut_down(),
                // The real one: an INT during a shutdown ends it at once without saving.
                SIGINT => std::process::exit(1),
                _ => {}
            }
        }
    });
    set.recv().unwrap();
}

/// What the script wants without being asked.
pub fn act(script: &Script) {
    if let Some(grandchild) = &script.grandchild {
        start_grandchild(grandchild);
    }
    if script.orphans > 0 {
        let storm = format!("i=0; while [ $i -lt {} ]; do (: &); i=$((i+1)); done", script.orphans);
        Command::new("/bin/sh").args(["-c", &storm]).status().unwrap();
        record::append("fake-orphans", "done");
    }
    let parent = nix::unistd::getppid();
    for number in &script.signal_parent {
        // By the shell: real-time signals have no name in the crate.
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{number} {parent}")]).status().unwrap();
        record::append("fake-sent", &format!("{number} {sent}"));
    }
    if let Some(die) = script.die.clone() {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(die.after_ms));
            die_of(die.signal);
        });
    }
    if let Some(exit) = script.exit.clone() {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(exit.after_ms));
            std::process::exit(exit.code);
        });
    }
}

fn die_of(number: i32) {
    use nix::sys::resource::{Resource, setrlimit};
    // No core file in somebody's working tree.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
    if number == SIGKILL {
        nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    emulate_default_handler(number).unwrap();
}

fn start_grandchild(wanted: &Grandchild) {
    let session = if wanted.setsid { "setsid" } else { "same" };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--grandchild", session, &wanted.ms.to_string()]).stdin(Stdio::null());
    if !wanted.hold_stdout {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    #[allow(clippy::zombie_processes, reason = "outliving us is what it is for")]
    let child = command.spawn().unwrap();
    record::write("fake-grandchild", &child.id().to_string());
    // In a session of its own before we go on: tests ask for its group at once.
    thread::sleep(Duration::from_millis(50));
}

/// `--grandchild setsid|same MILLISECONDS`
pub fn live_as_grandchild(arguments: &[String]) {
    if arguments.get(1).is_some_and(|session| session == "setsid") {
        nix::unistd::setsid().unwrap();
    }
    let ms = arguments.get(2).and_then(|ms| ms.parse().ok()).unwrap_or(60_000);
    thread::sleep(Duration::from_millis(ms));
}
