//! What is found in a data directory.

use super::*;
use crate::core::engines::EngineName;

fn engine(major: u32, minor: u32) -> Engine {
    Engine { name: EngineName::Redis, version: Version::new(major, minor, 0), server_binary: "/x".into() }
}

fn found(directory: &Path, major: u32) -> (bool, Option<String>) {
    let found = look(directory, &DataNames::default(), &engine(major, 0)).expect("readable");
    let base = found.appended.and_then(|found| found.base);
    let base = base.map(|path| path.strip_prefix(directory).expect("within").display().to_string());
    (found.snapshot.is_some(), base)
}

#[test]
fn u01_what_an_engine_would_read_depends_on_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    };
    assert_eq!(found(dir.path(), 7), (false, None));
    put("dump.rdb", "");
    put("appendonly.aof", "");
    assert_eq!(found(dir.path(), 7), (false, None), "nothing in them");
    put("dump.rdb", "REDIS0010");
    put("appendonly.aof", "*1\r\n");
    assert_eq!(found(dir.path(), 6), (true, Some("appendonly.aof".into())));
    assert_eq!(found(dir.path(), 7), (true, Some("appendonly.aof".into())), "taken over");
    put("appendonlydir/appendonly.aof.manifest", "# nothing\n");
    assert_eq!(found(dir.path(), 7), (true, Some("appendonly.aof".into())));
    let manifest = "file \"a.9.incr.aof\" seq 9 type h\nfile a.1.base.rdb seq 1 type b\n\
        file a.1.incr.aof seq 1 type i startoffset 0\n";
    put("appendonlydir/appendonly.aof.manifest", manifest);
    put("appendonlydir/a.1.base.rdb", "REDIS0013");
    assert_eq!(found(dir.path(), 7), (true, Some("appendonlydir/a.1.base.rdb".into())));
    assert_eq!(found(dir.path(), 6), (true, Some("appendonly.aof".into())), "6.2 knows no parts");
}

#[test]
fn u01_data_under_other_names_are_found_and_what_is_kept_by_redinit_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    let whole = b"REDIS0010\xff12345678";
    for (name, bytes) in [
        ("rollback-1.rdb", &whole[..]),
        ("temp-1.rdb", whole),
        ("aside-1-appendonlydir/x.manifest", b"file a seq 1 type b"),
        ("junk.rdb", b"no snapshot, whatever its name is"),
        ("half.rdb", b"REDIS0010 half of it"),
        ("empty.aof", b""),
        ("redinit.state", b"{}"),
        ("notes.txt", whole),
    ] {
        put(name, bytes);
        assert_eq!(under_another_name(dir.path()), None, "{name}");
    }
    for name in ["other.rdb", "elsewhere/x.aof.manifest", "other.aof"] {
        put(name, whole);
        assert_eq!(under_another_name(dir.path()), Some(dir.path().join(name)));
        fs::remove_file(dir.path().join(name)).expect("removed");
    }
}

#[test]
fn what_is_put_aside_is_whole_and_never_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("dump.rdb");
    for round in ["one", "two"] {
        fs::write(&path, round).expect("written");
        let aside = put_aside(&path, 7).expect("put aside");
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(aside).expect("there"), round);
    }
    assert!(dir.path().join("aside-7-dump.rdb").exists() && dir.path().join("aside-8-dump.rdb").exists());
}
