//! Who can load from whom: as it was measured, engine by engine.

use crate::core::engines::{EngineName, EngineVersion, FileMagic, Reads, Version};

fn engine(text: &str) -> EngineVersion {
    EngineVersion::parse(text).expect("an engine")
}

#[test]
fn a_full_sync_is_loaded_as_measured() {
    let replicas =
        ["redis 6.2.5", "redis 7.0.15", "redis 7.4.1", "redis 8.2.3", "redis 8.6.3", "valkey 8.1.1", "valkey 9.1.2"];
    // One row a master; one letter a replica: y loads, n refuses, - nobody knows (Valkey 9 with `rdb-version-check relaxed`).
    for (master, loads) in [
        ("redis 6.2.5", "yyyyyyy"),
        ("redis 7.0.15", "nyyyyyy"),
        ("redis 7.4.1", "nnyyyn-"),
        ("redis 8.0.2", "nnyyyn-"),
        ("redis 8.2.3", "nnyyyn-"),
        ("redis 8.6.3", "nnnnyn-"),
        ("valkey 8.0.1", "nnyyyyy"),
        ("valkey 8.1.1", "nnyyyyy"),
        ("valkey 9.1.2", "nnyyyyy"),
    ] {
        for (replica, letter) in replicas.iter().zip(loads.chars()) {
            let expected = match letter {
                'y' => Reads::Yes,
                'n' => Reads::No,
                _ => Reads::Unknown,
            };
            assert_eq!(engine(replica).can_load_from(engine(master)), expected, "{replica} from {master}");
        }
    }
}

#[test]
fn a_file_is_read_as_measured() {
    let magic = |text: &str| FileMagic::parse(text.as_bytes()).expect("a magic");
    for (reader, file, expected) in [
        ("redis 6.2.5", "REDIS0009", Reads::Yes),
        ("redis 6.2.5", "REDIS0010", Reads::No),
        ("redis 7.0.15", "REDIS0010", Reads::Yes),
        ("redis 7.0.15", "REDIS0013", Reads::No),
        ("redis 8.2.3", "REDIS0013", Reads::No),
        ("redis 8.6.3", "REDIS0013", Reads::Yes),
        ("redis 8.6.3", "VALKEY080", Reads::No),
        ("valkey 8.1.1", "REDIS0011", Reads::Yes),
        ("valkey 8.1.1", "REDIS0012", Reads::No),
        ("valkey 8.1.1", "VALKEY080", Reads::No),
        ("valkey 9.1.2", "VALKEY080", Reads::Yes),
        ("valkey 9.1.2", "REDIS0011", Reads::Yes),
    ] {
        assert_eq!(engine(reader).reads_file(magic(file)), expected, "{reader} reads {file}");
    }
}

#[test]
fn what_is_in_no_table_is_never_a_no() {
    for replica in ["redis 8.4.0", "redis 9.0.0", "valkey 9.0.0", "valkey 10.0.0"] {
        for master in ["redis 8.4.0", "redis 9.0.0", "valkey 9.0.0", "valkey 10.0.0"] {
            let (replica, master) = (engine(replica), engine(master));
            if replica.name == master.name && replica.version >= master.version {
                assert_ne!(replica.can_load_from(master), Reads::No, "{replica} from {master}");
            }
        }
    }
    assert_eq!(engine("redis 9.0.0").can_load_from(engine("redis 9.1.0")), Reads::Unknown);
    assert_eq!(engine("valkey 10.0.0").can_load_from(engine("valkey 10.1.0")), Reads::Unknown);
    assert_eq!(engine("redis 8.2.0").can_load_from(engine("redis 9.1.0")), Reads::No);
}

#[test]
fn names_versions_and_magics_are_read_and_nonsense_is_not() {
    let redis = EngineVersion { name: EngineName::Redis, version: Version::new(7, 0, 15) };
    assert_eq!(EngineVersion::parse("Redis 7.0.15"), Some(redis));
    assert_eq!(redis.to_string(), "Redis 7.0.15");
    assert_eq!(serde_json::to_string(&redis).expect("text"), "\"redis 7.0.15\"");
    assert_eq!(
        serde_json::from_str::<EngineVersion>("\"valkey 9.1.0-rc1\"").expect("read").to_string(),
        "Valkey 9.1.0"
    );
    for junk in ["", "redis", "redis 7", "redis x.y", "dragon 1.2.3", " 7.0.1", "redis 99999999999.1"] {
        assert_eq!(EngineVersion::parse(junk), None, "{junk}");
    }
    assert_eq!(FileMagic::parse(b"REDIS0010rest"), Some(FileMagic { name: EngineName::Redis, number: 10 }));
    assert_eq!(FileMagic::parse(b"VALKEY080"), Some(FileMagic { name: EngineName::Valkey, number: 80 }));
    for junk in [&b""[..], b"REDIS", b"REDIS00x0", b"*2\r\n$6\r\nSE", b"REDIS+001", &[0xff; 9]] {
        assert_eq!(FileMagic::parse(junk), None, "{junk:?}");
    }
}
