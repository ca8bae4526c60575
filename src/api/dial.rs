//! One HTTP/1.0 request over the Unix socket, by hand: a probe is a process of its own each time, and a runtime or
//! a client library would cost more than the question (G5, P38). HTTP/1.0, so the answer ends where the stream does.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

/// Longest head of an answer.
const HEAD_LIMIT: usize = 16 * 1024;

/// Longest single line of a streamed answer.
const LINE_LIMIT: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody is there.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not in time.
    #[error("nothing came in time")]
    Late,
    /// No HTTP, or too much of it.
    #[error("the answer makes no sense")]
    Nonsense,
}

/// An answer: its status, and its body still to be read.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    stream: UnixStream,
    deadline: Instant,
    read: Vec<u8>,
}

/// Asks; everything together takes at most `limit`.
pub fn ask(socket: &Path, method: &str, target: &str, body: &str, limit: Duration) -> Result<Reply, DialError> {
    let deadline = Instant::now() + limit;
    let mut stream = connect(socket, deadline)?;
    let request =
        format!("{method} {target} HTTP/1.0\r\nHost: redinit\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request.as_bytes()).map_err(late)?;
    let mut reply = Reply { status: 0, stream, deadline, read: Vec::new() };
    reply.head()?;
    Ok(reply)
}

/// A blocking `connect` would wait for ever on a frozen supervisor whose backlog is full.
fn connect(path: &Path, deadline: Instant) -> Result<UnixStream, DialError> {
    let address = UnixAddr::new(path).map_err(io::Error::from)?;
    loop {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(io::Error::from)?;
        match socket::connect(fd.as_raw_fd(), &address) {
            Ok(()) => {
                let stream = UnixStream::from(fd);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => thread::sleep(left(deadline)?.min(Duration::from_millis(5))),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

fn left(deadline: Instant) -> Result<Duration, DialError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(DialError::Late) } else { Ok(left) }
}

fn late(error: io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DialError::Late,
        _ => DialError::Io(error),
    }
}

impl Reply {
    /// The whole body, of at most `most` bytes.
    pub fn body(mut self, most: usize) -> Result<Vec<u8>, DialError> {
        while self.more()? {
            if self.read.len() > most {
                return Err(DialError::Nonsense);
            }
        }
        Ok(self.read)
    }

    /// The next line of the body; `None` at its end.
    pub fn line(&mut self) -> Result<Option<String>, DialError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.read.len() > LINE_LIMIT {
                return Err(DialError::Nonsense);
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn head(&mut self) -> Result<(), DialError> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                self.status = status(&head).ok_or(DialError::Nonsense)?;
                return Ok(());
            }
            if self.read.len() > HEAD_LIMIT || !self.more()? {
                return Err(DialError::Nonsense);
            }
        }
    }

    /// Reads some more; false at the end.
    fn more(&mut self) -> Result<bool, DialError> {
        let mut some = [0; 4096];
        loop {
            self.stream.set_read_timeout(Some(left(self.deadline)?))?;
            match self.stream.read(&mut some) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.read.extend(some.iter().take(count));
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(late(error)),
            }
        }
    }
}

/// The status of `HTTP/1.x NNN ..`.
fn status(head: &[u8]) -> Option<u16> {
    let first = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(first).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok().filter(|status| (100..600).contains(status))
}
