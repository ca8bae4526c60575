//! The names that the user's own lines give to the data files, and which of them the engine is to use.

use super::format::VersionCheck;
use super::lines::Line;

/// `appendonly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// `no`, the engine's default: what is loaded is the snapshot.
    #[default]
    Snapshots,
    /// `yes`: what is loaded is the append-only file.
    AppendOnly,
}

/// What a start reads by its configuration; of several lines the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataNames {
    /// `appendonly`.
    pub persistence: Persistence,
    /// `dbfilename`.
    pub snapshot: String,
    /// `appenddirname` (7.0).
    pub directory: String,
    /// `appendfilename`.
    pub appended: String,
    /// `rdb-version-check`.
    pub versions: VersionCheck,
}

impl Default for DataNames {
    fn default() -> Self {
        DataNames {
            persistence: Persistence::default(),
            snapshot: "dump.rdb".into(),
            directory: "appendonlydir".into(),
            appended: "appendonly.aof".into(),
            versions: VersionCheck::default(),
        }
    }
}

impl DataNames {
    /// Takes in a line that is about them. One that makes no sense is the engine's to refuse.
    pub fn note(&mut self, line: &Line) {
        let Ok(value) = line.only() else { return };
        let is = |word: &str| value.eq_ignore_ascii_case(word);
        match line.name.as_str() {
            "appendonly" if is("yes") => self.persistence = Persistence::AppendOnly,
            "appendonly" if is("no") => self.persistence = Persistence::Snapshots,
            "dbfilename" => value.clone_into(&mut self.snapshot),
            "appenddirname" => value.clone_into(&mut self.directory),
            "appendfilename" => value.clone_into(&mut self.appended),
            "rdb-version-check" if is("relaxed") => self.versions = VersionCheck::Relaxed,
            "rdb-version-check" => self.versions = VersionCheck::Strict,
            _ => {}
        }
    }
}
