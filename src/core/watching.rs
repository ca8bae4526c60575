//! As whom Sentinels log in at servers, and whom servers let into the channel by which Sentinels find each other. Each cluster
//! has a login of its own, so that no Sentinel of another one takes part there. A redinit of an earlier version does not know
//! it, nor does one that does not know its id yet.
//!
//! A Sentinel that an engine has refused never logs in again on that connection, whatever is allowed later (measured): so it
//! changes its login only where everybody takes it, and asks anew where it was refused all the same.

use std::time::Duration;

use super::Supervisor;
use super::action::{Change, ChildOrder, Level};
use super::cluster::{ClusterTag, Kinship, kinship};
use super::event::OrderFailure;
use super::evidence::{Evidence, MOST_TARGETS, SentinelEntry, ServerEntry, Word};
use super::id::Address;
use super::moment::Moment;
use super::rules::Mode;
use super::seen::{Login, MasterRow, RoleSeen, SentinelSeen};
use super::sentinel_life::NEXT_ONE;

/// All servers must have known the login for this long before the first Sentinel takes it: its links to them end for that.
const STEADY: Duration = Duration::from_secs(5);
/// A replica without the login may learn it in a moment: it has lost its volume, or an engine has just been started.
const LEARNS_WITHIN: Duration = Duration::from_secs(10);
/// A server that takes the login, answers us, and is down to our Sentinel for so long, has refused it before.
const REFUSED_FOR: Duration = Duration::from_secs(3);
/// Asked anew no more often than this.
const ANEW_EVERY: Duration = Duration::from_secs(30);

/// Sentinels' supervisors are asked this often for how those log in, and where one does not by the cluster's.
const ASKED_EVERY: Duration = Duration::from_secs(5);
const ASKED_SOON: Duration = Duration::from_secs(2);
/// All Sentinels must have logged in by the cluster's login for so long before others are shut out.
const SURE_FOR: Duration = Duration::from_secs(10);
/// A Sentinel that answers beside a supervisor that does not is nobody's we could ask after this.
const SUPERVISOR_SILENT: Duration = Duration::from_secs(15);

/// What the supervisor keeps in mind for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watching {
    /// By whose login our Sentinel comes, as last confirmed; `None` where nobody knows.
    pub(super) login: Option<Watched>,
    /// Since when all servers have known it, in calm.
    all_since: Option<Moment>,
    /// Since when one of ours that answers has not.
    lacking_since: Option<Moment>,
    /// Which server has refused it, as it seems, and since when.
    refused: Option<(Address, Moment)>,
    /// When it was last asked anew.
    anew_at: Option<Moment>,
    /// A server's supervisor: since when all Sentinels have shown it.
    shown_since: Option<Moment>,
}

/// A login at servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// As every Sentinel came before there was any other.
    Shared,
    /// As one of this cluster's.
    Cluster(ClusterTag),
}

/// What our Sentinel and the servers show now.
struct Sight {
    /// Links may end for a moment.
    calm: bool,
    /// In calm: every server that it looks after has shown the login.
    all: bool,
    /// One of ours that answers does not know it, or could not be asked.
    lacking: Option<Address>,
    /// The master is such a one.
    at_master: bool,
    /// One that takes the login and answers us is down to our Sentinel all the same.
    refuses: Option<Address>,
}

impl Supervisor {
    /// It comes by this login now.
    pub(super) fn watches_now(&mut self, cluster: Option<&ClusterTag>) {
        self.sentinel.watching.login = Some(cluster.cloned().map_or(Watched::Shared, Watched::Cluster));
    }

    /// It was not told to; or nobody knows whether it was.
    pub(super) fn watches_otherwise(&mut self, cluster: Option<&ClusterTag>, failure: &OrderFailure) {
        let ours = self.settled_tag().map(Watched::Cluster);
        match failure {
            OrderFailure::Unknown => self.sentinel.watching.login = None,
            OrderFailure::OtherRole => {
                self.sentinel.watching.login = if cluster.is_some() { Some(Watched::Shared) } else { ours };
            }
            _ => {}
        }
    }

    /// What we tell others of our Sentinel; nothing of a server.
    pub(super) fn login_shown(&self) -> Option<Login> {
        let ours = self.settled_tag().map(Watched::Cluster);
        let by_ours = ours.is_some() && self.sentinel.watching.login == ours;
        (self.rules.mode == Mode::Sentinel).then_some(if by_ours { Login::Cluster } else { Login::Own })
    }

    /// Our Sentinel comes by the cluster's login once all servers know it, and back where one of ours does not; who is down
    /// changes nothing. Never while a failover runs, nor while the master is down: its links end for a moment.
    pub(super) fn watch_turn(&mut self) {
        let (Some(tag), Some(sight)) = (self.settled_tag(), self.sight_of_logins()) else { return };
        self.note_sight(&sight);
        let ours = Watched::Cluster(tag);
        let watching = &self.sentinel.watching;
        if watching.login.is_none() {
            // What it did before our start its file tells.
            let likely = if sight.lacking.is_some() { Watched::Shared } else { ours };
            return self.order_login(likely, Change::None);
        }
        let by_ours = watching.login.as_ref() == Some(&ours);
        if let Some((at, since)) = sight.lacking.zip(watching.lacking_since) {
            let waited = sight.at_master || self.now.since(since) >= LEARNS_WITHIN;
            // A master that does not know it is down to who comes by it: there is nothing else to wait for.
            let may = sight.calm || sight.at_master && !self.a_failover_runs();
            if waited && may && watching.login != Some(Watched::Shared) {
                let reason =
                    format!("{at} does not know this cluster's login for Sentinels: ours comes by the password");
                self.watch_as(Watched::Shared, Change::Needed, Some(at), reason);
            }
        } else if !by_ours {
            self.take_our_login(ours);
        } else if let Some(at) = self.refused_for_long() {
            self.sentinel.watching.anew_at = Some(self.now);
            let reason =
                format!("{at} knows this cluster's login and has refused our Sentinel before: it logs in anew");
            self.watch_as(ours, Change::Anew, Some(at), reason);
        }
    }

    /// Where it monitors.
    fn sight_of_logins(&self) -> Option<Sight> {
        let own = self.own_sentinel()?;
        let master = own.master.as_ref()?.address;
        let rows = own.rows.iter().flat_map(|rows| &rows.replicas).map(|row| row.address);
        let refuses = |at: &Address| own.shows_down(*at) && self.evidence.takes_it(*at, own, self.now);
        let calm = self.calm_enough_to_log_in();
        Some(Sight {
            calm,
            all: calm && self.all_know_it(own),
            lacking: self.evidence.lacking(self.now),
            at_master: self.evidence.lacks(master, self.now),
            refuses: rows.chain([master]).find(refuses),
        })
    }

    fn note_sight(&mut self, sight: &Sight) {
        let (now, all, lacking) = (self.now, sight.all, sight.lacking.is_some());
        let watching = &mut self.sentinel.watching;
        watching.all_since = watching.all_since.filter(|_| all).or(all.then_some(now));
        watching.lacking_since = watching.lacking_since.filter(|_| lacking).or(lacking.then_some(now));
        let before = watching.refused.filter(|(at, _)| sight.refuses == Some(*at));
        watching.refused = before.or(sight.refuses.map(|at| (at, now)));
    }

    /// Nobody refuses a Sentinel for good but by mistake: it may ask again.
    fn refused_for_long(&self) -> Option<Address> {
        let (at, since) = self.sentinel.watching.refused?;
        let rested = self.sentinel.watching.anew_at.is_none_or(|at| self.now.since(at) >= ANEW_EVERY);
        (rested && self.now.since(since) >= REFUSED_FOR && !self.a_failover_runs()).then_some(at)
    }

    /// One after the other: those without links see nobody in between.
    fn take_our_login(&mut self, ours: Watched) {
        let (Some(since), Some(place)) = (self.sentinel.watching.all_since, self.place(|_| true)) else { return };
        let due = since + STEADY + NEXT_ONE * place;
        if self.now < due {
            return self.out.wake_at(due);
        }
        let reason = "every server knows this cluster's login for Sentinels: ours comes by it".to_owned();
        self.watch_as(ours, Change::Needed, None, reason);
    }

    fn watch_as(&mut self, login: Watched, how: Change, about: Option<Address>, reason: String) {
        if self.child.rests(&mut self.out, self.now) || self.child.under_way(is_watch_as) {
            return;
        }
        self.sentinel.watching.all_since = None;
        self.order_login(login, how);
        self.decide(Level::Info, "login", about, reason);
    }

    fn order_login(&mut self, login: Watched, how: Change) {
        let cluster = match login {
            Watched::Shared => None,
            Watched::Cluster(tag) => Some(tag),
        };
        self.child.order_once(&mut self.out, self.now, ChildOrder::WatchAs { cluster, how }, is_watch_as);
    }

    /// No Sentinel that answers shows a failover or a master that is down, and ours has a link to it.
    fn calm_enough_to_log_in(&self) -> bool {
        let mut masters = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        !masters.any(MasterRow::troubled) && self.own_row().is_some_and(|row| !row.disconnected)
    }

    /// Every server that our Sentinel lists has shown it, and every other one of ours; who has is believed when it is down.
    fn all_know_it(&self, own: &SentinelSeen) -> bool {
        let Some(rows) = own.rows.as_ref().filter(|_| self.evidence.resolved) else { return false };
        let mut listed = rows.replicas.iter().map(|row| row.address).chain(own.master.iter().map(|row| row.address));
        let shown = |entry: &ServerEntry| self.evidence.has_shown_it(entry);
        listed.all(|at| self.evidence.servers.get(&at).is_some_and(shown))
            && self.evidence.ours_that_have_answered().all(|(_, entry)| shown(entry))
    }

    /// A server lets Sentinels in by the shared password for as long as one of ours may need it.
    pub(super) fn admit_sentinels_turn(&mut self) {
        if self.rules.mode == Mode::Sentinel || !self.child.running() || !self.child.loaded {
            return;
        }
        let needs = self.who_needs_the_shared_login();
        let sure = self.child.belongs.is_some() && needs.is_none();
        let since = self.sentinel.watching.shown_since.filter(|_| sure).or(sure.then_some(self.now));
        self.sentinel.watching.shown_since = since;
        let wanted = match since {
            Some(since) if self.now.since(since) >= SURE_FOR => Login::Cluster,
            // On the way there nothing changes; an order that was lost is given again as what hurts nobody.
            Some(_) => self.child.admits_sentinels.unwrap_or(Login::Own),
            None => Login::Own,
        };
        if self.child.admits_sentinels == Some(wanted)
            || self.child.under_way(|order| matches!(order, ChildOrder::AdmitSentinels(_)))
            || self.child.rests(&mut self.out, self.now)
        {
            return;
        }
        self.child.order(&mut self.out, self.now, ChildOrder::AdmitSentinels(wanted));
        let about = needs.flatten();
        let reason = match (wanted, about) {
            (Login::Cluster, _) => "every Sentinel logs in as one of this cluster: nobody else may speak to them here",
            (_, Some(_)) => "a Sentinel does not show this cluster's login: Sentinels may come by the password alone",
            (_, None) => "too few Sentinels answer: Sentinels may come by the password alone",
        };
        self.decide(Level::Info, "login", about, reason.to_owned());
    }

    /// A Sentinel of ours that has not shown that it comes by the cluster's login; or nobody in particular: none is known, or
    /// most are gone and may come back as another build.
    fn who_needs_the_shared_login(&self) -> Option<Option<Address>> {
        let ours: Vec<_> = self.evidence.our_sentinels(self.now).collect();
        if let Some((at, _)) = ours.iter().find(|(at, entry)| !self.evidence.comes_as_ours(*at, entry, self.now)) {
            return Some(Some(*at));
        }
        let answering = ours.iter().filter(|(_, entry)| entry.seen.view(self.now).is_some()).count();
        let all_known = self.evidence.resolved && self.evidence.sentinels.len() < MOST_TARGETS;
        (!all_known || answering * 2 <= ours.len()).then_some(None)
    }

    /// Whose supervisors a server's asks for that, and how often.
    pub(super) fn watchers_to_ask(&self) -> Vec<(Address, Duration)> {
        if self.rules.mode == Mode::Sentinel || self.child.belongs.is_none() {
            return Vec::new();
        }
        let every = |(at, entry): (Address, &SentinelEntry)| {
            let shown = self.evidence.comes_as_ours(at, entry, self.now);
            (at, if shown { ASKED_EVERY } else { ASKED_SOON })
        };
        self.evidence.our_sentinels(self.now).map(every).collect()
    }
}

fn is_watch_as(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::WatchAs { .. })
}

impl Evidence {
    /// Servers of ours, each at its own address, that have answered at all.
    fn ours_that_have_answered(&self) -> impl Iterator<Item = (Address, &ServerEntry)> {
        let servers = self.servers.iter().map(|(at, entry)| (*at, entry));
        servers.filter(|(_, entry)| {
            entry.word == Word::Ours && self.is_one_of_ours(entry) && entry.server.remembered().is_some()
        })
    }

    /// One of ours that answers and does not know the login, or could not be asked.
    fn lacking(&self, now: Moment) -> Option<Address> {
        self.ours_that_have_answered().map(|(at, _)| at).find(|at| self.lacks(*at, now))
    }

    fn lacks(&self, at: Address, now: Moment) -> bool {
        let entry = self.servers.get(&at).filter(|entry| self.is_one_of_ours(entry));
        let answers = entry.is_some_and(|entry| entry.server.view(now).is_some() && self.asked_by_name(entry));
        answers && !entry.is_some_and(|entry| self.has_shown_it(entry)) && !self.is_a_second_address(at, now)
    }

    fn has_shown_it(&self, entry: &ServerEntry) -> bool {
        let seen = entry.server.remembered().filter(|_| self.asked_by_name(entry));
        seen.is_some_and(|(seen, _)| seen.knows_sentinels == Some(true))
    }

    /// Since we know our id: before nobody could be asked for its login.
    fn asked_by_name(&self, entry: &ServerEntry) -> bool {
        let since = self.settled_at.unwrap_or(Moment::ZERO);
        entry.server.remembered().is_some_and(|(_, asked)| asked >= since)
    }

    /// It answers, takes the login, and is what our Sentinel takes it for: else that finds it down for another reason.
    fn takes_it(&self, at: Address, own: &SentinelSeen, now: Moment) -> bool {
        let seen = self.servers.get(&at).and_then(|entry| entry.server.view(now));
        let is_master = |role: &RoleSeen| !own.names(at) || role.is_master();
        seen.is_some_and(|seen| seen.knows_sentinels == Some(true) && is_master(&seen.role))
    }

    /// Sentinels of our cluster, as far as anybody can tell.
    fn our_sentinels(&self, now: Moment) -> impl Iterator<Item = (Address, &SentinelEntry)> {
        let foreign = |entry: &SentinelEntry| entry.id_there.as_ref().is_some_and(|id| self.is_foreign_sentinel(id));
        let all = self.sentinels.iter().map(|(at, entry)| (*at, entry));
        all.filter(move |(at, entry)| !entry.second && !foreign(entry) && !self.is_a_bystander(*at, now))
    }

    /// By its supervisor's last word. Who has shown it and is gone comes back so; one that answers beside a supervisor that does
    /// not is another one.
    fn comes_as_ours(&self, at: Address, entry: &SentinelEntry, now: Moment) -> bool {
        let Some((seen, _)) = entry.watcher.remembered() else { return false };
        let ours = kinship(self.settled(), seen.cluster.as_ref()) == Kinship::Ours && seen.node == Some(at);
        let alone = entry.alone_since.is_some_and(|since| now.since(since) > SUPERVISOR_SILENT);
        ours && seen.login == Login::Cluster && !alone
    }
}
