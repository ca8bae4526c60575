//! Which engine can read what another one writes. Pure tables, as measured; what is not in them nobody knows, and unknown is
//! never "no".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineName {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl EngineName {
    /// The word in the magic of its files.
    fn magic(self) -> &'static str {
        match self {
            EngineName::Redis => "REDIS",
            EngineName::Valkey => "VALKEY",
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineName::Redis => "redis",
            EngineName::Valkey => "valkey",
        })
    }
}

/// A version, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 7 of 7.0.15.
    pub major: u32,
    /// 0 of 7.0.15.
    pub minor: u32,
    /// 15 of 7.0.15.
    pub patch: u32,
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Version { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = ();

    /// `7.0.15`, `9.1.0-rc1`, `8.6`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        let mut required = || numbers.next().flatten().ok_or(());
        Ok(Version { major: required()?, minor: required()?, patch: required().unwrap_or(0) })
    }
}

/// An answer that may be unknown: of an engine that is in no table, or between two that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// It does.
    Yes,
    /// It refuses.
    No,
    /// Nobody knows.
    Unknown,
}

/// The engine that runs somewhere. On the wire and in answers: `redis 7.0.15`; for people: `Redis 7.0.15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineVersion {
    /// Whose.
    pub name: EngineName,
    /// Which.
    pub version: Version,
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.name {
            EngineName::Redis => "Redis",
            EngineName::Valkey => "Valkey",
        };
        write!(f, "{name} {}", self.version)
    }
}

impl Serialize for EngineVersion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{} {}", self.name, self.version))
    }
}

impl<'de> Deserialize<'de> for EngineVersion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        EngineVersion::parse(&text).ok_or_else(|| serde::de::Error::custom(text))
    }
}

/// What stands first in a snapshot, and in the base file of an append-only file: `REDIS0010`, `VALKEY080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMagic {
    /// Whose magic.
    pub name: EngineName,
    /// The version of the format.
    pub number: u32,
}

impl FileMagic {
    /// Out of a file's first nine bytes; `None` where they are no magic (text commands, or damage).
    pub fn parse(start: &[u8]) -> Option<Self> {
        let start = std::str::from_utf8(start.get(..9)?).ok()?;
        [EngineName::Redis, EngineName::Valkey].into_iter().find_map(|name| {
            let digits = start.strip_prefix(name.magic())?;
            let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?;
            number.map(|number| FileMagic { name, number })
        })
    }
}

/// Versions of the snapshot format: surely this one, perhaps more.
#[derive(Clone, Copy)]
struct Format {
    surely: u32,
    perhaps: u32,
}

impl EngineVersion {
    /// `redis 7.0.15`, in any case of letters.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.split_once(' ')?;
        let name = match name.to_ascii_lowercase().as_str() {
            "redis" => EngineName::Redis,
            "valkey" => EngineName::Valkey,
            _ => return None,
        };
        Some(EngineVersion { name, version: version.parse().ok()? })
    }

    /// The format of its own files. 7.2, 8.4 and Valkey 7.2 and 9.0 were not measured: bounded by their neighbours.
    fn format(self) -> Format {
        let between = |surely, perhaps| Format { surely, perhaps };
        match (self.name, self.version.major, self.version.minor) {
            (EngineName::Redis, ..=6, _) => between(9, 9),
            (EngineName::Redis, 7, 0) => between(10, 10),
            (EngineName::Redis, 7, 1..=3) => between(11, 12),
            (EngineName::Redis, 7, _) | (EngineName::Redis, 8, ..=2) => between(12, 12),
            (EngineName::Redis, 8, 3..=5) => between(12, 13),
            (EngineName::Redis, 8, 6) => between(13, 13),
            (EngineName::Redis, ..) => between(13, u32::MAX),
            (EngineName::Valkey, ..=8, _) => between(11, 11),
            (EngineName::Valkey, 9, 0) => between(11, 80),
            (EngineName::Valkey, 9, 1) => between(80, 80),
            (EngineName::Valkey, ..) => between(80, u32::MAX),
        }
    }

    /// The newest format that it reads, as people know it: `RDB version 10`.
    pub fn newest_read(self) -> u32 {
        self.format().surely
    }

    /// Whether it loads a file with this magic at its start.
    pub fn reads_file(self, magic: FileMagic) -> Reads {
        let own = self.format();
        match (self.name, magic.name) {
            // Both began as one: what was written up to version 11 is everybody's.
            (EngineName::Valkey, EngineName::Redis) => match magic.number {
                ..=11 => Reads::Yes,
                // 9.1 does where the user says `rdb-version-check relaxed`.
                _ if self.version >= Version::new(9, 0, 0) => Reads::Unknown,
                _ => Reads::No,
            },
            (EngineName::Redis, EngineName::Valkey) if self.version < Version::new(8, 7, 0) => Reads::No,
            (EngineName::Redis, EngineName::Valkey) => Reads::Unknown,
            _ if magic.number <= own.surely => Reads::Yes,
            _ if magic.number <= own.perhaps => Reads::Unknown,
            _ => Reads::No,
        }
    }

    /// Whether it can load the full sync that `master` sends. A partial one asks for nothing of this.
    pub fn can_load_from(self, master: EngineVersion) -> Reads {
        let theirs = master.format();
        // Valkey 9 writes version 11 for whoever does not call itself Valkey 9.
        if master.name == EngineName::Valkey && theirs.perhaps >= 80 {
            return match self.name {
                EngineName::Valkey if self.version.major >= 9 => self.reads_all(EngineName::Valkey, theirs),
                _ => self.reads_file(FileMagic { name: EngineName::Redis, number: 11 }),
            };
        }
        self.reads_all(EngineName::Redis, theirs)
    }

    fn reads_all(self, name: EngineName, written: Format) -> Reads {
        let least = self.reads_file(FileMagic { name, number: written.surely });
        let most = self.reads_file(FileMagic { name, number: written.perhaps });
        match (least, most) {
            (Reads::No, _) => Reads::No,
            (Reads::Yes, Reads::Yes) => Reads::Yes,
            _ => Reads::Unknown,
        }
    }
}
