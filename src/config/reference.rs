//! The settings reference, `docs/settings.md`: names and ranges from the table, words from `conf/redinit.toml`.

use super::engine_names;
use super::keys::{Form, KEYS, Key};
use super::layers::DEFAULTS;
use crate::core::rules::Mode;

const HEAD: &str = include_str!("reference.md");

/// The whole page. A test compares it with the file; `UPDATE_DOCS=1` writes that anew.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for key in KEYS {
        page.push_str(&section(key));
    }
    page.push_str("\n## Engine settings in other images' names\n\n");
    page.push_str(
        "Taken as engine arguments of a server, before those of the command line, which win. \
         Each has a `VALKEY_*` twin where it begins with `REDIS_`.\n\n| environment | takes |\n|---|---|\n",
    );
    for (name, allowed, _) in engine_names::NAMES {
        page.push_str(&format!("| `{name}` | {allowed} |\n"));
    }
    page
}

fn section(key: &Key) -> String {
    let (words, default) = documented(key.key).unwrap_or_default();
    let names = key.variables().into_iter().map(|variable| {
        let only = match variable.only {
            Some(Mode::Server) => " (server)",
            Some(Mode::Sentinel) => " (Sentinel)",
            None => "",
        };
        let written = match (variable.form, &variable.port) {
            (Form::Millis, _) => " (a bare number is milliseconds)".to_owned(),
            (_, Some(port)) => format!(" with `{port}`"),
            _ => String::new(),
        };
        format!("`{}`{written}{only}", variable.name)
    });
    let names = names.collect::<Vec<_>>().join(", ");
    format!(
        "\n## `{}`\n\n{words}\n\n- default: `{default}`\n- takes: {}\n- environment: {names}\n",
        key.key, key.allowed
    )
}

/// The comment above a key of `conf/redinit.toml`, and its value there.
pub fn documented(key: &str) -> Option<(String, String)> {
    let (mut section, mut comment) = (String::new(), Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
        } else if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
            comment.clear();
        } else if let Some((name, value)) = line.split_once(" = ") {
            if format!("{section}{name}") == key {
                return Some((comment.join("\n"), value.to_owned()));
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    None
}
