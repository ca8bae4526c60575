//! Where the HTTP thread and the control task meet: requests go in as events, answers come back by number.
//!
//! The control task asks [`Desk::wants`] before it hands a request to the core: one whose asker has gone, or that
//! waited for over 2 s while the loop was stuck or the process frozen, is void (M29). A message may always be lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::control::events::EventSender;
use crate::core::action::Progress;
use crate::core::cluster::Identity;
use crate::core::event::{Event, Wish};
use crate::core::id::{Address, ReplyId};
use crate::core::message::{PeerAnswer, PeerMessage};

/// How long another supervisor waits for our answer.
pub const PEER_LIMIT: Duration = Duration::from_secs(2);

/// How long a person's wish may go on.
pub const PERSON_LIMIT: Duration = Duration::from_secs(60);

/// How many may wait at a time.
const WAITING: usize = 64;

/// How many lines may wait for a person who does not read.
const LINES: usize = 128;

#[derive(Debug)]
enum Waiter {
    Peer(oneshot::Sender<PeerAnswer>),
    Person(mpsc::Sender<Progress>),
}

#[derive(Debug)]
struct Place {
    since: Instant,
    waiter: Waiter,
}

type Places = Arc<Mutex<HashMap<ReplyId, Place>>>;

fn open(places: &Places) -> MutexGuard<'_, HashMap<ReplyId, Place>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The control task's end.
#[derive(Debug)]
pub struct Desk {
    places: Places,
}

/// The HTTP thread's end.
#[derive(Clone, Debug)]
pub struct Inbox {
    places: Places,
    events: EventSender,
    next: Arc<AtomicU64>,
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many wait already.
    #[error("too many requests wait for an answer; try again")]
    Full,
    /// The control loop did not answer within the limit, or has ended.
    #[error("the control loop did not answer in time")]
    Late,
}

/// Keeps a place while its asker is there.
#[derive(Debug)]
struct Ticket {
    id: ReplyId,
    places: Places,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        open(&self.places).remove(&self.id);
    }
}

impl Desk {
    /// A desk and its inbox.
    pub fn new(events: EventSender) -> (Desk, Inbox) {
        let places = Places::default();
        let inbox = Inbox { places: Arc::clone(&places), events, next: Arc::new(AtomicU64::new(1)) };
        (Desk { places }, inbox)
    }

    /// Does a request still count when the control task comes to it?
    pub fn counts(&self, reply: ReplyId) -> bool {
        let places = open(&self.places);
        places.get(&reply).is_some_and(|place| match place.waiter {
            Waiter::Peer(_) => place.since.elapsed() < PEER_LIMIT,
            Waiter::Person(_) => place.since.elapsed() < PERSON_LIMIT,
        })
    }

    /// Is this event still to be handed to the core? Only a request that no longer counts is not.
    pub fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Request { reply, .. } | Event::Operator { reply, .. } => self.counts(*reply),
            _ => true,
        }
    }

    /// Answers a supervisor. Nobody waits any more: nothing happens.
    pub fn reply(&self, to: ReplyId, answer: PeerAnswer) {
        let place = open(&self.places).remove(&to);
        if let Some(Place { waiter: Waiter::Peer(sender), .. }) = place {
            let _gone = sender.send(answer);
        }
    }

    /// Tells a person. The last line (done or failed) ends it, and so does one who reads too slowly.
    pub fn inform(&self, to: ReplyId, line: Progress) {
        let last = !matches!(line, Progress::Step(_));
        let mut places = open(&self.places);
        let Some(Place { waiter: Waiter::Person(sender), .. }) = places.get(&to) else { return };
        if sender.try_send(line).is_err() || last {
            places.remove(&to);
        }
    }
}

/// A message, and who says that it is from him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The sender's server.
    pub from: Option<Address>,
    /// The sender's cluster.
    pub cluster: Option<Identity>,
    /// What it says.
    pub message: PeerMessage,
}

impl Inbox {
    /// A message of another supervisor; its answer, within [`PEER_LIMIT`].
    pub async fn ask(&self, said: Said) -> Result<PeerAnswer, Unanswered> {
        let Said { from, cluster, message } = said;
        let (sender, answer) = oneshot::channel();
        let ticket = self.place(Waiter::Peer(sender))?;
        let asked = async {
            self.events.send(Event::Request { reply: ticket.id, from, cluster, message }).await;
            answer.await
        };
        match tokio::time::timeout(PEER_LIMIT, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Late),
        }
    }

    /// A person's wish; its lines as they come.
    pub async fn wish(&self, wish: Wish) -> Result<Lines, Unanswered> {
        let (sender, lines) = mpsc::channel(LINES);
        let ticket = self.place(Waiter::Person(sender))?;
        let sent = self.events.send(Event::Operator { reply: ticket.id, wish });
        if tokio::time::timeout(PEER_LIMIT, sent).await.is_err() {
            return Err(Unanswered::Late);
        }
        Ok(Lines { lines, _ticket: ticket })
    }

    fn place(&self, waiter: Waiter) -> Result<Ticket, Unanswered> {
        let id = ReplyId(self.next.fetch_add(1, Ordering::Relaxed));
        let mut places = open(&self.places);
        if places.len() >= WAITING {
            return Err(Unanswered::Full);
        }
        places.insert(id, Place { since: Instant::now(), waiter });
        Ok(Ticket { id, places: Arc::clone(&self.places) })
    }
}

/// What a person is told.
#[derive(Debug)]
pub struct Lines {
    lines: mpsc::Receiver<Progress>,
    _ticket: Ticket,
}

impl Lines {
    /// The next line; `None` after the last.
    pub async fn next(&mut self) -> Option<Progress> {
        self.lines.recv().await
    }

    /// As [`Lines::next`], for a poll.
    pub fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Progress>> {
        self.lines.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::events::channel;
    use crate::core::id::AttemptId;

    fn ask_led() -> Said {
        Said { from: None, cluster: None, message: PeerMessage::AskLed { attempt: AttemptId::from("a") } }
    }

    #[tokio::test]
    async fn an_answer_finds_its_asker() {
        let (events, mut received) = channel();
        let (desk, inbox) = Desk::new(events);
        let asker = tokio::spawn(async move { inbox.ask(ask_led()).await });
        let Some(Event::Request { reply, .. }) = received.recv().await else { unreachable!("no request") };
        assert!(desk.counts(reply));
        desk.reply(reply, PeerAnswer::Never);
        desk.reply(reply, PeerAnswer::Led);
        assert_eq!(asker.await.unwrap(), Ok(PeerAnswer::Never));
        assert!(!desk.counts(reply));
    }

    #[tokio::test]
    async fn m29_a_request_that_waited_too_long_does_not_count() {
        let (events, mut received) = channel();
        let (desk, inbox) = Desk::new(events);
        assert_eq!(inbox.ask(ask_led()).await, Err(Unanswered::Late));
        let event = received.recv().await.unwrap();
        assert!(!desk.wants(&event), "its asker has gone");
        assert!(desk.wants(&Event::Tick));
        let (sender, _answer) = oneshot::channel();
        let ticket = inbox.place(Waiter::Peer(sender)).unwrap();
        open(&inbox.places).get_mut(&ticket.id).unwrap().since -= PEER_LIMIT;
        assert!(!desk.counts(ticket.id), "frozen together with the HTTP thread");
    }

    #[tokio::test]
    async fn is_bounded_and_forgets_who_left() {
        let (events, _received) = channel();
        let (_desk, inbox) = Desk::new(events);
        let mut held = Vec::new();
        for _ in 0..WAITING {
            held.push(inbox.wish(Wish::Handover { to: None }).await.unwrap());
        }
        assert_eq!(inbox.wish(Wish::Handover { to: None }).await.err(), Some(Unanswered::Full));
        held.clear();
        assert!(open(&inbox.places).is_empty());
    }

    #[tokio::test]
    async fn a_person_who_does_not_read_is_dropped() {
        let (events, mut received) = channel();
        let (desk, inbox) = Desk::new(events);
        let mut lines = inbox.wish(Wish::Handover { to: None }).await.unwrap();
        let Some(Event::Operator { reply, .. }) = received.recv().await else { unreachable!("no wish") };
        for _ in 0..10 * LINES {
            desk.inform(reply, Progress::Step("a step".to_owned()));
        }
        let mut read = 0;
        while lines.next().await.is_some() {
            read += 1;
        }
        assert_eq!(read, LINES);
    }
}
