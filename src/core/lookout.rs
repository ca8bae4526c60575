//! Whom to look at, and how often: each second in calm, faster where somebody waits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::action::{Depth, Look};
use super::course::Course;
use super::evidence::{Evidence, ServerEntry};
use super::id::Address;
use super::moment::Moment;
use super::rules::{ElectorRule, Mode};
use super::seen::MasterRow;

/// The calm poll.
const CALM: Duration = Duration::from_secs(1);
/// While nobody is known, or something is on its way.
const EAGER: Duration = Duration::from_millis(250);
/// The fence's rounds.
const ROUND: Duration = Duration::from_millis(200);
/// While clients wait.
const URGENT: Duration = Duration::from_millis(20);
/// While our own offset is waited for.
const OFFSET: Duration = Duration::from_millis(2);
/// A look that has not been answered by then is taken for lost (drivers answer within 300 ms).
const LOST: Duration = Duration::from_secs(2);

/// What is under way and when it was last done.
#[derive(Debug, Default)]
pub struct Lookout {
    targets: BTreeMap<Target, Last>,
    /// Looks wanted at once, whatever the pace.
    wanted: Vec<Look>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Names,
    Sentinel(Address),
    Server(Address),
    Supervisor(Address),
    Elector,
    Child,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    any: Option<Moment>,
    full: Option<Moment>,
    under_way: Option<Moment>,
}

fn target(look: Look) -> Target {
    match look {
        Look::Names => Target::Names,
        Look::Sentinel { at, .. } => Target::Sentinel(at),
        Look::Server { at } => Target::Server(at),
        Look::Supervisor { at } => Target::Supervisor(at),
        Look::Elector => Target::Elector,
        Look::Child { .. } => Target::Child,
    }
}

/// It is sent with one that is due now, where that is not long before its time: each wake-up costs more than what is done
/// in it. Sentinels are asked together, as a leader's round asks them; a server at both its ports, and beside the servers
/// what only we see. Those that look at trouble by themselves, Sentinels and servers, keep moments of their own: on one beat
/// it is noticed half a period later (M11).
fn goes_with(look: Look, due: &[Look]) -> bool {
    due.iter().any(|due| match (look, due) {
        (Look::Sentinel { .. }, Look::Sentinel { .. }) | (Look::Child { .. }, Look::Server { .. }) => true,
        (Look::Supervisor { at }, Look::Server { at: other }) => at == *other,
        (Look::Names, _) => true,
        _ => false,
    })
}

/// How long before its time, at most.
fn early(every: Duration) -> Duration {
    (every / 2).min(CALM / 2)
}

impl Lookout {
    /// An answer came.
    pub fn answered(&mut self, look: Look) {
        if let Some(last) = self.targets.get_mut(&target(look)) {
            last.under_way = None;
        }
    }

    /// Who is on no list any more is forgotten: in months many addresses come and go. What is under way is awaited.
    pub fn forget(&mut self, evidence: &Evidence, now: Moment) {
        self.targets.retain(|target, last| {
            let known = match target {
                Target::Names | Target::Elector | Target::Child => true,
                Target::Sentinel(at) => evidence.sentinels.contains_key(at),
                Target::Server(at) | Target::Supervisor(at) => evidence.looked_at().any(|(known, _)| known == at),
            };
            known || last.under_way.is_some_and(|since| now.since(since) < LOST)
        });
    }

    /// Ask as soon as no look at it is under way.
    pub fn want(&mut self, look: Look) {
        if self.wanted.len() < 256 && !self.wanted.contains(&look) {
            self.wanted.push(look);
        }
    }
}

/// The paces of this turn.
struct Pace {
    names: Duration,
    glance: Duration,
    full: Duration,
    server: Duration,
    supervisor: Duration,
    elector: Duration,
    child: Duration,
    child_full: Duration,
}

impl Supervisor {
    /// Look closely at this Sentinel now.
    pub(super) fn look_closely(&mut self, at: Address) {
        self.lookout.want(Look::Sentinel { at, depth: Depth::Full });
    }

    /// Look at this server now.
    pub(super) fn look_at_server(&mut self, at: Address) {
        self.lookout.want(Look::Server { at });
    }

    /// Looks there, but not again and again without a pause: an address that refuses answers at once, and each answer is a turn.
    pub(super) fn look_soon(&mut self, look: Look) {
        match self.looked(look).map(|last| last + URGENT) {
            Some(next) if self.now < next => self.out.wake_at(next),
            _ => self.lookout.want(look),
        }
    }

    /// Look at everybody now: the authority is read again before every step that cannot be undone.
    pub(super) fn look_everywhere(&mut self) {
        let sentinels: Vec<Address> = self.evidence.sentinels.keys().copied().collect();
        let servers: Vec<Address> = self.evidence.targets().map(|(at, _)| *at).collect();
        for at in sentinels {
            self.look_closely(at);
        }
        for at in servers {
            self.look_at_server(at);
            self.lookout.want(Look::Supervisor { at });
        }
        self.lookout.want(Look::Child { depth: Depth::Full });
        if self.rules.elector != ElectorRule::None {
            self.lookout.want(Look::Elector);
        }
    }

    /// Everybody has answered or failed to since then.
    pub(super) fn looked_everywhere_since(&self, since: Moment) -> bool {
        self.evidence.sentinels.values().all(|entry| entry.seen.asked_since(since))
            && self.evidence.looked_at().all(|(_, entry)| entry.server.asked_since(since))
    }

    /// Nothing happens: each second, and what is only glanced at in between every other one (idle cost).
    fn calm_pace(&self, settled_sentinel: bool) -> Pace {
        // A glance keeps it fresh; an event, or trouble in that, asks for the rest at once. A leader reads of its replicas
        // there, and settles by that (M9).
        let mut masters = self.evidence.answering(self.now).filter_map(|(_, seen)| seen.master.as_ref());
        let closely = self.course.leading().is_some() || masters.any(MasterRow::troubled);
        // A Sentinel that monitors asks supervisors for nothing but their epochs; a replica knows by its link when to ask
        // more often.
        let supervisor = match &self.course {
            _ if settled_sentinel => CALM * 5,
            Course::Following(_) => CALM * 2,
            _ => CALM,
        };
        Pace {
            names: CALM * 2,
            glance: CALM,
            full: if closely { CALM } else { CALM * 2 },
            server: CALM,
            supervisor,
            elector: if settled_sentinel { CALM * 5 } else { CALM },
            child: CALM,
            child_full: CALM,
        }
    }

    fn pace(&self) -> Pace {
        let decided = match &self.course {
            Course::Following(following) => !following.of_the_dead && self.child.streams_from(following.master),
            Course::Leading(leading) => leading.fence.is_none(),
            Course::Undecided => false,
        };
        let settled_sentinel = self.rules.mode == Mode::Sentinel && self.monitors();
        let mut pace = match decided || settled_sentinel {
            true => self.calm_pace(settled_sentinel),
            false => Pace {
                names: CALM,
                glance: EAGER,
                full: EAGER,
                server: EAGER,
                supervisor: EAGER,
                elector: EAGER,
                child: EAGER,
                child_full: EAGER,
            },
        };
        if let Course::Leading(leading) = &self.course {
            if leading.fence.is_some() && self.now.since(leading.since) < Duration::from_secs(15) {
                pace.glance = URGENT;
                pace.server = URGENT * 2;
            } else if self.knows_others() {
                pace.glance = ROUND;
                // Where the Sentinels prove it, the servers need not (idle cost).
                let proved_by_sentinels = self.now.since(leading.right.proved) < ROUND * 3;
                pace.server = if self.sentinels_reset_leave_no_majority() {
                    URGENT
                } else if proved_by_sentinels {
                    CALM
                } else {
                    ROUND
                };
            }
        }
        if self.release_stands() || self.handover.is_some() {
            pace.glance = URGENT;
            pace.full = Duration::from_millis(100);
            pace.server = URGENT * 5;
            pace.supervisor = pace.supervisor.min(EAGER);
        }
        if let Some(candidacy) = &self.candidacy {
            pace.full = URGENT;
            if matches!(candidacy.stage, super::candidacy::Stage::Releases) {
                // For as long as nobody has let go there is no offset to wait for.
                pace.child = if candidacy.has_a_release() { OFFSET } else { OFFSET * 4 };
            }
        }
        self.hasten(&mut pace);
        pace
    }

    /// What cannot wait while somebody is gone.
    fn hasten(&self, pace: &mut Pace) {
        if self.favoured() {
            pace.full = pace.full.min(URGENT * 5);
        }
        if self.link_falls_silent() {
            pace.child = pace.child.min(URGENT * 5);
        }
        if self.crash.is_some() || !self.child.loaded {
            pace.child = URGENT;
            pace.child_full = Duration::from_millis(50);
            pace.full = pace.full.min(URGENT * 5);
        }
        if self.handover.as_ref().is_some_and(|handover| handover.direct.is_some()) {
            pace.server = Duration::from_millis(4);
        }
    }

    /// Sends the looks that are due.
    pub(super) fn lookout_turn(&mut self) {
        let pace = self.pace();
        let mut due: Vec<(Look, Duration)> = vec![(Look::Names, pace.names)];
        let sentinels: Vec<Address> = self.evidence.sentinels.keys().copied().collect();
        for at in sentinels {
            due.push((Look::Sentinel { at, depth: Depth::Full }, pace.full));
            if pace.glance < pace.full {
                due.push((Look::Sentinel { at, depth: Depth::Glance }, pace.glance));
            }
        }
        let candidate = self.release.as_ref().map(|release| release.candidate);
        // Of the other replicas one in calm wants to know little.
        let followed = self.course.master().filter(|_| pace.server == CALM);
        let gone = |entry: &ServerEntry| entry.server.failing().is_some();
        let servers: Vec<(Address, bool)> = self.evidence.targets().map(|(at, entry)| (*at, gone(entry))).collect();
        for (at, gone) in servers {
            let server = if candidate == Some(at) { URGENT.min(pace.server) } else { pace.server };
            let server = if followed.is_some_and(|master| master != at) { server * 2 } else { server };
            due.push((Look::Server { at }, server));
            // Whoever has got the address of one that is gone says so here before its door opens (N1).
            let supervisor = if gone { pace.supervisor.min(CALM) } else { pace.supervisor };
            due.push((Look::Supervisor { at }, supervisor));
        }
        if self.rules.elector != ElectorRule::None {
            let elector = if self.evidence.elector.seen.failing().is_some() && self.master_now().is_some() {
                CALM * 5
            } else {
                pace.elector
            };
            due.push((Look::Elector, elector));
        }
        if self.child.running() {
            due.push((Look::Child { depth: Depth::Full }, pace.child_full));
            if pace.child < pace.child_full {
                due.push((Look::Child { depth: Depth::Glance }, pace.child));
            }
        }
        let wanted = std::mem::take(&mut self.lookout.wanted);
        for look in wanted {
            if matches!(look, Look::Child { .. }) && !self.child.running() {
                continue;
            }
            if !self.look(look) {
                self.lookout.want(look);
            }
        }
        let now: Vec<Look> =
            due.iter().filter(|(look, every)| self.is_due(*look, *every)).map(|(look, _)| *look).collect();
        for (look, every) in due {
            let sooner = every - early(every);
            let joins = goes_with(look, &now) && self.is_due(look, sooner);
            self.look_if_due(look, if joins { sooner } else { every });
        }
    }

    /// When it was sent last.
    fn looked(&self, look: Look) -> Option<Moment> {
        let last = self.lookout.targets.get(&target(look)).copied().unwrap_or_default();
        let full = matches!(look, Look::Sentinel { depth: Depth::Full, .. } | Look::Child { depth: Depth::Full });
        if full { last.full } else { last.any }
    }

    fn is_due(&self, look: Look, every: Duration) -> bool {
        self.looked(look).is_none_or(|at| self.now >= at + every)
    }

    fn look_if_due(&mut self, look: Look, every: Duration) {
        match self.looked(look) {
            Some(at) if self.now < at + every => self.out.wake_at(at + every),
            _ => {
                if !self.look(look) {
                    let under_way = self.lookout.targets.get(&target(look)).and_then(|last| last.under_way);
                    self.out.wake_at(under_way.unwrap_or(self.now) + LOST);
                }
            }
        }
    }

    /// Sends a look unless one at the same target is under way.
    fn look(&mut self, look: Look) -> bool {
        let now = self.now;
        let last = self.lookout.targets.entry(target(look)).or_default();
        if last.under_way.is_some_and(|since| now.since(since) < LOST) {
            return false;
        }
        last.under_way = Some(now);
        last.any = Some(now);
        if !matches!(look, Look::Sentinel { depth: Depth::Glance, .. } | Look::Child { depth: Depth::Glance }) {
            last.full = Some(now);
        }
        self.out.look(look);
        true
    }
}
