//! As whom the child logs in at its master, and whom it lets in as a replica.

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use secrecy::ExposeSecret;

use super::life::Life;
use super::wire::ask;
use crate::core::seen::Login;

/// Counts from the next attempt to connect on: a link that stands is left alone.
pub async fn log_in(child: &MultiplexedConnection, life: &Life, login: Login) -> Result<(), RedisError> {
    let (user, password) = match login {
        Login::Own => &life.own_login,
        Login::Shared => &life.shared_login,
    };
    ask(child, &["CONFIG", "SET", "masteruser", user, "masterauth", password.expose_secret()]).await.map(drop)
}

/// A stream that is open stays open: the right is asked for at its beginning only (measured).
pub async fn admit(child: &MultiplexedConnection, life: &Life, login: Login) -> Result<(), RedisError> {
    if !life.default_replicates {
        return Ok(());
    }
    // Never `+sync`: a replica whose PSYNC was refused falls back to it, and one that is let in just then has no offset from
    // then on (`slave_repl_offset:-1`, measured).
    let psync = match login {
        Login::Own => "-psync",
        Login::Shared => "+psync",
    };
    ask(child, &["ACL", "SETUSER", "default", psync]).await.map(drop)
}
