//! A small blocking client for the Redis protocol: the ledger must see every error and time-out as it happens, so it
//! wants no pool, no retry and no reconnect behind its back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest bulk string accepted: `INFO` and `SENTINEL MASTER` stay far below.
const BULK_LIMIT: usize = 16 << 20;
/// The most elements accepted in an array.
const ARRAY_LIMIT: usize = 1 << 20;
/// How deep arrays may nest: `COMMAND DOCS` reaches 6.
const DEPTH_LIMIT: u32 = 16;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Status(String),
    /// `-ERR ..`.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// `$3 foo`.
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`.
    Nil,
    /// `*2 ..`.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a status, a bulk string or an integer.
    pub fn text(&self) -> Option<String> {
        match self {
            Reply::Status(text) => Some(text.clone()),
            Reply::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Reply::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) => items,
            _ => &[],
        }
    }

    /// The value behind `field` in an array of names and values, as `SENTINEL MASTER` answers.
    pub fn field(&self, field: &str) -> Option<String> {
        self.items().chunks_exact(2).find_map(|pair| match pair {
            [name, value] if name.text().as_deref() == Some(field) => value.text(),
            _ => None,
        })
    }
}

/// One connection. Any error means: drop it and open another.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

impl Connection {
    /// Connects; `limit` bounds the connecting and every read and write after it.
    pub fn open(to: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Connection { stream: BufReader::new(stream), out: Vec::with_capacity(128) })
    }

    /// One command, one answer.
    pub fn call(&mut self, command: &[&str]) -> io::Result<Reply> {
        self.push(command);
        self.flush()?;
        self.read()
    }

    /// Adds a command to be sent with the next [`Connection::flush`].
    pub fn push(&mut self, command: &[&str]) {
        self.out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for word in command {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what was pushed.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        sent
    }

    /// Reads one answer.
    pub fn read(&mut self) -> io::Result<Reply> {
        self.read_at(0)
    }

    fn read_at(&mut self, depth: u32) -> io::Result<Reply> {
        if depth > DEPTH_LIMIT {
            return Err(nonsense("arrays nested too deep"));
        }
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| nonsense("an empty line"))?;
        match kind {
            "+" => Ok(Reply::Status(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Integer(rest.parse().map_err(|_| nonsense("not a number"))?)),
            "$" => self.bulk(rest),
            "*" if rest == "-1" => Ok(Reply::Nil),
            "*" => {
                let count: usize = rest.parse().map_err(|_| nonsense("not an array length"))?;
                if count > ARRAY_LIMIT {
                    return Err(nonsense("an array too long"));
                }
                (0..count).map(|_| self.read_at(depth + 1)).collect::<io::Result<Vec<_>>>().map(Reply::Array)
            }
            _ => Err(nonsense("not the Redis protocol")),
        }
    }

    fn bulk(&mut self, length: &str) -> io::Result<Reply> {
        if length == "-1" {
            return Ok(Reply::Nil);
        }
        let length: usize = length.parse().map_err(|_| nonsense("not a length"))?;
        if length > BULK_LIMIT {
            return Err(nonsense("a string too long"));
        }
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Reply::Bulk(bytes))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::with_capacity(32);
        let limit = u64::try_from(BULK_LIMIT).unwrap_or(u64::MAX);
        (&mut self.stream).take(limit).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// One command on a connection of its own.
pub fn ask(to: SocketAddr, limit: Duration, command: &[&str]) -> io::Result<Reply> {
    Connection::open(to, limit)?.call(command)
}

fn nonsense(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(bytes: &'static [u8]) -> io::Result<Reply> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 64];
            assert!(stream.read(&mut heard).unwrap() > 0);
            stream.write_all(bytes).ok();
        });
        let reply = ask(to, Duration::from_millis(500), &["PING"]);
        server.join().unwrap();
        reply
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        assert_eq!(answered(b"+PONG\r\n").unwrap(), Reply::Status("PONG".into()));
        assert_eq!(answered(b"-LOADING x\r\n").unwrap(), Reply::Error("LOADING x".into()));
        assert_eq!(answered(b":-7\r\n").unwrap(), Reply::Integer(-7));
        assert_eq!(answered(b"$-1\r\n").unwrap(), Reply::Nil);
        let pair = answered(b"*2\r\n$2\r\nip\r\n$5\r\n1.2.3\r\n").unwrap();
        assert_eq!(pair.field("ip").as_deref(), Some("1.2.3"));
        assert_eq!(pair.field("port"), None);
    }

    #[test]
    fn nonsense_and_half_answers_are_errors() {
        for bytes in [b"HTTP/1.1 400\r\n" as &[u8], b"$99999999999\r\n", b"*9999999999\r\n", b"$5\r\nab", b"", b"\r\n"]
        {
            answered(bytes).unwrap_err();
        }
    }
}
