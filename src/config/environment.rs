//! The environment as a layer of settings: names and twins, `*_FILE`, service links, names that nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::env::Env;
use super::error::ConfigError;
use super::keys::{Form, KEYS, Key, Variable};
use super::{links, values};
use crate::core::rules::Mode;

/// What one setting got from the environment. No `Debug`: it may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// As it would stand in a file.
    pub value: String,
    /// Which variable, and which file where there is one.
    pub origin: String,
}

/// The environment, read once.
pub struct Environment {
    set: BTreeMap<String, String>,
    names: BTreeSet<String>,
    unreadable: BTreeSet<String>,
    /// Service links that were ignored, those that every pod has left out.
    pub links_ignored: usize,
}

impl Environment {
    /// Takes in every variable; empty ones are unset, as `${NAME:-}` in a compose file means it.
    pub fn read(env: &dyn Env) -> Self {
        let mut this = Environment {
            set: BTreeMap::new(),
            names: KEYS.iter().flat_map(Key::variables).map(|variable| variable.name).collect(),
            unreadable: BTreeSet::new(),
            links_ignored: 0,
        };
        let ports: BTreeSet<String> = KEYS.iter().flat_map(Key::variables).filter_map(|v| v.port).collect();
        for (name, value) in env.variables() {
            let (Ok(name), value) = (name.into_string(), value.into_string()) else { continue };
            let Ok(value) = value else {
                this.unreadable.insert(name);
                continue;
            };
            if value.is_empty() {
                continue;
            }
            let link = links::is_link(&name, &value) && !links::is_kubernetes_own(&name);
            if link && !this.usable(&ports, &name, &value) {
                this.links_ignored += 1;
            } else {
                this.set.insert(name, value);
            }
        }
        this
    }

    /// A service link that is also a name of ours, with a value that can be what that name means.
    fn usable(&self, ports: &BTreeSet<String>, name: &str, value: &str) -> bool {
        if ports.contains(name) {
            return values::port(value).is_some();
        }
        self.names.contains(name) && !value.contains("://") && values::host_port(value, 1).is_some()
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// What the environment says about a setting; the first of its names that is set wins.
    pub fn find(&self, key: &Key, mode: Mode, env: &dyn Env) -> Result<Option<Found>, ConfigError> {
        for variable in key.variables() {
            if variable.only.is_some_and(|only| only != mode) {
                continue;
            }
            if let Some(found) = self.one(key, &variable, env)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What one variable, or its `_FILE`, says.
    pub fn one(&self, key: &Key, variable: &Variable, env: &dyn Env) -> Result<Option<Found>, ConfigError> {
        let file = format!("{}_FILE", variable.name);
        for name in [&file, &variable.name] {
            if self.unreadable.contains(name) {
                let problem = "is not UTF-8".to_owned();
                return Err(ConfigError { key: key.key.into(), value: None, origin: name.clone(), problem });
            }
        }
        // `REDIS_TLS_CERT_FILE` is a name of its own, not the file of `REDIS_TLS_CERT`.
        if let Some(path) = self.get(&file).filter(|_| !self.names.contains(&file)) {
            let value = read_value(key, &file, path, env)?;
            let found = Found { value: spell(variable.form, &value), origin: format!("{file}: {path}") };
            return Ok((!value.is_empty()).then_some(found));
        }
        let Some(value) = self.get(&variable.name) else { return Ok(None) };
        let mut found = Found { value: spell(variable.form, value), origin: variable.name.clone() };
        if let Some(port_name) = &variable.port
            && let Some(port) = self.get(port_name)
        {
            found.value = with_port(value, port);
            found.origin = format!("{}, {port_name}", variable.name);
        }
        Ok(Some(found))
    }

    /// `REDINIT_*` names that are no setting: slips that would otherwise go unseen.
    pub fn unknown(&self) -> Vec<ConfigError> {
        let ours = self.set.keys().chain(&self.unreadable).filter(|name| name.starts_with("REDINIT_"));
        let known = |name: &str| {
            self.names.contains(name) || name.strip_suffix("_FILE").is_some_and(|stem| self.names.contains(stem))
        };
        ours.filter(|name| !known(name))
            .map(|name| ConfigError {
                key: name.clone(),
                // Might be a secret under a wrong name.
                value: None,
                origin: "the environment".into(),
                problem: "no such setting; `redinit config show` lists them all".into(),
            })
            .collect()
    }
}

fn read_value(key: &Key, name: &str, path: &str, env: &dyn Env) -> Result<String, ConfigError> {
    let text = env.read(Path::new(path)).map_err(|error| ConfigError {
        key: key.key.into(),
        value: None,
        origin: name.into(),
        problem: format!("cannot read {path}: {error}; needed: a readable file of at most 1 MiB with the value in it"),
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn spell(form: Form, value: &str) -> String {
    match form {
        Form::Millis if value.bytes().all(|b| b.is_ascii_digit()) => format!("{value}ms"),
        Form::Flag(yes, no) => match values::truth(value) {
            Some(truth) => if truth { yes } else { no }.to_owned(),
            None => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

/// A host whose port stands in another variable; one that brings its own keeps it.
fn with_port(host: &str, port: &str) -> String {
    let written = |item: &String| match values::host_port(item, 1) {
        Some(at) if item.starts_with('[') && item.ends_with(']') || at.host.contains(':') && !item.starts_with('[') => {
            format!("[{}]:{port}", at.host)
        }
        Some(_) if !item.contains(':') => format!("{item}:{port}"),
        _ => item.clone(),
    };
    values::items(host).iter().map(written).collect::<Vec<_>>().join(",")
}

impl Environment {
    /// A replication password that differs from the clients': one password serves both here, and taking the wrong one
    /// would only show as replicas that cannot log in.
    pub fn other_password(&self, key: &Key, found: &Found, mode: Mode, env: &dyn Env) -> Option<ConfigError> {
        if key.key != "password" || found.origin.starts_with(&key.own_name()) {
            return None;
        }
        let master = |variable: &Variable| ["MASTER_", "PRIMARY_"].iter().any(|word| variable.name.contains(word));
        let variables = key.variables().into_iter().filter(|v| master(v) && v.only.is_none_or(|only| only == mode));
        let others = variables.filter_map(|variable| self.one(key, &variable, env).ok().flatten());
        others.into_iter().find(|other| other.value != found.value).map(|other| ConfigError {
            key: key.key.into(),
            value: None,
            origin: format!("{} and {}", found.origin, other.origin),
            problem: "differ; allowed: one password for clients and replication, the same on every server".into(),
        })
    }
}
