//! As whom the child logs in at its master, or a Sentinel at servers, and whom a server lets in.

use std::sync::PoisonError;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use secrecy::{ExposeSecret, SecretString};

use super::acl;
use super::attempt::talk_anew;
use super::life::Life;
use super::secret::{Purpose, of_cluster, password_rule};
use super::wire::ask;
use crate::core::action::Change;
use crate::core::cluster::ClusterTag;
use crate::core::event::OrderFailure;
use crate::core::seen::Login;

/// Makes the logins of this cluster, and takes away those of the one that it belonged to before.
pub async fn belong(child: &MultiplexedConnection, life: &Life, tag: &ClusterTag) -> Result<(), RedisError> {
    let (Some(login), Some(sentinels)) = (login_of(life, tag), sentinel_login(life, tag)) else { return Ok(()) };
    make_user(child, &login).await?;
    make_sentinels_user(child, &sentinels).await?;
    if let Some(before) = our_cluster(life).filter(|before| before != tag) {
        ask(child, &["ACL", "DELUSER", &acl::replication_of(&before), &acl::sentinel_of(&before)]).await?;
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

/// Where it is missing: it may have been refused INFO for a moment (`Quicken`).
async fn make_sentinels_user(
    child: &MultiplexedConnection,
    (name, password): &(String, SecretString),
) -> Result<(), RedisError> {
    if ask(child, &["ACL", "GETUSER", name]).await? != Value::Nil {
        return Ok(());
    }
    let rules = acl::sentinel_rules(password.expose_secret());
    let mut words = vec!["ACL", "SETUSER", name];
    words.extend(rules.iter().map(String::as_str));
    ask(child, &words).await.map(drop)
}

/// The user of this cluster's Sentinels and its password, by the same rule.
fn sentinel_login(life: &Life, tag: &ClusterTag) -> Option<(String, SecretString)> {
    let secret = life.cluster_secret.as_ref()?;
    Some((acl::sentinel_of(tag), of_cluster(secret.expose_secret(), tag, Purpose::SentinelOfCluster)))
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

/// Refuses INFO to Sentinels, or allows it again.
pub async fn info_for_sentinels(child: &MultiplexedConnection, life: &Life, right: &str) -> Result<(), RedisError> {
    ask(child, &["ACL", "SETUSER", acl::SENTINEL, right]).await?;
    let Some((name, _)) = our_cluster(life).and_then(|tag| sentinel_login(life, &tag)) else { return Ok(()) };
    // `SETUSER` would make one that somebody has removed.
    if ask(child, &["ACL", "GETUSER", &name]).await? != Value::Nil {
        ask(child, &["ACL", "SETUSER", &name, right]).await?;
    }
    Ok(())
}

/// Lets Sentinels into the channel by this login at the least.
pub async fn admit_sentinels(child: &MultiplexedConnection, life: &Life, login: Login) -> Result<(), RedisError> {
    let ours = our_cluster(life).and_then(|tag| sentinel_login(life, &tag));
    if let Some(login) = &ours {
        make_sentinels_user(child, login).await?;
    }
    let shared = login != Login::Cluster || ours.is_none();
    ask(child, &["ACL", "SETUSER", acl::SENTINEL, acl::channel(shared)]).await.map(drop)
}

/// A Sentinel logs in at servers so. The engine ends its links to all of them for that, and makes them anew within a second
/// (measured).
pub async fn watch_as(
    child: &MultiplexedConnection,
    life: &Life,
    cluster: Option<&ClusterTag>,
    how: Change,
) -> Result<Result<(), OrderFailure>, RedisError> {
    let keep = |now: Option<Option<ClusterTag>>| {
        std::mem::replace(&mut *life.watches_as.lock().unwrap_or_else(PoisonError::into_inner), now)
    };
    // Whether an order that is not answered was carried out nobody knows.
    match (keep(None), how) {
        (Some(before), Change::None | Change::Needed) if before.as_ref() == cluster => {
            keep(Some(before));
            return Ok(Ok(()));
        }
        (Some(before), Change::None) => {
            keep(Some(before));
            return Ok(Err(OrderFailure::OtherRole));
        }
        _ => {}
    }
    let (user, password) = login_of_sentinel(life.cluster_secret.as_ref(), cluster);
    let (name, password) = (life.master_name.as_str(), password.expose_secret());
    ask(child, &["SENTINEL", "SET", name, "auth-user", &user, "auth-pass", password]).await?;
    keep(Some(cluster.cloned()));
    Ok(Ok(()))
}

/// What `ACL GETUSER` shows of the password by which a Sentinel of this cluster comes.
pub fn shown_of_sentinel(password: Option<&SecretString>, cluster: &ClusterTag) -> String {
    let (_, password) = login_of_sentinel(password, Some(cluster));
    password_rule(password.expose_secret()).trim_start_matches('#').to_owned()
}

/// As whom a Sentinel comes. Without a password it would not log in at all, and so would come as `default`: any word will do
/// for a user with `nopass`.
pub fn login_of_sentinel(password: Option<&SecretString>, cluster: Option<&ClusterTag>) -> (String, SecretString) {
    let plain = password.map_or("", |password| password.expose_secret());
    match cluster {
        Some(tag) => (acl::sentinel_of(tag), of_cluster(plain, tag, Purpose::SentinelOfCluster)),
        None => {
            let any = if plain.is_empty() { "nopass" } else { plain };
            (acl::SENTINEL.to_owned(), SecretString::from(any.to_owned()))
        }
    }
}
