//! What probes, people and load balancers are told (design section 7, Probes).

use std::time::Duration;

use super::Supervisor;
use super::child::{Door, Process};
use super::course::{Course, Fenced};
use super::event::Maintenance;
use super::rules::Mode;
use super::seen::{ChildFailure, Link, RoleSeen};
use super::status::{Answer, Probes};
use super::verdict::{NamedShows, Unknown, Verdict};

/// A replica without its link stays ready this long: through a normal failover (G3).
fn failover_lasts(down_after: Duration) -> Duration {
    (down_after + Duration::from_secs(10)) * 2
}

impl Supervisor {
    /// What every probe is answered now.
    pub fn probes(&self) -> Probes {
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
        if let Some(why) = self.why_down() {
            return Answer::No(why);
        }
        if self.rules.mode == Mode::Sentinel {
            return self.sentinel_ready();
        }
        if let Some(answer) = self.in_conflict() {
            return answer;
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

    /// Several say master and nobody may choose: both stay as they are, and nobody is ready (F2).
    pub(super) fn in_conflict(&self) -> Option<Answer> {
        let Verdict::Conflict { masters } = &self.verdict else { return None };
        let list: Vec<String> = masters.iter().map(ToString::to_string).collect();
        Some(Answer::No(format!("conflict: {} say master, and no majority of Sentinels decides", list.join(" and "))))
    }

    fn leads_by_right(&self) -> Answer {
        // First: it is why Sentinels lose such a master, and a fence goes up (G6).
        if let Some(failure) = self.child.failure().filter(|failure| *failure != ChildFailure::Refuses) {
            return Answer::No(format!("the child: {}", failure_words(failure)));
        }
        if let Err(answer) = self.takes_writes_by_right() {
            return answer;
        }
        if self.child.last_seen().is_some_and(|seen| seen.cannot_save) {
            let why = self.health.ailment.as_ref().map(|found| found.advice(super::ailment::Complaint::Saving));
            return Answer::No(why.unwrap_or_else(|| "the child cannot save (MISCONF)".into()));
        }
        Answer::Yes("leads by right".into())
    }

    /// It leads by right, is not fenced, and can be reached; else why not. What ails the child itself is left out: it is
    /// the master all the same.
    pub(super) fn takes_writes_by_right(&self) -> Result<(), Answer> {
        let Course::Leading(leading) = &self.course else { return Err(Answer::No("not a master".into())) };
        if let Some(answer) = self.in_conflict() {
            return Err(answer);
        }
        let why = match leading.fence {
            _ if self.release_stands() || self.handover.is_some() => "handing over",
            _ if self.stop.is_some() => "stopping",
            // Behind a Service of ready pods the Sentinels cannot find a master that waits for them (section 7).
            Some(Fenced::Born) => "leads, fenced until it is named or followed",
            Some(Fenced::Isolated { .. }) => "fenced: cut off from the cluster",
            Some(Fenced::Uncertain { .. }) => "fenced: a release is out and nobody tells what became of it",
            None if self.child.door == Door::Shut => "the door is still shut",
            None => return Ok(()),
        };
        Err(Answer::No(why.into()))
    }

    fn serves_as_replica(&self) -> Answer {
        let Course::Following(following) = &self.course else { return Answer::No("not a replica".into()) };
        if let Some(words) = self.parked_words() {
            return Answer::No(words);
        }
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
        if let Some(why) = self.why_down() {
            return why;
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
            Course::Following(_) if let Some(words) = self.parked_words() => words,
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
        ChildFailure::LockedOut => "its ACL knows our user no more",
    }
}
