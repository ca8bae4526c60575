//! The one way into the control task.

use tokio::sync::mpsc;

use crate::core::event::Event;

/// How many events may wait. A full queue makes senders wait; nothing is dropped.
const QUEUE: usize = 1024;

/// Sends events to the control task, from any thread or task.
#[derive(Clone, Debug)]
pub struct EventSender(mpsc::Sender<Event>);

/// The control task's end.
pub type EventReceiver = mpsc::Receiver<Event>;

/// The channel.
pub fn channel() -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (EventSender(sender), receiver)
}

impl EventSender {
    /// Sends from a task. An event for a control task that has ended is nobody's any more.
    pub async fn send(&self, event: Event) {
        let _ended = self.0.send(event).await;
    }

    /// Sends from a thread that is no task (the reaper, the signal thread).
    pub fn send_blocking(&self, event: Event) {
        let _ended = self.0.blocking_send(event);
    }
}
