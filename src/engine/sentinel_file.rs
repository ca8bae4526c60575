//! A Sentinel's file: what it keeps in it is read, repaired and completed before each start (design section 5).

use std::net::IpAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::error::EngineError;
use super::files::read_text;
use super::secret::hex;
use super::words::{quote, split};
use crate::config::settings::Settings;
use crate::core::action::SentinelFile;
use crate::core::cluster::ClusterTag;
use crate::core::id::SentinelId;

/// More replicas or Sentinels than these are not kept.
const ENTRIES_LIMIT: usize = 256;

/// A stable `myid`, so that a replaced pod does not leave a ghost (M23): 40 hexadecimal digits of
/// SHA-256 over master name and node name.
/// Where the cluster is known the id tells it: the same pod names in two clusters give two ids (N3).
pub fn my_id(settings: &Settings, cluster: Option<&ClusterTag>) -> SentinelId {
    // The NUL keeps `a` + `bc` and `ab` + `c` apart.
    let text = format!("{}\0{}", settings.master_name, settings.name);
    let node: String = hex(&Sha256::digest(text.as_bytes())).chars().take(40).collect();
    cluster.map_or_else(|| SentinelId(node.clone()), |tag| SentinelId::of_cluster(tag, &node))
}

/// What a Sentinel remembers of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelState {
    /// The cluster that its id tells.
    pub cluster: Option<ClusterTag>,
    /// The monitored master.
    pub master: Option<Entry>,
    /// The epoch of that name.
    pub config_epoch: u64,
    /// The highest epoch seen.
    pub current_epoch: u64,
    /// The epoch it last voted in.
    pub leader_epoch: u64,
    /// Known replicas.
    pub replicas: Vec<Entry>,
    /// Known other Sentinels, with their ids.
    pub sentinels: Vec<(Entry, Option<SentinelId>)>,
}

/// A host and a port as the file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// An address; a name only where names are to be resolved.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Entry {
    fn parse(host: Option<&String>, port: Option<&String>, names: bool) -> Option<Self> {
        let (host, port) = (host?, port?.parse().ok().filter(|port| *port != 0)?);
        match host.parse::<IpAddr>() {
            Ok(ip) => Some(Entry { host: ip.to_canonical().to_string(), port }),
            // A name that is not to be resolved is fatal to the Sentinel: `Can't resolve instance hostname` (E4).
            Err(_) if names && !host.is_empty() => Some(Entry { host: host.clone(), port }),
            Err(_) => None,
        }
    }

    fn is(&self, address: crate::core::id::Address) -> bool {
        self.port == address.port() && self.host == address.ip().to_string()
    }
}

impl SentinelState {
    /// Reads what an earlier Sentinel left. A file that is missing or makes no sense is no state.
    pub fn read(path: &Path, settings: &Settings, names: bool) -> Result<Self, EngineError> {
        match read_text(path) {
            Ok(text) => Ok(Self::parse(&text, settings, names)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(EngineError::file("read", path, error)),
        }
    }

    /// Takes the state out of a Sentinel's file and repairs it: duplicate, own and unresolvable entries go (E5).
    pub fn parse(text: &str, settings: &Settings, names: bool) -> Self {
        let mut state = SentinelState::default();
        for line in text.lines().filter_map(|line| split(line).ok()) {
            let [first, kind, words @ ..] = line.as_slice() else { continue };
            if first != "sentinel" {
                continue;
            }
            let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
            if kind == "myid" {
                state.cluster = own_cluster(words.first(), settings);
            }
            if kind == "current-epoch" {
                state.current_epoch = number(0).unwrap_or(0);
            }
            if words.first() != Some(&settings.master_name) {
                continue;
            }
            let entry = || Entry::parse(words.get(1), words.get(2), names);
            match kind.as_str() {
                "monitor" => state.master = entry(),
                "config-epoch" => state.config_epoch = number(1).unwrap_or(0),
                "leader-epoch" => state.leader_epoch = number(1).unwrap_or(0),
                "known-replica" | "known-slave" => state.replicas.extend(entry()),
                "known-sentinel" => {
                    let id = words.get(3).filter(|id| is_id(id)).map(|id| SentinelId(id.clone()));
                    state.sentinels.extend(entry().map(|entry| (entry, id)));
                }
                _ => {}
            }
        }
        state.repair(settings);
        state
    }

    fn repair(&mut self, settings: &Settings) {
        let me = my_id(settings, self.cluster.as_ref());
        let own = crate::core::id::Address::new(settings.announce_ip, settings.port);
        // Of two entries with one id or one address the later one is the newer: Sentinel appends.
        let mut kept: Vec<(Entry, Option<SentinelId>)> = Vec::new();
        for (entry, id) in self.sentinels.drain(..).rev() {
            let double = kept.iter().any(|(other, other_id)| *other == entry || (id.is_some() && *other_id == id));
            if !double && !entry.is(own) && id.as_ref() != Some(&me) && kept.len() < ENTRIES_LIMIT {
                kept.push((entry, id));
            }
        }
        kept.reverse();
        self.sentinels = kept;
        let mut replicas: Vec<Entry> = Vec::new();
        for entry in self.replicas.drain(..) {
            if !replicas.contains(&entry) && self.master.as_ref() != Some(&entry) && replicas.len() < ENTRIES_LIMIT {
                replicas.push(entry);
            }
        }
        self.replicas = replicas;
        self.current_epoch = self.current_epoch.max(self.config_epoch).max(self.leader_epoch);
    }

    /// Completes it as the core tells.
    pub fn complete(&mut self, told: &SentinelFile) {
        self.cluster = told.cluster.clone().or(self.cluster.take());
        if let Some(monitor) = &told.monitor {
            let master = Entry { host: monitor.master.ip().to_string(), port: monitor.master.port() };
            let epoch = monitor.epoch.0;
            // The same name at a lower epoch than it has itself would be a step back.
            self.config_epoch =
                if self.master.as_ref() == Some(&master) { epoch.max(self.config_epoch) } else { epoch };
            self.current_epoch = self.current_epoch.max(epoch);
            self.replicas.retain(|replica| *replica != master);
            self.master = Some(master);
        }
        self.sentinels.retain(|(_, id)| id.as_ref().is_none_or(|id| !told.forget.contains(id)));
        self.replicas.retain(|replica| !told.forget_replicas.iter().any(|address| replica.is(*address)));
    }

    /// The lines from `sentinel monitor` on, in the order that the engine needs; nothing for a bare Sentinel.
    pub fn lines(&self, settings: &Settings, password: Option<&SecretString>, about_master: &[String]) -> Vec<String> {
        let name = quote(&settings.master_name);
        let mut lines = Vec::new();
        if let Some(master) = &self.master {
            lines.push(format!("sentinel monitor {name} {} {} {}", master.host, master.port, settings.quorum));
            lines.push(format!("sentinel down-after-milliseconds {name} {}", settings.down_after.as_millis()));
            lines.push(format!("sentinel failover-timeout {name} {}", settings.failover_timeout.as_millis()));
            lines.push(format!("sentinel parallel-syncs {name} {}", settings.parallel_syncs));
            // Without a password Sentinel does not log in at all, and so would come as `default`: any word will do
            // for a user with `nopass`.
            let password = password.map_or("nopass", |password| password.expose_secret());
            lines.push(format!("sentinel auth-user {name} sentinel"));
            lines.push(format!("sentinel auth-pass {name} {}", quote(password)));
            lines.extend(about_master.iter().cloned());
            lines.push(format!("sentinel config-epoch {name} {}", self.config_epoch));
            lines.push(format!("sentinel leader-epoch {name} {}", self.leader_epoch));
            for replica in &self.replicas {
                lines.push(format!("sentinel known-replica {name} {} {}", replica.host, replica.port));
            }
            for (sentinel, id) in &self.sentinels {
                let id = id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
                lines.push(format!("sentinel known-sentinel {name} {} {}{id}", sentinel.host, sentinel.port));
            }
        }
        lines.push(format!("sentinel current-epoch {}", self.current_epoch));
        lines
    }
}

/// What the id in a file tells, where it is this node's.
fn own_cluster(id: Option<&String>, settings: &Settings) -> Option<ClusterTag> {
    let id = SentinelId(id?.clone());
    id.cluster().filter(|tag| my_id(settings, Some(tag)) == id)
}

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
#[path = "sentinel_file_tests.rs"]
mod tests;
