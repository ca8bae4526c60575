//! Which engine is there, and is it new enough?

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::EngineError;
use super::process::{Launch, Processes};
use crate::config::settings::{EngineChoice, Settings};
use crate::core::engines::EngineVersion;
pub use crate::core::engines::{EngineName, Version};
use crate::core::event::ChildExit;

/// `--version` prints one line; a cold start of the binary at 0.1 CPU took 0.7 s.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
const VERSION_BYTES: usize = 4096;

/// The engine that runs here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Whose.
    pub name: EngineName,
    /// Which.
    pub version: Version,
    /// Its binary; with `--sentinel` it is a Sentinel too.
    pub server_binary: PathBuf,
}

impl Engine {
    /// Its name and version, as the core knows engines.
    pub fn kind(&self) -> EngineVersion {
        EngineVersion { name: self.name, version: self.version }
    }
}

/// Finds the engine that the settings ask for, asks its version and refuses one that cannot do the work.
pub fn detect(settings: &Settings, processes: &dyn Processes) -> Result<Engine, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let binary = find(&settings.engine, &path)?;
    let launch = Launch { program: binary.clone(), args: vec![OsString::from("--version")], cwd: PathBuf::from("/") };
    let failed = |reason: String| EngineError::Version { binary: binary.clone(), reason };
    let (exit, output) = processes.run_briefly(&launch, VERSION_LIMIT, VERSION_BYTES).map_err(failed)?;
    if exit != ChildExit::Code(0) {
        return Err(failed(format!("it ended with {exit:?}")));
    }
    let output = String::from_utf8_lossy(&output);
    let (name, version) = parse(&output).ok_or_else(|| {
        let said: String = output.chars().take(120).filter(|c| !c.is_control()).collect();
        failed(format!("it said `{said}`"))
    })?;
    let least = least(name);
    if version < least {
        return Err(EngineError::TooOld { binary, name, version, least });
    }
    Ok(Engine { name, version, server_binary: binary })
}

/// Before 7.0 scripts write through `min-replicas-to-write`, the fence: 4,206 acknowledged writes lost in a cut of 10 s
/// (measured). Valkey began at 7.2.
fn least(name: EngineName) -> Version {
    match name {
        EngineName::Redis => Version::new(7, 0, 0),
        EngineName::Valkey => Version::new(7, 2, 0),
    }
}

fn find(choice: &EngineChoice, path: &std::ffi::OsStr) -> Result<PathBuf, EngineError> {
    let names: &[&str] = match choice {
        EngineChoice::Auto => &["valkey-server", "redis-server"],
        EngineChoice::RedisFirst => &["redis-server", "valkey-server"],
        EngineChoice::Redis => &["redis-server"],
        EngineChoice::Valkey => &["valkey-server"],
        EngineChoice::Path(binary) => {
            if is_executable(binary) {
                return Ok(binary.clone());
            }
            return Err(EngineError::NotFound { looked_for: binary.display().to_string(), place: "that path".into() });
        }
    };
    names
        .iter()
        .flat_map(|name| std::env::split_paths(path).map(move |directory| directory.join(name)))
        .find(|candidate| candidate.is_absolute() && is_executable(candidate))
        .ok_or_else(|| EngineError::NotFound { looked_for: names.join(" or "), place: "PATH".into() })
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// `Redis server v=7.0.15 sha=..`, `Valkey server v=8.1.1 sha=..`.
fn parse(output: &str) -> Option<(EngineName, Version)> {
    let line = output.lines().find(|line| line.contains(" v="))?;
    let name = if line.to_ascii_lowercase().contains("valkey") { EngineName::Valkey } else { EngineName::Redis };
    let text = line.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some((name, text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_engines_print_them() {
        let redis = parse("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d\n");
        assert_eq!(redis, Some((EngineName::Redis, Version::new(7, 0, 15))));
        let valkey = parse("Valkey server v=9.1.0-rc1 sha=0:0 malloc=libc bits=64\n");
        assert_eq!(valkey, Some((EngineName::Valkey, Version::new(9, 1, 0))));
        for junk in ["", "Redis server", "v=7.0.1", "x v=a.b.c", " v=7", " v=99999999999.1.1"] {
            assert_eq!(parse(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_missing_engine_is_one_line_that_says_what_was_looked_for() {
        let missing = find(&EngineChoice::Auto, std::ffi::OsStr::new("/nowhere")).expect_err("nothing there");
        assert_eq!(missing.to_string().lines().count(), 1);
        assert!(missing.to_string().contains("valkey-server or redis-server"));
        assert!(find(&EngineChoice::Path("/etc".into()), std::ffi::OsStr::new("")).is_err());
    }

    #[test]
    fn a_call_by_redis_s_name_runs_whichever_engine_there_is() {
        let folder = tempfile::tempdir().expect("a directory");
        let put = |name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, "").expect("written");
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("made executable");
            file
        };
        let found = |choice: EngineChoice| find(&choice, folder.path().as_os_str()).ok();
        let valkey = put("valkey-server");
        assert_eq!(found(EngineChoice::RedisFirst), Some(valkey.clone()));
        assert_eq!(found(EngineChoice::Redis), None, "a wish is kept to");
        let redis = put("redis-server");
        assert_eq!(found(EngineChoice::RedisFirst), Some(redis));
        assert_eq!(found(EngineChoice::Auto), Some(valkey));
    }

    #[test]
    fn an_engine_whose_scripts_write_through_the_fence_is_too_old() {
        assert!(least(EngineName::Redis) > Version::new(6, 2, 99));
        assert!(least(EngineName::Redis) <= Version::new(7, 0, 0));
    }
}
