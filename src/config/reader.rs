//! Reads merged values one by one, and collects every error instead of stopping at the first.

use std::collections::BTreeMap;

use ::config::{Map, Value, ValueKind};

use super::error::ConfigError;
use super::layers::DEFAULT_ORIGIN;
use super::{keys, values};

/// One setting as it came out, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The value in use; a secret's is never here.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// Merged values, and what was wrong with them.
pub struct Reader {
    merged: Map<String, Value>,
    /// Everything wrong so far.
    pub errors: Vec<ConfigError>,
    /// What is in use.
    pub shown: BTreeMap<&'static str, Shown>,
}

impl Reader {
    /// Over these values.
    pub fn new(merged: Map<String, Value>, errors: Vec<ConfigError>) -> Self {
        let mut this = Reader { merged, errors, shown: BTreeMap::new() };
        for key in keys::KEYS {
            let value = match this.raw(key.key) {
                Some(raw) if !key.secret => raw.join(", "),
                Some(raw) if raw.iter().any(|text| !text.is_empty()) => "(set)".into(),
                _ => "(not set)".into(),
            };
            this.shown.insert(key.key, Shown { value, origin: this.origin(key.key) });
        }
        this
    }

    /// Where a setting came from.
    pub fn origin(&self, key: &str) -> String {
        let origin = self.merged.get(key).and_then(|value| value.origin());
        origin.unwrap_or(DEFAULT_ORIGIN).to_owned()
    }

    /// Somebody set it, and not to `auto`.
    pub fn is_set(&self, key: &str) -> bool {
        self.origin(key) != DEFAULT_ORIGIN && self.text(key).is_none_or(|text| !text.is_empty() && text != "auto")
    }

    /// The value as written: one text, or the items of a list. `None` for what is neither.
    fn raw(&self, key: &str) -> Option<Vec<String>> {
        match &self.merged.get(key)?.kind {
            ValueKind::Array(items) => items.iter().map(scalar).collect(),
            _ => self.text(key).map(|text| vec![text]),
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.merged.get(key).and_then(scalar)
    }

    /// Says that a setting's value is not allowed.
    pub fn refuse(&mut self, key: &'static str, problem: String) {
        let secret = keys::find(key).is_some_and(|key| key.secret);
        let value = self.merged.get(key).map(shown_raw);
        // `http://user:password@host` is no elector's address, but a secret all the same.
        let value = value.filter(|value| !secret && !value.contains('@'));
        self.errors.push(ConfigError { key: key.into(), value, origin: self.origin(key), problem });
    }

    /// Refuses it with what its key allows.
    pub fn refuse_plainly(&mut self, key: &'static str) {
        let allowed = keys::find(key).map_or("", |key| key.allowed);
        self.refuse(key, format!("allowed: {allowed}"));
    }

    /// One value; `fallback` stands in for a bad one, which is an error then.
    pub fn parse<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Option<T>, fallback: T) -> T {
        match self.text(key).and_then(|text| read(&text)) {
            Some(value) => value,
            None => {
                self.refuse_plainly(key);
                fallback
            }
        }
    }

    /// One value that may be worked out: `None` for `auto` or nothing, and for a bad one.
    pub fn parse_auto<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.parse(key, |text| if text.is_empty() || text == "auto" { Some(None) } else { read(text).map(Some) }, None)
    }

    /// A list, or one text with its items.
    pub fn list<T>(&mut self, key: &'static str, limit: usize, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let items = match self.merged.get(key).map(|value| &value.kind) {
            Some(ValueKind::Array(_)) => self.raw(key),
            _ => self.text(key).map(|text| values::items(&text)),
        };
        let count = items.as_ref().map_or(0, Vec::len);
        let parsed = items.filter(|_| count <= limit).and_then(|items| items.iter().map(|item| read(item)).collect());
        parsed.unwrap_or_else(|| {
            self.refuse_plainly(key);
            Vec::new()
        })
    }

    /// A secret: only ever text, so that `0012` and `12` stay two passwords.
    pub fn secret(&mut self, key: &'static str) -> Option<String> {
        let text = match self.merged.get(key).map(|value| &value.kind) {
            Some(ValueKind::String(text)) => values::password(text),
            _ => None,
        };
        if text.is_none() {
            self.refuse_plainly(key);
        }
        text.filter(|text| !text.is_empty())
    }

    /// What is in use, where that is not what was written.
    pub fn show(&mut self, key: &'static str, value: impl ToString) {
        if let Some(shown) = self.shown.get_mut(key) {
            shown.value = value.to_string();
        }
    }

    /// What is in use and where it was found, where nobody set it.
    pub fn derive(&mut self, key: &'static str, value: impl ToString, origin: &str) {
        self.shown.insert(key, Shown { value: value.to_string(), origin: origin.into() });
    }
}

fn scalar(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::I64(number) => Some(number.to_string()),
        ValueKind::Boolean(truth) => Some(truth.to_string()),
        ValueKind::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

fn shown_raw(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => items.iter().map(shown_raw).collect::<Vec<_>>().join(", "),
        ValueKind::Table(_) => "a table".into(),
        _ => scalar(value).unwrap_or_default(),
    }
}
