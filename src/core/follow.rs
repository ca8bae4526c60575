//! Following: whom, and when the child is told (H1, H3).

use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Expecting, Level};
use super::child::Door;
use super::course::{Course, Following, Told};
use super::event::Maintenance;
use super::evidence::ServerEntry;
use super::evidence::Word;
use super::id::{Address, AttemptId, Epoch, ReplyId};
use super::message::PeerAnswer;
use super::moment::Moment;
use super::seen::{RoleSeen, ServerSeen};
use super::verdict::Verdict;

/// No more than one rewrite in this time on conflicting answers (H3).
const REWRITE_PAUSE: Duration = Duration::from_secs(10);
/// A door stays shut so long at most because others still follow us: longer than a vote takes.
const STILL_FOLLOWED: Duration = Duration::from_secs(60);
/// A leader's own word is believed this long; by then the Sentinels name it or it is gone.
const HINT_LASTS: Duration = Duration::from_secs(10);

/// A supervisor said that it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedHint {
    /// Who.
    pub leader: Address,
    /// Under which attempt.
    pub attempt: AttemptId,
    /// When we heard it.
    pub at: Moment,
    /// The epoch it knew.
    pub epoch: Epoch,
}

impl Supervisor {
    /// Somebody says that it leads. We follow as soon as its server says so too.
    pub(super) fn led_heard(&mut self, reply: ReplyId, leader: Address, attempt: AttemptId, epoch: Epoch) {
        if leader == self.rules.me {
            return self.out.refuse(reply, "that is us");
        }
        if self.stands_alone() {
            return self.out.refuse(reply, "a standalone server");
        }
        self.evidence.hear_of(leader, self.now);
        if let Some(release) = &self.release {
            let ours = release.attempt == attempt && matches!(release.stage, super::release::Stage::Out { .. });
            let already =
                release.candidate == leader && matches!(release.stage, super::release::Stage::Following { .. });
            if ours || already {
                self.out.reply(reply, PeerAnswer::Following);
                if ours {
                    self.follow_candidate(leader);
                }
                return;
            }
        }
        if self.course.leading().is_some_and(|leading| leading.fence.is_none()) || self.release.is_some() {
            return self.out.refuse(reply, format!("{} leads", self.rules.me));
        }
        let other =
            self.standing_consent().map(|given| given.candidate).filter(|at| *at != leader && *at != self.rules.me);
        if let Some(other) = other {
            return self.out.refuse(reply, format!("{} has consented to {other}", self.rules.me));
        }
        if self.course.master() == Some(leader) {
            let streams = self.child.streams_from(leader);
            return match streams {
                true => self.out.reply(reply, PeerAnswer::Following),
                false => self.out.refuse(reply, "not attached yet"),
            };
        }
        self.led_hint = Some(LedHint { leader, attempt, at: self.now, epoch });
        self.look_at_server(leader);
        self.out.refuse(reply, "looking whether it says master");
    }

    /// Whom to follow now, with the reason.
    fn whom_to_follow(&mut self) -> Option<(Address, Epoch, &'static str)> {
        if self.may_be_of_another_cluster() {
            return None;
        }
        let epoch = self.evidence.highest_epoch(self.now);
        if let Some(hint) = &self.led_hint
            && self.now.since(hint.at) < HINT_LASTS
            && self.evidence.servers.get(&hint.leader).is_some_and(|entry| entry.says_master_since(hint.at))
        {
            // An address may have belonged to another cluster before: only a leader of our own history is believed at
            // its word; a foreign one must be named by our Sentinels, or be the choice of a vote that we took part in:
            // with AOF every engine starts a history of its own (B4).
            let ours = self.took_part_in.as_ref().is_some_and(|vote| (&vote.0, vote.1) == (&hint.attempt, hint.leader));
            let foreign = !ours && (self.is_unrelated(hint.leader) || self.is_hearsay(hint.leader));
            // Its epoch is older than what a majority names, that one living or not: it has been deposed (D6).
            let deposed = self.named().is_some_and(|(at, epoch)| at != hint.leader && epoch > hint.epoch);
            let overruled = foreign || deposed;
            if !overruled {
                return Some((hint.leader, epoch, "its supervisor says that it leads"));
            }
        }
        match &self.verdict.clone() {
            Verdict::Confirmed { master, epoch } if *master != self.rules.me => {
                Some((*master, *epoch, "a majority of Sentinels names it and it says master"))
            }
            // A hint has no epoch of its own. Whoever has not been asked yet may say master too (F2).
            Verdict::Hint { master }
                if *master != self.rules.me
                    && self.looked_everywhere_since(Moment::ZERO)
                    && !self.waits_for_its_own_address(*master)
                    && self.may_be_the_clusters(*master)
                    && self.may_follow_at(*master) =>
            {
                let epoch = if let Course::Following(following) = &self.course { following.epoch } else { epoch };
                Some((*master, epoch, "it says master and nobody else does"))
            }
            _ => None,
        }
    }

    /// Nobody but messages speaks of it, and it is not the coordinator, whom we found by ourselves.
    fn is_hearsay(&self, leader: Address) -> bool {
        let ours = self.evidence.servers.get(&leader).is_some_and(|entry| entry.word == Word::Ours);
        !ours && self.vote.reported.is_none_or(|(_, to)| to != leader)
    }

    /// We hold data, and that server's history has no part of them.
    pub(super) fn is_unrelated(&self, master: Address) -> bool {
        let own = self.own_rank();
        let theirs = self.evidence.servers.get(&master).and_then(|entry| entry.server.view(self.now));
        own.has_data && theirs.is_some_and(|seen| !super::rank::history(&own).related(&seen.history))
    }

    /// It says master, and no Sentinel decides: for an unrelated history we do not give up data of our own, unless most of
    /// the known servers stand behind it by now, or a lease (S6: a name that resolves to a server of nobody's cluster).
    pub(super) fn may_be_the_clusters(&self, master: Address) -> bool {
        let behind = 1 + self.evidence.streaming_from(master, self.now);
        let elector = self.evidence.elector.seen.view(self.now);
        !self.is_unrelated(master)
            || behind > self.evidence.known_servers(&self.rules, self.now) / 2
            || elector.is_some_and(|seen| seen.lease && seen.leader.contains(&master.ip()))
    }

    /// Behind a Service that has only the master ready it is seen at an address that may be ours tomorrow (M18). Its word, or
    /// the coordinator's, tells where it is; but not for ever.
    fn waits_for_its_own_address(&self, master: Address) -> bool {
        self.now.since(self.started) < self.rules.w() && self.evidence.may_be_a_service(master, self.now)
    }

    /// One turn of one who does not lead.
    pub(super) fn follow_turn(&mut self) {
        if self.course.leading().is_some()
            || self.candidacy.as_ref().is_some_and(|c| matches!(c.stage, super::candidacy::Stage::Leading { .. }))
        {
            return;
        }
        if let Some((master, epoch, reason)) = self.whom_to_follow() {
            self.consider_following(master, epoch, reason);
        }
        if let Some(master) = self.course.master() {
            self.log_in_at(master);
        }
        self.bring_child_to_course();
        self.stop_a_sync_that_cannot_be_loaded();
        self.cut_silent_link();
        self.quicken_in_silence();
        self.quicken_after_reset();
        self.heal_stalled_sync();
        self.keep_before_the_engine_syncs();
        self.hasten_connecting();
    }

    fn consider_following(&mut self, master: Address, epoch: Epoch, reason: &'static str) {
        let change = match &self.course {
            Course::Undecided => true,
            Course::Following(following) => {
                let newer = epoch > following.epoch || following.of_the_dead;
                // A leader's own word, its predecessor gone: nothing conflicts.
                let told = self.led_hint.as_ref().is_some_and(|hint| hint.leader == master)
                    && !self.master_lives(following.master);
                let rested = told || self.rewritten_at.is_none_or(|at| self.now.since(at) >= REWRITE_PAUSE);
                following.master != master && (newer || rested)
            }
            Course::Leading(_) => false,
        };
        if change && (self.maintenance == Maintenance::Off || matches!(self.course, Course::Undecided)) {
            self.set_following(master, reason);
        } else if let Course::Following(following) = &mut self.course
            && following.master == master
        {
            following.epoch = following.epoch.max(epoch);
            following.of_the_dead = false;
        }
    }

    /// Decides to follow; the child is told in the same turn or as soon as it can be.
    pub(super) fn set_following(&mut self, master: Address, reason: &str) {
        if let Some(candidacy) = &self.candidacy
            && candidacy.replaces != master
        {
            self.end_attempt(format!("{master} leads"));
        }
        self.decide(Level::Info, "follow", Some(master), format!("following {master}: {reason}"));
        if !self.evidence.servers.contains_key(&master) {
            self.evidence.add_server(master, self.now);
        }
        self.followed_last = Some(master);
        let epoch = self.evidence.highest_epoch(self.now);
        self.course =
            Course::Following(Following { master, since: self.now, told: Told::No, epoch, of_the_dead: false });
        self.vote.rest();
        self.asker.rest();
        self.crash = None;
        self.calm_since = None;
        // The failover that it hastened is over. A Sentinel that has just switched must read us before it can choose us,
        // should this master die next (D1: 2.4 s).
        self.unquicken();
        self.save_soon();
    }

    /// 3.4: everybody opens as a replica of the dead address, so that Sentinel can choose (measured: 3.1 s).
    pub(super) fn open_as_replica_of_the_dead(&mut self, dead: Address, epoch: Epoch) {
        self.left_behind = false;
        if matches!(&self.course, Course::Following(following) if following.of_the_dead && following.master == dead) {
            return;
        }
        self.decide(
            Level::Warn,
            "open",
            Some(dead),
            format!("open as a replica of {dead}, which is gone, so that a Sentinel can choose"),
        );
        self.followed_last = Some(dead);
        self.course =
            Course::Following(Following { master: dead, since: self.now, told: Told::No, epoch, of_the_dead: true });
    }

    /// Reads the own role first, then `REPLICAOF`, once; then opens the door.
    fn bring_child_to_course(&mut self) {
        let Course::Following(following) = &self.course else { return };
        if !self.child.running()
            || !self.child.loaded
            || self.child.role_in_motion()
            || self.child.rests(&mut self.out, self.now)
        {
            return;
        }
        let (master, told, since) = (following.master, following.told, following.since);
        let of_the_dead = following.of_the_dead;
        let Some(seen) = self.child.seen() else { return };
        // The own role and offset are read again first (H1): what we saw may be from before we were frozen.
        if told == Told::No && self.child.seen_since(since).is_none() {
            return self.lookout.want(super::action::Look::Child { depth: super::action::Depth::Glance });
        }
        if told == Told::No && !self.login_is_known(master) {
            return self.look_soon(super::action::Look::Server { at: master });
        }
        if told == Told::No && self.volume_is_foreign(master) {
            return self.refuse_volume(master);
        }
        if matches!(seen.role, RoleSeen::Replica { link: super::seen::Link::Up, .. }) {
            self.left_behind = false;
        }
        let there = seen.role.master() == Some(master);
        let expecting = if seen.role.is_master() { Expecting::Master } else { Expecting::Replica };
        if !there && (told == Told::No || self.may_rewrite_again()) && self.may_be_told_to_follow(master) {
            // Promoted by a hand that went round the gate, it may have taken writes, and takes more while they are kept.
            let by_hand = told == Told::Obeyed && expecting == Expecting::Master && self.unresolved.is_none();
            if by_hand {
                self.child.order(&mut self.out, self.now, ChildOrder::Fence);
            }
            if (told == Told::No || by_hand) && !self.keep_what_a_sync_discards(master) {
                return self.look_soon(super::action::Look::Supervisor { at: master });
            }
            self.rewritten_at = Some(self.now);
            self.child.order(&mut self.out, self.now, ChildOrder::Follow { master, expecting });
            if let Course::Following(following) = &mut self.course {
                following.told = Told::Yes;
            }
            if expecting == Expecting::Master {
                self.clients_to_dismiss = true;
            }
            return;
        }
        if there && let Course::Following(following) = &mut self.course {
            following.told = Told::Obeyed;
        }
        if there
            && self.child.door == Door::Shut
            && self.stop.is_none()
            && !self.is_still_followed(since)
            && (of_the_dead || !self.waits_for_other_clusters())
        {
            self.child.order_once(&mut self.out, self.now, ChildOrder::OpenDoor, |order| {
                matches!(order, ChildOrder::OpenDoor)
            });
        }
        if there && self.clients_to_dismiss && self.release.is_none() {
            // I1: clients of a demoted master must find the new one.
            self.clients_to_dismiss = false;
            self.child.order(&mut self.out, self.now, ChildOrder::Dismiss);
        }
    }

    /// Others still follow us, who are no master any more and may hold less than they: behind an open door their engines would
    /// sync that at once, before anybody can keep what they hold (sim 11642). Not for ever.
    fn is_still_followed(&mut self, since: Moment) -> bool {
        let me = self.rules.me;
        let mut others = self.evidence.servers.values().filter_map(|entry| entry.server.view(self.now));
        let followed = others.any(|seen| seen.role.master() == Some(me)) && self.now.since(since) < STILL_FOLLOWED;
        if followed {
            self.out.wake_at(self.now + Duration::from_millis(50));
        }
        followed
    }

    /// What was ordered last has had its time to show.
    pub(super) fn may_rewrite_again(&self) -> bool {
        self.rewritten_at.is_none_or(|at| self.now.since(at) > Duration::from_secs(1))
    }

    /// Invariant 8: nothing diverges silently. What we hold beyond the master's history is kept as a file first. Says
    /// whether all is known for that: what the master had loaded when it began is asked once more.
    fn keep_what_a_sync_discards(&mut self, master: Address) -> bool {
        let rank = self.own_rank();
        if !rank.has_data || self.release.is_some() {
            return true;
        }
        // A master that has just woken may have taken writes that no look of ours has seen (D6).
        let woke =
            self.now.since(self.woke_at) < Duration::from_secs(2) && self.stood_still >= self.rules.fence_after();
        if woke && self.child.last_seen().is_some_and(|seen| seen.role.is_master()) {
            self.keep_before_a_sync(master);
            return true;
        }
        let theirs = self.evidence.servers.get(&master).and_then(|entry| entry.server.remembered());
        let own = super::rank::history(&rank);
        // At the address of the dead somebody may lead before we look again: the engine syncs by itself then (B1).
        let of_the_dead = matches!(&self.course, Course::Following(following) if following.of_the_dead);
        // Who stopped as master, not handed over: the record may be behind what the AOF brought back, and proves nothing.
        let discards = match theirs {
            // It made this very id, and all that was ever written under it. Our offset is reckoned: a `SELECT` too much.
            Some((seen, _))
                if seen.role.is_master() && self.loaded_an_append_only_file() && seen.history.id == own.id =>
            {
                false
            }
            Some((seen, _)) if seen.role.is_master() || of_the_dead => {
                self.was_master_and_loaded_its_file() || super::rank::discards(&own, &seen.history)
            }
            Some(_) => false,
            None => of_the_dead,
        };
        if !discards {
            return true;
        }
        // What it showed before is less than what it has sent us since.
        let since = self.course.following_since().unwrap_or(self.now);
        let asked = |entry: &ServerEntry| entry.server.asked_since(since);
        if rank.data.is_some() && !self.evidence.servers.get(&master).is_some_and(asked) {
            self.look_at_server(master);
            return false;
        }
        match self.began_with_all_of_ours(master, &rank) {
            Some(false) => self.keep_before_a_sync(master),
            Some(true) => {}
            None => return false,
        }
        true
    }

    /// The engine connects by itself once its master is back, and syncs away what that one has lost without an append-only
    /// file (12443: 138 writes that the replica alone still had). With one it begins a history of its own and has them.
    fn keep_before_the_engine_syncs(&mut self) {
        let Course::Following(Following { master, told: Told::Obeyed, of_the_dead: false, .. }) = self.course else {
            return;
        };
        let (Some(seen), Some(since)) = (self.child.seen(), self.child.link_down_since) else { return };
        if !seen.role.has_lost_its_link() || !seen.has_data || seen.aof || self.release.is_some() {
            return;
        }
        let entry = self.evidence.servers.get(&master);
        let theirs = entry.filter(|entry| entry.server.view_since(since).is_some());
        let Some((theirs, asked)) = theirs.and_then(|entry| entry.server.remembered()) else { return };
        if !theirs.role.is_master() || !super::rank::discards(&seen.history, &theirs.history) {
            return;
        }
        // The engine may have been faster than our look at it: what it has synced is not what would be lost (V3).
        if self.child.seen_since(asked).is_none() {
            return self.lookout.want(super::action::Look::Child { depth: super::action::Depth::Glance });
        }
        // As far as its supervisor has told by now: the engine does not wait for it.
        let began = entry.and_then(|entry| entry.supervisor.view_since(since)).and_then(|seen| seen.began.as_ref());
        let has_all = began.is_some_and(|began| super::rank::holds_all_of(began, &self.own_rank()));
        if !has_all {
            self.keep_before_a_sync(master);
        }
    }

    /// What we hold beyond the history of `master`, as far as we know that, is kept.
    pub(super) fn keep_before_a_sync(&mut self, master: Address) {
        if !self.keep_once() {
            return;
        }
        let own = super::rank::history(&self.own_rank());
        let theirs = self.evidence.servers.get(&master).and_then(|entry| entry.server.remembered());
        let shown = theirs.map_or("not known".to_owned(), |(seen, _)| seen.history.offset.to_string());
        let reason =
            format!("keeping what a sync from {master} would discard (our offset {}, theirs {shown})", own.offset);
        self.holding.giving_up = theirs.and_then(|(seen, _)| super::rank::given_up(&own, &seen.history));
        self.decide(Level::Warn, "keep", Some(master), reason);
    }

    /// A rollback file of what the child holds, unless there is one of just that: at most three are kept. Says whether it
    /// is ordered.
    pub(super) fn keep_once(&mut self) -> bool {
        let own = super::rank::history(&self.own_rank());
        let last = Some((own.id, own.offset));
        if self.holding.kept == last {
            return false;
        }
        self.holding.kept = last;
        self.child.order(&mut self.out, self.now, ChildOrder::Keep);
        true
    }

    /// Reset: the master's address refuses us on both ports, and every other server has lost its link at our offset. Then
    /// whomever a Sentinel takes has everything, and the one that will promote asks at every tick: without it the new
    /// master is named up to 1 s after it leads, of the 2 s that a dead container may cost (M11).
    fn quicken_after_reset(&mut self) {
        let (Some(master), Some(last), Some(since)) =
            (self.course.master(), self.child.last_byte, self.child.link_down_since)
        else {
            return;
        };
        if self.silence.quickened_for == Some(last)
            || self.never_leads()
            || !self.evidence.refuses_everywhere(master, self.now)
        {
            return;
        }
        let Some(own) = self.child.seen().map(|seen| seen.history.offset) else { return };
        let mut others = self.evidence.servers.iter().filter(|(at, _)| **at != master && **at != self.rules.me);
        let equal = others.all(|(_, entry)| {
            let lost = |seen: &ServerSeen| seen.role.has_lost_its_link() && seen.history.offset == own;
            entry.server.view_since(since).is_some_and(lost)
        });
        if equal && self.was_read_lately() {
            self.silence.quickened_for = Some(last);
            self.quicken(super::candidacy::QUICKEN);
        }
    }

    /// A sync that moves nothing for 60 s is started anew (H2).
    fn heal_stalled_sync(&mut self) {
        const STALLED: Duration = Duration::from_secs(60);
        let (Some(seen), Some(master)) = (self.child.seen(), self.course.master()) else { return };
        let syncing = matches!(seen.role, RoleSeen::Replica { link: super::seen::Link::Syncing, .. });
        if !syncing || seen.loading.is_some() {
            self.sync_moved = None;
            return;
        }
        match self.sync_moved {
            Some((bytes, since)) if bytes == seen.sync_bytes => {
                if self.now.since(since) > STALLED {
                    self.sync_moved = None;
                    self.child.cut_at = Some(self.now);
                    self.decide(Level::Warn, "cut-link", Some(master), "the sync has not moved for 60 s".into());
                    self.child.order(&mut self.out, self.now, ChildOrder::Reconnect { master });
                }
            }
            _ => self.sync_moved = Some((seen.sync_bytes, self.now)),
        }
    }

    /// While a partition lasts, the kernel tries to connect ever more seldom: linked again 24 s after 40 s of silence
    /// (measured). Once the master answers us it is tried anew.
    fn hasten_connecting(&mut self) {
        const AFTER: Duration = Duration::from_secs(5);
        let Course::Following(Following { master, told: Told::Obeyed, of_the_dead: false, .. }) = self.course else {
            return;
        };
        let Some(seen) = self.child.seen() else { return };
        let connecting = seen.role == RoleSeen::Replica { master: Some(master), link: super::seen::Link::Down };
        let due = self.child.link_down_for(self.now) >= AFTER
            && self.child.cut_at.is_none_or(|at| self.now.since(at) >= AFTER);
        if connecting && self.says_master(master) && due && seen.loading.is_none() {
            self.child.cut_at = Some(self.now);
            let reason = format!("{master} answers, and the link to it has been down for 5 s: connect anew");
            self.decide(Level::Info, "connect", Some(master), reason);
            self.child.order(&mut self.out, self.now, ChildOrder::Reconnect { master });
        }
    }
}
