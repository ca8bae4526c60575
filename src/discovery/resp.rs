//! Answers out of the bytes as they come. Of our own: the redis crate has no limit on a reply, and its parser and its
//! task between us and the stream were a third of what a look cost.

use redis::Value;

use crate::core::seen::Failure;

/// Bytes that one look may bring: a Sentinel with 100 replicas and Sentinels sends some 100 kB. A value takes up to
/// twenty times its bytes once it is parsed (`:1\r\n`), so this is what bounds our memory against a liar.
pub const REPLY_BUDGET: usize = 256 * 1024;
/// No honest status, error or length is longer.
const LINE_LIMIT: usize = 4096;
/// Lists in lists: an answer about rows is two deep.
const DEPTH_LIMIT: usize = 8;
/// Room that is made for the members of a list before they are there.
const ROOM: usize = 64;

/// Reads RESP2. It goes on where it stopped: a liar that sends byte after byte gets no work out of us but that.
#[derive(Debug, Default)]
pub struct Answers {
    bytes: Vec<u8>,
    read: usize,
    open: Vec<List>,
}

#[derive(Debug)]
struct List {
    left: usize,
    items: Vec<Value>,
}

/// What one step over the bytes found.
enum Step {
    Whole(Value),
    List(usize),
    More,
}

impl Answers {
    /// Where more bytes go.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.reserve(ROOM * ROOM);
        &mut self.bytes
    }

    /// How many bytes came since the last [`Answers::forget`].
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All that came has been read.
    pub fn is_read(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// The next question's answers begin with the next byte.
    pub fn forget(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(ROOM * ROOM);
        self.read = 0;
    }

    /// The next whole answer; `None`: it is not all there.
    pub fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            let value = match self.step()? {
                Step::More => return Ok(None),
                Step::List(0) => Value::Array(Vec::new()),
                Step::List(_) if self.open.len() >= DEPTH_LIMIT => return Err(Failure::Nonsense),
                Step::List(left) => {
                    self.open.push(List { left, items: Vec::with_capacity(left.min(ROOM * 2)) });
                    continue;
                }
                Step::Whole(value) => value,
            };
            if let Some(whole) = self.put(value) {
                return Ok(Some(whole));
            }
        }
    }

    /// Puts a value where it belongs; what is whole by that comes back.
    fn put(&mut self, mut value: Value) -> Option<Value> {
        while let Some(list) = self.open.last_mut() {
            list.items.push(value);
            list.left -= 1;
            if list.left > 0 {
                return None;
            }
            value = Value::Array(self.open.pop().map(|list| list.items).unwrap_or_default());
        }
        Some(value)
    }

    fn step(&mut self) -> Result<Step, Failure> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let Some((kind, after)) = rest.split_first() else { return Ok(Step::More) };
        if !b"+-:$*".contains(kind) {
            return Err(Failure::Nonsense);
        }
        let Some(end) = after.iter().take(LINE_LIMIT).position(|byte| *byte == b'\n') else {
            return if after.len() < LINE_LIMIT { Ok(Step::More) } else { Err(Failure::Nonsense) };
        };
        let (line, after) = after.split_at(end);
        let line = line.strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()).ok_or(Failure::Nonsense)?;
        let mut length = end + 2;
        let step = match kind {
            b'+' if line == "OK" => Step::Whole(Value::Okay),
            b'+' => Step::Whole(Value::SimpleString(line.to_owned())),
            b'-' => {
                let error = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
                Step::Whole(error.map_err(|_| Failure::Nonsense)?)
            }
            b':' => Step::Whole(Value::Int(line.parse().map_err(|_| Failure::Nonsense)?)),
            _ if line == "-1" => Step::Whole(Value::Nil),
            kind => {
                // No honest length is beyond the budget; and neither is a number of members.
                let count = line.parse().ok().filter(|count| *count <= REPLY_BUDGET).ok_or(Failure::Nonsense)?;
                if *kind == b'*' {
                    Step::List(count)
                } else {
                    let Some((text, after)) = after.get(1..).and_then(|after| after.split_at_checked(count)) else {
                        return Ok(Step::More);
                    };
                    match after {
                        [b'\r', b'\n', ..] => {}
                        [] | [b'\r'] => return Ok(Step::More),
                        _ => return Err(Failure::Nonsense),
                    }
                    length += count + 2;
                    Step::Whole(Value::BulkString(text.to_vec()))
                }
            }
        };
        self.read += length;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every answer in these bytes, given in pieces of `piece` bytes.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Value>, Failure> {
        let (mut answers, mut found) = (Answers::default(), Vec::new());
        for bytes in bytes.chunks(piece) {
            answers.room().extend_from_slice(bytes);
            while let Some(answer) = answers.next()? {
                found.push(answer);
            }
        }
        Ok(found)
    }

    #[test]
    fn answers_are_what_the_redis_crate_reads_however_they_are_cut() {
        let one_by_one: [&[u8]; 10] = [
            b"+OK\r\n",
            b"+PONG\r\n",
            b":-7\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"$0\r\n\r\n",
            b"$6\r\na\r\nb\xff$\r\n",
            b"*0\r\n",
            b"-ERR No such master with that name\r\n",
            b"*3\r\n*2\r\n$2\r\nip\r\n$3\r\n::1\r\n*0\r\n*1\r\n*1\r\n:1\r\n",
        ];
        let wanted: Vec<Value> =
            one_by_one.iter().map(|bytes| redis::parse_redis_value(bytes).expect("an answer")).collect();
        let all = one_by_one.concat();
        for piece in 1..=all.len() {
            assert_eq!(read(&all, piece).expect("read"), wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn what_no_engine_says_is_nonsense() {
        let long = [b"+".as_slice(), &[b'x'; LINE_LIMIT + 1]].concat();
        let deep = b"*1\r\n".repeat(DEPTH_LIMIT + 1);
        let cases: [&[u8]; 12] = [
            b"_\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"+OK\n",
            b"+\xff\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$x\r\n",
            b"$9223372036854775807\r\n",
            b"*262145\r\n",
            b"$1\r\nabc",
            &long,
            &deep,
        ];
        for bytes in cases {
            assert_eq!(read(bytes, 7), Err(Failure::Nonsense), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
