//! One connection to one server or Sentinel: questions in a pipeline, answers as values, errors as [`Failure`]s.

use std::io;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::core::id::Address;
use crate::core::seen::Failure;

use super::budget::{Budgeted, Ended, Meter};

/// Longer than any caller waits; theirs are the limits that count.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A connection that is kept as long as it answers. Every wait on it is bounded by its caller, too.
pub struct Link {
    connection: MultiplexedConnection,
    meter: Meter,
    password: Password,
    _driver: AbortOnDropHandle<()>,
}

/// How far the password has come.
enum Password {
    /// It goes ahead of the first question.
    Unsent(SecretString),
    /// It was taken.
    Taken,
    /// None set here, or none wanted there.
    None,
}

/// Opens a plain stream; its errors already sorted.
pub async fn connect(at: Address) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(at.0).await.map_err(|error| sort_io(error.kind()))?;
    // Small questions, waited for: nothing to gain from Nagle. A failure costs time only.
    let _slower = stream.set_nodelay(true);
    Ok(stream)
}

impl Link {
    /// Connects. Nothing is sent yet: the password goes ahead of the first question, in one round trip.
    pub async fn open(at: Address, password: Option<SecretString>) -> Result<Self, Failure> {
        let meter = Meter::default();
        let stream = Budgeted::new(connect(at).await?, meter.clone());
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_LIMIT));
        let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .map_err(|error| sort(&error, &meter))?;
        let driver = AbortOnDropHandle::new(tokio::spawn(driver));
        Ok(Link { connection, meter, password: password.map_or(Password::None, Password::Unsent), _driver: driver })
    }

    /// The password was asked for and taken here.
    pub fn with_password(&self) -> bool {
        matches!(self.password, Password::Taken)
    }

    /// Asks, all in one round trip. As many answers as questions, error replies among them as values.
    /// After a failure the link must be dropped: later answers could be earlier ones.
    pub async fn ask(&mut self, questions: Vec<Cmd>) -> Result<Vec<Value>, Failure> {
        self.meter.refill();
        let mut pipeline = redis::Pipeline::with_capacity(questions.len() + 1);
        if let Password::Unsent(password) = &self.password {
            pipeline.add_command(redis::cmd("AUTH").arg(password.expose_secret()).take());
        }
        for question in questions {
            pipeline.add_command(question);
        }
        let count = pipeline.len();
        let sent = self.connection.req_packed_commands(&pipeline, 0, count).await;
        let mut answers = sent.map_err(|error| sort(&error, &self.meter))?;
        if matches!(self.password, Password::Unsent(_)) {
            self.password = judge_auth(answers.remove(0))?;
        }
        if answers.iter().any(|answer| matches!(error_code(answer), Some("NOAUTH" | "WRONGPASS" | "DENIED"))) {
            return Err(Failure::Unauthorised);
        }
        Ok(answers)
    }
}

/// A server without a password says so with an error: no reason to turn away (a password that is being introduced).
fn judge_auth(answer: Value) -> Result<Password, Failure> {
    match &answer {
        Value::Okay => Ok(Password::Taken),
        Value::ServerError(error) if error.details().is_some_and(|text| text.contains("without any password")) => {
            Ok(Password::None)
        }
        Value::ServerError(_) => Err(Failure::Unauthorised),
        _ => Err(Failure::Nonsense),
    }
}

/// The code of an error reply.
pub fn error_code(answer: &Value) -> Option<&str> {
    match answer {
        Value::ServerError(error) => Some(error.code()),
        _ => None,
    }
}

/// The text of a string reply.
pub fn text(answer: &Value) -> Option<&str> {
    match answer {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        Value::Okay => Some("OK"),
        _ => None,
    }
}

fn sort(error: &RedisError, meter: &Meter) -> Failure {
    match meter.ended() {
        Some(Ended::Broken(kind)) => sort_io(kind),
        Some(Ended::Closed) => sort_close(meter.head()),
        Some(Ended::Overdrawn) => Failure::Nonsense,
        None if error.is_timeout() => Failure::Silent,
        // The stream is whole: the parser gave up.
        None => Failure::Nonsense,
    }
}

/// The engine refuses some connections with one line and a close. An end of the stream is no evidence: a proxy in
/// between accepts and closes for a server that it cannot reach, as the engine does where it has too many clients.
fn sort_close(head: &[u8]) -> Failure {
    if head.starts_with(b"-DENIED") || head.starts_with(b"-NOAUTH") { Failure::Unauthorised } else { Failure::Silent }
}

/// A reset is evidence; nothing else is.
fn sort_io(kind: io::ErrorKind) -> Failure {
    match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failure::Refused
        }
        _ => Failure::Silent,
    }
}
