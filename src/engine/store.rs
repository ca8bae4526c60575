//! The state file, `<data dir>/redinit.state`, and the lock that keeps a second supervisor out of the directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::files::{read_text, replace_private, write_private};
use crate::core::cluster::{ClusterId, Identity};
use crate::core::record::{Record, Recovered};

const VERSION: u32 = 1;

/// Why there is no state, or why it could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another supervisor works in this directory (P37).
    #[error("the data directory {} is in use by another supervisor; give each its own `data_dir`", .0.display())]
    InUse(PathBuf),
    /// It could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read`, `write`, `lock`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no state file, or one of a later redinit.
    #[error("{} makes no sense: {reason}; it is treated as lost", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It belongs to another cluster.
    #[error("{} belongs to cluster `{found}`, not to `{expected}`: mount the right volume, or set `cluster_id` to that, or copy the volume and remove this file to take the data as they are", path.display())]
    OtherCluster {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: ClusterId,
        /// Whose it should be.
        expected: ClusterId,
    },
    /// It belongs to another group.
    #[error("{} belongs to the group `{found}`, not to `{expected}`: mount the right volume, or set `master_name` to that, or copy the volume and remove this file to take the data as they are", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
}

#[derive(Deserialize)]
struct Found {
    v: u32,
    written: u64,
    boot: String,
    record: Record,
}

#[derive(Serialize)]
struct Kept<'a> {
    v: u32,
    written: u64,
    boot: &'a str,
    record: &'a Record,
}

/// The state of one data directory, locked for as long as this (or a clone) lives.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    boot: String,
    _lock: Arc<Flock<File>>,
}

impl Store {
    /// Locks the directory. The lock goes with the process, however it ends.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("redinit.lock");
        let failed = |source| StoreError::File { what: "lock", path: path.clone(), source };
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => StoreError::InUse(data_dir.to_owned()),
            errno => failed(errno.into()),
        })?;
        Ok(Store { path: file_of(data_dir), boot: boot_id(), _lock: Arc::new(lock) })
    }

    /// What an earlier supervisor left here.
    pub fn load(&self, master_name: &str) -> Result<Option<Recovered>, StoreError> {
        read(&self.path, master_name, &self.boot)
    }

    /// What was found belongs to the cluster that the settings give. An id that no write was taken under binds nobody.
    pub fn belongs(&self, found: Option<&Recovered>, expected: Option<&ClusterId>) -> Result<(), StoreError> {
        let identity = found.and_then(|found| found.record.cluster.as_ref()).filter(|it| Identity::is_settled(it));
        match (identity, expected) {
            (Some(identity), Some(expected)) if identity.id.tag() != expected.tag() => Err(StoreError::OtherCluster {
                path: self.path.clone(),
                found: identity.id.clone(),
                expected: expected.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Keeps the record: when this returns it is on the disk, whole. Waits for the disk: not for the control thread.
    /// Where only the offset has moved since `last`, which was kept before, a power cut may still bring back that one:
    /// half of what a save costs, each second.
    pub fn save(&self, record: &Record, last: Option<&Record>) -> Result<(), StoreError> {
        let kept = Kept { v: VERSION, written: now(), boot: &self.boot, record };
        let failed = |source| StoreError::File { what: "write", path: self.path.clone(), source };
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
        let write = if last.is_some_and(|last| record.moved_from(last)) { replace_private } else { write_private };
        write(&self.path, &text).map_err(failed)
    }
}

/// What is in this data directory, without locking it.
pub fn load(data_dir: &Path, master_name: &str) -> Result<Option<Recovered>, StoreError> {
    read(&file_of(data_dir), master_name, &boot_id())
}

fn read(path: &Path, master_name: &str, boot: &str) -> Result<Option<Recovered>, StoreError> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::File { what: "read", path: path.to_owned(), source }),
    };
    let broken = |reason| StoreError::Broken { path: path.to_owned(), reason };
    let found: Found = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    if found.v != VERSION {
        return Err(broken(format!("version {} is not known", found.v)));
    }
    if found.record.master_name != master_name {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
            found: found.record.master_name,
            expected: master_name.to_owned(),
        });
    }
    // Where the boot cannot be told, an offset may be ahead of the disk.
    let rebooted = boot.is_empty() || found.boot != boot;
    Ok(Some(Recovered { record: found.record, written: found.written, rebooted }))
}

/// Removes what a dead child left half written: `temp-*.rdb`, `temp-*.aof`. Nothing else; gives how many.
pub fn remove_leftovers(data_dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(data_dir)?.filter_map(Result::ok) {
        let name = entry.file_name();
        let half = name
            .to_str()
            .is_some_and(|name| name.starts_with("temp-") && (name.ends_with(".rdb") || name.ends_with(".aof")));
        if half && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn file_of(data_dir: &Path) -> PathBuf {
    data_dir.join("redinit.state")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0)
}

/// Changes with every boot of the machine, not of the container.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{Address, Epoch, Offset, ReplId};
    use crate::core::record::RecordedRole;
    use crate::core::seen::Appended;
    use std::os::unix::fs::PermissionsExt;

    fn record() -> Record {
        Record {
            master_name: "mymaster".into(),
            cluster: None,
            role: RecordedRole::Replica,
            master: Address::parse("127.0.0.2", 6379),
            epoch: Epoch(7),
            history: ReplId("a".repeat(40)),
            second: Some((ReplId("b".repeat(40)), Offset(5))),
            earlier: vec![(ReplId("c".repeat(40)), Offset(3))],
            offset: Offset(99),
            appended: None,
            calm: None,
            clean: true,
            consent: None,
            servers: Vec::new(),
            unsupervised: Vec::new(),
            sentinels: Vec::new(),
        }
    }

    #[test]
    fn a_record_comes_back_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opened");
        assert_eq!(store.load("mymaster").expect("nothing yet"), None);
        store.save(&record(), None).expect("saved");
        let found = store.load("mymaster").expect("read").expect("there");
        assert_eq!(found.record, record());
        assert!(!found.rebooted && found.written > 0);
        let mode = fs::metadata(file_of(dir.path())).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(store.load("other"), Err(StoreError::Foreign { .. })));
        let text = read_text(&file_of(dir.path())).expect("text").replace(&boot_id(), "another boot");
        fs::write(file_of(dir.path()), text).expect("written");
        assert!(store.load("mymaster").expect("read").expect("there").rebooted);
    }

    #[test]
    fn n13_the_volume_of_another_cluster_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opened");
        let id = |text| ClusterId::parse(text).expect("an id");
        let of = |identity| Recovered { record: Record { cluster: identity, ..record() }, written: 1, rebooted: false };
        let ours = of(Some(Identity::settled(id("a"))));
        let new = of(Some(Identity { standing: crate::core::cluster::Standing::New, ..Identity::settled(id("a")) }));
        for (found, expected, fine) in [
            (&ours, Some(id("a")), true),
            (&ours, None, true),
            (&ours, Some(id("b")), false),
            (&new, Some(id("b")), true),
            (&of(None), Some(id("b")), true),
        ] {
            assert_eq!(store.belongs(Some(found), expected.as_ref()).is_ok(), fine, "{found:?} {expected:?}");
        }
        let error = store.belongs(Some(&ours), Some(&id("b"))).expect_err("refused").to_string();
        assert!(error.contains("belongs to cluster `a`, not to `b`"), "{error}");
    }

    #[test]
    fn an_offset_that_moved_is_kept_as_whole_as_all_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opened");
        store.save(&record(), None).expect("saved");
        let appended = Some(Appended { offset: Offset(100), bytes: 4096 });
        let moved = Record { offset: Offset(100), appended, ..record() };
        assert!(moved.moved_from(&record()) && !Record { clean: false, ..moved.clone() }.moved_from(&record()));
        store.save(&moved, Some(&record())).expect("saved");
        assert_eq!(store.load("mymaster").expect("read").expect("there").record, moved);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 2, "the lock and the state, nothing else");
    }

    #[test]
    fn p37_a_second_supervisor_on_the_directory_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Store::open(dir.path()).expect("opened");
        assert!(matches!(Store::open(dir.path()), Err(StoreError::InUse(_))));
        drop(first);
        assert!(Store::open(dir.path()).is_ok());
    }

    #[test]
    fn a_broken_state_file_is_an_error_with_a_reason() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("opened");
        store.save(&record(), None).expect("saved");
        let whole = fs::read(file_of(dir.path())).expect("read");
        for cut in 0..whole.len() {
            fs::write(file_of(dir.path()), &whole[..cut]).expect("written");
            assert!(matches!(store.load("mymaster"), Err(StoreError::Broken { .. })), "cut at {cut}");
        }
        fs::write(file_of(dir.path()), vec![b'['; 100_000]).expect("written");
        assert!(matches!(store.load("mymaster"), Err(StoreError::Broken { .. })));
        fs::write(file_of(dir.path()), vec![b'x'; 5_000_000]).expect("written");
        assert!(matches!(store.load("mymaster"), Err(StoreError::File { .. })));
    }

    #[test]
    fn only_the_leftovers_of_a_dead_child_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["temp-12.rdb", "temp-rewriteaof-12.aof", "dump.rdb", "temp-x.txt", "rollback-1.rdb"] {
            fs::write(dir.path().join(name), "x").expect("written");
        }
        fs::create_dir(dir.path().join("temp-dir.rdb")).expect("made");
        assert_eq!(remove_leftovers(dir.path()).expect("removed"), 2);
        assert!(dir.path().join("dump.rdb").exists() && dir.path().join("temp-x.txt").exists());
    }
}
