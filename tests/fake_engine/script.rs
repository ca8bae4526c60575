//! The script: `FAKE_ENGINE` (JSON, or the path of a file with it), else `fake.json` in the working directory. An array
//! has one script for each start, the last for all that follow.

use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Ends by itself.
    pub exit: Option<Exit>,
    /// Dies of a signal by itself.
    pub die: Option<Die>,
    /// Goes on after SIGTERM.
    pub ignore_term: bool,
    /// Between SIGTERM (or SHUTDOWN) and its end, `INFO` shows a shutdown under way.
    pub term_ms: u64,
    /// Its status after SIGTERM.
    pub term_code: i32,
    /// Has no signal handlers for so long: SIGTERM kills it (P2).
    pub no_handlers_ms: u64,
    /// Refuses SHUTDOWN, as with a failing save.
    pub refuse_shutdown: bool,
    /// Answers LOADING for so long.
    pub loading_ms: u64,
    /// Opens its socket only after so long.
    pub listen_after_ms: u64,
    /// Does not answer any more after so long.
    pub silent_after_ms: Option<u64>,
    /// Starts processes that live on.
    pub grandchild: Option<Grandchild>,
    /// Starts and orphans so many processes, which end at once.
    pub orphans: u32,
    /// Sends these signals to its supervisor.
    pub signal_parent: Vec<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exit {
    pub code: i32,
    pub after_ms: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Die {
    pub signal: i32,
    pub after_ms: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grandchild {
    /// In a session of its own.
    pub setsid: bool,
    /// Keeps our stdout open.
    pub hold_stdout: bool,
    /// How long it lives.
    pub ms: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scripts {
    Each(Vec<Script>),
    Same(Box<Script>),
}

impl Script {
    /// The script of the `start`th start, counted from 0.
    pub fn load(directory: &Path, start: usize) -> Script {
        let given = std::env::var("FAKE_ENGINE").ok().filter(|given| !given.is_empty());
        let text = match given {
            Some(json) if json.trim_start().starts_with(['{', '[']) => json,
            Some(path) => fs::read_to_string(path).unwrap(),
            None => fs::read_to_string(directory.join("fake.json")).unwrap_or_else(|_| "{}".into()),
        };
        match serde_json::from_str(&text).unwrap() {
            Scripts::Same(script) => *script,
            Scripts::Each(scripts) => scripts.get(start).or(scripts.last()).cloned().unwrap_or_default(),
        }
    }
}
