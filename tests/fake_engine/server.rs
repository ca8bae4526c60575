//! Listens and answers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::info::info;
use super::record;
use super::resp::{Reply, Version, bulk, read_command};
use super::script::Script;

/// What the configuration file and the arguments say.
#[derive(Debug, Default)]
pub struct Settings {
    pub file: PathBuf,
    pub sentinel: bool,
    values: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub enum Role {
    Master,
    Replica(String, String),
}

#[derive(Debug)]
pub struct Engine {
    pub settings: Settings,
    pub script: Script,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    role: Role,
    values: BTreeMap<String, String>,
    shutdown: Option<Instant>,
    door: Option<String>,
    /// Ports that we listen on already; while the door is elsewhere, who comes there is sent away.
    listening: Vec<String>,
}

impl Settings {
    pub fn read(file: Option<PathBuf>, arguments: &[String]) -> Settings {
        let file = file.filter(|file| file.exists()).unwrap_or_default();
        let mut settings =
            Settings { sentinel: arguments.iter().any(|a| a == "--sentinel"), file, values: BTreeMap::new() };
        let text = fs::read_to_string(&settings.file).unwrap_or_default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim().trim_matches('"').to_owned();
            settings.values.insert(name.to_ascii_lowercase(), value);
        }
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            if let Some(name) = argument.strip_prefix("--")
                && let Some(value) = rest.next_if(|next| !next.starts_with("--"))
            {
                settings.values.insert(name.to_owned(), value.clone());
            }
        }
        settings
    }
}

impl Engine {
    pub fn new(settings: Settings, script: Script) -> Engine {
        let values = settings.values.clone();
        let master = values.get("replicaof").or(values.get("slaveof")).and_then(|value| value.split_once(' '));
        let role = master.map_or(Role::Master, |(host, port)| Role::Replica(host.into(), port.trim().into()));
        let state = State { role, values, shutdown: None, door: None, listening: Vec::new() };
        Engine { settings, script, start: Instant::now(), state: Mutex::new(state) }
    }

    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn role(&self) -> Role {
        self.state.lock().unwrap().role.clone()
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.state.lock().unwrap().values.get(name).cloned()
    }

    pub fn loading(&self) -> bool {
        self.uptime() < Duration::from_millis(self.script.loading_ms)
    }

    fn silent(&self) -> bool {
        self.script.silent_after_ms.is_some_and(|ms| self.uptime() >= Duration::from_millis(ms))
    }

    pub fn shutdown_left(&self) -> Option<Duration> {
        let began = self.state.lock().unwrap().shutdown?;
        Some(Duration::from_millis(self.script.term_ms).saturating_sub(began.elapsed()))
    }

    /// Ends the process, after the time that the script gives it. A second call changes nothing.
    pub fn shut_down(self: &Arc<Self>) {
        if self.state.lock().unwrap().shutdown.replace(Instant::now()).is_some() {
            return;
        }
        let engine = Arc::clone(self);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(engine.script.term_ms));
            std::process::exit(engine.script.term_code);
        });
    }

    /// `CONFIG SET`; the port opens and shuts the door.
    fn set(self: &Arc<Self>, name: &str, value: &str) -> Result<(), String> {
        if name == "port" {
            self.move_door(value)?;
        }
        self.state.lock().unwrap().values.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn move_door(self: &Arc<Self>, port: &str) -> Result<(), String> {
        self.state.lock().unwrap().door = Some(port.to_owned());
        if port == "0" || self.state.lock().unwrap().listening.iter().any(|open| open == port) {
            return Ok(());
        }
        let bind = self.get("bind").unwrap_or_else(|| "0.0.0.0".into()).replace('*', "0.0.0.0");
        for address in bind.split_whitespace().map(|address| address.trim_start_matches('-')) {
            if address.contains(':') {
                continue;
            }
            let listener = TcpListener::bind(format!("{address}:{port}"))
                .map_err(|error| format!("Unable to listen on this port: {error}"))?;
            self.state.lock().unwrap().listening.push(port.to_owned());
            let (engine, port) = (Arc::clone(self), port.to_owned());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if engine.state.lock().unwrap().door.as_deref() != Some(&port) {
                        continue;
                    }
                    let engine = Arc::clone(&engine);
                    let copy = stream.try_clone().unwrap();
                    thread::spawn(move || serve(&engine, stream, copy));
                }
            });
        }
        Ok(())
    }
}

/// Opens the Unix socket, and the port of the file where that is not 0.
pub fn listen(engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(engine.script.listen_after_ms));
        if let Some(port) = engine.get("port") {
            engine.move_door(&port).unwrap();
        }
        let Some(path) = engine.get("unixsocket") else { return };
        let _first_start = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        for stream in listener.incoming().flatten() {
            let engine = Arc::clone(&engine);
            let copy = stream.try_clone().unwrap();
            thread::spawn(move || serve(&engine, stream, copy));
        }
    });
}

fn serve(engine: &Arc<Engine>, input: impl Read, output: impl Write) {
    let (mut input, mut output) = (BufReader::new(input), BufWriter::new(output));
    let mut version = Version::Two;
    let mut queued: Option<Vec<Vec<String>>> = None;
    while let Ok(Some(words)) = read_command(&mut input) {
        while engine.silent() {
            thread::sleep(Duration::from_secs(1));
        }
        let Some(name) = words.first().map(|word| word.to_ascii_uppercase()) else { continue };
        note(&name, &words);
        let reply = match (name.as_str(), &mut queued) {
            ("MULTI", _) => {
                queued = Some(Vec::new());
                Reply::Simple("OK")
            }
            ("DISCARD", _) => {
                queued = None;
                Reply::Simple("OK")
            }
            ("EXEC", waiting) => {
                let waiting = waiting.take().unwrap_or_default();
                Reply::Array(waiting.iter().map(|words| answer(engine, words, &mut version)).collect())
            }
            (_, Some(waiting)) => {
                waiting.push(words);
                Reply::Simple("QUEUED")
            }
            (_, None) => answer(engine, &words, &mut version),
        };
        if reply.write(&mut output, version).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

/// The commands we were sent, but not the questions (they repeat) and not the passwords.
fn note(name: &str, words: &[String]) {
    match name {
        "INFO" | "PING" | "ROLE" => {}
        "AUTH" | "HELLO" => record::append("fake-commands", name),
        _ => record::append("fake-commands", &words.join(" ")),
    }
}

fn answer(engine: &Arc<Engine>, words: &[String], version: &mut Version) -> Reply {
    let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
    let (name, sub) = (word(0).to_ascii_uppercase(), word(1).to_ascii_uppercase());
    match (name.as_str(), sub.as_str()) {
        // What the real one answers while it loads.
        ("AUTH" | "CLIENT" | "ACL" | "LATENCY" | "SELECT" | "SUBSCRIBE", _) => client(&name, &sub, words),
        ("HELLO", _) => hello(&sub, version),
        ("INFO", _) => {
            let sections: Vec<String> = words.iter().skip(1).map(|section| section.to_ascii_lowercase()).collect();
            bulk(info(engine, &sections))
        }
        ("CONFIG", "GET") => config_get(engine, words),
        ("CONFIG", "SET") => config_set(engine, words),
        ("ROLE", _) => role(engine),
        ("SHUTDOWN", _) => shutdown(engine),
        _ if engine.loading() => Reply::Error("LOADING Redis is loading the dataset in memory".into()),
        ("PING", _) => Reply::Simple("PONG"),
        ("REPLICAOF" | "SLAVEOF", _) => replicaof(engine, word(1), word(2)),
        ("DBSIZE" | "WAIT" | "PUBLISH" | "LASTSAVE", _) => Reply::Integer(0),
        ("GET", _) => Reply::Nil,
        ("SCRIPT", "KILL") => Reply::Error("NOTBUSY No scripts in execution right now.".into()),
        ("SENTINEL", "MASTERS" | "SENTINELS" | "REPLICAS" | "SLAVES") => Reply::Array(Vec::new()),
        ("SENTINEL", "MYID") => bulk(record::run_id()),
        ("SENTINEL", "GET-MASTER-ADDR-BY-NAME") => Reply::Nil,
        ("SENTINEL", _) => Reply::Error("ERR No such master with that name".into()),
        _ => Reply::Simple("OK"),
    }
}

fn client(name: &str, sub: &str, words: &[String]) -> Reply {
    match (name, sub) {
        ("CLIENT", "ID" | "KILL") => Reply::Integer(1),
        ("CLIENT", "LIST") => bulk("id=1 addr= name=\n"),
        ("ACL", "WHOAMI") => bulk("redinit"),
        ("ACL", "LIST" | "USERS") => Reply::Array(Vec::new()),
        ("ACL", "GETUSER") => Reply::Map(vec![(bulk("flags"), Reply::Array(vec![bulk("on")]))]),
        ("SUBSCRIBE", _) => {
            Reply::Array(vec![bulk("subscribe"), bulk(words.get(1).cloned().unwrap_or_default()), Reply::Integer(1)])
        }
        _ => Reply::Simple("OK"),
    }
}

fn hello(wanted: &str, version: &mut Version) -> Reply {
    match wanted {
        "3" => *version = Version::Three,
        "2" | "" => *version = Version::Two,
        _ => return Reply::Error("NOPROTO unsupported protocol version".into()),
    }
    let proto = if *version == Version::Three { 3 } else { 2 };
    Reply::Map(vec![
        (bulk("server"), bulk("redis")),
        (bulk("version"), bulk("7.0.15")),
        (bulk("proto"), Reply::Integer(proto)),
        (bulk("id"), Reply::Integer(1)),
        (bulk("mode"), bulk("standalone")),
        (bulk("role"), bulk("master")),
        (bulk("modules"), Reply::Array(Vec::new())),
    ])
}

fn config_get(engine: &Engine, words: &[String]) -> Reply {
    let names = words.iter().skip(2).map(|name| name.to_ascii_lowercase());
    Reply::Map(names.filter_map(|name| engine.get(&name).map(|value| (bulk(name), bulk(value)))).collect())
}

fn config_set(engine: &Arc<Engine>, words: &[String]) -> Reply {
    for pair in words.get(2..).unwrap_or_default().chunks(2) {
        if let [name, value] = pair
            && let Err(error) = engine.set(&name.to_ascii_lowercase(), value)
        {
            return Reply::Error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {error}"));
        }
    }
    Reply::Simple("OK")
}

fn role(engine: &Engine) -> Reply {
    match engine.role() {
        Role::Master => Reply::Array(vec![bulk("master"), Reply::Integer(0), Reply::Array(Vec::new())]),
        Role::Replica(host, port) => Reply::Array(vec![
            bulk("slave"),
            bulk(host),
            Reply::Integer(port.parse().unwrap_or(0)),
            bulk("connect"),
            Reply::Integer(-1),
        ]),
    }
}

fn replicaof(engine: &Engine, host: &str, port: &str) -> Reply {
    let nobody = host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one");
    let role = if nobody { Role::Master } else { Role::Replica(host.into(), port.into()) };
    engine.state.lock().unwrap().role = role;
    Reply::Simple("OK")
}

/// The real one answers nothing when it goes.
fn shutdown(engine: &Arc<Engine>) -> Reply {
    if engine.script.refuse_shutdown {
        return Reply::Error("ERR Errors trying to SHUTDOWN. Check logs.".into());
    }
    engine.shut_down();
    loop {
        thread::park();
    }
}
