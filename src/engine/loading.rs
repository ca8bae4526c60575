//! Which of the files a start loads, so that none of them is silently left behind (U01), and in what order.

use std::path::{Path, PathBuf};

use super::convert::tell_aside;
use super::data::{self, AppendOnlyFile, Found, Snapshot};
use super::detect::Engine;
use super::error::EngineError;
use super::format::{magic, too_new};
use super::keep::now;
use super::names::{DataNames, Persistence};
use super::own_config::OwnConfig;
use super::store;
use crate::config::settings::Settings;
use crate::core::record::RecordedRole;
use crate::core::rules::Mode;

/// What the start before this one kept its data in, by the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It appended.
    Appended,
    /// It did not.
    Snapshots,
    /// There is no state file, or it had decided nothing.
    Unknown,
}

/// How a start gets what lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loading {
    /// The engine loads it by itself, as it is configured.
    ByItself,
    /// The append-only file is on, and the newest data are in the snapshot: it is loaded without, then the file is begun.
    ThenAppend {
        /// An older append-only file, which goes out of the way first.
        aside: Option<PathBuf>,
    },
    /// The append-only file is off, and the newest data are in one: it is loaded, saved as a snapshot, and put aside.
    ThenSnapshot {
        /// An older snapshot, which would be written over.
        aside: Option<PathBuf>,
    },
}

impl Loading {
    /// The engine's line for it, which comes after the user's own.
    pub fn line(&self) -> &'static str {
        match self {
            Loading::ByItself => "",
            Loading::ThenAppend { .. } => "appendonly no",
            Loading::ThenSnapshot { .. } => "appendonly yes",
        }
    }
}

/// Judges the directory before the engine does: nothing in it has been touched when this is an error.
pub fn judge(settings: &Settings, own: &OwnConfig, engine: &Engine) -> Result<(Loading, Found), EngineError> {
    if settings.mode == Mode::Sentinel {
        return Ok((Loading::ByItself, Found::default()));
    }
    let record = store::load(&settings.data_dir, &settings.master_name).ok().flatten().map(|found| found.record);
    let before = match record.filter(|record| record.role != RecordedRole::None) {
        None => Before::Unknown,
        Some(record) if record.appended.is_some() => Before::Appended,
        Some(_) => Before::Snapshots,
    };
    plan(&settings.data_dir, &own.data, engine, before)
}

fn plan(directory: &Path, names: &DataNames, engine: &Engine, before: Before) -> Result<(Loading, Found), EngineError> {
    let found = data::look(directory, names, engine)?;
    let loading = choose(names.persistence, &found, before);
    if found == Found::default() {
        if !engine.appends_in_parts()
            && let Some(parts) = data::of_parts(&directory.join(&names.directory), &names.appended)?
        {
            refuse_newer(parts.base.as_deref(), names, engine)?;
        }
        if let Some(file) = data::under_another_name(directory) {
            return Err(EngineError::OtherName { file });
        }
    }
    match loaded_kind(names.persistence, &loading) {
        Persistence::Snapshots => found.snapshot.as_ref().map_or(Ok(()), Snapshot::check_rights)?,
        Persistence::AppendOnly => found.appended.as_ref().map_or(Ok(()), AppendOnlyFile::check_rights)?,
    }
    refuse_newer(loaded(names.persistence, &loading, &found), names, engine)?;
    Ok((loading, found))
}

/// Which kind the engine loads.
fn loaded_kind(persistence: Persistence, loading: &Loading) -> Persistence {
    match loading {
        Loading::ByItself => persistence,
        Loading::ThenAppend { .. } => Persistence::Snapshots,
        Loading::ThenSnapshot { .. } => Persistence::AppendOnly,
    }
}

/// What must be done before the engine starts, and one line on what is unusual about this start.
pub fn make_way(loading: &Loading) -> Result<(), EngineError> {
    match loading {
        Loading::ByItself => {}
        Loading::ThenAppend { aside } => {
            if let Some(path) = aside {
                tell_aside(path, &data::put_aside(path, now())?);
            }
            tracing::info!("the newest data are in the snapshot: it is loaded, then the append-only file is begun");
        }
        Loading::ThenSnapshot { .. } => tracing::info!(
            "the newest data are in the append-only file, which is off: it is loaded, saved as a snapshot, and put aside"
        ),
    }
    Ok(())
}

/// The file whose beginning tells the format of what is loaded.
fn loaded<'a>(persistence: Persistence, loading: &Loading, found: &'a Found) -> Option<&'a Path> {
    match loaded_kind(persistence, loading) {
        Persistence::AppendOnly => found.appended.as_ref().and_then(|found| found.base.as_deref()),
        Persistence::Snapshots => found.snapshot.as_ref().map(|found| found.path.as_path()),
    }
}

/// The same, for whoever asks what ails a child: the snapshot, or what the check of append-only files is given.
pub fn checked<'a>(persistence: Persistence, loading: &Loading, found: &'a Found) -> Option<(&'a Path, Persistence)> {
    let snapshot = || found.snapshot.as_ref().map(|found| (found.path.as_path(), Persistence::Snapshots));
    let appended = || found.appended.as_ref().map(|found| (found.check.as_path(), Persistence::AppendOnly));
    match loaded_kind(persistence, loading) {
        Persistence::AppendOnly => appended(),
        Persistence::Snapshots => snapshot(),
    }
}

fn refuse_newer(file: Option<&Path>, names: &DataNames, engine: &Engine) -> Result<(), EngineError> {
    let Some(file) = file else { return Ok(()) };
    let begins = match magic(file) {
        Ok(begins) => begins,
        // The manifest names what is not there: the engine says so itself.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(EngineError::unusable(file, error)),
    };
    match begins.and_then(|begins| too_new(begins, engine, names.versions)) {
        Some(versions) => Err(EngineError::NewerFormat { file: file.to_owned(), versions }),
        None => Ok(()),
    }
}

/// Where both are there, the one that the start before this one kept; without its word, the one that was written last.
fn choose(persistence: Persistence, found: &Found, before: Before) -> Loading {
    let snapshot = found.snapshot.as_ref();
    let appended = found.appended.as_ref();
    let snapshot_is_newer = match (snapshot, appended) {
        (Some(snapshot), Some(appended)) => snapshot.written > appended.written,
        (snapshot, _) => snapshot.is_some(),
    };
    match (persistence, appended) {
        // Beside a good append-only file there is always a snapshot, often a newer one, saved at the last stop: that is
        // no conflict, unless nothing was appended any more.
        (Persistence::AppendOnly, Some(appended)) if snapshot_is_newer && before == Before::Snapshots => {
            Loading::ThenAppend { aside: Some(appended.whole.clone()) }
        }
        (Persistence::AppendOnly, None) if snapshot.is_some() => Loading::ThenAppend { aside: None },
        (Persistence::Snapshots, Some(_))
            if before == Before::Appended || !snapshot_is_newer && before == Before::Unknown =>
        {
            Loading::ThenSnapshot { aside: snapshot.map(|snapshot| snapshot.path.clone()) }
        }
        (Persistence::Snapshots, Some(_)) if snapshot.is_none() => Loading::ThenSnapshot { aside: None },
        _ => Loading::ByItself,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn found(snapshot: Option<u64>, appended: Option<u64>) -> Found {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Found {
            snapshot: snapshot.map(|second| Snapshot { path: "/d/dump.rdb".into(), written: at(second) }),
            appended: appended.map(|second| AppendOnlyFile {
                check: "/d/dir/manifest".into(),
                base: None,
                whole: "/d/dir".into(),
                appends_to: Vec::new(),
                written: at(second),
            }),
        }
    }

    #[test]
    fn u01_what_is_loaded_is_a_table() {
        use Before::{Appended, Snapshots, Unknown};
        let append = |aside: Option<&str>| Loading::ThenAppend { aside: aside.map(PathBuf::from) };
        let snapshot = |aside: Option<&str>| Loading::ThenSnapshot { aside: aside.map(PathBuf::from) };
        let (on, off) = (Persistence::AppendOnly, Persistence::Snapshots);
        let (older, newer) = (Some(1), Some(2));
        for (what, persistence, found, before, loading) in [
            ("nothing", on, found(None, None), Unknown, Loading::ByItself),
            ("nothing", off, found(None, None), Appended, Loading::ByItself),
            ("a snapshot, now appending", on, found(older, None), Unknown, append(None)),
            ("the same, known", on, found(older, None), Snapshots, append(None)),
            ("a lost append-only file", on, found(older, None), Appended, append(None)),
            ("as ever", off, found(older, None), Snapshots, Loading::ByItself),
            ("as ever", on, found(None, older), Appended, Loading::ByItself),
            ("both, as ever", on, found(newer, older), Appended, Loading::ByItself),
            ("both, another image's volume", on, found(newer, older), Unknown, Loading::ByItself),
            ("both, a crash", on, found(older, newer), Appended, Loading::ByItself),
            ("appending was off for a while", on, found(newer, older), Snapshots, append(Some("/d/dir"))),
            ("off, and nothing saved since", on, found(older, newer), Snapshots, Loading::ByItself),
            ("appending no more", off, found(None, older), Appended, snapshot(None)),
            ("the same, unknown", off, found(None, older), Unknown, snapshot(None)),
            ("no snapshot, whatever the state file says", off, found(None, older), Snapshots, snapshot(None)),
            (
                "appending no more, a snapshot of its stop",
                off,
                found(newer, older),
                Appended,
                snapshot(Some("/d/dump.rdb")),
            ),
            ("appending no more, after a crash", off, found(older, newer), Unknown, snapshot(Some("/d/dump.rdb"))),
            ("another image's volume, stopped well", off, found(newer, older), Unknown, Loading::ByItself),
            ("an old append-only file lies about", off, found(newer, older), Snapshots, Loading::ByItself),
            ("the same, touched", off, found(older, newer), Snapshots, Loading::ByItself),
        ] {
            assert_eq!(choose(persistence, &found, before), loading, "{what}: {persistence:?} {before:?}");
        }
    }
}
