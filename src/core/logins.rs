//! As whom replicas log in: replication has a user of its own, which neither a redinit of an earlier version nor a server
//! without a supervisor knows.

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::evidence::{FORGET, ServerEntry};
use super::id::Address;
use super::rules::Mode;
use super::seen::Login;

impl Supervisor {
    /// Before the child is told to follow this one, and as long as it does: a server may come back as another build. What
    /// nobody could ask changes nothing; a refused login costs a second and no history.
    pub(super) fn log_in_at(&mut self, master: Address) {
        let entry = self.evidence.servers.get(&master);
        let Some(wanted) = entry.and_then(login_of) else { return };
        if self.child.login != Some(wanted) {
            self.child.order_once(&mut self.out, self.now, ChildOrder::LogIn(wanted), |order| {
                matches!(order, ChildOrder::LogIn(_))
            });
        }
    }

    /// Who knows no user for replication comes with the shared password: let in, at every server that it may have to follow
    /// the next moment, for as long as it is there. A refusal in the middle of a handover would cost it a full sync.
    pub(super) fn admit_turn(&mut self) {
        if self.rules.mode == Mode::Sentinel || !self.child.running() || !self.child.loaded {
            return;
        }
        let now = self.now;
        let lately = |entry: &ServerEntry| {
            entry
                .server
                .remembered()
                .is_some_and(|(seen, at)| seen.login == Some(Login::Shared) && now.since(at) < FORGET)
        };
        let old = self.evidence.servers.iter().find(|(_, entry)| lately(entry)).map(|(at, _)| *at);
        let wanted = if old.is_some() { Login::Shared } else { Login::Own };
        if self.child.admits == Some(wanted) || self.child.under_way(|order| matches!(order, ChildOrder::Admit(_))) {
            return;
        }
        if self.child.rests(&mut self.out, now) {
            return;
        }
        self.child.order(&mut self.out, now, ChildOrder::Admit(wanted));
        let reason = match old {
            Some(at) => format!("{at} knows no user for replication: replicas may come as `default` while it is there"),
            None => "every server knows the user for replication: nobody comes as `default` any more".to_owned(),
        };
        self.decide(Level::Info, "replication", old, reason);
    }
}

fn login_of(entry: &ServerEntry) -> Option<Login> {
    entry.server.remembered().and_then(|(seen, _)| seen.login)
}
