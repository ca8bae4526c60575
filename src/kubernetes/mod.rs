//! Kubernetes: the API server, as the pod's own service account may use it. Nothing here runs where nothing asks for it.

pub mod access;
mod events;
#[cfg(test)]
pub mod fake;
mod pods;
#[cfg(test)]
mod tests;
mod worker;

pub use worker::Pods;
