//! Rollback files: what a server holds and is about to discard, kept beside its data (invariant 8).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::RedisError;

use super::info::Info;
use super::life::Life;
use super::orders::{pair, refusal};
use super::wire::{ask, text};
use crate::core::event::{Done, OrderFailure};

/// The whole of it, saving included.
const LIMIT: Duration = Duration::from_secs(60);
/// One question.
const ASK: Duration = Duration::from_secs(1);
/// Between two questions whether the save is done.
const POLL: Duration = Duration::from_millis(20);
/// Rollback files kept; the oldest goes first.
const FILES: usize = 3;

/// Saves what the child holds and keeps the file.
pub async fn keep(life: &Life) -> Result<Done, OrderFailure> {
    let file = match tokio::time::timeout(LIMIT, save(life)).await {
        Ok(saved) => saved?,
        Err(_expired) => return Err(OrderFailure::Unknown),
    };
    let directory = life.data_dir.clone();
    let kept = tokio::task::spawn_blocking(move || keep_file(&directory, &file, now())).await;
    match kept {
        Ok(Ok((file, bytes))) => Ok(Done::Kept { file: file.display().to_string(), bytes }),
        Ok(Err(error)) => Err(OrderFailure::Refused(format!("the rollback file: {error}"))),
        Err(_ended) => Err(OrderFailure::Unknown),
    }
}

/// Unix seconds: only a name, and a mark for people.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0)
}

pub(super) async fn say(life: &Life, words: &[&str]) -> Result<Option<String>, OrderFailure> {
    let talk = life.orders.run(&life.door, false, |connection| async move {
        let answer = ask(&connection, words).await?;
        Ok::<_, RedisError>(pair(&answer).or_else(|| text(&answer)))
    });
    match tokio::time::timeout(ASK, talk).await {
        Ok(answer) => answer.map_err(|error| refusal(&error)),
        Err(_expired) => {
            life.orders.forget();
            Err(OrderFailure::Unknown)
        }
    }
}

/// A BGSAVE that began after we were asked: an earlier one holds less.
pub(super) async fn save(life: &Life) -> Result<PathBuf, OrderFailure> {
    let name = say(life, &["CONFIG", "GET", "dbfilename"]).await?.unwrap_or_default();
    // One name in the child's directory, whatever the answer is.
    let name = Path::new(&name).file_name().ok_or(OrderFailure::Refused("no dbfilename".into()))?.to_owned();
    wait_for_savers(life).await?;
    let file = life.data_dir.join(name);
    let (held, before) = (history(life).await?, inode(&file));
    say(life, &["BGSAVE"]).await?;
    wait_for_savers(life).await?;
    let info = say(life, &["INFO", "persistence"]).await?.unwrap_or_default();
    // An engine that syncs ends its own save with a signal, and says "ok" of it all the same (killRDBChild).
    if Info::parse(&info).text("rdb_last_bgsave_status") != Some("ok") || inode(&file) == before {
        return Err(OrderFailure::Refused("BGSAVE failed".into()));
    }
    if history(life).await? != held {
        return Err(OrderFailure::Refused("the engine has synced meanwhile: the file is of its new data".into()));
    }
    Ok(file)
}

/// Which history the child holds.
async fn history(life: &Life) -> Result<Option<String>, OrderFailure> {
    let info = say(life, &["INFO", "replication"]).await?.unwrap_or_default();
    Ok(Info::parse(&info).text("master_replid").map(str::to_owned))
}

/// A finished save is another file under the same name.
fn inode(file: &Path) -> Option<u64> {
    fs::metadata(file).ok().map(|found| found.ino())
}

async fn wait_for_savers(life: &Life) -> Result<(), OrderFailure> {
    loop {
        if life.hurry.load(Ordering::Relaxed) {
            return Err(OrderFailure::Refused("the child was told to end".into()));
        }
        let info = say(life, &["INFO", "persistence"]).await?.unwrap_or_default();
        let info = Info::parse(&info);
        if !info.flag("rdb_bgsave_in_progress") && !info.flag("aof_rewrite_in_progress") {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Links (or copies) the finished file under a name of its own, in bounds: at most [`FILES`] files, together at most
/// half of what the file system has free.
fn keep_file(directory: &Path, file: &Path, now: u64) -> io::Result<(PathBuf, u64)> {
    let bytes = fs::metadata(file)?.len();
    let mut old = rollback_files(directory)?;
    let held: u64 = old.iter().map(|(_, _, bytes)| bytes).sum();
    let allowed = free(directory)?.saturating_add(held) / 2;
    if bytes > allowed {
        let problem = format!("{bytes} bytes are more than half of what is free ({allowed})");
        return Err(io::Error::new(io::ErrorKind::StorageFull, problem));
    }
    let mut sum = held.saturating_add(bytes);
    while old.len() >= FILES || sum > allowed {
        if old.is_empty() {
            break;
        }
        let (_, path, bytes) = old.remove(0);
        fs::remove_file(path)?;
        sum = sum.saturating_sub(bytes);
    }
    let target = (now..now.saturating_add(60))
        .map(|second| directory.join(format!("rollback-{second}.rdb")))
        .find(|path| !path.exists())
        .ok_or(io::ErrorKind::AlreadyExists)?;
    if fs::hard_link(file, &target).is_err() {
        // No hard links there: a copy, visible only when it is whole.
        let temporary = directory.join("rollback.new");
        let copied = fs::copy(file, &temporary)
            .and_then(|_| fs::File::open(&temporary)?.sync_all())
            .and_then(|()| fs::rename(&temporary, &target));
        if let Err(error) = copied {
            let _gone = fs::remove_file(&temporary);
            return Err(error);
        }
    }
    fs::File::open(directory)?.sync_all()?;
    Ok((target, bytes))
}

/// Time, path and size of each, oldest first.
fn rollback_files(directory: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)?.filter_map(Result::ok) {
        let name = entry.file_name();
        let time =
            name.to_str().and_then(|name| name.strip_prefix("rollback-")?.strip_suffix(".rdb")?.parse::<u64>().ok());
        if let (Some(time), Ok(metadata)) = (time, entry.metadata()) {
            found.push((time, entry.path(), metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn free(directory: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(directory)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_three_rollback_files_and_the_newest_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let dump = dir.path().join("dump.rdb");
        for round in 0..5_u64 {
            fs::write(&dump, format!("round {round}")).expect("written");
            let (path, bytes) = keep_file(dir.path(), &dump, 100 + round).expect("kept");
            assert_eq!(bytes, 7);
            fs::remove_file(&dump).expect("replaced by the next save");
            assert_eq!(fs::read_to_string(path).expect("there"), format!("round {round}"));
        }
        let times: Vec<u64> = rollback_files(dir.path()).expect("listed").into_iter().map(|(time, ..)| time).collect();
        assert_eq!(times, [102, 103, 104]);
        fs::write(&dump, "again").expect("written");
        let (path, _) = keep_file(dir.path(), &dump, 104).expect("kept beside one of that second");
        assert!(path.ends_with("rollback-105.rdb"));
    }
}
