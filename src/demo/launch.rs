//! Starts a supervisor as a container runtime would: as PID 1 of its own PID namespace where root allows, otherwise as
//! an ordinary process. Signals go by pid to what was started here and to nothing else.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid};

/// How long the namespace's first process may take to appear.
const APPEARS: Duration = Duration::from_secs(5);

/// A running supervisor.
#[derive(Debug)]
pub struct Process {
    /// What we started: `unshare`, or the supervisor itself.
    outer: Pid,
    /// The supervisor, by the number that we know it by.
    inner: Pid,
    /// Set once it was reaped: from then on the numbers may be somebody else's.
    ended: Option<ExitStatus>,
}

/// Can supervisors be PID 1 here? Asked once, by trying.
pub fn namespaces_work() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        if !Uid::effective().is_root() {
            return false;
        }
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "true"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = spawn(command) else { return false };
        let pid = pid_of(&child);
        let end = Instant::now() + APPEARS;
        loop {
            match reap(pid) {
                Some(status) => return status.success(),
                None if Instant::now() > end => return false,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    })
}

impl Process {
    /// Starts `program` with exactly this environment, its output appended to `log`. The words of `enter` run it
    /// somewhere else (`nsenter ..`); they must become what they run, not its parent.
    pub fn start(
        enter: &[String],
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        log: &Path,
        namespace: bool,
    ) -> io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let mut words: Vec<&str> = Vec::new();
        // So that nothing outlives us, however we end.
        if on_path("setpriv") {
            words.extend(["setpriv", "--pdeathsig", "KILL"]);
        }
        words.extend(enter.iter().map(String::as_str));
        if namespace {
            words.extend(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        let mut command = match words.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        // Ctrl-C at the terminal is for the demo, which then ends its nodes one by one.
        command.process_group(0);
        let outer = pid_of(&spawn(command)?);
        let mut process = Process { outer, inner: outer, ended: None };
        if namespace {
            process.find_inner()?;
        }
        Ok(process)
    }

    fn find_inner(&mut self) -> io::Result<()> {
        let end = Instant::now() + APPEARS;
        loop {
            if let Some(child) = children_of(self.outer).first() {
                self.inner = *child;
                return Ok(());
            }
            if self.poll().is_some() {
                return Ok(());
            }
            if Instant::now() > end {
                self.kill();
                return Err(io::Error::new(io::ErrorKind::TimedOut, "unshare started nothing within 5 s"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The supervisor's pid.
    pub fn pid(&self) -> Pid {
        self.inner
    }

    /// Its status, once it has ended.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = reap(self.outer);
        }
        self.ended
    }

    /// Sends a signal to the supervisor, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> bool {
        self.poll().is_none() && kill(self.inner, signal).is_ok()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.poll() {
                return Some(status);
            }
            if Instant::now() > end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it at once, with all that it started.
    pub fn kill(&mut self) {
        if self.poll().is_some() {
            return;
        }
        // The engine dies with its supervisor (parent death signal), or with the namespace.
        kill(self.inner, Signal::SIGKILL).ok();
        if self.inner != self.outer {
            kill(self.outer, Signal::SIGCONT).ok();
        }
        self.wait(Duration::from_secs(5));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The children of a process, by `/proc`.
pub fn children_of(parent: Pid) -> Vec<Pid> {
    if let Ok(text) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        return text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect();
    }
    // A kernel without CONFIG_PROC_CHILDREN.
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()))
        .map(Pid::from_raw)
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold blanks and brackets: what follows its last bracket is "S ppid ..".
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

/// A process's short name, by `/proc`.
pub fn name_of(pid: Pid) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

/// Is there such a program?
pub(super) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn reap(pid: Pid) -> Option<ExitStatus> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus::from_raw(code << 8)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus::from_raw(signal as i32)),
        // Reaped by somebody else: gone all the same.
        Err(nix::errno::Errno::ECHILD) => Some(ExitStatus::from_raw(0)),
        _ => None,
    }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Spawns on one thread that lives as long as the process: a parent death signal fires when the *thread* that spawned
/// ends (P34), and tests end theirs all the time.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes has ended");
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                answer.send(command.spawn()).ok();
            }
        });
        Mutex::new(orders)
    });
    let (answer, answered) = mpsc::channel();
    spawner.lock().map_err(|_| gone())?.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(script: &str, namespace: bool) -> Process {
        let path = vec![("PATH".to_owned(), std::env::var("PATH").unwrap())];
        let arguments = ["-c".to_owned(), script.to_owned()];
        Process::start(&[], Path::new("/bin/sh"), &arguments, &path, Path::new("/dev/null"), namespace).unwrap()
    }

    #[test]
    fn exit_statuses_come_through_with_and_without_a_namespace() {
        for namespace in [false, true] {
            if namespace && !namespaces_work() {
                println!("skipped: namespaces need root");
                continue;
            }
            let status = started("exit 7", namespace).wait(Duration::from_secs(5)).unwrap();
            assert_eq!(status.code(), Some(7));
            let mut killed = started("sleep 60 & wait", namespace);
            assert!(killed.signal(Signal::SIGKILL));
            assert!(killed.wait(Duration::from_secs(5)).is_some());
            assert!(!killed.signal(Signal::SIGKILL), "no signal to a number that was given back");
        }
    }

    #[test]
    fn dropping_ends_what_was_started() {
        for namespace in [false, namespaces_work()] {
            let process = started("sleep 60 & wait", namespace);
            let pid = process.pid();
            drop(process);
            assert!(!Path::new(&format!("/proc/{pid}")).exists());
        }
    }
}
