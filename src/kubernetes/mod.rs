//! Kubernetes: the API server, as the pod's own service account may use it. Nothing here runs where nothing asks for it.

pub mod access;
#[cfg(test)]
pub mod fake;
