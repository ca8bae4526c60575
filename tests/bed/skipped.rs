//! Tests that are skipped, by name and with the reason.

use std::io::Write;

/// Says that a test is skipped, also where the output of tests that pass is not shown.
pub fn say_skipped(name: &str, reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED {name}: {reason}").ok();
}
