//! The outside world as settings see it: variables, files, addresses. One seam, so that no test touches the real one.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// No settings file and no secret is larger.
pub const FILE_LIMIT: u64 = 1 << 20;
/// A name server that says nothing must not hold the start for longer.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// What settings are made from.
pub trait Env {
    /// Every environment variable.
    fn variables(&self) -> Vec<(OsString, OsString)>;
    /// The files of a directory, unsorted; none where there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// The text of a file, at most [`FILE_LIMIT`].
    fn read(&self, path: &Path) -> io::Result<String>;
    /// Something is there.
    fn exists(&self, path: &Path) -> bool;
    /// The machine's own addresses, loopback left out, in the order of its interfaces.
    fn addresses(&self) -> Vec<IpAddr>;
    /// The addresses of a name.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
    /// The host's name.
    fn hostname(&self) -> Option<String>;
    /// Standard error is a terminal.
    fn on_terminal(&self) -> bool;
}

/// The real one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Env for Machine {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        // A device or a pipe could block, or be read for ever.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let file = std::fs::File::open(path)?;
        let mut text = String::new();
        if file.take(FILE_LIMIT + 1).read_to_string(&mut text)? as u64 > FILE_LIMIT {
            return Err(io::Error::other("larger than 1 MiB"));
        }
        Ok(text)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let addresses = interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        });
        addresses.filter(|ip| !ip.is_loopback()).collect()
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let (answer, answered) = mpsc::channel();
        let name = host.to_owned();
        // On a thread of its own: the resolver has no time limit that could be set.
        std::thread::Builder::new().name("resolve".into()).spawn(move || {
            let found = (name.as_str(), 0).to_socket_addrs().map(|all| all.map(|a| a.ip()).collect());
            // Nobody waits any more after the limit.
            drop(answer.send(found));
        })?;
        answered.recv_timeout(RESOLVE_LIMIT).unwrap_or_else(|_| Err(io::Error::other("no answer within 5 s")))
    }

    fn hostname(&self) -> Option<String> {
        nix::unistd::gethostname().ok()?.into_string().ok()
    }

    fn on_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}
