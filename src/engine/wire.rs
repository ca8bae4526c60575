//! Connections to the child over its Unix socket, as our own user.
//!
//! The password is new at every start, so whoever accepts it is our child and no other process at the same path.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    Value,
};
use tokio::sync::Mutex;

use super::secret::ChildPassword;
use crate::core::seen::ChildFailure;

/// Between two attempts to reach a child that is just being started.
const RETRY: Duration = Duration::from_millis(10);

/// The way to one child: where it listens, and what it takes for us.
#[derive(Clone, Debug)]
pub struct Door {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// Our password there.
    pub password: ChildPassword,
}

impl Door {
    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let login = RedisConnectionInfo::default()
            .set_username("redinit")
            .set_password(self.password.plain())
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        self.reach(login).await
    }

    /// The child's ACL knows our user no more. For `connect` that looks like any other refusal (max clients).
    pub async fn locked_out(&self) -> bool {
        let nobody = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        let Ok(connection) = self.reach(nobody).await else { return false };
        let answer = ask(&connection, &["AUTH", "redinit", self.password.plain()]).await;
        answer.is_err_and(|error| error.code() == Some("WRONGPASS"))
    }

    async fn reach(&self, login: RedisConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
        let info = ConnectionAddr::Unix(self.socket.clone()).into_connection_info()?.set_redis_settings(login);
        // Who waits has the limit: two of them would hide which one fired.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        redis::Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// One kept connection. It is made when needed and made anew after it broke: a role flip, by Sentinel or by ourselves,
/// ends with `CLIENT KILL TYPE normal`.
#[derive(Debug, Default)]
pub struct Wire(Mutex<Option<MultiplexedConnection>>);

impl Wire {
    /// Forgets the connection: it was cut, or the child does not answer on it. Does not wait: who holds the lock is
    /// making a new one.
    pub fn forget(&self) {
        if let Ok(mut kept) = self.0.try_lock() {
            *kept = None;
        }
    }

    async fn connection(&self, door: &Door, patient: bool) -> Result<MultiplexedConnection, RedisError> {
        let mut kept = self.0.lock().await;
        if let Some(connection) = kept.as_ref() {
            return Ok(connection.clone());
        }
        let made = loop {
            match door.connect().await {
                Err(error) if patient && not_listening(&error) => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error),
                Ok(made) => break made,
            }
        };
        Ok(kept.insert(made).clone())
    }

    /// Runs `talk` on the kept connection; once more on a fresh one where it turns out to be cut. `patient`: waits for
    /// a child that does not listen yet. The caller bounds the time; it must not matter if `talk` is done twice.
    pub async fn run<T, F>(
        &self,
        door: &Door,
        patient: bool,
        talk: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, RedisError>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let first = talk(self.connection(door, patient).await?).await;
        if !first.as_ref().is_err_and(is_cut) {
            return first;
        }
        self.forget();
        let second = talk(self.connection(door, patient).await?).await;
        if second.as_ref().is_err_and(is_cut) {
            self.forget();
        }
        second
    }
}

/// One command, one answer.
pub async fn ask(connection: &MultiplexedConnection, words: &[&str]) -> Result<Value, RedisError> {
    let mut connection = connection.clone();
    let value = connection.send_packed_command(&command(words)).await?;
    value.extract_error()
}

/// Commands of two words, in one round trip: as many answers. An error among them is an error.
pub async fn ask_all<const COUNT: usize>(
    connection: &MultiplexedConnection,
    commands: [[&str; 2]; COUNT],
) -> Result<[Value; COUNT], RedisError> {
    let mut connection = connection.clone();
    let mut pipeline = redis::Pipeline::with_capacity(COUNT);
    for words in &commands {
        pipeline.add_command(command(words));
    }
    let answers = connection.req_packed_commands(&pipeline, 0, COUNT).await?;
    let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?;
    answers.try_into().map_err(|_| RedisError::from(std::io::Error::other("not as many answers as questions")))
}

/// Commands as one transaction. The answers of `EXEC`; an error among them is an error.
pub async fn transaction(connection: &MultiplexedConnection, commands: &[&[&str]]) -> Result<Vec<Value>, RedisError> {
    let mut connection = connection.clone();
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    for words in commands {
        pipeline.add_command(command(words));
    }
    pipeline.query_async(&mut connection).await
}

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command
}

/// The text of an answer; bytes that are no UTF-8 are replaced.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The connection was closed, by the child's end or by a `CLIENT KILL`.
pub fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Nobody listens there (yet): no socket, or nobody behind it.
pub fn not_listening(error: &RedisError) -> bool {
    error.is_connection_refusal()
}

/// What an error is a sign of. Any reply at all is life (G7).
pub fn failure(error: &RedisError) -> ChildFailure {
    match error.code() {
        Some("LOADING") => ChildFailure::Loading,
        Some("BUSY") => ChildFailure::Busy,
        Some(_) => ChildFailure::Refuses,
        None if not_listening(error) => ChildFailure::NotListening,
        None if error.is_timeout() => ChildFailure::Silent,
        // NOAUTH, or accepted and closed at once (too many clients).
        None => ChildFailure::Refuses,
    }
}
