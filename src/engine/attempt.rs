//! A replica's attempt to reach its master, given up and begun anew.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use super::wire::{ask, text, transaction};
use crate::core::id::Address;

/// `CLIENT KILL` does not know a link that is not there yet. One that talks already, say about a sync that has to wait for
/// another's, is left alone.
pub async fn reconnect(child: &MultiplexedConnection, master: Address) -> Result<(), RedisError> {
    begin_anew(child, |ip, state| *ip == master.ip().to_string() && matches!(state, "connecting" | "sync")).await
}

/// After a change of login. One that talks already may wait for the answer to a password that it has not sent, until
/// `repl-timeout` (measured): a minute without a link.
pub async fn talk_anew(child: &MultiplexedConnection) -> Result<(), RedisError> {
    begin_anew(child, |_, state| state == "handshake").await
}

/// To somebody else and back is a new attempt; what a partial resync needs is kept.
async fn begin_anew(
    child: &MultiplexedConnection,
    goes_nowhere: impl Fn(&String, &str) -> bool,
) -> Result<(), RedisError> {
    let role = ask(child, &["ROLE"]).await?;
    let Value::Array(parts) = &role else { return Ok(()) };
    let [kind, ip, Value::Int(port), state, ..] = parts.as_slice() else { return Ok(()) };
    let (Some(kind), Some(ip), Some(state)) = (text(kind), text(ip), text(state)) else { return Ok(()) };
    if kind == "slave" && goes_nowhere(&ip, &state) {
        let there = ["REPLICAOF", &ip, &port.to_string()];
        transaction(child, &[&["REPLICAOF", "127.0.0.1", "1"], &there]).await?;
    }
    Ok(())
}
