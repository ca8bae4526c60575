//! As whom replicas log in. Each cluster has a login of its own, so that no engine takes data from another cluster's. A redinit
//! of an earlier version does not know it, nor does one that does not know its id yet; a server without a supervisor knows no
//! user for replication at all.

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::cluster::ClusterTag;
use super::evidence::{FORGET, ServerEntry};
use super::id::Address;
use super::moment::Moment;
use super::rules::Mode;
use super::seen::Login;

/// Who has just learned its id asks its master again as whom to log in; not for longer.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// A server that restarts is nobody of ours for a moment, and one that has data is asked for its logins every 5 s only: as
/// long is who came by an older one let in.
const LET_IN_FOR: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Before its door opens the child knows the logins of its cluster.
    pub(super) fn belong_turn(&mut self) {
        let Some(tag) = self.settled_tag().filter(|_| self.child.running() && self.child.loaded) else { return };
        if self.child.belongs.as_ref() != Some(&tag) {
            self.child.order_once(&mut self.out, self.now, ChildOrder::Belong(tag), |order| {
                matches!(order, ChildOrder::Belong(_))
            });
        }
    }

    /// It knows this cluster's logins. As a member of another one it logs in by that one's until it is told anew.
    pub(super) fn belongs_now(&mut self, tag: &ClusterTag) {
        if self.child.belongs.replace(tag.clone()).is_some_and(|before| before != *tag) {
            self.child.login = None;
        }
    }

    fn knows_its_cluster(&self) -> bool {
        self.child.belongs.is_some() || self.child.under_way(|order| matches!(order, ChildOrder::Belong(_)))
    }

    /// It has been asked whether it knows our cluster's login, since we know that ourselves.
    pub(super) fn login_is_known(&self, master: Address) -> bool {
        let Some(settled) = self.evidence.settled_at.filter(|at| self.now.since(*at) < ASKED_AGAIN_WITHIN) else {
            return true;
        };
        self.evidence.servers.get(&master).is_none_or(|entry| entry.server.asked_since(settled))
    }

    /// Before the child is told to follow this one, and as long as it does: a server may come back as another build. What
    /// nobody could ask changes nothing; a refused login costs a second and no history.
    pub(super) fn log_in_at(&mut self, master: Address) {
        let entry = self.evidence.servers.get(&master);
        let Some(wanted) = entry.and_then(login_of) else { return };
        if wanted == Login::Cluster && !self.knows_its_cluster() {
            return;
        }
        if self.child.login.is_some_and(|login| wanted < login) && !self.is_worth_a_looser_login(master) {
            return;
        }
        if self.child.login != Some(wanted) {
            self.child.order_once(&mut self.out, self.now, ChildOrder::LogIn(wanted), |order| {
                matches!(order, ChildOrder::LogIn(_))
            });
        }
    }

    /// Whoever has got our master's address would be asked for its data by the engine itself, at once: by an older login only
    /// where it surely is one of ours, and does not stand there with nothing while we hold something.
    fn is_worth_a_looser_login(&self, master: Address) -> bool {
        if self.settled_tag().is_none() {
            return true;
        }
        let holds_nothing = self.child.seen().is_some_and(|seen| !seen.has_data);
        let ours = self.evidence.servers.get(&master).filter(|entry| self.evidence.is_one_of_ours(entry));
        let seen = ours.and_then(|entry| entry.server.remembered());
        seen.is_some_and(|(seen, _)| holds_nothing || seen.has_data != Some(false))
    }

    /// Who does not know our cluster's login comes by an older one: let in, at every server that it may have to follow the
    /// next moment, for as long as it is there. A refusal in the middle of a handover would cost it a full sync.
    pub(super) fn admit_turn(&mut self) {
        if self.rules.mode == Mode::Sentinel || !self.child.running() || !self.child.loaded {
            return;
        }
        let (wanted, old) = self.loosest_login();
        if self.child.admits == Some(wanted) || self.child.under_way(|order| matches!(order, ChildOrder::Admit(_))) {
            return;
        }
        if self.child.rests(&mut self.out, self.now) {
            return;
        }
        self.child.order(&mut self.out, self.now, ChildOrder::Admit(wanted));
        let reason = match (wanted, old) {
            (Login::Shared, Some(at)) => {
                format!("{at} knows no user for replication: replicas may come as `default` while it is there")
            }
            (Login::Own, Some(at)) => {
                format!(
                    "{at} does not know this cluster's login: replicas may come by the password alone while it is there"
                )
            }
            (Login::Cluster, _) => "every server knows this cluster's login: nobody comes by another one".to_owned(),
            (_, _) => "every server knows the user for replication: nobody comes as `default` any more".to_owned(),
        };
        self.decide(Level::Info, "replication", old, reason);
    }

    /// And for whom that is.
    fn loosest_login(&mut self) -> (Login, Option<Address>) {
        let now = self.now;
        // Not before everybody has been asked; who is new later loosens nothing before its answer.
        let all_asked = self.child.admits == Some(Login::Cluster) || self.looked_everywhere_since(Moment::ZERO);
        let strictest = if self.child.belongs.is_some() && all_asked { Login::Cluster } else { Login::Own };
        let known = self.evidence.servers.iter().filter(|(_, entry)| self.evidence.is_one_of_ours(entry));
        let loosest = known.filter_map(|(at, entry)| Some((login_lately(entry, now)?, *at))).min();
        if let Some((login, _)) = loosest.filter(|(login, _)| *login < strictest) {
            self.child.loosest = Some((login, now));
        }
        let lasting = self.child.loosest.filter(|(_, at)| now.since(*at) < LET_IN_FOR).map(|(login, _)| login);
        let wanted = lasting.map_or(strictest, |login| login.min(strictest));
        (wanted, loosest.filter(|(login, _)| *login == wanted).map(|(_, at)| at))
    }
}

fn login_of(entry: &ServerEntry) -> Option<Login> {
    entry.server.remembered().and_then(|(seen, _)| seen.login)
}

/// By what it comes to us. Who could not be asked, as where `default` may not read the ACL, may be of before: could not ask is
/// never "knows it". An empty master comes to nobody.
fn login_lately(entry: &ServerEntry, now: Moment) -> Option<Login> {
    let (seen, _) = entry.server.remembered().filter(|(_, at)| now.since(*at) < FORGET)?;
    let comes = !seen.role.is_master() || seen.has_data != Some(false);
    comes.then(|| seen.login.unwrap_or(Login::Own))
}
