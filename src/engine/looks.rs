//! Looks at the own child, over a connection of their own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};

use super::info::Info;
use super::life::Life;
use super::orders::pair;
use super::wire::{ask, ask_all, failure, text};
use crate::core::action::Depth;
use crate::core::event::LOOK_LIMIT;
use crate::core::id::RunId;
use crate::core::rules::Mode;
use crate::core::seen::{Appended, ChildFailure, ChildSeen, History, Link, RoleSeen, Written};

/// One look. Always answers within [`LOOK_LIMIT`].
pub async fn look(life: &Life, depth: Depth) -> Result<ChildSeen, ChildFailure> {
    let last = lock(&life.last).clone();
    let talk = life.looks.run(&life.door, false, |connection| {
        let last = last.clone();
        async move {
            match (life.mode, depth, last) {
                (Mode::Sentinel, _, _) => sentinel(&connection).await,
                (Mode::Server, Depth::Glance, Some(last)) => glance(&connection, last).await,
                (Mode::Server, _, _) => full(&connection).await,
            }
        }
    });
    let judged = async {
        match talk.await {
            Ok(seen) => seen.ok_or(ChildFailure::Refuses),
            Err(error) if error.kind() == ErrorKind::AuthenticationFailed && life.door.locked_out().await => {
                Err(ChildFailure::LockedOut)
            }
            Err(error) => Err(failure(&error)),
        }
    };
    match tokio::time::timeout(LOOK_LIMIT, judged).await {
        Ok(Ok(mut seen)) => {
            life.conversion.show(&mut seen);
            *lock(&life.last) = Some(seen.clone());
            Ok(seen)
        }
        Ok(Err(failure)) => Err(failure),
        Err(_expired) => {
            // The next look tries a fresh connection.
            life.looks.forget();
            Err(ChildFailure::Silent)
        }
    }
}

/// What is kept here is replaced whole: a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `INFO <section>`.
async fn info(connection: &MultiplexedConnection, section: &str) -> Result<String, RedisError> {
    Ok(text(&ask(connection, &["INFO", section]).await?).unwrap_or_default())
}

/// What else was seen stands while the data are the same line: whoever has synced since holds other keys, or some at all.
async fn glance(connection: &MultiplexedConnection, last: ChildSeen) -> Result<Option<ChildSeen>, RedisError> {
    let answer = info(connection, "replication").await?;
    let mut seen = last.clone();
    if !take_replication(&mut seen, &Info::parse(&answer)) {
        return Ok(None);
    }
    let same_line = seen.history.id == last.history.id && seen.has_data && last.loading.is_none();
    if same_line { Ok(Some(seen)) } else { full(connection).await }
}

async fn full(connection: &MultiplexedConnection) -> Result<Option<ChildSeen>, RedisError> {
    let [server, replication, persistence, keyspace] =
        ask_all(connection, ["server", "replication", "persistence", "keyspace"].map(|section| ["INFO", section]))
            .await?
            .map(|answer| text(&answer).unwrap_or_default());
    let (server, keep) = (Info::parse(&server), Info::parse(&persistence));
    let mut seen = empty(server.run_id().unwrap_or_default());
    if !take_replication(&mut seen, &Info::parse(&replication)) {
        return Ok(None);
    }
    let write_ok = keep.text("aof_last_write_status") != Some("err");
    seen.loading = keep.flag("loading").then(|| Duration::from_secs(keep.number("loading_eta_seconds").unwrap_or(0)));
    seen.has_data = Info::parse(&keyspace).has_keys();
    seen.aof = keep.flag("aof_enabled") && write_ok;
    let bytes = keep.number("aof_current_size").filter(|_| seen.aof);
    let waiting = keep.number("aof_buffer_length").unwrap_or(0);
    seen.appended = bytes.map(|bytes| Appended { offset: seen.history.offset, bytes: bytes + waiting });
    let counts = keep.number("rdb_changes_since_last_save").zip(keep.number("rdb_saves"));
    seen.written = counts.map(|(changes, saves)| Written { offset: seen.history.offset, changes, saves });
    seen.cannot_save = (keep.flag("aof_enabled") && !write_ok)
        || (keep.text("rdb_last_bgsave_status") == Some("err") && saves_must_work(connection).await?);
    seen.shutting_down = server.number("shutdown_in_milliseconds").is_some();
    // The engine says its own start where it has never saved; 7.0 counts the saves too.
    let never = keep.number("rdb_saves") == Some(0);
    seen.last_save = if never { 0 } else { keep.number("rdb_last_save_time").unwrap_or(0) };
    Ok(Some(seen))
}

/// A failed BGSAVE stops writes (MISCONF) only where there are save points and the user wants it so.
async fn saves_must_work(connection: &MultiplexedConnection) -> Result<bool, RedisError> {
    let points = ask(connection, &["CONFIG", "GET", "save"]).await?;
    let stops = ask(connection, &["CONFIG", "GET", "stop-writes-on-bgsave-error"]).await?;
    Ok(pair(&points).is_some_and(|points| !points.is_empty()) && pair(&stops).as_deref() == Some("yes"))
}

/// A Sentinel has no role and no data; that it answers is all there is to see.
async fn sentinel(connection: &MultiplexedConnection) -> Result<Option<ChildSeen>, RedisError> {
    let server = info(connection, "server").await?;
    Ok(Some(empty(Info::parse(&server).run_id().unwrap_or_default())))
}

fn empty(run_id: RunId) -> ChildSeen {
    ChildSeen {
        run_id,
        role: RoleSeen::Replica { master: None, link: Link::Down },
        history: History::default(),
        loading: None,
        link_idle: None,
        has_lost_a_link: false,
        has_data: false,
        aof: false,
        appended: None,
        written: None,
        cannot_save: false,
        shutting_down: false,
        sync_bytes: 0,
        last_save: 0,
    }
}

fn take_replication(seen: &mut ChildSeen, info: &Info) -> bool {
    let Some((role, history)) = info.replication() else { return false };
    (seen.role, seen.history) = (role, history);
    // -1 where there has been no link: no number.
    seen.link_idle = info.number("master_last_io_seconds_ago").map(Duration::from_secs);
    // -1 where there never was one since the process started (measured: 6.2, 7.0, 8.6, Valkey 9.1).
    seen.has_lost_a_link = info.number("master_link_down_since_seconds").is_some();
    seen.sync_bytes = info.number("master_sync_read_bytes").unwrap_or(0);
    true
}
