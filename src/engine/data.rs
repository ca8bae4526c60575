//! What lies in the data directory, by the names that the engine is given: a snapshot, an append-only file. Reads only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::AccessFlags;

use super::detect::Engine;
use super::error::EngineError;
use super::files::read_text;
use super::format::magic;
use super::names::DataNames;
use super::words::split;
use crate::core::engines::Version;

/// Directory entries that are looked at.
const ENTRIES: usize = 1000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// A snapshot under its name.
    pub snapshot: Option<Snapshot>,
    /// An append-only file that this engine would read.
    pub appended: Option<AppendOnlyFile>,
}

/// `dump.rdb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where.
    pub path: PathBuf,
    /// When it was written.
    pub written: SystemTime,
}

/// An append-only file, of one part or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendOnlyFile {
    /// What the engine's check is given: the manifest, or the one file.
    pub check: PathBuf,
    /// What begins with a snapshot, perhaps: the base, or the one file.
    pub base: Option<PathBuf>,
    /// The whole of it: its directory, or the one file.
    pub whole: PathBuf,
    /// What the engine appends to, or may.
    pub appends_to: Vec<PathBuf>,
    /// When it was last written to.
    pub written: SystemTime,
}

impl Engine {
    /// Its append-only file has several parts and a manifest (7.0).
    pub fn appends_in_parts(&self) -> bool {
        self.version >= Version::new(7, 0, 0)
    }
}

impl Snapshot {
    /// May this user load it? What may not be is an error that says whose it is.
    pub fn check_rights(&self) -> Result<(), EngineError> {
        allowed(&self.path, File::open(&self.path).map(drop))
    }
}

impl AppendOnlyFile {
    /// May this user load it, and append to it?
    pub fn check_rights(&self) -> Result<(), EngineError> {
        for path in [Some(&self.check), self.base.as_ref()].into_iter().flatten() {
            allowed(path, File::open(path).map(drop))?;
        }
        for path in &self.appends_to {
            allowed(path, OpenOptions::new().read(true).append(true).open(path).map(drop))?;
        }
        if self.whole.is_dir() {
            let may = nix::unistd::access(&self.whole, AccessFlags::W_OK | AccessFlags::X_OK);
            allowed(&self.whole, may.map_err(io::Error::from))?;
        }
        Ok(())
    }
}

/// What is not there is the engine's to tell.
fn allowed(path: &Path, tried: io::Result<()>) -> Result<(), EngineError> {
    match tried {
        Err(error) if !absent(&error) => Err(EngineError::unusable(path, error)),
        _ => Ok(()),
    }
}

/// Looks. Where not even that is allowed, the error says whose it is.
pub fn look(directory: &Path, names: &DataNames, engine: &Engine) -> Result<Found, EngineError> {
    Ok(Found { snapshot: snapshot(&directory.join(&names.snapshot))?, appended: appended(directory, names, engine)? })
}

fn snapshot(path: &Path) -> Result<Option<Snapshot>, EngineError> {
    Ok(written(path)?.map(|written| Snapshot { path: path.to_owned(), written }))
}

/// When a file that holds something was written.
fn written(path: &Path) -> Result<Option<SystemTime>, EngineError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 => Ok(Some(found.modified().unwrap_or(SystemTime::UNIX_EPOCH))),
        Ok(_) => Ok(None),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(EngineError::unusable(path, error)),
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn appended(directory: &Path, names: &DataNames, engine: &Engine) -> Result<Option<AppendOnlyFile>, EngineError> {
    if engine.appends_in_parts()
        && let Some(found) = of_parts(&directory.join(&names.directory), &names.appended)?
    {
        return Ok(Some(found));
    }
    // Newer engines take the one file of an older one over.
    let path = directory.join(&names.appended);
    let found = written(&path)?;
    Ok(found.map(|written| AppendOnlyFile {
        check: path.clone(),
        base: Some(path.clone()),
        whole: path.clone(),
        appends_to: vec![path.clone()],
        written,
    }))
}

/// One with a manifest. A manifest that names nothing is none to the engine.
pub fn of_parts(directory: &Path, name: &str) -> Result<Option<AppendOnlyFile>, EngineError> {
    let manifest = directory.join(format!("{name}.manifest"));
    let text = match read_text(&manifest) {
        Ok(text) => text,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(EngineError::unusable(&manifest, error)),
    };
    let parts = parts(&text);
    if parts.is_empty() {
        return Ok(None);
    }
    let mut newest = SystemTime::UNIX_EPOCH;
    let (mut base, mut appends_to) = (None, Vec::new());
    for part in parts {
        let path = directory.join(&part.file);
        newest = newest.max(written(&path)?.unwrap_or(newest));
        if part.is_base {
            base = Some(path);
        } else {
            appends_to.push(path);
        }
    }
    Ok(Some(AppendOnlyFile { check: manifest, base, whole: directory.to_owned(), appends_to, written: newest }))
}

struct Part {
    file: String,
    is_base: bool,
}

/// `file appendonly.aof.1.base.rdb seq 1 type b`; more words may follow. Parts of the past count for nothing.
fn parts(manifest: &str) -> Vec<Part> {
    let part = |line: &str| {
        let words = split(line).ok().filter(|words| words.first().is_some_and(|word| !word.starts_with('#')))?;
        let value = |name: &str| {
            let mut pairs = words.chunks_exact(2);
            pairs.find_map(|pair| (pair.first()?.eq_ignore_ascii_case(name)).then(|| pair.get(1))?)
        };
        let (file, kind) = (value("file")?, value("type")?);
        // One name in that directory, whatever the file says.
        let file = Path::new(file).file_name()?.to_str()?.to_owned();
        (kind != "h").then_some(Part { file, is_base: kind == "b" })
    };
    manifest.lines().filter_map(part).take(ENTRIES).collect()
}

/// Something that holds data under a name that no line gives to this start: the newest there is. Not what redinit itself
/// has kept or put aside.
pub fn under_another_name(directory: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in entries(directory) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if ["temp-", "rollback-", ASIDE, "redinit"].iter().any(|ours| name.starts_with(ours)) {
            continue;
        }
        let holds = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
        if path.is_dir() {
            found.extend(entries(&path).into_iter().filter(|path| has_ending(path, "manifest") && holds(path)));
        } else if has_ending(&path, "aof") && holds(&path) || has_ending(&path, "rdb") && is_whole_snapshot(&path) {
            found.push(path);
        }
    }
    found.into_iter().max_by_key(|path| fs::metadata(path).and_then(|found| found.modified()).ok())
}

/// Its magic at the beginning, and at the end its last mark and a checksum of eight bytes: not half a copy.
fn is_whole_snapshot(path: &Path) -> bool {
    const LAST_MARK: u8 = 0xff;
    let last = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-9))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok::<_, io::Error>(byte)
    };
    magic(path).is_ok_and(|magic| magic.is_some()) && last().is_ok_and(|byte| byte == [LAST_MARK])
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(directory).map(|list| list.flatten().take(ENTRIES).map(|entry| entry.path()).collect());
    list.unwrap_or_default()
}

/// What a name begins with that redinit has put aside.
const ASIDE: &str = "aside-";

/// Gives a file or directory another name beside it: `aside-<time>-<name>`. Nothing is copied, nothing is lost.
pub fn put_aside(path: &Path, now: u64) -> Result<PathBuf, EngineError> {
    let failed = |error| EngineError::file("put aside", path, error);
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let target = (now..now.saturating_add(60))
        .map(|second| directory.join(format!("{ASIDE}{second}-{name}")))
        .find(|target| fs::symlink_metadata(target).is_err())
        .ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(path, &target).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(target)
}

/// Who owns it, as far as can be told.
pub fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.uid())
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
