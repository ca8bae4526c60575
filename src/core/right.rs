//! The right to lead: proved again and again, or the fence goes up (design section 4, Fence; F1, M21).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::child::Fence;
use super::course::{Basis, Course, Fenced, Ground};
use super::event::Maintenance;
use super::evidence::{Evidence, follows};
use super::id::{Address, SentinelId};
use super::moment::Moment;
use super::notice::NoticeKind;
use super::rules::Rules;
use super::sighting::Sighting;

/// Sentinel's last good ping of us must be younger than this in its answer.
const PINGED_WITHIN: Duration = Duration::from_secs(2);

/// While it stands the fence is ordered anew this often: a person, or a tool that sets the configuration again and
/// again, can take it down (`CONFIG SET min-replicas-to-write 0`).
const FENCE_AGAIN: Duration = Duration::from_secs(1);
/// A replica's, which matters only where two hands are at it: one takes it down, one changes the role.
const REPLICA_FENCE_AGAIN: Duration = Duration::from_secs(10);

/// The proof that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The start of the last round that proved it.
    pub proved: Moment,
}

/// When the newest round began that proves our right, if any does.
///
/// A round is the questions that left us together; what counts is when they left, never when answers came (P44).
pub fn proved_at(evidence: &Evidence, rules: &Rules, now: Moment) -> Option<Moment> {
    if displaced(evidence, rules.me, now) {
        return None;
    }
    by_sentinels(evidence, rules, now)
        .max(by_replicas(evidence, rules.me))
        .max(by_lease(evidence, rules))
        .max(by_majority_of_servers(evidence, rules, now))
}

/// Another server says master and a Sentinel leads a failover from us: whoever still names us has not heard yet.
fn displaced(evidence: &Evidence, me: Address, now: Moment) -> bool {
    evidence.servers.values().any(|entry| entry.says_master(now))
        && evidence
            .answering(now)
            .any(|(_, seen)| seen.master.as_ref().is_some_and(|row| row.failover && row.address == me))
}

/// A majority of known Sentinels names us and has heard us, or knows no master.
fn by_sentinels(evidence: &Evidence, rules: &Rules, now: Moment) -> Option<Moment> {
    let mut newest: BTreeMap<&SentinelId, Moment> = BTreeMap::new();
    for (seen, asked) in evidence.sentinels.values().filter_map(|entry| entry.seen.remembered()) {
        let confirms = match &seen.master {
            None => true,
            Some(row) => row.address == rules.me && !row.s_down && !row.o_down && row.last_ok_ping < PINGED_WITHIN,
        };
        // One Sentinel may stand behind several addresses (a Service): it has one voice.
        let last = newest.entry(&seen.id).or_insert(Moment::ZERO);
        if confirms {
            *last = (*last).max(asked);
        }
    }
    let mut asked: Vec<Moment> = newest.into_values().filter(|asked| *asked > Moment::ZERO).collect();
    let majority = evidence.sentinel_majority(rules.quorum, now);
    asked.sort_by(|a, b| b.cmp(a));
    asked.get(majority.checked_sub(1)?).copied()
}

/// Every known replica, at least one, says that it streams from us.
pub(super) fn by_replicas(evidence: &Evidence, me: Address) -> Option<Moment> {
    let mut oldest: Option<Moment> = None;
    for entry in evidence.servers.values() {
        let (_, asked) = entry.server.remembered().filter(|(seen, _)| follows(seen, me))?;
        oldest = Some(oldest.map_or(asked, |at| at.min(asked)));
    }
    oldest
}

/// Without any Sentinel: a lease of redinit's elector that names us.
fn by_lease(evidence: &Evidence, rules: &Rules) -> Option<Moment> {
    if !evidence.no_sentinels(rules) {
        return None;
    }
    let lease = evidence.elector.seen.remembered();
    lease.filter(|(seen, _)| seen.lease && seen.leader.contains(&rules.me.ip())).map(|(_, asked)| asked)
}

/// Without any Sentinel: a majority of the known servers streams from us.
fn by_majority_of_servers(evidence: &Evidence, rules: &Rules, now: Moment) -> Option<Moment> {
    if !evidence.no_sentinels(rules) {
        return None;
    }
    let mut following: Vec<Moment> = evidence
        .servers
        .values()
        .filter_map(|entry| {
            entry.server.remembered().filter(|(seen, _)| follows(seen, rules.me)).map(|(_, asked)| asked)
        })
        .collect();
    following.sort_by(|a, b| b.cmp(a));
    let needed = evidence.known_servers(rules, now) / 2;
    needed.checked_sub(1).and_then(|last| following.get(last).copied())
}

/// A round is 200 ms; and what its answers may take.
const RESETS_OF_A_ROUND: Duration = Duration::from_millis(300);

impl Supervisor {
    /// The fence: up when the proof is too old, down when we are named again and nothing speaks against it.
    pub(super) fn right_turn(&mut self) {
        let Some(leading) = self.course.leading() else { return self.apply_fence() };
        if !self.knows_others() && leading.fence.is_none() {
            return self.apply_fence();
        }
        let proved = proved_at(&self.evidence, &self.rules, self.now);
        let fence_after = self.rules.fence_after();
        let Course::Leading(leading) = &mut self.course else { return };
        if let Some(proved) = proved {
            leading.right.proved = leading.right.proved.max(proved);
        }
        let due = leading.right.proved + fence_after;
        let fence = leading.fence;
        match fence {
            None if self.maintenance == Maintenance::On => {}
            None if self.now >= due || self.resets_leave_no_proof() => self.raise_fence(),
            None => self.out.wake_at(due),
            // What became of the release decides, not a name from before it; where nobody can tell, "named again" does.
            Some(Fenced::Born | Fenced::Isolated { .. }) if self.release_stands() => {
                if let Some(void) = self.release_void_since() {
                    self.unfence_if_named_again(void);
                }
            }
            Some(Fenced::Born) => self.unfence_if_named_first(),
            Some(Fenced::Isolated { since } | Fenced::Uncertain { since }) => {
                self.unfence_if_named_again(since);
            }
        }
        self.apply_fence();
    }

    /// Writers are stopped on account of a release.
    pub(super) fn release_stands(&self) -> bool {
        self.release.is_some()
    }

    /// Has this server ever known another one? If not it is never fenced (a single server, A8).
    pub(super) fn knows_others(&self) -> bool {
        !self.evidence.servers.is_empty() || self.rules.expected_servers.is_some_and(|count| count > 1)
    }

    /// The resets of one round alone make both proofs impossible: so many Sentinels that no majority can be left, and a
    /// server. The others act on resets too (`refused is evidence`), so that waiting for T would be too late (F1, M31).
    /// Only who has just begun to refuse: a ghost's address refuses for ever, and one Sentinel that is restarted beside
    /// it would fence the master (E3, measured).
    fn resets_leave_no_proof(&self) -> bool {
        if self.no_sentinels() {
            return self.resets_let_others_vote();
        }
        let mut servers = self.evidence.servers.values();
        servers.any(|entry| self.has_just_begun_to_refuse(&entry.server)) && self.sentinels_reset_leave_no_majority()
    }

    /// In this round; and until T ago it answered, or failed in another way.
    fn has_just_begun_to_refuse<T>(&self, seen: &Sighting<T>) -> bool {
        let begun = self.now.before(self.rules.fence_after());
        seen.refused_since(self.now.before(RESETS_OF_A_ROUND)) && seen.failing().is_some_and(|bad| bad.alike >= begun)
    }

    /// The half of that which is seen first: in calm a leader looks at the Sentinels each round, at the servers each second.
    /// These are looked at as soon as it is so: whose link broke shortly before the cut may replace us 0.4 s after it (37988).
    pub(super) fn sentinels_reset_leave_no_majority(&self) -> bool {
        let own = || self.evidence.sentinels.values().filter(|entry| !entry.second);
        let sentinels = || own().map(|entry| &entry.seen);
        let refusing = sentinels().filter(|seen| self.has_just_begun_to_refuse(seen)).count();
        let round = self.now.before(RESETS_OF_A_ROUND);
        let ghosts = sentinels().filter(|seen| seen.refused_since(round)).count() - refusing;
        let listed = own().count() - ghosts;
        let known = self.evidence.known_sentinels(self.rules.quorum, self.now).max(listed);
        let majority = self.evidence.sentinel_majority(self.rules.quorum, self.now);
        refusing > 0 && known.saturating_sub(refusing) < majority
    }

    /// Without Sentinels whoever finds both our ports refused votes at once. A lease says nothing of that, and a partition
    /// that rejects looks the same from here: so many refuse us that they are a majority without us.
    fn resets_let_others_vote(&self) -> bool {
        let lately = self.now.before(self.rules.fence_after());
        let refusing = self.evidence.servers.values().filter(|entry| entry.server.refused_since(lately)).count();
        refusing > self.evidence.known_servers(&self.rules, self.now) / 2
    }

    /// None is configured, and none has been heard of.
    pub(super) fn no_sentinels(&self) -> bool {
        self.evidence.no_sentinels(&self.rules)
    }

    fn raise_fence(&mut self) {
        let since = self.now;
        if let Some(leading) = self.course.leading_mut() {
            leading.fence = Some(Fenced::Isolated { since });
        }
        let reason = "neither a majority of Sentinels nor every replica confirms us".to_owned();
        self.notice(NoticeKind::Fence, &reason);
        self.decide(Level::Error, "fence", None, reason);
    }

    /// Brings the child's fence to what the course says: down for a leader by right alone.
    fn apply_fence(&mut self) {
        let direct = self.handover.as_ref().is_some_and(|handover| handover.direct.is_some());
        if !self.child.running() || self.child.role_in_motion() || self.release_stands() || direct {
            return;
        }
        let wanted = match self.course.leading() {
            Some(leading) if leading.fence.is_some() => Fence::Up,
            Some(_) => Fence::Down,
            None if self.course.master().is_none() || self.maintenance == Maintenance::On => return,
            // It changes nothing there, and whoever makes it a master makes a fenced one.
            None => Fence::Up,
        };
        let again = if self.course.leading().is_some() { FENCE_AGAIN } else { REPLICA_FENCE_AGAIN };
        let lasts = self.now.since(self.child.fenced_at) < again;
        let stands = self.child.fence == Some(wanted) && (wanted == Fence::Down || lasts);
        if stands || wanted == Fence::Down && self.may_be_frozen() {
            return;
        }
        let order = if wanted == Fence::Up { ChildOrder::Fence } else { ChildOrder::Unfence };
        self.child.fenced_at = self.now;
        self.child.order_once(&mut self.out, self.now, order, |order| {
            matches!(order, ChildOrder::Fence | ChildOrder::Unfence | ChildOrder::TakeBack)
        });
    }

    /// Invariant 4: a leader takes writes when a majority of Sentinels names it; or, where nobody could name it, when a
    /// majority of the known servers follows; or when every known server does.
    fn unfence_if_named_first(&mut self) {
        let Some(leading) = self.course.leading() else { return };
        let since = leading.since;
        let majority = self.evidence.majority_names_since(self.rules.me, since, self.rules.quorum, self.now);
        // Without a proposal of theirs the name may be one from before: then none of them may show trouble with us.
        let named = majority && (matches!(leading.basis, Basis::Proposal { .. }) || !self.a_sentinel_shows_trouble());
        let known = self.evidence.known_servers(&self.rules, self.now);
        let following = self.following_lately();
        let followers = following.len();
        let servers = match leading.basis {
            // Without Sentinels a predecessor that was taken for gone by its resets fences itself in this time.
            Basis::Vote { without_sentinels: true } => {
                let fenced_by_now = self.now >= since + self.rules.surely_fenced_after();
                followers + 1 > known / 2 && (!self.no_sentinels() || fenced_by_now)
            }
            _ => false,
        };
        // Also those that only a Sentinel's list knows: else the fence would be up again a moment later (B4).
        let lately = |at: &Moment| self.now.since(*at) < self.rules.fence_after();
        let provable = self.evidence.servers.is_empty()
            || by_replicas(&self.evidence, self.rules.me).is_some_and(|at| lately(&at));
        let all = followers + 1 >= known
            && provable
            && (known > 1 || self.rules.expected_servers == Some(1) || !self.knows_others());
        // Named after we led, under a release: our predecessor has let go, whatever an older look at it shows.
        let by_release = named && matches!(leading.basis, Basis::Proposal { ground: Ground::Word, .. });
        if !(named || servers || all)
            || (!by_release && self.another_says_master())
            || self.predecessor_may_believe_its_right()
            || self.may_be_frozen()
        {
            return self.out.wake_at(self.now + Duration::from_millis(100));
        }
        let (reason, needed) = if named {
            ("a majority of Sentinels names us", 0)
        } else if all {
            ("every known server follows us", followers)
        } else {
            ("a majority of the known servers follows us", known / 2)
        };
        let proved = needed.checked_sub(1).and_then(|last| following.get(last)).copied();
        self.lower_fence(proved.unwrap_or(self.now), reason);
    }

    /// When each server that follows us said so last, the newest first: what was said before a cut proves nothing during it.
    fn following_lately(&self) -> Vec<Moment> {
        let Some(leading) = self.course.leading() else { return Vec::new() };
        let shown = |at: &Address| {
            let seen = self.evidence.servers.get(at).and_then(|entry| entry.server.remembered());
            seen.filter(|(seen, _)| follows(seen, self.rules.me)).map(|(_, asked)| asked)
        };
        let said = leading.followers.iter().map(|(at, said)| shown(at).map_or(*said, |asked| asked.max(*said)));
        let mut lately: Vec<Moment> = said.filter(|at| self.now.since(*at) < self.rules.fence_after()).collect();
        lately.sort_by(|a, b| b.cmp(a));
        lately
    }

    /// Our predecessor was only taken for gone, and the Sentinels name us late: until then they may have named it, across
    /// a partition that rejects, and it goes on until its last proof is old (M31).
    fn predecessor_may_believe_its_right(&self) -> bool {
        let Some(leading) = self.course.leading() else { return false };
        let absent = matches!(leading.basis, Basis::Proposal { ground: Ground::Absence, .. });
        let late = leading.named_at.filter(|at| at.since(leading.since) > self.rules.fence_after());
        absent && late.is_some_and(|at| self.now < at + self.rules.surely_fenced_after())
    }

    /// An order to take the fence down would lie in a frozen child's socket and be carried out when it thaws, whoever leads by
    /// then (sim 17969).
    pub(super) fn may_be_frozen(&self) -> bool {
        self.child.failure().is_some()
    }

    fn lower_fence(&mut self, proved: Moment, reason: &str) {
        if let Some(leading) = self.course.leading_mut() {
            leading.fence = None;
            leading.right.proved = leading.right.proved.max(proved);
        }
        let reason = format!("taking writes: {reason}");
        self.decide(Level::Info, "unfence", None, reason);
        if self.release.take().is_some() {
            self.child.order(&mut self.out, self.now, ChildOrder::TakeBack);
        }
    }

    /// A Sentinel that answers shows s_down, o_down or a failover on us; or names another at a higher epoch than those
    /// that name us: its failover has ended, and they have not heard yet.
    fn a_sentinel_shows_trouble(&self) -> bool {
        let mut rows = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        rows.any(|row| row.address == self.rules.me && row.troubled()) || self.named_after_us()
    }

    /// A Sentinel that answers names another at a higher epoch than those that name us.
    pub(super) fn named_after_us(&self) -> bool {
        let me = self.rules.me;
        let rows = || self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        let ours = rows().filter(|row| row.address == me).map(|row| row.epoch).max();
        rows().any(|row| row.address != me && ours.is_some_and(|ours| row.epoch > ours))
    }

    /// That server answers and says master.
    pub(super) fn says_master(&self, at: Address) -> bool {
        self.evidence.servers.get(&at).is_some_and(|entry| entry.says_master(self.now))
    }

    /// Another server that answers says master.
    pub(super) fn another_says_master(&self) -> bool {
        self.evidence.servers.values().any(|entry| entry.says_master(self.now))
    }

    /// "Named again": by a majority asked after the fence went up, no Sentinel that answers shows trouble with us, and
    /// every server that could be promoted says slave; if one of them does not answer, when that held for failover-timeout.
    fn unfence_if_named_again(&mut self, fenced_since: Moment) {
        let proved = self.proved_again(fenced_since);
        let Some(proved) = proved.filter(|_| !self.a_sentinel_shows_trouble() && !self.another_says_master()) else {
            self.calm_since = None;
            return self.out.wake_at(self.now + Duration::from_millis(200));
        };
        let calm_since = *self.calm_since.get_or_insert(self.now);
        let all_say_replica = self
            .evidence
            .servers
            .values()
            .all(|entry| entry.server.view_since(fenced_since).is_some_and(|seen| !seen.role.is_master()));
        // Who is being asked may be the one that shows trouble: each is heard, or has failed, before it counts for nothing.
        let heard = self.evidence.sentinels.values().all(|entry| entry.seen.asked_since(calm_since));
        let calm = all_say_replica || self.now.since(calm_since) >= self.rules.failover_timeout;
        if heard && calm && !self.may_be_frozen() {
            self.calm_since = None;
            self.lower_fence(proved, "named again, and nobody else can have been promoted");
        } else {
            self.out.wake_at(self.now + Duration::from_millis(200));
        }
    }

    /// When who names us again was asked. What they said before we were cut off proves nothing, however long nobody speaks
    /// against it (sim 15200).
    fn proved_again(&self, fenced_since: Moment) -> Option<Moment> {
        let me = self.rules.me;
        if self.evidence.majority_names_since(me, fenced_since, self.rules.quorum, self.now) {
            return Some(self.now);
        }
        let mute = self.evidence.answering(self.now).next().is_none();
        let without = by_replicas(&self.evidence, me).filter(|_| mute);
        // Never by the lease alone: while we were fenced a majority of the servers may have voted in another (F2).
        let elected = by_majority_of_servers(&self.evidence, &self.rules, self.now);
        without.max(elected).filter(|at| *at >= fenced_since && self.now.since(*at) < self.rules.fence_after())
    }
}
