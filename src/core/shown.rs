//! The picture behind `/status`.

use std::time::Duration;

use super::Supervisor;
use super::child::Process;
use super::course::Course;
use super::rules::Mode;
use super::seen::RoleSeen;
use super::status::{HistoryLine, MasterShown, Phase, RoleShown, SentinelShown, ServerShown, Status};
use super::verdict::Verdict;

impl Supervisor {
    /// The picture for probes, `/status` and metrics.
    pub fn status(&self) -> Status {
        let (reason, since) = self.journal.reason();
        Status {
            mode: self.rules.mode,
            phase: self.phase(),
            reason: reason.to_owned(),
            since,
            node: self.rules.me,
            cluster: self.evidence.cluster.clone(),
            strangers: self.evidence.strangers_shown(),
            pid: match self.child.process {
                Process::Running { pid, .. } => Some(pid),
                _ => None,
            },
            restarts: self.restarts.count,
            role: self.role_shown(),
            fenced: self.fenced(),
            maintenance: self.maintenance,
            master: self.master_shown(),
            link: self.child.last_seen().and_then(|seen| match seen.role {
                RoleSeen::Replica { link, .. } => Some(link),
                RoleSeen::Master { .. } => None,
            }),
            offset: self.child.last_seen().map(|seen| seen.history.offset).unwrap_or_default(),
            epoch: self.highest_epoch_known(),
            follows: self.child.seen().and_then(|seen| seen.role.master()),
            never: self.rules.mode == Mode::Server && self.never_leads(),
            began: self.course.leading().and(self.holding.began.clone()),
            servers: self.servers_shown(),
            sentinels: self.sentinels_shown(),
            handover: self.handover.as_ref().map(|handover| handover.shown.clone()),
            probes: self.probes(),
        }
    }

    /// The last decisions, oldest first, at most 64.
    pub fn history(&self) -> impl Iterator<Item = &HistoryLine> {
        self.journal.lines()
    }

    /// How many decisions there have been: whether the history has changed, without a look at it.
    pub fn decided(&self) -> u64 {
        self.journal.count()
    }

    pub(super) fn fenced(&self) -> bool {
        let released = self.release_stands();
        self.rules.mode == Mode::Server
            && (released || self.course.leading().is_some_and(|leading| leading.fence.is_some()))
    }

    pub(super) fn role_shown(&self) -> RoleShown {
        match (self.rules.mode, self.child.last_seen()) {
            (Mode::Sentinel, _) => RoleShown::Sentinel,
            // It has done what it was ordered; the last look may be from before.
            (Mode::Server, Some(_)) if self.course.leading().is_some() && self.child.running() => RoleShown::Master,
            (Mode::Server, Some(seen)) if seen.role.is_master() => RoleShown::Master,
            (Mode::Server, Some(_)) => RoleShown::Replica,
            (Mode::Server, None) => RoleShown::Unknown,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        if self.stop.is_some() && self.handover.is_none() {
            return Phase::Stopping;
        }
        match self.child.process {
            Process::None { .. } if self.restarts.count > 0 || self.crash.is_some() => return Phase::Down,
            Process::None { .. } | Process::Starting => return Phase::Starting,
            Process::Running { .. } => {}
        }
        if self.rules.mode == Mode::Sentinel {
            return if self.monitors() { Phase::Monitoring } else { Phase::Bare };
        }
        if !self.child.loaded {
            return Phase::Loading;
        }
        if self.handover.is_some() || self.release_stands() {
            return Phase::HandingOver;
        }
        if self.candidacy.is_some() {
            return Phase::Candidate;
        }
        match &self.course {
            Course::Leading(_) => Phase::Master,
            Course::Following(_) => Phase::Replica,
            Course::Undecided => Phase::Undecided,
        }
    }

    /// This Sentinel monitors something under our name.
    pub(super) fn monitors(&self) -> bool {
        let own = self.evidence.sentinels.get(&self.rules.me);
        own.and_then(|entry| entry.seen.view(self.now)).is_some_and(|seen| seen.master.is_some())
    }

    pub(super) fn master_shown(&self) -> Option<MasterShown> {
        let epoch = self.evidence.highest_epoch(self.now);
        let shown = |address, source, verdict, epoch| Some(MasterShown { address, source, verdict, epoch });
        match (&self.verdict, &self.course) {
            (Verdict::Confirmed { master, epoch }, _) => shown(*master, "sentinels", "confirmed", *epoch),
            (_, Course::Leading(leading)) => {
                let source = if leading.basis == super::course::Basis::Alone { "self" } else { "vote" };
                shown(self.rules.me, source, "hint", epoch)
            }
            (Verdict::Hint { master }, _) => shown(*master, "servers", "hint", epoch),
            (Verdict::Named { master, epoch, .. }, _) => shown(*master, "sentinels", "unknown", *epoch),
            (Verdict::Conflict { .. } | Verdict::Unknown(_), _) => None,
        }
    }

    pub(super) fn servers_shown(&self) -> Vec<ServerShown> {
        let own = self.child.last_seen();
        let master_offset = match &self.course {
            Course::Leading(_) => own.map(|seen| seen.history.offset),
            _ => self
                .master_now()
                .and_then(|at| self.evidence.servers.get(&at))
                .and_then(|e| e.server.view(self.now))
                .map(|s| s.history.offset),
        };
        let lag = |offset: super::id::Offset| master_offset.map(|top| top.0.saturating_sub(offset.0));
        let link = |role: &RoleSeen| match role {
            RoleSeen::Replica { link, .. } => Some(*link),
            RoleSeen::Master { .. } => None,
        };
        let word = |role: &RoleSeen| if role.is_master() { RoleShown::Master } else { RoleShown::Replica };
        let mut shown: Vec<ServerShown> = self
            .evidence
            .servers
            .iter()
            .map(|(at, entry)| {
                let seen = entry.server.view(self.now);
                ServerShown {
                    address: *at,
                    role: seen.map_or(RoleShown::Unknown, |seen| word(&seen.role)),
                    link: seen.and_then(|seen| link(&seen.role)),
                    offset: seen.map(|seen| seen.history.offset),
                    lag: seen.and_then(|seen| lag(seen.history.offset)),
                    supervised: entry.supervised,
                    engine: entry.engine(),
                }
            })
            .collect();
        if self.rules.mode == Mode::Server {
            shown.push(ServerShown {
                address: self.rules.me,
                role: self.role_shown(),
                link: own.and_then(|seen| link(&seen.role)),
                offset: own.map(|seen| seen.history.offset),
                lag: own.and_then(|seen| lag(seen.history.offset)),
                supervised: Some(true),
                engine: Some(self.rules.engine),
            });
        }
        shown.sort_by_key(|row| row.address);
        shown
    }

    pub(super) fn sentinels_shown(&self) -> Vec<SentinelShown> {
        let row = |(at, entry): (&super::id::Address, &super::evidence::SentinelEntry)| {
            let seen = entry.seen.view(self.now);
            let master = seen.and_then(|seen| seen.master.as_ref());
            let state = match (seen, master) {
                (None, _) if entry.seen.refused_since(self.now.before(Duration::from_secs(3))) => "refused",
                (None, _) => "silent",
                (Some(seen), _) if seen.rows.as_ref().is_some_and(|rows| rows.tilt) => "tilt",
                (Some(_), None) => "bare",
                (_, Some(row)) if row.failover => "failover",
                (_, Some(row)) if row.o_down => "o_down",
                (_, Some(row)) if row.s_down => "s_down",
                (_, Some(_)) => "ok",
            };
            SentinelShown {
                address: *at,
                master: master.map(|row| row.address),
                epoch: master.map(|row| row.epoch),
                state,
            }
        };
        self.evidence.sentinels.iter().filter(|(_, entry)| !entry.second).map(row).collect()
    }
}
