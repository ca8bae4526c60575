//! One HTTP request to a supervisor, over its port or its Unix socket.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest answer read.
const LIMIT: u64 = 4 << 20;

/// `GET path` at a supervisor's HTTP port: status and body.
pub fn get(from: SocketAddr, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect_timeout(&from, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    exchange(stream, "GET", path)
}

/// Any request over a supervisor's Unix socket.
pub fn over_socket(socket: &Path, method: &str, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    exchange(stream, method, path)
}

/// HTTP/1.0 keeps it simple: no chunks, and the end of the stream ends the body.
fn exchange(mut stream: impl Read + Write, method: &str, path: &str) -> io::Result<(u16, String)> {
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
