//! Files that nobody else may read, written whole or not at all; and a place for the child's Unix socket.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::EngineError;
use super::secret::hex;

/// The longest socket path that a `sockaddr_un` holds, without its closing NUL.
const SOCKET_PATH_LIMIT: usize = 107;
/// A configuration file of more bytes than this is none.
const READ_LIMIT: u64 = 4 * 1024 * 1024;

/// Writes `path` whole, and when this returns it stays written: [`replace_private`], then fsync of the directory.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_private(path, content)?;
    File::open(directory_of(path))?.sync_all()
}

/// Writes `path` whole: a temporary file with mode 0600 beside it, fsync, rename. After a power cut it is the old one,
/// or the new one.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let temporary = directory_of(path).join(name);
    let mut written = write_new(&temporary, content);
    if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        // A leftover may have another owner or mode: never written into.
        written = fs::remove_file(&temporary).and_then(|()| write_new(&temporary, content));
    }
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _gone = fs::remove_file(&temporary);
    })
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a text file of bounded size; bytes that are no UTF-8 are replaced.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if file.take(READ_LIMIT + 1).read_to_end(&mut bytes)? as u64 > READ_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 4 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes sure that `directory` exists and that files can be made there.
pub fn writable_directory(directory: &Path) -> Result<(), EngineError> {
    let failed = |source| EngineError::DataDir { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    let probe = directory.join("redinit.probe");
    write_new(&probe, b"")
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
        .map_err(failed)?;
    fs::remove_file(&probe).map_err(failed)
}

/// A path for the child's socket: in the data directory, or, where that path is too long or the file system has no
/// sockets, in a short directory of our own with mode 0700.
pub fn socket_place(data_dir: &Path) -> Result<PathBuf, EngineError> {
    let mut tried = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let short = format!("redinit-{}", identity(data_dir));
    // An image whose root cannot be written has `/run/redinit`.
    let run = [PathBuf::from("/run/redinit"), PathBuf::from("/run"), std::env::temp_dir()];
    for directory in std::iter::once(data_dir.to_owned()).chain(run.map(|place| place.join(&short))) {
        match try_socket(&directory, directory == data_dir) {
            Ok(path) => return Ok(path),
            Err(error) => last = error,
        }
        tried.push(directory.display().to_string());
    }
    Err(EngineError::NoSocket { tried: tried.join(", "), source: last })
}

/// Tells data directories apart that share a `/run`, also under PID 1s of several namespaces and at equal paths.
fn identity(data_dir: &Path) -> String {
    let place = fs::metadata(data_dir).map(|found| (found.dev(), found.ino())).unwrap_or_default();
    let digest = Sha256::digest(format!("{place:?} {}", data_dir.display()).as_bytes());
    hex(&digest).chars().take(12).collect()
}

fn try_socket(directory: &Path, shared: bool) -> io::Result<PathBuf> {
    let path = directory.join("redinit-child.sock");
    if path.as_os_str().len() > SOCKET_PATH_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is longer than 107 bytes"));
    }
    if !shared {
        private_directory(directory)?;
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Some volume drivers hold files but no sockets: try it.
    drop(UnixListener::bind(&path)?);
    fs::remove_file(&path)?;
    Ok(path)
}

/// Our own directory with mode 0700; one that somebody else has put there is refused.
fn private_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else's directory"));
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_whole_and_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        fs::write(dir.path().join("f.new"), "left over").expect("a leftover");
        write_private(&path, b"one").expect("written");
        write_private(&path, b"two").expect("written again");
        assert_eq!(read_text(&path).expect("read"), "two");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("f.new").exists());
    }

    #[test]
    fn a_socket_path_too_long_moves_to_a_short_private_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("made");
        let near = socket_place(dir.path()).expect("a place");
        assert!(near.starts_with(dir.path()));
        let far = socket_place(&deep).expect("a place");
        assert!(!far.starts_with(dir.path()) && far.as_os_str().len() <= SOCKET_PATH_LIMIT);
        let parent = far.parent().expect("a directory");
        assert_eq!(fs::metadata(parent).expect("there").permissions().mode() & 0o777, 0o700);
        fs::remove_dir(parent).expect("removed");
    }

    #[test]
    fn p42_a_data_directory_that_cannot_be_written_is_one_clear_line() {
        let error = writable_directory(Path::new("/proc/nowhere")).expect_err("cannot be made");
        assert!(error.to_string().starts_with("the data directory /proc/nowhere cannot be written"));
    }
}
