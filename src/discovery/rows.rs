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

/// The fields of one row, by name.
struct Fields<'a>(HashMap<&'a str, &'a str>);

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
        self.0.get(name).copied().unwrap_or_default()
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
            (_, Some(text)) if text.contains("No such master") => return Ok(None),
            ("NOPERM", _) => return Err(Failure::Unauthorised),
            _ => return Err(Failure::Nonsense),
        },
        Value::Nil => return Ok(None),
        _ => {}
    }
    let fields = Fields::of(answer).ok_or(Failure::Nonsense)?;
    let Some(address) = fields.address(places) else {
        // It names somebody whom we cannot place: no opinion would be a lie (could not ask is not no).
        let named = !fields.text("ip").is_empty() && fields.number("port").is_some_and(|port| port != 0);
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
        quorum: fields.number("quorum").and_then(|quorum| usize::try_from(quorum).ok()).ok_or(Failure::Nonsense)?,
    }))
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
        disconnected: fields.flag("disconnected"),
        info_refresh: if never { LONG_AGO } else { fields.age("info-refresh") },
        priority: fields.number("slave-priority").and_then(|priority| u32::try_from(priority).ok()).unwrap_or(100),
        offset: Offset(fields.number("slave-repl-offset").unwrap_or(0)),
        link_up: fields.text("master-link-status") == "ok",
    })
}

fn sentinel(fields: &Fields<'_>, places: &Places) -> Option<SentinelRow> {
    let down = fields.flag("s_down").then(|| fields.number("s-down-time").unwrap_or(0));
    Some(SentinelRow {
        address: fields.address(places)?,
        id: fields.run_id().map(SentinelId::from),
        down_for: down.map(|millis| Duration::from_millis(millis).min(LONG_AGO)),
    })
}

/// The host names in these answers, to be resolved before they are parsed.
pub fn hosts(answers: &[Value]) -> Vec<String> {
    let mut hosts = Vec::new();
    let mut take = |row: &Value| {
        let host = Fields::of(row).map(|fields| fields.text("ip").to_owned()).unwrap_or_default();
        if !host.is_empty() && literal(&host).is_none() && hosts.len() < HOSTS_LIMIT && !hosts.contains(&host) {
            hosts.push(host);
        }
    };
    for answer in answers {
        match answer {
            Value::Array(rows) if matches!(rows.first(), Some(Value::Array(_) | Value::Map(_))) => {
                rows.iter().take(ROWS_LIMIT).for_each(&mut take);
            }
            row => take(row),
        }
    }
    hosts
}
