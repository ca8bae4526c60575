//! A person's word that a stranger belongs here (N14): one that shows no id is counted as ours; where it shows one, this node
//! becomes one of that cluster's. What it holds is kept as a rollback file before it follows, as ever.

use super::Supervisor;
use super::action::{Level, Progress};
use super::cluster::Identity;
use super::event::Adopting;
use super::id::Address;

impl Supervisor {
    /// Says what would be done, or does it.
    pub(super) fn adopt(&mut self, at: Address, how: Adopting) -> Progress {
        let Some(ours) = self.evidence.settled().cloned() else {
            return Progress::Failed("this node has no settled cluster id: it takes anybody for its own".into());
        };
        let Some(theirs) = self.evidence.stranger(at) else {
            return Progress::Failed(format!("{at} is no stranger: redinit status lists them"));
        };
        if theirs.is_some() && self.rules.cluster_id.is_some() {
            return Progress::Failed("the settings give this node its cluster_id: change that".into());
        }
        let what = match &theirs {
            Some(theirs) => format!("this node leaves cluster {} for {theirs}, that of {at}", ours.id),
            None => format!("{at} counts as a server of cluster {}, whatever its data", ours.id),
        };
        if how == Adopting::Dry {
            return Progress::Done(format!(
                "would do: {what}; what this node holds beyond a master is kept as a rollback file"
            ));
        }
        self.decide(Level::Warn, "adopt", Some(at), format!("a person says so: {what}"));
        match theirs {
            Some(theirs) => self.take_identity(Identity::settled(theirs), "a person says so"),
            None => self.evidence.adopt(at),
        }
        Progress::Done(what)
    }
}
