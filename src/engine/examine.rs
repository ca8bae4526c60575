//! What ails a child, from its disk and by the engine's own checks of its files (D4). Reads only.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::detect::Engine;
use super::keep::free;
use super::process::{Launch, Processes};
use crate::core::ailment::{Ailment, Complaint};
use crate::core::event::ChildExit;

/// Less than this is as good as nothing: the engine writes its buffers in larger pieces.
const FULL: u64 = 1 << 20;
/// A check of a large file that takes longer finds nothing.
const CHECK: Duration = Duration::from_secs(20);
/// What a check may print.
const CHECK_BYTES: usize = 1 << 20;
/// Files checked, at most.
const FILES: usize = 8;

/// Blocks: on a thread of its own.
pub fn examine(complaint: Complaint, directory: &Path, engine: &Engine, processes: &dyn Processes) -> Ailment {
    if let Ok(free) = free(directory)
        && free < FULL
    {
        return Ailment::DiskFull { free };
    }
    if complaint == Complaint::Saving {
        return Ailment::Unclear;
    }
    let refused = |tool: &str, file: &Path| {
        let Some(program) = beside(&engine.server_binary, tool) else { return false };
        let launch = Launch { program, args: vec![OsString::from(file)], cwd: directory.to_owned() };
        let ended = processes.run_briefly(&launch, CHECK, CHECK_BYTES);
        ended.is_ok_and(|(exit, _)| exit != ChildExit::Code(0))
    };
    if let Some(file) = append_only_files(directory).into_iter().find(|file| refused("check-aof", file)) {
        return Ailment::DamagedAof { file: file.display().to_string() };
    }
    if let Some(file) = snapshots(directory).into_iter().find(|file| refused("check-rdb", file)) {
        return Ailment::DamagedSnapshot { file: file.display().to_string() };
    }
    Ailment::Unclear
}

/// The engine's own tool, in the server's directory.
fn beside(server: &Path, tool: &str) -> Option<PathBuf> {
    let directory = server.parent()?;
    ["valkey", "redis"].iter().map(|name| directory.join(format!("{name}-{tool}"))).find(|path| path.is_file())
}

/// Manifests of multi-part files one level down (7.0), or the one file of 6.2.
fn append_only_files(directory: &Path) -> Vec<PathBuf> {
    let below = entries(directory).into_iter().filter(|path| path.is_dir()).flat_map(|path| entries(&path));
    let mut found: Vec<PathBuf> = below.filter(|path| has_ending(path, "manifest")).collect();
    found.extend(entries(directory).into_iter().filter(|path| has_ending(path, "aof")));
    found.truncate(FILES);
    found
}

/// Snapshots that the engine could load: neither half-written nor rollback files.
fn snapshots(directory: &Path) -> Vec<PathBuf> {
    let aside = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("temp-") || name.starts_with("rollback-")
    };
    let found = entries(directory).into_iter().filter(|path| has_ending(path, "rdb") && !aside(path));
    found.take(FILES).collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory).map(|list| list.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    found.sort();
    found
}
