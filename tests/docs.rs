//! The documents say what is so: links, paths, settings, limits, scenarios, and examples that are run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

#[path = "docs/examples.rs"]
mod examples;
#[path = "docs/files.rs"]
mod files;
#[path = "docs/limits.rs"]
mod limits;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/map.rs"]
mod map;
#[path = "docs/names.rs"]
mod names;
#[path = "docs/phrases.rs"]
mod phrases;
#[path = "docs/reasons.rs"]
mod reasons;
#[path = "docs/scenarios.rs"]
mod scenarios;
