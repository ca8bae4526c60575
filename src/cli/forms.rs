//! The ways in which the official images are called: `redis-server --appendonly yes`, `/etc/redis.conf`, `--port 7000`,
//! `redis-server /etc/sentinel.conf --sentinel`.

use std::path::Path;

use super::{CliExit, RunArgs};
use crate::config::settings::EngineChoice;
use crate::core::rules::Mode;

/// What a path is called by.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The words for the engine, where that is what these are: a server's name, a `*.conf`, an argument that is not ours.
pub fn engine_words(words: &[String]) -> Option<&[String]> {
    let first = words.first()?;
    let ours = ["-h", "--help", "-V", "--version"].contains(&first.as_str());
    (server(first).is_some() || is_conf(first) || first.starts_with('-') && !ours).then_some(words)
}

fn is_conf(word: &str) -> bool {
    word.ends_with(".conf")
}

/// Mode and engine by a server's name; a path means that very binary.
fn server(word: &str) -> Option<(Mode, EngineChoice)> {
    let (mode, usual) = match base_name(word) {
        "redis-server" => (Mode::Server, EngineChoice::Redis),
        "valkey-server" => (Mode::Server, EngineChoice::Valkey),
        "redis-sentinel" => (Mode::Sentinel, EngineChoice::Redis),
        "valkey-sentinel" => (Mode::Sentinel, EngineChoice::Valkey),
        _ => return None,
    };
    if !word.starts_with('/') {
        return Some((mode, usual));
    }
    // `redis-sentinel` is the server under another name, and one binary is what the setting asks for.
    let name = base_name(word).replace("-sentinel", "-server");
    Some((mode, EngineChoice::Path(Path::new(word).with_file_name(name))))
}

/// Arguments as the engine itself takes them: its name perhaps, a configuration file perhaps, then settings.
pub fn run(words: &[String]) -> Result<RunArgs, CliExit> {
    let mut args = RunArgs::default();
    let mut rest = words;
    if let Some((first, behind)) = rest.split_first()
        && let Some((mode, engine)) = server(first)
    {
        // A server's name alone says nothing against `SENTINEL=true`: the images' default command is `redis-server`.
        args.mode = (mode == Mode::Sentinel).then_some(mode);
        args.engine = Some(engine);
        rest = behind;
    }
    if let Some((first, behind)) = rest.split_first()
        && is_conf(first)
        && !first.starts_with('-')
    {
        // The child runs in the data directory, so a relative path would mean another file there.
        let path = std::path::absolute(first);
        args.include = Some(path.map_err(|error| CliExit::usage(format!("{first}: no absolute path: {error}")))?);
        rest = behind;
    }
    if let Some(word) = rest.iter().find(|word| ASKS_ENGINE.contains(&word.as_str())) {
        return Err(CliExit::usage(format!("{word} asks the engine itself: call its binary instead of redinit")));
    }
    if rest.first().is_some_and(|word| word == "-") {
        return Err(CliExit::usage("configuration from standard input is not supported: give a file"));
    }
    if let Some(word) = rest.first().filter(|word| !word.starts_with("--")) {
        return Err(CliExit::usage(format!("{word:?} is no argument of the engine; those begin with `--`")));
    }
    if rest.iter().any(|word| word == "--sentinel") {
        args.mode = Some(Mode::Sentinel);
    }
    args.engine_args = rest.iter().filter(|word| *word != "--sentinel").cloned().collect();
    Ok(args)
}

/// Calls that end at once; a supervisor would restart them.
const ASKS_ENGINE: &[&str] = &["-v", "--version", "-h", "--help", "--test-memory", "--check-system"];
