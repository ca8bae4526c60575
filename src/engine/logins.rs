//! As whom the child logs in at its master, and whom it lets in as a replica.

use std::sync::PoisonError;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use secrecy::{ExposeSecret, SecretString};

use super::acl;
use super::attempt::talk_anew;
use super::life::Life;
use super::secret::{Purpose, of_cluster};
use super::wire::ask;
use crate::core::cluster::ClusterTag;
use crate::core::event::OrderFailure;
use crate::core::seen::Login;

/// Makes the logins of this cluster, and takes away those of the one that it belonged to before.
pub async fn belong(child: &MultiplexedConnection, life: &Life, tag: &ClusterTag) -> Result<(), RedisError> {
    let Some(login) = login_of(life, tag) else { return Ok(()) };
    make_user(child, &login).await?;
    if let Some(before) = our_cluster(life).filter(|before| before != tag) {
        ask(child, &["ACL", "DELUSER", &acl::replication_of(&before)]).await?;
    }
    *life.cluster.lock().unwrap_or_else(PoisonError::into_inner) = Some(tag.clone());
    Ok(())
}

async fn make_user(child: &MultiplexedConnection, (name, password): &(String, SecretString)) -> Result<(), RedisError> {
    let rules = acl::replication_rules(password.expose_secret());
    let mut words = vec!["ACL", "SETUSER", name];
    words.extend(rules.iter().map(String::as_str));
    ask(child, &words).await.map(drop)
}

/// Replication's user and password of this cluster, where there is something to derive them from.
fn login_of(life: &Life, tag: &ClusterTag) -> Option<(String, SecretString)> {
    let secret = life.cluster_secret.as_ref()?;
    Some((acl::replication_of(tag), of_cluster(secret.expose_secret(), tag, Purpose::ReplicationOfCluster)))
}

fn our_cluster(life: &Life) -> Option<ClusterTag> {
    life.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn of_our_cluster(life: &Life) -> Option<(String, SecretString)> {
    login_of(life, &our_cluster(life)?)
}

/// Counts for the next attempt to connect, which begins now where one talks by the login of before: a link that stands is left
/// alone.
pub async fn log_in(
    child: &MultiplexedConnection,
    life: &Life,
    login: Login,
) -> Result<Result<(), OrderFailure>, RedisError> {
    let known = match login {
        // Without a secret to derive it from there is none: as before then.
        Login::Cluster if life.cluster_secret.is_none() => Some(life.own_login.clone()),
        Login::Cluster => of_our_cluster(life),
        Login::Own => Some(life.own_login.clone()),
        Login::Shared => Some(life.shared_login.clone()),
    };
    let Some((user, password)) = known else {
        return Ok(Err(OrderFailure::Refused("it does not know the logins of a cluster".into())));
    };
    ask(child, &["CONFIG", "SET", "masteruser", &user, "masterauth", password.expose_secret()]).await?;
    talk_anew(child).await?;
    Ok(Ok(()))
}

/// A stream that is open stays open: the right is asked for at its beginning only (measured).
pub async fn admit(child: &MultiplexedConnection, life: &Life, login: Login) -> Result<(), RedisError> {
    let ours = of_our_cluster(life);
    if let Some(login) = &ours {
        // Somebody may have loaded an ACL file that does not have it (`ACL LOAD`).
        make_user(child, login).await?;
    }
    if life.cluster_secret.is_some() {
        let own = if login == Login::Cluster && ours.is_some() { "off" } else { "on" };
        ask(child, &["ACL", "SETUSER", acl::REPLICATION, own]).await?;
    }
    if !life.default_replicates {
        return Ok(());
    }
    // Never `+sync`: a replica whose PSYNC was refused falls back to it, and one that is let in just then has no offset from
    // then on (`slave_repl_offset:-1`, measured).
    let psync = match login {
        Login::Cluster | Login::Own => "-psync",
        Login::Shared => "+psync",
    };
    ask(child, &["ACL", "SETUSER", "default", psync]).await.map(drop)
}
