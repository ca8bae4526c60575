//! `redinit status`, `redinit handover`, `redinit maintenance`: the commands that ask over the socket.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::desk::PERSON_LIMIT;
use super::dial::{self, DialError, Reply};
use super::picture::Picture;
use super::{STATUS_LIMIT, table};
use crate::core::id::Address;

/// How long a short question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Exit statuses.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const NO_ANSWER: i32 = 2;
const TROUBLE: i32 = 25;

/// How `redinit status` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object, as `/status` gives it.
    Json,
}

/// `redinit status`: 0 healthy, 25 trouble, 2 no answer. With `watch` until nobody reads any more.
pub fn status(socket: &Path, watch: bool, output: Output) -> i32 {
    let redraw = watch && output == Output::Table && io::stdout().is_terminal();
    loop {
        let (code, text) = look(socket, output);
        let clear = if redraw { "\x1b[H\x1b[2J" } else { "" };
        if say(&format!("{clear}{text}\n")).is_err() || !watch {
            return code;
        }
        thread::sleep(PERIOD);
    }
}

fn look(socket: &Path, output: Output) -> (i32, String) {
    let body = dial::ask(socket, "GET", "/status", "", LIMIT).and_then(|reply| reply.body(STATUS_LIMIT));
    let body = match body {
        Ok(body) => body,
        Err(error) => return (NO_ANSWER, no_answer(socket, &error)),
    };
    let Ok(picture) = serde_json::from_slice::<Picture>(&body) else {
        return (NO_ANSWER, no_answer(socket, &DialError::Nonsense));
    };
    let warnings = table::warnings(&picture);
    let code = if warnings.is_empty() { DONE } else { TROUBLE };
    match output {
        Output::Json => (code, String::from_utf8_lossy(&body).into_owned()),
        Output::Table => (code, table::draw(&picture, &warnings)),
    }
}

/// `redinit handover`: prints each step as it comes; 0 done, 1 failed, 2 no answer.
pub fn handover(socket: &Path, to: Option<Address>) -> i32 {
    let body = serde_json::json!({ "to": to }).to_string();
    let limit = PERSON_LIMIT + LIMIT;
    match dial::ask(socket, "POST", "/handover", &body, limit) {
        Ok(reply) if reply.status == 200 => steps(socket, reply),
        Ok(reply) => refused(socket, reply),
        Err(error) => unheard(socket, &error),
    }
}

fn steps(socket: &Path, mut reply: Reply) -> i32 {
    loop {
        let line = match reply.line() {
            Ok(Some(line)) => line,
            Ok(None) => return unheard(socket, &DialError::Nonsense),
            Err(error) => return unheard(socket, &error),
        };
        let fields: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |word: &str| fields.get(word).and_then(Value::as_str);
        // A reader that has gone away does not stop the handover: it is under way.
        let _nobody_reads = match (text("step"), text("done"), text("failed")) {
            (_, Some(done), _) => {
                let _nobody_reads = say(&format!("done: {done}\n"));
                return DONE;
            }
            (_, _, Some(failed)) => {
                let _nobody_reads = say(&format!("failed: {failed}\n"));
                return FAILED;
            }
            (Some(step), ..) => say(&format!("{step}\n")),
            _ => Ok(()),
        };
    }
}

/// `redinit adopt`: 0 done, 1 refused, 2 no answer.
pub fn adopt(socket: &Path, at: Address, dry_run: bool) -> i32 {
    let body = serde_json::json!({ "at": at, "dry_run": dry_run }).to_string();
    match dial::ask(socket, "POST", "/adopt", &body, LIMIT) {
        Ok(reply) => refused(socket, reply),
        Err(error) => unheard(socket, &error),
    }
}

/// `redinit maintenance on|off`: 0 done, 1 refused, 2 no answer.
pub fn maintenance(socket: &Path, on: bool) -> i32 {
    match dial::ask(socket, if on { "PUT" } else { "DELETE" }, "/maintenance", "", LIMIT) {
        Ok(reply) => refused(socket, reply),
        Err(error) => unheard(socket, &error),
    }
}

/// Prints an answer of one line; 0 where it is a 200.
fn refused(socket: &Path, reply: Reply) -> i32 {
    let code = if reply.status == 200 { DONE } else { FAILED };
    match reply.body(STATUS_LIMIT) {
        Ok(body) => {
            let _nobody_reads = say(&String::from_utf8_lossy(&body));
            code
        }
        Err(error) => unheard(socket, &error),
    }
}

fn unheard(socket: &Path, error: &DialError) -> i32 {
    let _nobody_reads = say(&format!("{}\n", no_answer(socket, error)));
    NO_ANSWER
}

fn no_answer(socket: &Path, error: &DialError) -> String {
    format!(
        "no answer from {}: {error}: is redinit running, and is this its socket (REDINIT_SOCKET)?",
        socket.display()
    )
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
