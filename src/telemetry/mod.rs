//! Log lines: one a decision, structured, to stderr; a reader that does not read never holds the control loop up.
//!
//! `json` gives one object a line (`ts`, `level`, `target`, `msg`, `node`, then the event's fields), `text` the same
//! for people.

mod layer;
mod line;
mod writer;

use std::sync::OnceLock;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::settings::LogFormat;
use crate::core::action::{Decision, Level};
use crate::core::id::Address;
pub use writer::Flush;

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error(
        "log filter `{filter}`: {reason}: give a level (error, warn, info, debug, trace) or `target=level,..` (REDINIT_LOG)"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was started before.
    #[error("logging was started twice")]
    Twice,
    /// No thread for it.
    #[error("cannot start the log's thread: {0}")]
    Thread(std::io::Error),
}

/// Our own address: every line carries it once it is known.
static NODE: OnceLock<String> = OnceLock::new();

/// Starts logging to stderr. Lines that wait are written when the [`Flush`] is dropped: keep it until the end.
pub fn init(filter: &str, format: LogFormat) -> Result<Flush, TelemetryError> {
    let targets = targets(filter)?;
    let lost: fn(u64) -> String = match format {
        LogFormat::Json => |count| line::json(&line::lost(count)),
        LogFormat::Text => |count| line::text(&line::lost(count)),
    };
    let (sender, flush) = writer::start(std::io::stderr(), lost).map_err(TelemetryError::Thread)?;
    tracing_subscriber::registry()
        .with(targets)
        .with(layer::Lines::new(format, sender))
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    Ok(flush)
}

/// Is this a usable filter? For `redinit config check`.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    targets(filter).map(|_| ())
}

fn targets(filter: &str) -> Result<Targets, TelemetryError> {
    let targets: Targets = filter
        .parse()
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: format!("{error}") })?;
    // It logs what it cannot read, whole, each time; our own line says once that there was something.
    let asked_for = filter.contains("kube_client");
    Ok(if asked_for { targets } else { targets.with_target("kube_client", LevelFilter::OFF) })
}

/// Names this node in every line from here on. The first name stays.
pub fn name_node(node: Address) {
    let _stays = NODE.set(node.to_string());
}

/// One decision, one line.
pub fn decision(decision: &Decision) {
    let Decision { level, event, reason, address } = decision;
    let address = address.map(tracing::field::display);
    match level {
        Level::Info => tracing::info!(target: "redinit", event, reason, address, "{event}"),
        Level::Warn => tracing::warn!(target: "redinit", event, reason, address, "{event}"),
        Level::Error => tracing::error!(target: "redinit", event, reason, address, "{event}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_one_clear_line() {
        for filter in ["info", "redinit=debug,warn", "info,redinit::api=trace"] {
            check_filter(filter).unwrap();
        }
        let error = check_filter("redinit=loud").unwrap_err().to_string();
        assert!(error.contains("redinit=loud") && error.contains("REDINIT_LOG"), "{error}");
    }
}
