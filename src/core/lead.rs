//! Leading: from the moment the child says master until somebody else does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{ChildOrder, Level};
use super::course::{Basis, Course, Fenced, Leading};
use super::evidence::follows;
use super::id::{Address, AttemptId};
use super::message::{PeerAnswer, PeerMessage};
use super::outbox::Purpose;
use super::right::Right;
use super::seen::Failure;
use super::settle::Settle;

/// `led` is repeated to a supervisor that has not said it follows.
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// Our predecessor is named and says master for a moment longer; after this it means it.
pub(super) const PREDECESSOR_LASTS: Duration = Duration::from_secs(2);
/// `led` is said for this long to everybody; who is not named by then goes on.
const TELL_LIMIT: Duration = Duration::from_secs(10);
/// Leading by a vote that nobody accepted for this long: start over. Longer than settling takes, and than a restart of the
/// others, who have just reported.
const VAIN_AFTER: Duration = Duration::from_secs(30);

impl Supervisor {
    /// The child says master and we mean it: a leader is born, fenced.
    pub(super) fn start_leading(&mut self, basis: Basis, attempt: AttemptId, reason: String) {
        let fence = (basis != Basis::Alone).then_some(Fenced::Born);
        if let Some(kind) = super::notice::of_a_lead(&basis) {
            self.notice(kind, &reason);
        }
        self.decide(Level::Info, "lead", Some(self.rules.me), reason);
        self.left_behind = false;
        self.make_identity();
        self.holding.began = Some(self.surely_held());
        self.course = Course::Leading(Leading {
            since: self.now,
            basis,
            attempt,
            epoch: self.highest_epoch_known(),
            fence,
            right: Right { proved: self.now },
            followers: BTreeMap::new(),
            named_at: None,
            settle: Settle::default(),
            told: BTreeMap::new(),
        });
        // A release that was out has run its course: we follow nobody.
        self.release = None;
        self.vote.rest();
        self.asker.rest();
        self.crash = None;
        self.led_hint = None;
        self.attempt_said = None;
        self.child.synced = true;
        self.tell_led();
        // On the disk before any write is acknowledged: else what the append-only file brings back after a kill would pass
        // for a replica's, and be given up unkept (invariant 8).
        self.promise();
    }

    /// One turn of a leader.
    pub(super) fn lead_turn(&mut self) {
        if self.course.leading().is_none() {
            return;
        }
        self.tell_led();
        self.demote_if_deposed();
        self.settle_turn();
        self.give_up_vain_vote();
    }

    /// Tells every supervisor that has not said it follows.
    fn tell_led(&mut self) {
        if self.deposed() {
            return;
        }
        let epoch = self.highest_epoch_known();
        let (now, me) = (self.now, self.rules.me);
        let Course::Leading(leading) = &mut self.course else { return };
        let late = now.since(leading.since) > TELL_LIMIT;
        // Who is not named by then has nothing but its own word.
        if leading.basis == Basis::Alone || late && leading.named_at.is_some() {
            return;
        }
        // One that has been restarted since knows nothing of what it said.
        leading.followers.retain(|at, said| {
            self.evidence.servers.get(at).is_none_or(|entry| {
                let elsewhere = entry.server.view_since(*said).is_some_and(|seen| !follows(seen, me));
                !elsewhere && !entry.server.refused_since(*said)
            })
        });
        let message = PeerMessage::Led { attempt: leading.attempt.clone(), leader: me, epoch };
        for at in self.evidence.servers.keys() {
            let told = leading.told.get(at).is_some_and(|told| now.since(*told) < TELL_AGAIN);
            if !told && !leading.followers.contains_key(at) {
                leading.told.insert(*at, now);
                self.out.ask(*at, message.clone(), Duration::from_millis(1000), Purpose::Led(leading.attempt.clone()));
            }
        }
        self.out.wake_at(now + TELL_AGAIN);
    }

    /// Somebody says that it follows us, or will not.
    pub(super) fn led_answered(&mut self, attempt: &AttemptId, from: Address, answer: Result<PeerAnswer, Failure>) {
        let now = self.now;
        // Who has reported was told too, and is counted once it has answered a look (M12): asked again by then.
        let known = self.evidence.servers.contains_key(&from);
        let Some(leading) = self.course.leading_mut().filter(|leading| leading.attempt == *attempt) else { return };
        match answer {
            Ok(PeerAnswer::Following) if !known => {}
            Ok(PeerAnswer::Following) => {
                leading.followers.insert(from, now);
            }
            Ok(_) => {
                leading.followers.remove(&from);
            }
            Err(_) => {}
        }
    }

    /// Fenced, and a majority of Sentinels has named somebody else since: what we lead is over, whoever comes after.
    /// From then on we neither refuse consent nor say `led` (D6: a frozen master wakes, and its successor has died).
    pub(super) fn deposed(&self) -> bool {
        self.course.leading().is_some_and(|leading| leading.fence.is_some()) && self.decided_anew()
    }

    /// A majority of Sentinels names another, and not because it has not heard of us yet: at a later epoch than was known when
    /// we began, or at that one somebody who is not our predecessor (sim 4652: two proposals, and both were let go for).
    pub(super) fn decided_anew(&self) -> bool {
        let Some(leading) = self.course.leading() else { return false };
        let before = |at: Address| match &leading.basis {
            Basis::Proposal { replaces, .. } => at == *replaces,
            Basis::Vote { .. } | Basis::InPlace | Basis::Alone => true,
        };
        self.named().is_some_and(|(at, epoch)| {
            at != self.rules.me && (epoch > leading.epoch || epoch == leading.epoch && !before(at))
        })
    }

    /// Another master is confirmed by a majority of Sentinels: follow it. What we hold beyond it is kept first.
    fn demote_if_deposed(&mut self) {
        let Some(leading) = self.course.leading() else { return };
        let acknowledged = leading.may_have_acknowledged();
        let settled = self.now.since(leading.since) > PREDECESSOR_LASTS;
        // By what was asked after we led: before that our predecessor was named, and said master (H4).
        let since = leading.since;
        let fresh = |at: Address| {
            self.evidence.majority_names_since(at, since, self.rules.quorum, self.now)
                && self.evidence.servers.get(&at).is_some_and(|entry| entry.says_master_since(since))
        };
        let newer = |epoch: super::id::Epoch| epoch > leading.epoch || settled;
        let other = match &self.verdict {
            super::verdict::Verdict::Confirmed { master, epoch }
                if *master != self.rules.me && newer(*epoch) && fresh(*master) =>
            {
                Some((*master, *epoch))
            }
            // Two of us: without Sentinels that decide, who has acknowledged nothing gives way.
            super::verdict::Verdict::Hint { master } if *master != self.rules.me && !acknowledged && settled => {
                Some((*master, self.evidence.highest_epoch(self.now)))
            }
            super::verdict::Verdict::Conflict { masters } if !acknowledged && settled => {
                let mut others = masters.iter().copied().filter(|at| *at != self.rules.me);
                let other = others.find(|at| self.may_be_the_clusters(*at));
                other.filter(|at| *at < self.rules.me).map(|at| (at, self.evidence.highest_epoch(self.now)))
            }
            super::verdict::Verdict::Conflict { masters } if acknowledged && settled => {
                let other = masters.iter().copied().find(|at| *at != self.rules.me && self.most_servers_follow(*at));
                other.map(|at| (at, self.highest_epoch_known()))
            }
            _ => None,
        };
        let Some((master, epoch)) = other else { return };
        if self.release.as_ref().is_some_and(|release| release.candidate == master) {
            return self.follow_candidate(master);
        }
        if self.maintenance == super::event::Maintenance::On {
            return;
        }
        self.release = None;
        self.decide(Level::Warn, "demote", Some(master), format!("{master} leads at epoch {epoch}"));
        if acknowledged {
            self.child.order(&mut self.out, self.now, ChildOrder::Fence);
        }
        if matches!(self.verdict, super::verdict::Verdict::Confirmed { .. }) {
            self.left_behind = true;
        }
        self.set_following(master, "it leads by the word of the Sentinels");
        self.clients_to_dismiss = true;
    }

    /// We are fenced, no Sentinel could decide, and a majority of the known servers streams from that one or is it, as seen
    /// since: it leads by right (invariant 4), and took writes when we could not.
    fn most_servers_follow(&self, master: Address) -> bool {
        let Some(Fenced::Isolated { since }) = self.course.leading().and_then(|leading| leading.fence) else {
            return false;
        };
        let with_it = self.evidence.servers.iter().filter(|(at, entry)| {
            let seen = entry.server.view_since(since);
            seen.is_some_and(|seen| if **at == master { seen.role.is_master() } else { follows(seen, master) })
        });
        self.no_sentinels() && with_it.count() > self.evidence.known_servers(&self.rules, self.now) / 2
    }

    /// A leader by vote that took no write and that no server follows goes back to undecided. One that has a follower goes
    /// on, fenced: it settles, or waits for more to follow.
    fn give_up_vain_vote(&mut self) {
        let Some(leading) = self.course.leading() else { return };
        let vain = matches!(leading.basis, Basis::Vote { .. })
            && matches!(leading.fence, Some(Fenced::Born))
            && leading.followers.is_empty()
            && self.knows_others()
            && self.now.since(leading.since) > VAIN_AFTER;
        if vain {
            self.decide(Level::Warn, "step-down", None, "nobody followed for 30 s".into());
            self.shut_and_rediscover();
        }
    }
}
