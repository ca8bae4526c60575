//! Which data files an engine can read, by what they begin with. A newer format is no damage: its engine reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::detect::Engine;
use crate::core::engines::{EngineName, EngineVersion, FileMagic, Reads, Version};

/// `REDIS0011`, `VALKEY080`: nine bytes.
const MAGIC_BYTES: u64 = 9;
/// The last version that Redis and Valkey have in common.
const COMMON: u32 = 11;

/// What a file begins with; `None` where that is no magic: commands, nothing at all, junk.
pub fn magic(file: &Path) -> io::Result<Option<FileMagic>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAGIC_BYTES).read_to_end(&mut bytes)?;
    Ok(FileMagic::parse(&bytes))
}

/// How strict the engine is about versions (`rdb-version-check`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionCheck {
    /// It reads what it knows.
    #[default]
    Strict,
    /// It tries with any (Valkey; from 9.0 on that helps).
    Relaxed,
}

/// Why this engine cannot read a file that begins so: both versions, for people. `None`: it can, or nobody knows.
pub fn too_new(magic: FileMagic, engine: &Engine, check: VersionCheck) -> Option<String> {
    let who = EngineVersion { name: engine.name, version: engine.version };
    let nine = Version::new(9, 0, 0)..Version::new(9, 2, 0);
    // To Valkey 9 what Redis wrote later is no version at all, unless it is told to try.
    let foreign = who.name == EngineName::Valkey
        && nine.contains(&who.version)
        && magic.name == EngineName::Redis
        && magic.number > COMMON
        && check == VersionCheck::Strict;
    if !foreign && who.reads_file(magic) != Reads::No {
        return None;
    }
    let whose = if magic.name == EngineName::Valkey { "Valkey's RDB version" } else { "RDB version" };
    let newest = if foreign { COMMON } else { who.newest_read() };
    Some(format!("{whose} {}; this one, {who}, reads up to {newest}", magic.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(name: EngineName, major: u32, minor: u32) -> Engine {
        Engine { name, version: Version::new(major, minor, 1), server_binary: "/x".into() }
    }

    fn redis(number: u32) -> FileMagic {
        FileMagic { name: EngineName::Redis, number }
    }

    const VALKEYS: FileMagic = FileMagic { name: EngineName::Valkey, number: 80 };

    #[test]
    fn v7_who_is_kept_from_reading_what_is_a_table() {
        use EngineName::{Redis, Valkey};
        const NEVER: u32 = 9999;
        // Engine, the newest of Redis's numbers that is not refused, whether Valkey's 80 is.
        for (name, major, minor, newest, valkey) in [
            (Redis, 6, 2, 9, true),
            (Redis, 7, 0, 10, true),
            (Redis, 7, 4, 12, true),
            (Redis, 8, 0, 12, true),
            (Redis, 8, 2, 12, true),
            (Redis, 8, 4, 13, true),
            (Redis, 8, 6, 13, true),
            (Redis, 8, 8, NEVER, false),
            (Redis, 9, 0, NEVER, false),
            (Valkey, 7, 2, 11, true),
            (Valkey, 8, 1, 11, true),
            (Valkey, 9, 0, 11, false),
            (Valkey, 9, 1, 11, false),
            (Valkey, 9, 2, NEVER, false),
        ] {
            let engine = engine(name, major, minor);
            let refused = |magic| too_new(magic, &engine, VersionCheck::Strict).is_some();
            for version in 1..=15 {
                assert_eq!(refused(redis(version)), version > newest, "{engine:?}: {version}");
            }
            assert_eq!(refused(VALKEYS), valkey, "{engine:?}");
        }
    }

    #[test]
    fn v7_both_versions_are_said_and_who_is_told_to_try_is_not_kept_from_it() {
        let old = engine(EngineName::Redis, 7, 0);
        let said = too_new(redis(13), &old, VersionCheck::Relaxed).expect("Redis knows no such setting");
        assert_eq!(said, "RDB version 13; this one, Redis 7.0.1, reads up to 10");
        let said = too_new(VALKEYS, &old, VersionCheck::Strict).expect("too new");
        assert_eq!(said, "Valkey's RDB version 80; this one, Redis 7.0.1, reads up to 10");
        let (eight, nine) = (engine(EngineName::Valkey, 8, 1), engine(EngineName::Valkey, 9, 1));
        let said = too_new(redis(12), &nine, VersionCheck::Strict).expect("too new");
        assert_eq!(said, "RDB version 12; this one, Valkey 9.1.1, reads up to 11");
        assert!(too_new(redis(12), &nine, VersionCheck::Relaxed).is_none());
        assert!(too_new(redis(12), &eight, VersionCheck::Relaxed).is_some(), "8.1 has it, and it does not help");
    }
}
