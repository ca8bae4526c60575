//! Electors as processes of their own: this test binary, started again.
#![allow(clippy::disallowed_methods, reason = "the tests start processes of their own and wait for them")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::discovery::tests::own_ip;
use crate::elector::answer::{Answer, GIVE_UP, LEASE};

/// Set in a process that is to be an elector: its arguments, a line each.
const BE_ONE: &str = "REDINIT_TEST_ELECTOR_ARGS";

/// No test: the body of the processes that the others start.
#[test]
fn an_elector_process() {
    if let Ok(lines) = std::env::var(BE_ONE) {
        let [id, lock, beside] = lines.lines().collect::<Vec<_>>().try_into().expect("three lines");
        let http = SocketAddr::new(id.parse().expect("an address"), 4040);
        let args = Args::new("e".to_owned(), http, id.to_owned(), lock.to_owned());
        std::process::exit(i32::from(run(&Args { beside: beside.to_owned(), ..args })));
    }
}

struct Elector {
    process: Child,
    ip: Ipv4Addr,
}

impl Elector {
    fn start(ip: Ipv4Addr, lock: &str, beside: &str) -> Self {
        let process = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "elector::serve::tests::an_elector_process", "--nocapture"])
            .env(BE_ONE, format!("{ip}\n{lock}\n{beside}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        Elector { process, ip }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).expect("a pid")), signal).expect("sent");
    }

    fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait().expect("waited") {
                return Some(status);
            }
            sleep(Duration::from_millis(20));
        }
        None
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let at = SocketAddr::new(self.ip.into(), 4040);
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_millis(300)).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn leader(&self) -> Option<String> {
        let (_, body) = self.get("/").filter(|(status, _)| *status == 200)?;
        let answer: Answer = serde_json::from_str(&body).expect("the contract");
        assert_eq!(answer.redinit.map(|ours| ours.lease_ms), Some(15_000));
        Some(answer.name).filter(|name| !name.is_empty())
    }

    fn leads(&self) -> bool {
        self.leader() == Some(self.ip.to_string())
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Three electors on one file.
fn three() -> (tempfile::TempDir, Vec<Elector>) {
    let dir = tempfile::tempdir().expect("a directory");
    let lock = format!("file:{}", dir.path().join("lock").display());
    let electors = (0..3).map(|_| Elector::start(own_ip(), &lock, "none")).collect();
    (dir, electors)
}

/// Samples until `done`, and never sees two that say of themselves that they lead.
fn until(electors: &[Elector], limit: Duration, done: impl Fn(&[Elector]) -> bool) -> Duration {
    let started = Instant::now();
    loop {
        let leaders: Vec<_> = electors.iter().filter(|elector| elector.leads()).map(|elector| elector.ip).collect();
        assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
        if done(electors) {
            return started.elapsed();
        }
        assert!(started.elapsed() < limit, "not within {limit:?}");
        sleep(Duration::from_millis(50));
    }
}

fn all_agree(electors: &[Elector]) -> bool {
    let first = electors.first().and_then(Elector::leader);
    first.is_some() && electors.iter().all(|elector| elector.leader() == first)
}

fn split_leader(mut electors: Vec<Elector>) -> (Elector, Vec<Elector>) {
    let place = electors.iter().position(Elector::leads).expect("a leader");
    (electors.remove(place), electors)
}

#[test]
fn three_electors_agree_and_a_terminated_leader_is_replaced_at_once() {
    let (_dir, electors) = three();
    until(&electors, Duration::from_secs(8), all_agree);
    assert_eq!(electors[0].get("/health").expect("an answer").0, 200);
    assert_eq!(electors[0].get("/other").expect("an answer").0, 404);
    let (mut leader, others) = split_leader(electors);
    leader.signal(Signal::SIGTERM);
    assert_eq!(leader.ended(Duration::from_secs(3)).and_then(|status| status.code()), Some(0));
    let old = leader.ip.to_string();
    until(&others, Duration::from_secs(5), |others| all_agree(others) && others[0].leader() != Some(old.clone()));
}

#[test]
fn a6_a_killed_leader_is_forgotten_and_replaced_when_its_lease_ends() {
    let (_dir, electors) = three();
    until(&electors, Duration::from_secs(8), all_agree);
    let (mut leader, others) = split_leader(electors);
    leader.process.kill().expect("killed");
    leader.process.wait().expect("reaped");
    let killed = Instant::now();
    let old = leader.ip.to_string();
    until(&others, GIVE_UP + Duration::from_secs(1), |others| others.iter().all(|one| one.leader().is_none()));
    assert_eq!(others[0].get("/health").expect("an answer").0, 500);
    until(&others, LEASE + Duration::from_secs(4), all_agree);
    assert_ne!(others[0].leader(), Some(old));
    assert!(killed.elapsed() > LEASE - Duration::from_secs(3) && killed.elapsed() < LEASE + Duration::from_secs(5));
}

#[test]
fn a_frozen_leader_wakes_up_as_none() {
    let (_dir, electors) = three();
    until(&electors, Duration::from_secs(8), all_agree);
    let (leader, others) = split_leader(electors);
    leader.signal(Signal::SIGSTOP);
    until(&others, LEASE + Duration::from_secs(4), |others| others.iter().any(Elector::leads));
    leader.signal(Signal::SIGCONT);
    // From its first answer on.
    let both: Vec<Elector> = std::iter::once(leader).chain(others).collect();
    until(&both, Duration::from_secs(5), all_agree);
    assert!(!both[0].leads());
}

#[test]
fn a_supervisor_that_goes_takes_the_candidacy_with_it() {
    let beside = own_ip();
    let listener = std::net::TcpListener::bind((beside, 8379)).expect("a listener");
    let supervisor = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("asked");
            let _asked = stream.read(&mut [0; 1024]);
            let _sent = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let dir = tempfile::tempdir().expect("a directory");
    let lock = format!("file:{}", dir.path().join("lock").display());
    let url = format!("http://{beside}:8379/livez");
    let electors = [Elector::start(own_ip(), &lock, &url)];
    until(&electors, Duration::from_secs(5), |all| all[0].leads());
    supervisor.join().expect("no panic");
    let took = until(&electors, Duration::from_secs(10), |all| !all[0].leads());
    assert!(took > Duration::from_millis(1500), "{took:?}");
    sleep(Duration::from_secs(1));
    assert_eq!(electors[0].leader(), None);
}

#[test]
fn what_cannot_work_is_said_in_one_line_with_status_78() {
    let taken = own_ip();
    let _listener = std::net::TcpListener::bind((taken, 4040)).expect("a listener");
    let dir = tempfile::tempdir().expect("a directory");
    let good = format!("file:{}", dir.path().join("lock").display());
    for (ip, lock, said) in [
        (own_ip(), "kubernetes", "needs a pod"),
        (own_ip(), "file:relative", "absolute path"),
        (own_ip(), "file:/no/such/directory/lock", "/no/such/directory"),
        (own_ip(), "etcd", "expected `kubernetes` or `file:PATH`"),
        (taken, good.as_str(), "cannot listen"),
    ] {
        let mut elector = Elector::start(ip, lock, "none");
        let status = elector.ended(Duration::from_secs(5)).expect("ended");
        let mut text = String::new();
        elector.process.stderr.take().expect("piped").read_to_string(&mut text).expect("read");
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(text.contains(said) && text.trim().lines().count() == 1, "{text}");
    }
}

#[test]
fn garbage_on_the_http_port_hurts_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let lock = format!("file:{}", dir.path().join("lock").display());
    let electors = [Elector::start(own_ip(), &lock, "none")];
    until(&electors, Duration::from_secs(5), |all| all[0].leads());
    let at = SocketAddr::new(electors[0].ip.into(), 4040);
    let mut open = Vec::new();
    for junk in [b"\0\xff\r\n\r\n".to_vec(), b"GET / HTTP/1.1\r\n".to_vec(), vec![b'x'; 1 << 20], vec![]] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(at).expect("connected");
            stream.set_write_timeout(Some(Duration::from_secs(1))).expect("set");
            let _cut_off = stream.write_all(&junk);
            open.push(stream);
        }
    }
    assert!(electors[0].leads());
}
