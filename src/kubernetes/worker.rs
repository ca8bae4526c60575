//! The thread that talks to the API server on account of our pod: however slow that is, the control loop never waits.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::access::{Access, Caller};
use super::events::Reporter;
use super::pods::Labeller;
use crate::config::Settings;
use crate::config::settings::Pod;
use crate::control::events::EventSender;
use crate::core::event::Event;
use crate::core::id::RequestId;
use crate::core::label::{LabelFailure, PodRole};
use crate::core::notice::Notice;

/// The core has at most one order under way, and one that takes its place.
const ORDERS: usize = 8;
/// More notices than this at once say nothing new.
const NOTICES: usize = 16;

/// The driver. Cheap to call.
pub struct Pods {
    orders: Sender<(RequestId, PodRole)>,
    notices: Sender<Notice>,
    events: EventSender,
}

impl Pods {
    /// Starts the thread, where there is something to do: in a pod, with a label or Events wanted.
    pub fn start(settings: &Settings, run: &str, events: EventSender) -> Option<Self> {
        let pod = settings.pod.as_ref()?;
        let started = Access::of_the_pod().and_then(|access| {
            Pods::with(access, pod, &settings.election, run, events).map_err(|error| error.to_string())
        });
        started.map_err(|why| tracing::warn!(event = "label", "neither role label nor Events: {why}")).ok()
    }

    /// The same, with a way to the API server.
    fn with(access: Access, pod: &Pod, election: &str, run: &str, events: EventSender) -> std::io::Result<Self> {
        let (orders, inbox) = channel(ORDERS);
        let (notices, news) = channel(NOTICES);
        let label = pod.role_label.as_deref().unwrap_or_default();
        let caller = Caller::new(access.clone());
        let labeller = Labeller::new(caller, &pod.name, label, pod.group.as_deref(), election, run);
        let reporter = Reporter::new(access, &pod.name, run);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = events.clone();
        std::thread::Builder::new().name("kubernetes".to_owned()).spawn(move || {
            runtime
                .block_on(async { tokio::join!(label_as_ordered(labeller, inbox, answers), report(reporter, news)) });
        })?;
        Ok(Pods { orders, notices, events })
    }

    /// Brings the label to this, and answers with `Event::Labelled`; a newer order takes the place of an older one.
    pub fn label(&self, id: RequestId, role: PodRole) {
        if self.orders.try_send((id, role)).is_err() {
            let events = self.events.clone();
            drop(tokio::spawn(async move { events.send(superseded(id)).await }));
        }
    }

    /// Posts a notice, some time.
    pub fn notice(&self, notice: Notice) {
        let _too_many = self.notices.try_send(notice);
    }
}

async fn label_as_ordered(mut labeller: Labeller, mut inbox: Receiver<(RequestId, PodRole)>, events: EventSender) {
    let mut next = inbox.recv().await;
    while let Some((id, role)) = next.take() {
        tokio::select! {
            done = labeller.set(role) => {
                events.send(Event::Labelled { id, done }).await;
                next = inbox.recv().await;
            }
            newer = inbox.recv() => {
                events.send(superseded(id)).await;
                next = newer;
            }
        }
    }
}

async fn report(mut reporter: Reporter, mut news: Receiver<Notice>) {
    while let Some(notice) = news.recv().await {
        reporter.post(&notice).await;
    }
}

fn superseded(id: RequestId) -> Event {
    Event::Labelled { id, done: Err(LabelFailure::Superseded) }
}
