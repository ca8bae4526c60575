//! Servers that lie: a Sentinel or an elector whose answers the test dictates.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Answers what it is told to, on a port of its own, until it is dropped.
pub struct Liar {
    pub address: SocketAddr,
    /// How many questions it got.
    pub asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

type Lie = dyn Fn(&[String], u64) -> Option<Vec<u8>> + Send + Sync;

impl Liar {
    /// Speaks the Redis protocol: the answer's bytes by the command's words and the number of the question; `None`
    /// says nothing, ever.
    pub fn redis(at: SocketAddr, lie: impl Fn(&[String], u64) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serve(at, Arc::new(lie), read_command)
    }

    /// Speaks HTTP: the whole answer's bytes by the path.
    pub fn http(at: SocketAddr, lie: impl Fn(&[String], u64) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serve(at, Arc::new(lie), read_request)
    }

    fn serve(at: SocketAddr, lie: Arc<Lie>, read: fn(&mut BufReader<TcpStream>) -> Option<Vec<String>>) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop2, asked2) = (Arc::clone(&stop), Arc::clone(&asked));
        std::thread::spawn(move || {
            while !stop2.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let (lie, asked) = (Arc::clone(&lie), Arc::clone(&asked2));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(words) = read(&mut stream) {
                        let number = asked.fetch_add(1, Ordering::Relaxed);
                        match lie(&words, number) {
                            Some(bytes) if stream.get_mut().write_all(&bytes).is_ok() => {}
                            Some(_) => return,
                            None => std::thread::sleep(Duration::from_secs(5)),
                        }
                    }
                });
            }
        });
        Liar { address, asked, stop }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read_command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let line = read_line(stream)?;
    let count: usize = line.strip_prefix('*')?.parse().ok()?;
    (0..count.min(64))
        .map(|_| {
            let length: usize = read_line(stream)?.strip_prefix('$')?.parse().ok()?;
            let mut bytes = vec![0; length.min(4096) + 2];
            stream.read_exact(&mut bytes).ok()?;
            bytes.truncate(length);
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let first = read_line(stream)?;
    while !read_line(stream)?.is_empty() {}
    Some(first.split(' ').map(str::to_owned).collect())
}

fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    (stream.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

/// An HTTP answer with this body.
pub fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// An array of bulk strings.
pub fn array(items: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", items.len()).into_bytes();
    for item in items {
        bytes.extend_from_slice(format!("${}\r\n{item}\r\n", item.len()).as_bytes());
    }
    bytes
}

/// Answers as the Sentinel at that address would, one that knows neither replicas nor other Sentinels.
pub fn sentinel_that_names(
    at: SocketAddr,
    whom: impl Fn() -> String + Send + Sync + 'static,
) -> impl Fn(&[String], u64) -> Option<Vec<u8>> + Send + Sync + 'static {
    let id: String = at.ip().to_string().bytes().cycle().take(20).map(|byte| format!("{byte:02x}")).collect();
    move |words, _| {
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            ["sentinel", "get-master-addr-by-name", ..] => array(&[&whom(), "6379"]),
            ["sentinel", "master", ..] => master_row(&whom()),
            ["sentinel", "masters", ..] => [b"*1\r\n".to_vec(), master_row(&whom())].concat(),
            ["sentinel", "replicas" | "slaves" | "sentinels", ..] => b"*0\r\n".to_vec(),
            ["sentinel", "myid"] => bulk(&id),
            ["sentinel", "ckquorum", ..] => b"+OK 3 usable Sentinels.\r\n".to_vec(),
            ["ping"] => b"+PONG\r\n".to_vec(),
            ["role"] => b"*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n".to_vec(),
            ["info", ..] => bulk("# Sentinel\r\nsentinel_masters:1\r\nsentinel_tilt:0\r\n"),
            ["client" | "auth" | "select", ..] => b"+OK\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        })
    }
}

fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

fn master_row(host: &str) -> Vec<u8> {
    let fields = [
        ["name", "mymaster"],
        ["ip", host],
        ["port", "6379"],
        ["runid", ""],
        ["flags", "master"],
        ["last-ok-ping-reply", "200"],
        ["down-after-milliseconds", "5000"],
        ["info-refresh", "1000"],
        ["role-reported", "master"],
        ["config-epoch", "3"],
        ["num-slaves", "0"],
        ["num-other-sentinels", "0"],
        ["quorum", "2"],
        ["failover-timeout", "10000"],
    ];
    array(&fields.concat())
}
