//! Looks at a server that is not our child.

use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::core::cluster::ClusterTag;
use crate::core::engines::EngineVersion;
use crate::core::id::{Address, RunId};
use crate::core::moment::Moment;
use crate::core::seen::{Failure, Login, ServerSeen};
use crate::engine::acl::{REPLICATION, replication_of};
use crate::engine::info::Info;

use super::Shared;
use super::link::{Link, error_code, text};
use super::speech::in_addresses;

/// How long "it holds keys" is believed; "it holds none" is asked for anew each time.
const HAS_DATA_FOR: std::time::Duration = std::time::Duration::from_secs(5);

/// A kept connection, and what its first answer told about the process at the other end.
pub struct Kept {
    link: Link,
    run_id: RunId,
    supervised: Option<bool>,
    /// By the users of which cluster that was judged.
    of: Option<ClusterTag>,
    login: Option<Login>,
    engine: Option<EngineVersion>,
    held_data: Option<Instant>,
}

/// Looks: when it was asked, and what was seen.
pub async fn look(shared: &Shared, at: Address, until: Instant) -> (Moment, Result<ServerSeen, Failure>) {
    let slot = shared.servers.slot(at);
    let mut slot = slot.lock().await;
    let kept = slot.take().filter(|_| !shared.is_crossroads(at));
    let mut asked = shared.clock.now();
    if let Some(mut kept) = kept {
        match again(shared, &mut kept, until).await {
            Ok(seen) => {
                *slot = Some(kept);
                return (asked, Ok(seen));
            }
            Err(Failure::Unauthorised) => return (asked, Err(Failure::Unauthorised)),
            // It proves nothing about the port: a new connection tells.
            Err(_) => {}
        }
    }
    let link = match Link::open(at, shared.settings.password.clone()).await {
        Ok(link) => link,
        Err(failure) => return (asked, Err(failure)),
    };
    asked = shared.clock.now();
    match first(shared, link, until).await {
        Ok((kept, seen)) => {
            *slot = Some(kept);
            (asked, Ok(seen))
        }
        Err(failure) => (asked, Err(failure)),
    }
}

async fn first(shared: &Shared, mut link: Link, until: Instant) -> Result<(Kept, ServerSeen), Failure> {
    let of = shared.our_cluster();
    let mut asked = vec![info("server"), info("keyspace")];
    asked.extend(users(of.as_ref()));
    asked.extend([info("persistence"), info("replication")]);
    let answers = link.ask(asked).await?;
    let [server, keyspace, ours, replicas, ours_only, persistence, replication] = answers.as_slice() else {
        return Err(Failure::Nonsense);
    };
    let server = Info::parse(said(server)?);
    let run_id = server.run_id().ok_or(Failure::Nonsense)?;
    let (supervised, login) = (has_user(ours), login(replicas, ours_only));
    let mut kept = Kept { link, run_id, supervised, of, login, engine: server.engine(), held_data: None };
    let has_data = kept.has_data(keyspace);
    let seen = kept.seen(shared, has_data, persistence, replication, until).await?;
    Ok((kept, seen))
}

async fn again(shared: &Shared, kept: &mut Kept, until: Instant) -> Result<ServerSeen, Failure> {
    let of = shared.our_cluster();
    let held = kept.held_data.is_some_and(|since| since.elapsed() < HAS_DATA_FOR) && of == kept.of;
    let mut asked = vec![];
    if !held {
        asked.push(info("keyspace"));
        asked.extend(users(of.as_ref()));
    }
    asked.extend([info("persistence"), info("replication")]);
    let answers = kept.link.ask(asked).await?;
    match answers.as_slice() {
        [keyspace, ours, replicas, ours_only, persistence, replication] => {
            let has_data = kept.has_data(keyspace);
            kept.of = of;
            kept.supervised = has_user(ours).or(kept.supervised);
            kept.login = login(replicas, ours_only).or(kept.login);
            kept.seen(shared, has_data, persistence, replication, until).await
        }
        [persistence, replication] => kept.seen(shared, Some(true), persistence, replication, until).await,
        _ => Err(Failure::Nonsense),
    }
}

impl Kept {
    fn has_data(&mut self, keyspace: &Value) -> Option<bool> {
        let has_data = text(keyspace).map(|text| Info::parse(text).has_keys());
        self.held_data = has_data.filter(|has| *has).map(|_| Instant::now());
        has_data
    }

    async fn seen(
        &self,
        shared: &Shared,
        has_data: Option<bool>,
        persistence: &Value,
        replication: &Value,
        until: Instant,
    ) -> Result<ServerSeen, Failure> {
        let replication = in_addresses(shared, said(replication)?, until).await;
        let (role, history) = Info::parse(&replication).replication().ok_or(Failure::Nonsense)?;
        let loading = Info::parse(said(persistence)?).flag("loading");
        let seen = ServerSeen {
            run_id: self.run_id.clone(),
            role,
            history,
            loading,
            supervised: self.supervised,
            login: self.login,
            engine: self.engine,
            // Half a data set is in memory while it loads: no keys yet proves nothing.
            has_data: has_data.filter(|has| *has || !loading),
        };
        shared.announced_by_server(&seen);
        Ok(seen)
    }
}

fn info(section: &str) -> Cmd {
    redis::cmd("INFO").arg(section).take()
}

/// The name of a supervisor's own user on its child (design section 4, "who is who").
const OURS: &str = "redinit";

fn user(name: &str) -> Cmd {
    redis::cmd("ACL").arg("GETUSER").arg(name).take()
}

/// A supervisor's own, replication's, and replication's of our cluster: while we know none, a name that nobody has.
fn users(cluster: Option<&ClusterTag>) -> [Cmd; 3] {
    let ours_only = cluster.map_or_else(|| format!("{REPLICATION}-"), replication_of);
    [user(OURS), user(REPLICATION), user(&ours_only)]
}

/// One without users at all, from before 6.0, takes everybody.
fn login(answer: &Value, ours_only: &Value) -> Option<Login> {
    match has_user(answer) {
        Some(true) if has_user(ours_only) == Some(true) => Some(Login::Cluster),
        Some(true) => Some(Login::Own),
        Some(false) => Some(Login::Shared),
        None if matches!(answer, Value::ServerError(error) if error.code() == "ERR") => Some(Login::Shared),
        None => None,
    }
}

/// Nil: no such user. An error (an ACL that forbids the question) tells nothing.
fn has_user(answer: &Value) -> Option<bool> {
    match answer {
        Value::Nil => Some(false),
        Value::Array(_) | Value::Map(_) => Some(true),
        _ => None,
    }
}

/// The text of an `INFO` answer. An engine that is `BUSY` answers nothing else: alive, and no evidence.
fn said(answer: &Value) -> Result<&str, Failure> {
    match error_code(answer) {
        Some("NOPERM") => Err(Failure::Unauthorised),
        Some("BUSY" | "LOADING" | "MASTERDOWN" | "MISCONF" | "OOM") => Err(Failure::Silent),
        _ => text(answer).ok_or(Failure::Nonsense),
    }
}
