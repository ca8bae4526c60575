//! The body of a handover's answer: `{"step"|"done"|"failed": ".."}`, one a line, until done or failed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::desk::{Lines, PERSON_LIMIT};
use crate::core::action::Progress;

/// Lines as they come, bounded in time.
pub struct ProgressBody {
    lines: Lines,
    limit: Pin<Box<Sleep>>,
    ended: bool,
}

impl ProgressBody {
    /// From the lines.
    pub fn new(lines: Lines) -> Self {
        ProgressBody { lines, limit: Box::pin(sleep(PERSON_LIMIT)), ended: false }
    }
}

impl Body for ProgressBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let line = if self.limit.as_mut().poll(context).is_ready() {
            Progress::Failed(format!("no end after {} s: see `redinit status`", PERSON_LIMIT.as_secs()))
        } else {
            let lost = || Progress::Failed("the control loop has gone: see `redinit status`".to_owned());
            ready!(self.lines.poll_next(context)).unwrap_or_else(lost)
        };
        self.ended = !matches!(line, Progress::Step(_));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(written(&line))))))
    }
}

/// One line of JSON.
pub fn written(line: &Progress) -> String {
    let (word, text) = match line {
        Progress::Step(text) => ("step", text),
        Progress::Done(text) => ("done", text),
        Progress::Failed(text) => ("failed", text),
    };
    format!("{}\n", serde_json::json!({ word: text }))
}
