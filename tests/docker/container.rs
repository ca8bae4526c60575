//! One container.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bed::{http, ms, secs, wire};
use super::cli::{LABEL, answer, attempt, docker};

/// How long one question may take.
const QUESTION: Duration = secs(1);

/// A container, removed with its volumes when dropped.
#[derive(Debug)]
pub struct Container {
    /// Its name in the cluster: `server-1`.
    pub name: String,
    /// Its name for Docker.
    pub id: String,
    ip: Option<IpAddr>,
    kept: bool,
}

impl Container {
    /// `docker run --detach`, with these options before the image and those words behind it.
    #[track_caller]
    pub fn run(name: &str, options: &[&str], image: &str, words: &[&str]) -> Self {
        let label = format!("{LABEL}={}", std::process::id());
        let always = ["run", "--detach", "--label", &label];
        let id = docker(&[&always, options, &[image], words].concat());
        let mut container = Container { name: name.to_owned(), id, ip: None, kept: false };
        container.find();
        container
    }

    /// One that somebody else has made and will remove.
    pub fn of(name: &str, id: &str) -> Self {
        let mut container = Container { name: name.to_owned(), id: id.to_owned(), ip: None, kept: true };
        container.find();
        container
    }

    /// Looks up its address: it may have a new one after every start.
    pub fn find(&mut self) {
        let address = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
        self.ip = address.parse().ok();
    }

    /// Its address.
    #[track_caller]
    pub fn ip(&self) -> IpAddr {
        self.ip.unwrap_or_else(|| panic!("{} has no address\n{}", self.name, self.log()))
    }

    /// Where clients reach it.
    #[track_caller]
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// A field of `docker inspect`.
    #[track_caller]
    pub fn inspect(&self, what: &str) -> String {
        docker(&["inspect", "--format", what, &self.id])
    }

    /// `docker exec`: exit status, and what it printed.
    pub fn exec(&self, words: &[&str]) -> (Option<i32>, String) {
        answer(&[&["exec", &self.id], words].concat())
    }

    /// One command to its server.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> wire::Reply {
        wire::ask(self.at(6379), QUESTION, command)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.name, self.log()))
    }

    /// A setting of its server.
    #[track_caller]
    pub fn config(&self, name: &str) -> Option<String> {
        self.ask(&["CONFIG", "GET", name]).field(name)
    }

    /// A probe over HTTP, with its reason; the reason why not, where nobody answers.
    pub fn probe(&self, probe: &str) -> Result<String, String> {
        let at = self.ip.map(|ip| SocketAddr::new(ip, 8379)).ok_or("it has no address")?;
        let answer = http::get(at, &format!("/{probe}"), QUESTION).map_err(|error| format!("HTTP: {error}"))?;
        let (code, body) = (answer.0, answer.1.trim().to_owned());
        if code == 200 { Ok(body) } else { Err(body) }
    }

    /// Waits until a probe says yes.
    #[track_caller]
    pub fn wait_for(&self, probe: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while let Err(reason) = self.probe(probe) {
            assert!(Instant::now() < end, "{} is not {probe} within {limit:?}: {reason}\n{}", self.name, self.log());
            std::thread::sleep(ms(50));
        }
    }

    /// `docker stop` as everybody types it, but with time for a handover: exit status, and how long it took.
    #[track_caller]
    pub fn stop(&self, grace: Duration) -> (i32, Duration) {
        let began = Instant::now();
        docker(&["stop", "--time", &grace.as_secs().to_string(), &self.id]);
        (self.inspect("{{.State.ExitCode}}").parse().unwrap(), began.elapsed())
    }

    /// `docker start`.
    #[track_caller]
    pub fn start(&mut self) {
        docker(&["start", &self.id]);
        self.find();
    }

    /// Its last lines.
    pub fn log(&self) -> String {
        answer(&["logs", "--tail", "25", &self.id]).1
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {} ({:?})\n{}", self.name, self.ip, self.log());
        }
        if !self.kept
            && let Err(error) = attempt(&["rm", "--force", "--volumes", &self.id])
        {
            eprintln!("{} is still there: {error}", self.name);
        }
    }
}
