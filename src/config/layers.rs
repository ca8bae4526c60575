//! The layers of settings, through the `config` crate: compiled-in defaults, files, environment, command line.
//!
//! Its own environment source cannot know aliases, modes or `*_FILE`, and `_` cannot both part and belong to our keys
//! (facts of the crate: #391, #704), so the environment comes in as a layer of our own; merging and origins are the crate's.

use std::fmt;
use std::path::Path;

use ::config::{Config, FileFormat, Format, Map, Source, Value, ValueKind};

use super::env::Env;
use super::environment::Found;
use super::error::ConfigError;
use super::keys;

/// Every setting, its default and a comment.
pub const DEFAULTS: &str = include_str!("../../conf/redinit.toml");
/// What the origin of a setting is called that nobody set.
pub const DEFAULT_ORIGIN: &str = "default";
/// Where files of the user are.
pub const DIRECTORY: &str = "/etc/redinit";
/// More than that is not a settings directory.
const FILES_LIMIT: usize = 100;

/// Settings of one origin: keys with dots.
#[derive(Clone, Default)]
pub struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    /// Keys only: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    /// The compiled-in defaults.
    pub fn defaults() -> Result<Self, ConfigError> {
        // They have no origin; "default" is what the row says.
        let (layer, errors) = Layer::parse(DEFAULT_ORIGIN, DEFAULTS)?;
        errors.into_iter().next().map_or(Ok(layer), Err)
    }

    /// One file's text; what nobody knows in it is left out and told.
    pub fn parse(origin: &str, text: &str) -> Result<(Self, Vec<ConfigError>), ConfigError> {
        let broken = |problem: String| ConfigError { key: "file".into(), value: None, origin: origin.into(), problem };
        // First by ourselves: the crate's message quotes the line, which may hold a password.
        if let Err(error) = toml::from_str::<toml::Table>(text) {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            return Err(broken(format!("line {line} is not TOML: {}", error.message())));
        }
        let origin_text = origin.to_owned();
        let tree = FileFormat::Toml
            .parse(Some(&origin_text), text)
            .map_err(|_| broken("holds a number that is too large".into()))?;
        let mut layer = Layer::default();
        let mut unknown = Vec::new();
        layer.flatten("", tree, &mut unknown);
        let errors = unknown
            .into_iter()
            .map(|key| ConfigError {
                key,
                value: None,
                origin: origin.into(),
                problem: "no such setting; `redinit config show` lists them all".into(),
            })
            .collect();
        Ok((layer, errors))
    }

    fn flatten(&mut self, prefix: &str, tree: Map<String, Value>, unknown: &mut Vec<String>) {
        for (name, value) in tree {
            let key = format!("{prefix}{name}");
            match value.kind {
                ValueKind::Table(inner) if prefix.is_empty() && keys::is_section(&key) => {
                    self.flatten(&format!("{key}."), inner, unknown);
                }
                // A dot inside a quoted name is no path.
                _ if name.contains('.') || keys::find(&key).is_none() => unknown.push(key),
                _ => {
                    self.0.insert(key, value);
                }
            }
        }
    }

    /// It says something about this setting.
    #[cfg(test)]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets one value.
    pub fn set(&mut self, key: &str, found: Found) {
        self.0.insert(key.to_owned(), Value::new(Some(&found.origin), found.value));
    }
}

/// The user's files, in the order of their names.
pub fn files(env: &dyn Env, errors: &mut Vec<ConfigError>) -> Vec<Layer> {
    let unreadable = |origin: &Path, problem: String| ConfigError {
        key: "file".into(),
        value: None,
        origin: origin.display().to_string(),
        problem,
    };
    let directory = Path::new(DIRECTORY);
    let mut paths = env.list(directory).unwrap_or_else(|error| {
        errors.push(unreadable(directory, format!("cannot list the directory: {error}")));
        Vec::new()
    });
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    if paths.len() > FILES_LIMIT {
        errors.push(unreadable(directory, format!("{} files; at most {FILES_LIMIT} are read", paths.len())));
        paths.truncate(FILES_LIMIT);
    }
    let mut layers = Vec::new();
    for path in paths {
        let read = env.read(&path).map_err(|error| unreadable(&path, format!("cannot read the file: {error}")));
        match read.and_then(|text| Layer::parse(&path.display().to_string(), &text)) {
            Ok((layer, unknown)) => {
                layers.push(layer);
                errors.extend(unknown);
            }
            Err(error) => errors.push(error),
        }
    }
    layers
}

/// The layers merged, the last one on top.
pub fn merge(layers: &[Layer]) -> Result<Map<String, Value>, ConfigError> {
    let builder = layers.iter().cloned().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    let merged = builder.build().and_then(|config| config.collect()).map_err(|error| ConfigError {
        key: "settings".into(),
        value: None,
        origin: "all layers".into(),
        problem: format!("cannot be merged: {error}"),
    })?;
    let mut flat = Layer::default();
    flat.flatten("", merged, &mut Vec::new());
    Ok(flat.0)
}
