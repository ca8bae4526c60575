//! One connection to one server or Sentinel: questions in a pipeline, answers as values, errors as [`Failure`]s.

use std::io;

use redis::{Cmd, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::core::id::Address;
use crate::core::seen::Failure;

use super::resp::{Answers, REPLY_BUDGET};

/// A connection that is kept as long as it answers. Every wait on it is bounded by its caller.
pub struct Link {
    stream: TcpStream,
    answers: Answers,
    password: Password,
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
    let stream = TcpStream::connect(at.0).await.map_err(|error| sort_io(&error))?;
    // Small questions, waited for: nothing to gain from Nagle. A failure costs time only.
    let _slower = stream.set_nodelay(true);
    Ok(stream)
}

impl Link {
    /// Connects. Nothing is sent yet: the password goes ahead of the first question, in one round trip.
    pub async fn open(at: Address, password: Option<SecretString>) -> Result<Self, Failure> {
        let stream = connect(at).await?;
        let password = password.map_or(Password::None, Password::Unsent);
        Ok(Link { stream, answers: Answers::default(), password })
    }

    /// The password was asked for and taken here.
    pub fn with_password(&self) -> bool {
        matches!(self.password, Password::Taken)
    }

    /// Asks, all in one round trip. As many answers as questions, error replies among them as values.
    /// After a failure the link must be dropped: later answers could be earlier ones.
    pub async fn ask(&mut self, questions: Vec<Cmd>) -> Result<Vec<Value>, Failure> {
        let mut count = questions.len();
        let mut packed = Vec::with_capacity(512);
        if let Password::Unsent(password) = &self.password {
            packed.extend(redis::cmd("AUTH").arg(password.expose_secret()).get_packed_command());
            count += 1;
        }
        questions.iter().for_each(|question| question.write_packed_command(&mut packed));
        self.stream.write_all(&packed).await.map_err(|error| sort_io(&error))?;
        let mut answers = self.read(count).await?;
        if matches!(self.password, Password::Unsent(_)) {
            self.password = judge_auth(answers.remove(0))?;
        }
        if answers.iter().any(turns_us_away) {
            return Err(Failure::Unauthorised);
        }
        // More answers than questions: whose are they?
        if !self.answers.is_read() {
            return Err(Failure::Nonsense);
        }
        self.answers.forget();
        Ok(answers)
    }

    async fn read(&mut self, count: usize) -> Result<Vec<Value>, Failure> {
        let mut answers = Vec::with_capacity(count);
        loop {
            while answers.len() < count
                && let Some(answer) = self.answers.next()?
            {
                answers.push(answer);
            }
            if answers.len() == count {
                return Ok(answers);
            }
            if self.answers.len() > REPLY_BUDGET {
                return Err(Failure::Nonsense);
            }
            let room = self.answers.room();
            if self.stream.read_buf(room).await.map_err(|error| sort_io(&error))? == 0 {
                return Err(sort_close(&answers));
            }
        }
    }
}

fn turns_us_away(answer: &Value) -> bool {
    matches!(error_code(answer), Some("NOAUTH" | "WRONGPASS" | "DENIED"))
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

/// The engine refuses some connections with one line and a close. An end of the stream is no evidence: a proxy in
/// between accepts and closes for a server that it cannot reach, as the engine does where it has too many clients.
fn sort_close(answers: &[Value]) -> Failure {
    if answers.iter().any(turns_us_away) { Failure::Unauthorised } else { Failure::Silent }
}

/// A reset is evidence; nothing else is.
fn sort_io(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Failure::Refused
        }
        _ => Failure::Silent,
    }
}
