//! A stream that gives out only so many bytes: the redis crate has no limit of its own on a reply.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that one look may bring: a Sentinel with 100 replicas and Sentinels sends some 100 kB. A value takes up to
/// twenty times its bytes once it is parsed (`_\r\n`), so this is what bounds our memory against a liar.
pub const REPLY_BUDGET: usize = 256 * 1024;
/// How much of the first answer is kept, to tell a refusal that is followed by a close.
const HEAD: usize = 16;

/// What is left of a stream's budget, and how the stream ended; shared with whoever asks over it. (The crate hides the
/// errors of a stream behind "closed".)
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    left: AtomicUsize,
    ended: OnceLock<Ended>,
    head: OnceLock<Vec<u8>>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other side closed it.
    Closed,
    /// An error of this kind.
    Broken(io::ErrorKind),
    /// More came than was allowed.
    Overdrawn,
}

impl Meter {
    /// Fills the budget up for the next answer.
    pub fn refill(&self) {
        self.0.left.store(REPLY_BUDGET, Ordering::Relaxed);
    }

    /// How it ended; `None`: it did not.
    pub fn ended(&self) -> Option<Ended> {
        self.0.ended.get().copied()
    }

    /// The first bytes that ever came.
    pub fn head(&self) -> &[u8] {
        self.0.head.get().map_or(&[], Vec::as_slice)
    }

    fn end(&self, how: Ended) {
        let _the_first_counts = self.0.ended.set(how);
    }

    fn watch<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|error| self.end(Ended::Broken(error.kind())))
    }

    fn spend(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.end(Ended::Closed);
            return Ok(());
        }
        if self.0.head.get().is_none() {
            let _kept = self.0.head.set(bytes.iter().take(HEAD).copied().collect());
        }
        match self.0.left.load(Ordering::Relaxed).checked_sub(bytes.len()) {
            Some(left) => self.0.left.store(left, Ordering::Relaxed),
            None => {
                self.end(Ended::Overdrawn);
                return Err(io::Error::other("the answer is longer than any honest one"));
            }
        }
        Ok(())
    }
}

/// A stream whose reads are metered.
#[derive(Debug)]
pub struct Budgeted<S> {
    stream: S,
    meter: Meter,
}

impl<S> Budgeted<S> {
    /// `stream`, metered by `meter`, which starts full.
    pub fn new(stream: S, meter: Meter) -> Self {
        meter.refill();
        Budgeted { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Budgeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.meter.watch(read)?;
        Poll::Ready(self.meter.spend(buf.filled().get(before..).unwrap_or_default()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Budgeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.meter.watch(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn more_than_the_budget_is_an_error_and_a_refill_helps() {
        let meter = Meter::default();
        let mut stream = Budgeted::new(tokio::io::repeat(b'x'), meter.clone());
        let mut half = vec![0; REPLY_BUDGET / 2];
        stream.read_exact(&mut half).await.expect("within the budget");
        meter.refill();
        stream.read_exact(&mut half).await.expect("after a refill");
        stream.read_exact(&mut half).await.expect("the rest");
        assert_eq!(meter.ended(), None);
        stream.read_exact(&mut half).await.expect_err("over the budget");
        assert_eq!(meter.ended(), Some(Ended::Overdrawn));
        assert_eq!(meter.head(), [b'x'; HEAD]);
    }
}
