//! Table tests of the core's rules: one row a rule line of the design, named by its scenario where there is one.
//!
//! They assert the design, not the code. A row that the code does not keep yet is ignored with the number of its finding.
// A table is data: it may be long, and its rows may hold closures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "a table is as long as its rows"
)]

mod agree;
mod ailment;
mod apart;
mod candidacy;
mod comparing;
mod consent;
mod crash;
mod direct;
mod engines;
mod epochs;
mod evidence;
mod follow;
mod foreign;
mod forgetting;
mod handover;
mod hearsay;
mod held;
mod identity;
mod kinds;
mod label;
mod lead_orders;
mod liars;
mod logins;
mod made;
mod met;
mod mixed;
mod prune;
mod purity;
mod rank;
mod recording;
mod release;
mod repoint;
mod right;
mod sentinel_life;
mod settle;
mod silence;
mod stop;
mod topology;
mod verdict;
mod vote;
mod world;
