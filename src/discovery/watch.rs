//! Sentinels' events: whatever is published wakes the core, which looks for itself. So does the end of a connection to a
//! master: the first that anybody hears of a container that is gone.
//!
//! A wake needs no content, so nothing is parsed: any bytes on the subscription are an event. That leaves a liar no
//! way to make us keep what it sends.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::control::events::EventSender;
use crate::core::event::{Event, LOOK_LIMIT};
use crate::core::id::Address;

use super::link::connect;
use super::peers::PEERS_LIMIT;

/// At most one wake in this time, a Sentinel; what comes in between is told at its end.
const GAP: Duration = Duration::from_millis(20);
/// A Sentinel that nobody has looked at for this long is not listened to any more.
const FORGET: Duration = Duration::from_secs(60);
/// Back-off between two subscriptions.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The subscriptions, one a Sentinel, and a connection to the master.
#[derive(Default)]
pub struct Watches(Mutex<HashMap<Address, Watch>>);

struct Watch {
    looked_at: Instant,
    _task: AbortOnDropHandle<()>,
}

impl Watches {
    /// The Sentinel at `at` answered a look: listen to it, and go on for [`FORGET`].
    pub fn seen(&self, at: Address, password: Option<SecretString>, events: &EventSender) {
        self.keep(at, || listen(at, password, events.clone()));
    }

    /// A master with replicas answered at `at`: hold a connection to it, and go on for [`FORGET`].
    pub fn seen_master(&self, at: Address, events: &EventSender) {
        self.keep(at, || hold(at, events.clone()));
    }

    fn keep<F: Future<Output = ()> + Send + 'static>(&self, at: Address, watch: impl FnOnce() -> F) {
        let now = Instant::now();
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = watches.get_mut(&at) {
            watch.looked_at = now;
            return;
        }
        watches.retain(|_, watch| now.duration_since(watch.looked_at) < FORGET);
        if watches.len() < PEERS_LIMIT {
            let task = AbortOnDropHandle::new(tokio::spawn(watch()));
            watches.insert(at, Watch { looked_at: now, _task: task });
        }
    }

    /// Lets go of those that nobody looks at any more.
    pub fn forget_old(&self) {
        let now = Instant::now();
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|_, watch| now.duration_since(watch.looked_at) < FORGET);
    }
}

/// Until it is dropped.
async fn listen(at: Address, password: Option<SecretString>, events: EventSender) {
    let mut pause = FIRST_PAUSE;
    let mut first = true;
    loop {
        if let Ok(Some(stream)) = timeout(LOOK_LIMIT, subscribe(at, password.as_ref())).await {
            pause = FIRST_PAUSE;
            if !first {
                // What was published in between is lost.
                events.send(Event::Wake { at }).await;
            }
            first = false;
            pass_on(at, stream, &events).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Says nothing, and waits for the end. Until it is dropped.
async fn hold(at: Address, events: EventSender) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(Ok(mut stream)) = timeout(LOOK_LIMIT, connect(at)).await {
            let since = Instant::now();
            // A lost node is noticed by the looks long before.
            let _slower = keep_alive(&stream);
            // Whatever an engine says to one who is silent, it closes then.
            let _end = stream.read(&mut [0_u8; 64]).await;
            events.send(Event::Wake { at }).await;
            if since.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Subscribes to every channel, and waits for the confirmation.
async fn subscribe(at: Address, password: Option<&SecretString>) -> Option<TcpStream> {
    let mut stream = connect(at).await.ok()?;
    let mut lines = Vec::new();
    if let Some(password) = password {
        lines.extend(redis::cmd("AUTH").arg(password.expose_secret()).get_packed_command());
    }
    lines.extend(redis::cmd("PSUBSCRIBE").arg("*").get_packed_command());
    keep_alive(&stream).ok()?;
    stream.write_all(&lines).await.ok()?;
    let mut answer = Vec::with_capacity(256);
    while answer.len() < 256 && !answer.ends_with(CONFIRMED) {
        if answer.starts_with(b"-") || stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    answer.ends_with(CONFIRMED).then_some(stream)
}

/// A subscription is silent for hours. A Sentinel that is gone without a word (a lost node, an address that another pod
/// has now) is noticed after some 11 s.
fn keep_alive(stream: &TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &5)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &2)?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)
}

/// How the confirmation of the first and only subscription ends: one subscription stands.
const CONFIRMED: &[u8] = b"$1\r\n*\r\n:1\r\n";

/// Turns bytes into wakes until the stream ends.
async fn pass_on(at: Address, mut stream: TcpStream, events: &EventSender) {
    let mut ignored = [0_u8; 4096];
    while matches!(stream.read(&mut ignored).await, Ok(1..)) {
        events.send(Event::Wake { at }).await;
        let quiet_until = Instant::now() + GAP;
        let mut more = false;
        while let Ok(read) = timeout_at(quiet_until, stream.read(&mut ignored)).await {
            match read {
                Ok(1..) => more = true,
                _ => return,
            }
            // A flood must not keep the one thread busy.
            sleep_until(quiet_until.min(Instant::now() + Duration::from_millis(1))).await;
        }
        if more {
            events.send(Event::Wake { at }).await;
            sleep(GAP).await;
        }
    }
}
