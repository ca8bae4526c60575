//! redinit's entry point: signals first, then what was asked for.

use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use redinit::cli::{self, Call, Lock, Output, ProbeArgs};
use redinit::config;
use redinit::config::settings::LogFormat;
use redinit::config::{Env, Machine};
use redinit::core::id::Address;
use redinit::{api, control, demo, elector, engine, init, telemetry};

/// Something of our own failed.
const EX_SOFTWARE: u8 = 70;
/// Settings or environment are not as they must be.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    // A probe runs every few seconds for years: nothing is set up that it does not need.
    if let Some(probe) = cli::probe_fast_path(&argv) {
        return code(run_probe(probe));
    }
    match cli::parse(argv) {
        Ok(Call::Run(args)) => supervise(args),
        Ok(call) => code(other_than_run(call)),
        Err(usage) => {
            print(stderr(), &usage.text);
            ExitCode::from(usage.code)
        }
    }
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(EX_SOFTWARE))
}

fn run_probe(args: ProbeArgs) -> i32 {
    api::probe::run(&config::socket(&Machine), args.probe, args.docker)
}

fn other_than_run(call: Call) -> i32 {
    let socket = || config::socket(&Machine);
    match call {
        Call::Run(_) => i32::from(EX_SOFTWARE),
        Call::Probe(args) => run_probe(args),
        Call::Status { watch, output } => {
            let output = match output {
                Output::Table => api::client::Output::Table,
                Output::Json => api::client::Output::Json,
            };
            api::client::status(&socket(), watch, output)
        }
        Call::Handover { to: None } => api::client::handover(&socket(), None),
        Call::Handover { to: Some(to) } => match address(&to) {
            Some(at) => api::client::handover(&socket(), Some(at)),
            None => {
                print(
                    stderr(),
                    &format!("redinit handover: --to {to}: no such address; expected HOST or HOST:PORT of a server"),
                );
                i32::from(cli::CliExit::USAGE)
            }
        },
        Call::Adopt { at, dry_run } => match address(&at) {
            Some(at) => api::client::adopt(&socket(), at, dry_run),
            None => {
                print(
                    stderr(),
                    &format!("redinit adopt: {at}: no such address; expected HOST or HOST:PORT of a server"),
                );
                i32::from(cli::CliExit::USAGE)
            }
        },
        Call::Maintenance { on } => api::client::maintenance(&socket(), on),
        Call::Elector(args) => i32::from(run_elector(args)),
        Call::Demo(args) => demo::run(&demo::Options { once: args.once, dir: args.dir }),
        Call::ConfigCheck => say(check_config()),
        Call::ConfigShow => say(config::load(&Machine, cli::RunArgs::default())
            .map(|loaded| config::show(&loaded))
            .map_err(|errors| errors.to_string())),
        Call::Print(text) => say(Ok(text)),
    }
}

/// The address of a server as a person writes it.
fn address(text: &str) -> Option<Address> {
    let at = config::host_port(text, 6379)?;
    let found = Machine.resolve(&at.host).ok()?.into_iter().next()?;
    Some(Address::new(found, at.port))
}

/// Settings, and the engine configuration that they name: what `redinit run` would refuse at once.
fn check_config() -> Result<String, String> {
    let said = config::check(&Machine).map_err(|errors| errors.to_string())?;
    let loaded = config::load(&Machine, cli::RunArgs::default()).map_err(|errors| errors.to_string())?;
    engine::OwnConfig::read(&loaded.settings).map_err(|error| error.to_string())?;
    Ok(said)
}

/// Nobody may be reading (`| head`, a full disk): that changes no exit status.
fn print(mut to: impl Write, text: &str) {
    let _nobody_reads = writeln!(to, "{}", text.trim_end());
}

fn say(said: Result<String, String>) -> i32 {
    match said {
        Ok(text) => {
            print(stdout(), &text);
            0
        }
        Err(text) => {
            print(stderr(), &text);
            i32::from(EX_CONFIG)
        }
    }
}

fn run_elector(args: cli::ElectorArgs) -> u8 {
    let lock = match args.lock {
        Lock::Kubernetes => "kubernetes".to_owned(),
        Lock::File(path) => format!("file:{}", path.display()),
    };
    let format = if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let _flush = telemetry::init("info", format);
    let id = args.id.unwrap_or_else(|| {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    });
    elector::serve::run(&elector::serve::Args::new(args.election, args.http, id, lock))
}

fn supervise(args: cli::RunArgs) -> ExitCode {
    // First thing: PID 1 without a handler silently drops TERM (P1).
    let signals = match init::signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            print(stderr(), &format!("redinit: cannot install signal handlers: {error}"));
            return ExitCode::from(EX_SOFTWARE);
        }
    };
    let loaded = match config::load(&Machine, args) {
        Ok(loaded) => loaded,
        Err(errors) => {
            print(stderr(), &format!("redinit: the settings cannot be used:\n{errors}"));
            return ExitCode::from(EX_CONFIG);
        }
    };
    let _flush = match telemetry::init(&loaded.settings.log, loaded.settings.log_format) {
        Ok(flush) => flush,
        Err(error) => {
            print(stderr(), &format!("redinit: {error}"));
            return ExitCode::from(EX_CONFIG);
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match control::run::run(loaded.settings, signals) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::from(error.status())
        }
    }
}
