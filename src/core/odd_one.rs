//! The odd one: it made an id of its own while nobody reached it, and its own Sentinels are of another cluster by now (F7, N9).
//! What it holds beyond the master that it then follows is kept as a rollback file.

use super::Supervisor;
use super::action::Level;
use super::cluster::{ClusterId, Identity};
use super::evidence::{Evidence, FRESH};
use super::id::Address;
use super::moment::Moment;

impl Evidence {
    /// Who knows no other server looks at the one that these Sentinels name: it may be the odd one.
    pub(super) fn hear_foreign_word(&mut self, word: Option<(Address, Moment)>, now: Moment) {
        if let Some((named, _)) = word.filter(|_| self.servers.is_empty() && self.strangers.is_empty()) {
            self.add_server(named, now);
        }
    }

    /// The other cluster, where more than half of our Sentinels are of it by their own ids and name a server that shows that
    /// id, and no other server has ever shown ours. One address that moves, or one Sentinel, is never enough.
    fn cluster_of_our_sentinels(&self, quorum: usize, now: Moment) -> Option<ClusterId> {
        if self.servers.values().any(|entry| entry.proof.ours_at.is_some()) {
            return None;
        }
        let words = self.sentinels.values().filter_map(|entry| {
            let (named, _) = entry.foreign_word.filter(|(_, asked)| now.since(*asked) <= FRESH)?;
            let id = self.stranger(named)??;
            (entry.id_there.as_ref()?.cluster()? == id.tag()).then_some(id)
        });
        let words: Vec<ClusterId> = words.collect();
        let first = words.first()?;
        let same = words.iter().filter(|id| *id == first).count();
        (same >= quorum && same > self.sentinels.len() / 2).then(|| first.clone())
    }
}

impl Supervisor {
    /// Gives up an id of our own making for that of our Sentinels.
    pub(super) fn join_our_sentinels(&mut self) {
        if self.rules.cluster_id.is_some() {
            return;
        }
        let Some(theirs) = self.evidence.cluster_of_our_sentinels(self.rules.quorum, self.now) else { return };
        let reason = format!("our Sentinels are of cluster {theirs}, and nobody else is of ours: this node joins it");
        self.decide(Level::Warn, "join", None, reason);
        self.take_identity(Identity::settled(theirs), "it is that of our Sentinels");
    }
}
