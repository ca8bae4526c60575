//! A thread that writes, behind a bounded queue: a stalled reader of our stderr costs lines, never time.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait.
const QUEUE: usize = 1024;

/// How long the end waits for them.
const FLUSH_LIMIT: Duration = Duration::from_millis(300);

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// Takes lines and never waits.
pub struct Sender {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Dropped at the end: waits a moment for the lines that are still on their way.
pub struct Flush(SyncSender<Message>);

impl Sender {
    /// Takes a line, or counts it as lost.
    pub fn send(&self, line: String) {
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Flush {
    /// Waits until everything logged so far is written, a moment at most.
    pub fn now(&self) {
        let (done, written) = sync_channel(1);
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _late = written.recv_timeout(FLUSH_LIMIT);
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.now();
    }
}

/// Starts the thread; `lost_line` says that so many lines are missing.
pub fn start(out: impl Write + Send + 'static, lost_line: fn(u64) -> String) -> std::io::Result<(Sender, Flush)> {
    let (queue, messages) = sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &messages, &counted, lost_line))?;
    Ok((Sender { queue: queue.clone(), lost }, Flush(queue)))
}

fn write(mut out: impl Write, messages: &Receiver<Message>, lost: &AtomicU64, lost_line: fn(u64) -> String) {
    for message in messages {
        match message {
            // Nobody is left to be told where stderr itself fails.
            Message::Line(line) => {
                let _failed = out.write_all(line.as_bytes());
            }
            Message::Flush(done) => {
                let _gone = done.send(());
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _failed = out.write_all(lost_line(count).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut written = self.0.lock().unwrap();
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_no_time() {
        let out = Slow::default();
        let (sender, flush) = start(out.clone(), |count| format!("{count} log lines were lost\n")).unwrap();
        let stalled = out.0.lock().unwrap();
        let begun = Instant::now();
        for number in 0..5000 {
            sender.send(format!("{number}\n"));
        }
        flush.now();
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(stalled);
        while !String::from_utf8_lossy(&out.0.lock().unwrap()).contains("log lines were lost") {
            thread::sleep(Duration::from_millis(5));
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        drop(flush);
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(written.starts_with("0\n") && written.lines().count() < 1100);
    }
}
