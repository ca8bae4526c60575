//! The socket, the HTTP port, the messages between supervisors, and the commands that ask over the socket.
//!
//! [`server`] answers from a thread of its own (P36, P39), out of the picture in [`shared`]; what needs a decision
//! goes through [`desk`] to the control task. [`peers`] is the other direction. [`probe`] and [`client`] are the
//! commands; they use no runtime, so that a probe costs a few milliseconds (G5).

pub mod client;
#[cfg(test)]
mod command_test;
mod complaints;
mod connections;
pub mod desk;
mod dial;
pub mod key;
pub(crate) mod listen;
mod metrics;
mod nonce;
mod peer_routes;
pub mod peers;
#[cfg(test)]
mod peers_test;
mod person_routes;
pub mod picture;
pub mod probe;
mod progress;
#[cfg(test)]
mod reference_test;
mod routes;
pub mod server;
#[cfg(test)]
mod server_test;
pub mod shared;
mod table;
#[cfg(test)]
mod testing;
pub(crate) mod wall;
mod wire;

pub use desk::{Desk, Inbox};
pub use key::PeerKey;
pub use listen::{ApiError, Listen};
pub use peers::Peers;
pub use server::ServerHandle;
pub use shared::{EngineShown, Published, Shared};

/// The HTTP port of every supervisor, where `http_listen` is off here (design section 7).
pub const DEFAULT_PORT: u16 = 8379;

/// A request's body, a message or an answer between supervisors: at most this long.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// A whole `/status` answer: at most this long.
pub const STATUS_LIMIT: usize = 1024 * 1024;
