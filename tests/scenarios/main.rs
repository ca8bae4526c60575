//! The scenarios against real servers, one file a letter; each test carries its scenario's id. They take turns, since
//! clusters that share two cores would only measure each other. What only a model can show is in the simulation.
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

mod ailments;
mod crash;
mod demo;
mod engines;
mod frozen;
mod ghosts;
mod hands;
mod input;
mod liars;
mod migrate;
mod moved;
mod names;
mod no_sentinels;
mod outage;
mod persistence;
mod planned;
mod probes;
mod races;
mod repair;
mod services;
mod start;
mod topology;
mod two_clusters;
mod versions;
