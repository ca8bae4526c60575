//! Bad input: an event and one log line, never a panic, never memory without limit.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::bed::liar::Liar;
use super::bed::{self, Bed, Signal, Turn, ms, secs};

/// Resident kilobytes of a process.
fn resident(bed: &Bed, name: &str) -> u64 {
    let pid = bed.node(name).pid().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn garbage_at_socket_and_port_disturbs_nobody() {
    let mut bed = Bed::up(bed::plan());
    let outcome = bed.event(|bed| {
        let master = bed.master();
        let garbage: [&[u8]; 4] =
            [b"\x00\xff\xfe\n\n\r\n", b"GET /status HTTP/1.1\r\nX: ", &[b'A'; 100_000], b"*3\r\n$3\r\nSET\r\n"];
        for bytes in garbage {
            let mut stream = TcpStream::connect(bed.node(&master).http()).unwrap();
            stream.write_all(bytes).ok();
            let mut stream = UnixStream::connect(bed.node(&master).socket()).unwrap();
            stream.write_all(bytes).ok();
            stream.set_read_timeout(Some(ms(100))).unwrap();
            drop(stream.read(&mut [0; 16]));
        }
        // And two hundred who say nothing at all.
        let silent: Vec<_> = (0..200).filter_map(|_| TcpStream::connect(bed.node(&master).http()).ok()).collect();
        assert!(
            bed::command(bed.node(&master), &["probe", "live"]).0 == Some(0),
            "silent connections shut out a probe"
        );
        drop(silent);
    });
    outcome.lossless().gap_within(secs(3));
}

#[test]
fn sentinels_that_answer_nonsense_cost_no_memory() {
    let mut bed = Bed::prepare_in(Turn::beside(), bed::plan().sized(1, 3, 2));
    let lies: [fn(u64) -> Option<Vec<u8>>; 3] = [
        |_| Some([b"$10485760\r\n".as_slice(), &vec![b'x'; 10 << 20], b"\r\n"].concat()),
        |number| {
            Some(if number % 2 == 0 {
                b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()
            } else {
                b"*1000000000\r\n".to_vec()
            })
        },
        |number| if number % 2 == 0 { None } else { Some(b"*2\r\n$9\r\n127.0".to_vec()) },
    ];
    let _liars: Vec<Liar> = lies
        .into_iter()
        .zip(1..)
        .map(|(lie, n)| Liar::redis(bed.node(&format!("sentinel-{n}")).address(), move |_, number| lie(number)))
        .collect();
    bed.node_mut("server-1").start().unwrap();
    std::thread::sleep(secs(8));
    assert!(bed.node_mut("server-1").is_running());
    assert!(bed.node("server-1").probe("livez").is_some_and(|(live, _)| live));
    let resident = resident(&bed, "server-1");
    println!("resident with lying Sentinels: {resident} kB");
    assert!(resident < 80 << 10, "{resident} kB resident");
    bed.signal("server-1", Signal::SIGTERM);
    assert_eq!(bed.node_mut("server-1").wait(secs(10)).and_then(|status| status.code()), Some(0));
}

#[test]
fn what_cannot_start_says_so_in_one_line_and_exits_78() {
    let cases: [(&str, &str, &str); 4] = [
        ("a bad duration", "REDINIT_DOWN_AFTER", "soon"),
        ("an unknown name", "REDINIT_DWON_AFTER", "5s"),
        ("a missing engine", "REDINIT_ENGINE", "/nonexistent/redis-server"),
        ("a directory that cannot be written", "REDINIT_DATA_DIR", "/proc/nothing-here"),
    ];
    for (what, name, value) in cases {
        let mut bed = Bed::prepare(bed::plan().set(name, value));
        bed.node_mut("server-1").start().unwrap();
        let status = bed.node_mut("server-1").wait(secs(10)).unwrap_or_else(|| panic!("{what}: still running"));
        let said = bed.node("server-1").log_tail(10);
        assert_eq!(status.code(), Some(78), "{what}: {said}");
        assert!(said.contains(name) || said.contains(value), "{what}: the line names neither key nor value: {said}");
    }
}
