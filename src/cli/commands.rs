//! The commands, as clap takes them.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use super::{Call, CliExit, DemoArgs, Output, Probe, ProbeArgs, RunArgs, elector, forms};

/// PID 1 for highly available Redis and Valkey containers.
///
/// Called as the official images are (`redis-server --appendonly yes`, a `*.conf`, an argument that begins with `-`),
/// it supervises that.
#[derive(Debug, Parser)]
#[command(name = "redinit", version, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Supervise a server or a Sentinel (the default)
    Run {
        /// Arguments for the engine
        #[arg(last = true, value_name = "ENGINE ARGUMENTS")]
        engine: Vec<String>,
    },
    /// Ask the running redinit one question; exit 0, 1, or 2 without an answer
    Probe {
        /// Which one
        #[arg(value_parser = ["live", "ready", "startup", "master", "primary", "replica"])]
        probe: String,
        /// 1 instead of 2: Docker knows no other status
        #[arg(long)]
        docker: bool,
    },
    /// The whole cluster as this node sees it; exit 0 healthy, 25 trouble
    Status {
        /// Again and again
        #[arg(long)]
        watch: bool,
        /// How it looks
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Hand the master role over now
    Handover {
        /// To this server: `host` or `host:port`
        #[arg(long, value_name = "ADDRESS", value_parser = server)]
        to: Option<String>,
    },
    /// Say that a server which `status` lists as another cluster's belongs to this one
    Adopt {
        /// The server: `host` or `host:port`
        #[arg(value_name = "ADDRESS", value_parser = server)]
        at: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Observe only: nothing is promoted, re-pointed, fenced or restarted
    Maintenance {
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// A leader elector with the side-car's HTTP contract
    Elector(elector::Flags),
    /// A complete local cluster: three servers and three Sentinels
    Demo {
        /// End by itself, 1 if a write was lost or no master came
        #[arg(long)]
        once: bool,
        /// Where to keep everything
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// The settings
    Config {
        #[command(subcommand)]
        what: Config,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Config {
    /// Print `ok`, or everything that is wrong with the settings (exit 78)
    Check,
    /// Every setting, its value, where it came from
    Show,
}

/// A command of ours.
pub fn parse(words: &[String]) -> Result<Call, CliExit> {
    let line = ["redinit".to_owned()].into_iter().chain(words.iter().cloned());
    let command = match Line::try_parse_from(line) {
        Ok(line) => line.command,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Call::Print(error.to_string()));
        }
        Err(error) => return Err(CliExit::usage(error.to_string())),
    };
    Ok(match command {
        None => Call::Run(RunArgs::default()),
        Some(Command::Run { engine }) => Call::Run(forms::run(&engine)?),
        Some(Command::Probe { probe, docker }) => match Probe::from_word(&probe) {
            Some(probe) => Call::Probe(ProbeArgs { probe, docker }),
            None => return Err(CliExit::usage(format!("probe: {probe:?} is not known"))),
        },
        Some(Command::Status { watch, output }) => Call::Status { watch, output },
        Some(Command::Handover { to }) => Call::Handover { to },
        Some(Command::Adopt { at, dry_run }) => Call::Adopt { at, dry_run },
        Some(Command::Maintenance { switch }) => Call::Maintenance { on: switch == "on" },
        Some(Command::Elector(flags)) => Call::Elector(flags.into()),
        Some(Command::Demo { once, dir }) => Call::Demo(DemoArgs { once, dir }),
        Some(Command::Config { what: Config::Check }) => Call::ConfigCheck,
        Some(Command::Config { what: Config::Show }) => Call::ConfigShow,
    })
}

fn server(text: &str) -> Result<String, String> {
    let found = crate::config::host_port(text, 6379);
    found.map(|_| text.to_owned()).ok_or_else(|| "a host, or `host:port`".to_owned())
}
