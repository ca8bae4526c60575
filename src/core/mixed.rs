//! Engines of different versions in one cluster: an older one cannot load the full sync of a newer one. So an older one leads
//! as long as there is one with the same data; and who cannot load keeps what it holds, instead of asking for one sync after
//! the other (944 forks of the master in 100 s, measured).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Expecting, Level};
use super::child::Door;
use super::course::{Course, Following, Told};
use super::engines::{EngineVersion, Reads};
use super::evidence::ServerEntry;
use super::id::{Address, Offset};
use super::message::Report;
use super::moment::Moment;
use super::rank::{history, same_data};
use super::seen::{Link, ReplicaRow, RoleSeen};

/// Added to the own `replica-priority` of one that should not lead while another can: Sentinels choose the lowest first.
const AFTER_ALL_OTHERS: u32 = 10_000;
/// A partial sync is done by then. What takes longer is a full one.
const PARTIAL_WITHIN: Duration = Duration::from_secs(2);

/// Who holds what a partial sync could go on from tries again after this, then after twice as long, and so on.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Not longer than 16 times that.
const MOST_DOUBLINGS: u32 = 4;

/// We have stopped following: our engine cannot load what this master sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The master.
    pub master: Address,
    /// Its engine then: with another one it is tried again.
    pub engine: EngineVersion,
    /// Since when.
    since: Moment,
    /// How often it was tried in vain before.
    tries: u32,
}

impl Parked {
    fn is_of(&self, master: Address, engine: EngineVersion) -> bool {
        (self.master, self.engine) == (master, engine)
    }

    fn lasts(&self, now: Moment) -> bool {
        now.since(self.since) < TRY_AGAIN * 2_u32.pow(self.tries.min(MOST_DOUBLINGS))
    }
}

impl Supervisor {
    /// Which engine stands there, ours included.
    pub(super) fn engine_of(&self, at: Address) -> Option<EngineVersion> {
        if at == self.rules.me { Some(self.rules.engine) } else { self.evidence.servers.get(&at)?.engine() }
    }

    /// A known server that could not load a full sync from this one, and its engine.
    pub(super) fn who_cannot_load_from(&self, at: Address) -> Option<(Address, EngineVersion)> {
        let engine = self.engine_of(at)?;
        let others = self.evidence.servers.keys().copied().chain([self.rules.me]).filter(|other| *other != at);
        let mut known = others.filter_map(|other| Some((other, self.engine_of(other)?)));
        known.find(|(_, other)| other.can_load_from(engine) == Reads::No)
    }

    /// `replica-priority` of one that should lead only where no other can.
    pub(super) fn priority_of_a_newer_engine(&self) -> Option<u32> {
        let newer = self.who_cannot_load_from(self.rules.me).is_some();
        newer.then(|| self.rules.priority.saturating_add(AFTER_ALL_OTHERS))
    }

    /// Equal data, and everybody can load from us, not from the candidate.
    pub(super) fn fits_better_than(&self, candidate: Address) -> bool {
        self.who_cannot_load_from(self.rules.me).is_none() && self.who_cannot_load_from(candidate).is_some()
    }

    /// A replica that holds no less than we, and from which everybody can load, where somebody cannot load from us.
    pub(super) fn replica_that_fits_better(&self) -> Option<(Address, Offset)> {
        self.who_cannot_load_from(self.rules.me)?;
        let own = history(&self.own_rank());
        self.evidence.servers.iter().find_map(|(at, entry)| {
            let seen = entry.server.view(self.now)?;
            let equal = !seen.role.is_master() && own.related(&seen.history) && seen.history.offset >= own.offset;
            let able = entry.supervisor.view(self.now).is_some_and(|supervisor| !supervisor.never);
            (equal && able && self.who_cannot_load_from(*at).is_none()).then_some((*at, seen.history.offset))
        })
    }

    /// Of the reports with the same data the first one whose engine everybody who reported can load from.
    pub(super) fn best_engine<'a>(&'a self, best: &'a Report) -> &'a Report {
        let fits = |report: &Report| {
            let Some(engine) = report.engine else { return true };
            let mut others = self.counting_reports().filter_map(|(_, other)| other.engine);
            others.all(|other| other.can_load_from(engine) != Reads::No)
        };
        if fits(best) {
            return best;
        }
        let equal = |report: &Report| !report.never && !report.loading && same_data(&report.rank, &best.rank);
        let mut others = self.counting_reports().map(|(_, report)| report);
        others.find(|report| equal(report) && fits(report)).unwrap_or(best)
    }

    /// The Sentinel that shows these rows would choose one that everybody can load from, where there is one: it may not
    /// have read yet that this one is back, nor may we.
    pub(super) fn would_choose_for_all(&self, rows: &[ReplicaRow]) -> bool {
        let fits = |at: Address| self.who_cannot_load_from(at).is_none();
        let mixed = self.evidence.servers.keys().any(|at| !fits(*at));
        let mut there = self.evidence.servers.iter().filter(|(_, entry)| entry.supervisor_answers(self.now));
        if !mixed || !there.any(|(at, _)| fits(*at)) {
            return true;
        }
        let choosable = || rows.iter().filter(|row| row.priority > 0 && !row.s_down && row.link_up);
        let first = choosable().map(|row| row.priority).min();
        first.is_some() && choosable().filter(|row| Some(row.priority) == first).all(|row| fits(row.address))
    }

    /// Its engine could never load what ours sends.
    pub(super) fn cannot_load_from_us(&self, entry: &ServerEntry) -> bool {
        entry.engine().is_some_and(|theirs| theirs.can_load_from(self.rules.engine) == Reads::No)
    }

    /// What a person is told who hands over to one that somebody cannot load from.
    pub(super) fn too_new_words(&self, to: Address) -> Option<String> {
        let engine = self.engine_of(to)?;
        let (other, theirs) = self.who_cannot_load_from(to)?;
        Some(format!(
            "{to}, {engine}, is newer than {other}, {theirs}: that one can follow only as long as it needs no full sync"
        ))
    }

    /// Why our engine cannot follow this master, where it cannot.
    pub(super) fn cannot_load(&self, master: Address) -> Option<EngineVersion> {
        let theirs = self.evidence.servers.get(&master).and_then(ServerEntry::engine)?;
        (self.rules.engine.can_load_from(theirs) == Reads::No).then_some(theirs)
    }

    /// The one line, in the log, in `/readyz` and in `/status`.
    pub(super) fn cannot_load_words(&self, master: Address, theirs: EngineVersion) -> String {
        let ours = self.rules.engine;
        format!(
            "its engine, {ours}, cannot load what {master}, {theirs}, sends: upgrade it, or hand over to an older one"
        )
    }

    /// That line, while we do not follow for that.
    pub(super) fn parked_words(&self) -> Option<String> {
        let parked = self.health.parked.filter(|parked| self.course.master() == Some(parked.master))?;
        (!self.child.streams_from(parked.master)).then(|| self.cannot_load_words(parked.master, parked.engine))
    }

    /// May the child be told to follow this master? A partial sync asks for nothing of an engine's version: where the histories
    /// are related it is tried, and again after a growing time. At the address of the dead nobody sends anything yet.
    pub(super) fn may_be_told_to_follow(&mut self, master: Address) -> bool {
        let of_the_dead = matches!(&self.course, Course::Following(following) if following.of_the_dead);
        let Some(theirs) = self.cannot_load(master).filter(|_| !of_the_dead) else {
            self.health.parked = None;
            return true;
        };
        let parked = self.health.parked.filter(|parked| parked.is_of(master, theirs));
        let shown = self.evidence.servers.get(&master).and_then(|entry| entry.server.remembered());
        let own = self.child.last_seen().filter(|seen| seen.has_data);
        let related = own.zip(shown).is_some_and(|(own, (theirs, _))| own.history.related(&theirs.history));
        if !related && parked.is_none() {
            self.park(master, theirs);
        }
        related && !parked.is_some_and(|parked| parked.lasts(self.now))
    }

    fn park(&mut self, master: Address, engine: EngineVersion) {
        let tries =
            self.health.parked.filter(|parked| parked.is_of(master, engine)).map_or(0, |parked| parked.tries + 1);
        self.health.parked = Some(Parked { master, engine, since: self.now, tries });
        let reason = self.cannot_load_words(master, engine);
        self.decide(Level::Error, "engine", Some(master), reason);
        self.save_soon();
    }

    /// It was tried, and is no partial sync: the child stops asking for what it cannot load, before it has emptied itself where
    /// the sync takes its time. Its door is shut: nobody shall read what it was.
    pub(super) fn stop_a_sync_that_cannot_be_loaded(&mut self) {
        let Course::Following(Following { master, told: Told::Obeyed, of_the_dead: false, .. }) = self.course else {
            return;
        };
        let (Some(seen), Some(theirs)) = (self.child.seen(), self.cannot_load(master)) else { return };
        if matches!(seen.role, RoleSeen::Replica { link: Link::Up, .. }) {
            self.health.parked = None;
            return;
        }
        let full = match seen.role {
            RoleSeen::Replica { master: Some(at), link: Link::Syncing } => at == master,
            RoleSeen::Replica { master: Some(at), link: Link::Down } => {
                at == master && self.says_master(master) && self.child.link_down_for(self.now) > PARTIAL_WITHIN
            }
            _ => false,
        };
        if !full || seen.loading.is_some() || self.child.role_in_motion() || self.release.is_some() {
            return;
        }
        self.park(master, theirs);
        self.child.order(
            &mut self.out,
            self.now,
            ChildOrder::Follow { master: Address::nobody(), expecting: Expecting::Replica },
        );
        if self.child.door == Door::Open {
            self.child.order(&mut self.out, self.now, ChildOrder::ShutDoor);
        }
        if let Course::Following(following) = &mut self.course {
            following.told = Told::No;
        }
    }
}
