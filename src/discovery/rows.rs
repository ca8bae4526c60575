//! What a Sentinel says, as the core's words. Pure, and it survives any value: a Sentinel may answer with anything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use redis::Value;

use crate::core::id::{Address, Epoch, Offset, RunId, SentinelId};
use crate::core::seen::{Failure, MasterRow, ReplicaRow, Rows, SentinelRow};
use crate::engine::info::Info;

use super::link::{error_code, text};
use super::names::literal;

/// Rows of one list beyond these are not looked at.
const ROWS_LIMIT: usize = 256;
/// Names of one answer that are resolved.
const HOSTS_LIMIT: usize = 16;
/// Sentinel says -1, 18446744073709551615 or 0 for "never"; the core gets a long time that it can still add to.
pub const LONG_AGO: Duration = Duration::from_secs(365 * 24 * 3600);

/// Host names that were resolved for this answer (C6); an address needs no entry.
pub type Places = HashMap<String, IpAddr>;

/// The fields of one row, as pairs of name and value. Of forty, a dozen are looked up: no table is worth its making.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn of(row: &'a Value) -> Option<Self> {
        let pair = |key: &'a Value, value: &'a Value| Some((text(key)?, text(value)?));
        match row {
            Value::Array(items) => Some(items.chunks_exact(2).filter_map(|two| pair(&two[0], &two[1])).collect()),
            Value::Map(items) => Some(items.iter().filter_map(|(key, value)| pair(key, value)).collect()),
            _ => None,
        }
        .map(Fields)
    }

    fn text(&self, name: &str) -> &'a str {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// An age in milliseconds; "never" and nonsense are [`LONG_AGO`].
    fn age(&self, name: &str) -> Duration {
        self.number(name).map_or(LONG_AGO, |millis| Duration::from_millis(millis).min(LONG_AGO))
    }

    fn flag(&self, flag: &str) -> bool {
        self.text("flags").split(',').any(|one| one == flag)
    }

    /// For how long it has been found down; `None` while it answers.
    fn down_for(&self) -> Option<Duration> {
        let down = self.flag("s_down").then(|| self.number("s-down-time").unwrap_or(0))?;
        Some(Duration::from_millis(down).min(LONG_AGO))
    }

    fn run_id(&self) -> Option<&'a str> {
        Some(self.text("runid")).filter(|id| is_id(id))
    }

    /// Empty, half and unresolvable addresses are none (A7).
    fn address(&self, places: &Places) -> Option<Address> {
        let host = self.text("ip");
        let port = self.text("port").parse().ok().filter(|port| *port != 0)?;
        let ip = literal(host).or_else(|| places.get(host).copied())?;
        Some(Address::new(ip, port)).filter(|_| !ip.is_unspecified())
    }
}

/// 40 hexadecimal digits.
pub fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// `SENTINEL MYID`.
pub fn myid(answer: &Value) -> Result<SentinelId, Failure> {
    if error_code(answer) == Some("NOPERM") {
        return Err(Failure::Unauthorised);
    }
    text(answer).filter(|id| is_id(id)).map(SentinelId::from).ok_or(Failure::Nonsense)
}

/// `SENTINEL MASTER <name>`: `None` where it monitors nothing under that name.
pub fn master(answer: &Value, places: &Places) -> Result<Option<MasterRow>, Failure> {
    match answer {
        Value::ServerError(error) => match (error.code(), error.details()) {
            (_, Some(text)) if text.starts_with("No such") && text.ends_with("with that name") => return Ok(None),
            ("NOPERM", _) => return Err(Failure::Unauthorised),
            _ => return Err(Failure::Nonsense),
        },
        Value::Nil => return Ok(None),
        _ => {}
    }
    let fields = Fields::of(answer).ok_or(Failure::Nonsense)?;
    let Some(address) = fields.address(places) else {
        // It names somebody whom we cannot place: no opinion would be a lie (could not ask is not no).
        let named = !fields.text("ip").is_empty() && fields.text("port").parse().is_ok_and(|port: u16| port != 0);
        return Err(if named { Failure::Silent } else { Failure::Nonsense });
    };
    Ok(Some(MasterRow {
        address,
        run_id: fields.run_id().map(RunId::from),
        epoch: Epoch(fields.number("config-epoch").ok_or(Failure::Nonsense)?),
        s_down: fields.flag("s_down"),
        o_down: fields.flag("o_down"),
        disconnected: fields.flag("disconnected"),
        failover: fields.flag("failover_in_progress"),
        says_replica: fields.text("role-reported") == "slave",
        last_ok_ping: fields.age("last-ok-ping-reply"),
        ping_unanswered: Some(fields.age("last-ping-sent")).filter(|age| !age.is_zero() && *age < LONG_AGO),
        down_after: fields.age("down-after-milliseconds"),
        quorum: fields.number("quorum").and_then(|quorum| usize::try_from(quorum).ok()).ok_or(Failure::Nonsense)?,
    }))
}

/// `SENTINEL GET-MASTER-ADDR-BY-NAME`: whom it tells clients. While it leads a failover that is the promoted one long
/// before its own row changes (facts section 5: 1.1 s against 2.2 s).
pub fn current(answer: &Value, places: &Places) -> Option<Address> {
    let Value::Array(pair) = answer else { return None };
    let [host, port] = pair.as_slice() else { return None };
    let (host, port) = (text(host)?, text(port)?.parse().ok()?);
    Address::parse(host, port).or_else(|| places.get(host).and_then(|ip| Address::parse(&ip.to_string(), port)))
}

/// The row, naming whom clients are told. What it says of its predecessor's health says nothing of that one.
pub fn naming(row: MasterRow, current: Option<Address>) -> MasterRow {
    match current {
        Some(address) if address != row.address => MasterRow {
            address,
            run_id: None,
            s_down: false,
            o_down: false,
            disconnected: false,
            says_replica: false,
            last_ok_ping: Duration::ZERO,
            ping_unanswered: None,
            ..row
        },
        _ => row,
    }
}

/// `SENTINEL REPLICAS`, `SENTINEL SENTINELS`, `SENTINEL CKQUORUM`, `INFO sentinel`, in this order.
pub fn rows(answers: &[Value], places: &Places) -> Result<Rows, Failure> {
    let [replicas, sentinels, quorum, info] = answers else { return Err(Failure::Nonsense) };
    Ok(Rows {
        replicas: list(replicas)?.filter_map(|row| replica(&Fields::of(row)?, places)).collect(),
        sentinels: list(sentinels)?.filter_map(|row| sentinel(&Fields::of(row)?, places)).collect(),
        quorum_ok: text(quorum).is_some_and(|text| text.starts_with("OK")),
        tilt: Info::parse(text(info).ok_or(Failure::Nonsense)?).flag("sentinel_tilt"),
    })
}

fn list(answer: &Value) -> Result<impl Iterator<Item = &Value>, Failure> {
    match answer {
        Value::Array(rows) => Ok(rows.iter().take(ROWS_LIMIT)),
        // The master was removed between two of our questions.
        Value::ServerError(_) | Value::Nil => Ok([].iter().take(0)),
        _ => Err(Failure::Nonsense),
    }
}

fn replica(fields: &Fields<'_>, places: &Places) -> Option<ReplicaRow> {
    // Redis 7 says 0, older ones a huge number, for an INFO that never came; then there is no run id either.
    let never = fields.run_id().is_none();
    Some(ReplicaRow {
        address: fields.address(places)?,
        promoted: fields.flag("promoted"),
        s_down: fields.flag("s_down"),
        down_for: fields.down_for().unwrap_or_default(),
        disconnected: fields.flag("disconnected"),
        info_refresh: if never { LONG_AGO } else { fields.age("info-refresh") },
        priority: fields.number("slave-priority").and_then(|priority| u32::try_from(priority).ok()).unwrap_or(100),
        offset: Offset(fields.number("slave-repl-offset").unwrap_or(0)),
        link_up: fields.text("master-link-status") == "ok",
    })
}

fn sentinel(fields: &Fields<'_>, places: &Places) -> Option<SentinelRow> {
    Some(SentinelRow {
        address: fields.address(places)?,
        id: fields.run_id().map(SentinelId::from),
        down_for: fields.down_for(),
    })
}

/// The host that a row is about.
fn host_of(row: &Value) -> Option<&str> {
    match row {
        Value::Array(items) => {
            items.chunks_exact(2).find(|two| text(&two[0]) == Some("ip")).and_then(|two| text(&two[1]))
        }
        _ => Some(Fields::of(row)?.text("ip")),
    }
}

/// The host names in these answers, to be resolved before they are parsed.
pub fn hosts(answers: &[Value]) -> Vec<String> {
    let mut hosts = Vec::new();
    let mut take = |host: &str| {
        if !host.is_empty()
            && literal(host).is_none()
            && hosts.len() < HOSTS_LIMIT
            && !hosts.iter().any(|had| had == host)
        {
            hosts.push(host.to_owned());
        }
    };
    for answer in answers {
        match answer {
            Value::Array(rows) if matches!(rows.first(), Some(Value::Array(_) | Value::Map(_))) => {
                rows.iter().take(ROWS_LIMIT).filter_map(host_of).for_each(&mut take);
            }
            // `GET-MASTER-ADDR-BY-NAME`
            Value::Array(pair) if pair.len() == 2 => take(text(&pair[0]).unwrap_or_default()),
            row => take(host_of(row).unwrap_or_default()),
        }
    }
    hosts
}

#[cfg(test)]
#[allow(clippy::panic, reason = "that is how a test fails")]
mod tests {
    use super::*;

    const ID: &str = "71c2c5a9e4a7ab1c1c1b7c9be0f0a3e9a7d4c101";

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn row(pairs: &[(&str, &str)]) -> Value {
        Value::Array(pairs.iter().flat_map(|(key, value)| [bulk(key), bulk(value)]).collect())
    }

    fn master_row(changes: &[(&str, &str)]) -> Value {
        let mut pairs = vec![
            ("name", "mymaster"),
            ("ip", "10.0.0.1"),
            ("port", "6379"),
            ("runid", ID),
            ("flags", "master"),
            ("last-ok-ping-reply", "300"),
            ("down-after-milliseconds", "5000"),
            ("role-reported", "master"),
            ("config-epoch", "7"),
            ("quorum", "2"),
        ];
        for (key, value) in changes {
            pairs.retain(|(had, _)| had != key);
            pairs.push((key, value));
        }
        row(&pairs)
    }

    fn at(text: &str) -> Address {
        Address(text.parse().expect("an address"))
    }

    fn parsed(changes: &[(&str, &str)]) -> MasterRow {
        master(&master_row(changes), &Places::new()).expect("a row").expect("a master")
    }

    #[test]
    fn a_master_row_and_each_of_its_flags() {
        let plain = parsed(&[]);
        assert_eq!(plain.address, at("10.0.0.1:6379"));
        assert_eq!((plain.epoch, plain.quorum), (Epoch(7), 2));
        assert_eq!(plain.run_id, Some(RunId::from(ID)));
        assert_eq!(plain.last_ok_ping, Duration::from_millis(300));
        assert_eq!((plain.ping_unanswered, plain.down_after), (None, Duration::from_millis(5000)));
        assert_eq!(parsed(&[("last-ping-sent", "1200")]).ping_unanswered, Some(Duration::from_millis(1200)));
        assert_eq!(parsed(&[("last-ping-sent", "0")]).ping_unanswered, None);
        assert!(!plain.s_down && !plain.o_down && !plain.disconnected && !plain.failover && !plain.says_replica);
        assert!(parsed(&[("flags", "s_down,master")]).s_down);
        assert!(parsed(&[("flags", "s_down,o_down,master,disconnected")]).o_down);
        assert!(parsed(&[("flags", "master,disconnected")]).disconnected);
        assert!(parsed(&[("flags", "master,failover_in_progress,force_failover")]).failover);
        assert!(parsed(&[("role-reported", "slave")]).says_replica);
        assert_eq!(parsed(&[("runid", "")]).run_id, None);
    }

    #[test]
    fn no_such_master_is_no_opinion_and_nothing_else_is() {
        let error = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error reply");
        assert_eq!(master(&error("ERR No such master with that name"), &Places::new()), Ok(None));
        assert_eq!(master(&error("ERR No such primary with that name"), &Places::new()), Ok(None), "Valkey");
        assert_eq!(master(&Value::Nil, &Places::new()), Ok(None));
        assert_eq!(master(&error("NOPERM no"), &Places::new()), Err(Failure::Unauthorised));
        assert_eq!(master(&error("ERR unknown command"), &Places::new()), Err(Failure::Nonsense));
        for value in [Value::Okay, Value::Int(1), bulk("x"), row(&[]), Value::Array(vec![Value::Nil; 7])] {
            assert_eq!(master(&value, &Places::new()), Err(Failure::Nonsense), "{value:?}");
        }
    }

    #[test]
    fn a7_an_empty_or_half_address_is_no_master() {
        for (changes, failure) in [
            ([("ip", ""), ("port", "6379")], Failure::Nonsense),
            ([("ip", "10.0.0.1"), ("port", "0")], Failure::Nonsense),
            ([("ip", "10.0.0.1"), ("port", "")], Failure::Nonsense),
            ([("ip", "10.0.0.1"), ("port", "65536")], Failure::Nonsense),
            ([("ip", "?"), ("port", "6379")], Failure::Silent),
            ([("ip", "gone.example"), ("port", "6379")], Failure::Silent),
        ] {
            assert_eq!(master(&master_row(&changes), &Places::new()), Err(failure), "{changes:?}");
        }
    }

    #[test]
    fn c6_a_name_is_its_address() {
        let value = master_row(&[("ip", "redis-0.redis")]);
        assert_eq!(hosts(std::slice::from_ref(&value)), ["redis-0.redis"]);
        let places = Places::from([("redis-0.redis".to_owned(), "10.0.0.5".parse().expect("an address"))]);
        let row = master(&value, &places).expect("a row").expect("a master");
        assert_eq!(row.address, at("10.0.0.5:6379"));
        assert_eq!(hosts(&[Value::Array(vec![bulk("redis-1.redis"), bulk("6379")])]), ["redis-1.redis"]);
        let lists = [Value::Array(vec![row_of("a", "1"), row_of("10.0.0.1", "1"), row_of("b", "1"), row_of("a", "2")])];
        assert_eq!(hosts(&lists), ["a", "b"]);
    }

    #[test]
    fn the_one_whom_clients_are_told_is_named_and_nothing_is_said_of_his_health() {
        let pair = |host: &str, port: &str| Value::Array(vec![bulk(host), bulk(port)]);
        let places = Places::from([("redis-1".to_owned(), "10.0.0.2".parse().expect("an address"))]);
        assert_eq!(current(&pair("10.0.0.2", "6379"), &places), Some(at("10.0.0.2:6379")));
        assert_eq!(current(&pair("redis-1", "6379"), &places), Some(at("10.0.0.2:6379")));
        for nobody in [pair("", "6379"), pair("10.0.0.2", "0"), pair("gone", "1"), Value::Nil, Value::Array(vec![])] {
            assert_eq!(current(&nobody, &places), None, "{nobody:?}");
        }
        let dead = || parsed(&[("flags", "master,s_down,o_down,failover_in_progress")]);
        let named = naming(dead(), Some(at("10.0.0.2:6379")));
        assert!(!named.s_down && !named.o_down && named.failover);
        assert_eq!((named.address, named.run_id), (at("10.0.0.2:6379"), None));
        assert_eq!(naming(dead(), Some(at("10.0.0.1:6379"))), dead());
        assert_eq!(naming(dead(), None), dead());
    }

    fn row_of(ip: &str, port: &str) -> Value {
        row(&[("ip", ip), ("port", port), ("runid", ID), ("flags", "slave")])
    }

    #[test]
    fn never_in_all_its_spellings_is_long_ago() {
        for never in ["-1", "18446744073709551615", "", "x", "99999999999999999999"] {
            assert_eq!(parsed(&[("last-ok-ping-reply", never)]).last_ok_ping, LONG_AGO, "{never}");
        }
        let refreshed = |runid: &str, age: &str| {
            let row = row(&[("ip", "10.0.0.2"), ("port", "1"), ("runid", runid), ("info-refresh", age)]);
            replica(&Fields::of(&row).expect("fields"), &Places::new()).expect("a replica").info_refresh
        };
        assert_eq!(refreshed(ID, "0"), Duration::ZERO);
        assert_eq!(refreshed("", "0"), LONG_AGO);
        assert_eq!(refreshed(ID, "18446744073709551614"), LONG_AGO);
    }

    #[test]
    fn lists_drop_what_is_no_row_and_keep_the_rest() {
        let replica = row(&[
            ("ip", "10.0.0.2"),
            ("port", "6379"),
            ("runid", ID),
            ("flags", "slave,promoted,s_down,disconnected"),
            ("info-refresh", "700"),
            ("slave-priority", "0"),
            ("slave-repl-offset", "1234"),
            ("master-link-status", "ok"),
        ]);
        let down = row(&[
            ("ip", "::1"),
            ("port", "26379"),
            ("runid", ID),
            ("flags", "sentinel,s_down"),
            ("s-down-time", "61000"),
        ]);
        let answers = [
            Value::Array(vec![Value::Nil, replica, row_of("", "6379"), row_of("gone", "1"), bulk("x")]),
            Value::Array(vec![down, row_of("10.0.0.9", "26379"), row(&[("ip", "10.0.0.9")])]),
            bulk("OK 3 usable Sentinels. Quorum and failover authorization can be reached"),
            bulk("# Sentinel\r\nsentinel_tilt:1\r\n"),
        ];
        let rows = rows(&answers, &Places::new()).expect("rows");
        assert!(rows.quorum_ok && rows.tilt);
        let [replica] = rows.replicas.as_slice() else { panic!("one replica: {:?}", rows.replicas) };
        assert!(replica.promoted && replica.s_down && replica.disconnected && replica.link_up);
        assert_eq!((replica.priority, replica.offset), (0, Offset(1234)));
        let [down, up] = rows.sentinels.as_slice() else { panic!("two Sentinels: {:?}", rows.sentinels) };
        assert_eq!(down.down_for, Some(Duration::from_secs(61)));
        assert_eq!((up.down_for, up.id.clone()), (None, Some(SentinelId::from(ID))));
    }
}
