//! Two clusters with one master name in one network, without a password or with the same one; an address of the one passes
//! to the other. Both keep their masters and every key.

use std::time::Duration;

use super::bed::{self, secs};

mod adopted;
mod asked;
mod gone;
mod pair;
mod passing;
mod volumes;

/// How soon it must be said that somebody of another cluster is there.
const SAID_WITHIN: Duration = secs(2);
/// Sentinels say hello each 2 s: what can merge has merged by then, and has been taken back.
const MERGED_BY: Duration = secs(20);
