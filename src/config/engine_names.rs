//! Engine settings that other images take from the environment, as engine arguments. The engine driver reads them
//! like any other argument; arguments of the user's own come behind them and win.

use super::environment::Environment;
use super::error::ConfigError;
use super::values;

type Write = fn(&str) -> Option<Vec<String>>;

/// Name (a `VALKEY_*` twin where it begins with `REDIS_`), what it takes, and how it is written for the engine.
pub const NAMES: &[(&str, &str, Write)] = &[
    ("REDIS_AOF_ENABLED", "`yes` or `no`", |text| yes_no("--appendonly", text)),
    ("PERSISTENCE_ENABLED", "`true` or `false`", |text| yes_no("--appendonly", text)),
    ("REDIS_RDB_POLICY", "`SECONDS#CHANGES`, several with blanks between", rdb_policy),
    ("REDIS_RDB_POLICY_DISABLED", "`yes` or `no`", no_rdb),
    ("REDIS_IO_THREADS", "a whole number from 1 to 128", |text| {
        let threads = text.parse::<u8>().ok().filter(|n| (1..=128).contains(n))?;
        Some(vec!["--io-threads".into(), threads.to_string()])
    }),
    ("REDIS_IO_THREADS_DO_READS", "`yes` or `no`", |text| yes_no("--io-threads-do-reads", text)),
    ("REDIS_MAX_MEMORY", "a size such as `512mb`", |text| {
        let size = text.bytes().all(|b| b.is_ascii_alphanumeric()) && text.starts_with(|c: char| c.is_ascii_digit());
        size.then(|| vec!["--maxmemory".into(), text.into()])
    }),
    ("REDIS_ACLFILE", "an absolute path", |text| text.starts_with('/').then(|| vec!["--aclfile".into(), text.into()])),
    ("REDIS_DISABLE_COMMANDS", "a list of commands", |text| {
        let command = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.|".contains(&b));
        let commands = values::items(text);
        let written = |name: String| ["--rename-command".to_owned(), name, String::new()];
        commands.iter().all(command).then(|| commands.into_iter().flat_map(written).collect())
    }),
    ("REDIS_EXTRA_FLAGS", "engine arguments with blanks between", |text| {
        text.starts_with("--").then(|| text.split_whitespace().map(str::to_owned).collect())
    }),
];

fn yes_no(argument: &str, text: &str) -> Option<Vec<String>> {
    let word = if values::truth(text)? { "yes" } else { "no" };
    Some(vec![argument.to_owned(), word.to_owned()])
}

fn rdb_policy(text: &str) -> Option<Vec<String>> {
    let points: Option<Vec<(u32, u32)>> = text
        .split_whitespace()
        .map(|point| point.split_once('#').and_then(|(s, n)| Some((s.parse().ok()?, n.parse().ok()?))))
        .collect();
    let points = points?.iter().map(|(seconds, changes)| format!("{seconds} {changes}")).collect::<Vec<_>>();
    Some(vec!["--save".to_owned(), points.join(" ")])
}

fn no_rdb(text: &str) -> Option<Vec<String>> {
    Some(if values::truth(text)? { vec!["--save".to_owned(), String::new()] } else { Vec::new() })
}

/// What the environment says to the engine.
pub fn arguments(variables: &Environment, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let mut arguments = Vec::new();
    for (name, allowed, write) in NAMES {
        let twin = name.replacen("REDIS_", "VALKEY_", 1);
        let Some((name, text)) = [*name, twin.as_str()].iter().find_map(|n| Some((*n, variables.get(n)?))) else {
            continue;
        };
        match write(text) {
            Some(written) => arguments.extend(written),
            None => errors.push(ConfigError {
                key: "engine arguments".into(),
                value: None,
                origin: name.into(),
                problem: format!("allowed: {allowed}"),
            }),
        }
    }
    arguments
}

/// Arguments for people: what follows a word with a password's name in it is left out (invariant 10).
pub fn show(arguments: &[String]) -> String {
    let mut hide = false;
    let shown = arguments.iter().map(|argument| {
        if argument.starts_with("--") {
            let name = argument.to_ascii_lowercase();
            hide = ["pass", "auth", "user"].iter().any(|word| name.contains(word));
            // `--requirepass=secret`, `"--requirepass secret"`: the name alone.
            return if hide { name.split(['=', ' ']).next().unwrap_or_default().to_owned() } else { quoted(argument) };
        }
        if hide { "(set)".to_owned() } else { quoted(argument) }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &str) -> String {
    let bare = !argument.is_empty() && argument.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
    if bare { argument.to_owned() } else { format!("{argument:?}") }
}
