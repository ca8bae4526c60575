//! A machine made up for tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::env::Env;
use super::load::{Loaded, load};
use super::{ConfigErrors, Settings};
use crate::cli::RunArgs;

/// Everything that settings are made from, in memory.
#[derive(Clone, Debug)]
pub struct FakeEnv {
    pub variables: Vec<(OsString, OsString)>,
    pub files: BTreeMap<PathBuf, String>,
    pub addresses: Vec<IpAddr>,
    pub names: BTreeMap<String, Vec<IpAddr>>,
    pub hostname: Option<String>,
    pub terminal: bool,
}

/// A machine called `node-1` at 10.0.0.1, with these variables.
pub fn machine(variables: &[(&str, &str)]) -> FakeEnv {
    FakeEnv {
        variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        files: BTreeMap::new(),
        addresses: vec![IpAddr::from([10, 0, 0, 1])],
        names: BTreeMap::new(),
        hostname: Some("node-1".into()),
        terminal: false,
    }
}

impl FakeEnv {
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    pub fn name(mut self, name: &str, addresses: &[[u8; 4]]) -> Self {
        self.names.insert(name.into(), addresses.iter().map(|ip| IpAddr::from(*ip)).collect());
        self
    }

    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(self, RunArgs::default())
    }

    pub fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|errors| unreachable!("{errors}")).settings
    }

    /// Every error, one a line; empty where all is well.
    pub fn errors(&self) -> Vec<String> {
        self.load().err().map(|errors| errors.0.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }
}

impl Env for FakeEnv {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables.clone()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.keys().rev().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.keys().any(|known| known.starts_with(path))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.names.get(host).cloned().ok_or_else(|| io::Error::other("no such name"))
    }

    fn hostname(&self) -> Option<String> {
        self.hostname.clone()
    }

    fn on_terminal(&self) -> bool {
        self.terminal
    }
}
