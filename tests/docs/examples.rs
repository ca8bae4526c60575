//! The examples in `docs/command-line.md` that are marked `<!-- tested: .. -->` are run, and do what they show.
//!
//! `exit=N`; `output=exact`, `contains` (every line shown is there) or `ignored`; `server`: beside a standalone server.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::files::text;

/// The address that stands for the server's in the examples.
const SHOWN: &str = "127.0.0.1:6379";

struct Example {
    marker: String,
    command: String,
    output: Vec<String>,
}

#[test]
fn examples_without_a_server_do_what_they_show() {
    let alone: Vec<Example> = examples().into_iter().filter(|example| !example.needs_a_server()).collect();
    assert!(alone.len() > 8, "only {} examples found", alone.len());
    let nowhere = tempfile::tempdir().unwrap();
    for example in alone {
        example.check(&example.run(&[("REDINIT_DATA_DIR", nowhere.path().to_str().unwrap())]), SHOWN);
    }
}

#[test]
fn examples_beside_a_server_do_what_they_show() {
    let beside: Vec<Example> = examples().into_iter().filter(Example::needs_a_server).collect();
    assert!(beside.len() > 5, "only {} examples found", beside.len());
    let Some(server) = Server::start() else {
        return eprintln!("SKIPPED examples_beside_a_server_do_what_they_show: no engine in PATH");
    };
    for example in beside {
        example.check(&example.run(&[("REDINIT_SOCKET", server.socket.to_str().unwrap())]), &server.address);
    }
}

fn examples() -> Vec<Example> {
    let document = text("docs/command-line.md");
    let mut found = Vec::new();
    for part in document.split("<!-- tested:").skip(1) {
        let (marker, rest) = part.split_once("-->").unwrap();
        let block = rest.trim_start().strip_prefix("```console\n").unwrap().split_once("\n```").unwrap().0;
        let mut lines = block.lines();
        let command = lines.next().unwrap().strip_prefix("$ ").unwrap().to_owned();
        found.push(Example { marker: marker.trim().to_owned(), command, output: lines.map(str::to_owned).collect() });
    }
    found
}

impl Example {
    fn needs_a_server(&self) -> bool {
        self.marker.split_whitespace().any(|word| word == "server")
    }

    fn marked(&self, name: &str) -> &str {
        let value = self.marker.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{}: {name} is not marked", self.command))
    }

    /// Variables first, as a shell takes them; then `redinit`.
    fn run(&self, environment: &[(&str, &str)]) -> Output {
        let mut words = self.command.split_whitespace().peekable();
        let mut command = Command::new(env!("CARGO_BIN_EXE_redinit"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(environment.iter().copied());
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
            command.env(name, value);
            words.next();
        }
        assert_eq!(words.next(), Some("redinit"), "{}", self.command);
        command.args(words).stdin(Stdio::null()).output().unwrap()
    }

    fn check(&self, output: &Output, address: &str) {
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8(said).unwrap().replace(address, SHOWN);
        let context = || format!("$ {}\n{said}", self.command);
        let status: i32 = self.marked("exit").parse().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", context());
        let lines: Vec<&str> = said.trim_end().lines().map(str::trim_end).collect();
        match self.marked("output") {
            "exact" => assert_eq!(lines, self.output, "{}", context()),
            "contains" => {
                for line in &self.output {
                    assert!(lines.contains(&line.as_str()), "no line {line:?} in\n{}", context());
                }
            }
            "ignored" => {}
            other => panic!("{other} is no way to compare"),
        }
    }
}

/// A standalone server under its supervisor.
struct Server {
    process: Child,
    socket: PathBuf,
    address: String,
    _directory: tempfile::TempDir,
}

impl Server {
    /// `None` where there is no engine.
    fn start() -> Option<Server> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        if !there("redis-server") && !there("valkey-server") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("redinit.sock");
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        // An address of our own, so that test runs do not meet.
        let number = std::process::id();
        let ip = format!("127.81.{}.{}", number / 250 % 250 + 1, number % 250 + 1);
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_redinit"))
            .env_clear()
            .env("PATH", &path)
            .env("REDINIT_ELECTOR", "none")
            .env("REDINIT_ANNOUNCE_ADDRESS", &ip)
            .env("REDINIT_BIND", &ip)
            .env("REDINIT_HTTP_LISTEN", "off")
            .env("REDINIT_DATA_DIR", &data)
            .env("REDINIT_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server { process, socket, address: format!("{ip}:6379"), _directory: directory };
        server.await_ready();
        Some(server)
    }

    fn await_ready(&self) {
        let began = Instant::now();
        loop {
            let probe = Command::new(env!("CARGO_BIN_EXE_redinit"))
                .args(["probe", "ready"])
                .env_clear()
                .env("REDINIT_SOCKET", &self.socket)
                .output()
                .unwrap();
            if probe.status.success() {
                return;
            }
            let log = fs::read_to_string(self.socket.with_file_name("log")).unwrap_or_default();
            assert!(began.elapsed() < Duration::from_secs(20), "the server does not lead:\n{log}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let _gone = kill(pid, Signal::SIGTERM);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
