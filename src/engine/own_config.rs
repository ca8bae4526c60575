//! What the user's own configuration means for us: lines that are settings, hints, errors, and the rest, which is kept.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::EngineError;
use super::lines::{self, Line};
use super::names::DataNames;
use crate::config::settings::{HostPort, Settings};
use crate::core::rules::Mode;

/// Commands that must keep their names: we, Sentinel or replication need them.
const NEEDED: [&str; 21] = [
    "acl",
    "auth",
    "bgsave",
    "client",
    "config",
    "exec",
    "hello",
    "info",
    "multi",
    "ping",
    "psync",
    "publish",
    "replconf",
    "replicaof",
    "role",
    "script",
    "sentinel",
    "shutdown",
    "slaveof",
    "subscribe",
    "sync",
];

/// The user's own configuration, taken apart.
#[derive(Clone, Debug, Default)]
pub struct OwnConfig {
    /// Lines that go into the rendered file as they are.
    pub kept: Vec<String>,
    /// Lines about the monitored master, which must follow the `sentinel monitor` line.
    pub about_master: Vec<String>,
    /// `user` lines, from here or from the ACL file.
    pub users: Vec<Line>,
    /// `port`.
    pub port: Option<u16>,
    /// `tls-port`.
    pub tls_port: Option<u16>,
    /// `bind`.
    pub bind: Vec<String>,
    /// `dir`.
    pub dir: Option<PathBuf>,
    /// `requirepass`.
    pub requirepass: Option<SecretString>,
    /// `masterauth`, or `sentinel auth-pass`.
    pub masterauth: Option<SecretString>,
    /// `masteruser`: as whom replicas of before came, and may still.
    pub masteruser: Option<String>,
    /// `aclfile`.
    pub aclfile: Option<PathBuf>,
    /// `replicaof`, or `sentinel monitor`: whom to ask, where the settings name nobody.
    pub replicaof: Option<HostPort>,
    /// The quorum of `sentinel monitor`.
    pub quorum: Option<usize>,
    /// `replica-priority`.
    pub priority: Option<u32>,
    /// `min-replicas-to-write`.
    pub min_replicas: Option<u32>,
    /// `min-replicas-max-lag 0`: to the engine that turns `min-replicas-to-write` off, our fence with it. Not kept, it
    /// means a `min-replicas-to-write` of 0.
    pub lag_off: bool,
    /// `sentinel resolve-hostnames yes`.
    pub resolve_hostnames: bool,
    /// Names of the data files, and which of them is to be used.
    pub data: DataNames,
}

impl OwnConfig {
    /// Reads include file, arguments and ACL file.
    pub fn read(settings: &Settings) -> Result<Self, EngineError> {
        let mut all = match &settings.include {
            Some(file) => lines::of_file(file, &settings.data_dir)?,
            None => Vec::new(),
        };
        all.extend(lines::of_arguments(&settings.engine_args, &settings.data_dir)?);
        let mut own = OwnConfig::default();
        for line in all {
            match settings.mode {
                Mode::Server => own.take_server(line)?,
                Mode::Sentinel => own.take_sentinel(line, &settings.master_name)?,
            }
        }
        if let Some(file) = own.aclfile.clone() {
            own.read_users(&settings.data_dir.join(file))?;
        }
        own.check_users()?;
        Ok(own)
    }

    /// Puts what was read here where the settings still have their defaults: settings of our own count more.
    pub fn apply(&self, settings: &mut Settings) {
        let (port, directories) = match settings.mode {
            Mode::Server => (6379, ["/data", "/redis-master-data"]),
            Mode::Sentinel => (26379, ["/data", "/redis-master-data"]),
        };
        if let Some(own) = self.port.filter(|own| settings.port == port && *own != 0) {
            settings.port = own;
        }
        if settings.servers.is_empty() {
            settings.servers.extend(self.replicaof.clone());
        }
        if let Some(own) = self.quorum.filter(|_| settings.quorum == 2) {
            settings.quorum = own;
        }
        if settings.bind.is_empty() {
            settings.bind.clone_from(&self.bind);
        }
        if let Some(dir) = self.dir.as_ref().filter(|dir| dir.is_absolute())
            && directories.iter().any(|default| settings.data_dir == Path::new(default))
        {
            settings.data_dir.clone_from(dir);
        }
        match settings.mode {
            Mode::Server => settings.password = settings.password.take().or(self.requirepass.clone()),
            Mode::Sentinel => {
                settings.sentinel_password = settings.sentinel_password.take().or(self.requirepass.clone());
                settings.password = settings.password.take().or(self.masterauth.clone());
            }
        }
    }

    fn take_server(&mut self, line: Line) -> Result<(), EngineError> {
        match line.name.as_str() {
            "replicaof" | "slaveof" => self.replicaof = host_port(&line, &line.values)?,
            "replica-priority" | "slave-priority" => self.priority = Some(number(&line)?),
            "min-replicas-to-write" | "min-slaves-to-write" => self.min_replicas = Some(number(&line)?),
            "min-replicas-max-lag" | "min-slaves-max-lag" => {
                self.lag_off = number::<u32>(&line)? == 0;
                if !self.lag_off {
                    self.kept.push(line.raw);
                }
            }
            // The settings say these.
            "replica-announce-ip" | "slave-announce-ip" | "replica-announce-port" | "slave-announce-port" => {}
            "masterauth" | "primaryauth" => self.masterauth = secret(&line)?,
            "masteruser" | "primaryuser" => {
                self.masteruser = Some(line.only()?.to_owned()).filter(|name| !name.is_empty());
            }
            "sentinel" => return Err(line.error("belongs into a Sentinel's configuration")),
            "cluster-enabled" if line.values != ["no"] => {
                return Err(line.error("cannot be used: Redis Cluster decides about masters by itself"));
            }
            _ => return self.take_common(line),
        }
        Ok(())
    }

    fn take_common(&mut self, line: Line) -> Result<(), EngineError> {
        match line.name.as_str() {
            "port" => self.port = Some(number(&line)?),
            "tls-port" => self.tls_port = Some(number(&line)?),
            "bind" => self.bind = line.values.iter().filter(|value| !value.is_empty()).cloned().collect(),
            "dir" => self.dir = Some(line.only()?.into()),
            "requirepass" => self.requirepass = secret(&line)?,
            "aclfile" => self.aclfile = Some(line.only()?).filter(|file| !file.is_empty()).map(PathBuf::from),
            "user" => self.users.push(line),
            "daemonize" | "supervised" if line.values != ["no"] => {
                return Err(line.error("cannot be used: redinit is the supervisor; remove the line"));
            }
            "pidfile" => return Err(line.error("cannot be used: redinit is the supervisor; remove the line")),
            "unixsocket" => return Err(line.error("is redinit's own way to its child; remove the line")),
            "unixsocketperm" | "protected-mode" | "daemonize" | "supervised" => {}
            "rename-command" => return self.take_rename(line),
            _ => {
                self.data.note(&line);
                self.kept.push(line.raw);
            }
        }
        Ok(())
    }

    fn take_rename(&mut self, line: Line) -> Result<(), EngineError> {
        let command = line.values.first().map(|name| name.to_lowercase()).unwrap_or_default();
        if NEEDED.contains(&command.as_str()) {
            return Err(
                line.error(format!("of {} cannot be used: it is needed; use an ACL instead", command.to_uppercase()))
            );
        }
        self.kept.push(line.raw);
        Ok(())
    }

    fn take_sentinel(&mut self, line: Line, master_name: &str) -> Result<(), EngineError> {
        if line.name != "sentinel" {
            return self.take_common(line);
        }
        let word = |index: usize| line.values.get(index).map(String::as_str).unwrap_or_default();
        match word(0).to_lowercase().as_str() {
            "resolve-hostnames" => {
                self.resolve_hostnames = word(1) == "yes";
                self.kept.push(line.raw);
            }
            "sentinel-user" | "sentinel-pass" => self.kept.push(line.raw),
            // Ours, or what the Sentinel itself keeps in its file.
            "myid"
            | "announce-ip"
            | "announce-port"
            | "announce-hostnames"
            | "deny-scripts-reconfig"
            | "current-epoch" => {}
            _ if word(1) != master_name => {
                return Err(line.error(format!(
                    "names another group than `{master_name}` (`master_name`), which is watched here"
                )));
            }
            "monitor" => {
                self.replicaof = host_port(&line, line.values.get(2..4).unwrap_or_default())?;
                let quorum = word(4).parse().ok().filter(|quorum| (1..=256).contains(quorum));
                self.quorum = Some(quorum.ok_or_else(|| line.error("wants a quorum, a number from 1 on"))?);
            }
            "auth-pass" => self.masterauth = Some(SecretString::from(word(2).to_owned())),
            "down-after-milliseconds"
            | "failover-timeout"
            | "parallel-syncs"
            | "auth-user"
            | "config-epoch"
            | "leader-epoch"
            | "known-replica"
            | "known-slave"
            | "known-sentinel" => {}
            _ => self.about_master.push(line.raw),
        }
        Ok(())
    }

    /// An ACL file: `user` lines, split at spaces only.
    fn read_users(&mut self, file: &Path) -> Result<(), EngineError> {
        let text = super::files::read_text(file).map_err(|error| EngineError::file("read", file, error))?;
        for (number, raw) in text.lines().enumerate() {
            let mut words = raw.split_whitespace().map(str::to_owned);
            let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { continue };
            let line = Line {
                place: format!("{}:{}", file.display(), number + 1),
                name: name.to_lowercase(),
                values: words.collect(),
                raw: String::new(),
            };
            if line.name != "user" {
                return Err(line.error("does not belong into an ACL file: each line is `user <name> <rules>`"));
            }
            self.users.push(line);
        }
        Ok(())
    }

    fn check_users(&self) -> Result<(), EngineError> {
        for (index, line) in self.users.iter().enumerate() {
            match line.values.first().map(String::as_str) {
                None => return Err(line.error("names nobody")),
                Some(name) if super::acl::is_redinits_own(name) => {
                    return Err(line.error(format!("{name} is redinit's own; give yours another name")));
                }
                Some(name)
                    if self.users.iter().take(index).any(|other| other.values.first().is_some_and(|o| o == name)) =>
                {
                    return Err(line.error(format!("{name} is there twice")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(line: &Line) -> Result<T, EngineError> {
    line.only()?.parse().map_err(|_| line.error("wants a number"))
}

/// An empty password is none.
fn secret(line: &Line) -> Result<Option<SecretString>, EngineError> {
    Ok(Some(line.only()?).filter(|text| !text.is_empty()).map(|text| SecretString::from(text.to_owned())))
}

fn host_port(line: &Line, values: &[String]) -> Result<Option<HostPort>, EngineError> {
    let [host, port] = values else { return Err(line.error("wants a host and a port")) };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(None);
    }
    let port = port.parse().map_err(|_| line.error("wants a host and a port"))?;
    Ok(Some(HostPort { host: host.clone(), port }))
}
