//! Does the engine take its configuration at all? Asked of the engine itself, with one line more that nobody takes: it reads
//! line by line, so whatever it refuses before that is wrong, and it comes no further in any case.

use std::ffi::OsString;
use std::time::Duration;

use super::detect::Engine;
use super::process::{Launch, Processes};
use super::render::{sentinel_file, server_file};
use crate::config::settings::Settings;
use crate::core::rules::Mode;

/// No engine has it.
const NOBODYS: &str = "redinit-asks";
/// The engine ends at once; at a tenth of a processor its start alone took 0.7 s.
const LIMIT: Duration = Duration::from_secs(10);
const BYTES: usize = 64 * 1024;
/// So much of what it says is told.
const SAID_LIMIT: usize = 200;

/// What the engine refuses: the directive and why, in its own words. `None`: nothing, or it could not be asked.
pub fn refused_line(settings: &Settings, engine: &Engine, processes: &dyn Processes) -> Option<String> {
    let (file, sentinel) = match settings.mode {
        Mode::Server => (server_file(&settings.data_dir), None),
        Mode::Sentinel => (sentinel_file(&settings.data_dir), Some(OsString::from("--sentinel"))),
    };
    let mut args = vec![OsString::from(file), OsString::from(format!("--{NOBODYS}")), OsString::from("1")];
    args.extend(sentinel);
    let launch = Launch { program: engine.server_binary.clone(), args, cwd: settings.data_dir.clone() };
    let (_, output) = processes.run_briefly(&launch, LIMIT, BYTES).ok()?;
    parse(&String::from_utf8_lossy(&output))
}

/// `>>> 'maxmemory lots'`, and the reason in the next line. The values stay out of it: they may be secrets.
fn parse(output: &str) -> Option<String> {
    let mut lines = output.lines().skip_while(|line| !line.starts_with(">>> '"));
    let line = lines.next()?.strip_prefix(">>> '")?;
    let directive = line.split([' ', '\'', '\t']).next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    if directive == NOBODYS {
        return None;
    }
    let secret = ["pass", "auth", "user"].iter().any(|word| directive.contains(word));
    let why = lines.next().map(str::trim).filter(|why| !why.is_empty() && !secret).unwrap_or("it is refused");
    let told: String = format!("`{directive}`: {why}").chars().filter(|c| !c.is_control()).take(SAID_LIMIT).collect();
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u02_the_engine_s_own_words_and_no_secret() {
        let said = |line: &str, why: &str| {
            parse(&format!(
                "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 3\n>>> '{line}'\n{why}\n"
            ))
        };
        assert_eq!(
            said("maxmemory lots", "argument must be a memory value"),
            Some("`maxmemory`: argument must be a memory value".into())
        );
        let bad = "Bad directive or wrong number of arguments";
        assert_eq!(said("Fooo", bad), Some(format!("`fooo`: {bad}")));
        assert_eq!(said("redinit-asks \"1\"", bad), None, "all before it was taken");
        let user = said("user app >hush", "Error in user declaration '>hush': Syntax error").expect("refused");
        assert!(!user.contains("hush") && user.starts_with("`user`"), "{user}");
        assert_eq!(parse("# Configuration loaded\n"), None);
    }
}
