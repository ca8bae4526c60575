//! Scenarios that need a network of their own: partitions, lost nodes, blocked ports, translated addresses. Each node
//! has a network namespace; without root, iproute2 and iptables they are skipped, by name.
#![allow(clippy::disallowed_methods, reason = "tests have no reaper to race with")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::type_complexity,
    reason = "a test fails by panicking"
)]

#[path = "../bed/mod.rs"]
#[macro_use]
mod bed;

mod addresses;
mod clients;
mod isolation;
mod network;
mod no_sentinels;
mod sides;
mod silence;
