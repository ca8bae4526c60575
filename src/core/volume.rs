//! The volume of another cluster, or of a later state of this one: refused, since nothing tells which data are newer.

use super::Supervisor;
use super::action::{ChildOrder, Exit, Level};
use super::id::{Address, Offset, ReplId};
use super::message::Rank;
use super::rank::history;
use super::record::RecordedRole;
use super::verdict::Verdict;

/// What becomes of what we hold.
#[derive(Debug, Default)]
pub struct Holding {
    /// Bytes of the replication stream that the sync under way gives up, where that is known.
    pub(super) giving_up: Option<u64>,
    /// Our volume is refused: the child is being ended.
    pub(super) refused: bool,
    /// What we held when we began to lead: who joins us compares with that what it holds itself.
    pub(super) began: Option<Rank>,
    /// The last byte of the history for which a file has been kept.
    pub(super) kept: Option<(ReplId, Offset)>,
}

impl Supervisor {
    /// Would following `master` discard data that may be newer? Their state file knows a config epoch that this
    /// cluster has never reached, in a history that the master has no part of. Epochs only grow within one cluster, so
    /// whoever was merely away for long is behind, and follows.
    pub(super) fn volume_is_foreign(&self, master: Address) -> bool {
        let Verdict::Confirmed { master: named, epoch } = self.verdict else { return false };
        let Some(record) = self.recovered.as_ref().map(|found| &found.record) else { return false };
        let rank = self.own_rank();
        let theirs = self.evidence.servers.get(&master).and_then(|entry| entry.server.view(self.now));
        named == master
            && record.role != RecordedRole::None
            && record.epoch > epoch
            && !self.child.has_streamed
            && rank.has_data
            && theirs.is_some_and(|seen| seen.role.is_master() && !history(&rank).related(&seen.history))
    }

    /// Says so and ends, the child first; its files stay as they are (SIGKILL saves nothing).
    pub(super) fn refuse_volume(&mut self, master: Address) {
        if self.holding.refused {
            return;
        }
        self.holding.refused = true;
        let own = self.recovered.as_ref().map(|found| found.record.epoch).unwrap_or_default();
        let epoch = self.named().map(|(_, epoch)| epoch).unwrap_or_default();
        let reason = format!(
            "this volume belongs to another cluster, or to a later state of this one: it knows config epoch {own} and a \
             history that {master} (epoch {epoch}) has no part of. Mount the right volume; or copy this one, and then empty \
             it to give its data up, or remove redinit.state to follow and keep them as a rollback file"
        );
        self.decide(Level::Error, "foreign-volume", Some(master), reason);
        self.child.order(&mut self.out, self.now, ChildOrder::Kill);
    }

    /// The child of a refused volume is gone.
    pub(super) fn volume_refusal_ends(&mut self) -> bool {
        if self.holding.refused {
            self.exit_once(Exit::CannotStart);
        }
        self.holding.refused
    }
}
