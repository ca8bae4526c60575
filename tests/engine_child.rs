//! The engine's drivers against a real engine, on loopback addresses. Skipped, with the reason, where none is installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::string_slice)]

#[path = "engine/detection.rs"]
mod detection;
#[path = "bed/engines.rs"]
mod engines;
#[path = "engine/fence.rs"]
mod fence;
#[path = "engine/loading.rs"]
mod loading;
#[path = "engine/node.rs"]
mod node;
#[path = "engine/older.rs"]
mod older;
#[path = "engine/orders.rs"]
mod orders;
#[path = "engine/own_config.rs"]
mod own_config;
#[path = "engine/replication.rs"]
mod replication;
#[path = "engine/sentinels.rs"]
mod sentinels;
#[path = "bed/skipped.rs"]
mod skipped;
