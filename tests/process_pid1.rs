//! The whole binary with the fake engine, as PID 1 of its own namespace where this machine allows it, else skipped by
//! name. Not here: P35 (a fake clock: the core's tests), P39 and P44 (they need hooks), P42 with a full disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "a test")]

#[path = "process/exits.rs"]
mod exits;
#[path = "process/leftovers.rs"]
mod leftovers;
#[path = "process/namespace.rs"]
mod namespace;
#[path = "process/probes.rs"]
mod probes;
#[path = "process/rig.rs"]
mod rig;
#[path = "process/signals.rs"]
mod signals;
