//! Looks at a Sentinel, and the few orders to one.

use redis::{Cmd, Value};
use tokio::time::Instant;

use crate::core::action::{Depth, SentinelOrder};
use crate::core::event::SentinelReply;
use crate::core::id::{Address, SentinelId};
use crate::core::moment::Moment;
use crate::core::seen::{Failure, SentinelSeen};

use super::Shared;
use super::link::{Link, error_code, text};
use super::rows;

/// A kept connection: one process at the other end, so one id.
pub struct Kept {
    link: Link,
    id: SentinelId,
}

/// Whether the Sentinel wanted our password: its subscription must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantsPassword(pub bool);

/// One look: when it was asked, and what was seen.
pub struct Looked {
    pub asked: Moment,
    pub seen: Result<SentinelSeen, Failure>,
    pub password: WantsPassword,
}

/// Looks. A kept connection that fails proves nothing about the port, so a new one is tried in the same look.
pub async fn look(shared: &Shared, at: Address, depth: Depth, until: Instant) -> Looked {
    let slot = shared.sentinels.slot(at);
    let mut slot = slot.lock().await;
    let kept = slot.take().filter(|_| !shared.is_crossroads(at));
    let mut asked = shared.clock.now();
    let mut failed = None;
    if let Some(mut kept) = kept {
        match ask(shared, &mut kept, depth, until).await {
            Ok(seen) => {
                let password = WantsPassword(kept.link.with_password());
                *slot = Some(kept);
                return Looked { asked, seen: Ok(seen), password };
            }
            Err(failure) => failed = Some(failure),
        }
    }
    let nothing = |asked, failure| Looked { asked, seen: Err(failure), password: WantsPassword(false) };
    if failed == Some(Failure::Unauthorised) {
        return nothing(asked, Failure::Unauthorised);
    }
    let mut link = match Link::open(at, shared.settings.sentinel_password.clone()).await {
        Ok(link) => link,
        Err(failure) => return nothing(asked, failure),
    };
    asked = shared.clock.now();
    match first(shared, &mut link, depth, until).await {
        Ok(seen) => {
            let password = WantsPassword(link.with_password());
            *slot = Some(Kept { link, id: seen.id.clone() });
            Looked { asked, seen: Ok(seen), password }
        }
        Err(failure) => nothing(asked, failure),
    }
}

async fn ask(shared: &Shared, kept: &mut Kept, depth: Depth, until: Instant) -> Result<SentinelSeen, Failure> {
    let answers = kept.link.ask(questions(&shared.settings.master_name, depth)).await?;
    parse(shared, kept.id.clone(), &answers, until).await
}

async fn first(shared: &Shared, link: &mut Link, depth: Depth, until: Instant) -> Result<SentinelSeen, Failure> {
    let mut asked = vec![sentinel(&["MYID"])];
    asked.extend(questions(&shared.settings.master_name, depth));
    let answers = link.ask(asked).await?;
    let (id, answers) = answers.split_first().ok_or(Failure::Nonsense)?;
    parse(shared, rows::myid(id)?, answers, until).await
}

fn questions(name: &str, depth: Depth) -> Vec<Cmd> {
    let mut asked = vec![sentinel(&["GET-MASTER-ADDR-BY-NAME", name]), sentinel(&["MASTER", name])];
    if depth == Depth::Full {
        asked.extend([sentinel(&["REPLICAS", name]), sentinel(&["SENTINELS", name]), sentinel(&["CKQUORUM", name])]);
        asked.push(redis::cmd("INFO").arg("sentinel").take());
    }
    asked
}

fn sentinel(words: &[&str]) -> Cmd {
    redis::cmd("SENTINEL").arg(words).take()
}

async fn parse(shared: &Shared, id: SentinelId, answers: &[Value], until: Instant) -> Result<SentinelSeen, Failure> {
    let places = shared.places(rows::hosts(answers), until).await;
    let [current, master, rest @ ..] = answers else { return Err(Failure::Nonsense) };
    let current = rows::current(current, &places);
    let master = rows::master(master, &places)?.map(|row| rows::naming(row, current));
    let rows = match (&master, rest) {
        (_, []) => None,
        (Some(_), rest) => Some(rows::rows(rest, &places)?),
        // It monitors nothing: the other answers are errors, except for TILT.
        (None, rest) => Some(rows::rows(rest, &places).unwrap_or_default()),
    };
    let seen = SentinelSeen { id, master, rows };
    shared.announced(&seen);
    Ok(seen)
}

/// Carries out an order. A failure proves nothing: it may be carried out later (M2).
pub async fn order(shared: &Shared, at: Address, order: SentinelOrder) -> Result<SentinelReply, Failure> {
    let name = shared.settings.master_name.as_str();
    let millis;
    let words = match order {
        SentinelOrder::Failover => vec!["FAILOVER", name],
        SentinelOrder::Reset => vec!["RESET", name],
        SentinelOrder::InfoPeriod(period) => {
            millis = period.as_millis().to_string();
            vec!["DEBUG", "INFO-PERIOD", &millis]
        }
    };
    // Over a connection of its own: a kept one that turns out to be broken would have to be replaced and asked a second
    // time, and an order must not go out twice (M2).
    let mut link = Link::open(at, shared.settings.sentinel_password.clone()).await?;
    let answers = link.ask(vec![sentinel(&words)]).await?;
    Ok(reply(answers.first().ok_or(Failure::Nonsense)?))
}

fn reply(answer: &Value) -> SentinelReply {
    match (error_code(answer), answer) {
        (Some("INPROG"), _) => SentinelReply::InProgress,
        (Some(code), _) if code.starts_with("NOGOOD") => SentinelReply::NoGoodReplica,
        (Some(code), Value::ServerError(error)) => {
            let text: String = error.details().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
            SentinelReply::Error(format!("{code} {text}").chars().take(200).collect())
        }
        (_, Value::Int(_)) => SentinelReply::Ok,
        (_, other) if text(other) == Some("OK") => SentinelReply::Ok,
        _ => SentinelReply::Error("an answer that makes no sense".to_owned()),
    }
}
