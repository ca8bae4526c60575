//! redinit: PID 1 for highly available Redis and Valkey containers.
//!
//! `core` decides; everything else does. See `ARCHITECTURE.md`.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod demo;
pub mod discovery;
pub mod elector;
pub mod engine;
pub mod init;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod telemetry;
