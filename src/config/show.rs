//! `redinit config check` and `redinit config show`.

use super::env::Env;
use super::error::ConfigErrors;
use super::keys::KEYS;
use super::load::{Loaded, load};
use super::reader::Shown;
use crate::cli::RunArgs;

/// `ok` and the warnings, or everything that is wrong.
pub fn check(env: &dyn Env) -> Result<String, ConfigErrors> {
    let loaded = load(env, RunArgs::default())?;
    let warnings = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    Ok(warnings.chain(["ok\n".to_owned()]).collect())
}

/// Every setting, its value, where it came from; secrets as `(set)`.
pub fn show(loaded: &Loaded) -> String {
    let rows = KEYS.iter().map(|key| key.key).chain(["engine_args"]).filter_map(|key| {
        let shown = loaded.sources.get(key)?;
        (key != "engine_args" || !shown.value.is_empty()).then_some((key, shown))
    });
    let rows: Vec<(&str, &Shown)> = rows.collect();
    let key_width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|(_, shown)| shown.value.chars().count()).max().unwrap_or(0).min(40);
    let mut text = String::new();
    for (key, shown) in rows {
        let value = if shown.value.is_empty() { "-" } else { &shown.value };
        text.push_str(&format!("{key:key_width$}  {value:value_width$}  {}\n", shown.origin));
    }
    text
}
