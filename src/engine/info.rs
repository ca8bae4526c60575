//! What `INFO` says, as the core's words. Pure, and it survives any text: a server may answer with anything.

use std::time::Duration;

use crate::core::engines::{EngineName, EngineVersion};
use crate::core::id::{Address, Offset, ReplId, RunId};
use crate::core::seen::{AttachedReplica, History, Link, RoleSeen};

/// More of an answer than this is not read: `INFO` of a healthy server has some 6 kB.
pub const INFO_LIMIT: usize = 256 * 1024;
/// Lines and replicas beyond these are not looked at.
const LINES_LIMIT: usize = 4096;
const REPLICAS_LIMIT: usize = 256;
/// `replicaof 127.0.0.1 1`, the master that every child is born with, is nobody (design, invariant 2).
pub const NOBODY: (&str, u16) = ("127.0.0.1", 1);

/// The fields of an `INFO` answer, by name. The first of two equal names counts. A section has some thirty, of which a
/// few are looked up: no table is worth its making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Info<'a> {
    /// Splits an answer into its fields.
    pub fn parse(text: &'a str) -> Self {
        let mut fields = Vec::with_capacity(32);
        let mut read = 0;
        for line in text.lines().take(LINES_LIMIT) {
            read += line.len();
            if read > INFO_LIMIT {
                break;
            }
            if let Some((name, value)) = line.trim_end().split_once(':')
                && !name.starts_with('#')
            {
                fields.push((name, value));
            }
        }
        Info(fields)
    }

    /// A field's text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    /// A field that is a number which is not negative.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A field that is `1`.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }

    /// Some database holds a key (`# Keyspace`: `db0:keys=3,expires=0,..`).
    pub fn has_keys(&self) -> bool {
        self.0.iter().any(|(name, value)| {
            let database = name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok());
            database && part(value, "keys").and_then(|keys| keys.parse::<u64>().ok()).is_some_and(|keys| keys > 0)
        })
    }

    /// Which process this is (`# Server`).
    pub fn run_id(&self) -> Option<RunId> {
        self.text("run_id").filter(|id| is_id(id)).map(RunId::from)
    }

    /// Which engine it is (`# Server`). Valkey says a Redis version too, for old clients.
    pub fn engine(&self) -> Option<EngineVersion> {
        let of = |name, field| self.text(field)?.parse().ok().map(|version| EngineVersion { name, version });
        of(EngineName::Valkey, "valkey_version").or_else(|| of(EngineName::Redis, "redis_version"))
    }

    /// Role and history (`# Replication`); `None` where the answer does not hold them.
    pub fn replication(&self) -> Option<(RoleSeen, History)> {
        let own = Offset(self.number("master_repl_offset")?);
        let (role, offset) = match self.text("role")? {
            "master" => (RoleSeen::Master { replicas: self.replicas() }, own),
            "slave" => (self.replica(), self.replica_offset(own)),
            _ => return None,
        };
        let id = self.text("master_replid").filter(|id| is_id(id)).map(ReplId::from)?;
        Some((role, History { id, second: self.second_history(), offset }))
    }

    fn replica(&self) -> RoleSeen {
        let link = match self.text("master_link_status") {
            Some("up") => Link::Up,
            _ if self.flag("master_sync_in_progress") => Link::Syncing,
            _ => Link::Down,
        };
        let host = self.text("master_host").unwrap_or_default();
        let port = self.text("master_port").and_then(|port| port.parse().ok()).unwrap_or(0);
        let master = if (host, port) == NOBODY { None } else { Address::parse(host, port) };
        RoleSeen::Replica { master, link }
    }

    /// Without a master or a cached one the engine says 1, though its data still stand at `master_repl_offset`.
    fn replica_offset(&self, own: Offset) -> Offset {
        match self.number("slave_repl_offset") {
            Some(offset) if offset > 1 => Offset(offset),
            _ => own,
        }
    }

    fn second_history(&self) -> Option<(ReplId, Offset)> {
        let id = self.text("master_replid2").filter(|id| is_id(id) && id.bytes().any(|digit| digit != b'0'))?;
        // -1 (no second history) is no number here.
        Some((ReplId::from(id), Offset(self.number("second_repl_offset")?)))
    }

    fn replicas(&self) -> Vec<AttachedReplica> {
        let count = self.number("connected_slaves").unwrap_or(0);
        let row = |(name, value): &(&str, &str)| {
            let index: u64 = name.strip_prefix("slave")?.parse().ok()?;
            attached(value).filter(|_| index < count)
        };
        self.0.iter().filter_map(row).take(REPLICAS_LIMIT).collect()
    }
}

/// Parses `INFO replication`, or more of `INFO`. The run id is there where the answer holds `# Server` too.
/// `None`: that was no such answer.
pub fn parse_replication(info: &str) -> Option<(Option<RunId>, RoleSeen, History)> {
    let info = Info::parse(info);
    let (role, history) = info.replication()?;
    Some((info.run_id(), role, history))
}

/// `ip=127.0.0.3,port=6379,state=online,offset=14,lag=0`; an IPv6 address holds no comma either.
fn attached(line: &str) -> Option<AttachedReplica> {
    let number = |name| part(line, name).and_then(|text| text.parse::<u64>().ok());
    Some(AttachedReplica {
        address: Address::parse(part(line, "ip")?, u16::try_from(number("port")?).ok()?)?,
        online: part(line, "state") == Some("online"),
        offset: Offset(number("offset").unwrap_or(0)),
        lag: Duration::from_secs(number("lag").unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX))),
    })
}

/// The value of `name` in `a=1,b=2`.
fn part<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(',').filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// 40 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        slave0:ip=127.0.0.3,port=6379,state=online,offset=1400,lag=0\r\n\
        slave1:ip=::1,port=6379,state=wait_bgsave,offset=0,lag=1\r\nmaster_failover_state:no-failover\r\n\
        master_replid:71c2c5a9e4a7ab1c1c1b7c9be0f0a3e9a7d4c101\r\n\
        master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:1400\r\n\
        second_repl_offset:-1\r\nrepl_backlog_active:1\r\n";

    const REPLICA: &str = "role:slave\nmaster_host:127.0.0.2\nmaster_port:6379\nmaster_link_status:down\n\
        master_last_io_seconds_ago:-1\nmaster_sync_in_progress:1\nslave_repl_offset:1\nconnected_slaves:0\n\
        master_replid:71c2c5a9e4a7ab1c1c1b7c9be0f0a3e9a7d4c101\n\
        master_replid2:81c2c5a9e4a7ab1c1c1b7c9be0f0a3e9a7d4c101\nmaster_repl_offset:77\nsecond_repl_offset:50\n";

    #[test]
    fn a_master_shows_its_replicas() {
        let (run_id, role, history) = parse_replication(MASTER).expect("an INFO");
        assert_eq!(run_id, None);
        assert_eq!(history.offset, Offset(1400));
        assert_eq!(history.second, None);
        let RoleSeen::Master { replicas } = role else { unreachable!("a master") };
        assert_eq!(replicas.len(), 2);
        assert!(replicas[0].online && !replicas[1].online);
        assert_eq!(replicas[1].address, Address::parse("::1", 6379).expect("an address"));
    }

    #[test]
    fn a_replica_without_a_link_keeps_the_offset_of_its_data() {
        let (_, role, history) = parse_replication(REPLICA).expect("an INFO");
        assert_eq!(role, RoleSeen::Replica { master: Address::parse("127.0.0.2", 6379), link: Link::Syncing });
        assert_eq!(history.offset, Offset(77));
        assert_eq!(history.second.map(|(_, upto)| upto), Some(Offset(50)));
    }

    #[test]
    fn a7_a_child_of_nobody_and_half_an_address_follow_nobody() {
        for (from, to) in
            [("127.0.0.2\nmaster_port:6379", "127.0.0.1\nmaster_port:1"), ("127.0.0.2", ""), ("6379", "0")]
        {
            let text = REPLICA.replacen(from, to, 1);
            assert_eq!(parse_replication(&text).and_then(|(_, role, _)| role.master()), None, "{text}");
        }
    }

    #[test]
    fn a_valkey_is_none_of_the_redis_that_it_says_too() {
        let engine = |text| Info::parse(text).engine().map(|engine| engine.to_string());
        assert_eq!(engine("redis_version:7.0.15\r\n").as_deref(), Some("Redis 7.0.15"));
        let valkey = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(engine(valkey).as_deref(), Some("Valkey 9.1.2"));
        assert_eq!(engine("redis_version:\r\n"), None);
    }

    #[test]
    fn keys_are_found_in_any_database_and_nowhere_else() {
        assert!(Info::parse("# Keyspace\ndb3:keys=1,expires=0,avg_ttl=0\n").has_keys());
        assert!(!Info::parse("db0:keys=0,expires=0\ndbx:keys=4\nkeys:db0\n").has_keys());
    }

    #[test]
    fn nonsense_of_any_kind_is_survived() {
        let junk =
            ["", ":", "role:master", "role:\u{1F980}", "\0\0\0", "role:slave\nmaster_repl_offset:-5\n", "=,=,=:=:="];
        for text in junk {
            assert_eq!(parse_replication(text), None);
        }
        let huge = format!("{MASTER}{}", "\u{1F980}:x\n".repeat(200_000));
        assert!(parse_replication(&huge).is_some());
        // Every prefix, and every byte flipped to a colon: no panic.
        for cut in 0..MASTER.len() {
            let _ = parse_replication(MASTER.get(..cut).unwrap_or_default());
            let mut bytes = MASTER.as_bytes().to_vec();
            bytes[cut] = b':';
            let _ = parse_replication(&String::from_utf8_lossy(&bytes));
        }
        let many = MASTER.replace("connected_slaves:2", "connected_slaves:18446744073709551615");
        assert!(parse_replication(&many).is_some());
    }
}
