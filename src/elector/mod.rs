//! Who breaks ties: the client that asks, and `redinit elector` that answers. Both stand on one lease.

pub mod answer;
mod beside;
mod campaign;
mod candidate;
mod client;
mod file;
mod http;
#[cfg(feature = "kubernetes")]
mod lease;
mod lock;
pub mod serve;

pub use client::Client;
#[cfg(all(test, feature = "kubernetes"))]
pub(crate) use lease::check_rights;
pub use lock::is_name;
