//! What probes, people and load balancers are told (design section 7, Probes).

use std::time::Duration;

use super::Supervisor;
use super::child::{Door, Process};
use super::course::{Course, Fenced};
use super::event::Maintenance;
use super::rules::Mode;
use super::seen::{ChildFailure, Link, RoleSeen};
use super::status::{Answer, MasterShown, Phase, Probes, RoleShown, SentinelShown, ServerShown, Status};
use super::verdict::{NamedShows, Unknown, Verdict};

/// A replica without its link stays ready this long: through a normal failover (G3).
fn failover_lasts(down_after: Duration) -> Duration {
    (down_after + Duration::from_secs(10)) * 2
}

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
            epoch: self.evidence.highest_epoch(self.now),
            follows: self.child.seen().and_then(|seen| seen.role.master()),
            never: self.rules.mode == Mode::Server && self.never_leads(),
            servers: self.servers_shown(),
            sentinels: self.sentinels_shown(),
            handover: self.handover.as_ref().map(|handover| handover.shown.clone()),
            history: self.journal.lines().cloned().collect(),
            probes: self.probes(),
        }
    }

    fn fenced(&self) -> bool {
        let released = self.release_stands();
        self.rules.mode == Mode::Server
            && (released || self.course.leading().is_some_and(|leading| leading.fence.is_some()))
    }

    fn role_shown(&self) -> RoleShown {
        match (self.rules.mode, self.child.last_seen()) {
            (Mode::Sentinel, _) => RoleShown::Sentinel,
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

    fn master_shown(&self) -> Option<MasterShown> {
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

    fn servers_shown(&self) -> Vec<ServerShown> {
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
            });
        }
        shown.sort_by_key(|row| row.address);
        shown
    }

    fn sentinels_shown(&self) -> Vec<SentinelShown> {
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
        self.evidence.sentinels.iter().map(row).collect()
    }

    fn probes(&self) -> Probes {
        let heartbeat = match self.course {
            Course::Leading(_) => self.rules.down_after,
            _ => self.rules.down_after * 2,
        };
        Probes {
            live: self.live(),
            heartbeat,
            ready: self.ready(),
            startup: self.startup(),
            master: self.leads_by_right(),
            replica: self.serves_as_replica(),
        }
    }

    /// Any reply at all is life (G7); silence is the supervisor's own business for 30 s, and it restarts the child itself.
    fn live(&self) -> Answer {
        match self.child.process {
            Process::Running { .. } => match self.child.failure() {
                Some(ChildFailure::Busy) => Answer::Yes("busy with a script".into()),
                Some(ChildFailure::Silent) => {
                    Answer::Yes("the child does not answer; the supervisor restarts it after 30 s".into())
                }
                _ => Answer::Yes("the supervisor runs, its child is there".into()),
            },
            Process::Starting => Answer::Yes("starting the child".into()),
            Process::None { .. } => Answer::Yes("the child is down, deliberately held".into()),
        }
    }

    fn startup(&self) -> Answer {
        match self.child.process {
            Process::Running { .. } => Answer::Yes("started".into()),
            _ => Answer::No("no child yet".into()),
        }
    }

    fn ready(&self) -> Answer {
        if self.stop.is_some() {
            return Answer::No("stopping".into());
        }
        if self.rules.mode == Mode::Sentinel {
            return self.sentinel_ready();
        }
        match &self.course {
            Course::Leading(_) => self.leads_by_right(),
            Course::Following(_) => self.serves_as_replica(),
            Course::Undecided => Answer::No(self.journal.reason().0.to_owned()),
        }
    }

    fn sentinel_ready(&self) -> Answer {
        let own = self.evidence.sentinels.get(&self.rules.me).and_then(|entry| entry.seen.view(self.now));
        match own.map(|seen| (&seen.master, seen.rows.as_ref().is_some_and(|rows| rows.quorum_ok))) {
            None => Answer::No("the Sentinel does not answer".into()),
            Some((None, _)) => Answer::No("the Sentinel knows no master yet".into()),
            Some((Some(_), false)) => Answer::No("CKQUORUM fails: too few Sentinels can be reached".into()),
            Some((Some(row), true)) => Answer::Yes(format!("monitors {}", row.address)),
        }
    }

    fn leads_by_right(&self) -> Answer {
        let Course::Leading(leading) = &self.course else { return Answer::No("not a master".into()) };
        if self.release_stands() || self.handover.is_some() {
            return Answer::No("handing over".into());
        }
        if self.stop.is_some() {
            return Answer::No("stopping".into());
        }
        match leading.fence {
            // Behind a Service of ready pods the Sentinels cannot find a master that waits for them (section 7).
            Some(Fenced::Born) => return Answer::No("leads, fenced until it is named or followed".into()),
            Some(Fenced::Isolated { .. }) => return Answer::No("fenced: cut off from the cluster".into()),
            Some(Fenced::Uncertain { .. }) => {
                return Answer::No("fenced: a release is out and nobody tells what became of it".into());
            }
            None => {}
        }
        if self.child.door == Door::Shut {
            return Answer::No("the door is still shut".into());
        }
        match self.child.failure() {
            Some(failure) if failure != ChildFailure::Refuses => {
                Answer::No(format!("the child: {}", failure_words(failure)))
            }
            _ if self.child.last_seen().is_some_and(|seen| seen.cannot_save) => {
                Answer::No("the child cannot save (MISCONF): see its log".into())
            }
            _ => Answer::Yes("leads by right".into()),
        }
    }

    fn serves_as_replica(&self) -> Answer {
        let Course::Following(following) = &self.course else { return Answer::No("not a replica".into()) };
        if !self.child.synced || !self.child.has_streamed {
            return Answer::No(format!("waiting for the first sync from {}", following.master));
        }
        if self.child.door == Door::Shut {
            return Answer::No("the door is still shut".into());
        }
        if let Some(failure) = self.child.failure().filter(|failure| *failure != ChildFailure::Refuses) {
            return Answer::No(format!("the child: {}", failure_words(failure)));
        }
        let syncing = self
            .child
            .last_seen()
            .is_some_and(|seen| matches!(seen.role, RoleSeen::Replica { link: Link::Syncing, .. }));
        if syncing {
            return Answer::No(format!("syncing from {}", following.master));
        }
        let down = self.child.link_down_for(self.now);
        if down > failover_lasts(self.rules.down_after) {
            return Answer::No(format!("the link to {} has been down too long", following.master));
        }
        Answer::Yes(format!("follows {}", following.master))
    }

    /// The one reason for what we are, without anything that changes each second.
    pub(super) fn explanation(&self) -> String {
        if self.maintenance == Maintenance::On {
            return "maintenance: observing only".into();
        }
        if let Some(candidacy) = &self.candidacy {
            return format!("candidate: Sentinel {} proposes us to replace {}", candidacy.sentinel, candidacy.replaces);
        }
        if self.rules.mode == Mode::Sentinel {
            return match self.monitors() {
                true => "monitors the master".into(),
                false => format!("bare: {}", self.verdict_words()),
            };
        }
        match &self.course {
            Course::Leading(_) => self.leads_by_right().reason().to_owned(),
            Course::Following(following) => format!("follows {}: {}", following.master, self.verdict_words()),
            Course::Undecided if self.child.running() && !self.child.loaded => "the child loads its data".into(),
            Course::Undecided => match self.vote.why() {
                Some(why) => format!("no master: {}; {why}", self.verdict_words()),
                None => format!("no role yet: {}", self.verdict_words()),
            },
        }
    }

    fn verdict_words(&self) -> String {
        match &self.verdict {
            Verdict::Confirmed { master, epoch } => {
                format!("a majority of Sentinels names {master} at epoch {epoch}, and it says master")
            }
            Verdict::Hint { master } => format!("{master} says master, nobody else does"),
            Verdict::Named { master, shows: NamedShows::Replica, .. } => {
                format!("the Sentinels name {master}, which says replica")
            }
            Verdict::Named { master, shows: NamedShows::Nothing, .. } => {
                format!("the Sentinels name {master}, which does not answer")
            }
            Verdict::Named { shows: NamedShows::Ourselves, .. } => {
                "the Sentinels name us, and we do not lead".to_owned()
            }
            Verdict::Conflict { masters } => {
                let list: Vec<String> = masters.iter().map(ToString::to_string).collect();
                format!("conflict: {} all say master and no majority chooses", list.join(", "))
            }
            Verdict::Unknown(Unknown::NoSentinels) => "no Sentinel is configured or known".to_owned(),
            Verdict::Unknown(Unknown::NoOpinion) => "the Sentinels know no master".to_owned(),
            Verdict::Unknown(Unknown::Split) => "the Sentinels differ".to_owned(),
            Verdict::Unknown(Unknown::Silent) => "too few Sentinels answer".to_owned(),
        }
    }
}

fn failure_words(failure: ChildFailure) -> &'static str {
    match failure {
        ChildFailure::Silent => "does not answer",
        ChildFailure::NotListening => "does not listen yet",
        ChildFailure::Busy => "busy with a script",
        ChildFailure::Loading => "loads its data",
        ChildFailure::Refuses => "refuses to be asked",
    }
}
