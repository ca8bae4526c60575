//! The two listeners: the Unix socket (P37) and the HTTP port.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};

/// Only our own user may ask: the socket takes orders.
const MODE: u32 = 0o600;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The HTTP port, if any.
    pub http: Option<SocketAddr>,
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A living supervisor holds the path.
    #[error("socket {} is in use by another supervisor: stop it, or set another path (REDINIT_SOCKET)", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("socket {}: there is something that is no socket: remove it, or set another path (REDINIT_SOCKET)", .0.display())]
    NotASocket(PathBuf),
    /// The path cannot be used.
    #[error("socket {}: {doing}: {source}: set a path that can be written (REDINIT_SOCKET)", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// The HTTP port cannot be used.
    #[error("http_listen {address}: {source}: free it, or set another one or `off` (REDINIT_HTTP_LISTEN)")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// No random numbers.
    #[error("no random numbers from the kernel: {0}")]
    Random(getrandom::Error),
    /// No thread or no runtime.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(io::Error),
}

impl ApiError {
    /// The process's exit status: 78 for what the user can set right, else 70.
    pub fn status(&self) -> u8 {
        match self {
            ApiError::Random(_) | ApiError::Thread(_) => 70,
            _ => 78,
        }
    }
}

/// The socket at its path, ours alone while this lives; removed at the end.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    inode: Option<u64>,
    lock_path: PathBuf,
    _lock: Flock<File>,
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        // Not somebody else's who replaced ours by hand.
        let still_ours = fs::symlink_metadata(&self.path).ok().map(|meta| meta.ino()) == self.inode;
        if still_ours && fs::remove_file(&self.path).is_err() {
            tracing::debug!(path = %self.path.display(), "the socket could not be removed");
        }
        let _left_behind = fs::remove_file(&self.lock_path);
    }
}

/// Binds the Unix socket. A lock beside it tells a living supervisor from a stale file: connecting would not,
/// since one that is frozen with a full backlog does not answer.
pub fn bind_socket(path: &Path) -> Result<(UnixListener, SocketPath), ApiError> {
    let failed =
        |doing: &'static str| move |source: io::Error| ApiError::Socket { path: path.to_owned(), doing, source };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(parent).map_err(failed("creating its directory"))?;
    }
    let lock_path = beside(path);
    let lock = lock(path, &lock_path)?;
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(ApiError::NotASocket(path.to_owned())),
        Ok(_) => fs::remove_file(path).map_err(failed("removing the one of a previous run"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("looking at it")(error)),
    }
    let listener = bound(path).map_err(failed("listening on it"))?;
    let inode = fs::symlink_metadata(path).ok().map(|meta| meta.ino());
    Ok((listener, SocketPath { path: path.to_owned(), inode, lock_path, _lock: lock }))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Takes the lock. Who held it before may have removed its file between our opening and locking it: then again.
fn lock(path: &Path, lock_path: &Path) -> Result<Flock<File>, ApiError> {
    let failed = |source: io::Error| ApiError::Socket { path: path.to_owned(), doing: "locking it", source };
    for _ in 0..10 {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(lock_path)
            .map_err(failed)?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Err(ApiError::InUse(path.to_owned())),
            Err((_, error)) => return Err(failed(error.into())),
        };
        let held = lock.metadata().map_err(failed)?;
        let there = fs::symlink_metadata(lock_path);
        if there.is_ok_and(|there| there.ino() == held.ino() && there.dev() == held.dev()) {
            return Ok(lock);
        }
    }
    Err(ApiError::InUse(path.to_owned()))
}

/// Binds with the right mode from the first moment on: Linux takes it from the socket itself.
fn bound(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    fchmod(&fd, Mode::from_bits_truncate(MODE))?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(fd))
}

/// Binds the HTTP port.
pub fn bind_http(address: SocketAddr) -> Result<TcpListener, ApiError> {
    listen(address).map_err(|source| ApiError::Http { address, source })
}

/// Listens there, without ever blocking. `0.0.0.0` is every address of the machine, its IPv6 ones too where it has
/// them (E7): who asks a pod has one default, whatever its network speaks.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let every = address.is_ipv4() && address.ip().is_unspecified();
    let both = every.then(|| dual_stack(address.port()).ok()).flatten();
    let listener = both.map_or_else(|| TcpListener::bind(address), Ok)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Every address of both families, whatever the kernel's default for the second one is.
fn dual_stack(port: u16) -> io::Result<TcpListener> {
    let fd = socket::socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&fd, socket::sockopt::Ipv6V6Only, &false)?;
    socket::setsockopt(&fd, socket::sockopt::ReuseAddr, &true)?;
    let every = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
    socket::bind(fd.as_raw_fd(), &socket::SockaddrIn6::from(every))?;
    socket::listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(fd))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn p37_a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/redinit/redinit.sock");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a stale file");

        let (first, held) = bind_socket(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).unwrap();
        assert!(matches!(bind_socket(&path), Err(ApiError::InUse(_))));
        UnixStream::connect(&path).unwrap();
        drop((first, held));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "nothing is left behind");
        bind_socket(&path).unwrap();
    }

    #[test]
    fn p37_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-file");
        fs::write(&path, "precious").unwrap();
        let error = bind_socket(&path).unwrap_err();
        assert!(matches!(error, ApiError::NotASocket(_)));
        assert_eq!(error.status(), 78);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn bad_paths_are_one_clear_line() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(150));
        let under_a_file = dir.path().join("file/redinit.sock");
        fs::write(dir.path().join("file"), "").unwrap();
        for path in [long, under_a_file, PathBuf::from("/proc/redinit.sock")] {
            let error = bind_socket(&path).unwrap_err();
            assert_eq!(error.status(), 78);
            let text = error.to_string();
            assert!(text.contains("REDINIT_SOCKET") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn e7_every_address_is_ipv6s_too() {
        let port = listen("0.0.0.0:0".parse().unwrap()).unwrap().local_addr().unwrap().port();
        let listener = listen(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        if TcpListener::bind("[::1]:0").is_ok() {
            std::net::TcpStream::connect(("::1", port)).unwrap();
        }
        listen(SocketAddr::from(([0, 0, 0, 0], port))).unwrap_err();
        drop(listener);
        let one = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(one.local_addr().unwrap().ip(), std::net::IpAddr::from([127, 0, 0, 1]));
    }

    #[test]
    fn a_taken_port_is_one_clear_line() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind_http(taken.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.status(), 78);
        assert!(error.to_string().contains("REDINIT_HTTP_LISTEN"));
    }
}
