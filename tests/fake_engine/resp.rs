//! As much of RESP as a client of one server needs.

use std::io::{self, BufRead, Write};

/// Versions 2 and 3 differ in how a map and nothing are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Two,
    Three,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(String),
    Nil,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
}

pub fn bulk(text: impl Into<String>) -> Reply {
    Reply::Bulk(text.into())
}

/// One command; `None` at the end of the connection.
pub fn read_command(from: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let line = line.trim_end();
    let Some(count) = line.strip_prefix('*') else {
        return Ok(Some(line.split_whitespace().map(String::from).collect()));
    };
    let mut words = Vec::new();
    for _ in 0..count.parse::<usize>().map_err(io::Error::other)?.min(1024) {
        let mut header = String::new();
        from.read_line(&mut header)?;
        let length: usize = header.trim_end().trim_start_matches('$').parse().map_err(io::Error::other)?;
        let mut bytes = vec![0; length.min(1 << 20) + 2];
        from.read_exact(&mut bytes)?;
        bytes.truncate(length);
        words.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(Some(words))
}

impl Reply {
    pub fn write(&self, to: &mut impl Write, version: Version) -> io::Result<()> {
        match self {
            Reply::Simple(text) => write!(to, "+{text}\r\n"),
            Reply::Error(text) => write!(to, "-{text}\r\n"),
            Reply::Integer(number) => write!(to, ":{number}\r\n"),
            Reply::Bulk(text) => write!(to, "${}\r\n{text}\r\n", text.len()),
            Reply::Nil if version == Version::Three => write!(to, "_\r\n"),
            Reply::Nil => write!(to, "$-1\r\n"),
            Reply::Array(items) => {
                write!(to, "*{}\r\n", items.len())?;
                items.iter().try_for_each(|item| item.write(to, version))
            }
            Reply::Map(pairs) => {
                match version {
                    Version::Three => write!(to, "%{}\r\n", pairs.len())?,
                    Version::Two => write!(to, "*{}\r\n", pairs.len() * 2)?,
                }
                for (key, value) in pairs {
                    key.write(to, version)?;
                    value.write(to, version)?;
                }
                Ok(())
            }
        }
    }
}
