//! The core is pure: no clock, socket, file, thread, lock, environment or async in it (design section 8).

use std::path::{Path, PathBuf};

/// What must not occur in the code of the core.
const FORBIDDEN: [&str; 30] = [
    "std::fs",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "std::os",
    "std::sync",
    "std::net::Tcp",
    "std::net::Udp",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "Instant",
    "SystemTime",
    "tokio",
    "async fn",
    "async move",
    ".await",
    "Mutex",
    "RwLock",
    "Atomic",
    "redis::",
    "reqwest",
    "tracing",
    "println!",
    "eprintln!",
    "dbg!",
    "nix::",
    "libc::",
];

/// What the core may take from these modules of the standard library.
const ALLOWED: [(&str, &[&str]); 2] = [("std::net::", &["IpAddr", "SocketAddr"]), ("std::time::", &["Duration"])];

/// `.await` is not `.await_ripeness`; but `std::net::Tcp` is every name that begins so.
fn occurs(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let next = code.get(at + word.len()..).and_then(|rest| rest.chars().next());
        word != ".await" || !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The first breach in a source text, with its line.
fn breach(text: &str) -> Option<(usize, String)> {
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(word) = FORBIDDEN.iter().find(|word| occurs(code, word)) {
            return Some((number, (*word).to_owned()));
        }
        for (module, names) in ALLOWED {
            for rest in code.split(module).skip(1) {
                let rest = rest.trim_start_matches('{');
                let list = rest.split(['}', ';', '(', '<', '>', ')', '=', '&']).next().unwrap_or_default();
                for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    let name = name.split("::").next().unwrap_or_default().trim();
                    if !names.contains(&name) {
                        return Some((number, format!("{module}{name}")));
                    }
                }
            }
        }
    }
    None
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn core_is_pure() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core"), &mut found);
    assert!(found.len() >= 30, "only {} files: is this the core?", found.len());
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(breach(&text), None, "{}", path.display());
    }
}

#[test]
fn the_scanner_finds_every_kind_of_breach() {
    let bad = [
        "use std::net::TcpStream;",
        "use std::net::UdpSocket;",
        "use std::net::{IpAddr, TcpListener};",
        "use std::net::ToSocketAddrs;",
        "use std::{fs, io};\nuse std::fs;",
        "    let x = std::fs::read(path);",
        "std::thread::sleep(ms);",
        "use std::time::Instant;",
        "use std::time::{Duration, SystemTime};",
        "let now = std::time::Instant::now();",
        "use tokio::time;",
        "async fn decide() {}",
        "pub async fn decide() {}",
        "let x = f().await;",
        "use std::sync::Mutex;",
        "lock: RwLock<u8>,",
        "let home = std::env::var(\"HOME\");",
        "redis::cmd(\"PING\");",
        "reqwest::get(url);",
        "tracing::info!(\"x\");",
        "println!(\"x\");",
        "static N: AtomicU64 = AtomicU64::new(0);",
        "nix::unistd::getpid();",
    ];
    for snippet in bad {
        assert!(breach(snippet).is_some(), "{snippet}");
    }
}

#[test]
fn the_scanner_lets_the_pure_pass() {
    let good = [
        "use std::net::{IpAddr, SocketAddr};",
        "pub leader: Vec<std::net::IpAddr>,",
        "use std::time::Duration;",
        "let wait = std::time::Duration::ZERO;",
        "if wait { std::time::Duration::from_secs(5) } else { std::time::Duration::ZERO }",
        "const LIMIT: std::time::Duration = Duration::ZERO;",
        "use std::collections::BTreeMap;",
        "// no tokio, no Mutex here",
        "/// never `.await`",
        "self.await_ripeness();",
    ];
    for snippet in good {
        assert_eq!(breach(snippet), None, "{snippet}");
    }
}

#[test]
fn the_scanner_names_the_line() {
    assert_eq!(breach("use a;\nuse std::fs;\n"), Some((2, "std::fs".to_owned())));
}

/// Who reads the wall clock, and what for: shown to people, or written into a name or a file. Never to decide when (P44).
const WALL_CLOCK: [&str; 5] = [
    "control/run.rs",     // the wall-clock time of moment zero, for `/status`
    "engine/keep.rs",     // the name of a rollback file
    "engine/store.rs",    // when the state file was written: the last tie-break of a vote
    "telemetry/layer.rs", // the time of a log line
    "telemetry/line.rs",
];

#[test]
fn p44_only_these_read_the_wall_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let reads = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        ["SystemTime::now", "UNIX_EPOCH.elapsed", "Utc::now", "CLOCK_REALTIME"].iter().any(|word| code.contains(word))
    };
    let mut readers: Vec<String> = found
        .iter()
        .filter(|path| reads(path))
        .map(|path| path.strip_prefix(&src).unwrap().display().to_string())
        .collect();
    readers.sort();
    assert_eq!(readers, WALL_CLOCK);
}
