//! The command line: what a call means, decided before anything else happens.

mod commands;
mod elector;
mod forms;
mod probe;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::settings::EngineChoice;
use crate::core::rules::Mode;

pub use crate::api::probe::Probe;
pub use probe::probe_fast_path;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Supervise.
    Run(RunArgs),
    /// Ask the socket one question.
    Probe(ProbeArgs),
    /// The whole cluster as this node sees it.
    Status {
        /// Again and again.
        watch: bool,
        /// How it looks.
        output: Output,
    },
    /// Planned handover now.
    Handover {
        /// To this server, `host` or `host:port`.
        to: Option<String>,
    },
    /// A stranger belongs here.
    Adopt {
        /// The server, `host` or `host:port`.
        at: String,
        /// Only say what would be done.
        dry_run: bool,
    },
    /// Observe only, or not any more.
    Maintenance {
        /// `on`.
        on: bool,
    },
    /// Serve as leader elector.
    Elector(ElectorArgs),
    /// A complete local cluster.
    Demo(DemoArgs),
    /// Validate the settings.
    ConfigCheck,
    /// Show the settings.
    ConfigShow,
    /// Print help or the version, and exit 0.
    Print(String),
}

/// `redinit run`, and the official images' calling forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunArgs {
    /// Set by `redis-server`, `redis-sentinel`, `--sentinel`.
    pub mode: Option<Mode>,
    /// Set by the name of a server.
    pub engine: Option<EngineChoice>,
    /// A `*.conf` argument.
    pub include: Option<PathBuf>,
    /// What is left, for the engine.
    pub engine_args: Vec<String>,
}

/// `redinit probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeArgs {
    /// Which question.
    pub probe: Probe,
    /// Docker knows 0 and 1 only.
    pub docker: bool,
}

/// How `status` looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// `redinit elector`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectorArgs {
    /// The election's name.
    pub election: String,
    /// Where to serve.
    pub http: SocketAddr,
    /// Our name in it; the host's where there is none.
    pub id: Option<String>,
    /// Where the lease is.
    pub lock: Lock,
}

/// Where an elector's lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// A Lease of Kubernetes.
    Kubernetes,
    /// A file on one machine.
    File(PathBuf),
}

/// `redinit demo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DemoArgs {
    /// End by itself.
    pub once: bool,
    /// Where everything is kept; a temporary directory where there is none.
    pub dir: Option<PathBuf>,
}

/// A call that means nothing: what to print, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CliExit {
    /// Exit status.
    pub code: u8,
    /// For standard error.
    pub text: String,
}

impl CliExit {
    /// `EX_USAGE`.
    pub const USAGE: u8 = 64;

    fn usage(text: impl Into<String>) -> Self {
        CliExit { code: CliExit::USAGE, text: text.into() }
    }
}

/// What these words ask for; the first is the name that we were called by.
pub fn parse(argv: Vec<OsString>) -> Result<Call, CliExit> {
    let mut words = Vec::with_capacity(argv.len());
    for word in argv {
        let text = word.into_string();
        words.push(text.map_err(|word| CliExit::usage(format!("not UTF-8: {}", word.to_string_lossy())))?);
    }
    let (name, rest) = match words.split_first() {
        Some((name, rest)) => (forms::base_name(name), rest),
        None => ("redinit", &[][..]),
    };
    if let Some(probe) = probe::under_name(name, rest) {
        return Ok(Call::Probe(probe));
    }
    if name == "server" {
        return elector::side_car(rest).map(Call::Elector);
    }
    if let Some((first, behind)) = rest.split_first()
        && first == "--"
    {
        return forms::run(behind).map(Call::Run);
    }
    match forms::engine_words(rest) {
        Some(words) => forms::run(words).map(Call::Run),
        None => commands::parse(rest),
    }
}
