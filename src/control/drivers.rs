//! Every driver behind one door: an action goes to whoever carries it out.

use std::sync::Arc;
use std::time::Duration;

use crate::api::desk::Desk;
use crate::api::peers::Peers;
use crate::control::saver::Saver;
use crate::core::action::{Action, Exit, Look};
use crate::discovery::Discovery;
use crate::elector;
use crate::engine::ChildDriver;
use crate::telemetry;

/// How long the elector's lease may hold up the end of the process.
const RELEASE_LIMIT: Duration = Duration::from_millis(300);

/// The drivers of one supervisor.
pub struct Drivers {
    /// The own child.
    pub child: ChildDriver,
    /// Sentinels, servers and names.
    pub discovery: Discovery,
    /// The elector.
    pub elector: elector::Client,
    /// Other supervisors.
    pub peers: Peers,
    /// Who asks us.
    pub desk: Desk,
    /// The state file.
    pub saver: Arc<Saver>,
    /// Our own pod.
    #[cfg(feature = "kubernetes")]
    pub pods: Option<crate::kubernetes::Pods>,
}

/// What is left for the control loop itself.
pub enum Rest {
    /// Nothing.
    Done,
    /// Log the whole status.
    LogStatus,
    /// End the process.
    Exit(Exit),
}

impl Drivers {
    /// Carries out one action. Only a promise is waited for: it must be on the disk before anybody hears of it.
    pub async fn carry_out(&self, action: Action) -> Rest {
        match action {
            Action::Look(look) => self.look(look),
            Action::Child { id, order } => self.child.order(id, order),
            Action::Sentinel { id, at, order } => self.discovery.order(id, at, order),
            Action::Ask { id, to, cluster, message, limit } => self.peers.ask(id, to, cluster, message, limit),
            Action::Reply { to, answer } => self.desk.reply(to, answer),
            Action::Inform { to, line } => self.desk.inform(to, line),
            Action::Save(record) => self.saver.save(*record),
            Action::Promise(record) => self.saver.promise(*record).await,
            Action::Cluster(tag) => self.discovery.belongs_to(tag),
            Action::Log(decision) => telemetry::decision(&decision),
            Action::Label { .. } | Action::Notice(_) => self.pod(action),
            Action::LogStatus => return Rest::LogStatus,
            Action::Exit(exit) => {
                self.saver.flush().await;
                self.elector.release(RELEASE_LIMIT);
                return Rest::Exit(exit);
            }
        }
        Rest::Done
    }

    #[cfg(feature = "kubernetes")]
    fn pod(&self, action: Action) {
        match (&self.pods, action) {
            (Some(pods), Action::Label { id, role }) => pods.label(id, role),
            (Some(pods), Action::Notice(notice)) => pods.notice(notice),
            // The rules ask for neither then.
            _ => {}
        }
    }

    #[cfg(not(feature = "kubernetes"))]
    fn pod(&self, _never_asked_for: Action) {}

    fn look(&self, look: Look) {
        match look {
            Look::Child { depth } => self.child.look(depth),
            Look::Supervisor { at } => self.peers.look_supervisor(at),
            Look::Elector => self.elector.look(),
            Look::Names | Look::Sentinel { .. } | Look::Server { .. } => self.discovery.look(look),
        }
    }
}
