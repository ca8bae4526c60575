//! What each order means on the wire. Done twice it does no harm: a connection that is cut in between is made anew.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use super::attempt;
use super::info::Info;
use super::life::Life;
use super::logins;
use super::render::FENCED;
use super::wire::{ask, is_cut, not_listening, text, transaction};
use crate::core::action::{ChildOrder, Expecting};
use crate::core::event::{Done, OrderFailure};
use crate::core::id::Address;

type Outcome = Result<Done, OrderFailure>;

/// An engine's refusal is told up to here.
const REFUSAL_LIMIT: usize = 200;

/// `min-replicas-max-lag` as the engine has it where nobody says otherwise.
const ENGINES_MAX_LAG: u32 = 10;

/// How long an order may take: a candidate waits for these two within its 1.5 s (L4).
fn limit(order: &ChildOrder) -> Duration {
    match order {
        ChildOrder::Lead | ChildOrder::Release { .. } => Duration::from_millis(500),
        _ => Duration::from_secs(1),
    }
}

/// Carries out an order that goes over the wire.
pub async fn carry_out(life: &Life, order: &ChildOrder) -> Outcome {
    let was_master = AtomicBool::new(false);
    let talk = life.orders.run(&life.door, true, |connection| {
        let was_master = &was_master;
        async move { Talk { life, connection, was_master }.say(order).await }
    });
    match tokio::time::timeout(limit(order), talk).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(refusal(&error)),
        Err(_expired) => {
            life.orders.forget();
            Err(OrderFailure::Unknown)
        }
    }
}

/// What an error means for an order.
pub fn refusal(error: &RedisError) -> OrderFailure {
    if not_listening(error) {
        return OrderFailure::NoChild("it does not listen".into());
    }
    if is_cut(error) || error.is_timeout() {
        return OrderFailure::Unknown;
    }
    OrderFailure::Refused(error.to_string().chars().filter(|c| !c.is_control()).take(REFUSAL_LIMIT).collect())
}

/// One order on one connection.
struct Talk<'a> {
    life: &'a Life,
    connection: MultiplexedConnection,
    was_master: &'a AtomicBool,
}

/// The two answers of `ROLE` that matter.
enum Role {
    Master,
    Replica(Option<Address>),
}

impl Talk<'_> {
    async fn say(&self, order: &ChildOrder) -> Result<Outcome, RedisError> {
        match order {
            ChildOrder::Follow { master, expecting } => return self.follow(*master, *expecting).await,
            ChildOrder::Lead => return self.lead().await,
            ChildOrder::Release { pause } => return self.release(*pause).await,
            ChildOrder::LeadAlone => {
                self.set("min-replicas-to-write", self.own_min()).await?;
                self.ask(&["REPLICAOF", "NO", "ONE"]).await?;
            }
            ChildOrder::Fence => self.fence().await?,
            ChildOrder::Unfence => self.set("min-replicas-to-write", self.own_min()).await?,
            ChildOrder::TakeBack => {
                let own = self.own_min().to_string();
                let set = ["CONFIG", "SET", "min-replicas-to-write", own.as_str()];
                transaction(&self.connection, &[&set, &["CLIENT", "UNPAUSE"]]).await?;
                self.life.released.store(false, Ordering::Relaxed);
            }
            ChildOrder::Dismiss => {
                self.send_clients_on(true).await?;
                self.life.released.store(false, Ordering::Relaxed);
            }
            ChildOrder::OpenDoor => self.set("port", self.life.port.into()).await?,
            ChildOrder::ShutDoor => self.set("port", 0).await?,
            ChildOrder::DropDrain => self.set("shutdown-timeout", 0).await?,
            ChildOrder::Quicken => drop(self.ask(&["ACL", "SETUSER", "sentinel", "-info"]).await?),
            ChildOrder::Unquicken => drop(self.ask(&["ACL", "SETUSER", "sentinel", "+info"]).await?),
            ChildOrder::Priority(priority) => {
                self.set("replica-priority", priority.unwrap_or(self.life.priority)).await?;
            }
            ChildOrder::CutLink => drop(self.ask(&["CLIENT", "KILL", "TYPE", "master"]).await?),
            ChildOrder::Reconnect { master } => attempt::reconnect(&self.connection, *master).await?,
            ChildOrder::Belong(tag) => logins::belong(&self.connection, self.life, tag).await?,
            ChildOrder::LogIn(login) => {
                return Ok(logins::log_in(&self.connection, self.life, *login).await?.map(|()| Done::Ok));
            }
            ChildOrder::Admit(login) => logins::admit(&self.connection, self.life, *login).await?,
            ChildOrder::KillScript => self.kill_script().await?,
            ChildOrder::ShutdownNow => self.shutdown_now().await?,
            // The driver does these itself.
            ChildOrder::Spawn(_)
            | ChildOrder::Keep
            | ChildOrder::Examine(_)
            | ChildOrder::Terminate
            | ChildOrder::Kill
            | ChildOrder::KillRest => {
                return Ok(Err(OrderFailure::Refused("not an order for the wire".into())));
            }
        }
        Ok(Ok(Done::Ok))
    }

    /// A compare-and-set: nobody but us changes the role (the gate), so what `ROLE` says still holds one command later.
    async fn follow(&self, master: Address, expecting: Expecting) -> Result<Outcome, RedisError> {
        // `REPLICAOF <self>` is answered OK and heals never (facts, section 7).
        if master == self.life.me {
            return Ok(Err(OrderFailure::Refused("it cannot follow itself".into())));
        }
        let role = self.role().await?;
        let done = matches!(role, Role::Replica(Some(followed)) if followed == master);
        if matches!(role, Role::Master) {
            self.was_master.store(true, Ordering::Relaxed);
        }
        let expected = match expecting {
            Expecting::Anything => true,
            Expecting::Master => matches!(role, Role::Master),
            Expecting::Replica => matches!(role, Role::Replica(_)),
        };
        // Where it follows that one already, the order has been carried out, perhaps by us before a cut.
        if !expected && !done {
            return Ok(Err(OrderFailure::OtherRole));
        }
        if !done {
            let (ip, port) = (master.ip().to_string(), master.port().to_string());
            self.ask(&["REPLICAOF", &ip, &port]).await?;
        }
        // A demotion sends clients away (I1). While a release stands, `Dismiss` does so, once the Sentinels name the
        // new master: sooner they would be sent back here.
        if self.was_master.load(Ordering::Relaxed) && !self.life.released.load(Ordering::Relaxed) {
            self.send_clients_on(false).await?;
        }
        Ok(Ok(Done::Ok))
    }

    /// Fenced first: a new master acknowledges nothing before it is named.
    async fn lead(&self) -> Result<Outcome, RedisError> {
        self.fence().await?;
        let answers = transaction(&self.connection, &[&["REPLICAOF", "NO", "ONE"], &["INFO", "replication"]]).await?;
        Ok(stream_in(&answers))
    }

    async fn release(&self, pause: Duration) -> Result<Outcome, RedisError> {
        if !matches!(self.role().await?, Role::Master) {
            return Ok(Err(OrderFailure::OtherRole));
        }
        self.learn_own_min().await?;
        self.life.released.store(true, Ordering::Relaxed);
        let (millis, fenced) = (pause.as_millis().to_string(), FENCED.to_string());
        let answers = transaction(
            &self.connection,
            &[
                &["CLIENT", "PAUSE", &millis, "WRITE"],
                &["CONFIG", "SET", "min-replicas-to-write", &fenced],
                &["INFO", "replication"],
            ],
        )
        .await;
        match answers.map(|answers| stream_in(&answers)) {
            Err(error) if is_cut(&error) => Err(error),
            Ok(Ok(done)) => Ok(Ok(done)),
            // Half a release is none: writers go on.
            failed => {
                let own = self.own_min().to_string();
                let set = ["CONFIG", "SET", "min-replicas-to-write", own.as_str()];
                transaction(&self.connection, &[&set, &["CLIENT", "UNPAUSE"]]).await?;
                self.life.released.store(false, Ordering::Relaxed);
                failed
            }
        }
    }

    async fn fence(&self) -> Result<(), RedisError> {
        self.learn_own_min().await?;
        self.set("min-replicas-to-write", FENCED).await
    }

    /// A value that somebody has set while the server was not fenced is the one to come back to. A lag of 0 turns the
    /// whole check off, our fence with it: their value is 0 then.
    async fn learn_own_min(&self) -> Result<(), RedisError> {
        let number = |answer: Value| pair(&answer).and_then(|text| text.parse::<u32>().ok());
        let least = number(self.ask(&["CONFIG", "GET", "min-replicas-to-write"]).await?);
        let off = number(self.ask(&["CONFIG", "GET", "min-replicas-max-lag"]).await?) == Some(0);
        if off {
            self.set("min-replicas-max-lag", ENGINES_MAX_LAG).await?;
        }
        if let Some(least) = least.filter(|least| *least != FENCED) {
            self.life.min_replicas.store(if off { 0 } else { least }, Ordering::Relaxed);
        }
        Ok(())
    }

    fn own_min(&self) -> u32 {
        self.life.min_replicas.load(Ordering::Relaxed)
    }

    /// P8: in one transaction, so that no client sees READONLY in between. Subscribers stay silent for ever otherwise.
    async fn send_clients_on(&self, unpause: bool) -> Result<(), RedisError> {
        let kills: [&[&str]; 2] =
            [&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"], &["CLIENT", "KILL", "TYPE", "pubsub"]];
        let mut commands: Vec<&[&str]> = Vec::new();
        if unpause {
            commands.push(&["CLIENT", "UNPAUSE"]);
        }
        commands.extend(kills);
        transaction(&self.connection, &commands).await.map(drop)
    }

    async fn kill_script(&self) -> Result<(), RedisError> {
        match self.ask(&["SCRIPT", "KILL"]).await {
            Err(error) if error.code() == Some("NOTBUSY") => self.ask(&["FUNCTION", "KILL"]).await.map(drop),
            other => other.map(drop),
        }
    }

    /// A connection that closes is the yes.
    async fn shutdown_now(&self) -> Result<(), RedisError> {
        let answer = match self.ask(&["SHUTDOWN", "NOSAVE", "NOW", "FORCE"]).await {
            Err(error) if error.code().is_some() => self.ask(&["SHUTDOWN", "NOSAVE"]).await,
            other => other,
        };
        match answer {
            Err(error) if is_cut(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn role(&self) -> Result<Role, RedisError> {
        let answer = self.ask(&["ROLE"]).await?;
        let Value::Array(parts) = &answer else { return Ok(Role::Replica(None)) };
        let word = |index: usize| parts.get(index).and_then(text).unwrap_or_default();
        if word(0) == "master" {
            return Ok(Role::Master);
        }
        Ok(Role::Replica(word(2).parse().ok().and_then(|port| Address::parse(&word(1), port))))
    }

    async fn set(&self, name: &str, value: u32) -> Result<(), RedisError> {
        self.ask(&["CONFIG", "SET", name, &value.to_string()]).await.map(drop)
    }

    async fn ask(&self, words: &[&str]) -> Result<Value, RedisError> {
        ask(&self.connection, words).await
    }
}

/// The value of `CONFIG GET name`.
pub fn pair(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(parts) => parts.get(1).and_then(text),
        Value::Map(pairs) => pairs.first().and_then(|(_, value)| text(value)),
        _ => None,
    }
}

/// Where the stream stood, from the `INFO replication` at the end of a transaction.
fn stream_in(answers: &[Value]) -> Outcome {
    let info = answers.last().and_then(text).unwrap_or_default();
    match Info::parse(&info).replication() {
        Some((role, history)) if role.is_master() => Ok(Done::At { history: history.id, offset: history.offset }),
        Some(_) => Err(OrderFailure::OtherRole),
        None => Err(OrderFailure::Refused("INFO made no sense".into())),
    }
}
