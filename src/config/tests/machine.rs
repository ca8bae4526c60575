//! The real file system, in a directory of its own.

use std::path::Path;

use crate::config::env::{Env, FILE_LIMIT, Machine};

#[test]
fn files_are_read_within_limits() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("good"), "text\n").unwrap();
    std::fs::write(at("large"), vec![b'x'; FILE_LIMIT as usize + 1]).unwrap();
    std::fs::write(at("binary"), [0xff, 0xfe]).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(Machine.read(&at("good")).unwrap(), "text\n");
    for bad in ["large", "binary", "pipe", "missing", "."] {
        assert!(Machine.read(&at(bad)).is_err(), "{bad}");
    }
    assert!(Machine.read(Path::new("/dev/zero")).is_err());
    assert!(Machine.exists(&at("good")) && !Machine.exists(&at("missing")));
    let mut listed = Machine.list(dir.path()).unwrap();
    listed.sort();
    assert_eq!(listed.len(), 4);
    assert!(Machine.list(&at("missing")).unwrap().is_empty());
    assert!(Machine.list(&at("good")).is_err());
}

#[test]
fn addresses_of_the_machine_are_no_loopback_and_literals_resolve() {
    assert!(Machine.addresses().iter().all(|ip| !ip.is_loopback()));
    assert_eq!(Machine.resolve("127.0.0.9").unwrap(), ["127.0.0.9".parse::<std::net::IpAddr>().unwrap()]);
    assert!(Machine.hostname().is_some_and(|name| !name.is_empty()));
}
