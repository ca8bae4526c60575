//! What ails a child: its configuration, its disk, its files by the engine's own checks of them (D4). Reads only. What has
//! not been shown is not said: advice that ends in giving data up follows from it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::detect::Engine;
use super::error::EngineError;
use super::format::magic;
use super::keep::free;
use super::loading::{checked, judge};
use super::names::Persistence;
use super::own_config::OwnConfig;
use super::process::{Launch, Processes};
use super::refusal::refused_line;
use crate::config::settings::Settings;
use crate::core::ailment::{Ailment, Complaint};
use crate::core::engines::{EngineName, EngineVersion, FileMagic};
use crate::core::event::ChildExit;
use crate::core::rules::Mode;

/// Less than this is as good as nothing: the engine writes its buffers in larger pieces.
const FULL: u64 = 1 << 20;
/// A check of a large file that takes longer finds nothing.
const CHECK: Duration = Duration::from_secs(20);
/// What a check may print.
const CHECK_BYTES: usize = 1 << 20;

/// Blocks: on a thread of its own.
pub fn examine(complaint: Complaint, settings: &Settings, engine: &Engine, processes: &dyn Processes) -> Ailment {
    if let Ok(free) = free(&settings.data_dir)
        && free < FULL
    {
        return Ailment::DiskFull { free };
    }
    if complaint == Complaint::Saving {
        return Ailment::Unclear;
    }
    if let Some(said) = refused_line(settings, engine, processes) {
        return Ailment::Refused { said };
    }
    if settings.mode == Mode::Sentinel {
        return Ailment::NothingToLoad;
    }
    let own = match OwnConfig::read(settings) {
        Ok(own) => own,
        Err(error) => return Ailment::Refused { said: error.to_string() },
    };
    match judge(settings, &own, engine) {
        Ok((loading, found)) => match checked(own.data.persistence, &loading, &found) {
            Some((file, kind)) => check(file, kind, engine, &settings.data_dir, processes),
            None => Ailment::NothingToLoad,
        },
        Err(
            error @ (EngineError::NewerFormat { .. } | EngineError::Unusable { .. } | EngineError::OtherName { .. }),
        ) => Ailment::NotLoadable { said: error.to_string() },
        Err(_) => Ailment::Unclear,
    }
}

/// The engine's own check of a file: damaged is what it calls so, and nothing else.
fn check(file: &Path, kind: Persistence, engine: &Engine, directory: &Path, processes: &dyn Processes) -> Ailment {
    let name = match kind {
        Persistence::Snapshots => "check-rdb",
        Persistence::AppendOnly => "check-aof",
    };
    let Some(program) = beside(engine, name) else {
        return Ailment::Unchecked { tool: name.to_owned() };
    };
    let tool = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let launch = Launch { program, args: vec![OsString::from(file)], cwd: directory.to_owned() };
    let Ok((ChildExit::Code(status), output)) = processes.run_briefly(&launch, CHECK, CHECK_BYTES) else {
        return Ailment::Unchecked { tool };
    };
    let output = String::from_utf8_lossy(&output);
    let place = file.display().to_string();
    match (status, verdict(&output, magic(file).unwrap_or_default()), kind) {
        (0, ..) => Ailment::Passed,
        (_, Told::Newer, _) => Ailment::NotLoadable {
            said: EngineError::NewerFormat {
                file: file.to_owned(),
                versions: format!(
                    "{tool} of {} does not know it",
                    EngineVersion { name: engine.name, version: engine.version }
                ),
            }
            .to_string(),
        },
        (1, Told::Damaged, Persistence::AppendOnly) => Ailment::DamagedAof { file: place, tool },
        (1, Told::Damaged, Persistence::Snapshots) => Ailment::DamagedSnapshot { file: place, tool },
        _ => Ailment::Unchecked { tool },
    }
}

/// What a check that refuses a file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Damaged,
    /// Its version, or a signature that is one.
    Newer,
    /// It did not get to read it.
    Nothing,
}

fn verdict(output: &str, begins: Option<FileMagic>) -> Told {
    let says = |words: &str| output.contains(words);
    if says("handle RDB format version") || says("Wrong signature") && begins.is_some() {
        return Told::Newer;
    }
    if says("Cannot open") || says("Permission denied") || says("No such file") {
        return Told::Nothing;
    }
    // A check that found something says where.
    let found = ["RDB ERROR", "not valid", "offset", "0x", "aborting", "sane", "Unexpected", "Expected"];
    if found.iter().any(|words| says(words)) { Told::Damaged } else { Told::Nothing }
}

/// The engine's own tool, in the server's directory: of its own kind first, where both are installed.
fn beside(engine: &Engine, tool: &str) -> Option<PathBuf> {
    let directory = engine.server_binary.parent()?;
    let kinds = match engine.name {
        EngineName::Redis => ["redis", "valkey"],
        EngineName::Valkey => ["valkey", "redis"],
    };
    kinds.iter().map(|kind| directory.join(format!("{kind}-{tool}"))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::engines::Version;

    #[test]
    fn the_check_is_the_engine_s_own_where_both_are_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = |name| Engine { name, version: Version::new(8, 0, 0), server_binary: dir.path().join("server") };
        assert_eq!(beside(&engine(EngineName::Redis), "check-aof"), None);
        for name in ["redis-check-aof", "valkey-check-aof"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        for (name, tool) in [(EngineName::Redis, "redis-check-aof"), (EngineName::Valkey, "valkey-check-aof")] {
            assert_eq!(beside(&engine(name), "check-aof"), Some(dir.path().join(tool)));
        }
    }

    #[test]
    fn u02_only_what_a_check_has_read_and_refused_is_damaged() {
        let newer = "[offset 0] Checking RDB file dump.rdb\n--- RDB ERROR DETECTED ---\n\
            [offset 9] Can't handle RDB format version 13\n";
        let signature =
            newer.replace("Can't handle RDB format version 13", "Wrong signature trying to load DB from file");
        for (output, begins, told) in [
            (newer, FileMagic::parse(b"REDIS0013"), Told::Newer),
            (&signature, FileMagic::parse(b"VALKEY080"), Told::Newer),
            (&signature, None, Told::Damaged),
            (
                "--- RDB ERROR DETECTED ---\n[offset 11] Unexpected EOF reading RDB file",
                FileMagic::parse(b"REDIS0010"),
                Told::Damaged,
            ),
            (
                "0x              29: Expected prefix '*', got: '\u{fffd}'\nAOF appendonly.aof is not valid.",
                None,
                Told::Damaged,
            ),
            ("RDB preamble of AOF file is not sane, aborting.", FileMagic::parse(b"REDIS0010"), Told::Damaged),
            ("Cannot open file x: Permission denied", None, Told::Nothing),
            ("[offset 0] Checking RDB file nofile.rdb: No such file", None, Told::Nothing),
            ("", FileMagic::parse(b"REDIS0010"), Told::Nothing),
        ] {
            assert_eq!(verdict(output, begins), told, "{output}");
        }
    }
}
