//! A Sentinel's file: what it keeps in it is read, repaired and completed before each start (design section 5).

use std::net::IpAddr;
use std::path::Path;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::error::EngineError;
use super::files::read_text;
use super::secret::hex;
use super::words::{quote, split};
use crate::config::settings::Settings;
use crate::core::action::SentinelFile;
use crate::core::id::SentinelId;

/// More replicas or Sentinels than these are not kept.
const ENTRIES_LIMIT: usize = 256;

/// A stable `myid`, so that a replaced pod does not leave a ghost (facts, section 4): 40 hexadecimal digits of
/// SHA-256 over master name and node name.
pub fn my_id(settings: &Settings) -> SentinelId {
    // The NUL keeps `a` + `bc` and `ab` + `c` apart.
    let text = format!("{}\0{}", settings.master_name, settings.name);
    SentinelId(hex(&Sha256::digest(text.as_bytes())).chars().take(40).collect())
}

/// What a Sentinel remembers of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentinelState {
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
        for line in text.lines().filter_map(split) {
            let [first, kind, words @ ..] = line.as_slice() else { continue };
            if first != "sentinel" {
                continue;
            }
            let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
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
        let me = my_id(settings);
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
    pub fn lines(&self, settings: &Settings, about_master: &[String]) -> Vec<String> {
        let name = quote(&settings.master_name);
        let mut lines = Vec::new();
        if let Some(master) = &self.master {
            lines.push(format!("sentinel monitor {name} {} {} {}", master.host, master.port, settings.quorum));
            lines.push(format!("sentinel down-after-milliseconds {name} {}", settings.down_after.as_millis()));
            lines.push(format!("sentinel failover-timeout {name} {}", settings.failover_timeout.as_millis()));
            lines.push(format!("sentinel parallel-syncs {name} {}", settings.parallel_syncs));
            // Without a password Sentinel does not log in at all, and so would come as `default`: any word will do
            // for a user with `nopass`.
            let password = settings.password.as_ref().map_or("nopass", |password| password.expose_secret());
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

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::config::settings::{Elector, EngineChoice, LogFormat, Restart};
    use crate::core::action::Monitor;
    use crate::core::id::{Address, Epoch};
    use crate::core::rules::{Durability, Mode};

    fn settings() -> Settings {
        Settings {
            mode: Mode::Sentinel,
            sentinels: Vec::new(),
            servers: Vec::new(),
            elector: Elector::None,
            master_name: "mymaster".into(),
            quorum: 2,
            down_after: Duration::from_secs(5),
            failover_timeout: Duration::from_secs(10),
            parallel_syncs: 1,
            expected_servers: None,
            announce_address: "127.0.0.5".into(),
            announce_ip: IpAddr::from([127, 0, 0, 5]),
            bind: Vec::new(),
            port: 26379,
            data_dir: PathBuf::new(),
            grace_period: Duration::from_secs(60),
            socket: PathBuf::new(),
            http_listen: None,
            engine: EngineChoice::Auto,
            password: None,
            sentinel_password: None,
            restart: Restart { max: 5, within: Duration::from_secs(300) },
            durability: Durability::Default,
            name: "sentinel-0".into(),
            include: None,
            engine_args: Vec::new(),
            log: String::new(),
            log_format: LogFormat::Text,
            in_kubernetes: false,
        }
    }

    fn file() -> String {
        let (a, b, me) = ("a".repeat(40), "b".repeat(40), my_id(&settings()));
        format!(
            "port 26379\nsentinel myid {me}\nsentinel monitor mymaster 127.0.0.1 6379 2\n\
             sentinel config-epoch mymaster 3\nsentinel leader-epoch mymaster 4\nsentinel current-epoch 4\n\
             sentinel known-replica mymaster 127.0.0.2 6379\nsentinel known-replica mymaster 127.0.0.2 6379\n\
             sentinel known-slave mymaster 127.0.0.3 6379\nsentinel known-replica mymaster 127.0.0.1 6379\n\
             sentinel known-replica mymaster gone.example 6379\nsentinel known-replica mymaster 127.0.0.4 0\n\
             sentinel known-sentinel mymaster 127.0.0.6 26379 {a}\nsentinel known-sentinel mymaster 127.0.0.7 26379 {a}\n\
             sentinel known-sentinel mymaster 127.0.0.8 26379 {b}\nsentinel known-sentinel mymaster 127.0.0.5 26379 {b}\n\
             sentinel known-sentinel mymaster 127.0.0.9 26379 {me}\nsentinel known-sentinel mymaster 127.0.0.10 26379\n\
             sentinel known-replica other 127.0.0.99 6379\nsentinel monitor other 127.0.0.98 6379 2\n"
        )
    }

    #[test]
    fn an_id_is_stable_and_its_own() {
        let mut other = settings();
        other.name = "sentinel-1".into();
        assert_eq!(my_id(&settings()), my_id(&settings()));
        assert_ne!(my_id(&settings()), my_id(&other));
        assert!(is_id(&my_id(&settings()).0));
    }

    #[test]
    fn e5_duplicate_own_and_unresolvable_entries_are_repaired() {
        let state = SentinelState::parse(&file(), &settings(), false);
        let hosts: Vec<&str> = state.replicas.iter().map(|entry| entry.host.as_str()).collect();
        assert_eq!(hosts, ["127.0.0.2", "127.0.0.3"]);
        let sentinels: Vec<&str> = state.sentinels.iter().map(|(entry, _)| entry.host.as_str()).collect();
        assert_eq!(sentinels, ["127.0.0.7", "127.0.0.8", "127.0.0.10"]);
        assert_eq!((state.config_epoch, state.leader_epoch, state.current_epoch), (3, 4, 4));
        let again = SentinelState::parse(&state.lines(&settings(), &[]).join("\n"), &settings(), false);
        assert_eq!(again, state);
    }

    #[test]
    fn names_stay_where_they_are_to_be_resolved() {
        let state = SentinelState::parse(&file(), &settings(), true);
        assert!(state.replicas.iter().any(|entry| entry.host == "gone.example"));
    }

    #[test]
    fn a_re_point_takes_the_told_epoch_and_a_prune_drops_lines() {
        let mut state = SentinelState::parse(&file(), &settings(), false);
        let at = |host| Address::parse(host, 6379).expect("an address");
        state.complete(&SentinelFile {
            monitor: Some(Monitor { master: at("127.0.0.3"), epoch: Epoch(9) }),
            forget: vec![SentinelId("a".repeat(40))],
            forget_replicas: vec![at("127.0.0.2")],
        });
        let lines = state.lines(&settings(), &["sentinel notification-script mymaster /x".into()]);
        assert_eq!(lines.first().map(String::as_str), Some("sentinel monitor mymaster 127.0.0.3 6379 2"));
        assert!(lines.contains(&"sentinel config-epoch mymaster 9".to_owned()));
        assert_eq!(lines.last().map(String::as_str), Some("sentinel current-epoch 9"));
        assert!(!lines.iter().any(|line| line.contains("known-replica") || line.contains("127.0.0.7")));
        // The same master again at a lower epoch is no step back.
        state.complete(&SentinelFile {
            monitor: Some(Monitor { master: at("127.0.0.3"), epoch: Epoch(1) }),
            ..SentinelFile::default()
        });
        assert_eq!((state.config_epoch, state.current_epoch), (9, 9));
    }

    #[test]
    fn a_file_of_nonsense_is_a_bare_sentinel() {
        for text in [
            "",
            "sentinel",
            "sentinel monitor",
            "sentinel monitor mymaster",
            "\0\0",
            "sentinel config-epoch mymaster -1",
            "sentinel known-sentinel mymaster \"",
            "sentinel monitor mymaster 1.2.3.4 99999 x",
        ] {
            let state = SentinelState::parse(text, &settings(), false);
            assert_eq!(state.lines(&settings(), &[]), ["sentinel current-epoch 0"], "{text}");
        }
        let many: String =
            (0..5000).map(|n| format!("sentinel known-replica mymaster 10.0.{}.{} 1\n", n / 250, n % 250)).collect();
        assert_eq!(SentinelState::parse(&many, &settings(), false).replicas.len(), ENTRIES_LIMIT);
    }
}
