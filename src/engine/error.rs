//! What keeps an engine from being started. Each is one line that says what to do; the process ends with 78.

use std::io;
use std::path::{Path, PathBuf};

use super::detect::{EngineName, Version};

/// Why the engine cannot be started as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No binary.
    #[error("no engine: {looked_for} not found in {place}; install one or set `engine` to the server binary")]
    NotFound {
        /// The name or names.
        looked_for: String,
        /// Where.
        place: String,
    },
    /// A binary that does not tell its version.
    #[error("cannot tell the version of the engine {}: {reason}; `engine` must name a redis-server or valkey-server", binary.display())]
    Version {
        /// The binary.
        binary: PathBuf,
        /// What happened.
        reason: String,
    },
    /// Too old.
    #[error("{name} {version} ({}) is too old: at least {least} is needed, whose scripts stop at the fence as writes do", binary.display())]
    TooOld {
        /// The binary.
        binary: PathBuf,
        /// Whose.
        name: EngineName,
        /// Which.
        version: Version,
        /// The oldest one that will do.
        least: Version,
    },
    /// A line of the user's that would undo ours, or that cannot be read.
    #[error("{place}: `{directive}` {problem}")]
    Line {
        /// File and line, or the argument.
        place: String,
        /// The directive; never its value, which may be a secret.
        directive: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read`, `write`, ..
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory in which nothing can be kept.
    #[error("the data directory {} cannot be written: {source}; mount a writable one or set `data_dir`{}", path.display(), whose(path, source))]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A data file that this user may not read, or not append to.
    #[error("the data file {} cannot be used: {source}{}; the file itself is left as it is", path.display(), whose(path, source))]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A data file of an engine that knows more than this one.
    #[error("{} was written by a newer engine ({versions}): start that engine again; the files are whole", file.display())]
    NewerFormat {
        /// Which.
        file: PathBuf,
        /// Both versions.
        versions: String,
    },
    /// Data that no line of the configuration leads to.
    #[error("{} holds data that this start would not read, for it has another name: set `dbfilename`, `appenddirname`, `appendfilename` as they were, or move it to another place; the start would be empty without it", file.display())]
    OtherName {
        /// Which.
        file: PathBuf,
    },
    /// No place for the child's Unix socket.
    #[error("no directory can hold the child's Unix socket ({tried}): {source}")]
    NoSocket {
        /// The directories.
        tried: String,
        /// Why the last one did not work.
        source: io::Error,
    },
    /// The kernel gives no random bytes.
    #[error("no random bytes for the child's password: {0}")]
    NoRandom(String),
}

impl EngineError {
    /// A data file that could not be looked at.
    pub(super) fn unusable(path: &Path, source: io::Error) -> Self {
        EngineError::Unusable { path: path.to_owned(), source }
    }

    pub(super) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        EngineError::File { what, path: path.to_owned(), source }
    }
}

/// Whose it is and who we are, where that is what is wrong. Of a directory that is not there, the one above it.
fn whose(path: &Path, source: &io::Error) -> String {
    if source.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let us = nix::unistd::geteuid();
    let nearest = path.ancestors().find_map(|place| Some((place, super::data::owner(place)?)));
    match nearest {
        Some((place, owner)) => format!(
            " ({} belongs to uid {owner}, and redinit runs as uid {us}: give it to that user with chown, or set fsGroup in Kubernetes)",
            place.display()
        ),
        None => format!(" (redinit runs as uid {us})"),
    }
}
