//! The role label on our own pod: what it shall say, and when.
//!
//! It comes off when we stop leading by right, and nothing waits for that: the fence must be up in the time that the
//! others count on (T and half a second, F1), and the API server's answer has no such time. Clients that still come get
//! errors from the fence, and no write is lost by that. Before a planned demotion there is a second and more: the label
//! is off from the handover's first step on, as `/master` is. What is left behind, by whoever is gone, cut off or frozen,
//! the next master takes off before it puts its own on.

use std::time::Duration;

use super::Supervisor;
use super::action::{Action, Level};
use super::course::Course;
use super::id::RequestId;
use super::moment::Moment;
use super::rules::Mode;

/// The label is compared with what it shall say this often.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// After a failure the same is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A right that is missing is granted by a person, some time later.
const RIGHTS_MAY_COME: Duration = Duration::from_secs(60);

/// Are pods labelled at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Not in a pod, not allowed to, or not wanted.
    Off,
    /// Yes.
    On,
}

/// What a pod's label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodRole {
    /// It is not there.
    Nothing,
    /// `replica`.
    Replica,
    /// `master`: on at most one pod of the group. Whoever puts it on takes it off every other pod first.
    Master,
}

/// Why a label could not be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFailure {
    /// Something else was wanted before it was done.
    Superseded,
    /// The service account has no right to it.
    Forbidden(String),
    /// The API server did not answer, or could not do it: it may or may not have been done.
    Unknown(String),
}

/// Our pod's label, as far as we know.
#[derive(Debug, Default)]
pub struct Label {
    /// What it says, and since when we know.
    stands: Option<(PodRole, Moment)>,
    /// What is being done.
    under_way: Option<(RequestId, PodRole)>,
    /// This failed; not again before then.
    rests: Option<(PodRole, Moment)>,
    /// What the last failure was, so that it is said once.
    said: Option<LabelFailure>,
}

impl Supervisor {
    /// Brings the label to what we are.
    pub(super) fn label_turn(&mut self) {
        if self.rules.labels == Labels::Off || self.rules.mode == Mode::Sentinel {
            return;
        }
        let Some(wanted) = self.label_wanted() else { return };
        if self.label.under_way.is_some_and(|(_, role)| role == wanted) {
            return;
        }
        if let Some((role, checked)) = self.label.stands.filter(|_| self.label.under_way.is_none())
            && role == wanted
            && self.now.since(checked) < CHECK_EVERY
        {
            return self.out.wake_at(checked + CHECK_EVERY);
        }
        if let Some((_, until)) = self.label.rests.filter(|(role, until)| *role == wanted && self.now < *until) {
            return self.out.wake_at(until);
        }
        let id = RequestId(self.out.number());
        self.label.under_way = Some((id, wanted));
        self.label.stands = None;
        self.out.push(Action::Label { id, role: wanted });
    }

    /// What it shall say; `None`: what it says.
    fn label_wanted(&self) -> Option<PodRole> {
        match &self.course {
            Course::Leading(_) if self.takes_writes_by_right().is_ok() => Some(PodRole::Master),
            Course::Leading(_) => Some(PodRole::Nothing),
            Course::Following(_) if self.child.seen().is_some_and(|seen| !seen.role.is_master()) => {
                Some(PodRole::Replica)
            }
            // A replica that is away for a moment claims nothing; at a start we know nothing of what it says.
            _ if self.label.says(PodRole::Replica) => None,
            _ => Some(PodRole::Nothing),
        }
    }

    /// It was done, or was not.
    pub(super) fn labelled(&mut self, id: RequestId, done: Result<(), LabelFailure>) {
        let Some((_, role)) = self.label.under_way.take_if(|(asked, _)| *asked == id) else { return };
        let failure = match done {
            Ok(()) => {
                self.label.stands = Some((role, self.now));
                (self.label.rests, self.label.said) = (None, None);
                return;
            }
            Err(failure) => failure,
        };
        let (rest, reason) = match &failure {
            LabelFailure::Superseded => return,
            LabelFailure::Forbidden(words) => (RIGHTS_MAY_COME, format!("not our right, and not needed: {words}")),
            LabelFailure::Unknown(words) => (TRY_AGAIN, format!("not set, tried again: {words}")),
        };
        self.label.rests = Some((role, self.now + rest));
        // Once a kind: its words may differ every time.
        let kind = std::mem::discriminant(&failure);
        if self.label.said.as_ref().map(std::mem::discriminant) != Some(kind) {
            self.decide(Level::Warn, "label", None, reason);
        }
        self.label.said = Some(failure);
    }
}

impl Label {
    /// This is what it says, or what it is about to.
    fn says(&self, role: PodRole) -> bool {
        match (self.under_way, self.stands) {
            (Some((_, coming)), _) => coming == role,
            (None, stands) => stands.is_some_and(|(now, _)| now == role),
        }
    }
}
