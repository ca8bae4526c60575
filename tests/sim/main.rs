//! The core in a deterministic world: virtual time, modelled servers, Sentinels, elector, network, faults from a seed.
// A failing seed is a panic with its history: that is what a test is for.
#![allow(clippy::panic)]

mod child;
mod client;
mod clusters;
mod config;
mod driver;
mod elector;
mod faults;
mod invariants;
mod lies;
mod looks;
mod model_tests;
mod net;
mod orders;
mod pods;
mod process;
mod replication;
mod rng;
mod rpc;
mod scenarios;
mod seeds;
mod sentinel;
mod server;
mod setup;
mod supervisor;
mod world;
