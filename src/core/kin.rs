//! Whether a server belongs to our cluster, and by what that is known.

use std::time::Duration;

use super::cluster::{ClusterId, Kinship};
use super::id::RunId;
use super::moment::Moment;
use super::seen::ServerSeen;

/// One that has shown our id may say another one once by mistake: it must say so for this long, as the same process.
pub(super) const DOUBTED_FOR: Duration = Duration::from_millis(500);

/// Whether a server belongs to our cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kin {
    /// Its supervisor has not been asked yet, since this process was first seen there.
    #[default]
    Unasked,
    /// It does, by its id or by its data.
    Member,
    /// It does not. The id where it tells one; without, its data have nothing in common with ours.
    Foreign(Option<ClusterId>),
}

/// What is remembered for that of one address.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// The process that was last seen, and since when.
    process: Option<(RunId, Moment)>,
    /// The process beside which a supervisor has shown our id.
    proved: Option<RunId>,
    /// Since when that same one shows another id.
    pub(super) doubted: Option<Moment>,
    /// When one of ours was last proved to stand here.
    pub(super) ours_at: Option<Moment>,
}

impl Proof {
    /// A process was seen; a new one has to prove itself anew.
    pub(super) fn note_process(&mut self, seen: &ServerSeen, asked: Moment) {
        if self.process.as_ref().is_none_or(|(run_id, _)| *run_id != seen.run_id) {
            self.process = Some((seen.run_id.clone(), asked));
            self.doubted = None;
        }
    }

    pub(super) fn note_kinship(&mut self, kinship: Kinship, asked: Moment) {
        match kinship {
            Kinship::Ours => {
                self.proved = self.process.as_ref().map(|(run_id, _)| run_id.clone());
                self.ours_at = Some(asked);
                self.doubted = None;
            }
            Kinship::Foreign if self.is_proved() => {
                self.doubted.get_or_insert(asked);
            }
            Kinship::Foreign | Kinship::Unknown => self.doubted = None,
        }
    }

    pub(super) fn is_proved(&self) -> bool {
        self.proved.is_some() && self.proved.as_ref() == self.process.as_ref().map(|(run_id, _)| run_id)
    }

    pub(super) fn since(&self) -> Moment {
        self.process.as_ref().map_or(Moment::ZERO, |(_, since)| *since)
    }
}
